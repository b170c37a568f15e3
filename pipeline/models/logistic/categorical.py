"""Categorical features: a column that adds the coefficient of its level."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, cast

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from pipeline.dataclass import dataclass
from pipeline.kernels import Categorical
from pipeline.models.columns import Rows
from pipeline.models.document import Path, Problem
from pipeline.models.levels import LevelType, Value, level_value
from pipeline.models.logistic.batch import BatchColumns
from pipeline.models.logistic.feature import ColumnFeature, Entry, FeatureKind, UnknownName, Use
from pipeline.models.logistic.lookup import LevelCells, LevelLookup
from pipeline.models.logistic.policies import MISSING_LEVEL, UNSEEN_LEVEL, MissingLevel, UnseenLevel
from pipeline.models.logistic.sections import Number, fault, numbers_of, table_of
from pipeline.models.tally import RowTally
from pipeline.units import escape

if TYPE_CHECKING:
    from pipeline.models.logistic.expression import Expression

Floats = npt.NDArray[np.float64]


class CategoricalFeature(ColumnFeature):
    """A column that adds the coefficient of its level to the raw prediction.

    ``levels`` is the type by which a cell is read that no level is spelled like; unless it is stated, the spellings of
    the levels decide.
    """

    later: ClassVar[frozenset[str]] = frozenset({"name", "levels"})

    kind: Literal["categorical"]
    coefficients: Annotated[dict[str, Number], Field(min_length=1)]
    levels: LevelType | None = None
    missing: MissingLevel = "null"
    unseen: UnseenLevel = "null"

    @cached_property
    def _kept(self) -> dict[tuple[object, ...], tuple[object, LevelLookup, Floats]]:
        return {}

    def _made(self) -> tuple[object, LevelLookup, Floats]:
        # A copy with other content shares what is kept.
        key = (self.levels, self.missing, self.unseen)
        found = self._kept.get(key)
        if found is None or found[0] is not self.coefficients:
            positions = {level: position for position, level in enumerate(self.coefficients)}
            lookup = LevelLookup(self.column, positions, self.levels, self.missing, self.unseen)
            numbers = [*self.coefficients.values()]
            nothing = (0.0,) * len(numbers_of(numbers[0])) if isinstance(numbers[0], tuple) else 0.0
            found = self._kept[key] = self.coefficients, lookup, table_of([*numbers, nothing])
        return found

    @property
    def lookup(self) -> LevelLookup:
        """What finds the level of a cell."""
        return self._made()[1]

    @property
    def weights(self) -> Floats:
        """The coefficients by the position of their level, and last 0 for what adds nothing."""
        return self._made()[2]

    @model_validator(mode="after")
    def _levels_exist(self) -> CategoricalFeature:
        feature = {**dict(self), **self.model_dump(include={"missing", "unseen"})}
        for unknown in _unknown_levels(feature):
            raise fault("unknown_level", f'unknown level "{escape(unknown.name)}"', unknown.path)
        for found in _unfit_levels(feature):
            raise fault("unfit_level", found.message, found.path)
        return self


@dataclass(frozen=True, eq=False)
class PreparedLevels:
    """A batch of a feature of this kind; see :class:`~pipeline.models.logistic.feature.PreparedFeature`."""

    cells: LevelCells
    contributions: Floats

    @property
    def term(self) -> Categorical:
        """The term of the raw prediction."""
        return Categorical(self.cells.codes, self.contributions, self.cells.null)

    def settle(self, rows: Rows, _: RowTally) -> Categorical:
        """Return the term of only these rows, with all policies applied."""
        null = self.cells.null
        return Categorical(self.cells.codes[rows], self.contributions, None if null is None else null[rows])


def _prepare(feature: CategoricalFeature, batch: BatchColumns) -> PreparedLevels:
    cells = feature.lookup.read(batch)
    return PreparedLevels(cells, feature.weights.take(cells.positions, axis=-1))


def unknown_levels(feature: Mapping[str, object], known: Mapping[str, object]) -> Iterator[UnknownName]:
    """Yield the levels that policies of a feature or term name although they are not known."""
    for name in ("missing", "unseen"):
        policy = feature.get(name)
        level = policy.get("level") if isinstance(policy, Mapping) else None
        if isinstance(level, str) and level not in known:
            yield UnknownName((name, "level"), "level", level, known)


def unfit_levels(feature: Mapping[str, object], known: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield (level, message) of levels that are not of the type that is stated, and of those that are one level."""
    type_ = feature.get("levels")
    if not isinstance(type_, str) or type_ not in _MEANT:
        return
    policies = (feature.get(name) for name in ("missing", "unseen"))
    named = [policy.get("level") for policy in policies if isinstance(policy, Mapping)]
    first: dict[Value, str] = {}
    for level in known:
        value = level_value(level, cast("LevelType", type_))
        shown = f'"{escape(level)}"'
        if value is None and level not in named:
            yield level, f'the level {shown} is not {_MEANT[type_]}, but "levels" is "{type_}"'
        elif value is not None and first.setdefault(value, level) != level:
            yield level, f'the levels "{escape(first[value])}" and {shown} are the same {type_}'


def _unknown_levels(feature: Mapping[str, object]) -> Iterator[UnknownName]:
    coefficients = feature.get("coefficients")
    return unknown_levels(feature, coefficients) if isinstance(coefficients, Mapping) and coefficients else iter(())


_MEANT: Mapping[str, str] = {"boolean": "a boolean", "integer": "an integer", "number": "a number"}


def _unfit_levels(feature: Mapping[str, object]) -> Iterator[Problem]:
    coefficients = feature.get("coefficients")
    if isinstance(coefficients, Mapping):
        for level, message in unfit_levels(feature, coefficients):
            yield Problem(("coefficients", level), message)


def _coefficients(feature: Mapping[str, Any]) -> Iterator[tuple[Path, object]]:
    coefficients = feature.get("coefficients")
    if isinstance(coefficients, Mapping):
        yield from ((("coefficients", level), number) for level, number in coefficients.items())


def _uses(feature: CategoricalFeature) -> tuple[Use, ...]:
    policies = (feature.missing, feature.unseen)
    return (Use(feature.column, "categorical", policies, feature.coefficients, feature.lookup.type),)


def _describe(feature: CategoricalFeature) -> tuple[str, Iterator[Entry]]:
    kind = feature.kind if feature.levels is None else f"{feature.kind} ({feature.levels} levels)"
    missing, unseen = feature.missing, feature.unseen
    items = feature.coefficients.items()
    return kind, (Entry(number, level, missing=missing, unseen=unseen) for level, number in items)


def _expression(feature: CategoricalFeature) -> Expression:
    from pipeline.models.logistic.expression import Lookup, key_of  # noqa: PLC0415 - only exports need it

    return Lookup((key_of(feature.lookup),), {(level,): number for level, number in feature.coefficients.items()})


CATEGORICAL = FeatureKind(
    schema=CategoricalFeature,
    uses=_uses,
    policies={"missing": MISSING_LEVEL, "unseen": UNSEEN_LEVEL},
    is_bounded=True,
    prepare=_prepare,
    describe=_describe,
    expression=_expression,
    coefficients=_coefficients,
    follows=lambda feature: {"read_as": feature.lookup.type},
    unknown_names=_unknown_levels,
    faults=_unfit_levels,
    version=1,
)
