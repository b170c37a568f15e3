"""Evaluations added up: months together, without reading their rows again."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.errors import UsageError
from pipeline.evaluation.passing import EvaluatedRows
from pipeline.units import escape


def merged(found: Sequence[EvaluatedRows], names: Sequence[str]) -> EvaluatedRows:
    """Return what several evaluations found together; ``names`` are those of their files. The first one is changed.

    Counts and sums have the bits of one run whose chunks are those of the first evaluation, then those of the next.

    Raises
    ------
    UsageError
        They are not of the same: two cannot be added up, or one is there twice.
    DataError
        Together, a column of groups has too many values.
    """
    first, *others = found
    for other, name in zip(others, names[1:], strict=True):
        if differences := list(first.terms.differences(other.terms)):
            raise UsageError(
                f"{escape(names[0], 1000)} and {escape(name, 1000)} cannot be added up: "
                f"{'; '.join(differences)} differ",
                "add up evaluations with the same options",
            )
    _refuse_repeated(found, names)
    for other in others:
        first.totals.merge(other.totals)
    return EvaluatedRows(
        terms=first.terms,
        totals=first.totals,
        read=sum(each.read for each in found),
        bad=sum(each.bad for each in found),
        set_aside=sum(each.set_aside for each in found),
        data=tuple(digest for each in found for digest in each.data),
    )


def _refuse_repeated(found: Sequence[EvaluatedRows], names: Sequence[str]) -> None:
    """Refuse evaluations of one file: its rows would count twice."""
    known: dict[str, str] = {}
    for each, name in zip(found, names, strict=True):
        for digest in each.data:
            if digest in known:
                raise UsageError(
                    f"{escape(known[digest], 1000)} and {escape(name, 1000)} both have the rows of one file, "
                    "which would count twice",
                    "name each evaluation once",
                )
        known |= dict.fromkeys(each.data, name)
