"""The functions of :mod:`pipeline.registry` and their derivatives, in tiles.

The mathematics of each function is here under its name; what it is called with, what it promises and how it is
tested is its entry in the registry. Bounds of errors are those of the entries, for the exp, log, log1p, expm1 and tanh
of numpy on x86-64 and of glibc, and for those of :mod:`pipeline.kernels.portable`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.kernels.inverses import (
    cauchit_function,
    cauchit_gradient,
    falling_function,
    gumbel_gradient,
    probit_function,
    probit_gradient,
    rising_function,
)
from pipeline.kernels.logistic import TAIL, Library, library_of, log_sigmoid_function, logit_function, sigmoid_function
from pipeline.kernels.normal import INVERSE_ROOT_2PI, half_tail, mirror, multiply_by_bell
from pipeline.kernels.tiles import Floats, TileFunction, apply_tiles, in_pieces, settle_nan
from pipeline.registry import GELU_CUBIC, GELU_SLOPE, function_named

if TYPE_CHECKING:
    from pipeline.choices import Precision

# Even its product with exp of it is 0: a factor of exp(x) may stop at -800, so that infinity times 0 never arises.
_EXP_END = 800.0
_GELU_TANH_END = 30.0

Builder = Callable[..., TileFunction]


class Kernel(NamedTuple):
    """The tiles of a function: each is made by ``build(precision, **arguments)``.

    ``from_value`` is the derivative in terms of the value, ``None`` if it is only computed from x. A function with
    ``one_pass`` may be given a whole array: its value is a single ufunc, or with ``reproducible`` one that works in
    pieces.
    """

    value: Builder
    gradient: Builder
    from_value: Builder | None = None
    one_pass: bool = False


def evaluate(
    name: str,
    x: npt.ArrayLike,
    *,
    out: npt.NDArray[Any] | None = None,
    precision: Precision = "fast",
    **parameters: float,
) -> npt.NDArray[Any]:
    """Return a function of the registry for every element.

    Types, ``out`` and errors are those of :func:`pipeline.kernels.sigmoid`. With ``reproducible`` every function has
    the same bits on every CPU; ``accurate`` differs from ``fast`` only for the sigmoid.

    Parameters
    ----------
    name : str
        The name of a function that takes one column.
    x : array_like, any shape
    out : ndarray, optional
    precision : {"fast", "accurate", "reproducible"}
    **parameters : float
        The parameters of the function.

    Raises
    ------
    LookupError
        There is no such function.
    """
    arguments = function_named(name).arguments(parameters)
    kernel = kernel_named(name)
    return apply_tiles(kernel.value(precision, **arguments), x, out, one_pass=kernel.one_pass)


def gradient(
    name: str,
    x: npt.ArrayLike | None = None,
    *,
    value: npt.ArrayLike | None = None,
    out: npt.NDArray[Any] | None = None,
    precision: Precision = "fast",
    **parameters: float,
) -> npt.NDArray[Any]:
    """Return the derivative of a function of the registry, from ``x`` without cancellation, or from its value.

    Digits that a value lost by rounding are lost in the derivative too. At a kink the derivative is what the entry
    states. A ``value`` must be one that the function can have. Types and errors are those of :func:`evaluate`.

    Raises
    ------
    TypeError
        Both ``x`` and ``value`` are given or neither, or the derivative of this function is only computed from ``x``.
    """
    arguments = function_named(name).arguments(parameters)
    kernel = kernel_named(name)
    if x is not None and value is None:
        return apply_tiles(kernel.gradient(precision, **arguments), x, out)
    if x is not None or value is None:
        raise TypeError(f"{name}_grad takes either x or value=")
    if kernel.from_value is None:
        raise TypeError(f"{name}_grad takes only x: there is no derivative from the value")
    return apply_tiles(kernel.from_value(precision, **arguments), value, out)


def kernel_named(name: str) -> Kernel:
    """Return the tiles of a function that takes one column."""
    if name not in KERNELS:
        raise LookupError(f"{name} takes several columns")
    return KERNELS[name]


def _sigmoid(
    precision: Precision, temperature: float, alpha: float, beta: float, low: float, high: float
) -> TileFunction:
    has_argument = (temperature, alpha, beta) != (1.0, 1.0, 0.0)
    plain = sigmoid_function(precision)
    if (low, high) == (0.0, 1.0):
        inner = plain
    elif low == -high:
        inner = partial(_symmetric, _tanh(precision), high)
    else:
        inner = partial(in_pieces, partial(_in_range_piece, library_of(precision), low, high), 2)
    return partial(_of_argument, inner, temperature, alpha, beta) if has_argument else inner


def _of_argument(
    function: TileFunction, temperature: float, alpha: float, beta: float, x: Floats, out: Floats, scratch: Floats
) -> None:
    _argument(x, out, temperature, alpha, beta)
    function(out, out, scratch)


def _argument(x: Floats, out: Floats, temperature: float, alpha: float, beta: float) -> None:
    np.multiply(x, alpha, out=out)
    if beta != 0:
        np.add(out, beta, out=out)
    if temperature != 1:
        np.divide(out, temperature, out=out)


def _symmetric(tanh: TileFunction, high: float, x: Floats, out: Floats, scratch: Floats) -> None:
    np.multiply(x, 0.5, out=out)
    tanh(out, out, scratch)
    np.multiply(out, high, out=out)
    settle_nan(out)


def _in_range_piece(
    library: Library, low: float, high: float, x: Floats, out: Floats, t: Floats, other: Floats
) -> None:
    is_negative = x < 0
    _falling_exp(library, x, t)
    np.multiply(t, high, out=other)
    np.add(other, low, out=other)
    np.multiply(t, low, out=out)
    np.add(out, high, out=out)
    np.copyto(out, other, where=is_negative)
    np.add(t, 1.0, out=t)
    np.divide(out, t, out=out)
    np.maximum(out, low, out=out)
    np.minimum(out, high, out=out)
    settle_nan(out)


def _falling_exp(library: Library, x: Floats, out: Floats) -> None:
    np.abs(x, out=out)
    np.negative(out, out=out)
    library.exp(out, out=out)


def _sigmoid_gradient(
    precision: Precision, temperature: float, alpha: float, beta: float, low: float, high: float
) -> TileFunction:
    inner = partial(_bell, library_of(precision), 1.0, (high - low) * (alpha / temperature))
    if (temperature, alpha, beta) == (1.0, 1.0, 0.0):
        return inner
    return partial(_of_argument, inner, temperature, alpha, beta)


def _bell(library: Library, steepness: float, factor: float, x: Floats, out: Floats, scratch: Floats) -> None:
    """Write ``factor * t / (1 + t)^2`` with ``t = exp(-steepness * |x|)``."""
    np.multiply(x, steepness, out=out)
    _falling_exp(library, out, out)
    np.add(out, 1.0, out=scratch)
    np.multiply(scratch, scratch, out=scratch)
    np.divide(out, scratch, out=out)
    if factor != 1:
        np.multiply(out, factor, out=out)
    settle_nan(out)


def _sigmoid_from_value(
    _: Precision, temperature: float, alpha: float, low: float, high: float, **__: float
) -> TileFunction:
    factor = alpha / temperature if high - low == 1 else alpha / temperature / (high - low)
    return partial(_between, low, high, factor)


def _between(low: float, high: float, factor: float, y: Floats, out: Floats, scratch: Floats) -> None:
    """Write ``factor * (y - low) * (high - y)``."""
    np.subtract(high, y, out=scratch)
    np.subtract(y, low, out=out)
    np.multiply(out, scratch, out=out)
    if factor != 1:
        np.multiply(out, factor, out=out)
    settle_nan(out)


def _log_sigmoid_gradient(precision: Precision) -> TileFunction:
    function = sigmoid_function(precision)

    def tile(x: Floats, out: Floats, scratch: Floats) -> None:
        np.negative(x, out=out)
        function(out, out, scratch)

    return tile


def _falling_from_value(sign: float, precision: Precision) -> TileFunction:
    """Write ``1 - exp(sign * y)``; the exponent is not positive for any value of the function."""
    library = library_of(precision)

    def tile(y: Floats, out: Floats, scratch: Floats) -> None:  # noqa: ARG001
        np.multiply(y, sign, out=out)
        np.minimum(out, 0.0, out=out)
        library.expm1(out, out=out)
        np.abs(out, out=out)
        settle_nan(out)

    return tile


def _logit_gradient(_: Precision) -> TileFunction:
    return _logit_gradient_tile


def _logit_gradient_tile(x: Floats, out: Floats, scratch: Floats) -> None:
    np.subtract(1.0, x, out=scratch)
    np.multiply(x, scratch, out=out)
    if not np.minimum.reduce(out, initial=np.inf) >= 0:
        out[out < 0] = np.nan
    np.abs(out, out=out)
    np.divide(1.0, out, out=out)
    settle_nan(out)


def _logit_from_value(precision: Precision) -> TileFunction:
    library = library_of(precision)

    def tile(y: Floats, out: Floats, scratch: Floats) -> None:
        _falling_exp(library, y, out)
        np.add(out, 1.0, out=scratch)
        np.multiply(scratch, scratch, out=scratch)
        np.divide(scratch, out, out=out)
        settle_nan(out)

    return tile


def _tanh(precision: Precision) -> TileFunction:
    if precision == "reproducible":
        return partial(in_pieces, partial(_tanh_piece, library_of(precision)), 2)
    library_of(precision)
    return _tanh_tile


def _tanh_tile(x: Floats, out: Floats, scratch: Floats) -> None:  # noqa: ARG001
    np.tanh(x, out=out)


def _tanh_piece(library: Library, x: Floats, out: Floats, e: Floats, sum_: Floats) -> None:
    np.abs(x, out=e)
    np.multiply(e, -2.0, out=e)
    library.expm1(e, out=e)
    np.add(e, 2.0, out=sum_)
    np.divide(e, sum_, out=e)
    np.copysign(e, x, out=out)
    settle_nan(out)


def _tanh_gradient(precision: Precision) -> TileFunction:
    return partial(_bell, library_of(precision), 2.0, 4.0)


def _tanh_from_value(_: Precision) -> TileFunction:
    return partial(_between, -1.0, 1.0, 1.0)


def _relu(precision: Precision) -> TileFunction:
    return partial(in_pieces, _positive_part, 0) if precision == "reproducible" else _relu_tile


def _relu_tile(x: Floats, out: Floats, scratch: Floats) -> None:  # noqa: ARG001
    # No zero stays negative on x86 and ARM in any lane: see _settle_zero.
    np.maximum(x, 0.0, out=out)


def _positive_part(x: Floats, out: Floats) -> None:
    np.maximum(x, 0.0, out=out)
    _settle_zero(out)


def _settle_zero(values: Floats) -> None:
    """Make every zero positive.

    Which of -0.0 and 0.0 a maximum hands on is up to the CPU: x86 the second operand, 64-bit ARM the positive one,
    others either, by the lane that it falls into (numpy's ``loops_minmax``).
    """
    np.add(values, 0.0, out=values)


def _step_gradient(_: Precision) -> TileFunction:
    return partial(_step, 0.0)


def _step(left: float, x: Floats, out: Floats, scratch: Floats) -> None:  # noqa: ARG001
    """Write 1 where ``x`` is positive, else ``left``; NaN stays."""
    nan = _nan_of(x)
    np.greater(x, 0.0, out=out)
    if left != 0:
        np.maximum(out, left, out=out)
    if nan is not None:
        out[nan] = np.nan


def _nan_of(x: Floats) -> npt.NDArray[np.bool_] | None:
    return np.isnan(x) if np.isnan(np.minimum.reduce(x, initial=np.inf)) else None


def _leaky_relu(precision: Precision, alpha: float) -> TileFunction:
    return partial(_leaky_relu_tile, alpha) if alpha > 0 else _relu(precision)


def _leaky_relu_tile(alpha: float, x: Floats, out: Floats, scratch: Floats) -> None:
    np.multiply(x, alpha, out=scratch)
    np.maximum(x, scratch, out=out)
    settle_nan(out)


def _leaky_relu_gradient(_: Precision, alpha: float) -> TileFunction:
    return partial(_step, alpha)


def _softplus(precision: Precision) -> TileFunction:
    library = library_of(precision)

    def tile(x: Floats, out: Floats, scratch: Floats) -> None:
        _falling_exp(library, x, scratch)
        library.log1p(scratch, out=scratch)
        np.maximum(x, 0.0, out=out)
        np.add(out, scratch, out=out)
        settle_nan(out)

    return tile


def _softplus_gradient(precision: Precision) -> TileFunction:
    return sigmoid_function(precision)


def _silu(precision: Precision) -> TileFunction:
    library = library_of(precision)
    if precision != "reproducible":
        return _silu_tile
    return partial(_with_tail, library.exp, partial(_silu_by_parts, library))


def _silu_tile(x: Floats, out: Floats, scratch: Floats) -> None:
    _with_tail(np.exp, _silu_definition, x, out, scratch)


def _with_tail(exp: Callable[..., object], function: TileFunction, x: Floats, out: Floats, scratch: Floats) -> None:
    """Write ``function`` of a tile, and x exp(x) where ``x`` is below -700."""
    # As in the sigmoid: NaN and the tail make the comparison false, and are rare.
    if np.minimum.reduce(x, initial=np.inf) >= TAIL:
        function(x, out, scratch)
        return
    tail = x < TAIL
    values = np.maximum(x[tail], -_EXP_END)
    # The exponential may be subnormal where the product is not: it is taken in two halves.
    halves = values * 0.5
    exp(halves, out=halves)
    values *= halves
    values *= halves
    function(x, out, scratch)
    out[tail] = values
    settle_nan(out)


def _silu_definition(x: Floats, out: Floats, scratch: Floats) -> None:
    np.negative(x, out=scratch)
    np.exp(scratch, out=scratch)
    np.add(scratch, 1.0, out=scratch)
    np.divide(x, scratch, out=out)


def _silu_by_parts(library: Library, x: Floats, out: Floats, scratch: Floats) -> None:
    in_pieces(partial(_silu_piece, library), 1, x, out, scratch)


def _silu_piece(library: Library, x: Floats, out: Floats, t: Floats) -> None:
    _falling_exp(library, x, t)
    numerator = np.where(x < 0, t, 1.0)
    np.multiply(x, numerator, out=out)
    np.add(t, 1.0, out=t)
    np.divide(out, t, out=out)


def _halves(library: Library, x: Floats, h: Floats, m: Floats) -> None:
    """Write exp(-|x|/2) to ``h``, and to ``m`` the same where ``x`` is negative, else 1.

    The sigmoid is m^2 / (1 + h^2): a factor between the two m keeps the product from passing by a subnormal number.
    """
    np.abs(x, out=h)
    np.multiply(h, -0.5, out=h)
    library.exp(h, out=h)
    np.greater_equal(x, 0.0, out=m)
    np.maximum(m, h, out=m)


def _multiply_by_logistic(values: Floats, h: Floats, m: Floats) -> None:
    np.multiply(values, m, out=values)
    np.multiply(h, h, out=h)
    np.add(h, 1.0, out=h)
    np.divide(values, h, out=values)
    np.multiply(values, m, out=values)


def _silu_gradient(precision: Precision) -> TileFunction:
    return partial(in_pieces, partial(_silu_gradient_piece, library_of(precision)), 3)


def _silu_gradient_piece(library: Library, x: Floats, out: Floats, a: Floats, h: Floats, t: Floats) -> None:
    """With t = exp(-|x|) it is t (1 + t - |x|) / (1 + t)^2 for x < 0."""
    np.abs(x, out=a)
    np.minimum(a, _EXP_END, out=a)
    np.multiply(a, -0.5, out=h)
    library.exp(h, out=h)
    _left_of_bell(a, h, t)
    mirror(x, a, out, t)


def _left_of_bell(a: Floats, h: Floats, t: Floats) -> None:
    """Replace ``a`` by t (1 + t - a) / (1 + t)^2, with t = h^2."""
    np.multiply(h, h, out=t)
    np.add(t, 1.0, out=t)
    np.subtract(t, a, out=a)
    np.multiply(a, h, out=a)
    np.multiply(t, t, out=t)
    np.divide(a, t, out=a)
    np.multiply(a, h, out=a)


def _hard_sigmoid(_: Precision) -> TileFunction:
    return _hard_sigmoid_tile


def _hard_sigmoid_tile(x: Floats, out: Floats, scratch: Floats) -> None:  # noqa: ARG001
    np.add(x, 3.0, out=out)
    np.divide(out, 6.0, out=out)
    np.clip(out, 0.0, 1.0, out=out)
    settle_nan(out)


def _hard_sigmoid_gradient(_: Precision) -> TileFunction:
    return partial(_slope_within, -3.0, 3.0)


def _hard_sigmoid_from_value(_: Precision) -> TileFunction:
    return partial(_slope_within, 0.0, 1.0)


def _slope_within(low: float, high: float, x: Floats, out: Floats, scratch: Floats) -> None:
    nan = _nan_of(x)
    np.greater(x, low, out=scratch)
    np.less(x, high, out=out)
    np.multiply(out, scratch, out=out)
    np.divide(out, 6.0, out=out)
    if nan is not None:
        out[nan] = np.nan


def _gelu(precision: Precision) -> TileFunction:
    return partial(in_pieces, partial(_gelu_piece, library_of(precision)), 4)


def _gelu_piece(
    library: Library, x: Floats, out: Floats, a: Floats, tail: Floats, upper: Floats, lower: Floats
) -> None:
    half_tail(x, a, tail, upper, lower)
    np.multiply(tail, a, out=tail)
    multiply_by_bell(library, tail, a, upper, lower)
    _positive_part(x, out)
    np.subtract(out, tail, out=out)
    settle_nan(out)


def _gelu_gradient(precision: Precision) -> TileFunction:
    return partial(in_pieces, partial(_gelu_gradient_piece, library_of(precision)), 4)


def _gelu_gradient_piece(
    library: Library, x: Floats, out: Floats, a: Floats, tail: Floats, upper: Floats, lower: Floats
) -> None:
    half_tail(x, a, tail, upper, lower)
    np.multiply(a, INVERSE_ROOT_2PI, out=upper)
    np.subtract(tail, upper, out=tail)
    multiply_by_bell(library, tail, a, upper, lower)
    mirror(x, tail, out, upper)


def _gelu_tanh(precision: Precision) -> TileFunction:
    return partial(in_pieces, partial(_gelu_tanh_piece, library_of(precision)), 3)


def _gelu_tanh_piece(library: Library, x: Floats, out: Floats, v: Floats, h: Floats, m: Floats) -> None:
    np.maximum(x, -_GELU_TANH_END, out=out)
    _gelu_argument(out, v)
    _halves(library, v, h, m)
    _multiply_by_logistic(out, h, m)
    settle_nan(out)


def _gelu_argument(x: Floats, out: Floats) -> None:
    np.multiply(x, x, out=out)
    np.multiply(out, GELU_CUBIC, out=out)
    np.add(out, 1.0, out=out)
    np.multiply(out, x, out=out)
    np.multiply(out, GELU_SLOPE, out=out)


def _gelu_tanh_gradient(precision: Precision) -> TileFunction:
    return partial(in_pieces, partial(_gelu_tanh_gradient_piece, library_of(precision)), 4)


def _gelu_tanh_gradient_piece(
    library: Library, x: Floats, out: Floats, a: Floats, v: Floats, h: Floats, t: Floats
) -> None:
    """With t = exp(-|v|) it is t (1 + t - |x| v') / (1 + t)^2 for x < 0."""
    np.abs(x, out=a)
    np.minimum(a, _GELU_TANH_END, out=a)
    _gelu_argument(a, v)
    np.multiply(v, -0.5, out=h)
    library.exp(h, out=h)
    np.multiply(a, a, out=v)
    np.multiply(v, 3 * GELU_CUBIC, out=v)
    np.add(v, 1.0, out=v)
    np.multiply(v, GELU_SLOPE, out=v)
    np.multiply(v, a, out=v)
    _left_of_bell(v, h, t)
    mirror(x, v, out, t)


def _elu(precision: Precision, alpha: float) -> TileFunction:
    return partial(_elu_tile, library_of(precision), alpha)


def _elu_tile(library: Library, alpha: float, x: Floats, out: Floats, scratch: Floats) -> None:
    np.minimum(x, 0.0, out=scratch)
    library.expm1(scratch, out=scratch)
    np.multiply(scratch, alpha, out=scratch)
    _settle_zero(scratch)
    np.maximum(x, 0.0, out=out)
    np.add(out, scratch, out=out)
    settle_nan(out)


def _elu_gradient(precision: Precision, alpha: float) -> TileFunction:
    return partial(_elu_gradient_tile, library_of(precision), alpha)


def _elu_gradient_tile(library: Library, alpha: float, x: Floats, out: Floats, scratch: Floats) -> None:
    np.minimum(x, 0.0, out=scratch)
    library.exp(scratch, out=scratch)
    np.multiply(scratch, alpha, out=scratch)
    _one_where_positive(x, scratch, out)


def _one_where_positive(x: Floats, other: Floats, out: Floats) -> None:
    is_positive = x > 0
    np.copyto(out, other)
    np.copyto(out, 1.0, where=is_positive)
    settle_nan(out)


def _elu_from_value(_: Precision, alpha: float) -> TileFunction:
    def tile(y: Floats, out: Floats, scratch: Floats) -> None:
        np.add(y, alpha, out=scratch)
        _one_where_positive(y, scratch, out)

    return tile


KERNELS: Mapping[str, Kernel] = {
    "sigmoid": Kernel(_sigmoid, _sigmoid_gradient, _sigmoid_from_value),
    "log_sigmoid": Kernel(log_sigmoid_function, _log_sigmoid_gradient, partial(_falling_from_value, 1.0)),
    "logit": Kernel(logit_function, _logit_gradient, _logit_from_value),
    "inverse_probit": Kernel(partial(probit_function, 1.0), probit_gradient),
    "inverse_cloglog": Kernel(partial(rising_function, 1.0), partial(gumbel_gradient, 1.0)),
    "inverse_loglog": Kernel(partial(falling_function, -1.0), partial(gumbel_gradient, -1.0)),
    "inverse_cauchit": Kernel(partial(cauchit_function, 1.0), cauchit_gradient),
    "tanh": Kernel(_tanh, _tanh_gradient, _tanh_from_value, one_pass=True),
    "relu": Kernel(_relu, _step_gradient, _step_gradient, one_pass=True),
    "leaky_relu": Kernel(_leaky_relu, _leaky_relu_gradient, _leaky_relu_gradient),
    "softplus": Kernel(_softplus, _softplus_gradient, partial(_falling_from_value, -1.0)),
    "silu": Kernel(_silu, _silu_gradient),
    "hard_sigmoid": Kernel(_hard_sigmoid, _hard_sigmoid_gradient, _hard_sigmoid_from_value),
    "gelu": Kernel(_gelu, _gelu_gradient),
    "gelu_tanh": Kernel(_gelu_tanh, _gelu_tanh_gradient),
    "elu": Kernel(_elu, _elu_gradient, _elu_from_value),
}
