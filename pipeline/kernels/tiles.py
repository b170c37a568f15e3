"""From a function of one tile to a function of any array."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
TileFunction = Callable[[Floats, Floats, Floats], None]

# 256 KiB of float64: a source, a result and a scratch tile stay together in an L2 cache of 1 MiB. A quarter of it is
# bound by the fixed cost of a ufunc call; 16,384 is 10 % slower where L2 is that large.
TILE_ROWS = 32_768
# Where a function needs several scratch arrays. Fewer rows are bound by the cost of its many calls; with more, four of
# them and the buffers of float32 take more than 1 MiB.
PIECE_ROWS = 12_288

_FLOATS = (np.dtype(np.float16), np.dtype(np.float32), np.dtype(np.float64))

# ufuncs leave their vector loops, and change bits, on reversed and on partly overlapping operands. The iterator copies
# into its buffer whatever is not a contiguous forward run of float64, so that the tiles never show the difference.
# Any, because the stubs of numpy misspell "contig".
_CONTIGUOUS = ("contig", "aligned", "nbo", "overlap_assume_elementwise")
_OPERAND_FLAGS: Any = (("readonly", *_CONTIGUOUS), ("writeonly", *_CONTIGUOUS))


def apply_tiles(
    function: TileFunction, x: npt.ArrayLike, out: npt.NDArray[Any] | None, *, one_pass: bool = False
) -> npt.NDArray[Any]:
    """Return ``function`` of every element, computed in float64 and rounded once to the type of the result.

    ``function(values, results, scratch)`` sees contiguous float64 tiles of at most ``TILE_ROWS`` elements; ``results``
    may be ``values`` itself. Memory beyond the result is a few tiles, unless ``out`` overlaps ``x`` without being
    ``x``: then the result is computed elsewhere and copied. A function with ``one_pass`` needs no scratch and reads
    each value once: if nothing is converted, it sees the whole array, because tiles would only cost calls. So does any
    function of an array that is no larger than a tile.

    Raises
    ------
    TypeError
        ``x`` is neither boolean, integer nor float16, float32, float64, or ``out`` has another type than the result.
    ValueError
        ``out`` has another shape than ``x`` or cannot be written to.
    """
    source = as_source(x)
    target = as_target(source, out)
    if (one_pass or 0 < source.size <= TILE_ROWS) and _is_plain(source, target):
        with np.errstate(all="ignore"):
            function(source.reshape(-1), target.reshape(-1), np.empty(0 if one_pass else source.size))
        return target if out is not None else target[()]
    scratch = np.empty(min(TILE_ROWS, source.size))
    with np.errstate(all="ignore"), _tiles(source, target) as tiles:
        for values, results in cast("Any", tiles):
            function(values, results, scratch[: values.size])
    return target if out is not None else target[()]


def in_pieces(
    function: Callable[..., None],
    count: int,
    x: Floats,
    out: Floats,
    scratch: Floats | None = None,
    *,
    rows: int = PIECE_ROWS,
) -> None:
    """Call ``function(x, out, *arrays)`` for each piece of a tile, with ``count`` scratch arrays of the same length.

    The scratch of the tile holds as many of them as fit.
    """
    rows = min(rows, x.size)
    given = () if scratch is None or not rows else tuple(scratch[: scratch.size // rows * rows].reshape(-1, rows))
    arrays = (*given, *np.empty((max(0, count - len(given)), rows)))[:count]
    for start in range(0, x.size, rows or 1):
        values = x[start : start + rows]
        function(values, out[start : start + rows], *(array[: values.size] for array in arrays))


def settle_nan(values: Floats) -> None:
    """Replace every NaN by the same quiet NaN.

    Which of two NaNs an addition returns depends on the vector lane; the sign and payload of results must not.
    """
    if np.isnan(np.minimum.reduce(values, initial=np.inf)):
        values[np.isnan(values)] = np.nan


def _is_plain(source: npt.NDArray[Any], target: npt.NDArray[Any]) -> bool:
    is_forward = source.flags.c_contiguous and target.flags.c_contiguous and source.flags.aligned
    is_apart = source is target or not np.may_share_memory(source, target)
    return bool(is_forward and target.flags.aligned and is_apart and source.dtype == target.dtype == np.float64)


def _tiles(source: npt.NDArray[Any], target: npt.NDArray[Any]) -> np.nditer:
    return np.nditer(
        (source, target),
        flags=["external_loop", "buffered", "zerosize_ok", "copy_if_overlap"],
        op_flags=_OPERAND_FLAGS,
        op_dtypes=(np.dtype(np.float64), np.dtype(np.float64)),
        casting="same_kind",
        buffersize=TILE_ROWS,
    )


def is_masked(x: object) -> bool:
    """Return whether it is a masked array of numpy; asks without loading ``numpy.ma``, which takes 8 ms."""
    # While another thread loads it, it has no classes yet, and nobody has an array of them.
    kind = getattr(sys.modules.get("numpy.ma"), "MaskedArray", None)
    return kind is not None and isinstance(x, kind)


def as_source(x: npt.ArrayLike) -> npt.NDArray[Any]:
    """Return the input as an array; raise a ``TypeError`` if its type is not supported."""
    if is_masked(x):
        raise TypeError("masked arrays are not supported because the mask would be lost: fill them first")
    source = np.asarray(x)
    if source.dtype.kind not in "biu" and source.dtype.newbyteorder("=") not in _FLOATS:
        raise TypeError(f"expected booleans, integers, float16, float32 or float64, got {source.dtype}")
    return source


def as_target(source: npt.NDArray[Any], out: npt.NDArray[Any] | None) -> npt.NDArray[Any]:
    """Return where the results go: ``out``, checked against the input, or a new array."""
    dtype = source.dtype.newbyteorder("=") if source.dtype.kind == "f" else np.dtype(np.float64)
    if out is None:
        return np.empty_like(source, dtype=dtype, subok=False)
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be a numpy array, got {type(out).__name__}")
    if out.dtype != dtype:
        raise TypeError(f"out must be {dtype} for an input of {source.dtype}, got {out.dtype}")
    if out.shape != source.shape:
        raise ValueError(f"out must have the shape of the input, {source.shape}, got {out.shape}")
    if not out.flags.writeable:
        raise ValueError("out is read-only")
    return out
