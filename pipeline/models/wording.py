"""What is wrong with a model file, in words for the person who wrote it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from pipeline.models.places import FOUND_LIMIT, Path, Problem
from pipeline.units import escape, nearest

_KEYS = {
    "": ("format", "version", "kind", "target", "intercept", "features", "output", "training"),
    "target": ("column", "negative", "positive"),
    "output": ("columns", "threshold", "temperature", "alpha", "beta"),
    "<numeric>": ("column", "kind", "coefficient", "center", "scale", "missing"),
    "<categorical>": ("column", "kind", "coefficients", "missing", "unseen"),
}
_TAGS = {"<word>", "<rule>", "<numeric>", "<categorical>"}
_RULES = {"<numeric>": ("impute",), "<categorical>": ("level",)}
_POLICIES: dict[tuple[str | int, ...], str] = {
    ("<numeric>", "missing"): '"null", "error", "quarantine" or {"impute": number}',
    ("<categorical>", "missing"): '"null", "error", "quarantine" or {"level": text}',
    ("<categorical>", "unseen"): '"null", "zero", "error", "quarantine" or {"level": text}',
}
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


def problems(error: ValidationError, value: object) -> list[Problem]:
    """Return one problem for each place that a validation complains about.

    Where a value fits none of several types, the types have one complaint each; the first speaks for all of them. Of
    more than 10,000 complaints the first are put into words.
    """
    found: dict[Path, Problem] = {}
    for detail in islice(error.errors(include_url=False), FOUND_LIMIT):
        # The length of a list is taken of the members that were valid.
        if detail["type"] == "too_short" and detail["input"]:
            continue
        path, message = _problem(detail, value)
        found.setdefault(path, Problem(path, message))
    return list(found.values())


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """Return that a name is not known, with the one that was perhaps meant."""
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


def _problem(detail: ErrorDetails, value: object) -> tuple[Path, str]:
    location, kind = detail["loc"], detail["type"]
    context = detail.get("ctx", {})
    path = tuple(_steps(location, value, ends_in_key=kind == "extra_forbidden"))
    if kind in {"union_tag_invalid", "union_tag_not_found"}:
        return _unknown_kind(path, detail["input"])
    if kind == "extra_forbidden":
        return path, unknown("key", str(location[-1]), _known_keys(location[:-1]))
    if kind == "missing":
        return path, "is required and is not there"
    if path in {("target", "negative"), ("target", "positive")}:
        return path, f"must be text, a boolean or a number, not {_show(detail['input'])}"
    if "at" in context:
        return (*path, *context["at"]), detail["msg"]
    return path, _message(kind, detail, context)


def _message(kind: str, detail: ErrorDetails, context: Mapping[str, Any]) -> str:
    found = _show(detail["input"])
    if kind in _EXPECTED:
        return f"{_EXPECTED[kind]}, not {found}"
    if kind == "literal_error":
        choices = _POLICIES.get(detail["loc"][-3:-1]) or context["expected"].replace("'", '"')
        return f"must be {choices}, not {found}"
    if kind in {"greater_than_equal", "less_than_equal"}:
        return f"must lie in [0, 1], not {found}"
    if kind == "too_short":
        return "must not be empty"
    if kind == "finite_number":
        return "must be a finite number"
    return detail["msg"]


def _unknown_kind(path: Path, feature: object) -> tuple[Path, str]:
    if not isinstance(feature, Mapping):
        return path, f"must be an object, not {_show(feature)}"
    found = f"not {_show(feature['kind'])}" if "kind" in feature else "and is not there"
    return (*path, "kind"), f'must be "numeric" or "categorical", {found}'


def _known_keys(location: Sequence[str | int]) -> Sequence[str]:
    if location and location[-1] == "<rule>":
        return _RULES["<numeric>"] if "<numeric>" in location and "missing" in location else _RULES["<categorical>"]
    return _KEYS[str(location[-1]) if location else ""]


def _steps(location: Sequence[str | int], value: Any, *, ends_in_key: bool) -> Iterator[str | int]:
    """Yield the keys and positions of a location, without the tags of the union members that it goes through."""
    for position, step in enumerate(location):
        if step in _TAGS and not (ends_in_key and position == len(location) - 1):
            continue
        # Beyond the value itself come the types that it might have had.
        if not isinstance(value, Mapping if isinstance(step, str) else list | tuple):
            return
        yield step
        value = _member(step, value)


def _member(step: Any, value: Any) -> Any:
    if isinstance(value, Mapping):
        return value.get(step)
    return value[step] if isinstance(step, int) and step < len(value) else None


def _show(value: object) -> str:
    return escape(json.dumps(value, ensure_ascii=False, default=str), 60)
