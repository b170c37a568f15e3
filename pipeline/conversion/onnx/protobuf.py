"""The bytes of an ONNX file as a graph, and back: the one place that knows the package onnx."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import disk
from pipeline.conversion.onnx.graph import CORE, Constant, Graph, Node, Port
from pipeline.errors import ConfigurationError, ModelError
from pipeline.units import GIB, escape, format_bytes

# Opset 13 goes with version 7 of the format.
_FORMAT = 7
SIZE_LIMIT = 2 * GIB
_AGAIN = "write the graph again, with onnx.save or the tool that made it"


def _onnx() -> Any:
    if find_spec("onnx") is None:
        raise ConfigurationError("the package onnx is not installed", "pip install 'logitstream[onnx]'")
    import onnx  # noqa: PLC0415 - an extra
    import onnx.numpy_helper  # noqa: PLC0415

    return onnx


def encode(graph: Graph) -> bytes:
    """Return the bytes of an ONNX file.

    Raises
    ------
    ConfigurationError
        The package onnx is not installed.
    """
    onnx = _onnx()
    helper = onnx.helper
    body = helper.make_graph(
        [_node(helper, each) for each in graph.nodes],
        graph.name,
        [helper.make_tensor_value_info(each.name, each.type, ["rows", *each.shape[1:]]) for each in graph.inputs],
        [helper.make_tensor_value_info(each.name, each.type, ["rows", *each.shape[1:]]) for each in graph.outputs],
        [onnx.numpy_helper.from_array(value, name) for name, value in graph.constants.items()],
    )
    opsets = [helper.make_opsetid(domain, version) for domain, version in graph.opsets.items()]
    model = helper.make_model(body, opset_imports=opsets, ir_version=_FORMAT, producer_name="logitstream")
    if graph.metadata:
        helper.set_model_props(model, dict(graph.metadata))
    return bytes(model.SerializeToString(deterministic=True))


def _node(helper: Any, node: Node) -> Any:
    return helper.make_node(
        node.operator, node.inputs, node.outputs, name=node.name, domain=node.domain, **node.attributes
    )


def decode(path: Path, data: bytes) -> Graph:
    """Return the graph in the bytes of an ONNX file.

    Parameters
    ----------
    path : Path
        Where it is: constants outside the file are read from its folder, and from nowhere else.
    data : bytes
        The whole file.

    Raises
    ------
    ModelError
        The file is damaged or too large, or refers to a file outside its folder.
    ConfigurationError
        The package onnx is not installed.
    """
    name = escape(str(path))
    if len(data) > SIZE_LIMIT:
        raise ModelError(f"{name} has more than {format_bytes(SIZE_LIMIT)}", "logitstream reads smaller graphs")
    onnx = _onnx()
    from google.protobuf.message import DecodeError  # noqa: PLC0415 - comes with onnx

    try:
        model = onnx.load_model_from_string(data)
    except DecodeError as error:
        raise ModelError(f"{name} is not a whole ONNX graph: the protobuf is damaged", _AGAIN) from error
    if not model.graph.node:
        raise ModelError(f"{name} has no node: it is no ONNX graph, or it is damaged", _AGAIN)
    return _GraphDecoder(onnx, path).graph(model)


class _GraphDecoder:
    """Reads the parts of a model."""

    def __init__(self, onnx: Any, path: Path) -> None:
        self._onnx = onnx
        self._path = path
        self._outside: dict[Path, bytes] = {}

    def graph(self, model: Any) -> Graph:
        body = model.graph
        constants = {self._text(each.name): self._constant(each) for each in body.initializer}
        return Graph(
            tuple(each for each in self._ports(body.input) if each.name not in constants),
            tuple(self._ports(body.output)),
            tuple(self._node(each) for each in body.node),
            constants,
            {_domain(self._text(each.domain)): each.version for each in model.opset_import},
            {self._text(each.key): self._text(each.value) for each in model.metadata_props},
        )

    def _ports(self, values: Any) -> Iterator[Port]:
        for value in values:
            tensor = value.type.tensor_type
            shape = (each.dim_value if each.HasField("dim_value") else None for each in tensor.shape.dim)
            yield Port(self._text(value.name), tensor.elem_type, tuple(shape))

    def _node(self, node: Any) -> Node:
        attributes = {self._text(each.name): self._attribute(each) for each in node.attribute}
        inputs, outputs = (tuple(map(self._text, each)) for each in (node.input, node.output))
        domain = _domain(self._text(node.domain))
        return Node(self._text(node.op_type), inputs, outputs, attributes, domain, self._text(node.name))

    def _attribute(self, attribute: Any) -> Any:
        try:
            value = self._onnx.helper.get_attribute_value(attribute)
        except ValueError as error:
            raise self._damaged("an attribute has no known type") from error
        if isinstance(value, self._onnx.TensorProto):
            return self._constant(value)
        if isinstance(value, bytes | str):
            return self._text(value)
        if hasattr(value, "__iter__"):
            return [self._text(each) if isinstance(each, bytes) else each for each in value]
        return value

    def _text(self, value: bytes | str) -> str:
        """Return a text; the protobuf gives bytes where it is not UTF-8."""
        try:
            return value.decode() if isinstance(value, bytes) else value
        except UnicodeDecodeError as error:
            raise self._damaged("a name or text is not UTF-8") from error

    def _damaged(self, why: str) -> ModelError:
        return ModelError(f"{escape(str(self._path))} is damaged: {why}", _AGAIN)

    def _constant(self, tensor: Any) -> Constant:
        name = escape(self._text(tensor.name))
        if tensor.data_location == self._onnx.TensorProto.EXTERNAL:
            self._load(tensor)
        try:
            value = np.asarray(self._onnx.numpy_helper.to_array(tensor))
        except (ValueError, TypeError, KeyError, OverflowError, MemoryError) as error:
            raise self._damaged(f'the constant "{name}" has not what it says') from error
        return value.astype(object) if value.dtype.kind in "SU" else value

    def _load(self, tensor: Any) -> None:
        """Read the content of a constant that is kept in another file of the folder."""
        said = {self._text(each.key): self._text(each.value) for each in tensor.external_data}
        location = said.get("location", "")
        folder = self._path.resolve().parent
        other = (folder / location).resolve()
        shown = f'{escape(str(self._path))}: the constant "{escape(tensor.name)}" is kept in {escape(location)!r}'
        if not location or not other.is_relative_to(folder):
            raise ModelError(
                f"{shown}, outside the folder of the graph", "save the graph as one file, or keep both in one folder"
            )
        if not other.is_file():
            raise ModelError(f"{shown}, which is no file", "put it beside the graph")
        offset, length = _whole(said, "offset"), _whole(said, "length")
        if offset is None or length is None:
            raise ModelError(f"{shown} at no valid place", _AGAIN)
        content = self._content(other, shown)
        tensor.raw_data = content[offset : offset + length if length else None]
        tensor.data_location = self._onnx.TensorProto.DEFAULT
        del tensor.external_data[:]

    def _content(self, other: Path, shown: str) -> bytes:
        """Return the content of another file, which may have many constants; all such files have a limit together."""
        if other not in self._outside:
            left = SIZE_LIMIT - sum(map(len, self._outside.values()))
            try:
                facts = disk.facts(str(other))
                # A file that is too large is not read at all.
                is_small = facts is None or facts.st_size <= left
                content = disk.read_file(other, left + 1) if is_small else b""
            except (OSError, ValueError) as error:
                raise ModelError(
                    f"{shown}, which cannot be read: {escape(str(error))}", "put it beside the graph"
                ) from error
            if not is_small or len(content) > left:
                raise ModelError(f"{shown}: more than {format_bytes(SIZE_LIMIT)}", "logitstream reads smaller graphs")
            self._outside[other] = content
        return self._outside[other]


def _whole(said: Mapping[str, str], key: str) -> int | None:
    text = said.get(key, "0")
    return int(text) if text.isdecimal() and len(text) < 20 else None


def _domain(name: str) -> str:
    return CORE if name == "ai.onnx" else name
