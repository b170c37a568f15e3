"""``ModelVerification``: rows that come with a model, and the probabilities that it gives them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.conversion.pmml.elements import Element, number
from pipeline.conversion.pmml.values import NUMBER_TYPES

Floats = npt.NDArray[np.float64]
# How close a result must be where a field does not say, by the standard.
_PRECISION = 1e-6


def read_rows(
    root: Element, model: Element, document: Mapping[str, Any]
) -> tuple[dict[str, list[Any]], Floats, float] | None:
    """Return the rows as columns, their probabilities, and how close to these the file wants the results.

    ``None`` where the file has no rows or no probabilities.
    """
    found = model.first("ModelVerification")
    table = None if found is None else found.first("InlineTable")
    if found is None or table is None or "points" in document.get("output", {}):
        return None
    fields = {each.require("field"): each for each in found.descendants("VerificationField")}
    named = {name: each.get("column") or name for name, each in fields.items()}
    outputs = [probability_field(model, value) for value in _wanted(document)]
    if any(name not in named for name in outputs):
        return None
    rows = table.all("row")
    if not rows:
        return None
    types = {each.require("name"): each.get("dataType") for each in root.one("DataDictionary").all("DataField")}
    # A column that the rows do not have is missing in each of them.
    columns = {
        field: [_cell(row, _text(row, named.get(field, field)), type_) for row in rows]
        for field, type_ in types.items()
    }
    expected = np.array([[_probability(row, _text(row, named[name])) for name in outputs] for row in rows])
    precision = max(_precision(fields[name]) for name in outputs)
    return columns, expected if "classes" in document else expected.reshape(-1), precision


def _precision(field: Element) -> float:
    return field.number("precision", _PRECISION)


def _wanted(document: Mapping[str, Any]) -> Sequence[Any]:
    """Return the values of the target whose probabilities are compared; ``None`` for the only one."""
    if "classes" in document:
        return list(document["classes"])
    return [document["target"]["positive"] if "target" in document else None]


def probability_field(model: Element, value: Any) -> str:
    """Return the output field with the probability of a value of the target; empty where there is none.

    Without a value it is what the model predicts.
    """
    # The last model of a chain has the result.
    for each in reversed(list(model.descendants("OutputField"))):
        if value is None and each.get("feature") == "predictedValue":
            return each.get("name")
        if value is not None and each.get("feature") == "probability" and _same(each.get("value"), value):
            return each.get("name")
    return ""


def _same(text: str, value: Any) -> bool:
    if isinstance(value, bool):
        return text.lower() == str(value).lower()
    try:
        return text == value if isinstance(value, str) else float(text) == value
    except ValueError:
        return False


def _text(row: Element, column: str) -> str:
    """Return the text of a cell, without regard to the prefix of its namespace; empty where there is none."""
    local = column.rpartition(":")[2]
    return next((each.text for each in row.children if each.name == local), "")


def _cell(row: Element, text: str, type_: str) -> Any:
    if not text:
        return None
    if type_ == "boolean":
        return text.strip().lower() in {"true", "1"}
    return number(row, text, "a value in it") if type_ in NUMBER_TYPES else text


def _probability(row: Element, text: str) -> float:
    return number(row, text, "a probability in it") if text else math.nan
