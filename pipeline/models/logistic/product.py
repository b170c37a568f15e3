"""Products: numbers and levels of several columns, multiplied."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Discriminator, Field, Strict, Tag, model_validator

from pipeline.dataclass import dataclass
from pipeline.kernels import Affine, Categorical, Factor, Product, tile_steps
from pipeline.kernels.steps import Step, TileStep
from pipeline.models.columns import Rows
from pipeline.models.document import Path, Problem
from pipeline.models.levels import LevelType
from pipeline.models.logistic.batch import BatchColumns
from pipeline.models.logistic.categorical import unfit_levels, unknown_levels
from pipeline.models.logistic.feature import Entry, Feature, FeatureKind, TermEntry, UnknownName, Use
from pipeline.models.logistic.lookup import LevelLookup
from pipeline.models.logistic.numbers import NumberCells
from pipeline.models.logistic.numeric import Scale
from pipeline.models.logistic.policies import (
    MISSING_LEVEL,
    MISSING_NUMBER,
    UNSEEN_LEVEL,
    MissingLevel,
    MissingNumber,
    Policy,
    UnseenLevel,
)
from pipeline.models.logistic.sections import (
    GrownSection,
    Name,
    Number,
    Section,
    fault,
    for_kernel,
    is_number,
    numbers_of,
)
from pipeline.models.logistic.transforms import Transform, check_imputed, shown_transform, steps_of
from pipeline.models.tally import RowTally
from pipeline.units import escape, format_count

if TYPE_CHECKING:
    from pipeline.models.logistic.expression import Expression

Floats = npt.NDArray[np.float64]

# The table of all combinations of levels has no more entries; with classes each combination has one for each of them.
MOST_COMBINATIONS = 10_000_000


class NumericTerm(GrownSection):
    """A number of a product: ``(f(value) - center) / scale``, where f is the ``transform``, if there is one."""

    later: ClassVar[frozenset[str]] = frozenset({"boolean", "transform"})

    kind: Literal["numeric"] = "numeric"
    column: Name
    center: float = 0.0
    scale: Scale = 1.0
    transform: Transform | None = None
    boolean: bool = False
    missing: MissingNumber = "null"

    @model_validator(mode="after")
    def _imputes_a_value(self) -> NumericTerm:
        check_imputed(self.missing, self.steps)
        return self

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """What is done to a value."""
        return (*steps_of(self.transform), Affine(self.center, self.scale))


class CategoricalTerm(GrownSection):
    """A level of a product: it chooses among the coefficients."""

    later: ClassVar[frozenset[str]] = frozenset({"levels"})

    kind: Literal["categorical"]
    column: Name
    levels: LevelType | None = None
    missing: MissingLevel = "null"
    unseen: UnseenLevel = "null"


NUMERIC_TERM, CATEGORICAL_TERM = "<numeric term>", "<categorical term>"
TERM_TAGS = {"numeric": NUMERIC_TERM, "categorical": CATEGORICAL_TERM}
TERM_POLICIES: Mapping[tuple[str, str], Policy] = {
    (NUMERIC_TERM, "missing"): MISSING_NUMBER,
    (CATEGORICAL_TERM, "missing"): MISSING_LEVEL,
    (CATEGORICAL_TERM, "unseen"): UNSEEN_LEVEL,
}


def _term_form(value: object) -> str | None:
    kind = value.get("kind", "numeric") if isinstance(value, Mapping) else getattr(value, "kind", None)
    return TERM_TAGS.get(kind, f"<{kind}>") if isinstance(kind, str) else None


AnyTerm = Annotated[
    Annotated[NumericTerm, Tag(NUMERIC_TERM)] | Annotated[CategoricalTerm, Tag(CATEGORICAL_TERM)],
    Discriminator(_term_form),
]


class ProductFeature(Feature):
    """Adds the product of its terms, from left to right, times a coefficient.

    Levels among the terms choose the coefficient: ``coefficients`` has an object for each of them, one in the other.
    A combination of known levels without a coefficient adds 0.
    """

    later: ClassVar[frozenset[str]] = frozenset({"name", "coefficient", "coefficients"})

    kind: Literal["product"]
    name: Name | None = None
    terms: Annotated[tuple[AnyTerm, ...], Strict(strict=False), Field(min_length=2)]
    coefficient: Number | None = None
    coefficients: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> ProductFeature:
        feature = self.model_dump()
        for unknown in _unknown_names(feature):
            raise fault("unknown_level", f'unknown level "{escape(unknown.name)}"', unknown.path)
        for found in _faults(feature):
            raise fault("product", found.message, found.path)
        return self

    @property
    def usual_name(self) -> str:
        """The names of its columns, joined by colons."""
        return ":".join(term.column for term in self.terms)

    @property
    def numbers(self) -> tuple[NumericTerm, ...]:
        """The terms that are numbers."""
        return tuple(term for term in self.terms if isinstance(term, NumericTerm))

    @cached_property
    def lookups(self) -> tuple[LevelLookup, ...]:
        """What finds the level of each term that has levels, in their order."""
        terms = [term for term in self.terms if isinstance(term, CategoricalTerm)]
        known = _levels_by_depth(self.coefficients or {}, len(terms))
        return tuple(
            LevelLookup(term.column, dict(zip(each, range(len(each)), strict=True)), term.levels, *_policies(term))
            for term, each in zip(terms, known, strict=True)
        )

    @cached_property
    def weights(self) -> Floats:
        """The coefficients of all combinations, shape (combinations,) or (outputs, combinations).

        A combination is a number whose digits are the positions of the levels; each digit has one value more, which
        means no level and has the coefficient 0.
        """
        leaves = list(self.combinations())
        table = np.zeros((len(numbers_of(leaves[0][1])), self.combined))
        for levels, number in leaves:
            combination = 0
            for lookup, level in zip(self.lookups, levels, strict=True):
                combination = combination * (len(lookup.positions) + 1) + lookup.positions[level]
            table[:, combination] = numbers_of(number)
        return table if isinstance(leaves[0][1], Sequence) else table[0]

    @property
    def combined(self) -> int:
        """How many combinations there are, each term with no level besides those that it has."""
        return math.prod(len(lookup.positions) + 1 for lookup in self.lookups)

    def combinations(self) -> Iterator[tuple[tuple[str, ...], float | Sequence[float]]]:
        """Yield the levels of each combination that has a coefficient, and the coefficient."""
        return _leaves(self.coefficients or {}, len(self.lookups))


@dataclass(frozen=True, eq=False)
class PreparedProduct:
    """A batch of a feature of this kind; see :class:`~pipeline.models.logistic.feature.PreparedFeature`."""

    feature: ProductFeature
    cells: tuple[NumberCells, ...]
    steps: tuple[tuple[TileStep, ...], ...]
    codes: Rows | None

    @property
    def term(self) -> Product | Categorical:
        """The term of the raw prediction."""
        factors = tuple(cells.factor(steps) for cells, steps in zip(self.cells, self.steps, strict=True))
        return self._product(factors, self.codes)

    def settle(self, rows: Rows, tally: RowTally) -> Product | Categorical:
        """Return the term of only these rows, with all policies applied."""
        pairs = zip(self.cells, self.steps, strict=True)
        factors = tuple(Factor(cells.transformed(rows, steps, tally)) for cells, steps in pairs)
        return self._product(factors, None if self.codes is None else self.codes[rows])

    def _product(self, factors: tuple[Factor, ...], codes: Rows | None) -> Product | Categorical:
        if codes is None:
            return Product(factors, for_kernel(self.feature.coefficient or 0.0))
        levels = Categorical(codes, self.feature.weights)
        return Product(factors, levels) if factors else levels


def _prepare(feature: ProductFeature, batch: BatchColumns) -> PreparedProduct:
    codes: Rows | None = None
    for lookup in feature.lookups:
        found = lookup.read(batch).of_rows()
        codes = found if codes is None else codes * (len(lookup.positions) + 1) + found
    return PreparedProduct(
        feature,
        tuple(NumberCells.read(term.column, term.missing, batch, boolean=term.boolean) for term in feature.numbers),
        tuple(tile_steps(term.steps, batch.precision) for term in feature.numbers),
        codes,
    )


def _policies(term: CategoricalTerm) -> tuple[str | Section, str | Section]:
    return term.missing, term.unseen


def _leaves(coefficients: Mapping[str, Any], depth: int) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the levels and the number of each entry that is as deep as there are levels."""
    for level, value in coefficients.items():
        if depth == 1:
            yield (level,), value
        elif isinstance(value, Mapping):
            yield from (((level, *others), number) for others, number in _leaves(value, depth - 1))


