"""From the readable text of a VW model to a model file.

The text is what ``vw --link logistic --invert_hash FILE`` writes: a head, then ``feature:index:weight`` a line, where a
feature is ``namespace^name``, ``namespace^name=level`` for a word, and ``a*b`` for an interaction. Weights have six
digits. Source of the format: texts that VW 9.11 wrote.
"""

from __future__ import annotations

import math
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any

from pipeline.conversion.importing import Imported
from pipeline.dataclass import dataclass
from pipeline.errors import ModelError
from pipeline.units import escape, format_count

# Half a unit in the sixth digit of each weight.
TOLERANCE = 1e-5

_TRAIN = "train with vw --loss_function logistic --link logistic --invert_hash FILE, without other reductions"
_NAMES = "write the text with names: vw -i MODEL -t -d DATA --invert_hash FILE"
_VERSION = re.compile(r"Version 9\.\d+\.\d+")
_WEIGHT = re.compile(r"(?P<name>.*):\d+:(?P<weight>\S+)(?: \S+){0,3}")
_UNNAMED = re.compile(r"\d+:(?P<weight>\S+)(?: \S+){0,3}")
# The options of a saved model that leave it a weighted sum of features; a text with any other is refused.
_PLAIN = frozenset(
    {"--noconstant", "--link", "--ignore", "--ignore_linear", "--keep", "--hash", "--hash_seed"}
    | {"--sgd", "--adaptive", "--invariant", "--normalized", "--ftrl", "--power_t", "--learning_rate", "--initial_t"}
)
_CROSSING = frozenset({"--quadratic", "--cubic", "--interactions"})
# What the head says of a model whose scores are more than such a sum, unless it is this.
_HEAD = {"lda": "0", "ngram": "0", "skip": "0", "l1_state": "0", "l2_state": "1"}
# VW keeps raw predictions within the labels; nearer to 0 than this, probabilities would differ by more than six digits.
_LEAST_LABEL = 15.0
_MISSING = "(missing)"


@dataclass(frozen=True, slots=True, order=True)
class _Item:
    """A part of a VW feature: the number in a column, or one level of it."""

    space: str
    name: str
    level: str | None = None

    @property
    def column(self) -> tuple[str, str]:
        return self.space, self.name

    @property
    def full(self) -> str:
        return f"{self.space}^{self.name}" if self.space else self.name


@dataclass(slots=True)
class _Dump:
    """The constant, and the weights of features by their parts, in the order of the parts."""

    constant: float = 0.0
    features: dict[tuple[_Item, ...], float] = field(default_factory=dict)

    @property
    def parts(self) -> Iterator[_Item]:
        return (part for parts in self.features for part in parts)


def convert(path: Path, data: bytes) -> Imported:
    """Return the model in a readable text of VW.

    Raises
    ------
    ModelError
        The text has no names, another link, or what is no weighted sum of features; the message names it.
    """
    shown = escape(str(path))
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ModelError(f"{shown} is not text in UTF-8: byte {error.start}", _NAMES) from error
    if not lines or not _VERSION.fullmatch(lines[0]):
        found = escape(lines[0], 40) if lines else "nothing"
        raise ModelError(f"{shown} begins with {found}, not with the version of VW 9", _NAMES)
    first = _first_weight(lines, shown)
    spaces = _crossed(lines[:first], shown)
    weights = _weights(lines, first, shown, spaces)
    names = _names(weights)
    return Imported(_document(weights, names, shown), tuple(_notes(weights, names)), TOLERANCE)


def _first_weight(lines: Sequence[str], shown: str) -> int:
    """Return the number of the line where the weights begin: behind ``:0``, or behind the state of the training."""
    for number, line in enumerate(lines):
        if line.rstrip() == ":0" or line.startswith("l2_state "):
            return number + 1
    raise ModelError(f"{shown} has no weights", _NAMES)


