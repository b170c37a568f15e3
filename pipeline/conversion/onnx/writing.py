"""A model as an ONNX graph in float64, from standard operators that onnxruntime has for float64."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.conversion.formula import check_policies, formula
from pipeline.conversion.onnx.construction import Construction
from pipeline.conversion.onnx.graph import CORE, DOUBLE, ML, STRING, Graph, Port
from pipeline.conversion.onnx.inputs import input_types
from pipeline.conversion.onnx.links import decision, probability
from pipeline.conversion.onnx.protobuf import encode
from pipeline.conversion.onnx.terms import TermWriter
from pipeline.conversion.results import columns_made
from pipeline.errors import ModelError
from pipeline.models.logistic.file import ModelFile
from pipeline.models.logistic.score import ScoreBlock
from pipeline.units import escape

# Every operator used has float64 in onnxruntime 1.16 (2023) and later, which read these versions.
OPSETS = {CORE: 13, ML: 2}
INSTEAD = {"error": 'a graph cannot stop: use "null", which makes the row NaN, impute or a level'}
OUTPUTS = ("probability", "raw_prediction", "decision")


def write(model: ModelFile) -> bytes:
    """Return the bytes of an ONNX file that computes ``probability``, ``raw_prediction`` and ``decision``.

    The inputs are columns of shape (rows, 1) in the order of the features: float64 for numbers, text for text levels,
    int64 for integer levels, bool for booleans. A missing value is NaN, missing text the empty text; where a policy
    gives integer levels or booleans another value for it, these are float64 too. The outputs have shape (rows, 1),
    with classes (rows, classes), except for the decision. A row without a score is NaN, and its decision NaN or the
    empty text: this is what the policies ``null`` and ``quarantine`` do, and what a value outside the domain of a
    transform does. The policy ``error`` is refused, since a graph cannot stop.

    Raises
    ------
    ModelError
        The graph cannot express something; the message names it.
    ConfigurationError
        The package onnx is not installed.
    """
    return encode(graph(model))


def check_names(columns: Iterable[str]) -> None:
    """Raise a ``ModelError`` if a column has the name of an output."""
    if taken := next((name for name in columns if name in OUTPUTS), None):
        raise ModelError(
            f'the column "{escape(taken)}" has the name of an output of the graph', "rename the column in the model"
        )


def graph(model: ModelFile) -> Graph:
    """Return the graph of a model, as :func:`write` writes it."""
    wanted = columns_made(model, OUTPUTS, "a graph")
    whole = formula(model)
    check_policies([tree for _, tree in whole.contributions], INSTEAD, "a graph")
    types = input_types([tree for _, tree in whole.contributions])
    check_names(types)
    made = Construction((*types, *OUTPUTS))
    terms = TermWriter(made, types)
    raw = made.row(whole.base)
    for name, tree in whole.contributions:
        raw = made.add("Add", raw, terms.write(name, tree))
    raw = made.output("raw_prediction", raw)
    chance = made.output("probability", probability(made, model, raw))
    outputs = [Port("probability", DOUBLE, (None, made.width)), Port("raw_prediction", DOUBLE, (None, made.width))]
    if "decision" in wanted or model.classes is not None:
        decided = decision(made, model, raw, chance, ScoreBlock.of(model).threshold)
        outputs.append(Port(made.output("decision", decided.name), STRING if decided.is_text else DOUBLE))
    inputs = tuple(Port(name, type_) for name, type_ in types.items())
    return Graph(inputs, tuple(outputs), tuple(made.nodes), made.constants, OPSETS)
