"""Limits of measures: ``auc=0.7`` asks for an AUC of at least 0.7."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from pipeline.errors import ThresholdError, UsageError
from pipeline.units import nearest, quoted, shortest


def limited_names(kind: type) -> tuple[str, ...]:
    """Return the measures of a kind that are one number each."""
    return tuple(each.name for each in fields(kind) if each.type in {"float", "float | None"} and each.name != "weight")


def check_limit_names(limits: Mapping[str, float], names: Sequence[str]) -> None:
    """Refuse a limit of something that is no measure.

    Raises
    ------
    UsageError
        With the list of measures.
    """
    for name in limits:
        if name not in names:
            raise UsageError(
                f"there is no measure {quoted(name)}{nearest(name, names)}", f"there are {', '.join(names)}"
            )


def check_limits(limits: Mapping[str, float], measured: Any) -> None:
    """Raise if a measure is below its limit.

    Raises
    ------
    UsageError
        A limit is of something that is no measure, or of one that these rows have no value of.
    ThresholdError
        A measure is below its limit: the message has all of them.
    """
    names = limited_names(type(measured))
    check_limit_names(limits, names)
    defined = [name for name in names if getattr(measured, name) is not None]
    for name in limits:
        if name not in defined:
            raise UsageError(
                f"{name} has no value in these rows, so that it cannot be compared with its limit",
                f"there are {', '.join(defined)}",
            )
    # Written so that NaN is below every limit.
    below = [
        f"{name} is {getattr(measured, name):.6g}, below {shortest(limit)}"
        for name, limit in limits.items()
        if not getattr(measured, name) >= limit
    ]
    if below:
        raise ThresholdError("; ".join(below), "look at the measures: the model may have lost its worth")