def _crossed(head: Sequence[str], shown: str) -> str | None:
    """Return the first letters of the namespaces that interact; ``None`` where none do.

    Raises
    ------
    ModelError
        The model is more than a weighted sum with a logistic link.
    """
    options: list[str] = []
    for line in head:
        name, colon, value = line.partition(":") if ":" in line else line.partition(" ")
        count, _, counted = name.partition(" ")
        if name == "options":
            options = shlex.split(value)
        elif counted in _HEAD and count.isdigit():
            _refuse_head(counted, count, shown)
        elif colon and name in _HEAD:
            _refuse_head(name, value.strip(), shown)
        elif name in {"Min label", "Max label"} and not abs(_number(value, shown)) >= _LEAST_LABEL:
            raise ModelError(f"{shown} keeps raw predictions within {name.lower()} {escape(value)}", _TRAIN)
    return _checked(options, shown)


def _refuse_head(name: str, value: str, shown: str) -> None:
    if value != _HEAD[name]:
        raise ModelError(f"{shown} has {name} {escape(value)}: its scores are more than a weighted sum", _TRAIN)


def _checked(options: Sequence[str], shown: str) -> str | None:
    link, spaces, crossed, name = "identity", "", False, ""
    for word in options:
        if word.startswith("--"):
            name = word
            if name not in _PLAIN | _CROSSING:
                raise ModelError(f"{shown} has {escape(name)}, which a model file cannot express", _TRAIN)
            crossed |= name in _CROSSING
        elif name == "--link":
            link = word
        elif name in _CROSSING:
            spaces += word
    if link != "logistic":
        raise ModelError(f"{shown} has the link {escape(link)}, not logistic", _TRAIN)
    return spaces if crossed else None


def _weights(lines: Sequence[str], first: int, shown: str, spaces: str | None) -> _Dump:
    weights = _Dump()
    for number, line in enumerate(lines[first:], first + 1):
        named, unnamed = _WEIGHT.fullmatch(line), _UNNAMED.fullmatch(line)
        if named is None and unnamed is None:
            raise ModelError(f"{shown}, line {number}: {escape(line, 60)} is not name:index:weight", _NAMES)
        weight = _number((named or unnamed or {})["weight"], shown)  # type: ignore[index]
        if weight == 0:
            continue
        name = "" if named is None else named["name"]
        if not name:
            raise ModelError(f"{shown}, line {number}: the weight {weight:g} has no name", _NAMES)
        if name == "Constant":
            weights.constant = weight
        else:
            parts = _parts(name, number, shown, spaces)
            weights.features[parts] = weights.features.get(parts, 0.0) + weight
    if not weights.features:
        raise ModelError(f"{shown} has no weights but the constant", _NAMES)
    return weights