def _levels_by_depth(coefficients: Mapping[str, Any], depth: int) -> list[dict[str, None]]:
    """Return the levels of each term that lead to a coefficient, in the order in which they come."""
    if depth == 1:
        return [dict.fromkeys(coefficients)]
    known: list[dict[str, None]] = [{} for _ in range(depth)]
    for level, value in coefficients.items():
        below = _levels_by_depth(value, depth - 1) if isinstance(value, Mapping) else []
        if below and below[-1]:
            known[0][level] = None
            for place, levels in zip(known[1:], below, strict=True):
                place.update(levels)
    return known


def _terms_with_levels(feature: Mapping[str, Any]) -> list[tuple[int, Mapping[str, Any]]]:
    terms = feature.get("terms")
    return [
        (position, term)
        for position, term in enumerate(terms if isinstance(terms, list | tuple) else ())
        if isinstance(term, Mapping) and term.get("kind") == "categorical"
    ]


def _unknown_names(feature: Mapping[str, Any]) -> Iterator[UnknownName]:
    terms, coefficients = _terms_with_levels(feature), feature.get("coefficients")
    if not terms or not isinstance(coefficients, Mapping):
        return
    for (position, term), known in zip(terms, _levels_by_depth(coefficients, len(terms)), strict=True):
        if known:
            for found in unknown_levels(term, known):
                yield UnknownName(("terms", position, *found.path), found.what, found.name, known)


