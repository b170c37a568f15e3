"""Policies for values that are missing or unseen, and what they do to rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, get_args

import numpy as np
from pydantic import BaseModel, Discriminator, Tag

from pipeline.choices import Cause, Lack, listed
from pipeline.dataclass import dataclass
from pipeline.models.columns import Mask
from pipeline.models.logistic.sections import Section
from pipeline.models.tally import BatchColumn, RowTally
from pipeline.types.report import Shown
from pipeline.units import escape

Word = Literal["null", "error", "quarantine"]
UnseenWord = Literal["null", "zero", "error", "quarantine"]

_REFUSED: Mapping[Lack, Cause] = {"missing": "missing refused", "unseen": "unseen refused"}
_SET_ASIDE: Mapping[Lack, Cause] = {"missing": "missing set aside", "unseen": "unseen set aside"}


class Impute(Section):
    """A missing value counts as this number, in units of the column (before ``center`` and ``scale``)."""

    impute: float


class Level(Section):
    """A missing or unseen value counts as this level."""

    level: str


def _form(value: object) -> str:
    return "<rule>" if isinstance(value, Mapping | BaseModel) else "<word>"


MissingNumber = Annotated[
    Annotated[Word, Tag("<word>")] | Annotated[Impute, Tag("<rule>")],
    Discriminator(_form),
]
MissingLevel = Annotated[
    Annotated[Word, Tag("<word>")] | Annotated[Level, Tag("<rule>")],
    Discriminator(_form),
]
UnseenLevel = Annotated[
    Annotated[UnseenWord, Tag("<word>")] | Annotated[Level, Tag("<rule>")],
    Discriminator(_form),
]


@dataclass(frozen=True, slots=True)
class Policy:
    """What a policy of a feature may be: one of some words, or one of some rules, as in ``examples``."""

    words: tuple[str, ...]
    rule: type[Section]
    examples: tuple[str, ...]
    other: type[Section] | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of its rules."""
        return (*self.rule.model_fields, *(self.other.model_fields if self.other else ()))

    @property
    def choices(self) -> str:
        """The words and the rules, as a message lists them."""
        return listed((*(f'"{word}"' for word in self.words), *self.examples))


MISSING_NUMBER = Policy(get_args(Word), Impute, ('{"impute": number}',))
MISSING_LEVEL = Policy(get_args(Word), Level, ('{"level": text}',))
UNSEEN_LEVEL = Policy(get_args(UnseenWord), Level, ('{"level": text}',))


def settle(lack: Lack, policy: str | Section, where: Mask, column: BatchColumn, tally: RowTally) -> None:
    """Apply a policy to the rows of missing or unseen values; the caller replaces values if the policy says so."""
    count = int(np.count_nonzero(where))
    tally.count_lack(lack, column, count)
    if policy == "null" and count:
        tally.set_null(where)
    elif policy == "error":
        tally.add_bad(np.flatnonzero(where), column, _REFUSED[lack])
    elif policy == "quarantine":
        tally.add_quarantined(np.flatnonzero(where), column, _SET_ASIDE[lack])


def policy_text(policy: str | Section) -> str:
    """Return a policy in words, not escaped."""
    if isinstance(policy, Impute):
        return f"impute {policy.impute!r}"
    return f'level "{policy.level}"' if isinstance(policy, Level) else str(policy)


def shown_policy(policy: str | Section) -> Shown:
    """Return a policy in words that are safe to show."""
    if isinstance(policy, Impute):
        return "impute", policy.impute
    return f"level {escape(policy.level)}" if isinstance(policy, Level) else policy_text(policy)
