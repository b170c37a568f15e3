"""Columns of levels as codes: which level is the reference, what is pooled, and which combinations have a coefficient.

A factor of a term leaves its reference level out where the term without that factor is there too, with the intercept as
the term without factors: then the coefficients of the others are differences from it. Else every level has a
coefficient. (The rule of Chambers and Hastie, *Statistical Models in S*, 1992, section 2.4.) With a penalty all levels
have one, since what is measured from a reference is penalised by its choice.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal

from pipeline.dataclass import dataclass
from pipeline.fitting.asking.terms import CategoryTerm, ProductTerm, Term, term_factors
from pipeline.fitting.designs.design import LevelSource
from pipeline.fitting.first_pass.learnt import LearntLevels
from pipeline.fitting.first_pass.vocabulary import MISSING, OTHER, reference_of

_Cell = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CodedLevels:
    """The codes of a column of levels.

    Attributes
    ----------
    source : LevelSource
    labels : dict of int to str
        The name of each code.
    reference : int
        The code of the reference level.
    rows : dict of int to int
        How many rows have each code.
    """

    source: LevelSource
    labels: Mapping[int, str]
    reference: int
    rows: Mapping[int, int]

    @property
    def of_coefficients(self) -> tuple[int, ...]:
        """The codes that have a coefficient of their own, in order."""
        return tuple(sorted(code for code in self.labels if code >= 0))


def coded(
    column: str, learnt: LearntLevels, rule: Literal["error", "drop", "frequent", "own"], *, full: bool
) -> CodedLevels:
    """Return the codes of a column.

    Parameters
    ----------
    column : str
    learnt : LearntLevels
        At least one level, or missing values that are a level of their own.
    rule : {"error", "drop", "frequent", "own"}
        What a missing level counts as: the most frequent level, or one of its own.
    full : bool
        Whether the reference level has a code of its own too, and not -1.
    """
    rows = dict(learnt.counts)
    if rule == "own" and learnt.missing:
        rows[MISSING] = rows.get(MISSING, 0) + learnt.missing
    reference = reference_of({name: count for name, count in rows.items() if name not in {OTHER, MISSING}} or rows)
    codes = {reference: 0 if full else -1}
    for name in rows:
        codes.setdefault(name, len(codes) if full else len(codes) - 1)
    missing: Literal["error", "drop"] | int
    if rule in {"frequent", "own"}:
        missing = codes.get(MISSING if rule == "own" else reference, codes[reference])
    else:
        missing = "drop" if rule == "drop" else "error"
    spelled = codes | dict.fromkeys(learnt.pooled, codes.get(OTHER, codes[reference]))
    spelled |= {text: spelled[level] for text, level in learnt.aliases.items()}
    return CodedLevels(
        LevelSource(column, learnt.type, spelled, missing, spelled[learnt.pooled[0]] if learnt.pooled else "drop"),
        {code: name for name, code in codes.items()},
        codes[reference],
        {codes[name]: count for name, count in rows.items()},
    )


def is_reduced(term: ProductTerm, factor: CategoryTerm, terms: Iterable[Term]) -> bool:
    """Return whether a factor of a product leaves its reference level out."""
    without = frozenset(term.factors) - {factor}
    return any(frozenset(term_factors(other)) == without for other in terms)


def cells_of(
    columns: Sequence[CodedLevels], combined: Mapping[str, int], reduced: Collection[int], *, all_but_one: bool
) -> tuple[tuple[_Cell, ...], _Cell | None]:
    """Return the combinations of codes that have a coefficient, and the one that has none because it is the reference.

    Parameters
    ----------
    columns : sequence of CodedLevels
    combined : mapping of str to int
        How often each combination occurs, as a JSON list of levels.
    reduced : collection of int
        The positions of the columns whose reference level is left out.
    all_but_one : bool
        Whether the most frequent combination is the reference.
    """
    rows: dict[_Cell, int] = {}
    for text, count in combined.items():
        cell = tuple(_code(column.source, name) for column, name in zip(columns, json.loads(text), strict=True))
        rows[cell] = rows.get(cell, 0) + count
    kept = {cell: count for cell, count in rows.items() if not any(cell[at] == columns[at].reference for at in reduced)}
    reference = None
    if all_but_one and kept:
        reference = min(kept, key=lambda cell: (-kept[cell], cell))
        del kept[reference]
    return tuple(sorted(kept)), reference


def _code(source: LevelSource, name: str | None) -> int:
    if name is not None:
        return source.codes[name]
    assert isinstance(source.missing, int)
    return source.missing
