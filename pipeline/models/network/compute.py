"""A network that is ready to compute: its layers with their weights, tile by tile."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.canonical import sha256
from pipeline.dataclass import dataclass
from pipeline.errors import ConfigurationError, ModelError
from pipeline.kernels.blas import blas_tag, one_thread
from pipeline.kernels.layers import LAYER_ROWS, DenseLayer, GruLayer, LstmLayer, RecurrentLayer
from pipeline.models.columns import Rows
from pipeline.models.network.file import DenseSection, NetworkFile
from pipeline.models.network.inputs import PreparedInput
from pipeline.models.network.recurrence import Counts, Recurrence, StepSource, Tile, tiles_of
from pipeline.models.network.recurrent import GruSection, RecurrentSection
from pipeline.models.network.shapes import unfit_weights
from pipeline.models.network.weights import read_weights
from pipeline.units import escape

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
    recurrence : Recurrence or None
        The layers before them, where the rows are sequences.
    """

    layers: tuple[DenseLayer, ...]
    weight_bytes: int
    recurrence: Recurrence | None = None

    @property
    def inputs(self) -> int:
        """How many numbers it takes of a row, or of a step of it."""
        return self.layers[0].inputs if self.recurrence is None else self.recurrence.inputs

    @property
    def all_layers(self) -> tuple[RecurrentLayer | DenseLayer, ...]:
        """The layers with weights, in their order."""
        return (*(() if self.recurrence is None else self.recurrence.layers), *self.layers)

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
        dense = 4 * 8 * LAYER_ROWS * max(max(layer.inputs, layer.units) for layer in self.layers)
        if self.recurrence is not None:
            return dense + self.recurrence.tile_bytes
        return dense + self.tiles * LAYER_ROWS * (self.inputs * self.dtype.itemsize + 8)

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
        types = "/".join(dict.fromkeys(str(layer.arithmetic) for layer in self.all_layers))
        return f"{blas_tag().partition(' ')[2].replace(' ', '-')}-{types}-{self._probe_digest}"

    @cached_property
    def _probe_digest(self) -> str:
        order, sums, others = self._probe_sums()
        if not np.array_equal(sums[:, order], others, equal_nan=True):
            raise ConfigurationError(
                f"numpy with {blas_tag()} gives a row other bits in another place of a batch",
                "install numpy from its own wheels, which bring OpenBLAS",
            )
        return sha256(np.ascontiguousarray(sums, dtype="<f8").tobytes())[:8]

    def _probe_sums(self) -> tuple[Rows, Tile, Tile]:
        """Return an order of the rows of a tile, and the sums of fixed rows as they are and in that order."""
        generator = np.random.Generator(np.random.Philox(0))
        with one_thread(), np.errstate(all="ignore"):
            if self.recurrence is None:
                tile = generator.uniform(-2, 2, (self.inputs, LAYER_ROWS)).astype(self.dtype)
                order = generator.permutation(LAYER_ROWS)
                ((_, sums), (_, others)) = self._sums(np.stack([tile, tile[:, order]]), 0)
                return order, sums, others
            drawn, lengths = self.recurrence.digest_rows()
            order = generator.permutation(LAYER_ROWS)
            places = (np.arange(LAYER_ROWS), order)
            sums, others = (self._last(self.recurrence.pooled(drawn, rows, lengths[rows])) for rows in places)
        return order, sums, others

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
                for first, sums in self._sums(filled(tiles, inputs, rows, scratch), start):
                    last = min(first + LAYER_ROWS, count)
                    out[:, first:last] = sums[:, : last - first]

    def raw_of_steps(self, source: StepSource, rows: Rows, lengths: Counts, out: Floats) -> None:
        """Write the raw predictions of some rows of sequences, shape (outputs, rows); the others stay as they are.

        Bits are as those of :meth:`raw`. Rows of like lengths are computed together, which changes no bit.

        Parameters
        ----------
        source : StepSource
        rows : ndarray of intp
        lengths : ndarray of int64, shape (all rows,)
            The steps of each row.
        out : ndarray of float64, shape (outputs, all rows)
        """
        assert self.recurrence is not None
        order = rows[np.argsort(lengths[rows], kind="stable")]
        with one_thread(), np.errstate(all="ignore"):
            for tile in tiles_of(order):
                sums = self._last(self.recurrence.pooled(source, tile, lengths[tile]))
                out[:, tile] = sums[:, : len(tile)]

    def _last(self, columns: Tile) -> Tile:
        """Return the sums of the last layer for the rows of a tile, which stand side by side, as they do there."""
        *hidden, last = self.layers
        values = columns.T
        for layer in hidden:
            values = layer.outputs(values)
        return last.raw(values).T

    def _sums(self, tiles: npt.NDArray[Any], start: int) -> Iterator[tuple[int, npt.NDArray[Any]]]:
        """Yield the first row of each tile and its sums in the last layer, shape (outputs, rows of a tile)."""
        for number, tile in enumerate(tiles):
            yield start + number * LAYER_ROWS, self._last(tile)


def filled(tiles: npt.NDArray[Any], inputs: Sequence[PreparedInput], rows: slice, scratch: Floats) -> npt.NDArray[Any]:
    """Return as many of the tiles as some rows need, with their inputs; the last one is filled up with zeros.

    ``tiles`` has the shape (tiles, inputs, 1024) and either type of floats; ``scratch`` has room for the rows.
    """
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
    dense = tuple(_layer(layer, tensors) for _, layer in file.dense)
    recurrent = tuple(_recurrent_layer(layer, tensors) for _, layer in file.recurrent)
    recurrence = None if file.pooling is None else Recurrence(recurrent, file.pooling)
    return Network(dense, weights.bytes, recurrence)


def _layer(layer: DenseSection, tensors: Any) -> DenseLayer:
    weight = tensors[layer.weight].values
    bias = np.zeros(len(weight), dtype=weight.dtype) if layer.bias is None else tensors[layer.bias].values
    return DenseLayer(weight, bias, layer.function, layer.parameters)


def _recurrent_layer(layer: RecurrentSection, tensors: Any) -> RecurrentLayer:
    inputs, hidden = tensors[layer.input_weight].values, tensors[layer.hidden_weight].values
    none = np.zeros(len(inputs), dtype=inputs.dtype)
    a, b = (none if name is None else tensors[name].values for name in (layer.input_bias, layer.hidden_bias))
    if isinstance(layer, GruSection):
        return GruLayer(inputs, hidden, a, b, layer.reset_after)
    return LstmLayer(inputs, hidden, a, b)
