"""Raw predictions of a linear model, column by column, straight from the memory of the columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.dataclass import dataclass
from pipeline.kernels.bins import Guide
from pipeline.kernels.steps import TileStep
from pipeline.kernels.tiles import TILE_ROWS, Floats, settle_nan

Flags = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.intp]

# With several outputs a tile of all of them stays in the cache.
_LEAST_TILE_ROWS = 4_096


@dataclass(frozen=True, slots=True, eq=False)
class Numeric:
    """A column whose contribution to a row is ``coefficient * value``.

    Attributes
    ----------
    values : ndarray, shape (rows,)
        Booleans, integers, float16, float32 or float64. Contiguous float64 is used where it lies; anything else is
        copied into a float64 tile first, with the same bits.
    coefficient : float, or ndarray of float64, shape (outputs,)
    null : ndarray of bool, shape (rows,), optional
        Where the value is ``filler`` instead of the one in ``values``.
    filler : float
    """

    values: npt.NDArray[Any]
    coefficient: float | Floats
    null: Flags | None = None
    filler: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Categorical:
    """A column whose contribution to a row is ``contributions[code]``.

    Attributes
    ----------
    codes : ndarray of integers, shape (rows,)
        Each at least 0 and under the number of contributions.
    contributions : ndarray of float64, shape (levels,) or (outputs, levels)
    null : ndarray of bool, shape (rows,), optional
        Where the contribution is the last one instead of that of the code.
    """

    codes: npt.NDArray[Any]
    contributions: Floats
    null: Flags | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Binned:
    """A column whose contribution to a row is that of the interval of its value.

    Attributes
    ----------
    values : ndarray, shape (rows,)
        As in :class:`Numeric`; a NaN must be under a null.
    guide : Guide
        The intervals.
    contributions : ndarray of float64, shape (slots + 1,) or (outputs, slots + 1)
        By the slots of the guide.
    null : ndarray of bool, shape (rows,), optional
        Where the contribution is the last one instead of that of the interval.
    """

    values: npt.NDArray[Any]
    guide: Guide
    contributions: Floats
    null: Flags | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Factor:
    """A number that is changed step by step.

    Attributes
    ----------
    values : ndarray, shape (rows,)
        As in :class:`Numeric`.
    steps : tuple of callable
        Each changes a tile of values in place.
    null : ndarray of bool, shape (rows,), optional
        Where the value is ``filler``, before the steps, instead of the one in ``values``.
    filler : float
    """

    values: npt.NDArray[Any]
    steps: tuple[TileStep, ...] = ()
    null: Flags | None = None
    filler: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Product:
    """Columns whose contribution to a row is the product of the factors, from left to right, times a coefficient.

    Attributes
    ----------
    factors : tuple of Factor
        One at least.
    coefficient : float, ndarray of float64, shape (outputs,), or Categorical
        Of a :class:`Categorical` the contribution to the row is the coefficient.
    """

    factors: tuple[Factor, ...]
    coefficient: float | Floats | Categorical


Term = Numeric | Categorical | Binned | Product

# Gets the rows of a tile, the number of a term and its contributions to them, which are valid until it returns. Terms
# follow each other tile by tile.
Visit = Callable[[slice, int, Floats], object]


@dataclass(frozen=True, slots=True, eq=False)
class _Scratch:
    """Scratch of the rows of a tile: values, another array of values, and codes."""

    values: Floats
    others: Floats
    codes: Codes

    @classmethod
    def of(cls, rows: int) -> _Scratch:
        return cls(np.empty(rows), np.empty(rows), np.empty(rows, dtype=np.intp))

    def first(self, rows: int) -> _Scratch:
        return _Scratch(self.values[:rows], self.others[:rows], self.codes[:rows])


# Writes the contributions of a term to one output of a tile: the place of the rows, the number of the output, where to
# write, and scratch. What it prepares for the first output is in the scratch for the others.
_Step = Callable[[slice, int, Floats, _Scratch], None]


def raw_prediction(
    terms: Sequence[Term], intercept: float | Floats, *, out: Floats, visit: Visit | None = None
) -> Floats:
    """Write ``((intercept + term_1) + term_2) + ...`` to ``out``, with the terms in the order given.

    Each product and each sum is rounded to float64 by itself, without a fused multiply-add: the bits of a row depend
    only on its values, not on batch, tile, memory layout or kind of CPU. Infinities follow IEEE arithmetic; if they end
    in NaN, it is always the same quiet one. No matrix is built; memory beyond ``out`` is three tiles.

    Parameters
    ----------
    terms : sequence of terms
        One for each feature, each as long as a row of ``out``.
    intercept : float, or ndarray of float64, shape (outputs,)
    out : ndarray of float64, shape (rows,) or (outputs, rows)
        Contiguous, and not in the memory of any column.
    visit : callable, optional
        Gets the contributions of each term to a tile, while they are in the cache. Only for one output.

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
    totals = out if out.ndim == 2 else out[np.newaxis]
    intercepts = np.broadcast_to(np.asarray(intercept, dtype=np.float64), totals.shape[:1])
    if visit is not None and len(totals) > 1:
        raise ValueError("contributions can be visited where there is one output")
    steps = [_step(position, term, totals) for position, term in enumerate(terms)]
    rows = totals.shape[1]
    tile_rows = max(_LEAST_TILE_ROWS, TILE_ROWS // len(totals))
    scratch = _Scratch.of(min(tile_rows, rows))
    with np.errstate(all="ignore"):
        for start in range(0, rows, tile_rows):
            place = slice(start, min(start + tile_rows, rows))
            work = scratch.first(place.stop - start)
            for total, constant in zip(totals[:, place], intercepts, strict=True):
                total.fill(constant)
            _add_terms(steps, place, totals[:, place], work, visit)
    return out


def contributions(terms: Sequence[Term], rows: npt.NDArray[np.intp]) -> Floats:
    """Return what each term adds to some rows, shape (terms, rows): the bits that :func:`raw_prediction` adds.

    Parameters
    ----------
    terms : sequence of terms
        For one output.
    rows : ndarray of intp
    """
    found = np.empty((len(terms), rows.size))

    def keep(place: slice, term: int, added: Floats) -> None:
        found[term, place] = added

    raw_prediction([_of_rows(term, rows) for term in terms], 0.0, out=np.empty(rows.size), visit=keep)
    return found


def _of_rows(term: Any, rows: npt.NDArray[np.intp]) -> Any:
    """Return a term, or a factor, for some rows only."""
    if isinstance(term, Product):
        factors = tuple(_of_rows(factor, rows) for factor in term.factors)
        is_categorical = isinstance(term.coefficient, Categorical)
        return Product(factors, _of_rows(term.coefficient, rows) if is_categorical else term.coefficient)
    null = None if term.null is None else term.null[rows]
    if isinstance(term, Categorical):
        return replace(term, codes=term.codes[rows], null=null)
    return replace(term, values=term.values[rows], null=null)


def _add_terms(steps: Sequence[_Step], place: slice, totals: Floats, work: _Scratch, visit: Visit | None) -> None:
    of_outputs = list(totals)
    for position, write in enumerate(steps):
        for output, total in enumerate(of_outputs):
            write(place, output, work.others, work)
            np.add(total, work.others, out=total)
        if visit is not None:
            visit(place, position, work.others)
    for total in of_outputs:
        settle_nan(total)


def _write_product(term: Numeric, rows: slice, output: int, out: Floats, _: _Scratch) -> None:
    coefficient = _of_output(term.coefficient, output)
    np.multiply(term.values[rows], coefficient, out=out)
    _fill_products(term, rows, coefficient, out)


def _write_converted(term: Numeric, rows: slice, output: int, out: Floats, work: _Scratch) -> None:
    coefficient = _of_output(term.coefficient, output)
    if output == 0:
        work.values[...] = term.values[rows]
    np.multiply(work.values, coefficient, out=out)
    _fill_products(term, rows, coefficient, out)


def _fill_products(term: Numeric, rows: slice, coefficient: float, products: Floats) -> None:
    if term.null is not None:
        np.putmask(products, term.null[rows], np.multiply(term.filler, coefficient))


def _write_level(term: Categorical, rows: slice, output: int, out: Floats, work: _Scratch) -> None:
    table = _of_output(term.contributions, output, 2)
    null = None if term.null is None else term.null[rows]
    if output == 0:
        codes = term.codes[rows]
        _check_codes(codes, null, table.size)
        # With mode "raise" numpy fills a copy of `out`, and codes of another type than intp it converts in a new array.
        work.codes[...] = codes
    _take(table, work.codes, null, out)


def _write_bin(term: Binned, rows: slice, output: int, out: Floats, work: _Scratch) -> None:
    if output == 0:
        values = term.values[rows]
        if not _is_direct(values):
            work.values[...] = values
            values = work.values
        term.guide.find(values, work.codes, work.others)
    _take(_of_output(term.contributions, output, 2), work.codes, None if term.null is None else term.null[rows], out)


def _write_factors(term: Product, rows: slice, output: int, out: Floats, work: _Scratch) -> None:
    if output == 0:
        _multiply_factors(term.factors, rows, work)
    if isinstance(term.coefficient, Categorical):
        _write_level(term.coefficient, rows, output, out, work)
        np.multiply(work.values, out, out=out)
    else:
        np.multiply(work.values, _of_output(term.coefficient, output), out=out)


def _multiply_factors(factors: Sequence[Factor], rows: slice, work: _Scratch) -> None:
    for position, factor in enumerate(factors):
        tile = work.others if position else work.values
        tile[...] = factor.values[rows]
        if factor.null is not None:
            np.putmask(tile, factor.null[rows], factor.filler)
        for step in factor.steps:
            step(tile)
        if position:
            np.multiply(work.values, work.others, out=work.values)


def _take(table: Floats, codes: Codes, null: Flags | None, out: Floats) -> None:
    np.take(table, codes, out=out, mode="clip")
    if null is not None:
        np.putmask(out, null, table[-1])


def _of_output(numbers: Any, output: int, dimensions: int = 1) -> Any:
    return numbers[output] if isinstance(numbers, np.ndarray) and numbers.ndim == dimensions else numbers


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


def _step(position: int, term: Term, totals: Floats) -> _Step:
    for column, kinds, null in _columns(term):
        _check_column(position, column, kinds, totals)
        if null is not None and (null.dtype != np.bool_ or null.shape != totals.shape[1:]):
            raise ValueError(f"term {position}: nulls must be {totals.shape[1:]} booleans")
    if isinstance(term, Numeric):
        return partial(_write_product if _is_direct(term.values) else _write_converted, term)
    if isinstance(term, Product):
        return partial(_write_factors, replace(term, coefficient=_in_a_row(position, term.coefficient)))
    term = replace(term, contributions=_in_a_row(position, term.contributions))
    return partial(_write_level, term) if isinstance(term, Categorical) else partial(_write_bin, term)


def _in_a_row(position: int, numbers: Any) -> Any:
    """Return a table of contributions as the steps need it: contiguous float64; anything else as it is."""
    if isinstance(numbers, Categorical):
        return replace(numbers, contributions=_in_a_row(position, numbers.contributions))
    if not isinstance(numbers, np.ndarray):
        return numbers
    if numbers.dtype != np.float64 or numbers.ndim not in {1, 2}:
        raise TypeError(f"term {position}: contributions must be one- or two-dimensional float64")
    return np.ascontiguousarray(numbers)


def _columns(term: Term) -> list[tuple[npt.NDArray[Any], str, Flags | None]]:
    """Return the columns of a term, the kinds of dtypes that each may have, and where each is null."""
    if isinstance(term, Categorical):
        return [(term.codes, "iu", term.null)]
    if isinstance(term, Product):
        levels = _columns(term.coefficient) if isinstance(term.coefficient, Categorical) else []
        return [*((factor.values, "biuf", factor.null) for factor in term.factors), *levels]
    return [(term.values, "biuf", term.null)]


def _is_direct(values: npt.NDArray[Any]) -> bool:
    return values.dtype == np.float64 and values.flags.c_contiguous and values.flags.aligned


def _check_column(position: int, column: npt.NDArray[Any], kinds: str, totals: Floats) -> None:
    if column.dtype.kind not in kinds or column.dtype.itemsize > 8:
        raise TypeError(f"term {position}: a column of {column.dtype} cannot be used")
    if column.shape != totals.shape[1:]:
        raise ValueError(f"term {position}: the column has shape {column.shape}, but out has {totals.shape[1:]}")
    if np.may_share_memory(column, totals):
        raise ValueError(f"term {position}: the column overlaps out")


def _check_out(out: Floats) -> None:
    if out.dtype != np.float64:
        raise TypeError(f"out must be float64, got {out.dtype}")
    if out.ndim not in {1, 2} or not out.flags.carray:
        raise ValueError("out must be one- or two-dimensional, contiguous and writeable")
