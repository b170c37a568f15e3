"""A network that is ready to compute: its layers with their weights, tile by tile."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pipeline.canonical import sha256
from pipeline.errors import ConfigurationError, ModelError
from pipeline.kernels.blas import blas_tag, one_thread
from pipeline.kernels.layers import LAYER_ROWS, DenseLayer
from pipeline.models.document import Problem
from pipeline.models.network.file import DenseSection, NetworkFile
from pipeline.models.network.inputs import PreparedInput
from pipeline.models.network.weights import Tensor, Weights, read_weights
from pipeline.units import escape, format_count, nearest

if TYPE_CHECKING:
    from pipeline.models.document import Path

Floats = npt.NDArray[np.float64]

# The inputs of so many rows are made at once: numpy has the cost of a call for many rows, and they stay in the cache.
_INPUT_BYTES = 1 << 20
_MOST_TILES = 16

_making = threading.RLock()


@dataclass(frozen=True, eq=False)
class Network:
    """The layers of a network with their weights. May be used from several threads at once.

    Attributes
    ----------
    layers : tuple of DenseLayer
    weight_bytes : int
        The size of the file of the weights.
    """

    layers: tuple[DenseLayer, ...]
    weight_bytes: int

    @property
    def inputs(self) -> int:
        """How many numbers it takes of a row."""
        return self.layers[0].inputs

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the weights."""
        return self.layers[0].weight.dtype

    @property
    def tiles(self) -> int:
        """How many tiles of inputs are made at once."""
        return max(1, min(_MOST_TILES, _INPUT_BYTES // (LAYER_ROWS * self.inputs * self.dtype.itemsize)))

    @property
    def call_bytes(self) -> int:
        """The bytes that a call takes, however many rows it has: inputs, and what two layers have at a time."""
        widest = max(max(layer.inputs, layer.units) for layer in self.layers)
        inputs = self.tiles * LAYER_ROWS * (self.inputs * self.dtype.itemsize + 8)
        return inputs + 4 * 8 * LAYER_ROWS * widest

    @property
    def table_bytes(self) -> int:
        """The bytes that weights take: the file while it is read, the tensors, and float64 made of float32."""
        return 4 * self.weight_bytes

    def tag(self) -> str:
        """Return what the bits depend on besides those of the functions in float64: BLAS, and the type of the sums.

        Its last part is eight digits of a digest of what the network makes of fixed rows.

        Raises
        ------
        ConfigurationError
            A row has other bits in another place of a tile.
        """
        types = "/".join(dict.fromkeys(str(layer.arithmetic) for layer in self.layers))
        return f"{blas_tag().partition(' ')[2].replace(' ', '-')}-{types}-{self._probe_digest}"

    @cached_property
    def _probe_digest(self) -> str:
        generator = np.random.Generator(np.random.Philox(0))
        tile = generator.uniform(-2, 2, (self.inputs, LAYER_ROWS)).astype(self.dtype)
        order = generator.permutation(LAYER_ROWS)
        with one_thread(), np.errstate(all="ignore"):
            ((_, sums), (_, others)) = self._sums(np.stack([tile, tile[:, order]]), 0)
        if not np.array_equal(sums[:, order], others, equal_nan=True):
            raise ConfigurationError(
                f"numpy with {blas_tag()} gives a row other bits in another place of a batch",
                "install numpy from its own wheels, which bring OpenBLAS",
            )
        return sha256(np.ascontiguousarray(sums, dtype="<f8").tobytes())[:8]

    def raw(self, inputs: Sequence[PreparedInput], out: Floats) -> None:
        """Write the raw predictions of a batch, shape (outputs, rows).

        Equal rows have equal bits in every batch: rows are computed in tiles of 1,024, with one thread of BLAS.
        """
        count, size = out.shape[1], self.tiles * LAYER_ROWS
        tiles = np.empty((min(self.tiles, -(-count // LAYER_ROWS)), self.inputs, LAYER_ROWS), dtype=self.dtype)
        scratch = np.empty(min(size, count))
        with one_thread(), np.errstate(all="ignore"):
            for start in range(0, count, size):
                rows = slice(start, min(start + size, count))
                for first, sums in self._sums(_filled(tiles, inputs, rows, scratch), start):
                    last = min(first + LAYER_ROWS, count)
                    out[:, first:last] = sums[:, : last - first]

    def _sums(self, tiles: npt.NDArray[Any], start: int) -> Iterator[tuple[int, npt.NDArray[Any]]]:
        """Yield the first row of each tile and its sums in the last layer, shape (outputs, rows of a tile)."""
        *hidden, last = self.layers
        for number, tile in enumerate(tiles):
            values = tile.T
            for layer in hidden:
                values = layer.outputs(values)
            yield start + number * LAYER_ROWS, last.raw(values).T


def _filled(tiles: npt.NDArray[Any], inputs: Sequence[PreparedInput], rows: slice, scratch: Floats) -> npt.NDArray[Any]:
    """Return tiles with the inputs of some rows; the last one is filled up with zeros."""
    used = tiles[: -(-(rows.stop - rows.start) // LAYER_ROWS)]
    used.fill(0.0)
    first = 0
    for each in inputs:
        each.fill(used[:, first : first + each.width], rows, scratch)
        first += each.width
    return used


def network_of(file: NetworkFile, path: str, held: bytes | None = None) -> Network:
    """Return the network of a file, with the weights at a path; the last four are kept in this process.

    ``held`` is what the weights file will contain, where it is not yet written.

    Raises
    ------
    ModelError
        Weights do not fit the layers, or are not those of the model.
    InputMissingError, PermissionDeniedError, StorageError
        The weights cannot be read.
    ConfigurationError
        safetensors is not installed.
    """
    with _making:
        return _network(file, path, held)


@lru_cache(maxsize=4)
def _network(file: NetworkFile, path: str, held: bytes | None) -> Network:
    weights = read_weights(path, file.weights.sha256, held)
    if found := list(unfit_weights(file, weights)):
        raise ModelError("\n".join(f"{escape(path, 1000)}: {problem}" for problem in found))
    tensors = weights.tensors
    return Network(tuple(_layer(layer, tensors) for _, layer in file.dense), weights.bytes)


def _layer(layer: DenseSection, tensors: Any) -> DenseLayer:
    weight = tensors[layer.weight].values
    bias = np.zeros(len(weight), dtype=weight.dtype) if layer.bias is None else tensors[layer.bias].values
    return DenseLayer(weight, bias, layer.function, layer.parameters)


def unfit_weights(file: NetworkFile, weights: Weights) -> Iterator[Problem]:
    """Yield what does not fit together in a file and its weights, each with its place in the file."""
    tensors = weights.tensors
    named = {name for _, layer in file.dense for name in layer.tensors}
    if problems := list(_unfit_tensors(file, weights)):
        yield from problems
        return
    if unused := sorted(tensors.keys() - named):
        more = f" (and {format_count(len(unused) - 1)} more)" if len(unused) > 1 else ""
        message = f"no layer uses the tensor {_quoted(unused[0])}{more}: name it in one, or leave it out of the file"
        yield Problem(("weights", "file"), message)
    yield from _unfit_shapes(file, weights)


def _unfit_tensors(file: NetworkFile, weights: Weights) -> Iterator[Problem]:
    """Yield the tensors that are not there, or whose numbers cannot be used."""
    first: tuple[str, str] | None = None
    for place, layer in file.dense:
        for member in ("weight", "bias"):
            name, path = getattr(layer, member), ("layers", place, member)
            if name is None:
                continue
            tensor = weights.tensors.get(name)
            if tensor is None:
                near = nearest(name, weights.tensors)
                yield Problem(path, f"there is no tensor {_quoted(name)} in the weights{near}")
                continue
            first = first or (name, tensor.dtype)
            yield from _unfit_numbers(path, name, tensor, first)


def _unfit_numbers(path: Path, name: str, tensor: Tensor, first: tuple[str, str]) -> Iterator[Problem]:
    shown, values = _quoted(name), tensor.values
    axes = 2 if path[-1] == "weight" else 1
    if values is None:
        yield Problem(path, f"tensor {shown} is {tensor.dtype}; weights are float32 (F32) or float64 (F64)")
    elif tensor.dtype != first[1]:
        yield Problem(path, f"tensor {shown} is {tensor.dtype}, but {_quoted(first[0])} is {first[1]}: use one type")
    elif values.ndim != axes or not values.size:
        form = "(units, inputs)" if axes == 2 else "(units,)"
        yield Problem(path, f"tensor {shown} has shape {_shape(values.shape)}; it must have {form}")
    elif not np.isfinite(values).all():
        count = int(values.size - np.count_nonzero(np.isfinite(values)))
        verb = "number is" if count == 1 else "numbers are"
        yield Problem(path, f"{format_count(count)} of the {verb} NaN or infinite in tensor {shown}")


def _unfit_shapes(file: NetworkFile, weights: Weights) -> Iterator[Problem]:
    """Yield the layers that do not take what the one before gives, and a last one that does not fit the head."""
    width, of = file.inputs, f"the features make {format_count(file.inputs)}"
    for place, layer in file.dense:
        units, inputs = weights.tensors[layer.weight].shape
        if inputs != width:
            message = f"tensor {_quoted(layer.weight)} takes {_many(inputs, 'input')}, but {of}"
            yield Problem(("layers", place, "weight"), message)
        if layer.bias is not None and (shape := weights.tensors[layer.bias].shape) != (units,):
            message = (
                f"tensor {_quoted(layer.bias)} has shape {_shape(shape)}, but the layer has {_many(units, 'unit')}"
            )
            yield Problem(("layers", place, "bias"), message)
        width, of = units, f"layers[{place}] gives {format_count(units)}"
    if width != file.outputs:
        place, layer = file.dense[-1]
        wants = f"the head {file.head} needs {format_count(file.outputs)}"
        message = f"tensor {_quoted(layer.weight)} has {_many(width, 'unit')}, but {wants}"
        yield Problem(("layers", place, "weight"), message)


def _many(count: int, what: str) -> str:
    return f"{format_count(count)} {what}{'' if count == 1 else 's'}"


def _shape(shape: Sequence[int]) -> str:
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


def _quoted(name: str) -> str:
    return f'"{escape(name)}"'
