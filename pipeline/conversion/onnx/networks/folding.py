"""Constants and shapes that a graph computes: all operators that exporters compute them with."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.conversion.onnx.graph import Constant
from pipeline.conversion.onnx.networks.values import AxisLengths, NetworkStep, NetworkValue, UniformTensor

# So many numbers may a constant have that a graph makes of a shape.
MOST_NUMBERS = 10_000_000

_DTYPES: Mapping[int, Any] = {
    1: np.float32,
    6: np.int32,
    7: np.int64,
    9: np.bool_,
    10: np.float16,
    11: np.float64,
}


def folded(step: NetworkStep) -> NetworkValue | None:
    """Return what a node makes of constants and shapes; ``None`` where it takes something else or is not known here."""
    function = _FOLDED.get(step.node.operator)
    if function is None or step.node.domain:
        return None
    given = [each for each in step.inputs if each is not None]
    if step.node.operator == "Shape" and given:
        return None if isinstance(given[0], np.ndarray) else _shape(step)
    if all(isinstance(each, np.ndarray) for each in given):
        return np.asarray(function(step))
    if any(map(_is_computed, given)):
        return None
    uniform = [each for each in given if isinstance(each, UniformTensor)]
    if uniform:
        return _still_uniform(step, uniform, len(given))
    return _of_lengths(step)


def _is_computed(value: NetworkValue) -> bool:
    return not isinstance(value, np.ndarray | AxisLengths | UniformTensor)


def known(lengths: Sequence[int | str], *, is_vector: bool = True) -> NetworkValue:
    """Return lengths as a constant, if all are known."""
    if all(isinstance(each, int) for each in lengths):
        return np.array(lengths if is_vector else lengths[0], dtype=np.int64)
    return AxisLengths(tuple(lengths), is_vector)


def _shape(step: NetworkStep) -> NetworkValue:
    value = step.value(0)
    if isinstance(value, AxisLengths):
        lengths: Sequence[int | str] = [len(value.lengths)] if value.is_vector else []
    elif isinstance(value, UniformTensor) and value.lengths is not None:
        lengths = value.lengths
    else:
        tensor = step.tensor()
        lengths = [step.length(tensor, axis) for axis in tensor.axes]
    return known(lengths[step.attribute("start", 0) : step.attribute("end")])


def _still_uniform(step: NetworkStep, uniform: Sequence[UniformTensor], count: int) -> UniformTensor | None:
    """Return what a node leaves one number everywhere; what other lengths it gives to axes is not followed."""
    operator, value = step.node.operator, uniform[0]
    if operator == "Concat" and len(uniform) == count:
        lengths = None if value.lengths is None else _own_lengths(step, len(value.lengths))
        return UniformTensor(_one_of([each.number for each in uniform]), lengths)
    if operator not in _UNIFORM:
        return None
    if operator == "Unsqueeze" and value.lengths is not None:
        return UniformTensor(value.number, _own_lengths(step, len(value.lengths) + len(step.whole(1, "axes"))))
    return value if operator in _SAME_LENGTHS else UniformTensor(value.number)


def _own_lengths(step: NetworkStep, count: int) -> tuple[str, ...]:
    """Return lengths that are known to be those of no other tensor."""
    return tuple(f"{step.node.outputs[0]} axis {axis}" for axis in range(count))


def _one_of(numbers: Sequence[float] | Constant) -> float:
    """Return the one number that they are; NaN where they are several."""
    found = np.unique(numbers)
    return float(found[0]) if found.size == 1 else math.nan


def _of_lengths(step: NetworkStep) -> NetworkValue | None:
    function = _OF_LENGTHS.get(step.node.operator)
    return None if function is None else function(step)


def _lengths(step: NetworkStep, position: int) -> list[int | str]:
    value = step.value(position)
    if isinstance(value, AxisLengths):
        return list(value.lengths)
    return [int(each) for each in step.constant(position).ravel()]


def _gathered(step: NetworkStep) -> NetworkValue:
    lengths, at = _lengths(step, 0), step.constant(1)
    return known([lengths[int(place)] for place in at.ravel()], is_vector=at.ndim > 0)


def _sliced(step: NetworkStep) -> NetworkValue:
    starts, ends = step.whole(1, "starts"), step.whole(2, "ends")
    by = step.whole(4, "steps", [1])
    return known(_lengths(step, 0)[starts[0] : ends[0] : by[0]])


def _joined(step: NetworkStep) -> NetworkValue:
    return known([each for position in range(len(step.inputs)) for each in _lengths(step, position)])


def _as_vector(step: NetworkStep) -> NetworkValue:
    return known(_lengths(step, 0))


def _as_number(step: NetworkStep) -> NetworkValue:
    return known(_lengths(step, 0), is_vector=False)


def _same(step: NetworkStep) -> NetworkValue:
    return step.value(0)


def _multiplied(step: NetworkStep) -> NetworkValue | None:
    """Return lengths times 1; another product is a length of its own."""
    one, other = (_lengths(step, position) for position in (0, 1))
    if len(one) != len(other):
        return None
    made = [_times(a, b) for a, b in zip(one, other, strict=True)]
    value = step.value(0)
    return known(made, is_vector=not isinstance(value, AxisLengths) or value.is_vector)


def _times(one: int | str, other: int | str) -> int | str:
    if isinstance(one, int) and isinstance(other, int):
        return one * other
    return other if one == 1 else one if other == 1 else f"{one} {other}"


def _uniform(step: NetworkStep) -> NetworkValue | None:
    value = step.attribute("value")
    return UniformTensor(0.0 if value is None else float(np.ravel(value)[0]), tuple(_lengths(step, 0)))


def _spread(step: NetworkStep) -> NetworkValue | None:
    """Return a constant that is expanded to lengths, or repeated as often as they say."""
    value = step.constant(0)
    # A length may be 1 where the constant is longer, and those of what is repeated are products.
    count = max(value.ndim, len(_lengths(step, 1)))
    return UniformTensor(_one_of(value), _own_lengths(step, count))


def _compared(step: NetworkStep) -> NetworkValue | None:
    """Return where lengths are a number; one that only the rows tell is never negative."""
    one, other = (_lengths(step, position) for position in (0, 1))
    pairs = list(zip(one, other, strict=True))
    if any(isinstance(a, str) != isinstance(b, str) and not _is_negative(a, b) for a, b in pairs):
        return None
    return np.array([a == b for a, b in pairs])


def _is_negative(*lengths: int | str) -> bool:
    return any(isinstance(each, int) and each < 0 for each in lengths)


def _picked(step: NetworkStep) -> NetworkValue | None:
    """Return lengths of two vectors, as a constant says which."""
    condition = [bool(each) for each in step.constant(0).ravel()]
    rows = zip(condition, _lengths(step, 1), _lengths(step, 2), strict=True)
    return known([one if is_one else other for is_one, one, other in rows])


# What leaves one number everywhere.
_SAME_LENGTHS = frozenset({"Cast", "Identity"})
_UNIFORM = _SAME_LENGTHS | {"Slice", "Gather", "Unsqueeze", "Squeeze", "Reshape", "Transpose", "Expand", "Tile"}
_OF_LENGTHS: Mapping[str, Callable[[NetworkStep], NetworkValue | None]] = {
    "Gather": _gathered,
    "Slice": _sliced,
    "Concat": _joined,
    "Unsqueeze": _as_vector,
    "Squeeze": _as_number,
    "Reshape": _as_vector,
    "Cast": _same,
    "Identity": _same,
    "Mul": _multiplied,
    "ConstantOfShape": _uniform,
    "Expand": _spread,
    "Tile": _spread,
    "Equal": _compared,
    "Where": _picked,
}


def _checked(step: NetworkStep, shape: Sequence[int]) -> tuple[int, ...]:
    if any(each < 0 for each in shape) or math.prod(shape) > MOST_NUMBERS:
        raise step.refused(f"makes a constant of the shape {tuple(shape)}", "convert a smaller model")
    return tuple(shape)


def _elementwise(function: Callable[..., Any]) -> Callable[[NetworkStep], Any]:
    def computed(step: NetworkStep) -> Any:
        parts = [step.constant(position) for position in range(len(step.inputs))]
        _checked(step, np.broadcast_shapes(*(each.shape for each in parts)))
        with np.errstate(all="ignore"):
            return function(*parts)

    return computed


def _repeated(step: NetworkStep) -> Any:
    value, times = step.constant(0), step.whole(1, "repeats")
    _checked(step, [int(length) * each for length, each in zip(value.shape, times, strict=True)])
    return np.tile(value, times)


def _divided(one: Constant, other: Constant) -> Any:
    return one / other if one.dtype.kind == "f" else one // other


def _cast(step: NetworkStep) -> Any:
    dtype = _DTYPES.get(step.attribute("to"))
    if dtype is None:
        raise step.refused("makes numbers of a type that is not read")
    return step.constant(0).astype(dtype)


def _filled(step: NetworkStep) -> Any:
    value = step.attribute("value")
    number = np.zeros(1, np.float32) if value is None else np.ravel(value)
    return np.full(_checked(step, [int(each) for each in step.constant(0).ravel()]), number[0])


def _expanded(step: NetworkStep) -> Any:
    value = step.constant(0)
    shape = _checked(step, [int(each) for each in step.constant(1).ravel()])
    return np.broadcast_to(value, _checked(step, np.broadcast_shapes(value.shape, shape)))


def _unsqueezed(step: NetworkStep) -> Any:
    return np.expand_dims(step.constant(0), tuple(step.whole(1, "axes")))


def _squeezed(step: NetworkStep) -> Any:
    axes = step.whole(1, "axes", [])
    return np.squeeze(step.constant(0), tuple(axes) if axes else None)


def _reshaped(step: NetworkStep) -> Any:
    value, shape = step.constant(0), step.whole(1, "shape")
    return value.reshape([value.shape[place] if length == 0 else length for place, length in enumerate(shape)])


def _cut(step: NetworkStep) -> Any:
    starts, ends = step.whole(1, "starts"), step.whole(2, "ends")
    axes = step.whole(3, "axes", range(len(starts)))
    by = step.whole(4, "steps", [1] * len(starts))
    value = step.constant(0)
    where = [slice(None)] * value.ndim
    for axis, start, end, one in zip(axes, starts, ends, by, strict=True):
        where[axis] = slice(start, end, one)
    return value[tuple(where)]


def _taken(step: NetworkStep) -> Any:
    value, places = step.constant(0), step.constant(1)
    _checked(step, [places.size, value.size])
    return np.take(value, places, axis=step.attribute("axis", 0))


_FOLDED: Mapping[str, Callable[[NetworkStep], Any]] = {
    "Add": _elementwise(np.add),
    "Sub": _elementwise(np.subtract),
    "Mul": _elementwise(np.multiply),
    "Div": _elementwise(_divided),
    "Neg": _elementwise(np.negative),
    "Equal": _elementwise(np.equal),
    "Where": _elementwise(np.where),
    "Tile": _repeated,
    "Sqrt": _elementwise(np.sqrt),
    "Identity": lambda step: step.constant(0),
    "Cast": _cast,
    "Shape": lambda step: step.constant(0).shape[step.attribute("start", 0) : step.attribute("end")],
    "ConstantOfShape": _filled,
    "Expand": _expanded,
    "Unsqueeze": _unsqueezed,
    "Squeeze": _squeezed,
    "Reshape": _reshaped,
    "Transpose": lambda step: np.transpose(step.constant(0), step.attribute("perm")),
    "Slice": _cut,
    "Gather": _taken,
    "Concat": lambda step: np.concatenate(
        [step.constant(position) for position in range(len(step.inputs))], axis=step.attribute("axis", 0)
    ),
}
