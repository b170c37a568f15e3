"""Messages about mistakes in a model file, for the person who wrote it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from pipeline.choices import listed
from pipeline.dataclass import dataclass
from pipeline.errors import ModelError
from pipeline.models.document import FOUND_LIMIT, PROBLEM_LIMIT, Path, Problem
from pipeline.units import escape, near_name, nearest

_TAGS = ("<word>", "<rule>")
_EXPECTED = {
    "greater_than": "must be more than 0",
    "float_type": "must be a number",
    "int_type": "must be a whole number",
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "tuple_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
}


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The words of a kind of model file, with which messages name its mistakes.

    A location of pydantic has the name of each key and, if a part may have several forms, the tag of its form:
    ``<numeric>`` for a feature of that kind, ``<word>`` and ``<rule>`` for a policy.

    Attributes
    ----------
    keys : mapping of str to sequence of str
        The keys of each object, by the last step of its location; the empty one is the document.
    rules : mapping of (tag, policy) to sequence of str
        The keys of the rule that a policy may be.
    policies : mapping of (tag, policy) to str
        All that a policy may be, in words.
    kinds : mapping of str to (str, sequence of str)
        The key that says of which kind a part is and the kinds there are, by the name of the part or of its list.
    tags : collection of str
        The tags of all forms, besides those of policies.
    members : mapping of str to str
        Where an object has members of any name that are objects: the key of what they may have in ``keys``.
    plain : collection of paths
        Values that are text, a boolean or a number.
    """

    keys: Mapping[str, Sequence[str]]
    rules: Mapping[tuple[str, str], Sequence[str]]
    policies: Mapping[tuple[str, str], str]
    kinds: Mapping[str, tuple[str, Sequence[str]]]
    tags: frozenset[str]
    members: Mapping[str, str]
    plain: frozenset[Path]

    def is_tag(self, step: str | int) -> bool:
        """Return whether a step of a location is the tag of a form."""
        return step in _TAGS or step in self.tags

    def keys_at(self, location: Sequence[str | int]) -> Sequence[str]:
        """Return the keys of the object at a location."""
        if location and location[-1] in {"<rule>", "<own>"} and _policy_at(location) in self.rules:
            return self.rules[_policy_at(location)]
        if len(location) > 1 and location[-2] in self.members and not self.is_tag(location[-1]):
            return self.keys[self.members[str(location[-2])]]
        return self.keys[str(location[-1]) if location else ""]

    def policy_at(self, location: Sequence[str | int]) -> str | None:
        """Return what the policy at a location may be; the location ends in the tag of its form."""
        return self.policies.get(_policy_at(location))


def tag(kind: str) -> str:
    """Return the tag of a kind of features."""
    return f"<{kind}>"


def model_error(name: str, problems: Sequence[Problem]) -> ModelError:
    """Return the error of a file with problems; ``name`` is how it is called."""
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    if len(problems) >= PROBLEM_LIMIT:
        count = f"at least {PROBLEM_LIMIT} problems"
    lines = "".join(f"\n  {problem}" for problem in problems[:PROBLEM_LIMIT])
    return ModelError(f"{escape(name)} is not a valid model: {count}{lines}")


def problems(error: ValidationError, value: object, vocabulary: Vocabulary) -> list[Problem]:
    """Return one problem for each place that a validation complains about.

    If a value fits none of several types, each type complains; only the first complaint is reported. Of more than
    10,000 complaints only the first 10,000 are put into words.
    """
    found: dict[Path, Problem] = {}
    for detail in islice(error.errors(include_url=False), FOUND_LIMIT):
        # pydantic counts only the valid members of a list.
        if detail["type"] == "too_short" and detail["input"]:
            continue
        path, message = _problem(detail, value, vocabulary)
        found.setdefault(path, Problem(path, message))
    return list(found.values())


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """Return a message that a name is not known, with the name that was perhaps meant."""
    return f'unknown {what} "{escape(name)}"{nearest(name, known)}'