def _faults(feature: Mapping[str, Any]) -> Iterator[Problem]:
    if isinstance(given := feature.get("terms"), list | tuple) and len(given) == 1:
        yield Problem(("terms",), "has 1 term, but a product has at least 2")
    terms, coefficients = _terms_with_levels(feature), feature.get("coefficients")
    wanted, other = ("coefficients", "coefficient") if terms else ("coefficient", "coefficients")
    what = "a product with levels has" if terms else "a product of numbers has"
    if feature.get(other) is not None:
        yield Problem((other,), f'{what} "{wanted}" instead')
    elif feature.get(wanted) is None:
        yield Problem((wanted,), "is required but missing")
    if not terms or not isinstance(coefficients, Mapping):
        return
    yield from _unfit_depth(coefficients, len(terms), ("coefficients",))
    known = _levels_by_depth(coefficients, len(terms))
    for (position, term), levels in zip(terms, known, strict=True):
        for _, message in unfit_levels(term, levels):
            yield Problem(("terms", position), message)
    _, number = next(_leaves(coefficients, len(terms)), ((), None))
    outputs = len(number) if isinstance(number, list | tuple) else 1
    if outputs * math.prod(len(levels) + 1 for levels in known) > MOST_COMBINATIONS:
        count = " x ".join(format_count(len(levels)) for levels in known)
        of_classes = f" of {format_count(outputs)} classes" if outputs > 1 else ""
        yield Problem(
            ("coefficients",), f"has {count} levels{of_classes}, more than {MOST_COMBINATIONS:,} combinations"
        )


