"""Categorical features: a column that adds the coefficient of its level."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import numpy as np
import numpy.typing as npt
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator
from pydantic_core import PydanticCustomError

from pipeline.kernels import Categorical
from pipeline.models.columns import Levels, Mask, RecentLevels, Rows, levels, spellings
from pipeline.models.document import Problem
from pipeline.models.levels import LevelTable, LevelType, Value, level_value, spelled_type
from pipeline.models.logistic.feature import Coefficient, Feature, FeatureKind, UnknownName
from pipeline.models.logistic.policies import (
    MISSING_LEVEL,
    UNSEEN_LEVEL,
    Level,
    MissingLevel,
    UnseenLevel,
    policy_text,
    settle,
    shown_policy,
)
from pipeline.models.tally import BatchColumn, RowTally
from pipeline.types.report import Shown
from pipeline.units import escape

if TYPE_CHECKING:
    from pipeline.models.logistic.expression import Expression


class CategoricalFeature(Feature):
    """A column that adds the coefficient of its level to the raw prediction.

    ``levels`` is the type by which a cell is read that no level is spelled like; unless it is stated, the spellings of
    the levels decide.
    """

    kind: Literal["categorical"]
    coefficients: Annotated[dict[str, float], Field(min_length=1)]
    levels: LevelType | None = None
    missing: MissingLevel = "null"
    unseen: UnseenLevel = "null"

    @model_serializer(mode="wrap")
    def _without_unstated_type(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # A model that states no type keeps the digest that it had before there were types.
        return {key: value for key, value in handler(self).items() if key != "levels" or value is not None}

    @cached_property
    def recent_levels(self) -> RecentLevels:
        """What was looked up last in ``coefficients``; not part of the file."""
        return RecentLevels()

    @cached_property
    def _tables(self) -> dict[tuple[object, ...], LevelTable]:
        return {}

    def table(self, decimal: str = ".") -> LevelTable:
        """Return the coefficients by spelling and by value, for text with a decimal sign; the same object each time."""
        # A copy with other content shares what is kept.
        key = (decimal, self.levels, self.missing, self.unseen)
        found = self._tables.get(key)
        if found is None or found.coefficients is not self.coefficients:
            named = [policy.level for policy in (self.missing, self.unseen) if isinstance(policy, Level)]
            type_ = self.levels or spelled_type(self.coefficients.keys() - set(named))
            found = self._tables[key] = LevelTable(self.coefficients, type_, named, decimal)
        return found

    @model_validator(mode="after")
    def _levels_exist(self) -> CategoricalFeature:
        for unknown in _unknown_levels({**dict(self), **self.model_dump(include={"missing", "unseen"})}):
            context = {"message": f'unknown level "{escape(unknown.name)}"', "at": list(unknown.path)}
            raise PydanticCustomError("unknown_level", "{message}", context)
        for fault in _unfit_levels({**dict(self), **self.model_dump(include={"missing", "unseen"})}):
            context = {"message": fault.message, "at": list(fault.path)}
            raise PydanticCustomError("unfit_level", "{message}", context)
        return self


@dataclass(frozen=True, eq=False)
class CategoricalColumn:
    """A batch of a categorical feature, with all policies applied.

    ``contributions`` has an entry for each level of the batch's dictionary, and a last one for missing values. ``null``
    is where cells are null, so that their code means nothing; ``None`` if there are no nulls.
    """

    codes: npt.NDArray[Any]
    contributions: npt.NDArray[np.float64]
    null: Mask | None

    @classmethod
    def prepare(cls, feature: CategoricalFeature, column: BatchColumn, tally: RowTally) -> CategoricalColumn:
        """Read a column, look up its levels, and apply the policies to missing and unseen ones."""
        cells = levels(column.array)
        found = feature.recent_levels.find(feature.table(column.decimal), cells.dictionary)
        is_missing = found.is_missing
        is_unseen = np.isnan(found.coefficients) & ~is_missing
        contributions = found.coefficients.copy()
        contributions[is_missing] = _replacement(feature, feature.missing)
        contributions[is_unseen] = _replacement(feature, feature.unseen)
        missing = cells.null
        if is_missing[:-1].any():
            missing = _with_level(is_missing, cells)
            missing |= False if cells.null is None else cells.null
        if missing is not None:
            settle("missing", feature.missing, missing, column, tally)
        if is_unseen.any():
            unseen = _with_level(is_unseen, cells)
            unseen &= True if cells.null is None else ~cells.null
            settle("unseen", feature.unseen, unseen, column, tally)
            tally.spell(column.name, partial(spellings, cells, is_unseen, unseen))
        if found.is_read is not None:
            read = _with_level(found.is_read, cells)
            read &= True if cells.null is None else ~cells.null
            tally.count(f"read as level {column.name}", int(np.count_nonzero(read)))
        return cls(cells.codes, contributions, cells.null)

    @property
    def term(self) -> Categorical:
        """The term of the raw prediction."""
        return Categorical(self.codes, self.contributions, self.null)

    def settle(self, rows: Rows, _: RowTally) -> Categorical:
        """Return the term of only these rows."""
        return Categorical(self.codes[rows], self.contributions, None if self.null is None else self.null[rows])


def _with_level(flags: Mask, cells: Levels) -> Mask:
    """Return which rows have a level with the flag; arbitrary where a cell is null."""
    rows: Mask = np.take(flags, cells.codes, mode="clip")
    return rows


def _replacement(feature: CategoricalFeature, policy: str | Level) -> float:
    """Return what a value without a coefficient adds; 0 if the row has no score."""
    return feature.coefficients[policy.level] if isinstance(policy, Level) else 0.0


def _unknown_levels(feature: Mapping[str, object]) -> Iterator[UnknownName]:
    """Yield the levels that policies name although they have no coefficient."""
    coefficients = feature.get("coefficients")
    if not isinstance(coefficients, Mapping) or not coefficients:
        return
    for name in ("missing", "unseen"):
        policy = feature.get(name)
        level = policy.get("level") if isinstance(policy, Mapping) else None
        if isinstance(level, str) and level not in coefficients:
            yield UnknownName((name, "level"), "level", level, coefficients)


_MEANT: Mapping[str, str] = {"boolean": "a boolean", "integer": "an integer", "number": "a number"}


def _unfit_levels(feature: Mapping[str, object]) -> Iterator[Problem]:
    """Yield the levels that are not of the type that the feature states, and those that are one level twice."""
    coefficients, type_ = feature.get("coefficients"), feature.get("levels")
    if not isinstance(coefficients, Mapping) or not isinstance(type_, str) or type_ not in _MEANT:
        return
    policies = (feature.get(name) for name in ("missing", "unseen"))
    named = [policy.get("level") for policy in policies if isinstance(policy, Mapping)]
    first: dict[Value, str] = {}
    for level in coefficients:
        value = level_value(level, cast("LevelType", type_))
        at, shown = ("coefficients", level), f'"{escape(level)}"'
        if value is None and level not in named:
            yield Problem(at, f'the level {shown} is not {_MEANT[type_]}, but "levels" is "{type_}"')
        elif value is not None and first.setdefault(value, level) != level:
            yield Problem(at, f'the levels "{escape(first[value])}" and {shown} are the same {type_}')


def _coefficients(feature: CategoricalFeature) -> Iterator[Coefficient]:
    missing, unseen = policy_text(feature.missing), policy_text(feature.unseen)
    for level, coefficient in feature.coefficients.items():
        yield Coefficient(feature.column, level, coefficient, 0.0, 1.0, missing, unseen)


def _show(feature: CategoricalFeature) -> Iterator[tuple[Shown, ...]]:
    kind = feature.kind if feature.levels is None else f"{feature.kind} ({feature.levels} levels)"
    head: tuple[str, str] = (escape(feature.column), kind)
    tail: tuple[Shown, Shown] = (shown_policy(feature.missing), shown_policy(feature.unseen))
    for level, coefficient in feature.coefficients.items():
        yield *head, escape(level), coefficient, "", "", *tail
        head = tail = ("", "")


def _expression(feature: CategoricalFeature) -> Expression:
    from pipeline.models.logistic.expression import lookup  # noqa: PLC0415 - only exports need it

    return lookup(feature.column, feature.coefficients, feature.table().type, feature.missing, feature.unseen)


CATEGORICAL = FeatureKind(
    schema=CategoricalFeature,
    role=lambda _: "categorical",
    policies={"missing": MISSING_LEVEL, "unseen": UNSEEN_LEVEL},
    is_bounded=True,
    prepare=CategoricalColumn.prepare,
    coefficients=_coefficients,
    show=_show,
    expression=_expression,
    unknown_names=_unknown_levels,
    faults=_unfit_levels,
)
