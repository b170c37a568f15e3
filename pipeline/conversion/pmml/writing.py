"""From a model file to a PMML 4.4 document.

The order of features is that of the columns in ``DataDictionary`` where each feature is a column, else that of
``DerivedField``. Numbers are written folded, so that they are those that the scorer uses, with as many digits
as give them back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from pipeline.conversion.formula import Formula, formula
from pipeline.conversion.pmml.columns import DeclaredColumn, add_data_fields, add_mining_fields, fields, is_plain
from pipeline.conversion.pmml.trees import Derivations, FieldPredictor, FreeNames
from pipeline.conversion.results import columns_made
from pipeline.dataclass import dataclass
from pipeline.errors import ModelError
from pipeline.models.logistic.expression import Arithmetic, Constant, Lookup, Numbers
from pipeline.models.logistic.file import ModelFile
from pipeline.models.logistic.sections import number_of
from pipeline.units import escape

_NAMESPACE = "http://www.dmg.org/PMML-4_4"
# What XML 1.0 has no way to write.
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# GeneralRegressionModel, which has a place for an offset, lacks cauchit.
_GENERAL_LINKS = frozenset({"logit", "probit", "cloglog", "loglog"})
_TYPES = {str: "string", bool: "boolean", int: "integer", float: "double"}
# Sections of ``output`` that change or explain the probability, and have no place in these models of PMML.
OUTPUTS = ("probability", "decision")
_NO_PLACE = ("temperature", "alpha", "beta", "calibration", "points", "bands", "reasons")


def write(model: ModelFile) -> bytes:
    """Return a model as a PMML 4.4 document.

    Raises
    ------
    ModelError
        PMML cannot say it: the message names what.
    """
    _check_output(model)
    document = _PmmlDocument.of(model)
    if any(not value for value, _ in document.categories):
        raise ModelError("a class is the empty text, which cannot be a category in PMML", "give the class another name")
    root = Element("PMML", {"xmlns": _NAMESPACE, "version": "4.4"})
    header = SubElement(root, "Header")
    SubElement(header, "Application", name="logitstream")
    dictionary = SubElement(root, "DataDictionary")
    add_data_fields(dictionary, document.columns, plain=document.plain)
    document.add_target(dictionary)
    document.add_model(root)
    for element in root.iter():
        for text in (*element.attrib.values(), element.text or ""):
            _check_text(text)
    indent(root)
    # Elsewhere than in attributes a carriage return would be read as a line feed.
    text = tostring(root, encoding="unicode").replace("\r", "&#13;")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'.encode()


def _check_output(model: ModelFile) -> None:
    given = model.output.model_dump(exclude_defaults=True)
    if found := [f"output.{name}" for name in _NO_PLACE if given.get(name) is not None]:
        message = f"{', '.join(found)}: a PMML document of a logistic model has no place for that"
        raise ModelError(message, "export a copy of the model without it")
    columns_made(model, OUTPUTS, "PMML")


def _check_text(text: str) -> None:
    found = _NO_XML.search(text)
    if found:
        raise ModelError(
            f'"{escape(text, 40)}" has the character U+{ord(found.group()):04X}, which XML cannot hold',
            "rename the column or the level",
        )


@dataclass(frozen=True, slots=True)
class _PmmlDocument:
    """What is written of a model.

    Attributes
    ----------
    model : ModelFile
    base : float or tuple of float
    columns : list of DeclaredColumn
    plain : bool
        Whether every feature is a column, so that no field is derived.
    local : Element
        The derived fields.
    predictors : list of FieldPredictor
    offset : str
        The field of an offset that is written as such; empty without.
    target : str
        The name of the target.
    """

    model: ModelFile
    base: Numbers
    columns: Sequence[DeclaredColumn]
    plain: bool
    local: Element
    predictors: Sequence[FieldPredictor]
    offset: str
    target: str

    @classmethod
    def of(cls, model: ModelFile) -> _PmmlDocument:
        """Return what is written of a model."""
        whole = formula(model)
        trees = [tree for _, tree in whole.contributions]
        columns, plain = fields(trees), is_plain(whole.contributions)
        names = FreeNames({column.name for column in columns})
        local = Element("LocalTransformations")
        predictors = _plain(whole) if plain else _derived(whole, model, names, local, columns)
        own = _has_place_for_offset(model)
        offset = predictors[0].field if own else ""
        wanted = model.target.column if model.target is not None and model.target.column else "target"
        target = names.free(wanted) if wanted in names.used else wanted
        return cls(model, whole.base, columns, plain, local, predictors[1:] if own else predictors, offset, target)

    @property
    def categories(self) -> list[tuple[str, str]]:
        """The classes as they are spelled, with their type; first the positive one of a binary model."""
        model = self.model
        if model.classes is not None:
            values: Sequence[Any] = model.classes
        elif model.target is None or model.target.positive is None:
            values = ()
        else:
            values = (model.target.positive, model.target.negative)
        return [
            (str(value).lower() if isinstance(value, bool) else str(value), _TYPES[type(value)]) for value in values
        ]

    def add_target(self, dictionary: Element) -> None:
        """Add the target to the data dictionary."""
        if not self.categories:
            return
        made = SubElement(
            dictionary, "DataField", name=self.target, optype="categorical", dataType=self.categories[0][1]
        )
        in_order = self.categories if self.model.classes else self.categories[::-1]
        for value, _ in in_order:
            SubElement(made, "Value", value=value)
        dictionary.set("numberOfFields", str(len(dictionary)))

    def add_model(self, root: Element) -> None:
        """Add the element of the model."""
        if self.offset:
            self._general(root)
        elif self.model.classes is not None and self.model.normalise == "one-vs-rest":
            self._chain(root)
        else:
            self._regression(root)

    def _begin(self, parent: Element, name: str, **more: str) -> Element:
        function = "classification" if self.categories else "regression"
        made = SubElement(parent, name, {"functionName": function, **more})
        schema = SubElement(made, "MiningSchema")
        add_mining_fields(schema, self.columns, plain=self.plain)
        if self.categories:
            SubElement(schema, "MiningField", name=self.target, usageType="target")
        self._output(SubElement(made, "Output"))
        if len(self.local):
            made.append(self.local)
        return made

    def _output(self, output: Element) -> None:
        names = FreeNames({column.name for column in self.columns} | {self.target})
        if not self.categories:
            first = _probability(output, names.free("probability"), "")
        elif self.model.classes is None:
            first = _probability(output, names.free("probability"), self.categories[0][0])
        else:
            for value, _ in self.categories:
                _probability(output, names.free(f"probability_{value}"), value)
            return
        if self.model.output.threshold is not None:
            self._decision(output, first, names.free("decision"))

    def _decision(self, output: Element, probability: str, name: str) -> None:
        (positive, type_), (negative, _) = self.categories or [("true", "boolean"), ("false", "boolean")]
        made = SubElement(
            output, "OutputField", name=name, optype="categorical", dataType=type_, feature="transformedValue"
        )
        test = SubElement(made, "Apply", function="if")
        compared = SubElement(test, "Apply", function="greaterOrEqual")
        SubElement(compared, "FieldRef", field=probability)
        SubElement(compared, "Constant", dataType="double").text = repr(self.model.output.threshold)
        for value in (positive, negative):
            SubElement(test, "Constant", dataType=type_).text = value

    def _regression(self, root: Element) -> None:
        method = "softmax" if self.model.classes else self.model.link
        made = self._begin(root, "RegressionModel", normalizationMethod=method)
        categories = [value for value, _ in self.categories] or [""]
        count = self.model.outputs
        for place, category in enumerate(categories[:count]):
            self._table(made, place, category)
        for category in categories[count:]:
            SubElement(made, "RegressionTable", intercept="0", targetCategory=category)

    def _table(self, parent: Element, place: int, category: str) -> None:
        named = {"targetCategory": category} if category else {}
        table = SubElement(parent, "RegressionTable", {"intercept": repr(number_of(self.base, place)), **named})
        here = [each for each in self.predictors if each.only in {None, place}]
        for each in (each for each in here if each.levels is None):
            coefficient = repr(number_of(each.coefficient or 0.0, place))
            SubElement(table, "NumericPredictor", name=each.field, coefficient=coefficient)
        for each in here:
            for level, numbers in (each.levels or {}).items():
                coefficient = repr(number_of(numbers, place))
                SubElement(table, "CategoricalPredictor", name=each.field, value=level, coefficient=coefficient)

    def _chain(self, root: Element) -> None:
        """Write a model for each class, and one that divides their probabilities by the sum."""
        made = self._begin(root, "MiningModel")
        chain = SubElement(
            made, "Segmentation", multipleModelMethod="modelChain", missingPredictionTreatment="returnMissing"
        )
        used = list(dict.fromkeys(each.field for each in self.predictors))
        names = FreeNames({*(column.name for column in self.columns), self.target, *used})
        results = [names.free(f"sigmoid_{value}") for value, _ in self.categories]
        for place, result in enumerate(results):
            part = _segment(chain, place, {"functionName": "regression", "normalizationMethod": "logit"}, used)
            output = SubElement(part, "Output")
            SubElement(
                output, "OutputField", name=result, optype="continuous", dataType="double", feature="predictedValue"
            )
            self._table(part, place, "")
        last = {"functionName": "classification", "normalizationMethod": "simplemax"}
        part = _segment(chain, len(results), last, results, self.target)
        for result, (value, _) in zip(results, self.categories, strict=True):
            table = SubElement(part, "RegressionTable", intercept="0", targetCategory=value)
            SubElement(table, "NumericPredictor", name=result, coefficient="1")

    def _general(self, root: Element) -> None:
        more = {"modelType": "generalizedLinear", "distribution": "binomial", "linkFunction": self.model.link}
        if self.categories:
            more["targetReferenceCategory"] = self.categories[1][0]
        more["offsetVariable"] = self.offset
        made = self._begin(root, "GeneralRegressionModel", **more)
        parameters = list(_parameters(self.predictors))
        listed = SubElement(made, "ParameterList")
        for name in ("p0", *(name for name, *_ in parameters)):
            SubElement(listed, "Parameter", name=name)
        for kind, is_factor in (("FactorList", True), ("CovariateList", False)):
            here = [each.field for each in self.predictors if (each.levels is not None) == is_factor]
            parent = SubElement(made, kind) if here else made
            for field in here:
                SubElement(parent, "Predictor", name=field)
        matrix = SubElement(made, "PPMatrix")
        for name, field, value, _ in parameters:
            SubElement(matrix, "PPCell", value=value, predictorName=field, parameterName=name)
        coefficients = SubElement(made, "ParamMatrix")
        category = {"targetCategory": self.categories[0][0]} if self.categories else {}
        for name, beta in (("p0", number_of(self.base, 0)), *((name, number) for name, *_, number in parameters)):
            SubElement(coefficients, "PCell", {**category, "parameterName": name, "beta": repr(beta)})


def _has_place_for_offset(model: ModelFile) -> bool:
    """Return whether an offset is written as such; elsewhere it is a predictor with coefficient 1, which is the same.

    GeneralRegressionModel has the place. JPMML does not find the parameters there if the target is not text.
    """
    if model.offset is None or model.classes is not None or model.link not in _GENERAL_LINKS:
        return False
    return model.target is None or model.target.positive is None or isinstance(model.target.positive, str)


def _parameters(predictors: Sequence[FieldPredictor]) -> Iterator[tuple[str, str, str, float]]:
    count = 0
    for each in predictors:
        levels = {"1": each.coefficient} if each.levels is None else each.levels
        for value, number in levels.items():
            count += 1
            yield f"p{count}", each.field, value, number_of(number or 0.0, 0)


def _probability(output: Element, name: str, value: str) -> str:
    """Add a column of the result and return its name; without a value it is what the model predicts."""
    feature = {"feature": "probability", "value": value} if value else {"feature": "predictedValue"}
    SubElement(output, "OutputField", {"name": name, "optype": "continuous", "dataType": "double", **feature})
    return name


def _segment(chain: Element, place: int, given: dict[str, str], used: Sequence[str], target: str = "") -> Element:
    segment = SubElement(chain, "Segment", id=str(place + 1))
    SubElement(segment, "True")
    made = SubElement(segment, "RegressionModel", given)
    schema = SubElement(made, "MiningSchema")
    for name in used:
        SubElement(schema, "MiningField", name=name)
    if target:
        SubElement(schema, "MiningField", name=target, usageType="target")
    return made


def _plain(whole: Formula) -> list[FieldPredictor]:
    """Return the predictors of features that are columns."""
    found = []
    for name, tree in whole.contributions:
        if isinstance(tree, Lookup):
            found.append(FieldPredictor.of_levels(name, tree))
        elif isinstance(tree, Arithmetic) and isinstance(tree.right, Constant):
            found.append(FieldPredictor(name, tree.right.value))
        else:
            found.append(FieldPredictor(name, 1.0))
    return found


def _derived(
    whole: Formula, model: ModelFile, names: FreeNames, local: Element, columns: Sequence[DeclaredColumn]
) -> list[FieldPredictor]:
    """Return the predictors of features that are derived fields, and add these fields."""
    continuous = frozenset(column.name for column in columns if column.is_number)
    made = Derivations(names, local, continuous, model.outputs)
    for name, tree in whole.contributions:
        made.add(name, tree)
    return made.predictors
