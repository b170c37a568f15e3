"""What scoring makes of the raw prediction: the section ``output`` of a model file."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import AfterValidator, Field, Strict, model_validator
from pydantic_core import PydanticCustomError

from pipeline.models.logistic.sections import Section, fault
from pipeline.registry import FUNCTIONS

Column = Literal["probability", "raw_prediction", "decision", "contributions"]
# In the order in which they are made.
COLUMNS: tuple[Column, ...] = get_args(Column)
# What a file of version 1 may ask for.
FIRST_COLUMNS: frozenset[str] = frozenset({"probability", "raw_prediction", "decision"})

_SIGMOID_DEFAULTS = {name: FUNCTIONS["sigmoid"].defaults[name] for name in ("temperature", "alpha", "beta")}


def _not_zero_alpha(alpha: float) -> float:
    if alpha == 0:
        raise PydanticCustomError("zero_alpha", "must not be 0: every row would have the same probability")
    return alpha


class Output(Section):
    """The columns that scoring makes by default, and how the raw prediction becomes the probability.

    It is the sigmoid of ``(alpha * raw_prediction + beta) / temperature``.
    """

    later: ClassVar[frozenset[str]] = frozenset(_SIGMOID_DEFAULTS)

    columns: Annotated[tuple[Column, ...], Strict(strict=False), Field(min_length=1)] | None = None
    threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    temperature: Annotated[float, Field(gt=0)] = 1.0
    alpha: Annotated[float, AfterValidator(_not_zero_alpha)] = 1.0
    beta: float = 0.0

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
