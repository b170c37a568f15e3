"""A graph as plain values: what is read from the bytes of an ONNX file, and what is written as them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.dataclass import dataclass

Constant = npt.NDArray[Any]

# The two domains of operators that the ONNX standard defines, by the names that nodes have.
CORE = ""
ML = "ai.onnx.ml"

# Types of elements, by the numbers of TensorProto.DataType (onnx.proto).
FLOAT, INT32, INT64, STRING, BOOL, DOUBLE = 1, 6, 7, 8, 9, 11


@dataclass(frozen=True, slots=True)
class Node:
    """One operator of a graph; a domain of ``ai.onnx`` is written as the empty text."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    domain: str = CORE
    name: str = ""


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of a graph.

    Attributes
    ----------
    name : str
    type : int
        The type of its elements, 0 for what is no tensor.
    shape : tuple of int or None
        ``None`` is a length that the graph leaves open.
    """

    name: str
    type: int
    shape: tuple[int | None, ...] = (None, 1)


@dataclass(frozen=True, slots=True)
class Graph:
    """A whole graph.

    Attributes
    ----------
    inputs, outputs : tuple of Port
        Inputs without those that have a constant of the same name.
    nodes : tuple of Node
        Each after those whose outputs it takes.
    constants : mapping of str to ndarray
        Text is an array of objects.
    opsets : mapping of str to int
        The version of each domain.
    metadata : mapping of str to str
    name : str
        What it is called; any graph that was read is called the same.
    """

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    nodes: tuple[Node, ...]
    constants: Mapping[str, Constant]
    opsets: Mapping[str, int]
    metadata: Mapping[str, str] = field(default_factory=dict)
    name: str = "logistic_model"


@dataclass(frozen=True, slots=True)
class ReadGraph:
    """A graph that was read.

    Attributes
    ----------
    document : dict
        A model file as JSON.
    notes : tuple of str
    columns : mapping of str to tuple of str
        The columns of each input, in their order.
    output : str
        The tensor of the probabilities or raw predictions.
    is_raw : bool
        Whether these are raw predictions.
    tolerance : float
    unnamed : tuple of str
        The columns that the graph has no names for, as they are called here.
    """

    document: dict[str, Any]
    notes: tuple[str, ...]
    columns: Mapping[str, tuple[str, ...]]
    output: str
    is_raw: bool
    tolerance: float
    unnamed: tuple[str, ...] = ()


def needed(graph: Graph, wanted: str) -> list[Node]:
    """Return the nodes that lead to a tensor, in the order of the graph."""
    names, found = {wanted}, []
    for node in reversed(graph.nodes):
        if names & set(node.outputs):
            found.append(node)
            names.update(node.inputs)
    return found[::-1]


def texts(values: Any) -> Constant:
    """Return texts as a constant of a graph."""
    return np.array(list(values), dtype=object)
