"""What the parts of a logistic model file have in common."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Annotated, Any, ClassVar, TypeGuard

import numpy as np
import numpy.typing as npt
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    SerializerFunctionWrapHandler,
    Strict,
    Tag,
    model_serializer,
)
from pydantic_core import PydanticCustomError

from pipeline.models.document import Path, Problem
from pipeline.units import format_count, shortest


def _has_name(name: str) -> str:
    if not name:
        raise PydanticCustomError("empty_name", "must not be empty")
    return name


def _not_zero(slope: float) -> float:
    if slope == 0:
        raise PydanticCustomError("zero_slope", "must not be 0: every row would have the same probability")
    return slope


Name = Annotated[str, AfterValidator(_has_name)]
# The factor of a raw prediction on its way to a probability.
Slope = Annotated[float, AfterValidator(_not_zero)]


class Section(BaseModel):
    """An object of the file: immutable, of exact types, without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class GrownSection(Section):
    """A section that has got more keys since there have been digests of models.

    Keys in ``later`` are not written where they are at their default: a model without them keeps its digest.
    """

    later: ClassVar[frozenset[str]]

    @model_serializer(mode="wrap")
    def _without_unused_keys(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        said: dict[str, Any] = handler(self)
        fields = type(self).model_fields
        unused = {key for key in self.later if getattr(self, key) == fields[key].default}
        return {key: value for key, value in said.items() if key not in unused} if unused else said


def _number_form(value: object) -> str:
    return "<rule>" if isinstance(value, list | tuple) else "<word>"


# A coefficient: one number, or with classes one for each class.
Number = Annotated[
    Annotated[float, Tag("<word>")] | Annotated[tuple[float, ...], Strict(strict=False), Tag("<rule>")],
    Discriminator(_number_form),
]


def number_of(number: float | Sequence[float], output: int) -> float:
    """Return the number for an output; without classes there is one."""
    return number[output] if isinstance(number, Sequence) else number


def numbers_of(number: float | Sequence[float]) -> tuple[float, ...]:
    """Return the numbers for all outputs."""
    return tuple(number) if isinstance(number, Sequence) else (number,)


def for_kernel(number: float | Sequence[float]) -> float | npt.NDArray[np.float64]:
    """Return a coefficient as kernels take it."""
    return np.array(number) if isinstance(number, Sequence) else number


def table_of(numbers: Sequence[float | Sequence[float]]) -> npt.NDArray[np.float64]:
    """Return coefficients by output as kernels take them: shape (numbers,), or with classes (outputs, numbers)."""
    return np.ascontiguousarray(np.array(numbers, dtype=np.float64).T)


def fault(kind: str, message: str, at: Sequence[str | int]) -> PydanticCustomError:
    """Return the error of a validator, with a place in its section."""
    return PydanticCustomError("fault", "{message}", {"kind": kind, "message": message, "at": list(at)})


def not_increasing(numbers: object, path: Path, *, what: str = "number", may_repeat: bool = False) -> Iterator[Problem]:
    """Yield each place in a list of numbers, as JSON of any content, where they do not increase."""
    if not isinstance(numbers, list | tuple):
        return
    for position, (before, number) in enumerate(pairwise(numbers), start=1):
        if not (is_number(before) and is_number(number)):
            continue
        if number < before or (number == before and not may_repeat):
            must = "must not be less than" if may_repeat else "must be more than"
            yield Problem((*path, position), f"{must} the {what} before it, {shortest(before)}, not {shortest(number)}")


def miscounted(what: str, found: Sequence[object], cuts: Sequence[object], made: str, cut: str = "threshold") -> str:
    """Return that there are too many or too few names, or numbers, for what thresholds, or edges, make."""
    count, made_by = _many(len(found), what), _many(len(cuts), cut)
    return f"has {count}, but {made_by} make{'s' if len(cuts) == 1 else ''} {len(cuts) + 1} {made}"


def _many(count: int, what: str) -> str:
    return f"{format_count(count)} {what}{'' if count == 1 else 's'}"


def is_number(value: object) -> TypeGuard[int | float]:
    """Return whether a value of JSON is a number; a boolean is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)
