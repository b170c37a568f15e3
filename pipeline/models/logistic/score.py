"""Scoring as a block function: a logistic model and the columns to make with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.choices import Precision
from pipeline.errors import UsageError
from pipeline.kernels import evaluate, raw_prediction
from pipeline.models.columns import Mask, unfit_columns
from pipeline.models.logistic.categorical import CategoricalFeature
from pipeline.models.logistic.features import kind_of
from pipeline.models.logistic.file import Column, ModelFile
from pipeline.models.logistic.parsing import from_mapping
from pipeline.models.request import ScoreRequest
from pipeline.models.results import boolean_array, choice_array, float_array
from pipeline.models.tally import BatchColumn, RowTally
from pipeline.types.blocks import Field, Values
from pipeline.types.features import FeatureFacts
from pipeline.types.inputs import Need

COLUMNS: tuple[Column, ...] = ("probability", "raw_prediction", "decision")
DEFAULT_THRESHOLD = 0.5

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ScoreBlock:
    """Scores rows with a logistic model.

    Equal rows give equal bits in every batch, because every step is elementwise in float64. Without nulls the raw
    prediction is computed straight from the Arrow buffers and checked once; rows where it is not finite are computed
    again, with the policies of the model applied to floating NaN.

    ``raw_prediction = ((b + w_1 x_1) + w_2 x_2) + ...`` in the order of the file. ``w_j = coefficient / scale`` is
    rounded once; each ``-coefficient * center / scale`` after the product and after the quotient; b, the sum of these
    and the intercept, once (``math.fsum``). ``probability = sigmoid(raw_prediction)``, with the
    ``temperature``, ``alpha`` and ``beta`` of the model's ``output``.

    Frozen and picklable; may be called from several threads at once.

    Parameters
    ----------
    model : ModelFile
    columns : tuple of str
        Which of ``probability``, ``raw_prediction`` and ``decision`` to make.
    threshold : float
        A decision is positive if the probability, in float64, is at least this, and otherwise negative.
    float32 : bool
        Round probability and raw prediction to float32.
    precision : {"fast", "accurate", "reproducible"}
        The precision of the sigmoid.
    decimal : str
        The decimal sign of levels that are text.
    points : frozenset of str
        Columns whose text has a decimal point all the same; no part of the description.
    """

    model: ModelFile
    columns_made: tuple[Column, ...] = ("probability",)
    threshold: float = DEFAULT_THRESHOLD
    float32: bool = False
    precision: Precision = "fast"
    decimal: str = "."
    points: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if not self.columns_made or not set(self.columns_made) <= set(COLUMNS):
            raise UsageError(f"score columns must be among {', '.join(COLUMNS)}, got {self.columns_made!r}")
        if not 0 <= self.threshold <= 1:
            raise UsageError(f"the threshold must be between 0 and 1, got {self.threshold!r}")

    @classmethod
    def of(cls, model: ModelFile, request: ScoreRequest | None = None) -> ScoreBlock:
        """Return the block that a model's ``output`` asks for, with what a request adds; a request overrides the file.

        ``raw_prediction`` and ``threshold`` add a column each; a threshold replaces that of the file.
        """
        request = ScoreRequest() if request is None else request
        output = model.output
        wanted = set(output.columns or ("probability",))
        if request.threshold is not None or (output.columns is None and output.threshold is not None):
            wanted.add("decision")
        if request.raw_prediction:
            wanted.add("raw_prediction")
        cut = next((value for value in (request.threshold, output.threshold) if value is not None), DEFAULT_THRESHOLD)
        made = tuple(column for column in COLUMNS if column in wanted)
        return cls(model, made, cut, request.float32, request.precision, request.decimal)

    def pointed(self, columns: frozenset[str]) -> ScoreBlock:
        """Return the block for a file in which the text of these columns has a decimal point."""
        return self if self.decimal == "." else replace(self, points=columns)

    @property
    def whole_chunk(self) -> bool:
        """Never: rows do not depend on each other."""
        return False

    @property
    def scratch_row_bytes(self) -> int:
        """The bytes of a raw prediction, whether or not it is a result."""
        return scratch_row_bytes(self.model)

    def columns(self) -> tuple[Need, ...]:
        """Return the features, in the order of the model file."""
        return tuple(Need(feature.column, kind_of(feature).role(feature)) for feature in self.model.features)

    def features(self) -> tuple[FeatureFacts, ...]:
        """Return what the model says of its features, in the order of the model file."""
        return tuple(
            FeatureFacts(
                feature.column,
                kind_of(feature).role(feature),
                getattr(feature, "missing", "") == "error",
                getattr(feature, "coefficients", ()),
                isinstance(feature, CategoricalFeature) and feature.table().type in {"integer", "number"},
            )
            for feature in self.model.features
        )

    def fields(self) -> tuple[Field, ...]:
        """Return the score columns that are made, in the order probability, raw prediction, decision.

        Probability and raw prediction are nullable if a feature has the policy ``null``. A decision is also null if
        the arithmetic ends in NaN, which only an unbounded feature can cause; without one it is nullable like the
        others. The quarantine makes nothing nullable because its rows are not written.
        """
        features = [(feature, kind_of(feature)) for feature in self.model.features]
        nullable = any(getattr(feature, name) == "null" for feature, kind in features for name in kind.policies)
        number = pa.float32() if self.float32 else pa.float64()
        may_be_nan = not all(kind.is_bounded for _, kind in features)
        made = {
            "probability": Field("probability", number, nullable),
            "raw_prediction": Field("raw_prediction", number, nullable),
            "decision": Field("decision", self._decision_type(), nullable or may_be_nan),
        }
        return tuple(made[column] for column in COLUMNS if column in self.columns_made)

    def check(self, fields: Sequence[pa.Field]) -> list[str]:
        """Return one sentence for each Arrow field, in the order of ``columns()``, whose type does not fit."""
        return unfit_columns([(need.name, need.role) for need in self.columns()], fields)

    def block(self, columns: Sequence[pa.Array]) -> Values:
        """Return the scores of a batch.

        Null results are zero in memory. ``nan`` counts the rows whose raw prediction is NaN; a decision is null there.
        Events include rejected rows.
        """
        tally = RowTally(len(columns[0]))
        arrays, nan = self.scores(columns, tally)
        return Values(
            arrays=arrays,
            null=tally.null_count,
            nan=nan,
            events=tally.events,
            rejected=tally.cells(tally.rejected),
            features=tally.features,
        )

    def scores(self, columns: Sequence[pa.Array], tally: RowTally) -> tuple[tuple[pa.Array, ...], int]:
        """Return the arrays of a batch and how many rows are NaN; ``tally`` gets what else happened to the rows.

        A rejected row has the scores of a raw prediction of 0.
        """
        raw = self._raw_prediction(columns, tally)
        null = tally.null
        if null is not None:
            raw[null] = 0.0
        raw[tally.rejected] = 0.0
        nan = np.isnan(raw)
        return self._arrays(raw, null, nan), int(np.count_nonzero(nan))

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
        }

    def _raw_prediction(self, columns: Sequence[pa.Array], tally: RowTally) -> Floats:
        prepared = [
            kind_of(feature).prepare(feature, self._column(position, feature.column, array), tally)
            for position, (feature, array) in enumerate(zip(self.model.features, columns, strict=True))
        ]
        raw = np.empty(tally.rows)
        raw_prediction([column.term for column in prepared], self.model.base, out=raw)
        rows = np.flatnonzero(~np.isfinite(raw))
        if rows.size:
            # Missing values make the sum NaN, infinite ones make it infinite or NaN, whatever else is added: only these
            # rows can hold either.
            terms = [column.settle(rows, tally) for column in prepared]
            raw[rows] = raw_prediction(terms, self.model.base, out=np.empty(rows.size))
        return raw

    def _column(self, position: int, name: str, array: pa.Array) -> BatchColumn:
        return BatchColumn(position, name, array, "." if name in self.points else self.decimal)

    def _arrays(self, raw: Floats, null: Mask | None, nan: Mask) -> tuple[pa.Array, ...]:
        made: dict[str, pa.Array] = {}
        shows_raw = "raw_prediction" in self.columns_made
        if shows_raw:
            made["raw_prediction"] = float_array(raw, null, float32=self.float32)
        if self.columns_made != ("raw_prediction",):
            out = None if shows_raw else raw
            probability = evaluate("sigmoid", raw, out=out, precision=self.precision, **self.model.output.parameters)
            if null is not None:
                probability[null] = 0.0
            made["probability"] = float_array(probability, null, float32=self.float32)
            if "decision" in self.columns_made:
                made["decision"] = self._decision(probability >= self.threshold, null, nan)
        return tuple(made[column] for column in COLUMNS if column in self.columns_made)

    def _decision_values(self) -> tuple[Any, Any]:
        target = self.model.target
        return (False, True) if target is None else (target.negative, target.positive)

    def _decision_type(self) -> pa.DataType:
        negative, positive = self._decision_values()
        if isinstance(positive, bool):
            return pa.bool_()
        if isinstance(positive, str):
            return pa.string()
        return pa.int64() if isinstance(positive, int) and isinstance(negative, int) else pa.float64()

    def _decision(self, is_positive: Mask, null: Mask | None, nan: Mask) -> pa.Array:
        undecided = nan if null is None else nan | null
        negative, positive = self._decision_values()
        if isinstance(positive, bool):
            return boolean_array(is_positive == positive, undecided)
        return choice_array(is_positive, (negative, positive), self._decision_type(), undecided)


def scratch_row_bytes(_: ModelFile) -> int:
    """Return the bytes that scoring a row takes in addition to its cells and its results: the raw prediction."""
    return 8


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
    )
