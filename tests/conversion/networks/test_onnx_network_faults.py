"""What can be wrong with the ONNX graph of a network, row by row: one clear error each, and nothing is written."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pipeline
from pipeline.conversion.onnx.graph import CORE, DOUBLE, FLOAT, INT64, ML, STRING, Graph, Node, Port
from pipeline.conversion.onnx.networks.reading import is_network, read_network
from pipeline.errors import ModelError
from pipeline.models.network.making import network_in_memory
from tests.conversion.networks.make_networks import GRAPHS
from tests.conversion.onnx.make_graphs import from_plain

needs_onnx = pytest.mark.skipif(find_spec("onnx") is None, reason="the package onnx is not installed")

X = Port("X", DOUBLE, (None, 2))
CONSTANTS = {
    "w": np.array([[0.5, 1.0, 2.0], [-1.0, 0.25, 0.0]]),
    "v": np.array([[0.5], [-1.0], [0.25]]),
    "square": np.eye(3),
    "b": np.array([1.0, 2.0, 3.0]),
    "nan": np.array([[0.5], [np.nan], [1.0]]),
    "one": np.array([1.0]),
    "six": np.array(6.0),
    "zero": np.array(0.0),
    "huge": np.array([10**9, 10**9]),
    "first": np.array([0]),
    "second": np.array([1]),
}


def graph(*nodes: Node, inputs: tuple[Port, ...] = (X,), outputs: tuple[str, ...] = ("p",), **other: Any) -> Graph:
    given = {"constants": CONSTANTS, "opsets": {CORE: 18, ML: 2}, "metadata": {}, **other}
    return Graph(inputs, tuple(Port(name, DOUBLE) for name in outputs), nodes, **given)


def between(*nodes: Node, **other: Any) -> Graph:
    """Return a network whose nodes make ``t`` of ``h``, the three outputs of the first layer."""
    before = (Node("MatMul", ("X", "w"), ("s",)), Node("Relu", ("s",), ("h",)))
    behind = (Node("MatMul", ("t", "v"), ("z",)), Node("Sigmoid", ("z",), ("p",)))
    return graph(*before, *nodes, *behind, **other)


def one(operator: str, *inputs: str, domain: str = CORE, **attributes: Any) -> Node:
    return Node(operator, inputs or ("h",), ("t",), attributes, domain, f"my {operator}")


SEQUENCE = Port("X", DOUBLE, (None, None, 3))
# An LSTM of two units over three numbers a step; a GRU takes three quarters of its weights.
STEPS = {
    "W": np.full((1, 8, 3), 0.5),
    "R": np.full((1, 8, 2), 0.25),
    "peepholes": np.ones((1, 6)),
    "state": np.ones((1, 1, 2)),
    "lengths": np.array([3]),
    "V": np.eye(2),
    "v": np.ones((2, 1)),
    "first": np.array([0]),
    "two": np.array([2]),
}


def steps(operator: str = "LSTM", *more: str, **attributes: Any) -> Graph:
    """Return a network of one recurrent layer; ``more`` are the inputs of the node behind the weights."""
    constants = attributes.pop("constants", STEPS)
    if operator == "GRU":
        constants = {**constants, "W": constants["W"][:, :6]}
    nodes = (
        Node(operator, ("X", "W", "R", *more), ("Y", "last"), attributes, CORE, f"my {operator}"),
        Node("Squeeze", ("last", "first"), ("h",)),
        Node("MatMul", ("h", "v"), ("z",)),
        Node("Sigmoid", ("z",), ("p",)),
    )
    return graph(*nodes, inputs=(SEQUENCE,), constants=constants)


def after_steps(*nodes: Node) -> Graph:
    """Return a network whose nodes make ``t`` of the states ``Y`` of all steps."""
    rest = (Node("MatMul", ("t", "v"), ("z",)), Node("Sigmoid", ("z",), ("p",)))
    return graph(Node("LSTM", ("X", "W", "R"), ("Y",), {}), *nodes, *rest, inputs=(SEQUENCE,), constants=STEPS)


def joined_states(*nodes: Node) -> Graph:
    """Return a network whose nodes make ``t`` of the last states ``h_n`` of two layers, joined along axis 0."""
    constants = {**STEPS, "W2": np.full((1, 8, 2), 0.5), "second": np.array([1]), "last axis": np.array([-1])}
    layers = (
        Node("LSTM", ("X", "W", "R"), ("Y", "one"), {}),
        Node("Squeeze", ("Y", "second"), ("y",)),
        Node("LSTM", ("y", "W2", "R"), ("", "other"), {}),
        Node("Concat", ("one", "other"), ("h_n",), {"axis": 0}),
    )
    rest = (
        Node("Squeeze", ("t", "first"), ("h",)),
        Node("MatMul", ("h", "v"), ("z",)),
        Node("Sigmoid", ("z",), ("p",)),
    )
    return graph(*layers, *nodes, *rest, inputs=(SEQUENCE,), constants=constants)


def cut_states(*axes: str) -> Graph:
    """Return a network that takes place 1 of an axis of the joined states."""
    return joined_states(Node("Slice", ("h_n", "second", "two", *axes), ("t",), {}, CORE, "my Slice"))


def from_states(*nodes: Node, of: float = 0.0) -> Graph:
    """Return a network whose nodes make the states ``t`` that it begins with; ``n`` is how many rows there are."""
    constants = {
        **STEPS,
        "state": np.full((1, 1, 2), of),
        "rows": np.array([1]),
        "layers": np.array([1]),
        "units": np.array([2]),
        "signs": np.array([-1, -1, -1]),
        "ones": np.array([1, 1, 1]),
    }
    before = (Node("Shape", ("X",), ("shape",), {}), Node("Gather", ("shape", "rows"), ("n",), {"axis": 0}))
    wanted = Node("Concat", ("layers", "n", "units"), ("wanted",), {"axis": 0})
    alike = (Node("Shape", ("t",), ("alike",), {}), Node("ConstantOfShape", ("alike",), ("c",), {}))
    behind = (
        Node("LSTM", ("X", "W", "R", "", "", "t", "c"), ("", "last"), {}, CORE, "my LSTM"),
        Node("Squeeze", ("last", "first"), ("h",)),
        Node("MatMul", ("h", "v"), ("z",)),
        Node("Sigmoid", ("z",), ("p",)),
    )
    return graph(*before, wanted, *nodes, *alike, *behind, inputs=(SEQUENCE,), constants=constants)


# As PyTorch's exporters write zeros(...), expand(...), repeat(...), stack(...), and zeros_like(...) of each.
STATES = {
    "zeros": (Node("ConstantOfShape", ("wanted",), ("t",), {}),),
    "expanded": (
        Node("Equal", ("wanted", "signs"), ("kept",), {}),
        Node("Where", ("kept", "ones", "wanted"), ("lengths",), {}),
        Node("Expand", ("state", "lengths"), ("t",), {}),
    ),
    "repeated": (Node("Tile", ("state", "wanted"), ("t",), {}),),
    "of lengths times one": (
        Node("Mul", ("ones", "wanted"), ("first of ones",), {}),
        Node("Mul", ("first of ones", "ones"), ("lengths",), {}),
        Node("Expand", ("state", "lengths"), ("t",), {}),
    ),
    "of several layers": (
        Node("Concat", ("n", "units"), ("plane",), {"axis": 0}),
        Node("ConstantOfShape", ("plane",), ("zeros",), {}),
        Node("Unsqueeze", ("zeros", "first"), ("one",), {}),
        Node("Tile", ("state", "wanted"), ("other",), {}),
        Node("Concat", ("one", "other"), ("t",), {"axis": 0}),
    ),
}

FAULTS: dict[str, tuple[Graph, tuple[str, ...]]] = {
    "a convolution": (between(one("Conv")), ('"my Conv" (Conv) is an operator that logitstream does not read',)),
    "a plain recurrent layer": (
        graph(Node("RNN", ("X",), ("p",), {}, CORE, "my RNN"), inputs=(Port("X", FLOAT, (None, 1)),)),
        ('"my RNN" (RNN) is an operator that logitstream does not read in a network',),
    ),
    "a reverse layer": (steps(direction="reverse"), ('"my LSTM" (LSTM) is reverse', "from the first to the last")),
    "a bidirectional layer": (steps("GRU", direction="bidirectional"), ("(GRU) is bidirectional", "in one direction")),
    "peepholes": (steps("LSTM", "", "", "", "", "peepholes"), ('"my LSTM" (LSTM) has peepholes',)),
    "gates that are clipped": (steps(clip=3.0), ("clips the sums of its gates (clip)",)),
    "coupled gates": (steps(input_forget=1), ("couples its input and forget gates (input_forget)",)),
    "other activations": (
        steps(activations=["Sigmoid", "Tanh", "Relu"]),
        ("has the activations sigmoid, tanh, relu",),
    ),
    "states that do not begin at zero": (
        steps("LSTM", "", "", "state", "state"),
        ("begins with states that are not zero", "without initial states"),
    ),
    "learned states that each row begins with": (
        from_states(*STATES["repeated"], of=0.5),
        ('"my LSTM" (LSTM) begins with states that are not zero',),
    ),
    "lengths of rows": (steps("LSTM", "", "lengths"), ("is told how many steps each row has (sequence_lens)",)),
    "gates of another number": (
        steps("GRU", "", "", "", constants={**STEPS, "R": np.zeros((1, 8, 2))}),
        (
            "takes 3 numbers a step, but has weights of the shapes (1, 6, 3), (1, 8, 2), (1, 12)",
            "does not fit together",
        ),
    ),
    "one of the steps before the last": (
        after_steps(Node("Gather", ("Y", "first"), ("t",), {"axis": 0}, CORE, "my Gather")),
        ('"my Gather" (Gather) takes place 0 of the steps',),
    ),
    "one of the rows": (
        after_steps(Node("Gather", ("Y", "first"), ("t",), {"axis": 2}, CORE, "my Gather")),
        ("takes place 0 of the rows",),
    ),
    "some of the steps": (
        after_steps(Node("Slice", ("Y", "first", "two", "first"), ("t",), {}, CORE, "my Slice")),
        ('"my Slice" (Slice) cuts out some of the rows, steps or outputs',),
    ),
    "one of the rows of joined states": (
        cut_states("second"),
        ('"my Slice" (Slice) cuts out some of the rows or units of joined states',),
    ),
    "one of the units of joined states": (
        cut_states("last axis"),
        ('"my Slice" (Slice) cuts out some of the rows or units of joined states',),
    ),
    "one place of another axis of joined states": (
        joined_states(
            *(Node("Unsqueeze", (name, "first"), (f"long {name}",)) for name in ("one", "other")),
            Node("Concat", ("long one", "long other"), ("states",), {"axis": 1}),
            Node("Gather", ("states", "first"), ("t",), {"axis": 0}, CORE, "my Gather"),
        ),
        ('"my Gather" (Gather) chooses several layers, rows or steps',),
    ),
    "the mean over the rows": (
        after_steps(Node("ReduceMean", ("Y", "two"), ("t",), {}, CORE, "my mean")),
        ('"my mean" (ReduceMean) takes the mean over another axis',),
    ),
    "a dense layer for each step": (
        after_steps(Node("MatMul", ("Y", "V"), ("z",)), Node("ReduceMean", ("z", "first"), ("t",), {"keepdims": 0})),
        ("has a dense layer for each step of a sequence", "sequences go through LSTM or GRU layers"),
    ),
    "a function of each step": (
        after_steps(Node("Relu", ("Y",), ("z",)), Node("ReduceMean", ("z", "first"), ("t",), {"keepdims": 0})),
        ("has the function relu behind each step",),
    ),
    "states of all steps as output": (
        graph(Node("LSTM", ("X", "W", "R"), ("p",), {}), inputs=(SEQUENCE,), constants=STEPS),
        ('the output "p" has no row for each row of the input',),
    ),
    "sequences beside other inputs": (
        graph(Node("LSTM", ("X", "W", "R"), ("p",), {}), inputs=(SEQUENCE, Port("Z", DOUBLE, (None, 1)))),
        ('the input "X" is a sequence that does not say how many numbers a step has, or not the only input',),
    ),
    "a loop": (
        graph(Node("Loop", ("X",), ("p",), {}, CORE, "my Loop"), inputs=(SEQUENCE,)),
        ('"my Loop" (Loop) is a branch or a loop of a program', "import the .keras file"),
    ),
    # As tf2onnx writes a GRU of Keras.
    "a loop with a condition": (
        graph(
            Node("Less", ("X", "zero"), ("less",), {}, CORE, "my Less"),
            Node("Loop", ("less", "X"), ("p",), {}, CORE, "my Loop"),
            inputs=(SEQUENCE,),
        ),
        ('"my Loop" (Loop) is a branch or a loop of a program', "import the .keras file"),
    ),
    "a function of another name": (between(one("HardSwish")), ('"my HardSwish" (HardSwish)',)),
    "a function that no pattern is": (
        between(Node("Tanh", ("h",), ("u",)), one("Mul", "h", "u")),
        ('"my Mul" (Mul) joins outputs of layers with each other', "leave the step out"),
    ),
    "outputs of two layers that are added up": (
        between(Node("MatMul", ("h", "square"), ("u",)), one("Add", "h", "u")),
        ('"my Add" (Add) joins outputs of layers',),
    ),
    "a norm of each row": (between(one("LayerNormalization", "h", "b")), ("(LayerNormalization)",)),
    "values that are cut at both ends": (
        between(one("Clip", "h", "zero", "six")),
        ('"my Clip" (Clip) cuts values at 0 and 6',),
    ),
    "a power of a layer": (between(one("Pow", "h", "six")), ("(Pow) is part of no function that logitstream has",)),
    "a number divided by a layer": (between(one("Div", "six", "h")), ("(Div) is part of no function",)),
    "a layer divided by zero": (between(one("Div", "h", "zero")), ("(Div) is part of no function",)),
    "the logarithm of a layer": (between(one("Log")), ("(Log) is part of no function that logitstream has",)),
    "a softmax over the rows": (between(one("Softmax", axis=0)), ("works over another axis",)),
    "another hard sigmoid": (between(one("HardSigmoid", alpha=0.2)), ("0.2 x + 0.5", "has the slope 1/6")),
    "a normalisation by the rows at hand": (
        between(one("BatchNormalization", "h", "b", "b", "b", "b", training_mode=1)),
        ("normalises by the rows at hand", "evaluation mode"),
    ),
    "a variance below zero": (
        between(one("BatchNormalization", "h", "b", "b", "b", "below"), constants={**CONSTANTS, "below": -np.ones(3)}),
        ("(BatchNormalization) has a variance that is not positive",),
    ),
    "a function of very many inputs": (
        graph(Node("Tanh", ("X",), ("p",), {}, CORE, "my Tanh"), inputs=(Port("X", DOUBLE, (None, 50_000)),)),
        ("has the function tanh alone over 50000 numbers",),
    ),
    "a dropout that drops": (
        between(
            Node("Dropout", ("h", "one", "yes"), ("t",), {}, CORE, "my Dropout"),
            constants={**CONSTANTS, "yes": np.array([True])},
        ),
        ('"my Dropout" (Dropout) drops values while it scores',),
    ),
    "whole numbers of a layer": (between(one("Cast", to=INT64)), ("makes whole numbers of the outputs of a layer",)),
    "some of the outputs of a layer": (
        between(Node("Gather", ("h", "first"), ("u",), {"axis": 1}, CORE, "my Gather"), one("Identity", "u")),
        ('"my Gather" (Gather) chooses some of the outputs of a layer',),
    ),
    "an axis of three that is squeezed": (
        between(one("Squeeze", "h", "second")),
        ('"my Squeeze" (Squeeze) leaves out an axis that is longer than 1',),
    ),
    "rows that are mixed": (between(one("Gemm", "h", "square", transA=1)), ("has transA, which mixes rows",)),
    "weights that are NaN": (
        graph(Node("MatMul", ("X", "w"), ("s",)), Node("Tanh", ("s",), ("h",)), Node("MatMul", ("h", "nan"), ("p",))),
        ('the node that makes "p" (MatMul) has numbers that are NaN or infinite',),
    ),
    "a matrix of another height": (
        between(one("MatMul", "h", "w")),
        ('"my MatMul" (MatMul) multiplies 3 numbers by a matrix of shape (2, 3)', "does not fit together"),
    ),
    "a bias of another length": (between(one("Add", "h", "huge")), ("joins 3 units and a constant of shape (2,)",)),
    "a constant of a billion numbers": (
        between(Node("ConstantOfShape", ("huge",), ("c",), {}, CORE, "my zeros"), one("Add", "h", "c")),
        ('"my zeros" (ConstantOfShape) makes a constant of the shape (1000000000, 1000000000)',),
    ),
    "attributes of another type": (between(one("Softmax", axis="x")), ("works over another axis",)),
    "attributes that do not fit": (
        between(one("Softmax", axis=[1])),
        ("has attributes or inputs that do not fit together",),
    ),
    "functions without a layer between": (
        between(
            *(Node("Tanh", (f"h{i}" if i else "h",), (f"h{i + 1}",), {}, CORE, f"my {i}") for i in range(50)),
            one("Identity", "h50"),
        ),
        ("is the last of more than 40 operations without a layer",),
    ),
    "several labels": (
        graph(
            Node("MatMul", ("X", "w"), ("s",)),
            Node("Relu", ("s",), ("h",)),
            Node("MatMul", ("h", "square"), ("z",)),
            Node("Sigmoid", ("z",), ("p",)),
        ),
        ('the output "p" is a sigmoid of each of 3 sums', "labels that do not exclude each other"),
    ),
    "an output of another function": (
        graph(
            Node("MatMul", ("X", "w"), ("s",)),
            Node("Relu", ("s",), ("h",)),
            Node("MatMul", ("h", "v"), ("z",)),
            Node("Tanh", ("z",), ("p",)),
        ),
        ('the output "p" is neither probabilities nor the sums of a last layer', "end the network in a sigmoid"),
    ),
    "text": (between(one("Identity"), inputs=(Port("X", STRING, (None, 2)),)), ('the text of column "X"',)),
    "no column count": (
        between(one("Identity"), inputs=(Port("X", FLOAT, (None, None)),)),
        ('the input "X" does not say how many columns it has',),
    ),
    "outputs to choose from": (
        between(one("Identity"), outputs=("p", "z")),
        ("the outputs p, z: which has the probabilities?",),
    ),
    "an unknown opset": (between(one("Identity"), opsets={CORE: 99}), ("version 99 of the operators ai.onnx",)),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_graph_that_no_network_is_here_is_refused_with_its_reason(fault: str) -> None:
    wrong, said = FAULTS[fault]
    with pytest.raises(ModelError) as caught:
        read_network(wrong)
    message = str(caught.value)
    assert all(part in message for part in said), message
    assert len(message.splitlines()) <= 3
    assert caught.value.exit_code == 65
    assert caught.value.remedy


@pytest.mark.parametrize(
    "name", ["mlp_legacy_fixed", "gated_legacy_dynamic14", "lstm_last_legacy_dynamic14", "tf_lstm"]
)
def test_a_graph_that_is_damaged_anywhere_is_read_or_refused(name: str) -> None:
    draw = random.Random(18)
    plain = json.loads((GRAPHS / f"{name}.json").read_text())["graph"]
    refused = 0
    for _ in range(150):
        said = json.loads(json.dumps(plain))
        node = draw.choice(said["nodes"])
        part = draw.choice(["operator", "inputs", "attributes", "constants", "ports"])
        if part == "operator":
            node[0] = draw.choice([each[0] for each in said["nodes"]])
        elif part == "inputs" and node[1]:
            node[1][draw.randrange(len(node[1]))] = draw.choice(["", *said["constants"], *node[2], "x", "X"])
        elif part == "attributes" and node[3]:
            node[3][draw.choice([*node[3]])] = draw.choice([-1, 0, 7, 1.5, "x", [1], [0, 0], [], None])
        elif part == "constants" and said["constants"]:
            constant = draw.choice([*said["constants"].values()])
            constant["shape"] = draw.choice([[-1], [1, -1], [-1, 1], [1, 1, -1]])
        else:
            said["inputs"][0][2] = draw.choice([[None], [None, 4], [1, None, 3], [None, None, None], [], [2, 2, 2, 2]])
        try:
            read_network(from_plain(said))
        except ModelError:
            refused += 1
    assert refused > 30


@pytest.mark.parametrize("axes", [(), ("first",)])
def test_one_of_joined_states_is_cut_out_along_the_axis_that_joins_them(axes: tuple[str, ...]) -> None:
    document = read_network(cut_states(*axes)).found.document
    assert [layer["kind"] for layer in document["layers"]] == ["lstm", "lstm", "last", "dense"]


@pytest.mark.parametrize("how", STATES)
def test_states_that_come_out_as_zeros_are_read_however_the_graph_makes_them(how: str) -> None:
    document = read_network(from_states(*STATES[how])).found.document
    assert [layer["kind"] for layer in document["layers"]] == ["lstm", "last", "dense"]


# Of h = relu(X w) the probabilities are sigmoid(t v): what makes t, and what it makes of h.
PIECES: dict[str, tuple[tuple[Node, ...], Callable[[Any], Any]]] = {
    "a layer divided by a number": ((one("Div", "h", "six"),), lambda h: h / 6),
    "a constant of another shape": (
        (
            Node("Reshape", ("tall", "same, flat"), ("wide",), {}),
            Node("Reshape", ("wide", "three"), ("flat",), {}),
            one("Mul", "h", "flat"),
        ),
        lambda h: h * CONSTANTS["b"],
    ),
}


@pytest.mark.parametrize("case", PIECES)
def test_constants_that_a_graph_computes_with_are_taken_into_the_weights(case: str) -> None:
    nodes, function = PIECES[case]
    reshaped = {"tall": CONSTANTS["b"].reshape(3, 1), "same, flat": np.array([0, -1]), "three": np.array([3])}
    read = read_network(between(*nodes, constants={**CONSTANTS, **reshaped}))
    model = network_in_memory({**read.found.document, "output": {}}, read.tensors, "the graph")
    x = np.array([[1.0, -2.0], [0.5, 3.0], [2.0, 1.0]])
    sums = function(np.maximum(x @ CONSTANTS["w"], 0)) @ CONSTANTS["v"]
    rows = {feature.column: values for feature, values in zip(model.features, x.T, strict=True)}
    np.testing.assert_allclose(model.probability(rows), 1 / (1 + np.exp(-sums[:, 0])), rtol=1e-12)


def squeezed(*behind: Node) -> Graph:
    """Return a network with nodes behind the sums ``z`` of its last layer, which make the probabilities ``p``."""
    before = (Node("MatMul", ("X", "w"), ("s",)), Node("Relu", ("s",), ("h",)), Node("MatMul", ("h", "v"), ("z",)))
    return graph(*before, *behind)


AXES: dict[str, Graph] = {
    "a layer that is flattened": between(one("Flatten")),
    "a layer of one step that is flattened": between(
        Node("Unsqueeze", ("h", "second"), ("long",)), one("Flatten", "long")
    ),
    "sums without their axis": squeezed(Node("Squeeze", ("z", "second"), ("q",)), Node("Sigmoid", ("q",), ("p",))),
    "sums without axes of length 1": squeezed(Node("Squeeze", ("z",), ("q",)), Node("Sigmoid", ("q",), ("p",))),
    "probabilities without their axis": squeezed(
        Node("Sigmoid", ("z",), ("q",)), Node("Squeeze", ("q", "second"), ("p",))
    ),
}


@pytest.mark.parametrize("case", AXES)
def test_axes_of_length_1_may_come_and_go(case: str) -> None:
    read, plain = read_network(AXES[case]), read_network(between(one("Identity")))
    assert read.found.document == plain.found.document
    assert read.tensors.keys() == plain.tensors.keys()
    assert all(np.array_equal(read.tensors[name], plain.tensors[name]) for name in plain.tensors)


def test_a_graph_without_a_function_between_two_layers_is_no_network() -> None:
    straight = graph(
        Node("MatMul", ("X", "w"), ("h",)), Node("MatMul", ("h", "v"), ("z",)), Node("Sigmoid", ("z",), ("p",))
    )
    assert not is_network(straight)
    assert is_network(FAULTS["several labels"][0])


def test_a_graph_of_three_gigabytes_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "large.onnx"
    with path.open("wb") as file:
        file.write(b"\x08\x07\x12\x07pytorch")
        file.truncate(3 << 30)
    with pytest.raises(ModelError, match="has 3 GiB, but a file to import may have 2 GiB"):
        pipeline.import_model(path)


@needs_onnx
def test_weights_of_three_gigabytes_in_another_file_are_refused_before_they_are_read(tmp_path: Path) -> None:
    import onnx

    path = tmp_path / "model.onnx"
    nodes = [onnx.helper.make_node(*each) for each in (("MatMul", ["X", "w"], ["p"]),)]
    weight = onnx.TensorProto(name="w", data_type=FLOAT, dims=[1 << 14, 3 << 14])
    weight.data_location = onnx.TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="weights.bin")
    ports = [onnx.helper.make_tensor_value_info(name, FLOAT, [None, 1 << 14]) for name in ("X", "p")]
    body = onnx.helper.make_graph(nodes, "network", ports[:1], ports[1:], [weight])
    path.write_bytes(onnx.helper.make_model(body).SerializeToString())
    with (tmp_path / "weights.bin").open("wb") as file:
        file.truncate(3 << 30)
    with pytest.raises(ModelError, match="more than 2 GiB"):
        pipeline.import_model(path)
