"""The sigmoid, its logarithm and its inverse, without overflow, cancellation or a warning.

One unit in the last place (u) is the distance between neighbouring float64 numbers at the true value; bounds are over
all float64 inputs, for the exp, log and log1p of numpy on x86-64 (AVX-512) and of glibc.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pipeline.kernels.tiles import Floats, TileFunction, apply_tiles, settle_nan

if TYPE_CHECKING:
    from pipeline.types import Precision

# exp(-x) overflows below -709.78 while the sigmoid is still above zero; from -37 down the sigmoid equals exp(x) to
# within half a unit, so any bound between the two serves, and this one keeps the test of a tile false on real data.
_TAIL = -700.0


def sigmoid(
    x: npt.ArrayLike, *, out: npt.NDArray[Any] | None = None, precision: Precision = "fast"
) -> npt.NDArray[Any]:
    """Return ``1 / (1 + exp(-x))``, right over the whole range, the subnormal results included.

    Error in float64: at most 2.75 u with either precision. The largest found among some 10^8 inputs chosen where it is
    worst, just under results that are a power of two, is 2.62 u with ``fast`` and 2.60 u with ``accurate``; under -37.5
    it is 1.84 u and 0.93 u. float32 and float16 are computed in float64 and rounded once: within 0.5000001 u, and
    correctly. The infinities give 0 and 1, NaN stays NaN (always the same quiet one), and an element has the same bits
    wherever it stands.

    Parameters
    ----------
    x : array_like, any shape
        Booleans, integers, float16, float32 or float64. Any memory layout and byte order.
    out : ndarray, optional
        Where the result goes: the shape of ``x`` and the dtype of the result. May be ``x`` itself, and may overlap it
        (which costs a copy).
    precision : {"fast", "accurate"}
        ``accurate`` takes 1.6 times as long. Neighbouring inputs may step back by one u with it; among 130 million
        pairs of neighbours none did with ``fast``.

    Returns
    -------
    ndarray
        Same shape; the floating dtype of ``x``, float64 for integers and booleans. A numpy scalar for a scalar. ``out``
        itself where it was given.

    Raises
    ------
    TypeError
        Another dtype of ``x``, or an ``out`` of another dtype than the result.
    ValueError
        An ``out`` of another shape, or read-only; a ``precision`` that does not exist. Nothing is written.

    Notes
    -----
    ``fast`` is the definition; below -700, where ``exp(-x)`` comes near overflow, it is ``exp(x)``, which differs by
    less than 1e-304 of itself. ``accurate`` is ``exp(min(x, 0)) / (1 + exp(-abs(x)))``: numerator and denominator of
    ``exp(x) / (1 + exp(x))`` for x < 0, of the definition otherwise. With an exp that errs by e u, the sum and the
    quotient make it 2 (e + 1/2) + 1/2 at worst; e is 0.6 where that happens with numpy's own exp, 0.51 with glibc's.
    """
    return apply_tiles(_sigmoid_function(precision), x, out)


def sigmoid_tile(x: Floats, out: Floats, scratch: Floats, precision: Precision = "fast") -> None:
    """Write the sigmoid of one tile to ``out``: the bits of :func:`sigmoid`, without its checks.

    All three are contiguous float64 of one length; ``out`` may be ``x``, ``scratch`` overlaps neither. Nothing is
    allocated unless the tile holds NaN or values under -700. The caller holds ``np.errstate(all="ignore")``.
    """
    _sigmoid_function(precision)(x, out, scratch)


def log_sigmoid(x: npt.ArrayLike, *, out: npt.NDArray[Any] | None = None) -> npt.NDArray[Any]:
    """Return the logarithm of the sigmoid, right where the sigmoid itself is 0 or rounds to 1.

    Error in float64: at most 2 u (largest found: 1.72). Types, ``out`` and errors are those of :func:`sigmoid`; minus
    infinity stays, plus infinity gives 0.

    Notes
    -----
    ``min(x, 0) - log1p(exp(-abs(x)))``: both terms have the same sign, so nothing cancels (M. Mächler, *Accurately
    computing log(1 - exp(-|a|))*, 2012, for the companion function log1p(exp(x))).
    """
    return apply_tiles(_log_sigmoid, x, out)


def logit(p: npt.ArrayLike, *, out: npt.NDArray[Any] | None = None) -> npt.NDArray[Any]:
    """Return ``log(p / (1 - p))``, the inverse of the sigmoid, right near 1/2 too.

    Error in float64: at most 2.25 u (largest found: 1.87). Types, ``out`` and errors are those of :func:`sigmoid`; 0
    gives minus infinity, 1 plus infinity, and what lies outside [0, 1] NaN.

    Notes
    -----
    Between 0.3 and 0.65 the quotient is near 1 and its logarithm would magnify its rounding; there, with d = p - 1/2
    (exact), it is ``log1p(2 d) - log1p(-2 d)``, two terms of opposite sign, so that nothing cancels.
    """
    return apply_tiles(_logit, p, out)


def _sigmoid_function(precision: Precision) -> TileFunction:
    if precision not in _SIGMOIDS:
        raise ValueError(f"precision must be one of {', '.join(_SIGMOIDS)}, got {precision!r}")
    return _SIGMOIDS[precision]


def _sigmoid_fast(x: Floats, out: Floats, scratch: Floats) -> None:  # noqa: ARG001 - every tile function takes a scratch tile
    # The minimum of a tile with NaN is NaN: both exceptions cost one vector minimum where neither occurs.
    if np.minimum.reduce(x, initial=np.inf) >= _TAIL:
        _sigmoid_definition(x, out)
        return
    tail = x < _TAIL
    tail_results = np.exp(x[tail])
    _sigmoid_definition(x, out)
    out[tail] = tail_results
    settle_nan(out)


def _sigmoid_definition(x: Floats, out: Floats) -> None:
    np.negative(x, out=out)
    np.exp(out, out=out)
    np.add(out, 1.0, out=out)
    np.divide(1.0, out, out=out)


def _sigmoid_accurate(x: Floats, out: Floats, scratch: Floats) -> None:
    np.abs(x, out=scratch)
    np.negative(scratch, out=scratch)
    np.exp(scratch, out=scratch)
    np.add(scratch, 1.0, out=scratch)
    np.minimum(x, 0.0, out=out)
    np.exp(out, out=out)
    np.divide(out, scratch, out=out)
    settle_nan(out)


def _log_sigmoid(x: Floats, out: Floats, scratch: Floats) -> None:
    np.abs(x, out=scratch)
    np.negative(scratch, out=scratch)
    np.exp(scratch, out=scratch)
    np.log1p(scratch, out=scratch)
    np.minimum(x, 0.0, out=out)
    np.subtract(out, scratch, out=out)
    settle_nan(out)


def _logit(p: Floats, out: Floats, scratch: Floats) -> None:
    middle = (p >= 0.3) & (p <= 0.65)
    middle_results = _logit_near_half(p[middle])
    np.subtract(1.0, p, out=scratch)
    np.divide(p, scratch, out=out)
    np.log(out, out=out)
    out[middle] = middle_results
    settle_nan(out)


def _logit_near_half(p: Floats) -> Floats:
    p -= 0.5
    p *= 2.0
    result = np.log1p(p)
    np.negative(p, out=p)
    np.log1p(p, out=p)
    np.subtract(result, p, out=result)
    return result


_SIGMOIDS: dict[str, TileFunction] = {"fast": _sigmoid_fast, "accurate": _sigmoid_accurate}
