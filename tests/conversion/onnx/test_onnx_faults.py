"""What can be wrong with an ONNX graph, row by row: one clear error each, and nothing is written."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.conversion.onnx import protobuf
from pipeline.conversion.onnx.graph import BOOL, CORE, DOUBLE, FLOAT, INT64, ML, STRING, Graph, Node, Port
from pipeline.conversion.onnx.protobuf import SIZE_LIMIT, decode, encode
from pipeline.conversion.onnx.reading import convert, read
from pipeline.conversion.onnx.writing import graph as graph_of
from pipeline.errors import ConfigurationError, ModelError
from pipeline.models import LogisticModel
from pipeline.models.logistic.parsing import from_mapping
from tests.conversion.onnx.make_graphs import GRAPHS

needs_onnx = pytest.mark.skipif(find_spec("onnx") is None, reason="the package onnx is not installed")

X = Port("X", DOUBLE, (None, 2))
WEIGHTS = np.array([[0.5], [-1.0]])


def graph(*nodes: Node, inputs: tuple[Port, ...] = (X,), outputs: tuple[str, ...] = ("p",), **other: Any) -> Graph:
    """Return a graph of nodes behind which a sigmoid stands."""
    given = {
        "constants": {"w": WEIGHTS, "one": np.array([1.0])},
        "opsets": {CORE: 13, ML: 2},
        "metadata": {},
        **other,
    }
    return Graph(inputs, tuple(Port(name, DOUBLE) for name in outputs), nodes, **given)


def after(*nodes: Node, **other: Any) -> Graph:
    """Return a graph that goes on from ``t``, which the nodes make of ``X``."""
    rest = (Node("MatMul", ("t", "w"), ("z",)), Node("Sigmoid", ("z",), ("p",)))
    return graph(*nodes, *rest, **other)


def one(operator: str, *inputs: str, domain: str = CORE, **attributes: Any) -> Node:
    return Node(operator, inputs or ("X",), ("t",), attributes, domain, f"my {operator}")


SIGMOID = Node("Sigmoid", ("t",), ("p",))
LINEAR = {"coefficients": [1.0, 2.0, -1.0, -2.0], "intercepts": [0.0, 0.0], "classlabels_ints": [0, 1]}

FAULTS: dict[str, tuple[Graph, tuple[str, ...]]] = {
    "a tree ensemble": (
        graph(one("TreeEnsembleClassifier", domain=ML), SIGMOID),
        ('the node "my TreeEnsembleClassifier" (TreeEnsembleClassifier)', "is a tree ensemble, not a logistic model"),
    ),
    "a support vector machine": (graph(one("SVMClassifier", domain=ML), SIGMOID), ("a support vector machine",)),
    "a neural network": (after(one("Relu")), ('"my Relu" (Relu)', "belongs to a neural network")),
    "a hidden layer of sigmoids": (
        after(one("Sigmoid")),
        ('takes "sigmoid" of what it makes of column "column_0"', "no feature can express"),
    ),
    "an unknown operator": (after(one("Einsum")), ("(Einsum)", "is an operator that logitstream does not read")),
    "an unknown domain": (
        after(one("Magic", domain="com.example"), opsets={CORE: 13, "com.example": 1}),
        ('"my Magic" (Magic)', "com.example, which is not part of the ONNX standard"),
    ),
    "an unknown opset": (
        after(one("Identity"), opsets={CORE: 99}),
        ("version 99 of the operators ai.onnx", "7 to 28 are known", "target_opset"),
    ),
    "an unknown opset of ai.onnx.ml": (
        after(one("Identity"), opsets={CORE: 13, ML: 17}),
        ("version 17 of the operators ai.onnx.ml", "1 to 5 are known"),
    ),
    "inputs that it does not use": (
        graph(one("ConstantOfShape"), SIGMOID),
        ("the graph uses none of its inputs",),
    ),
    "a branch": (after(one("If")), ("(If)", "a program with branches or loops")),
    "text that is counted": (
        graph(Node("MatMul", ("X", "w"), ("t",)), SIGMOID, inputs=(Port("X", STRING, (None, 2)),)),
        ('the text of column "column_0"',),
    ),
    "a column that is compared with infinity": (
        after(
            Node("Greater", ("X", "end"), ("f",)),
            Node("Cast", ("f",), ("t",), {"to": DOUBLE}),
            constants={"w": WEIGHTS, "end": np.array([np.inf])},
        ),
        ('takes "greater" of what it makes of column "column_0"', "no feature can express"),
    ),
    "a column that is compared with NaN": (
        after(
            Node("LessOrEqual", ("X", "end"), ("f",)),
            Node("Cast", ("f",), ("t",), {"to": DOUBLE}),
            constants={"w": WEIGHTS, "end": np.array([np.nan])},
        ),
        ('takes "less_equal" of what it makes of column "column_0"', "no feature can express"),
    ),
    "a column whose fractions are cut off": (
        after(one("Cast", to=INT64)),
        ('takes "whole" of what it makes of column "column_0"', "no feature can express"),
    ),
    "a multiple whose fractions are cut off": (
        after(
            Node("Mul", ("X", "half"), ("s",)),
            Node("Cast", ("s",), ("t",), {"to": INT64}),
            constants={"w": WEIGHTS, "half": np.array([2.5])},
        ),
        ('takes "whole" of what it makes of column "column_0"', "no feature can express"),
    ),
    "a number that is made true or false": (
        after(Node("Cast", ("X",), ("f",), {"to": BOOL}), Node("Cast", ("f",), ("t",), {"to": DOUBLE})),
        ('takes "flag" of what it makes of column "column_0"', "no feature can express"),
    ),
    "the number of rows": (after(one("Shape", start=0, end=1)), ("(Shape) reads the length of one axis",)),
    "a constant of a given shape": (
        after(one("ConstantOfShape", "one")),
        ("(ConstantOfShape) makes a tensor whose shape is not that of its columns",),
    ),
    "a node without an output": (
        after(one("Identity"), Node("TreeEnsembleClassifier", ("X",), (), {}, ML)),
        ('the node that makes "" (TreeEnsembleClassifier) is a tree ensemble',),
    ),
    "a number of a level that is infinite": (
        after(
            Node("LabelEncoder", ("c",), ("t",), {"keys_strings": ["a"], "values_floats": [np.inf]}, ML),
            inputs=(Port("c", STRING, (None, 1)),),
        ),
        ("(LabelEncoder) gives a level an infinite number",),
    ),
    "a position that is NaN": (
        graph(
            Node("IsNaN", ("X",), ("n",)),
            Node("GreaterOrEqual", ("X", "one"), ("f",)),
            Node("Where", ("n", "none", "f"), ("i",)),
            Node("GatherND", ("table", "i"), ("t",)),
            SIGMOID,
            inputs=(Port("X", DOUBLE, (None, 1)),),
            constants={"one": np.array([1.0]), "none": np.array([np.nan]), "table": np.array([[0.5], [1.0]])},
        ),
        ('looks up column "X" beyond a table of 2 rows',),
    ),
    "a scale beyond float64": (
        after(
            Node("Mul", ("X", "small"), ("s",)),
            Node("Mul", ("s", "small"), ("q",)),
            Node("Log", ("q",), ("t",)),
            constants={"w": WEIGHTS, "small": np.array([1e-300])},
        ),
        ("a number of the graph is beyond float64",),
    ),
    "outputs that are parts of each other": (
        graph(Node("Reshape", ("p",), ("q",)), Node("Slice", ("q",), ("p",)), outputs=("p", "q")),
        ('takes "p", which nothing before it makes',),
    ),
    "outputs that are parts of nothing": (
        graph(Node("Reshape", (), ("p",)), Node("ZipMap", (), ("q",), {}, ML), outputs=("p", "q")),
        ("the outputs p, q: which has the probabilities?",),
    ),
    "rows that are mixed": (after(one("Softmax", axis=0)), ("(Softmax)", "another axis")),
    "a matrix of another height": (
        graph(Node("MatMul", ("X", "w"), ("t",)), SIGMOID, constants={"w": np.zeros((3, 1))}),
        ("multiplies 2 columns by a matrix of shape (3, 1)", "does not fit together"),
    ),
    "weights that are not finite": (
        graph(Node("MatMul", ("X", "w"), ("t",)), SIGMOID, constants={"w": np.array([[np.nan], [1.0]])}),
        ("has weights that are not finite",),
    ),
    "coefficients that overflow": (
        graph(
            Node("Mul", ("X", "big"), ("s",)),
            Node("MatMul", ("s", "big"), ("t",)),
            SIGMOID,
            constants={"big": np.array([[1e300], [1e300]])},
        ),
        ("has a constant of shape (2, 1)",),
    ),
    "a product of coefficients that overflows": (
        graph(
            Node("Mul", ("X", "big"), ("s",)),
            Node("MatMul", ("s", "w"), ("t",)),
            SIGMOID,
            constants={"big": np.array([1e300]), "w": np.array([[1e300], [1.0]])},
        ),
        ("a coefficient of the graph is beyond float64",),
    ),
    "an intercept that overflows": (
        graph(
            Node("MatMul", ("X", "w"), ("s",)),
            Node("Add", ("s", "big"), ("r",)),
            Node("Mul", ("r", "big"), ("t",)),
            SIGMOID,
            constants={"w": WEIGHTS * 1e-300, "big": np.array([1e300])},
        ),
        ("the intercept of the graph is beyond float64",),
    ),
    "no column count": (
        after(one("Identity"), inputs=(Port("X", FLOAT, (None, None)),)),
        ('the input "X" does not say how many columns it has',),
    ),
    "an input that is no tensor": (
        after(one("Identity"), inputs=(Port("X", 0, ()),)),
        ('the input "X" is no tensor of float, double, int32, int64, bool or string',),
    ),
    "no input": (after(one("Identity"), inputs=()), ("the graph has no input",)),
    "an input that nothing makes": (after(one("Identity", "Y")), ('takes "Y", which nothing before it makes',)),
    "outputs to choose from": (
        after(one("Identity"), outputs=("p", "z")),
        ("the outputs p, z: which has the probabilities?",),
    ),
    "an output that is missing": (after(one("Identity"), outputs=("q",)), ('no node makes the output "q"',)),
    "a constant as output": (
        graph(Node("Add", ("one", "one"), ("p",))),
        ('the output "p" is a constant',),
    ),
    "classes that do not sum to 1": (
        graph(
            Node("MatMul", ("X", "w3"), ("t",)), SIGMOID, constants={"w3": np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])}
        ),
        ("the 3 outputs of the graph are no probabilities of classes that sum to 1",),
    ),
    "a norm of the rows": (
        after(one("Normalizer", domain=ML, norm="L2")),
        ("by its L2 norm", "leave the Normalizer out"),
    ),
    "a sum of the rows": (after(one("Normalizer", domain=ML, norm="L1")), ("by the sum of its values",)),
    "a value that means missing": (
        after(one("Imputer", domain=ML, imputed_value_floats=[0.0], replaced_value_float=-999.0)),
        ("replaces -999.0, not missing values", "make these values missing"),
    ),
    "coefficients for other columns": (
        graph(Node("LinearClassifier", ("X",), ("label", "p"), {**LINEAR, "coefficients": [1.0] * 8}, ML)),
        ('that makes "label" (LinearClassifier)', "has 8 coefficients and 2 intercepts for 2 columns"),
    ),
    "another post_transform": (
        graph(Node("LinearClassifier", ("X",), ("label", "p"), {**LINEAR, "post_transform": "PROBIT"}, ML)),
        ("has the post_transform PROBIT",),
    ),
    "a level twice": (
        after(
            Node("OneHotEncoder", ("c",), ("t",), {"cats_strings": ["a", "a"]}, ML),
            inputs=(Port("c", STRING, (None, 1)),),
        ),
        ("has a level twice",),
    ),
    "levels of another type": (
        after(
            Node("OneHotEncoder", ("c",), ("t",), {"cats_int64s": [1, 2]}, ML), inputs=(Port("c", STRING, (None, 1)),)
        ),
        ("has levels of another type than its column",),
    ),
    "levels of what is computed": (
        after(Node("Exp", ("X",), ("e",)), Node("OneHotEncoder", ("e",), ("t",), {"cats_int64s": [1, 2]}, ML)),
        ("reads levels of a value that is computed",),
    ),
    "positions beyond a table": (
        graph(
            Node("LabelEncoder", ("c",), ("i",), {"keys_strings": ["a"], "values_int64s": [5], "default_int64": 0}, ML),
            Node("GatherND", ("table", "i"), ("t",)),
            SIGMOID,
            inputs=(Port("c", STRING, (None, 1)),),
            constants={"table": np.array([[0.5], [1.0]])},
        ),
        ('looks up column "c" beyond a table of 2 rows',),
    ),
    "columns that double with every node": (
        graph(
            *(Node("Concat", (f"x{i}", f"x{i}"), (f"x{i + 1}",), {"axis": 1}) for i in range(40)),
            Node("Sigmoid", ("x40",), ("p",)),
            inputs=(Port("x0", DOUBLE, (None, 2)),),
        ),
        ("more than 100,000", "convert a smaller model"),
    ),
    "terms that double with every node": (
        graph(
            *(Node("Add", (f"x{i}", f"x{i}"), (f"x{i + 1}",)) for i in range(40)),
            Node("Sigmoid", ("x40",), ("p",)),
            inputs=(Port("x0", DOUBLE, (None, 1)),),
        ),
        ("adds up more than 1,000,000 terms",),
    ),
    "products in products": (
        graph(
            *(Node("Mul", (f"x{i}", f"x{i}"), (f"x{i + 1}",)) for i in range(60)),
            Node("Sigmoid", ("x60",), ("p",)),
            inputs=(Port("x0", DOUBLE, (None, 1)),),
        ),
        ("nests more than 20 operations",),
    ),
    "a constant that is too large": (
        graph(
            Node("Add", ("a", "b"), ("t",)), SIGMOID, constants={"a": np.zeros((10**5, 1)), "b": np.zeros((1, 10**5))}
        ),
        ("makes a constant of 10,000,000,000 numbers",),
    ),
    "columns with one name": (
        after(one("Concat", "X", "X_1", axis=1), inputs=(X, Port("X_1", DOUBLE, (None, 1)))),
        ("give two columns the same name",),
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_graph_that_is_no_logistic_model_is_refused_with_its_reason(fault: str) -> None:
    wrong, said = FAULTS[fault]
    with pytest.raises(ModelError) as caught:
        read(wrong)
    assert caught.value.exit_code == 65
    message = str(caught.value)
    assert all(part in message for part in said), message
    assert len(message.splitlines()) <= 3
    assert caught.value.remedy


def of_steps(**changed: Node) -> Graph:
    """Return a graph whose probability is a step function of the raw prediction, with other nodes for some outputs."""
    nodes = (
        Node("MatMul", ("X", "w"), ("raw_prediction",)),
        Node("GreaterOrEqual", ("raw_prediction", "edges"), ("flags",)),
        Node("Cast", ("flags",), ("whole",), {"to": INT64}),
        Node("ReduceSum", ("whole", "axis"), ("count",), {"keepdims": 1}),
        Node("IsNaN", ("raw_prediction",), ("is_none",)),
        Node("Where", ("is_none", "three", "count"), ("place",)),
        Node("Identity", ("place",), ("places",)),
        Node("GatherND", ("table", "places"), ("probability",)),
    )
    constants = {
        "w": WEIGHTS,
        "one": np.array([[1.0]]),
        "edges": np.array([[-1.0, 1.0]]),
        "axis": np.array([1]),
        "three": np.array([[3]]),
        "table": np.array([0.1, 0.2, 0.3, np.nan])[:, None],
        "worth": np.array([0.1, 0.2, 0.3, 0.4])[:, None],
        "square": np.full((4, 4, 1), 0.5),
    }
    made = tuple(changed.get(node.outputs[0], node) for node in nodes)
    return graph(*made, outputs=("probability", "raw_prediction"), constants=constants)


@pytest.mark.parametrize(
    "changed",
    [
        {
            "places": Node("Concat", ("place", "place"), ("places",), {"axis": 1}),
            "probability": Node("GatherND", ("square", "places"), ("probability",)),
        },
        {"is_none": Node("Less", ("raw_prediction", "one"), ("is_none",))},
        {"flags": Node("Greater", ("raw_prediction", "edges"), ("flags",))},
        {"whole": Node("Add", ("flags", "flags"), ("whole",))},
        {"probability": Node("GatherND", ("worth", "places"), ("probability",))},
    ],
    ids=["two positions", "another condition", "open edges", "edges that count twice", "a number for NaN"],
)
def test_steps_that_no_calibration_has_are_refused(changed: dict[str, Node]) -> None:
    steps = read(of_steps()).document["output"]["calibration"]
    assert steps == {"method": "isotonic", "thresholds": [-1.0, 1.0], "probabilities": [0.1, 0.2, 0.3]}
    with pytest.raises(ModelError, match="at positions that are not levels or bins of a column"):
        read(of_steps(**changed))


def test_more_than_a_thousand_classes_are_refused_by_the_model() -> None:
    labels = [f"class {k}" for k in range(1001)]
    said = {"coefficients": [float(k) for k in range(2002)], "classlabels_strings": labels, "post_transform": "SOFTMAX"}
    document = read(graph(Node("LinearClassifier", ("X",), ("label", "p"), said, ML))).document
    with pytest.raises(ModelError, match=r"1,?000"):
        LogisticModel.from_json(json.dumps(document))


COMPARED = Node("GreaterOrEqual", ("probability", "half"), ("decision",))


@pytest.mark.parametrize(
    ("decides", "half", "threshold"),
    [
        (COMPARED, np.array([0.5]), 0.5),
        (COMPARED, np.array(["a"], dtype=object), None),
        (COMPARED, np.array([0.5, 0.5]), None),
        (Node("GreaterOrEqual", ("probability",), ("decision",)), np.array([0.5]), None),
        (Node("GreaterOrEqual", (), ("decision",)), np.array([0.5]), None),
    ],
)
def test_only_a_number_that_the_probability_is_compared_with_is_a_threshold(
    decides: Node, half: Any, threshold: float | None
) -> None:
    nodes = (Node("MatMul", ("X", "w"), ("z",)), Node("Sigmoid", ("z",), ("probability",)), decides)
    said = graph(*nodes, outputs=("probability", "decision"), constants={"w": WEIGHTS, "half": half})
    assert read(said).document.get("output", {}).get("threshold") == threshold


@pytest.mark.parametrize("labels", [5, 0.5, "ab", np.zeros(2), ["a", "b"]])
def test_only_a_list_of_labels_names_the_classes(labels: Any) -> None:
    zipped = Node("ZipMap", ("p",), ("zipped",), {"classlabels_strings": labels}, ML)
    target = read(graph(Node("MatMul", ("X", "w"), ("t",)), SIGMOID, zipped)).document.get("target")
    assert target == ({"negative": "a", "positive": "b"} if isinstance(labels, list) else None)


def test_column_names_that_are_nested_too_deeply_are_not_read() -> None:
    found = read(after(one("Identity"), metadata={"columns": "[" * 200_000}))
    assert found.columns == {"X": ("column_0", "column_1")}


def test_columns_made_of_a_shape_are_as_many_as_those_of_the_shape() -> None:
    nodes = (
        Node("Shape", ("X",), ("s",)),
        Node("ConstantOfShape", ("s",), ("k",), {"value": np.array([1.0])}),
        Node("Add", ("X", "k"), ("t",)),
        Node("MatMul", ("k", "w"), ("c",)),
        Node("MatMul", ("t", "w"), ("m",)),
        Node("Add", ("m", "c"), ("z",)),
        Node("Sigmoid", ("z",), ("p",)),
    )
    # Of columns 0: 0.5 - 1 for each of the two products.
    assert read(graph(*nodes)).document["intercept"] == -1.0


@pytest.mark.parametrize("type_", [FLOAT, DOUBLE, INT64])
def test_levels_of_a_column_that_is_cast_to_whole_numbers_are_read(type_: int) -> None:
    nodes = (Node("Cast", ("i",), ("n",), {"to": INT64}), one("OneHotEncoder", "n", domain=ML, cats_int64s=[1, 2]))
    (feature,) = read(after(*nodes, inputs=(Port("i", type_, (None, 1)),))).document["features"]
    assert feature["levels"] == "integer"
    assert feature["coefficients"] == {"1": 0.5, "2": -1.0}


def test_a_boolean_that_is_made_true_or_false_is_read_as_it_is() -> None:
    nodes = (Node("Cast", ("b",), ("f",), {"to": BOOL}), Node("Cast", ("f",), ("t",), {"to": DOUBLE}))
    said = after(*nodes, inputs=(Port("b", BOOL, (None, 1)),), constants={"w": WEIGHTS[:1]})
    (feature,) = read(said).document["features"]
    assert feature == {"kind": "numeric", "column": "b", "boolean": True, "coefficient": 0.5}


def test_a_deep_sum_is_read_as_it_is() -> None:
    nodes = [Node("Add", (f"x{i}", "one"), (f"x{i + 1}",)) for i in range(3000)]
    read_ = read(graph(*nodes, Node("Sigmoid", ("x3000",), ("p",)), inputs=(Port("x0", DOUBLE, (None, 1)),)))
    assert read_.document["intercept"] == 3000


# What the model may not be so that a graph can say it.
HEAD = {"format": "logitstream-model", "version": 2, "kind": "logistic", "intercept": -0.5}
NUMERIC = {"column": "x", "kind": "numeric", "coefficient": 1.25}
TEXT = {"column": "c", "kind": "categorical", "coefficients": {"a": 1.0, "": 2.0}}

INEXPRESSIBLE: dict[str, tuple[dict[str, Any], str]] = {
    "probit": ({"link": "probit", "features": [NUMERIC]}, 'the link "probit" cannot be written as a graph'),
    "cauchit": ({"link": "cauchit", "features": [NUMERIC]}, 'the link "cauchit" cannot be written as a graph'),
    "the empty text as a level": ({"features": [TEXT]}, 'column "c" has the level ""'),
    "text that is a number too": (
        {
            "features": [
                {**TEXT, "coefficients": {"a": 1.0}, "levels": "text"},
                {**TEXT, "coefficients": {"1": 1.0}, "levels": "integer", "name": "again"},
            ]
        },
        'column "c" has text levels in one feature and is read as a number in another',
    ),
    "a missing number that is an error": (
        {"features": [{**NUMERIC, "missing": "error"}]},
        'the column "x" has missing "error", which a graph cannot say',
    ),
    "an unseen level that is an error": (
        {"features": [{**TEXT, "coefficients": {"a": 1.0}, "unseen": "error"}]},
        'the column "c" has unseen "error", which a graph cannot say',
    ),
    "a missing offset that is an error": (
        {"features": [NUMERIC], "offset": {"column": "e", "missing": "error"}},
        'the column "e" has missing "error", which a graph cannot say',
    ),
    "a class that is the empty text": (
        {"features": [{**NUMERIC, "coefficient": [1.0, 2.0]}], "classes": ["", "a"], "intercept": [0.0, 0.0]},
        "a class is the empty text, which is the decision of a row without a score",
    ),
    "the name of an output": ({"features": [{**NUMERIC, "column": "decision"}]}, 'the column "decision" has the name'),
    "whole numbers beyond float64 that may be missing": (
        {
            "features": [
                {
                    **TEXT,
                    "coefficients": {"9007199254740993": 1.0, "1": 2.0},
                    "levels": "integer",
                    "missing": {"level": "1"},
                }
            ]
        },
        'column "c" has levels beyond 2**53',
    ),
    "a class beyond float64": (
        {"features": [NUMERIC], "target": {"negative": 0, "positive": 2**53 + 1}, "output": {"threshold": 0.5}},
        "the class 9007199254740993 is beyond 2**53",
    ),
    "levels beyond int64": (
        {"features": [{**TEXT, "coefficients": {"1": 1.0, "99999999999999999999": 2.0}, "levels": "integer"}]},
        "has the level 99999999999999999999, which is beyond int64",
    ),
}


@pytest.mark.parametrize("fault", INEXPRESSIBLE)
def test_what_a_graph_cannot_say_is_refused_by_name(fault: str) -> None:
    document, said = INEXPRESSIBLE[fault]
    model = from_mapping({**HEAD, **document})
    with pytest.raises(ModelError) as caught:
        graph_of(model)
    assert said in str(caught.value)
    assert caught.value.remedy


# Files.


def whole() -> bytes:
    return (GRAPHS / "scaled_double.onnx").read_bytes()


def outside(wanted: Graph, **places: dict[str, str]) -> bytes:
    """Return a graph whose constants by these names are kept in other files."""
    import onnx

    model = onnx.load_from_string(encode(wanted))
    for tensor in model.graph.initializer:
        if tensor.name in places:
            tensor.ClearField("raw_data")
            tensor.data_location = onnx.TensorProto.EXTERNAL
            for key, value in places[tensor.name].items():
                entry = tensor.external_data.add()
                entry.key, entry.value = key, value
    return bytes(model.SerializeToString())


def beside(location: str) -> bytes:
    """Return a graph whose constant is kept in another file."""
    return outside(after(one("Identity")), w={"location": location})


@needs_onnx
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda _: b"", "has no node"),
        (lambda _: whole()[:-7], "the protobuf is damaged"),
        (lambda _: whole()[:100], "the protobuf is damaged"),
        (lambda _: beside("../secret.bin"), "outside the folder of the graph"),
        (lambda folder: beside(str(folder.parent / "secret.bin")), "outside the folder of the graph"),
        (lambda _: beside("link.bin"), "outside the folder of the graph"),
        (lambda _: beside(""), "outside the folder of the graph"),
        (lambda _: beside("none.bin"), "which is no file"),
        (lambda _: beside("."), "which is no file"),
        (lambda _: beside("short.bin"), 'the constant "w" has not what it says'),
    ],
)
def test_a_file_that_cannot_be_read_whole_is_refused(make: Callable[[Path], bytes], said: str, tmp_path: Path) -> None:
    folder = tmp_path / "graphs"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(WEIGHTS.tobytes())
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    (folder / "short.bin").write_bytes(b"12345")
    path = folder / "model.onnx"
    path.write_bytes(make(folder))
    before = sorted(each.name for each in folder.iterdir())
    with pytest.raises(ModelError, match=said) as caught:
        convert(path, path.read_bytes())
    assert caught.value.exit_code == 65
    assert sorted(each.name for each in folder.iterdir()) == before


@needs_onnx
def test_constants_in_a_file_beside_the_graph_are_read(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(WEIGHTS.tobytes())
    made = convert(tmp_path / "model.onnx", beside("weights.bin"))
    assert [each["coefficient"] for each in made.document["features"]] == [0.5, -1.0]


def moved(first: dict[str, str], second: dict[str, str]) -> bytes:
    """Return a graph that adds constants to its two columns, both of which are kept in other files."""
    constants = {"w": WEIGHTS, "a": np.array([1.0, 2.0]), "b": np.array([3.0, 4.0])}
    nodes = (Node("Add", ("X", "a"), ("s",)), Node("Add", ("s", "b"), ("t",)))
    return outside(after(*nodes, constants=constants), a=first, b=second)


@needs_onnx
@pytest.mark.parametrize("files", [("all.bin", "all.bin"), ("all.bin", "same.bin")])
def test_constants_in_other_files_count_once_a_file(
    files: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = np.array([1.0, 2.0, 3.0, 4.0]).tobytes() + bytes(10_000)
    for name in files:
        (tmp_path / name).write_bytes(content)
    places = ({"location": files[0], "length": "16"}, {"location": files[1], "offset": "16", "length": "16"})
    data = moved(*places)
    enough = len(set(files)) * len(content)
    monkeypatch.setattr(protobuf, "SIZE_LIMIT", enough)
    # The weights times what is added: 0.5 times 4, less 6.
    assert convert(tmp_path / "model.onnx", data).document["intercept"] == -4.0
    monkeypatch.setattr(protobuf, "SIZE_LIMIT", enough - 1)
    with pytest.raises(ModelError, match=f"is kept in '{files[-1]}': more than"):
        convert(tmp_path / "model.onnx", data)


class _Long(bytes):
    """Bytes that say they are longer than a graph may be."""

    def __len__(self) -> int:
        return SIZE_LIMIT + 1


def test_a_file_beyond_two_gibibytes_is_refused() -> None:
    with pytest.raises(ModelError, match=r"more than 2 GiB"):
        decode(Path("model.onnx"), _Long())


@pytest.mark.skipif(find_spec("onnx") is not None, reason="the package onnx is installed")
def test_without_the_package_the_extra_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"logitstream\[onnx\]"):
        decode(Path("model.onnx"), whole())


@needs_onnx
@pytest.mark.parametrize("name", ["scaled_double", "levels_float", "one_vs_rest_float", "bins_float"])
def test_any_bytes_give_a_model_or_a_refusal(name: str) -> None:
    data = (GRAPHS / f"{name}.onnx").read_bytes()
    chance = random.Random(name)
    models: list[LogisticModel] = []
    refusals: list[ModelError] = []
    for _ in range(150):
        changed = bytearray(data)
        for _ in range(chance.randint(1, 4)):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        try:
            document = convert(GRAPHS / f"{name}.onnx", bytes(changed)).document
            models.append(LogisticModel.from_json(json.dumps(document)))
        except ModelError as error:
            refusals.append(error)
    assert models
    assert all(LogisticModel.from_json(each.to_json()).digest() == each.digest() for each in models)
    assert refusals
    assert all(each.exit_code == 65 and each.remedy and len(str(each).splitlines()) <= 3 for each in refusals)
