"""Fitting logistic models: one call each, and the job that options are."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, Literal, TypeVar, Unpack

from pipeline.arguments import (
    Paths,
    at_least,
    check_column,
    check_columns_types,
    check_text,
    check_whole,
    csv_of,
    memory_of,
    model_output_of,
    paths_of,
    shown_type,
)
from pipeline.choices import (
    ABSENT,
    BALANCED,
    FINGERPRINT,
    IF_EXISTS,
    MISSING,
    MISSING_TARGET,
    SOLVER,
    Choice,
    MissingRule,
    parse_class_weight,
    parse_missing_rule,
    parse_sign,
)
from pipeline.errors import UsageError
from pipeline.execute import choose_scheduler
from pipeline.fitting import running
from pipeline.fitting.asking.checking import check_columns
from pipeline.fitting.asking.formula import parse_terms
from pipeline.fitting.asking.job import DataWishes, FitJob, MeansWishes, ModelWishes, SolveWishes
from pipeline.fitting.asking.terms import AnyTerm
from pipeline.fitting.first_pass.dividing import parse_holdout
from pipeline.fitting.report import FitPlan, FitReport
from pipeline.fitting.solving.choice import check_kinks
from pipeline.options import OF_A_FIT, OPTIONS, FitOptions, check_names, completed, documented
from pipeline.types.job import BadLimit
from pipeline.units import (
    escape,
    names_of,
    parse_bad_limit,
    parse_chunk_size,
    split_texts,
    value_text,
)

# By their keywords.
_CHOICES: Mapping[str, Choice[Any]] = {
    "absent": ABSENT,
    "fingerprint": FINGERPRINT,
    "if_exists": IF_EXISTS,
    "missing_target": MISSING_TARGET,
    "solver": SOLVER,
}
# Whole numbers, each with its smallest and largest value.
_WHOLE: Mapping[str, tuple[int, float]] = {
    "limit": (1, math.inf),
    "workers": (1, math.inf),
    "retries": (0, math.inf),
    "min_count": (1, math.inf),
    "max_levels": (1, math.inf),
    "path": (2, 1_000),
    "folds": (2, 100),
    "iterations": (1, math.inf),
}
# Numbers, each with what it must be.
_REAL: Mapping[str, tuple[str, float, float]] = {
    "prior": ("between 0 and 1", 0.0, 1.0),
    "learning_rate": ("more than 0", 0.0, math.inf),
}
_NOT_NEGATIVE = ("l1", "l2")
_TEXTS = ("weight", "offset", "holdout", "key", "robust_groups")
_YES_OR_NO = (
    *("exact_median", "intercept", "strict", "one_standard_error", "robust", "effects"),
    *("allow_unconverged", "quoted_null", "insecure"),
)
# What an option of another kind takes, and how to write it.
_KINDS: Mapping[str, tuple[tuple[type, ...], str]] = {
    "memory": ((str, int), 'write memory="4GiB"'),
    "scratch": ((str, os.PathLike), 'write the path of a folder, "auto" or "none"'),
    "encoding": ((str,), 'write encoding="cp1252"'),
}

Pair = TypeVar("Pair")


@documented(FitOptions, **OF_A_FIT)
def fit(
    inputs: Paths,
    *,
    target: str,
    features: str | Sequence[str],
    output: str | os.PathLike[str] | None = None,
    **options: Unpack[FitOptions],
) -> FitReport:
    """Fit a logistic model to files, to the optimum, and return it with the certificate that it is one.

    The rows may be larger than memory: they are read several times, and what was decoded is kept between passes where
    it fits. If an error is raised, nothing was written, and whatever was under ``output`` before is still there.

    Parameters
    ----------
    inputs : path or iterable of paths
        Files, folders or glob patterns, Parquet or CSV.
    target : str
        The column to predict.
    features : str or sequence of str
        What to predict it from: ``"distance, C(carrier), log1p(x), C(origin):hour"``, in the grammar of
        :mod:`pipeline.fitting.asking.formula`.
    output : path, optional
        The model file to write.
    **options : FitOptions

    Returns
    -------
    FitReport
        The model, its coefficients with standard errors, how well it fits, and the certificate.

    Raises
    ------
    pipeline.errors.LogitstreamError
        Nothing was written; ``exit_code`` is that of the command line. ``ThresholdError`` (3) if the fit did not
        converge, unless ``allow_unconverged``.
    TypeError
        There is no option of that name, or an argument is not what it must be.
    """
    observe = options.pop("observe", None)
    job = fit_job(inputs, target=target, features=features, output=output, **options)
    return running.run(job, observe)


@documented(FitOptions, **{**OF_A_FIT, "observe": "Never called: no work is done."})
def preview_fit(
    inputs: Paths,
    *,
    target: str,
    features: str | Sequence[str],
    output: str | os.PathLike[str] | None = None,
    **options: Unpack[FitOptions],
) -> FitPlan:
    """Return what :func:`fit` would do, from footers and headers alone.

    Raises what :func:`fit` would raise before it reads rows.

    Parameters
    ----------
    inputs : path or iterable of paths
        As for :func:`fit`.
    target : str
        As for :func:`fit`.
    features : str or sequence of str
        As for :func:`fit`.
    output : path, optional
        As for :func:`fit`.
    **options : FitOptions

    Returns
    -------
    FitPlan
        Columns after coding, bytes of a pass, memory, passes expected.
    """
    options.pop("observe", None)
    job = fit_job(inputs, target=target, features=features, output=output, **options)
    return running.plan(job)


def fit_job(
    inputs: Paths,
    *,
    target: str,
    features: str | Sequence[str],
    output: str | os.PathLike[str] | None = None,
    **options: Unpack[FitOptions],
) -> FitJob:
    """Return the job of :func:`fit`.

    Raises
    ------
    UsageError
        An option cannot have that value, or two contradict each other.
    TypeError
        An option is of another type, or there is none of that name.
    """
    check_names(options, FitOptions)
    paths = paths_of(inputs, "fit a table with pipeline.sklearn.LogisticRegression().fit(X, y)")
    asked = completed(options)
    _check_types(asked)
    asked = _plain(asked)
    _check_values(asked)
    model = _model_wishes(target, _terms(features), asked)
    solve = _solve_wishes(asked)
    check_columns(model)
    _check_together(model, solve)
    return FitJob(
        data=_data_wishes(paths, asked),
        model=model,
        solve=solve,
        means=_means_wishes(asked),
        output=model_output_of(output),
        if_exists=asked["if_exists"],
        allow_unconverged=asked["allow_unconverged"],
    )


def _data_wishes(paths: tuple[str, ...], asked: FitOptions) -> DataWishes:
    chunk_size = str(asked["chunk_size"])
    parse_chunk_size(chunk_size)
    return DataWishes(
        inputs=paths,
        csv=csv_of(asked),
        absent=asked["absent"],
        max_bad=BadLimit(*parse_bad_limit(str(asked["max_bad"]))),
        limit=asked["limit"],
        chunk_size=chunk_size,
        fingerprint=asked["fingerprint"],
    )


def _means_wishes(asked: FitOptions) -> MeansWishes:
    scheduler, cluster = choose_scheduler(asked)
    return MeansWishes(
        memory=memory_of(asked["memory"]),
        workers=asked["workers"],
        scheduler=scheduler,
        cluster=cluster,
        retries=asked["retries"],
        scratch=os.fspath(asked["scratch"]),
    )


def _model_wishes(target: str, features: tuple[AnyTerm, ...], asked: FitOptions) -> ModelWishes:
    if target is None:
        raise TypeError('target is None; name the column to predict, such as target="late"')
    check_column("target", target)
    positive, (missing, missing_of) = asked["positive"], _missing(asked["missing"])
    return ModelWishes(
        target=target,
        positive=None if positive is None else value_text(positive),
        features=features,
        missing=missing,
        missing_of=missing_of,
        missing_target=asked["missing_target"],
        controls=names_of(asked["control"]),
        signs=_signs(asked["sign"]),
        weight=asked["weight"],
        offset=asked["offset"],
        class_weights=_class_weights(asked["class_weight"]),
        prior=asked["prior"],
        intercept=asked["intercept"],
        min_count=asked["min_count"],
        max_levels=asked["max_levels"],
        exact_median=asked["exact_median"],
        strict=asked["strict"],
    )


def _solve_wishes(asked: FitOptions) -> SolveWishes:
    return SolveWishes(
        solver=asked["solver"],
        l1=float(asked["l1"]),
        l2=float(asked["l2"]),
        path=asked["path"],
        folds=asked["folds"],
        holdout=asked["holdout"],
        key=asked["key"],
        one_standard_error=asked["one_standard_error"],
        learning_rate=float(asked["learning_rate"]),
        iterations=asked["iterations"],
        robust=asked["robust"],
        robust_groups=asked["robust_groups"],
        effects=asked["effects"],
    )


def _terms(features: object) -> tuple[AnyTerm, ...]:
    texts = (features,) if isinstance(features, str) else features
    if not isinstance(texts, Iterable) or isinstance(texts, Mapping):
        raise TypeError(f'features is {shown_type(features)}, not text; write features="distance, C(carrier)"')
    listed = tuple(texts)
    for text in listed:
        if not isinstance(text, str):
            raise TypeError(f'features has {shown_type(text)} in it; write each feature as text, such as "C(carrier)"')
    return parse_terms(*listed)


def _pairs(name: str, given: object, example: str) -> list[str]:
    """Return the texts of an option that takes ``COLUMN=WORD``: one or several, or a mapping."""
    if isinstance(given, Mapping):
        return [f"{value_text(key)}={value_text(value)}" for key, value in given.items()]
    if isinstance(given, str):
        return [text.strip() for text in split_texts(given)]
    texts: list[Any] = list(given) if isinstance(given, Iterable) else [given]
    if not all(isinstance(text, str) for text in texts):
        raise TypeError(f"{name} is {shown_type(given)}; write {example}")
    return texts


def _once(name: str, pairs: Iterable[tuple[str, Pair]]) -> dict[str, Pair]:
    found: dict[str, Pair] = {}
    for key, value in pairs:
        if key in found:
            raise UsageError(f"{name} has {escape(key)} twice", "give one")
        found[key] = value
    return found


def _missing(given: object) -> tuple[MissingRule, Mapping[str, MissingRule]]:
    texts = _pairs("missing", given, 'missing="drop" or missing={"age": "drop"}')
    found = [parse_missing_rule(text) for text in texts]
    everywhere = [rule for column, rule in found if column is None]
    if len(everywhere) > 1:
        raise UsageError("missing has two rules for all features", "give one")
    of_columns = _once("missing", ((column, rule) for column, rule in found if column is not None))
    return (everywhere or [MISSING.words[0]])[0], of_columns


def _signs(given: object) -> Mapping[str, int]:
    texts = _pairs("sign", given, 'sign={"distance": "+"}')
    return _once("sign", map(parse_sign, texts))


def _class_weights(given: object) -> Mapping[str, float] | Literal["balanced"] | None:
    if given is None:
        return None
    found = [parse_class_weight(text) for text in _pairs("class_weight", given, 'class_weight={"late": 3}')]
    weights = [each for each in found if each is not None]
    if len(weights) == len(found):
        return _once("class_weight", weights) or None
    if len(found) > 1:
        raise UsageError("class_weight has balanced and something else", "write balanced, or a weight for each class")
    return BALANCED


def _plain(asked: FitOptions) -> FitOptions:
    """Return options whose numbers are those of Python, not of NumPy: a job is plain values."""
    plain = {
        name: int(value) if isinstance(value, Integral) else float(value)
        for name, value in asked.items()
        if isinstance(value, Real) and type(value) not in {bool, int, float}
    }
    return {**asked, **plain}  # type: ignore[typeddict-item]


def _check_types(asked: FitOptions) -> None:
    check_columns_types(asked["types"])
    given: Mapping[str, object] = dict(asked)
    for name in (*_WHOLE, *_REAL, *_NOT_NEGATIVE, "scratch"):
        default = OPTIONS[name].default
        if given[name] is None and default is not None:
            raise TypeError(f"{name} is None; leave it out, or write {name}={default!r}")
    for name in (*_WHOLE, "skip_lines"):
        check_whole(name, given[name])
    for name in (*_REAL, *_NOT_NEGATIVE):
        value = given[name]
        if value is not None and (isinstance(value, bool) or not isinstance(value, Real)):
            raise TypeError(f"{name} is {shown_type(value)}; write a number, such as {name}=0.5")
    for name in _TEXTS:
        value = given[name]
        if value is not None and not isinstance(value, str):
            raise TypeError(f"{name} is {shown_type(value)}; write a text")
        check_text(name, value)
    for name in _YES_OR_NO:
        if not isinstance(given[name], bool):
            raise TypeError(f"{name} is {shown_type(given[name])}; write True or False")
    for name, (kinds, example) in _KINDS.items():
        value = given[name]
        if value is not None and (isinstance(value, bool) or not isinstance(value, kinds)):
            raise TypeError(f"{name} is {shown_type(value)}; {example}")
    _check_names_of_columns("control", asked["control"])


def _check_names_of_columns(name: str, value: object) -> None:
    """Raise a TypeError for an option that is neither a text nor a list of texts."""
    texts = [value] if isinstance(value, str) else list(value) if isinstance(value, Iterable) else [value]
    if not all(isinstance(text, str) for text in texts):
        raise TypeError(f'{name} is {shown_type(value)}, not names of columns; write {name}=["year"]')


def _check_values(asked: FitOptions) -> None:
    given: Mapping[str, Any] = dict(asked)
    for name, (least, most) in _WHOLE.items():
        at_least(least, name, given[name])
        if given[name] is not None and given[name] > most:
            raise UsageError(f"{name} is {given[name]}: it must be at most {most}")
    at_least(1, "memory", given["memory"])
    for name, (what, low, high) in _REAL.items():
        if given[name] is not None and not low < given[name] < high:
            raise UsageError(f"{name} is {given[name]}: it must be {what}")
    for name in _NOT_NEGATIVE:
        if not 0 <= given[name] < math.inf:
            raise UsageError(f"{name} is {given[name]}: it must be 0 or more")
    for name, choice in _CHOICES.items():
        choice.check(given[name])
    if asked["holdout"] is not None:
        parse_holdout(asked["holdout"])


def _check_together(model: ModelWishes, solve: SolveWishes) -> None:
    """Refuse options that contradict each other, or that have no effect without another one."""
    check_kinks(solve.solver, l1=solve.l1 > 0, signs=bool(model.signs))
    for wrong, message, remedy in (*_of_penalties(solve), *_of_methods(model, solve)):
        if wrong:
            raise UsageError(message, remedy)


def _of_penalties(solve: SolveWishes) -> Iterator[tuple[object, str, str]]:
    """Yield what would be wrong with the choice of a penalty: whether it is, the message, and what to do."""
    penalised = solve.l1 > 0 or solve.l2 > 0
    divided = solve.folds is not None or solve.holdout is not None
    hashed = solve.folds is not None or (solve.holdout or "").rstrip().endswith("%")
    chosen_by_folds = solve.path is not None and solve.folds is not None
    divide = "add --folds 5 or --holdout 20%"
    robust = solve.robust or solve.robust_groups is not None
    yield solve.path and not penalised, "--path needs a penalty to end with", "add --l2 or --l1"
    yield solve.path and not divided, "--path needs rows that are left out, to choose a penalty by", divide
    no_choice = "--one-standard-error needs folds and a path"
    yield solve.one_standard_error and not chosen_by_folds, no_choice, "add --path 20 --folds 5"
    yield solve.key and not hashed, "--key needs folds, or a percentage of rows that are held out", divide
    no_errors = "with a penalty there are no standard errors"
    yield penalised and robust, no_errors, "leave out --l1 and --l2, or the robust errors"


def _of_methods(model: ModelWishes, solve: SolveWishes) -> Iterator[tuple[object, str, str]]:
    """Yield the same of the solver, the intercept and the median."""
    defaults = (OPTIONS["learning_rate"].default, OPTIONS["iterations"].default)
    by_rate = (solve.learning_rate, solve.iterations) != defaults
    imputes_median = "impute-median" in {model.missing, *model.missing_of.values()}
    no_l1 = "--solver gradient cannot fit with --l1"
    yield solve.l1 and solve.solver == "gradient", no_l1, "leave out one of the two, or use --solver auto"
    no_rate = "--learning-rate and --iterations are for the solver gradient"
    yield by_rate and solve.solver != "gradient", no_rate, "leave them out, or add --solver gradient"
    no_intercept = "--prior corrects the intercept, and there is none"
    yield model.prior and not model.intercept, no_intercept, "leave out --no-intercept or --prior"
    no_median = "--exact-median needs a median to impute"
    yield model.exact_median and not imputes_median, no_median, "add --missing impute-median"
