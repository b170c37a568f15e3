"""Sequence features: a column of lists, each with the steps of its row."""

from __future__ import annotations

from typing import Annotated, Literal

import pyarrow as pa
from pydantic import AfterValidator, model_validator
from pydantic_core import PydanticCustomError

from pipeline.models.columns import is_list, unfit
from pipeline.models.logistic.feature import Use
from pipeline.models.logistic.policies import MissingNumber
from pipeline.models.logistic.sections import Name, Number, Section, fault, numbers_of
from pipeline.units import escape, format_count

MissingSequence = Literal["null", "error", "quarantine", "empty"]


def _at_least_one(number: int) -> int:
    if number < 1:
        raise PydanticCustomError("too_few", "must be at least 1")
    return number


Count = Annotated[int, AfterValidator(_at_least_one)]


class SequenceInput(Section):
    """A column of lists: ``width`` inputs for each step of a row, each ``(value - center) / scale``.

    A step of several numbers is a list in the list, or the numbers of all steps follow each other in one list.
    ``missing`` is about a list that is null or has no step, ``missing_step`` about null and NaN in a list.
    """

    column: Name
    kind: Literal["sequence"]
    width: Count = 1
    center: Number = 0.0
    scale: Number = 1.0
    missing: MissingSequence = "null"
    missing_step: MissingNumber = "null"

    @model_validator(mode="after")
    def _one_number_for_each_input(self) -> SequenceInput:
        for name in ("center", "scale"):
            numbers = getattr(self, name)
            if isinstance(numbers, tuple) and len(numbers) != self.width:
                message = f"has {_many(len(numbers))}, but a step has {_many(self.width)}"
                raise fault(name, message, [name])
        for position, number in enumerate(numbers_of(self.scale)):
            if number == 0:
                place = [position] if isinstance(self.scale, tuple) else []
                raise fault("scale", "must not be 0: values are divided by it", ["scale", *place])
        return self

    @property
    def use(self) -> Use:
        """What it wants of its column."""
        return Use(self.column, "sequence", (self.missing, self.missing_step))

    def unfit(self, type_: pa.DataType, most: int | None) -> str | None:
        """Return why a column of this type cannot be the sequence, as a clause, or ``None`` if it can.

        ``most`` is the most steps that the network takes.
        """
        reason = unfit("sequence", type_)
        if reason is not None:
            return reason
        inner, size = type_.value_type, type_.list_size if pa.types.is_fixed_size_list(type_) else None
        if is_list(inner):
            if pa.types.is_fixed_size_list(inner) and inner.list_size != self.width:
                return f"is {escape(str(type_))}, but a step has {_many(self.width)}"
        elif size is not None:
            if size % self.width:
                return f"is {escape(str(type_))}, but {_many(self.width)} make a step, and {size:,} are no whole steps"
            size //= self.width
        if size is None or most is None or size <= most:
            return None
        return f'has {format_count(size)} steps, but the model takes at most {format_count(most)} ("steps")'


def _many(count: int) -> str:
    return f"{format_count(count)} number{'' if count == 1 else 's'}"
