"""The sigmoid, its logarithm and its inverse, without overflow, cancellation or a warning.

One unit in the last place (u) is the distance between neighbouring float64 numbers at the true value; bounds are over
all float64 inputs, for the exp, log and log1p of numpy on x86-64 (AVX-512) and of glibc, and for those of
:mod:`pipeline.kernels.portable`, which ``reproducible`` uses.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.kernels import portable
from pipeline.kernels.tiles import Floats, TileFunction, apply_tiles, settle_nan

if TYPE_CHECKING:
    from pipeline.choices import Precision

# Dividing by less than this overflows, or nearly does.
_LEAST_SHARE = 1e-300
# exp(-x) overflows below -709.78 while the sigmoid is still above zero; from -37 down the sigmoid equals exp(x) to
# within half a unit, so any bound between the two serves, and this one keeps the test of a tile false on real data.
TAIL = -700.0


class Library(NamedTuple):
    """Where exp, log, log1p and expm1 come from; each is called as ``function(x, out=out)``.

    exp is only called with numbers up to 10, expm1 with numbers that are not positive, log1p with numbers in [-1/2, 1].
    """

    exp: Callable[..., object]
    log: Callable[..., object]
    log1p: Callable[..., object]
    expm1: Callable[..., object]


_NUMPY = Library(np.exp, np.log, np.log1p, np.expm1)
_PORTABLE = Library(portable.exp, portable.log, portable.log1p, portable.expm1)
_LIBRARIES = {"fast": _NUMPY, "accurate": _NUMPY, "reproducible": _PORTABLE}


def sigmoid(
    x: npt.ArrayLike, *, out: npt.NDArray[Any] | None = None, precision: Precision = "fast"
) -> npt.NDArray[Any]:
    """Return ``1 / (1 + exp(-x))``, accurate over the whole range, including subnormal results.

    Error in float64: at most 2.75 u with any precision. The largest found among some 10^8 inputs chosen where it is
    worst, just below results that are a power of two, is 2.62 u with ``fast``, 2.60 u with ``accurate`` and 2.49 u with
    ``reproducible``; below -37.5 it is 1.84 u, 0.93 u and 1.01 u. float32 and float16 are computed in float64 and
    rounded once: within 0.5000001 u, and correctly. The infinities give 0 and 1, NaN stays NaN (always the same quiet
    one), and an element has the same bits at any place in an array.

    Parameters
    ----------
    x : array_like, any shape
        Booleans, integers, float16, float32 or float64. Any memory layout and byte order.
    out : ndarray, optional
        Where the result goes: the shape of ``x`` and the dtype of the result. May be ``x`` itself, and may overlap it
        (which costs a copy).
    precision : {"fast", "accurate", "reproducible"}
        ``accurate`` takes 1.4 times as long. With it, the next larger input may give a result that is one u smaller;
        among 130 million pairs of neighbours this never happened with ``fast``. ``reproducible`` takes 3 times as long
        as ``accurate`` if numpy has its own exp, and otherwise less than twice as long. It gives the same bits on every
        CPU, with every numpy and every C library; the others do so if :func:`pipeline.kernels.arithmetic_tag` is the
        same. Neighbours may step back with it as with ``accurate``.

    Returns
    -------
    ndarray
        Same shape; the floating dtype of ``x``, float64 for integers and booleans. A numpy scalar for a scalar. ``out``
        itself if it was given.

    Raises
    ------
    TypeError
        ``x`` has another dtype, or ``out`` does not have the dtype of the result.
    ValueError
        ``out`` has another shape or is read-only, or ``precision`` does not exist. Nothing is written.

    Notes
    -----
    ``fast`` is the definition; below -700, where ``exp(-x)`` comes near overflow, it is ``exp(x)``, which differs by
    less than 1e-304 of itself. ``accurate`` is ``exp(min(x, 0)) / (1 + exp(-abs(x)))``: numerator and denominator of
    ``exp(x) / (1 + exp(x))`` for x < 0, of the definition otherwise. With an exp that errs by e u, the sum and the
    quotient make it 2 (e + 1/2) + 1/2 at worst; e is 0.6 where that happens with numpy's own exp, 0.51 with glibc's.
    ``reproducible`` is the same formula with an exp that is made of IEEE operations, and 0.52 there.
    """
    return apply_tiles(sigmoid_function(precision), x, out)


def sigmoid_tile(x: Floats, out: Floats, scratch: Floats, precision: Precision = "fast") -> None:
    """Write the sigmoid of one tile to ``out``: the same bits as :func:`sigmoid`, without its checks.

    All three are contiguous float64 of one length; ``out`` may be ``x``, ``scratch`` overlaps neither. Nothing is
    allocated unless the tile holds NaN or values under -700, or ``precision`` is ``reproducible``, which takes two
    tiles more. The caller holds ``np.errstate(all="ignore")``.
    """
    sigmoid_function(precision)(x, out, scratch)


def log_sigmoid(
    x: npt.ArrayLike, *, out: npt.NDArray[Any] | None = None, precision: Precision = "fast"
) -> npt.NDArray[Any]:
    """Return the logarithm of the sigmoid, accurate even if the sigmoid itself is 0 or rounds to 1.

    Error in float64: at most 2 u (largest found: 1.72, and 1.58 with ``reproducible``). Types, ``out``, ``precision``
    and errors are those of :func:`sigmoid`, but ``fast`` and ``accurate`` are the same. Minus infinity stays, plus
    infinity gives 0.

    Notes
    -----
    ``min(x, 0) - log1p(exp(-abs(x)))``: both terms have the same sign, so nothing cancels (M. Mächler, *Accurately
    computing log(1 - exp(-|a|))*, 2012, for the companion function log1p(exp(x))).
    """
    return apply_tiles(log_sigmoid_function(precision), x, out)


def logit(p: npt.ArrayLike, *, out: npt.NDArray[Any] | None = None, precision: Precision = "fast") -> npt.NDArray[Any]:
    """Return ``log(p / (1 - p))``, the inverse of the sigmoid, accurate near 1/2 too.

    Error in float64: at most 2.25 u (largest found: 1.59); with ``reproducible`` at most 2.5 u (largest found: 2.13).
    Types, ``out``, ``precision`` and errors are those of :func:`sigmoid`, but ``fast`` and ``accurate`` are the same.
    0 gives minus infinity, 1 plus infinity, and numbers outside [0, 1] give NaN.

    Notes
    -----
    The smaller of p and 1 - p is exact: 1 - p where p is at least 1/2, p itself elsewhere. With m for it the result is
    ``log1p(2 abs(p - 1/2) / m)`` with the sign of p - 1/2, where nothing cancels, and log(m) or -log(m) for m so small
    that the quotient overflows.

    ``reproducible``, whose log1p is made for small numbers, takes the logarithm of the quotient ``p / (1 - p)``;
    between 0.3 and 0.65 that would magnify its rounding, and there, with d = p - 1/2 (exact), it is
    ``log1p(2 d) - log1p(-2 d)``, two terms of opposite sign.
    """
    return apply_tiles(logit_function(precision), p, out)


def library_of(precision: Precision) -> Library:
    """Return the functions that a precision uses.

    Raises
    ------
    ValueError
        There is no such precision.
    """
    check_precision(precision)
    return _LIBRARIES[precision]


def check_precision(precision: object) -> None:
    """Raise a ``ValueError`` if there is no such precision."""
    if not isinstance(precision, str) or precision not in _LIBRARIES:
        raise ValueError(f"precision must be one of {', '.join(_LIBRARIES)}, got {precision!r}")


def sigmoid_function(precision: Precision) -> TileFunction:
    """Return what computes one tile of the sigmoid."""
    library = library_of(precision)
    return _sigmoid_fast if precision == "fast" else partial(_sigmoid_by_parts, library)


def log_sigmoid_function(precision: Precision) -> TileFunction:
    """Return what computes one tile of the logarithm of the sigmoid."""
    return partial(_log_sigmoid, library_of(precision))


def logit_function(precision: Precision) -> TileFunction:
    """Return what computes one tile of the inverse of the sigmoid."""
    library = library_of(precision)
    return partial(_logit_by_parts, library) if precision == "reproducible" else _logit


def _sigmoid_fast(x: Floats, out: Floats, scratch: Floats) -> None:
    # The minimum of a tile with NaN is NaN: both exceptions cost one vector minimum where neither occurs.
    if np.minimum.reduce(x, initial=np.inf) >= TAIL:
        _sigmoid_definition(x, out, scratch)
        return
    tail = x < TAIL
    tail_results = np.exp(x[tail])
    _sigmoid_definition(x, out, scratch)
    out[tail] = tail_results
    settle_nan(out)


def _sigmoid_definition(x: Floats, out: Floats, scratch: Floats) -> None:
    np.negative(x, out=scratch)
    np.exp(scratch, out=scratch)
    np.add(scratch, 1.0, out=scratch)
    # Results that are not in the cache are fetched and written while the division computes, the longest of the passes
    # next to exp: a seventh faster over a large array than writing each pass there.
    np.divide(1.0, scratch, out=out)


def _sigmoid_by_parts(library: Library, x: Floats, out: Floats, scratch: Floats) -> None:
    np.abs(x, out=scratch)
    np.negative(scratch, out=scratch)
    library.exp(scratch, out=scratch)
    # The numerator, exp(min(x, 0)), is 1 or what there is already: a maximum chooses, and a second exp would cost more.
    np.greater_equal(x, 0.0, out=out)
    np.maximum(out, scratch, out=out)
    np.add(scratch, 1.0, out=scratch)
    np.divide(out, scratch, out=out)
    settle_nan(out)


def _log_sigmoid(library: Library, x: Floats, out: Floats, scratch: Floats) -> None:
    np.abs(x, out=scratch)
    np.negative(scratch, out=scratch)
    library.exp(scratch, out=scratch)
    library.log1p(scratch, out=scratch)
    np.minimum(x, 0.0, out=out)
    np.subtract(out, scratch, out=out)
    settle_nan(out)


def _logit(p: Floats, out: Floats, scratch: Floats) -> None:
    np.subtract(1.0, p, out=scratch)
    np.minimum(p, scratch, out=scratch)
    # NaN makes the comparison false, too.
    is_plain = np.minimum.reduce(scratch, initial=np.inf) >= _LEAST_SHARE
    shares = None if is_plain else scratch.copy()
    np.subtract(p, 0.5, out=out)
    np.divide(out, scratch, out=scratch)
    np.abs(scratch, out=scratch)
    np.multiply(scratch, 2.0, out=scratch)
    np.log1p(scratch, out=scratch)
    np.copysign(scratch, out, out=out)
    if shares is not None:
        _settle_limits(shares, out)


def _settle_limits(shares: Floats, out: Floats) -> None:
    is_tail = (shares >= 0) & (shares < _LEAST_SHARE)
    out[is_tail] = np.copysign(np.log(shares[is_tail]), out[is_tail])
    out[~(shares >= 0)] = np.nan


def _logit_by_parts(library: Library, p: Floats, out: Floats, scratch: Floats) -> None:
    middle = (p >= 0.3) & (p <= 0.65)
    middle_results = _logit_near_half(library, p[middle])
    np.subtract(1.0, p, out=scratch)
    np.divide(p, scratch, out=out)
    library.log(out, out=out)
    out[middle] = middle_results
    settle_nan(out)


def _logit_near_half(library: Library, p: Floats) -> Floats:
    p -= 0.5
    p *= 2.0
    result = np.empty_like(p)
    library.log1p(p, out=result)
    np.negative(p, out=p)
    library.log1p(p, out=p)
    np.subtract(result, p, out=result)
    return result
