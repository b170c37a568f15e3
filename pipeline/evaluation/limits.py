"""Limits of measures: ``auc=0.7`` asks for an AUC of at least 0.7."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from pipeline.errors import ThresholdError, UsageError
from pipeline.units import nearest, quoted, shortest

# A limit from below would let a bad model pass.
_LESS_IS_BETTER = frozenset(
    {"log_loss", "brier", "reliability", "ece", "auc_bound", "auc_standard_error", "average_precision_bound"}
)


def limited_names(kind: type) -> tuple[str, ...]:
    """Return the measures of a kind that are one number each."""
    return tuple(each.name for each in fields(kind) if each.type in {"float", "float | None"} and each.name != "weight")


def check_limit_names(limits: Mapping[str, float], names: Sequence[str]) -> None:
    """Refuse a limit of something that is no measure, or of a measure that is better if it is smaller.

    Raises
    ------
    UsageError
        With the list of measures that can have a limit.
    """
    for name in limits:
        if name in _LESS_IS_BETTER:
            raise UsageError(
                f"{name} is better if it is smaller: with a limit from below a bad model passes",
                "set a limit for a measure that is better if it is larger, such as auc or average_precision",
            )
        if name not in names:
            raise UsageError(
                f"there is no measure {quoted(name)}{nearest(name, names)}",
                f"there are {', '.join(each for each in names if each not in _LESS_IS_BETTER)}",
            )


def check_limits(limits: Mapping[str, float], measured: Any, whose: str = "") -> None:
    """Raise if a measure is below its limit, or has no value that could be at or above it.

    ``whose`` says in the message whose measures these are: `` of champion.json``.

    Raises
    ------
    UsageError
        A limit is of something that is no measure, or of one that is better if it is smaller.
    ThresholdError
        A measure is below its limit, or these rows have no value of it: the message has all of them.
    """
    check_limit_names(limits, limited_names(type(measured)))
    found = ((f"{name}{whose}", getattr(measured, name), limit) for name, limit in limits.items())
    missed = [told for each in found if (told := _missed(*each))]
    if missed:
        raise ThresholdError("; ".join(missed), "look at the measures: the model may have lost its worth")


def _missed(name: str, value: float | None, limit: float) -> str:
    """Return in what way a limit is missed; empty where it is kept."""
    if value is None:
        return f"{name} has no value in these rows"
    # Written so that NaN is below every limit.
    return "" if value >= limit else f"{name} is {value:.6g}, below {shortest(limit)}"
