"""What an evaluation is of: two states can be added up only if they agree on it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from pipeline.dataclass import dataclass
from pipeline.errors import UsageError
from pipeline.evaluation.states import StateShape
from pipeline.units import escape, quoted

Keys = tuple[str, ...]

_NAME = re.compile(r'\s*(?:"((?:[^"]|"")+)"|([^:"]+))\s*')


@dataclass(frozen=True, slots=True)
class EvaluationTerms:
    """What is compared with what. Plain values, which travel to workers and into a state file.

    Attributes
    ----------
    target : str
    classes : tuple of str
        How the data spells them, the negative one first where there are two.
    models : tuple of str
        The digests of one or two models; empty where a column has the probability.
    names : tuple of str
        What people call the models.
    probability : str or None
        The column of the probability.
    weight : str or None
    by : tuple of tuple of str
        Each has the columns that make groups together.
    max_groups : int
    thresholds : tuple of float
    holdout, key : str or None
        As the options of a fit say which rows it held out, where only those are evaluated.
    """

    target: str
    classes: tuple[str, ...]
    models: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    probability: str | None = None
    weight: str | None = None
    by: tuple[Keys, ...] = ()
    max_groups: int = 200
    thresholds: tuple[float, ...] = ()
    holdout: str | None = None
    key: str | None = None

    @property
    def shape(self) -> StateShape:
        """The shape of the states."""
        return StateShape(len(self.classes), max(1, len(self.models)), self.weight is not None, self.thresholds)

    @property
    def group_columns(self) -> tuple[str, ...]:
        """The columns that make groups, each once."""
        return tuple(dict.fromkeys(name for names in self.by for name in names))

    @property
    def scored_by(self) -> tuple[str, ...]:
        """What the scores come from, in words: the names of the models, or that of the column."""
        return self.names if self.probability is None else (self.probability,)

    def to_json(self) -> dict[str, Any]:
        """Return the terms as JSON has them."""
        return asdict(self)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> EvaluationTerms:
        """Return the terms that JSON has."""
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in document.items()
        }
        return cls(**{**given, "by": tuple(map(tuple, document["by"]))})

    def differences(self, other: EvaluationTerms) -> Iterator[str]:
        """Yield each thing that differs, in words; what people call the models may."""
        mine, theirs = self.to_json(), other.to_json()
        for name, words in _WORDS.items():
            if mine[name] != theirs[name]:
                yield f"{words} {_shown(mine[name])} and {_shown(theirs[name])}"


_WORDS = {
    "target": "the target",
    "classes": "the classes",
    "models": "the models with the digests",
    "probability": "the probability",
    "weight": "the weight",
    "by": "the groups",
    "max_groups": "--max-groups",
    "thresholds": "the thresholds",
    "holdout": "the rows held out by",
    "key": "the key of the rows held out",
}


def _shown(value: object) -> str:
    if isinstance(value, list | tuple):
        shown = (":".join(each) if isinstance(each, list | tuple) else str(each)[:12] for each in value)
        return escape(", ".join(shown)) or "none"
    return "none" if value is None else escape(str(value))


def parse_by(text: str) -> Keys:
    """Return the columns of ``--by``: ``a`` alone, ``a:b`` crossed; a name with a colon is in double quotes.

    Raises
    ------
    UsageError
        A name is empty, or given twice.
    """
    names, place = [], 0
    while found := _NAME.match(text, place):
        names.append(found[1].replace('""', '"') if found[1] else found[2].strip())
        place = found.end()
        if text[place : place + 1] != ":":
            break
        place += 1
    if place < len(text) or not names or text.endswith(":") or not all(names):
        raise UsageError(
            f"--by {quoted(text)} is not the name of a column, or several with colons between them",
            "write --by region, --by region:product, or --by '\"a:b\"' for a name with a colon",
        )
    if len(set(names)) < len(names):
        raise UsageError(f"--by {quoted(text)} names a column twice", "name each once")
    return tuple(names)


def check_by(by: Sequence[Keys]) -> None:
    """Refuse groups that are asked for twice."""
    for names in by:
        if by.count(names) > 1:
            raise UsageError(f"--by {escape(':'.join(names))} is given twice", "give it once")
