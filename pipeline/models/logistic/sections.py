"""What the parts of a logistic model file have in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict
from pydantic_core import PydanticCustomError


def _has_name(name: str) -> str:
    if not name:
        raise PydanticCustomError("empty_name", "must not be empty")
    return name


Name = Annotated[str, AfterValidator(_has_name)]


class Section(BaseModel):
    """An object of the file: immutable, of exact types, without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
