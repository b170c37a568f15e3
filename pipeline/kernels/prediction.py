"""The raw prediction of a linear model, column by column, straight from the memory of the columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.kernels.tiles import TILE_ROWS, Floats, settle_nan

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Numeric:
    """A column whose contribution to a row is ``coefficient * value``.

    Attributes
    ----------
    values : ndarray, shape (rows,)
        Booleans, integers, float16, float32 or float64. Contiguous float64 is used where it lies; anything else is
        copied into a float64 tile first, with the same bits.
    coefficient : float
    null : ndarray of bool, shape (rows,), optional
        Where the value is ``filler`` instead of the one in ``values``.
    filler : float
    """

    values: npt.NDArray[Any]
    coefficient: float
    null: Flags | None = None
    filler: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Categorical:
    """A column whose contribution to a row is ``contributions[code]``.

    Attributes
    ----------
    codes : ndarray of int32, shape (rows,)
        Each at least 0 and under the number of contributions.
    contributions : ndarray of float64, shape (levels,)
    null : ndarray of bool, shape (rows,), optional
        Where the contribution is the last one instead of that of the code.
    """

    codes: npt.NDArray[np.int32]
    contributions: Floats
    null: Flags | None = None


Term = Numeric | Categorical
# Adds a term to the rows of a tile: their place, their sums, and two tiles of scratch.
_Step = Callable[[slice, Floats, Floats, npt.NDArray[np.intp]], None]


def raw_prediction(terms: Sequence[Term], intercept: float, *, out: Floats) -> Floats:
    """Write ``((intercept + term_1) + term_2) + ...`` to ``out``, with the terms in the order given.

    Each product and each sum is rounded to float64 by itself, without a fused multiply-add: the bits of a row depend
    only on its values, not on batch, tile, memory layout or kind of CPU. Infinities follow IEEE arithmetic; if they end
    in NaN, it is always the same quiet one. No matrix is built; memory beyond ``out`` is two tiles.

    Parameters
    ----------
    terms : sequence of Numeric or Categorical
        One for each column, each as long as ``out``.
    intercept : float
    out : ndarray of float64, shape (rows,)
        Contiguous, and not in the memory of any column.

    Returns
    -------
    ndarray
        ``out``.

    Raises
    ------
    TypeError
        A column, a table of contributions or ``out`` has a dtype that is not allowed.
    ValueError
        Lengths differ, nulls are not booleans, or ``out`` is not contiguous, not writeable or overlaps a column.
        Nothing is written.
    IndexError
        A code is outside its table. ``out`` is then partly written.
    """
    _check_out(out)
    steps = [_step(position, term, out) for position, term in enumerate(terms)]
    scratch = np.empty(min(TILE_ROWS, out.size))
    index = np.empty(min(TILE_ROWS, out.size), dtype=np.intp)
    with np.errstate(all="ignore"):
        for start in range(0, out.size, TILE_ROWS):
            rows = slice(start, start + TILE_ROWS)
            total = out[rows]
            total.fill(intercept)
            for add in steps:
                add(rows, total, scratch[: total.size], index[: total.size])
            settle_nan(total)
    return out


def _add_product(term: Numeric, rows: slice, total: Floats, scratch: Floats, _: Any) -> None:
    np.multiply(term.values[rows], term.coefficient, out=scratch)
    _add(term, rows, total, scratch)


def _add_converted(term: Numeric, rows: slice, total: Floats, scratch: Floats, _: Any) -> None:
    scratch[...] = term.values[rows]
    np.multiply(scratch, term.coefficient, out=scratch)
    _add(term, rows, total, scratch)


def _add(term: Numeric, rows: slice, total: Floats, products: Floats) -> None:
    if term.null is not None:
        np.putmask(products, term.null[rows], np.multiply(term.filler, term.coefficient))
    np.add(total, products, out=total)


def _add_level(term: Categorical, rows: slice, total: Floats, scratch: Floats, index: npt.NDArray[np.intp]) -> None:
    codes, null = term.codes[rows], None if term.null is None else term.null[rows]
    _check_codes(codes, null, term.contributions.size)
    # With mode "raise" numpy fills a copy of `out`, and codes of another type than intp it converts in a new array.
    index[...] = codes
    np.take(term.contributions, index, out=scratch, mode="clip")
    if null is not None:
        np.putmask(scratch, null, term.contributions[-1])
    np.add(total, scratch, out=total)


def _check_codes(codes: npt.NDArray[Any], null: Flags | None, size: int) -> None:
    lowest, highest = codes.min(), codes.max()
    if lowest >= 0 and highest < size:
        return
    if null is None:
        raise IndexError(f"codes from {lowest} to {highest} for a table of {size} contributions")
    # What is under a null may point anywhere.
    codes = codes[~null]
    if codes.size:
        _check_codes(codes, None, size)


def _step(position: int, term: Term, out: Floats) -> _Step:
    column = term.values if isinstance(term, Numeric) else term.codes
    _check_column(position, column, "biuf" if isinstance(term, Numeric) else "iu", out)
    if term.null is not None and (term.null.dtype != np.bool_ or term.null.shape != out.shape):
        raise ValueError(f"term {position}: nulls must be {out.shape} booleans")
    if isinstance(term, Numeric):
        return partial(_add_product if _is_direct(term.values) else _add_converted, term)
    if term.contributions.dtype != np.float64 or term.contributions.ndim != 1:
        raise TypeError(f"term {position}: contributions must be one-dimensional float64")
    return partial(_add_level, replace(term, contributions=np.ascontiguousarray(term.contributions)))


def _is_direct(values: npt.NDArray[Any]) -> bool:
    return values.dtype == np.float64 and values.flags.c_contiguous and values.flags.aligned


def _check_column(position: int, column: npt.NDArray[Any], kinds: str, out: Floats) -> None:
    if column.dtype.kind not in kinds or column.dtype.itemsize > 8:
        raise TypeError(f"term {position}: a column of {column.dtype} cannot be used")
    if column.shape != out.shape:
        raise ValueError(f"term {position}: the column has shape {column.shape}, but out has {out.shape}")
    if np.may_share_memory(column, out):
        raise ValueError(f"term {position}: the column overlaps out")


def _check_out(out: Floats) -> None:
    if out.dtype != np.float64:
        raise TypeError(f"out must be float64, got {out.dtype}")
    if out.ndim != 1 or not out.flags.carray:
        raise ValueError("out must be one-dimensional, contiguous and writeable")
