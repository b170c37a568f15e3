"""The functions of :mod:`pipeline.registry` and their derivatives, for arrays of any kind.

NumPy and Dask arrays are computed with the tiles of :mod:`pipeline.kernels`. An array of another library that follows
the array API standard is computed with one plain expression on its own device. The functions are made from the
registry: ``sigmoid`` and ``sigmoid_grad``, and so on.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from textwrap import fill
from typing import Any

import numpy as np
from dask.array.core import Array
from numpy.exceptions import AxisError

from pipeline import kernels
from pipeline.arrays.labelled import library_of, mapped
from pipeline.arrays.standard import as_floating, namespace_of
from pipeline.choices import Precision
from pipeline.registry import FUNCTIONS, Function, Parameter, function_named

_WIDTH = 100
_KINDS = """\
Takes NumPy and Dask arrays, and anything that numpy makes an array of. Series and frames of pandas, Polars and Dask,
and data of xarray, come back as such, with index and names; what Dask computes stays lazy. float16 and float32 are
computed in float64 and rounded once, integers and booleans give float64, NaN stays NaN. ``out`` (only numpy) may be
``x``. ``precision="reproducible"`` gives the same bits on every CPU; ``accurate`` differs from ``fast`` only for the
sigmoid. An array of another library (PyTorch, JAX, CuPy) is computed with one plain expression on its own device, in
its own type; ``precision`` and the error bound do not apply to it."""


def apply(
    name: str, x: Any, *, out: Any = None, precision: Precision = "fast", axis: int = -1, **parameters: float
) -> Any:
    """Apply the function with this name to an array of any kind; ``axis`` is only for functions of several columns.

    Raises
    ------
    LookupError
        There is no such function.
    TypeError, ValueError
        What the function itself raises.
    """
    entry = function_named(name)
    arguments = entry.arguments(parameters)
    kernels.check_precision(precision)
    along: dict[str, Any] = {"axis": axis} if entry.several else {}
    of_block = partial(_apply_to_block, name, precision, {**along, **arguments})
    if isinstance(x, Array):
        _refuse_out(out, "Dask")
        return _by_blocks(of_block, x, along)
    if (library := library_of(x)) is not None:
        _refuse_out(out, library)
        return mapped(library, of_block, x, along.get("axis"))
    if (xp := namespace_of(x)) is not None:
        _refuse_out(out, xp.__name__)
        return entry.plain(xp, as_floating(xp, x), **along, **arguments)
    if entry.several:
        return kernels.softmax(x, axis=axis, out=out, precision=precision, **arguments)
    return kernels.evaluate(name, x, out=out, precision=precision, **arguments)


def differentiate(
    name: str,
    x: Any = None,
    *,
    value: Any = None,
    out: Any = None,
    precision: Precision = "fast",
    axis: int = -1,
    **parameters: float,
) -> Any:
    """Return the derivative of the function with this name, from ``x`` or from its value; see :func:`apply`.

    Raises
    ------
    TypeError
        Both ``x`` and ``value`` are given or neither, or the value of this function does not determine its derivative,
        or the array is of another library, which differentiates by itself.
    """
    entry = function_named(name)
    arguments = entry.arguments(parameters)
    kernels.check_precision(precision)
    along: dict[str, Any] = {"axis": axis} if entry.several else {}
    given = x if value is None else value
    if x is None or value is None:
        of_block = partial(_differentiate_block, value is not None, name, precision, {**along, **arguments})
        if isinstance(given, Array):
            _refuse_out(out, "Dask")
            return _by_blocks(of_block, given, along)
        if (library := library_of(given)) is not None:
            _refuse_out(out, library)
            return mapped(library, of_block, given, along.get("axis"))
    if (xp := namespace_of(given)) is not None:
        raise TypeError(f"{name}_grad takes NumPy and Dask arrays; differentiate arrays of {xp.__name__} with it")
    if entry.several:
        return kernels.softmax_gradient(x, value=value, axis=axis, out=out, precision=precision, **arguments)
    return kernels.gradient(name, x, value=value, out=out, precision=precision, **arguments)


def _apply_to_block(name: str, precision: Precision, options: Mapping[str, Any], block: Any) -> Any:
    return apply(name, block, precision=precision, **options)


def _differentiate_block(
    is_value: bool, name: str, precision: Precision, options: Mapping[str, Any], block: Any
) -> Any:
    given = {"value": block} if is_value else {"x": block}
    return differentiate(name, **given, precision=precision, **options)


def _by_blocks(function: Callable[..., Any], x: Any, along: Mapping[str, int]) -> Any:
    for axis in along.values():
        if not -x.ndim <= axis < x.ndim:
            raise AxisError(axis, x.ndim)
        if x.numblocks[axis] != 1:
            raise ValueError(f"columns of the Dask array are in separate blocks; join them: x.rechunk({{{axis}: -1}})")
    shape = (1,) * x.ndim if along else (0,)
    return x.map_blocks(function, dtype=function(np.zeros(shape, dtype=x.dtype)).dtype)


def _refuse_out(out: object, kind: str) -> None:
    if out is not None:
        raise TypeError(f"out= works only with numpy arrays, not with data of {kind}")


def _made(entry: Function, *, is_gradient: bool) -> Callable[..., Any]:
    """Return the function of an entry, with its signature and documentation."""
    call: Callable[..., Any] = differentiate if is_gradient else apply
    name = f"{entry.name}_grad" if is_gradient else entry.name
    signature = _signature(entry, is_gradient=is_gradient)
    known = frozenset(signature.parameters)

    def function(*args: Any, **options: Any) -> Any:
        try:
            signature.bind(*args, **{key: value for key, value in options.items() if key in known})
        except TypeError as error:
            raise TypeError(f"{name}() {error}") from None
        for key in options.keys() - known:
            # Raises an error with the nearest name.
            entry.parameter(key)
        return call(entry.name, *args, **options)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = _documentation(entry, is_gradient=is_gradient)
    function.__signature__ = signature  # type: ignore[attr-defined]
    return function


def _signature(entry: Function, *, is_gradient: bool) -> inspect.Signature:
    keyword = inspect.Parameter.KEYWORD_ONLY
    first: dict[str, Any] = {"default": None} if is_gradient else {}
    options: dict[str, Any] = {"value": None} if is_gradient else {}
    options |= {"axis": -1} if entry.several else {}
    options |= {"out": None, "precision": "fast", **entry.defaults}
    return inspect.Signature(
        [
            inspect.Parameter("x", inspect.Parameter.POSITIONAL_OR_KEYWORD, **first),
            *(inspect.Parameter(name, keyword, default=default) for name, default in options.items()),
        ]
    )


def _documentation(entry: Function, *, is_gradient: bool) -> str:
    title = f"the derivative of {entry.name}, ``{entry.derivative}``" if is_gradient else f"``{entry.formula}``"
    facts = [f"Return {title}."]
    if is_gradient:
        facts.append(f"From ``x`` without cancellation; error in float64: {entry.gradient_error}.")
        if entry.value_derivative:
            by_value = f"From the function's value y (``value=``) it is ``{entry.value_derivative}``"
            facts.append(f"{by_value}: accurate for that y, but digits that y lost by rounding are lost here too.")
    else:
        facts.append(f"Range: {entry.range}. Error in float64: {entry.error} (u: a unit in the last place).")
    facts.append(f"Source: {entry.source}.")
    facts.append(_KINDS)
    lines = [fill(fact, _WIDTH) for fact in facts]
    if entry.parameters:
        described = [_described(parameter) for parameter in entry.parameters]
        lines.append("\n".join(["Parameters", "----------", *described]))
    return "\n\n".join(lines)


def _described(parameter: Parameter) -> str:
    return f"{parameter.name} : float, {parameter.allowed}, default {parameter.default:g}\n    {parameter.meaning}"


PUBLIC: Mapping[str, Callable[..., Any]] = {
    function.__name__: function
    for entry in FUNCTIONS.values()
    for function in (_made(entry, is_gradient=False), _made(entry, is_gradient=True))
}
globals().update(PUBLIC)


def __getattr__(name: str) -> Any:
    """Tell type checkers that this module has more names than they can see."""
    raise AttributeError(f"module 'pipeline.arrays.functions' has no attribute {name!r}")
