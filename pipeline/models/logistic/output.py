"""What scoring makes of the raw prediction: the section ``output`` of a model file."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, get_args

from pydantic import Field, Strict, model_validator

from pipeline.models.logistic.late import LateSection
from pipeline.models.logistic.sections import GrownSection, Section, Slope, fault
from pipeline.registry import FUNCTIONS

Column = Literal[
    "probability",
    "raw_prediction",
    "decision",
    "contributions",
    "points",
    "points_by_feature",
    "band",
    "reasons",
]
# In the order in which they are made.
COLUMNS: tuple[Column, ...] = get_args(Column)
# What a file of version 1 may ask for.
FIRST_COLUMNS: frozenset[str] = frozenset({"probability", "raw_prediction", "decision"})
# The section of the output that a column needs, and that adds the column where the file names none.
SECTIONS: Mapping[Column, str] = {
    "decision": "threshold",
    "points": "points",
    "points_by_feature": "points",
    "band": "bands",
    "reasons": "reasons",
}

MOST_REASONS = 100

_ADDED: tuple[Column, ...] = ("decision", "points", "band", "reasons")

_SIGMOID_DEFAULTS = {name: FUNCTIONS["sigmoid"].defaults[name] for name in ("temperature", "alpha", "beta")}


def _method(name: str) -> type[Section]:
    from pipeline.models.logistic.calibration import METHODS  # noqa: PLC0415 - most models have none

    return METHODS[name]


def _points() -> type[Section]:
    from pipeline.models.logistic.points import Points  # noqa: PLC0415 - as above

    return Points


def _bands() -> type[Section]:
    from pipeline.models.logistic.bands import Bands  # noqa: PLC0415 - as above

    return Bands


def _reasons() -> type[Section]:
    from pipeline.models.logistic.reasons import ReasonRules  # noqa: PLC0415 - as above

    return ReasonRules


METHOD_NAMES = ("platt", "temperature", "beta", "isotonic")

if TYPE_CHECKING:
    from pipeline.models.logistic.bands import Bands as AnyBands
    from pipeline.models.logistic.calibration import Calibration as AnyCalibration
    from pipeline.models.logistic.points import Points as AnyPoints
    from pipeline.models.logistic.reasons import ReasonRules as AnyReasons
else:
    AnyCalibration = Annotated[Section, LateSection({name: partial(_method, name) for name in METHOD_NAMES}, "method")]
    AnyPoints = Annotated[Section, LateSection({"points": _points})]
    AnyBands = Annotated[Section, LateSection({"bands": _bands})]
    AnyReasons = Annotated[Section, LateSection({"reasons": _reasons})]


class Output(GrownSection):
    """The columns that scoring makes by default, and how the raw prediction becomes the probability.

    It is the sigmoid of ``(alpha * raw_prediction + beta) / temperature``, or what ``calibration`` says.
    """

    later: ClassVar[frozenset[str]] = frozenset({*_SIGMOID_DEFAULTS, "calibration", "points", "bands", "reasons"})

    columns: Annotated[tuple[Column, ...], Strict(strict=False), Field(min_length=1)] | None = None
    threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    temperature: Annotated[float, Field(gt=0)] = 1.0
    alpha: Slope = 1.0
    beta: float = 0.0
    calibration: AnyCalibration | None = None
    points: AnyPoints | None = None
    bands: AnyBands | None = None
    reasons: AnyReasons | None = None

    @property
    def wanted(self) -> tuple[Column, ...]:
        """The columns that are made by default, in their order."""
        named = self.columns or ("probability", *(column for column in _ADDED if self.has(column)))
        return tuple(column for column in COLUMNS if column in named)

    def has(self, column: Column) -> bool:
        """Return whether the section that a column needs is there."""
        return column not in SECTIONS or getattr(self, SECTIONS[column]) is not None

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of the sigmoid."""
        return {name: getattr(self, name) for name in _SIGMOID_DEFAULTS}

    @property
    def changed(self) -> dict[str, float]:
        """The parameters that differ from their defaults."""
        return {name: value for name, value in self.parameters.items() if value != _SIGMOID_DEFAULTS[name]}

    @model_validator(mode="after")
    def _columns_differ(self) -> Output:
        columns = self.columns or ()
        if len(set(columns)) < len(columns):
            raise fault("output", "a column is listed twice", ["columns"])
        return self
