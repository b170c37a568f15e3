"""From raw predictions to the columns of the output: of a binary model, and of one with classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.choices import Precision
from pipeline.dataclass import dataclass
from pipeline.kernels import complement_link, evaluate, inverse_link, softmax_columns
from pipeline.models.columns import Mask
from pipeline.models.logistic.file import ClassName
from pipeline.models.logistic.gathered import GatheredParts
from pipeline.models.logistic.output import FIRST_COLUMNS, Column
from pipeline.models.logistic.predictor import Predictor
from pipeline.models.results import boolean_array, choice_array, choices_array, float_array
from pipeline.types.blocks import Field
from pipeline.units import escape_name, value_text

if TYPE_CHECKING:
    from pipeline.models.logistic.decisions import Decisions

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Requested:
    """What a caller wants of raw predictions.

    Attributes
    ----------
    columns : tuple of str
        Words of ``output.columns``.
    threshold : float
        Of the decision of a binary model.
    float32 : bool
    precision : {"fast", "accurate", "reproducible"}
    reasons : int or None
        How many reasons, if not as many as the file says.
    """

    columns: tuple[Column, ...]
    threshold: float
    float32: bool
    precision: Precision
    reasons: int | None = None


@dataclass(frozen=True, eq=False)
class Raw:
    """The raw predictions of a batch.

    Attributes
    ----------
    values : ndarray of float64, shape (outputs, rows)
        0 in rows without a score. May be overwritten.
    null : ndarray of bool or None
        The rows without a score because a value is missing.
    nan : ndarray of bool
        The rows in which one is NaN.
    gathered : GatheredParts
        What the maker had gathered of the contributions.
    """

    values: Floats
    null: Mask | None
    nan: Mask
    gathered: GatheredParts


class Maker(Protocol):
    """Makes the columns of the output."""

    @property
    def scratch_row_bytes(self) -> int:
        """The bytes of a row of what it needs besides raw predictions and results."""
        ...

    def gather(self, rows: int) -> GatheredParts:
        """Return what gathers of the contributions to a batch what the columns need."""
        ...

    def fields(self, *, nullable: bool, may_be_nan: bool) -> list[Field]:
        """Return the columns, in order; ``may_be_nan`` is whether a result may be."""
        ...

    def is_nan(self, raw: Floats) -> Mask:
        """Return the rows whose raw predictions, shape (outputs, rows), have no probability."""
        ...

    def arrays(self, raw: Raw) -> list[pa.Array]:
        """Return the columns of a batch."""
        ...


def maker_of(model: Predictor, requested: Requested) -> Maker:
    """Return what makes the wanted columns of a model."""
    return BinaryMaker(model, requested) if model.classes is None else ClassMaker(model, requested)


def probability_of(model: Predictor, raw: Floats, precision: Precision, out: Floats | None = None) -> Floats:
    """Return the probability of the positive class of a binary model."""
    if model.link != "logit":
        return inverse_link(model.link, raw, out=out, precision=precision)
    if model.output.calibration is not None:
        from pipeline.models.logistic.calibration import calibrate  # noqa: PLC0415 - most models have none

        return calibrate(model.output.calibration, raw, out=out, precision=precision)
    return evaluate("sigmoid", raw, out=out, precision=precision, **model.output.parameters)


def complement_of(model: Predictor, raw: Floats, precision: Precision = "fast") -> Floats:
    """Return the probability of the negative class of a binary model, with its own digits where it is small."""
    if model.link != "logit":
        return complement_link(model.link, raw, precision=precision)
    if model.output.calibration is not None:
        from pipeline.models.logistic.calibration import complement  # noqa: PLC0415 - most models have none

        return complement(model.output.calibration, raw, precision=precision)
    parameters = model.output.parameters
    mirrored = {**parameters, "alpha": -parameters["alpha"], "beta": -parameters["beta"]}
    return evaluate("sigmoid", raw, precision=precision, **mirrored)


def sigmoid_argument(model: Predictor, raw: Floats, precision: Precision = "fast") -> Floats | None:
    """Return what the probability of a binary model is the sigmoid of, in a new array; ``None`` where it is none."""
    if model.link != "logit":
        return None
    if model.output.calibration is not None:
        from pipeline.models.logistic.calibration import argument  # noqa: PLC0415 - most models have none

        return argument(model.output.calibration, raw, precision=precision)
    given = model.output.parameters
    with np.errstate(all="ignore"):
        found: Floats = (raw * given["alpha"] + given["beta"]) / given["temperature"]
    return found


def rises_with_raw(model: Predictor) -> bool:
    """Return whether a binary model has a larger probability wherever the raw prediction is larger."""
    calibration = model.output.calibration
    if model.link != "logit":
        return True
    if calibration is not None:
        return calibration.method != "isotonic" and getattr(calibration, "slope", 1.0) > 0
    return bool(model.output.parameters["alpha"] > 0)


def class_probabilities(model: Predictor, raw: Floats, precision: Precision) -> Floats:
    """Return the probabilities of the classes, shape (classes, rows)."""
    if model.normalise == "softmax":
        return np.array(softmax_columns(list(raw), precision=precision, temperature=temperature_of(model)))
    shares = evaluate("sigmoid", raw, precision=precision)
    with np.errstate(all="ignore"):
        # Added class by class, so that the bits of a row do not depend on how many rows there are.
        total = shares[0].copy()
        for share in shares[1:]:
            np.add(total, share, out=total)
        nothing = total == 0
        total[nothing] = 1.0
        np.divide(shares, total, out=shares)
        shares[:, nothing] = 1.0 / len(shares)
    return shares


def temperature_of(model: Predictor) -> float:
    """Return what divides the raw predictions of a model with classes."""
    # No other calibration is for classes.
    return float(getattr(model.output.calibration, "temperature", model.output.temperature))


def arrow_type_of(values: Sequence[ClassName]) -> pa.DataType:
    """Return the type of decisions that are these values."""
    if isinstance(values[0], bool):
        return pa.bool_()
    if isinstance(values[0], str):
        return pa.string()
    return pa.int64() if all(isinstance(value, int) for value in values) else pa.float64()


def class_text(value: ClassName) -> str:
    """Return a class as it is written in the name of a column."""
    return escape_name(str(value).lower() if isinstance(value, bool) else str(value))


def labels_of(model: Predictor) -> tuple[Any, Any]:
    """Return the values of a decision of a binary model: negative, positive."""
    target = model.target
    return (False, True) if target is None or target.negative is None else (target.negative, target.positive)


def class_spellings(model: Predictor) -> tuple[str, ...]:
    """Return how the classes of a model are spelled in data, the negative one first where there are two."""
    return tuple(map(value_text, labels_of(model) if model.classes is None else model.classes))


@dataclass(frozen=True)
class BinaryMaker:
    """The columns of a binary model: ``probability``, ``raw_prediction``, ``decision``, and those of Decisions."""

    model: Predictor
    requested: Requested

    @property
    def scratch_row_bytes(self) -> int:
        """The bytes of what decisions need, and of the probability where only a band needs it."""
        decisions = self._decisions
        return 0 if decisions is None else decisions.scratch_row_bytes + 8 * decisions.needs_probability

    def gather(self, rows: int) -> GatheredParts:
        """Return what gathers contributions, points and reasons."""
        return GatheredParts() if self._decisions is None else self._decisions.gather(rows)

    @cached_property
    def _decisions(self) -> Decisions | None:
        requested = self.requested
        if FIRST_COLUMNS.issuperset(requested.columns):
            return None
        from pipeline.models.logistic.decisions import Decisions  # noqa: PLC0415 - most models have none

        return Decisions(self.model, requested.columns, requested.reasons, requested.float32)

    @cached_property
    def classes(self) -> tuple[Any, Any]:
        """The values of a decision: negative, positive."""
        return labels_of(self.model)

    def fields(self, *, nullable: bool, may_be_nan: bool) -> list[Field]:
        """Return the columns; a decision is also null where the arithmetic ends in NaN."""
        number = pa.float32() if self.requested.float32 else pa.float64()
        made: dict[Column, list[Field]] = {
            "probability": [Field("probability", number, nullable)],
            "raw_prediction": [Field("raw_prediction", number, nullable)],
            "decision": [Field("decision", arrow_type_of(self.classes), nullable or may_be_nan)],
        }
        if self._decisions is not None:
            made |= self._decisions.fields(nullable=nullable, may_be_nan=may_be_nan)
        return [field for column in self.requested.columns for field in made[column]]

    def is_nan(self, raw: Floats) -> Mask:
        """Return where the raw prediction is NaN."""
        nan: Mask = np.isnan(raw[0])
        return nan

    def arrays(self, raw: Raw) -> list[pa.Array]:
        """Return the columns of a batch."""
        columns, decisions = self.requested.columns, self._decisions
        values, null = raw.values[0], raw.null
        made: dict[Column, list[pa.Array]] = {}
        if "raw_prediction" in columns:
            made["raw_prediction"] = [self._floats(values, null)]
        probability = None
        if self._needs_probability:
            keeps_raw = "raw_prediction" in columns or (decisions is not None and decisions.needs_raw)
            out = None if keeps_raw else values
            probability = probability_of(self.model, values, self.requested.precision, out)
            if null is not None:
                probability[null] = 0.0
            made["probability"] = [self._floats(probability, null)]
            if "decision" in columns:
                made["decision"] = [self._decision(probability >= self.requested.threshold, raw)]
        if decisions is not None:
            made |= decisions.arrays(values, probability, raw)
        return [array for column in columns for array in made[column]]

    @property
    def _needs_probability(self) -> bool:
        wants_it = not {"probability", "decision"}.isdisjoint(self.requested.columns)
        return wants_it or (self._decisions is not None and self._decisions.needs_probability)

    def _floats(self, values: Floats, null: Mask | None) -> pa.Array:
        return float_array(values, null, float32=self.requested.float32)

    def _decision(self, is_positive: Mask, raw: Raw) -> pa.Array:
        undecided = raw.nan if raw.null is None else raw.nan | raw.null
        negative, positive = self.classes
        if isinstance(positive, bool):
            return boolean_array(is_positive == positive, undecided)
        return choice_array(is_positive, (negative, positive), arrow_type_of(self.classes), undecided)


@dataclass(frozen=True)
class ClassMaker:
    """The columns of a model with classes: ``probability_<class>``, ``raw_prediction_<class>``, ``decision``."""

    model: Predictor
    requested: Requested

    @property
    def scratch_row_bytes(self) -> int:
        """Nothing."""
        return 0

    def gather(self, rows: int) -> GatheredParts:  # noqa: ARG002 - a protocol
        """Return nothing."""
        return GatheredParts()

    @cached_property
    def classes(self) -> tuple[ClassName, ...]:
        """The values of a decision."""
        return self.model.classes or ()

    def fields(self, *, nullable: bool, may_be_nan: bool) -> list[Field]:
        """Return the columns; a decision is also null where a raw prediction is NaN."""
        number = pa.float32() if self.requested.float32 else pa.float64()
        names = [class_text(value) for value in self.classes]
        made = {
            "probability": [Field(f"probability_{name}", number, nullable) for name in names],
            "raw_prediction": [Field(f"raw_prediction_{name}", number, nullable) for name in names],
            "decision": [Field("decision", arrow_type_of(self.classes), nullable or may_be_nan)],
        }
        return [field for column in self.requested.columns for field in made[column]]

    def is_nan(self, raw: Floats) -> Mask:
        """Return where one is NaN, and with softmax also where the largest is infinite: shares have no limit there."""
        largest = raw.max(axis=0)
        # The largest of several numbers with a NaN among them is NaN.
        nan: Mask = np.isnan(largest) if self.model.normalise == "one-vs-rest" else ~np.isfinite(largest)
        return nan

    def arrays(self, raw: Raw) -> list[pa.Array]:
        """Return the columns of a batch; a decision is the first class with the largest raw prediction."""
        makers: dict[str, Callable[[Raw], list[pa.Array]]] = {
            "probability": self._probabilities,
            "raw_prediction": lambda raw: [self._floats(values, raw.null) for values in raw.values],
            "decision": lambda raw: [self._decision(raw)],
        }
        return [array for column in self.requested.columns for array in makers[column](raw)]

    def _probabilities(self, raw: Raw) -> list[pa.Array]:
        probabilities = class_probabilities(self.model, raw.values, self.requested.precision)
        # One NaN makes all of them NaN: no share of the others is known.
        probabilities[:, raw.nan] = np.nan
        if raw.null is not None:
            probabilities[:, raw.null] = 0.0
        return [self._floats(values, raw.null) for values in probabilities]

    def _floats(self, values: Floats, null: Mask | None) -> pa.Array:
        return float_array(np.ascontiguousarray(values), null, float32=self.requested.float32)

    def _decision(self, raw: Raw) -> pa.Array:
        undecided = raw.nan if raw.null is None else raw.nan | raw.null
        first = np.zeros(raw.values.shape[1], dtype=np.intp)
        largest = raw.values[0].copy()
        for position, values in enumerate(raw.values[1:], 1):
            larger = values > largest
            first[larger] = position
            np.copyto(largest, values, where=larger)
        return choices_array(first, self.classes, arrow_type_of(self.classes), undecided)
