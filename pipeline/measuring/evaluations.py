"""Evaluations as functions: one call each, and the job that options are."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import Any, Unpack

from pipeline.arguments import (
    Paths,
    at_least,
    check_column,
    check_reading,
    check_whole,
    paths_of,
    reading_of,
    share_limits,
    shown_type,
)
from pipeline.choices import FINGERPRINT, IF_EXISTS, MISSING_TARGET, PRECISION, ROWS, Choice, parse_costs
from pipeline.errors import DataError, LogitstreamError, UsageError
from pipeline.evaluation.exact import SMALLEST_WEIGHT
from pipeline.evaluation.features import check_feature_limits
from pipeline.evaluation.job import EvaluationJob
from pipeline.evaluation.measures import class_masses
from pipeline.evaluation.merging import merged
from pipeline.evaluation.passing import EvaluatedRows, evaluate_rows
from pipeline.evaluation.report import EvaluationReport, evaluated_rows, report_of
from pipeline.evaluation.results import MeasureWishes
from pipeline.evaluation.scoring import ScoresColumns, both_columns
from pipeline.evaluation.statefile import check_free, read_state, write_state
from pipeline.evaluation.states import EvaluationState
from pipeline.evaluation.terms import EvaluationTerms, Keys, check_by, parse_by
from pipeline.logs import log_notes
from pipeline.measuring.holding_out import HeldOut, held_out
from pipeline.models import KINDS, Model, ScoreRequest, load_model, score_block
from pipeline.models.logistic.making import class_spellings
from pipeline.options import (
    OF_AN_EVALUATION,
    EvaluateOptions,
    MergeOptions,
    check_names,
    completed,
    documented,
)
from pipeline.units import escape, format_seconds, quoted

AnyModel = Model | str | os.PathLike[str]

_CHOICES: Mapping[str, Choice[Any]] = {
    "fingerprint": FINGERPRINT,
    "if_exists": IF_EXISTS,
    "missing_target": MISSING_TARGET,
    "precision": PRECISION,
    "rows": ROWS,
}
_LEAST = {"bins": 2, "max_groups": 1}
# Of a class on average: rounded to 2**-62, weights are then right to 1e-10.
_LEAST_WEIGHT = 2.0**-28
_NO_MODEL = ("false", "true")


@documented(EvaluateOptions, **OF_AN_EVALUATION)
def evaluate(
    inputs: Paths,
    *,
    target: str,
    model: AnyModel | None = None,
    challenger: AnyModel | None = None,
    probability: str | None = None,
    **options: Unpack[EvaluateOptions],
) -> EvaluationReport:
    """Return how well a model, or a column of probabilities, fits what was observed, over the rows of files.

    The rows may be larger than memory: they are read once. The same inputs, options and chunk size give the same bits
    on every scheduler, with any number of workers and any memory.

    Parameters
    ----------
    inputs : path or iterable of paths
        Files, folders or glob patterns, Parquet or CSV.
    target : str
        The column of what was observed: the classes of the model, or with ``probability`` 0 and 1, or false and true.
    model : Model or path, optional
        The model that scores the rows.
    challenger : Model or path, optional
        A second one, which is compared with the first.
    probability : str, optional
        In place of a model, the column that has the probability of the positive class.
    **options : EvaluateOptions

    Returns
    -------
    EvaluationReport
        The accounts of the rows and the measures, of all rows and by group.

    Raises
    ------
    pipeline.errors.LogitstreamError
        Nothing was measured, except where only the state could not be written: then ``evaluation`` of the error is the
        report. ``exit_code`` is that of the command line.
    TypeError
        There is no option of that name, or an argument is not what it must be.
    """
    started = time.monotonic()
    observe = options.pop("observe", None)
    check_names(options, EvaluateOptions)
    asked: dict[str, Any] = dict(completed(options))
    wishes = _measure_wishes(asked)
    job = evaluation_job(inputs, target, (model, challenger), probability, asked)
    _check_wishes(wishes, job.terms)
    _check_state(asked)
    found = evaluate_rows(job, observe)
    _require_rows(found)
    return _reported(found, wishes, asked, started)


@documented(MergeOptions, **OF_AN_EVALUATION)
def merge_evaluations(states: Paths, **options: Unpack[MergeOptions]) -> EvaluationReport:
    """Return the measures of several evaluations together, from the files of their states: no row is read again.

    Counts and sums have the bits of one run whose chunks are those of the first evaluation, then those of the next.

    Parameters
    ----------
    states : path or iterable of paths
        What :func:`evaluate` wrote as ``state``.
    **options : MergeOptions

    Raises
    ------
    DataError
        A file is no state, damaged, or of another version.
    UsageError
        The evaluations are not of the same target, models, groups and thresholds.
    LogitstreamError
        A file cannot be read or written. Where only the state could not be written, ``evaluation`` is the report.
    """
    started = time.monotonic()
    check_names(options, MergeOptions)
    asked: dict[str, Any] = dict(completed(options))
    wishes = _measure_wishes(asked)
    paths = paths_of(states, "name the files that evaluate wrote as state=")
    IF_EXISTS.check(asked["if_exists"])
    if not paths:
        raise UsageError("there is no state to add up", "name the files that evaluate wrote as its state")
    _check_state(asked)
    found = merged([read_state(path) for path in paths], paths)
    _check_wishes(wishes, found.terms)
    _require_rows(found)
    return _reported(found, wishes, asked, started)


def evaluation_job(
    inputs: Paths,
    target: str,
    models: tuple[AnyModel | None, AnyModel | None],
    probability: str | None,
    asked: Mapping[str, Any],
) -> EvaluationJob:
    """Return the job of :func:`evaluate`, from options that are complete.

    Raises
    ------
    UsageError
        An option cannot have that value, or two contradict each other.
    ModelError
        A model file is not a valid model.
    TypeError
        An option is of another type.
    """
    paths = paths_of(inputs, "write a table to a file first")
    _check(asked, target=target, probability=probability, weight=asked["weight"])
    loaded, blocks, names = _blocks(models, probability, asked)
    classes = _classes(blocks, names)
    max_unseen, max_missing = (share_limits(name, asked[name]) for name in ("max_unseen", "max_missing"))
    check_feature_limits(blocks, max_unseen, max_missing)
    held = HeldOut() if asked["rows"] == "all" else held_out(blocks, names, asked["limit"])
    return EvaluationJob(
        inputs=paths,
        terms=EvaluationTerms(
            target=target,
            classes=classes,
            models=tuple(each.digest() for each in loaded),
            names=names,
            probability=probability,
            weight=asked["weight"],
            by=_by(asked["by"]),
            max_groups=asked["max_groups"],
            thresholds=_thresholds(asked["thresholds"], len(classes)),
            holdout=held.holdout,
            key=held.key,
        ),
        blocks=blocks,
        missing_target=asked["missing_target"],
        full_fingerprint=asked["fingerprint"] == "full",
        precision=asked["precision"],
        fitted=held.fitted,
        max_unseen=max_unseen,
        max_missing=max_missing,
        **reading_of(asked, "evaluate"),
    )


def _blocks(
    models: tuple[AnyModel | None, AnyModel | None], probability: str | None, asked: Mapping[str, Any]
) -> tuple[tuple[Model, ...], tuple[ScoresColumns, ...], tuple[str, ...]]:
    """Return the models, what scores with each of them, and what they are called."""
    model, challenger = models
    if model is None and challenger is not None:
        raise UsageError("there is a challenger, but no model to compare it with", "name the model, too")
    if (model is None) == (probability is None):
        what = "neither a model nor" if model is None else "both a model and"
        raise UsageError(
            f"there is {what} a column of probabilities",
            "name a model (--model), or the column that has the probability (--probability)",
        )
    given = [each for each in (model, challenger) if each is not None]
    names = tuple(
        os.fspath(each) if isinstance(each, str | os.PathLike) else name
        for each, name in zip(given, ("model", "challenger"), strict=False)
    )
    found = tuple(map(_model, given))
    request = ScoreRequest(precision=asked["precision"], decimal=asked["decimal"])
    return found, tuple(both_columns(score_block(each, request)) for each in found), names


def _model(model: AnyModel) -> Model:
    if isinstance(model, str | os.PathLike):
        return load_model(model)
    if getattr(model, "kind", None) in KINDS:
        return model
    raise TypeError(f"model is a {type(model).__name__}, neither a model nor the path of a model file")


def _classes(blocks: Sequence[ScoresColumns], names: Sequence[str]) -> tuple[str, ...]:
    """Return the classes that all models predict, as data spells them."""
    stated = [(class_spellings(block.model), name) for block, name in zip(blocks, names, strict=True) if _states(block)]
    if not stated:
        return class_spellings(blocks[0].model) if blocks else _NO_MODEL
    first, first_name = stated[0]
    for other, name in stated[1:]:
        if other != first:
            raise UsageError(
                f"{escape(first_name, 1000)} has the classes {_listed(first)}, but {escape(name, 1000)} has "
                f"{_listed(other)}",
                "compare models of the same target",
            )
    if any((block.model.classes is None) != (blocks[0].model.classes is None) for block in blocks):
        raise UsageError("one model has several classes, the other a positive one", "compare models of the same target")
    return first


def _states(block: ScoresColumns) -> bool:
    """Return whether a model says which classes it predicts."""
    target = block.model.target
    return block.model.classes is not None or (target is not None and target.negative is not None)


def _listed(classes: Sequence[str]) -> str:
    return ", ".join(map(quoted, classes[:5])) + (", ..." if len(classes) > 5 else "")


def _by(given: object) -> tuple[Keys, ...]:
    texts = (given,) if isinstance(given, str) else given
    if not isinstance(texts, Iterable) or isinstance(texts, Mapping):
        raise TypeError(f'by is {shown_type(given)}, not names of columns; write by=["region", "region:product"]')
    listed = tuple(texts)
    for text in listed:
        if not isinstance(text, str):
            raise TypeError(f'by has {shown_type(text)} in it; write names of columns, such as by=["region"]')
    found = tuple(map(parse_by, listed))
    check_by(found)
    return found


def _thresholds(given: object, classes: int) -> tuple[float, ...]:
    numbers = (given,) if isinstance(given, Real) else given
    if not isinstance(numbers, Iterable) or isinstance(numbers, str):
        raise TypeError(f"thresholds is {shown_type(given)}; write numbers, such as thresholds=[0.2, 0.5]")
    found = []
    for number in numbers:
        if isinstance(number, bool) or not isinstance(number, Real):
            raise TypeError(f"thresholds has {shown_type(number)} in it; write numbers, such as thresholds=[0.2, 0.5]")
        if not 0 <= float(number) <= 1:
            raise UsageError(f"the threshold {number} is not between 0 and 1", "write a probability")
        found.append(float(number))
    if found and classes > 2:
        raise UsageError("--threshold is for models with two classes", "leave it out")
    return tuple(dict.fromkeys(found))


def _measure_wishes(asked: Mapping[str, Any]) -> MeasureWishes:
    check_whole("bins", asked["bins"])
    at_least(_LEAST["bins"], "bins", asked["bins"])
    return MeasureWishes(bins=int(asked["bins"]), cost=_costs(asked["costs"]))


def _check_wishes(wishes: MeasureWishes, terms: EvaluationTerms) -> None:
    """Refuse what has no effect on measures of several classes."""
    if len(terms.classes) > 2:
        for name, is_given in (("--bins", wishes.bins != MeasureWishes().bins), ("--cost", wishes.cost is not None)):
            if is_given:
                raise UsageError(f"{name} is for models with two classes", "leave it out")


def _costs(given: object) -> tuple[float, float] | None:
    """Return what a false positive and a false negative cost."""
    if given is None:
        return None
    if isinstance(given, str):
        return parse_costs(given)
    if not isinstance(given, Mapping):
        raise TypeError(f'costs is {shown_type(given)}; write costs={{"fp": 1, "fn": 5}}')
    return parse_costs(",".join(f"{name}={number}" for name, number in given.items()))


def _check(asked: Mapping[str, Any], **columns: object) -> None:
    for name, column in columns.items():
        check_column(name, column)
    if columns["target"] is None:
        raise TypeError('target is None; name the column of what was observed, such as target="late"')
    check_reading(asked)
    for name, least in _LEAST.items():
        check_whole(name, asked[name])
        at_least(least, name, asked[name])
    for name, choice in _CHOICES.items():
        choice.check(asked[name])


def _require_rows(found: EvaluatedRows) -> None:
    if not found.rows["used"]:
        raise DataError(f"no row is left to measure: {evaluated_rows(found.rows)}", "check the inputs and the columns")
    if found.terms.weight is not None:
        _require_weights(found.totals.whole, found.terms.weight)


def _require_weights(state: EvaluationState, column: str) -> None:
    """Refuse weights of which rounding to 2**-62 leaves too little."""
    masses, where = class_masses(state), f"column {escape(column)}"
    if not sum(masses):
        raise DataError(
            f"{where}: all weights are 0 or too small: each is rounded to {SMALLEST_WEIGHT:.2g}",
            "name another column with --weight, or multiply all weights by a constant, which changes no measure",
        )
    for mass, rows in zip(masses, state.classes.tolist(), strict=True):
        if 0 < mass < rows * _LEAST_WEIGHT:
            raise DataError(
                f"{where}: the weights of a class are {mass / rows:.3g} on average, too little to be added up exactly",
                f"multiply all weights by a constant, such as {_LEAST_WEIGHT * rows / mass:.0e}: no measure changes",
            )


def _check_state(asked: Mapping[str, Any]) -> None:
    if asked["state"] is not None:
        check_free(asked["state"], asked["if_exists"])


def _reported(
    found: EvaluatedRows, wishes: MeasureWishes, asked: Mapping[str, Any], started: float
) -> EvaluationReport:
    report = report_of(found, wishes)
    ended = f"{evaluated_rows(found.rows)}, in {format_seconds(time.monotonic() - started)}"
    log_notes("evaluate", report.notes, report.all_warnings)
    log_notes("evaluate", [f"evaluated {escape(found.terms.target)}: {ended}"])
    if asked["state"] is not None:
        try:
            # Something may have come there in the meantime.
            _check_state(asked)
            write_state(asked["state"], found)
        except LogitstreamError as error:
            error.evaluation = report
            raise
    return report