def _unfit_depth(value: Mapping[str, Any], depth: int, path: Path) -> Iterator[Problem]:
    """Yield the places that are not an object where another level is chosen, or no number where the last one was."""
    if not value:
        yield Problem(path, "must not be empty")
    for level, member in value.items():
        place = (*path, level)
        if depth > 1 and isinstance(member, Mapping):
            yield from _unfit_depth(member, depth - 1, place)
        elif depth > 1:
            yield Problem(place, "must be an object with the levels of the next term")
        elif not _are_numbers(member):
            yield Problem(place, "must be a finite number, or with classes a list of them")


def _are_numbers(value: object) -> bool:
    if isinstance(value, list | tuple):
        return bool(value) and all(map(_is_finite, value))
    return _is_finite(value)


def _is_finite(value: object) -> bool:
    return is_number(value) and math.isfinite(value)


def _coefficients(feature: Mapping[str, Any]) -> Iterator[tuple[Path, object]]:
    if "coefficient" in feature:
        yield ("coefficient",), feature["coefficient"]
    coefficients, depth = feature.get("coefficients"), len(_terms_with_levels(feature))
    if isinstance(coefficients, Mapping) and depth:
        for levels, number in _leaves(coefficients, depth):
            yield ("coefficients", *levels), number


def _uses(feature: ProductFeature) -> tuple[Use, ...]:
    lookups = iter(feature.lookups)
    return tuple(
        Use(term.column, "boolean" if term.boolean else "numeric", (term.missing,))
        if isinstance(term, NumericTerm)
        else _use_of(next(lookups))
        for term in feature.terms
    )


def _use_of(lookup: LevelLookup) -> Use:
    return Use(lookup.column, "categorical", (lookup.missing, lookup.unseen), lookup.positions, lookup.type)


def _table_bytes(feature: ProductFeature) -> int:
    _, number = next(feature.combinations(), ((), ()))
    return 8 * feature.combined * len(numbers_of(number)) if feature.lookups else 0


def _describe(feature: ProductFeature) -> tuple[str, Iterator[Entry]]:
    return feature.kind, _entries(feature)


def _entries(feature: ProductFeature) -> Iterator[Entry]:
    if feature.coefficient is not None:
        yield Entry(feature.coefficient)
    for levels, number in feature.combinations() if feature.lookups else ():
        yield Entry(number, ":".join(levels))


def _terms(feature: ProductFeature) -> Iterator[TermEntry]:
    for term in feature.terms:
        if isinstance(term, CategoricalTerm):
            how = "" if term.levels is None else f" ({term.levels} levels)"
            yield TermEntry(f"term {term.column}{how}", "", "", term.missing, term.unseen)
        else:
            how = " (boolean)" if term.boolean else ""
            how += "" if term.transform is None else f": {shown_transform(term.transform)}"
            yield TermEntry(f"term {term.column}{how}", term.center, term.scale, term.missing)


def _expression(feature: ProductFeature) -> Expression:
    from pipeline.models.logistic.expression import (  # noqa: PLC0415 - only exports need it
        Constant,
        Lookup,
        key_of,
        multiplied,
        stepped,
    )
    from pipeline.models.logistic.expression import number as number_in  # noqa: PLC0415 - as above

    coefficient: Expression = Constant(feature.coefficient or 0.0)
    if feature.lookups:
        values = {
            levels: tuple(map(float, number)) if isinstance(number, Sequence) else float(number)
            for levels, number in feature.combinations()
        }
        coefficient = Lookup(tuple(map(key_of, feature.lookups)), values)
    factors = [
        stepped(number_in(term.column, term.missing, boolean=term.boolean), term.steps) for term in feature.numbers
    ]
    return multiplied([*factors, coefficient])


PRODUCT = FeatureKind(
    schema=ProductFeature,
    uses=_uses,
    policies={},
    is_bounded=False,
    prepare=_prepare,
    describe=_describe,
    expression=_expression,
    coefficients=_coefficients,
    terms=_terms,
    table_bytes=_table_bytes,
    scratch_row_bytes=8,
    unknown_names=_unknown_names,
    faults=_faults,
)
