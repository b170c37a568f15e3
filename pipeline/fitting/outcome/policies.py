"""What becomes of values that rows lack, and of levels that no fitted row had: policies of a model file.

They treat a row that is scored as the fit treated its rows.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from pipeline.fitting.asking.terms import CategoryTerm
from pipeline.fitting.designs.design import FitDesign
from pipeline.fitting.first_pass.learnt import Learnt
from pipeline.fitting.first_pass.vocabulary import MISSING, OTHER, reference_of

_BY_RULE = {"error": "error", "drop": "null"}


def missing_number(design: FitDesign, column: str) -> Any:
    """Return the policy of a column of numbers for missing values."""
    source = next(source for source in design.numbers if source.column == column)
    return _BY_RULE[source.missing] if isinstance(source.missing, str) else {"impute": float(source.missing)}


class LevelPolicies:
    """The levels of a column that a model file lists, and its policies for the others.

    Parameters
    ----------
    design : FitDesign
    learnt : Learnt
    column : str
    """

    def __init__(self, design: FitDesign, learnt: Learnt, column: str) -> None:
        self._source = next(source for source in design.levels if source.column == column)
        self._learnt = learnt.levels[column]
        terms = (each for each in design.columns if each.term == CategoryTerm(column))
        self._own = next(terms, None)
        self._pooled = frozenset(self._learnt.pooled)

    @property
    def levels(self) -> tuple[str, ...]:
        """The levels that are listed, the most frequent first; then what represents rare and missing ones."""
        kept = (level for level in self._learnt.counts if level not in self._pooled)
        of_term = () if self._own is None else (self._own.reference, *self._own.labels)
        stand_ins = (self._stand_in("missing"), self._stand_in("unseen"))
        return tuple(level for level in dict.fromkeys((*kept, *of_term, *stand_ins)) if level is not None)

    @property
    def most_frequent(self) -> str:
        """The level that most rows have; rare ones together are not a level that rows have."""
        counts = {level: count for level, count in self._learnt.counts.items() if level != OTHER}
        return reference_of(counts or self._learnt.counts)

    @property
    def members(self) -> dict[str, Any]:
        """The members of a feature, or of a term of a product, that say how its column is read."""
        missing = self._stand_in("missing")
        policies = {"missing": _BY_RULE[str(self._source.missing)] if missing is None else {"level": missing}}
        if (unseen := self._stand_in("unseen")) is not None:
            policies["unseen"] = {"level": unseen}
        return {"levels": self._source.type, **policies}

    def called(self, code: int) -> str:
        """Return what the level of a code is called, which may be that of rare or of missing ones."""
        return self._reference if code < 0 else self._names.get(code, MISSING)

    @cached_property
    def _names(self) -> dict[int, str]:
        """The name of each code."""
        codes = {level: code for level, code in self._source.codes.items() if level not in self._learnt.aliases}
        pooled = {code: OTHER for level, code in codes.items() if level in self._pooled}
        kept = {code: level for level, code in codes.items() if level not in self._pooled}
        return pooled | kept

    def _stand_in(self, what: str) -> str | None:
        """Return the level that missing or unseen values count as, ``None`` where they count as none."""
        if what == "unseen":
            pooled = self._learnt.pooled
            return self.called(self._source.codes.get(pooled[0], -1)) if pooled else None
        code = self._source.missing
        return None if isinstance(code, str) else self.called(code)

    @cached_property
    def _reference(self) -> str:
        if self._own is not None and self._own.reference is not None:
            return self._own.reference
        without = (level for level in self._learnt.counts if self._source.codes.get(level, -1) < 0)
        return next(without, OTHER)
