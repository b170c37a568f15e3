"""What a PMML document predicts: its target, the values of it, and the model file around features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.conversion.pmml.elements import Element, fault, refused
from pipeline.conversion.pmml.features import features
from pipeline.conversion.pmml.terms import TermSums
from pipeline.conversion.pmml.values import LEVEL_TYPES, rounded
from pipeline.dataclass import dataclass
from pipeline.models.levels import level_value
from pipeline.models.logistic.documents import default_name, named_apart, version_of
from pipeline.units import escape


@dataclass(frozen=True, slots=True)
class TargetField:
    """The target of a model: the name of its column, the type of its values, and the values in their order."""

    column: str
    type: str
    values: tuple[str, ...]

    def value(self, at: Element, text: str) -> bool | int | float | str:
        """Return a category as JSON."""
        type_ = LEVEL_TYPES.get(self.type, "text")
        if type_ == "text":
            return text
        read = level_value(text, type_)
        if read is None:
            raise fault(at, f'the category "{escape(text)}" is not of the type of the target')
        return int(read) if type_ == "integer" else read


def read_target(root: Element, model: Element) -> TargetField:
    """Return the target of a model; one without a name where the file names none."""
    schema = model.one("MiningSchema")
    named = [each for each in schema.all("MiningField") if each.get("usageType") in {"target", "predicted"}]
    if len(named) > 1:
        raise fault(named[1], "a model has one target")
    name = named[0].require("name") if named else model.get("targetFieldName")
    data = next((each for each in root.one("DataDictionary").all("DataField") if each.get("name") == name), None)
    if data is None:
        return TargetField(name, "string", ())
    values = [each.require("value") for each in data.all("Value") if each.get("property", "valid") == "valid"]
    return TargetField(name, data.get("dataType", "string"), tuple(values))


def document(model: Element, terms: TermSums, *, classes: Sequence[Any] = (), **more: Any) -> dict[str, Any]:
    """Return a model file: version 1 where that can say it."""
    intercepts = [rounded(each) for each in terms.intercepts]
    made = features(terms, classes=bool(classes))
    if not made:
        raise refused(model, "gives every row the same probability", "a model needs one predictor that is a column")
    content: dict[str, Any] = {"format": "logitstream-model", "version": 1, "kind": "logistic"}
    if classes:
        content["classes"] = list(classes)
    content |= more
    content["intercept"] = intercepts if classes else intercepts[0]
    content["features"] = named_apart([_default_name(feature) for feature in made])
    content["version"] = version_of(content)
    return content


def _default_name(feature: dict[str, Any]) -> dict[str, Any]:
    if feature.get("name") == default_name(feature):
        del feature["name"]
    return feature