def json_type(value: object) -> str:
    """Return what JSON calls the type of a value, with its article."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "an object" if isinstance(value, Mapping) else "a list"


def show(value: object) -> str:
    """Return a value as JSON, short enough for a message and safe in it."""
    return escape(json.dumps(value, ensure_ascii=False, default=str), 60)


def quoted_words(words: Iterable[str]) -> str:
    """Return words in a list, quoted as JSON quotes them: ``"a", "b" or "c"``."""
    return listed(f'"{word}"' for word in words)


def _problem(detail: ErrorDetails, value: object, vocabulary: Vocabulary) -> tuple[Path, str]:
    location, kind = detail["loc"], detail["type"]
    context = detail.get("ctx", {})
    steps = location[:-1] if kind == "extra_forbidden" else location
    named = tuple(step for step in steps if not vocabulary.is_tag(step))
    path = tuple(_steps((*named, *location[len(steps) :]), value))
    if kind in {"union_tag_invalid", "union_tag_not_found"}:
        return _unknown_kind(path, detail["input"], vocabulary)
    if kind in {"extra_forbidden", "missing"}:
        return _wrong_key(path, detail, value, vocabulary)
    if tuple("" if isinstance(step, int) else step for step in path) in vocabulary.plain:
        return path, f"must be text, a boolean or a number, not {show(detail['input'])}"
    if "at" in context:
        return (*path, *context["at"]), detail["msg"]
    return path, _message(kind, detail, context, vocabulary)


def _wrong_key(path: Path, detail: ErrorDetails, value: object, vocabulary: Vocabulary) -> tuple[Path, str]:
    """Return what is wrong with a key that is missing or unknown; of the rule of a policy, what the policy may be."""
    location = detail["loc"][:-1]
    if location[-1:] in {("<rule>",), ("<own>",)}:
        rule = _at(path[:-1], value)
        if not any(near_name(str(key), vocabulary.keys_at(location)) for key in rule):
            return path[:-1], f"must be {vocabulary.policy_at(location)}, not {show(rule)}"
    if detail["type"] == "missing":
        return path, "is required but missing"
    return path, _unknown_key(str(detail["loc"][-1]), location, vocabulary)


def _unknown_key(key: str, location: Sequence[str | int], vocabulary: Vocabulary) -> str:
    known = vocabulary.keys_at(location)
    message = unknown("key", key, known)
    if near_name(key, known) or location[-3:-2] != ("features",):
        return message
    kinds = [kind for kind in vocabulary.kinds["features"][1] if key in vocabulary.keys_at((tag(kind),))]
    return f'{message}; the kind "{kinds[0]}" has it' if len(kinds) == 1 else message


def _at(path: Path, value: Any) -> Any:
    for step in path:
        value = _member(step, value)
    return value


def _message(kind: str, detail: ErrorDetails, context: Mapping[str, Any], vocabulary: Vocabulary) -> str:
    found = show(detail["input"])
    if kind in _EXPECTED:
        return f"{_EXPECTED[kind]}, not {found}"
    if kind == "literal_error":
        choices = vocabulary.policy_at(detail["loc"]) or context["expected"].replace("'", '"')
        return f"must be {choices}, not {found}"
    if kind in {"greater_than_equal", "less_than_equal"}:
        return f"must be between 0 and 1, not {found}"
    if kind == "too_short":
        return "must not be empty"
    if kind == "finite_number":
        return "must be a finite number"
    return detail["msg"]


def _unknown_kind(path: Path, part: object, vocabulary: Vocabulary) -> tuple[Path, str]:
    if not isinstance(part, Mapping):
        return path, f"must be an object, not {show(part)}"
    key, kinds = next(vocabulary.kinds[name] for name in map(str, reversed(path)) if name in vocabulary.kinds)
    found = f"not {show(part[key])}" if key in part else "but it is missing"
    return (*path, key), f"must be {quoted_words(kinds)}, {found}"


def _policy_at(location: Sequence[str | int]) -> tuple[str, str]:
    """Return the tag of the feature and the name of the policy at a location that ends in the form of the policy."""
    kind, name = [str(step) for step in ("", "", *location)[-3:-1]]
    return kind, name


def _steps(location: Sequence[str | int], value: Any) -> Iterator[str | int]:
    """Yield the keys and positions of a location as far as the value has them, and one key that an object lacks."""
    for step in location:
        # What comes after the value are types that it might have had.
        if not isinstance(value, Mapping if isinstance(step, str) else list | tuple):
            return
        yield step
        value = _member(step, value)


def _member(step: Any, value: Any) -> Any:
    if isinstance(value, Mapping):
        return value.get(step)
    return value[step] if isinstance(step, int) and step < len(value) else None
