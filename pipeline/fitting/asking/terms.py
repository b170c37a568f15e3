"""Terms: what a person asks for under ``--features``, before any row is read.

distance            NumberTerm("distance")
log1p(x)            NumberTerm("x", ("log1p",))
C(carrier)          CategoryTerm("carrier")
B(age, bins=20)     BinsTerm("age", bins=20)
M(x)                MissingTerm("x")
C(origin):hour      ProductTerm((CategoryTerm("origin"), NumberTerm("hour")))
*                   AllTerm()
"""

from __future__ import annotations

from typing import Literal

from pipeline.dataclass import dataclass
from pipeline.kernels import Step

Monotone = Literal["up", "down"]


@dataclass(frozen=True, slots=True)
class NumberTerm:
    """A column of numbers, changed by steps: one coefficient."""

    column: str
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class CategoryTerm:
    """A column of levels: one coefficient for each level but the reference, or for each level."""

    column: str


@dataclass(frozen=True, slots=True)
class BinsTerm:
    """A column of numbers in intervals: one coefficient for each interval but the reference, or for each.

    ``edges`` are given, or ``bins`` intervals of about equal counts are learnt. With ``woe`` neighbouring intervals are
    merged until the share of positives is monotone, up or down, where ``monotone`` asks for that, and each interval has
    its weight of evidence as a number: one coefficient.
    """

    column: str
    bins: int = 20
    edges: tuple[float, ...] = ()
    woe: bool = False
    monotone: Monotone | None = None


@dataclass(frozen=True, slots=True)
class MissingTerm:
    """1 where a column is missing, else 0."""

    column: str


@dataclass(frozen=True, slots=True)
class ProductTerm:
    """The product of numbers and levels: one coefficient, or one for each combination of levels that occurs."""

    factors: tuple[NumberTerm | CategoryTerm, ...]


@dataclass(frozen=True, slots=True)
class AllTerm:
    """Every numeric column except those that are used otherwise."""


Factor = NumberTerm | CategoryTerm | BinsTerm | MissingTerm
Term = Factor | ProductTerm
AnyTerm = Term | AllTerm


def term_factors(term: Term) -> tuple[Factor, ...]:
    """Return what is multiplied in a term: the factors of a product, else the term itself."""
    return term.factors if isinstance(term, ProductTerm) else (term,)
