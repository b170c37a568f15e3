"""``ModelVerification``: rows that come with a model, and the probabilities that it gives them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.conversion.pmml.elements import Element

Floats = npt.NDArray[np.float64]
_NUMBERS = frozenset({"integer", "float", "double"})


def read_rows(root: Element, model: Element, document: Mapping[str, Any]) -> tuple[dict[str, list[Any]], Floats] | None:
    """Return the rows as columns, and their probabilities; ``None`` where the file has none or no probabilities."""
    found = model.first("ModelVerification")
    table = None if found is None else found.first("InlineTable")
    if found is None or table is None or "points" in document.get("output", {}):
        return None
    named = {
        each.require("field"): each.get("column") or each.require("field")
        for each in found.descendants("VerificationField")
    }
    outputs = [probability_field(model, value) for value in _wanted(document)]
    if any(name not in named for name in outputs):
        return None
    rows = [{child.name: child.text for child in row.children} for row in table.all("row")]
    types = {each.require("name"): each.get("dataType") for each in root.one("DataDictionary").all("DataField")}
    columns = {
        field: [_cell(row.get(_local(column)), types[field]) for row in rows]
        for field, column in named.items()
        if field in types
    }
    expected = np.array([[_number(row.get(_local(named[name]))) for name in outputs] for row in rows], dtype=np.float64)
    return columns, expected if "classes" in document else expected.reshape(-1)


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


def _local(column: str) -> str:
    return column.rpartition(":")[2]


def _cell(text: str | None, type_: str) -> Any:
    if text is None or text == "":
        return None
    if type_ == "boolean":
        return text.strip().lower() in {"true", "1"}
    return float(text) if type_ in _NUMBERS else text


def _number(text: str | None) -> float:
    return math.nan if not text else float(text)
