"""From a PMML document, version 4.2 to 4.4, to a model file."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipeline.conversion.importing import Imported
from pipeline.conversion.pmml import scorecard
from pipeline.conversion.pmml.chain import read_chain
from pipeline.conversion.pmml.elements import Element, fault, number, parse, refused
from pipeline.conversion.pmml.general import read_general
from pipeline.conversion.pmml.regression import read_regression
from pipeline.conversion.pmml.scorecard import read_scorecard
from pipeline.conversion.pmml.verification import probability_field, read_rows
from pipeline.errors import ModelError
from pipeline.units import escape

_VERSION = re.compile(r"4\.[234](\..*)?")
_MODELS: Mapping[str, Callable[[Element, Element], dict[str, Any]]] = {
    "RegressionModel": read_regression,
    "GeneralRegressionModel": read_general,
    "Scorecard": read_scorecard,
    "MiningModel": read_chain,
}
_BESIDE = ("Header", "MiningBuildTask", "DataDictionary", "TransformationDictionary")
_EXACT, _FLOAT = 1e-12, 1e-6


def convert(path: Path, data: bytes) -> Imported:
    """Return the model in a PMML document.

    Raises
    ------
    ModelError
        The file is not PMML 4.2 to 4.4, or says what a model file cannot; with the line and the element.
    ConfigurationError
        defusedxml is not installed.
    """
    try:
        root = parse(data)
        model = _model(root)
        document = _MODELS[model.name](root, model)
        _add_threshold(model, document)
        rows = read_rows(root, model, document)
    except RecursionError as error:
        raise ModelError(f"{escape(str(path))}: its fields are derived from each other too deeply", _ASK) from error
    except ModelError as error:
        raise ModelError(f"{escape(str(path))}: {error.message}", error.remedy).at(str(path)) from error
    single = model.get("x-mathContext") == "float" or any(
        each.get("dataType") == "float" for each in root.descendants("DataField", "DerivedField")
    )
    verification, expected, precision = (None, None, 0.0) if rows is None else rows
    return Imported(
        document=document,
        notes=tuple(_notes(root, model, document, single=single)),
        tolerance=max(_FLOAT if single else _EXACT, precision),
        verification=verification,
        expected=expected,
    )


def _model(root: Element) -> Element:
    if root.name != "PMML":
        raise ModelError(f"line {root.line}: the file is XML, but not PMML: its root is {escape(root.name)}", _ASK)
    version = root.require("version")
    if not _VERSION.fullmatch(version):
        raise refused(root, f"is version {escape(version, 20)}, and 4.2 to 4.4 are read", _ASK)
    models = [each for each in root.children if each.name not in _BESIDE and each.name != "Extension"]
    if len(models) != 1:
        raise fault(root, f"must have one model, not {len(models)}")
    if models[0].name not in _MODELS:
        raise refused(models[0], "is not a logistic model", f"give a file with {', '.join(_MODELS)}")
    return models[0]


def _add_threshold(model: Element, document: dict[str, Any]) -> None:
    """Take over the threshold of a decision, where an ``OutputField`` compares the probability with a constant."""
    if "classes" in document or model.name == "Scorecard":
        return
    for found in model.descendants("OutputField"):
        test = found.first("Apply")
        compared = None if test is None or test.get("function") != "if" else test.first("Apply")
        limit = None if compared is None else compared.first("Constant")
        if compared is None or limit is None or compared.get("function") != "greaterOrEqual":
            continue
        if _is_probability(model, compared, document) and 0 <= number(limit, limit.text) <= 1:
            document["output"] = {"threshold": number(limit, limit.text)}


def _is_probability(model: Element, compared: Element, document: Mapping[str, Any]) -> bool:
    """Return whether what is compared is the probability of the positive class."""
    named = [each.get("field") for each in compared.all("FieldRef")]
    return bool(named) and named[0] == probability_field(model, document.get("target", {}).get("positive"))


_ASK = "write the model again as PMML 4.4 with the tool that made it"


def _notes(root: Element, model: Element, document: Mapping[str, Any], *, single: bool) -> list[str]:
    notes = scorecard.notes(model) if model.name == "Scorecard" else []
    functions = {each.get("function") for each in root.descendants("Apply")}
    if single:
        notes.append(
            "the file computes fields of type float in float32: here they are float64, so scores differ by 1e-6"
        )
    if "log" in functions:
        notes.append("the function log is not in the standard, and is read as the natural logarithm")
    computed = [
        each
        for each in model.descendants("OutputField")
        if each.first("Apply", "FieldRef", "MapValues", "Discretize") is not None
        and "threshold" not in document.get("output", {})
    ]
    if computed:
        named = ", ".join(f'"{escape(each.get("name"))}"' for each in computed[:3])
        notes.append(f"output fields that are computed are not taken over: {named}")
    if functions & {"sum", "product"} and _has_null(document["features"]):
        notes.append("sum and product leave missing values out in PMML: here such a row has no score")
    return notes


def _has_null(value: Any) -> bool:
    if isinstance(value, Mapping):
        return value.get("missing") == "null" or any(map(_has_null, value.values()))
    return isinstance(value, list) and any(map(_has_null, value))