def _number(text: str, shown: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ModelError(f"{shown} has {escape(text, 40)} where a finite number is expected", _NAMES)
    return number


def _parts(name: str, number: int, shown: str, spaces: str | None) -> tuple[_Item, ...]:
    """Return the parts of a feature, sorted: numbers and levels of an interaction commute."""
    texts = [name] if spaces is None else name.split("*")
    parts = tuple(sorted((_part(text) for text in texts), key=lambda part: (part.column, part.level or "")))
    if len(texts) > 1 and any(not (part.name and _interacts(part.space, spaces or "")) for part in parts):
        raise ModelError(
            f"{shown}, line {number}: {escape(name, 60)} has a * that is no sign of an interaction",
            "rename the feature, and train again",
        )
    # The level of a column times itself is the level.
    levels = {part for part in parts if part.level is not None}
    if len({part.column for part in levels}) < len(levels):
        raise ModelError(
            f"{shown}, line {number}: {escape(name, 60)} has two words of one feature, but a column has one value",
            "give each word a feature of its own, and train again",
        )
    return tuple(part for place, part in enumerate(parts) if part.level is None or part not in parts[:place])


def _part(text: str) -> _Item:
    space, caret, name = text.partition("^")
    if not caret:
        space, name = "", text
    name, equals, level = name.partition("=")
    return _Item(space, name, level if equals else None)


def _interacts(space: str, spaces: str) -> bool:
    # The default namespace is a blank, and a colon is every namespace.
    return ":" in spaces or (space[:1] or " ") in spaces


def _names(weights: _Dump) -> Mapping[tuple[str, str], str]:
    """Return the name of the column of each feature: without its namespace where that is unique."""
    parts = {part.column: part for part in weights.parts}
    shared = Counter(name for _, name in parts)
    return {column: part.name if shared[part.name] == 1 else part.full for column, part in parts.items()}


def _document(weights: _Dump, names: Mapping[tuple[str, str], str], shown: str) -> dict[str, Any]:
    """Return the model file: version 1 where no features interact, else 2."""
    groups: dict[tuple[tuple[tuple[str, str], bool], ...], list[tuple[tuple[_Item, ...], float]]] = {}
    for parts, weight in weights.features.items():
        group = tuple((part.column, part.level is not None) for part in parts)
        groups.setdefault(group, []).append((parts, weight))
    kinds = {(column, is_level) for group in groups for column, is_level in group}
    for column, is_level in sorted(kinds):
        if is_level and (column, False) in kinds:
            raise ModelError(
                f"{shown} has {escape(names[column])} as a number and as a word", "rename one of them, and train again"
            )
    # Plain columns first: a reader looks for them.
    order = sorted(groups, key=lambda group: (len(group), [names[column] for column, _ in group]))
    return {
        "format": "logitstream-model",
        "version": 1 if all(len(group) == 1 for group in order) else 2,
        "kind": "logistic",
        "intercept": weights.constant,
        "features": [_feature(groups[group], names) for group in order],
    }


def _feature(members: Sequence[tuple[tuple[_Item, ...], float]], names: Mapping[tuple[str, str], str]) -> Any:
    parts, weight = members[0]
    if len(parts) > 1:
        return _product(members, names)
    head = {"column": names[parts[0].column]}
    if parts[0].level is None:
        return head | {"kind": "numeric", "coefficient": weight, "missing": {"impute": 0.0}}
    missing = _absent(member[0].level for member, _ in members)
    levels = {str(member[0].level): value for member, value in members}
    return head | {"kind": "categorical", "coefficients": levels | {missing: 0.0}} | _policies(missing)


def _product(members: Sequence[tuple[tuple[_Item, ...], float]], names: Mapping[tuple[str, str], str]) -> Any:
    first = members[0][0]
    places = [place for place, part in enumerate(first) if part.level is not None]
    missing = {place: _absent(parts[place].level for parts, _ in members) for place in places}
    terms = [
        {"kind": "categorical", "column": names[part.column], **_policies(missing[place])}
        if place in places
        else {"kind": "numeric", "column": names[part.column], "missing": {"impute": 0.0}}
        for place, part in enumerate(first)
    ]
    if not places:
        return {"kind": "product", "terms": terms, "coefficient": members[0][1]}
    nested: dict[str, Any] = {}
    unknown = (tuple(missing[place] for place in places), 0.0)
    for levels, weight in [*((tuple(str(p[place].level) for place in places), w) for p, w in members), unknown]:
        inner = nested
        for level in levels[:-1]:
            inner = inner.setdefault(level, {})
        inner[levels[-1]] = weight
    return {"kind": "product", "terms": terms, "coefficients": nested}


def _policies(missing: str) -> dict[str, Any]:
    """Return what a line of VW without the feature says: it adds nothing, as a word without a weight."""
    return {"levels": "text", "missing": {"level": missing}, "unseen": "zero"}


def _absent(levels: Iterable[str | None]) -> str:
    known, absent = set(levels), _MISSING
    while absent in known:
        absent += "_"
    return absent


def _notes(weights: _Dump, names: Mapping[tuple[str, str], str]) -> Iterator[str]:
    yield "weights have six digits in the text: probabilities are within 0.00001 of those of VW"
    yield "a missing or unknown value adds 0, as a feature that is not in a line of VW does"
    if any(part.level is not None for part in weights.parts):
        yield "NAME=WORD is the level WORD of the column NAME, spelled as VW has it"
    spaces = sorted({space for space, _ in names if space})
    if spaces:
        shown = ", ".join(escape(space, 40) for space in spaces[:5])
        more = f" and {format_count(len(spaces) - 5)} more" if len(spaces) > 5 else ""
        yield f"columns are named without their namespace ({shown}{more}) where that is unique"
