"""Scoring as a block function: a logistic model and the columns to make with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.choices import Precision, Role
from pipeline.dataclass import dataclass
from pipeline.errors import UsageError
from pipeline.kernels import Term, contributions, raw_prediction
from pipeline.models.columns import Mask, Rows, unfit_columns
from pipeline.models.logistic.batch import BatchColumns
from pipeline.models.logistic.feature import PreparedFeature, Use
from pipeline.models.logistic.features import kind_of
from pipeline.models.logistic.file import ModelFile
from pipeline.models.logistic.gathered import GatheredParts
from pipeline.models.logistic.making import Maker, Raw, Requested, maker_of
from pipeline.models.logistic.output import COLUMNS, MOST_REASONS, Column
from pipeline.models.logistic.parsing import from_mapping
from pipeline.models.logistic.predictor import Predictor
from pipeline.models.request import ScoreRequest
from pipeline.models.tally import BatchColumn, RowTally
from pipeline.types.blocks import Field, Values
from pipeline.types.features import FeatureFacts
from pipeline.types.inputs import Need

DEFAULT_THRESHOLD = 0.5
# Where the schema of an output has the base of the raw prediction.
BASE_KEY = "logitstream.base"
# The cells of all uses of columns that are copied at a time, where the policies are applied to floating NaN.
_SETTLED_CELLS = 1 << 21

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ScoreBlock:
    """Scores rows with a logistic model.

    Equal rows give equal bits in every batch, because every step is elementwise in float64. Without nulls the raw
    prediction is computed straight from the Arrow buffers and checked once; rows where it is not finite are computed
    again, with the policies of the model applied to floating NaN.

    ``raw_prediction = (((b + offset) + term_1) + term_2) + ...`` in the order of the file. The term of a numeric
    feature is ``w x``; ``w = coefficient / scale`` is rounded once; each ``-coefficient * center / scale`` after the
    product and after the quotient; b, the sum of these and the intercept, once (``math.fsum``). ``probability`` is the
    inverse of the link, for ``logit`` the sigmoid, with the ``temperature``, ``alpha`` and ``beta`` of the model's
    ``output``. With classes each has its own raw prediction.

    Frozen and picklable; may be called from several threads at once.

    Parameters
    ----------
    model : ModelFile
    columns_made : tuple of str
        Which columns to make: words of ``output.columns``.
    threshold : float
        A decision is positive if the probability, in float64, is at least this, and otherwise negative.
    float32 : bool
        Round probability, raw prediction and contributions to float32.
    precision : {"fast", "accurate", "reproducible"}
        The precision of the functions.
    decimal : str
        The decimal sign of levels that are text.
    with_point : frozenset of str
        Columns whose text has a decimal point all the same; no part of the description.
    reasons : int or None
        How many reasons to name, if not as many as the file says.
    """

    model: ModelFile
    columns_made: tuple[Column, ...] = ("probability",)
    threshold: float = DEFAULT_THRESHOLD
    float32: bool = False
    precision: Precision = "fast"
    decimal: str = "."
    with_point: frozenset[str] = frozenset()
    reasons: int | None = None

    def __post_init__(self) -> None:
        if not self.columns_made or not set(self.columns_made) <= set(COLUMNS):
            raise UsageError(f"score columns must be among {', '.join(COLUMNS)}, got {self.columns_made!r}")
        if self.reasons is not None and not 1 <= self.reasons <= MOST_REASONS:
            raise UsageError(f"the number of reasons must be from 1 to {MOST_REASONS}, got {self.reasons!r}")
        check_threshold(self.threshold)

    @classmethod
    def of(cls, model: ModelFile, request: ScoreRequest | None = None) -> ScoreBlock:
        """Return the block that a model's ``output`` asks for, with what a request adds; a request overrides the file.

        ``raw_prediction`` and ``threshold`` add a column each, ``reasons`` its columns; a threshold and a number of
        reasons replace those of the file.

        Raises
        ------
        UsageError
            A threshold or reasons are requested of a model with classes.
        """
        request = ScoreRequest() if request is None else request
        made, cut = asked_of(model, request)
        return cls(model, made, cut, request.float32, request.precision, request.decimal, reasons=request.reasons)

    def pointed(self, columns: frozenset[str]) -> ScoreBlock:
        """Return the block for a file in which the text of these columns has a decimal point."""
        return self if self.decimal == "." else replace(self, with_point=columns)

    @property
    def whole_chunk(self) -> bool:
        """Never: rows do not depend on each other."""
        return False

    @property
    def scratch_row_bytes(self) -> int:
        """The bytes of what is computed of a row, whether or not it is a result."""
        return scratch_row_bytes(self.model) + self._maker.scratch_row_bytes

    @property
    def table_bytes(self) -> int:
        """The bytes of the tables of its features."""
        return sum(kind_of(feature).table_bytes(feature) for feature in self.model.features)

    def columns(self) -> tuple[Need, ...]:
        """Return the columns of offset and features, each once, in the order of the model file."""
        return needs_of(self._uses)

    def features(self) -> tuple[FeatureFacts, ...]:
        """Return what the model says of its columns, in the order of :meth:`columns`."""
        return tuple(facts_of(name, uses) for name, uses in self._uses.items())

    def fields(self) -> tuple[Field, ...]:
        """Return the columns that are made, in the order of ``COLUMNS``.

        They are nullable if a feature has the policy ``null``. A decision is also null if the arithmetic ends in NaN,
        which only an unbounded feature can cause; without one it is nullable like the others. The quarantine makes
        nothing nullable because its rows are not written.
        """
        nullable = any("null" in use.policies for uses in self._uses.values() for use in uses)
        is_bounded = self.model.offset is None and all(kind_of(each).is_bounded for each in self.model.features)
        return tuple(self._maker.fields(nullable=nullable, may_be_nan=not is_bounded))

    def metadata(self) -> dict[str, str]:
        """Return the base that contributions are added to, with all its digits, where there are contributions."""
        return {BASE_KEY: repr(self.model.base)} if "contributions" in self.columns_made else {}

    def check(self, fields: Sequence[pa.Field]) -> list[str]:
        """Return one sentence for each Arrow field, in the order of ``columns()``, whose type does not fit."""
        return unfit_columns([(need.name, need.role) for need in self.accepted()], fields)

    def accepted(self) -> tuple[Need, ...]:
        """Return the columns with the role ``kept`` where any type fits: only whether they are missing is asked."""
        return accepted_of(self._uses)

    def block(self, columns: Sequence[pa.Array]) -> Values:
        """Return the scores of a batch.

        Null results are zero in memory. ``nan`` counts the rows whose raw prediction is NaN; a decision is null there.
        Events include rejected rows.
        """
        tally = RowTally(len(columns[0]))
        arrays, nan = self.scores(columns, tally)
        return values_of(tally, arrays, nan)

    def scores(self, columns: Sequence[pa.Array], tally: RowTally) -> tuple[tuple[pa.Array, ...], Mask]:
        """Return the arrays of a batch and which rows are NaN; ``tally`` gets what else happened to the rows.

        A rejected row has the scores of a raw prediction of 0.
        """
        raw, gathered = self._raw_predictions(columns, tally)
        null = tally.null
        for where in (tally.rejected,) if null is None else (null, tally.rejected):
            raw[:, where] = 0.0
            for each in gathered.gatherers:
                each.blank(where)
        nan = self._maker.is_nan(raw)
        return tuple(self._maker.arrays(Raw(raw, null, nan, gathered))), nan

    def describe(self) -> dict[str, object]:
        """Return JSON from which :func:`restore` makes the block again: the whole model, and the options."""
        return {
            "function": "score",
            "model": self.model.model_dump(mode="json"),
            "columns": [column for column in COLUMNS if column in self.columns_made],
            "threshold": self.threshold,
            "float32": self.float32,
            "precision": self.precision,
            # A point is not mentioned, so that the description of such a block is what it always was.
            **({} if self.decimal == "." else {"decimal": self.decimal}),
            **({} if self.reasons is None else {"reasons": self.reasons}),
        }

    @cached_property
    def _maker(self) -> Maker:
        made = tuple(column for column in COLUMNS if column in self.columns_made)
        return maker_of(self.model, Requested(made, self.threshold, self.float32, self.precision, self.reasons))

    @cached_property
    def _uses(self) -> dict[str, list[Use]]:
        return uses_by_column(self.model.uses)

    def _raw_predictions(self, columns: Sequence[pa.Array], tally: RowTally) -> tuple[Floats, GatheredParts]:
        """Return the raw predictions, shape (outputs, rows), and what is gathered of the contributions."""
        model, prepared = self.model, self._prepared(columns, tally)
        raw, gathered = np.empty((model.outputs, tally.rows)), self._maker.gather(tally.rows)
        bases = np.array(model.bases)
        _predict([each.term for each in prepared], bases, raw, gathered)
        is_finite = np.isfinite(raw[0]) if len(raw) == 1 else np.isfinite(raw).all(axis=0)
        # Missing values make the sum NaN, infinite ones make it infinite or NaN, whatever else is added: only these
        # rows can hold either.
        for rows in _pieces(np.flatnonzero(~is_finite), len(model.uses)):
            again = np.empty((model.outputs, rows.size))
            terms = [each.settle(rows, tally) for each in prepared]
            raw[:, rows] = _predict(terms, bases, again, gathered, rows)
        return raw, gathered

    def _prepared(self, columns: Sequence[pa.Array], tally: RowTally) -> list[PreparedFeature]:
        named = {
            name: BatchColumn(position, name, array, "." if name in self.with_point else self.decimal)
            for position, (name, array) in enumerate(zip(self._uses, columns, strict=True))
        }
        batch = BatchColumns(named, tally, self.precision)
        of_offset = [] if self.model.offset is None else [self.model.offset.prepare(batch)]
        return [*of_offset, *(kind_of(feature).prepare(feature, batch) for feature in self.model.features)]


def check_threshold(threshold: float) -> None:
    """Raise a ``UsageError`` if a threshold is no probability."""
    if not 0 <= threshold <= 1:
        raise UsageError(f"the threshold must be between 0 and 1, got {threshold!r}")


def asked_of(model: Predictor, request: ScoreRequest) -> tuple[tuple[Column, ...], float]:
    """Return the columns that are made for a request, and the threshold of a decision; a request overrides the file.

    Raises
    ------
    UsageError
        A threshold or reasons are requested of a model with classes.
    """
    output = model.output
    if request.threshold is not None and model.classes is not None:
        raise UsageError(
            "--threshold is for models with two classes; this one decides for the largest raw prediction",
            'leave it out, and write "decision" into output.columns of the model file',
        )
    if request.reasons is not None and model.classes is not None:
        raise UsageError(f"--reasons is for models with two classes; this one has {len(model.classes)}", "leave it out")
    wanted = set(output.wanted)
    asked: Mapping[Column, bool] = {
        "decision": request.threshold is not None,
        "raw_prediction": request.raw_prediction,
        "reasons": request.reasons is not None,
    }
    wanted.update(column for column, is_asked in asked.items() if is_asked)
    cut = next((value for value in (request.threshold, output.threshold) if value is not None), DEFAULT_THRESHOLD)
    return tuple(column for column in COLUMNS if column in wanted), cut


def values_of(tally: RowTally, arrays: tuple[pa.Array, ...], nan: Mask) -> Values:
    """Return the scores of a batch with what happened to its rows; ``nan`` are the rows whose score is NaN."""
    return Values(
        arrays=arrays,
        null=tally.null_count,
        nan=int(np.count_nonzero(nan)),
        events=tally.events,
        rejected=tally.cells(tally.rejected),
        features=tally.features,
        null_rows=tally.null,
        nan_rows=nan,
    )


def scratch_row_bytes(model: ModelFile) -> int:
    """Return the bytes that scoring a row takes in addition to its cells and its results."""
    raw_predictions = 8 * model.outputs * (1 if model.classes is None else 2)
    return raw_predictions + sum(kind_of(feature).scratch_row_bytes for feature in model.features)


def restore_score(description: Mapping[str, object]) -> ScoreBlock:
    """Make a block again from what ``describe()`` returned."""
    options = cast("Mapping[str, Any]", description)
    return ScoreBlock(
        from_mapping(options["model"]),
        tuple(options["columns"]),
        options["threshold"],
        options["float32"],
        options["precision"],
        options.get("decimal", "."),
        reasons=options.get("reasons"),
    )


def _predict(
    terms: Sequence[Term], bases: Floats, out: Floats, gathered: GatheredParts, rows: Rows | None = None
) -> Floats:
    """Write raw predictions and gather contributions; ``rows`` are the ascending places of the rows in the batch."""
    gatherers = gathered.gatherers
    if not gatherers:
        return raw_prediction(terms, bases, out=out)

    def visit(place: slice, term: int, added: Floats) -> None:
        for each in gatherers:
            each.put(place if rows is None else rows[place], term, added)

    def exact(places: Rows) -> Floats:
        return contributions(terms, places if rows is None else np.searchsorted(rows, places))

    raw_prediction(terms, bases, out=out, visit=visit)
    for each in gatherers:
        each.settle(exact)
    return out


def _pieces(rows: Rows, uses: int) -> Iterator[Rows]:
    """Yield rows in pieces: each use of a column copies the cells of a piece."""
    size = max(1, _SETTLED_CELLS // uses)
    return (rows[start : start + size] for start in range(0, rows.size, size))


def uses_by_column(uses: Iterable[Use]) -> dict[str, list[Use]]:
    """Return the uses of each column, in the order in which the columns come."""
    found: dict[str, list[Use]] = {}
    for use in uses:
        found.setdefault(use.column, []).append(use)
    return found


def needs_of(uses: Mapping[str, Sequence[Use]]) -> tuple[Need, ...]:
    """Return the columns that have these uses, each as it must be read."""
    return tuple(Need(name, _role(of_column)) for name, of_column in uses.items())


def accepted_of(uses: Mapping[str, Sequence[Use]]) -> tuple[Need, ...]:
    """Return the same with the role ``kept`` where any type fits: only whether they are missing is asked."""
    return tuple(
        replace(need, role="kept") if all(use.any_role for use in uses[need.name]) else need for need in needs_of(uses)
    )


def _role(uses: Sequence[Use]) -> Role:
    """Return what a column must be usable as so that all uses can have it.

    Numbers go before levels: levels that are values are found in numbers, too.
    """
    roles = {use.role for use in uses if not use.any_role}
    order: tuple[Role, ...] = ("boolean", "numeric", "categorical")
    return next((role for role in order if role in roles), uses[0].role)


def facts_of(name: str, uses: Sequence[Use]) -> FeatureFacts:
    """Return what a model says of a column that has these uses."""
    # Of several uses that know levels the first one counts what is unseen.
    counting = next((use for use in uses if use.levels), uses[0])
    return FeatureFacts(
        name,
        "categorical" if counting.levels else _role(uses),
        any(use.policies[:1] == ("error",) for use in uses),
        tuple(counting.levels),
        counting.level_type in {"integer", "number"},
    )
