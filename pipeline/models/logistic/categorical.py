"""Categorical features: a column that adds the coefficient of its level."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from pipeline.kernels import Categorical
from pipeline.models.columns import Levels, Mask, RecentLevels, Rows, levels, spellings
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


class CategoricalFeature(Feature):
    """A column that adds the coefficient of its level to the raw prediction."""

    kind: Literal["categorical"]
    coefficients: Annotated[dict[str, float], Field(min_length=1)]
    missing: MissingLevel = "null"
    unseen: UnseenLevel = "null"

    @cached_property
    def recent_levels(self) -> RecentLevels:
        """What was looked up last in ``coefficients``; not part of the file."""
        return RecentLevels()

    @model_validator(mode="after")
    def _levels_exist(self) -> CategoricalFeature:
        for unknown in _unknown_levels({**dict(self), **self.model_dump(include={"missing", "unseen"})}):
            context = {"message": f'unknown level "{escape(unknown.name)}"', "at": list(unknown.path)}
            raise PydanticCustomError("unknown_level", "{message}", context)
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
        found, is_missing = feature.recent_levels.find(feature.coefficients, cells.dictionary)
        is_unseen = np.isnan(found) & ~is_missing
        contributions = found.copy()
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


def _coefficients(feature: CategoricalFeature) -> Iterator[Coefficient]:
    missing, unseen = policy_text(feature.missing), policy_text(feature.unseen)
    for level, coefficient in feature.coefficients.items():
        yield Coefficient(feature.column, level, coefficient, 0.0, 1.0, missing, unseen)


def _show(feature: CategoricalFeature) -> Iterator[tuple[Shown, ...]]:
    head: tuple[str, str] = (escape(feature.column), feature.kind)
    tail: tuple[Shown, Shown] = (shown_policy(feature.missing), shown_policy(feature.unseen))
    for level, coefficient in feature.coefficients.items():
        yield *head, escape(level), coefficient, "", "", *tail
        head = tail = ("", "")


CATEGORICAL = FeatureKind(
    schema=CategoricalFeature,
    role="categorical",
    policies={"missing": MISSING_LEVEL, "unseen": UNSEEN_LEVEL},
    is_bounded=True,
    prepare=CategoricalColumn.prepare,
    coefficients=_coefficients,
    show=_show,
    unknown_names=_unknown_levels,
)
