"""The operators of graphs of networks: what each makes of the outputs of layers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np

from pipeline.conversion.networks.stack import Floats, Stack
from pipeline.conversion.onnx.graph import BOOL, CORE, DOUBLE, FLOAT, ML, Constant
from pipeline.conversion.onnx.networks.formulas import NetworkFormula
from pipeline.conversion.onnx.networks.values import (
    ONE,
    UNITS,
    AxisLengths,
    LayerStates,
    NetworkStep,
    NetworkTensor,
    NetworkValue,
    SideBySide,
)

# float16 computes with numbers that no weights have.
_FLOATS = frozenset({FLOAT, DOUBLE})
_TORN = "the graph does not fit together: write it again with another version of the tool that made it"
_EPSILON = 1e-5
_LARGE = 20
# As exporters write the end of an axis: the largest of int32, or beyond.
_END = 2**31 - 1


def _same(step: NetworkStep) -> NetworkValue:
    return step.value(0)


def _cast(step: NetworkStep) -> NetworkValue:
    tensor, to = step.tensor(), step.attribute("to")
    if to not in _FLOATS and not (to == BOOL and tensor.stack.is_bare):
        raise step.refused("makes whole numbers of the outputs of a layer, or float16")
    return tensor


def _dropout(step: NetworkStep) -> NetworkValue:
    if step.has(2) and np.any(step.constant(2)):
        raise step.refused("drops values while it scores", "export the network in evaluation mode")
    return step.value(0)


def _units_last(step: NetworkStep, tensor: NetworkTensor) -> None:
    if tensor.axes[-1] != UNITS:
        raise step.refused("works along another axis than that of the units of a layer")


def _dense(step: NetworkStep, tensor: NetworkTensor, weight: Floats, bias: Floats | None) -> NetworkTensor:
    """Return a dense layer behind a tensor; ``weight`` has shape (units, inputs)."""
    _units_last(step, tensor)
    if weight.ndim != 2 or weight.shape[1] != tensor.units or not weight.size:
        shape = weight.T.shape
        raise step.refused(f"multiplies {tensor.units} numbers by a matrix of shape {shape}", _TORN)
    if bias is not None:
        bias = np.broadcast_to(bias, (1, len(weight)))[0]
    return tensor.with_stack(tensor.stack.dense(weight, bias))


def _matmul(step: NetworkStep) -> NetworkValue:
    return _dense(step, step.tensor(), step.finite(1).T, None)


def _gemm(step: NetworkStep) -> NetworkValue:
    if step.attribute("transA", 0):
        raise step.refused("has transA, which mixes rows")
    weight = step.finite(1) if step.attribute("transB", 0) else step.finite(1).T
    bias = step.finite(2) * float(step.attribute("beta", 1.0)) if step.has(2) else None
    return _dense(step, step.tensor(), weight * float(step.attribute("alpha", 1.0)), bias)


def _number(step: NetworkStep, tensor: NetworkTensor, position: int) -> Constant:
    """Return a constant that goes with each unit, shape () or (units,)."""
    value = step.finite(position)
    if value.size == 1:
        return value.reshape(())
    _units_last(step, tensor)
    if value.shape[-1] != tensor.units or value.size != tensor.units or value.ndim > len(tensor.axes):
        raise step.refused(f"joins {tensor.units} units and a constant of shape {value.shape}")
    return value.ravel()


def _arithmetic(step: NetworkStep) -> NetworkValue:
    """Return a sum, difference, product, quotient or power."""
    one, other = step.value(0), step.value(1)
    tensor = step.tensor(0 if isinstance(one, NetworkTensor) else 1)
    parts: list[NetworkFormula | Constant] = []
    for position, value in enumerate((one, other)):
        if isinstance(value, NetworkTensor):
            if value.axes != tensor.axes or value.units != tensor.units:
                raise step.refused("joins tensors of different shapes")
            parts.append(value.formula)
        else:
            parts.append(_number(step, tensor, position))
    return tensor.with_formula(step.applied(step.node.operator, *parts))


def _applied(operator: str) -> Callable[[NetworkStep], NetworkValue]:
    """Return a function without parameters."""

    def made(step: NetworkStep) -> NetworkValue:
        return _function(step, operator)

    return made


def _function(step: NetworkStep, operator: str, **parameters: float) -> NetworkTensor:
    tensor = step.tensor()
    return tensor.with_formula(step.applied(operator, tensor.formula, **parameters))


def _leaky(step: NetworkStep) -> NetworkValue:
    return _function(step, "LeakyRelu", alpha=float(step.attribute("alpha", 0.01)))


def _prelu(step: NetworkStep) -> NetworkValue:
    slopes = np.unique(step.finite(1))
    if len(slopes) > 1:
        raise step.refused("has a slope for each unit", "use one slope for all units")
    return _function(step, "LeakyRelu", alpha=float(slopes[0]))


def _elu(step: NetworkStep) -> NetworkValue:
    return _function(step, "Elu", alpha=float(step.attribute("alpha", 1.0)))


def _hard_sigmoid(step: NetworkStep) -> NetworkValue:
    slope, middle = step.attribute("alpha", 0.2), step.attribute("beta", 0.5)
    if abs(slope - 1 / 6) > 1e-7 or middle != 0.5:
        raise step.refused(f"is max(0, min(1, {slope:.4g} x + {middle:.4g})); here hard_sigmoid has the slope 1/6")
    return _function(step, "HardSigmoid")


def _gelu(step: NetworkStep) -> NetworkValue:
    return _function(step, "GeluTanh" if step.attribute("approximate", "none") == "tanh" else "Gelu")


def _clip(step: NetworkStep) -> NetworkValue:
    low, high = (
        float(step.constant(position).ravel()[0]) if step.has(position) else float(step.attribute(name, default))
        for position, (name, default) in enumerate((("min", -math.inf), ("max", math.inf)), start=1)
    )
    if low != 0 or high < float(np.finfo(np.float32).max):
        raise step.refused(f"cuts values at {low:.4g} and {high:.4g}, which no function does that logitstream has")
    return _function(step, "Relu")


def _max(step: NetworkStep) -> NetworkValue:
    if len(step.inputs) != 2 or np.any(step.constant(1)):
        raise step.refused("takes the larger of two outputs, which no function does that logitstream has")
    return _function(step, "Relu")


def _greater(step: NetworkStep) -> NetworkValue:
    tensor = step.tensor()
    number = _number(step, tensor, 1)
    return tensor.with_formula(step.applied("Greater", tensor.formula, number))


def _chosen(step: NetworkStep) -> NetworkValue:
    """Return the softplus where it is written as x above a number, such as PyTorch's 20, which differs by 2e-9."""
    condition, x, other = (step.tensor(position).formula for position in range(3))
    is_large = condition.operator == "Greater" and np.all(np.asarray(condition.arguments[1]) >= _LARGE)
    if is_large and condition.arguments[0] is x and other.operator == "Softplus" and other.arguments == (x,):
        return step.tensor(2)
    raise step.refused("chooses between two outputs, which no function does that logitstream has")


def _softmax(step: NetworkStep) -> NetworkValue:
    tensor = step.tensor()
    axis = step.attribute("axis", 1 if step.opset < 13 else -1)
    if axis not in {-1, len(tensor.axes) - 1} or tensor.axes[-1] != UNITS:
        raise step.refused("works over another axis than that of the units")
    return _function(step, step.node.operator)


def _normalised(step: NetworkStep) -> NetworkValue:
    """Return a batch normalisation with the statistics of the training, which is straight."""
    tensor = step.tensor()
    if step.attribute("training_mode", 0):
        raise step.refused("normalises by the rows at hand", "export the network in evaluation mode")
    if tensor.axes[1:2] != (UNITS,):
        raise step.refused("normalises another axis than that of the units")
    scale, shift, mean, variance = (step.finite(position).ravel() for position in (1, 2, 3, 4))
    variance = variance + float(step.attribute("epsilon", _EPSILON))
    if variance.min(initial=1.0) <= 0:
        raise step.refused("has a variance that is not positive", "correct the model in the tool that made it")
    spread = np.sqrt(variance)
    factor = scale / spread
    return tensor.with_stack(tensor.stack.straight(factor, shift - mean * factor))


def _scaler(step: NetworkStep) -> NetworkValue:
    tensor = step.tensor()
    offset, scale = (
        np.asarray(step.attribute(name, [default]), np.float64) for name, default in (("offset", 0), ("scale", 1))
    )
    if not np.isfinite(offset).all() or not np.isfinite(scale).all():
        raise step.refused("has numbers that are NaN or infinite", "correct the model in the tool that made it")
    return tensor.with_stack(tensor.stack.straight(scale, -offset * scale))


def _axis(step: NetworkStep, axis: int, count: int) -> int:
    if not -count <= axis < count:
        raise step.refused(f"names axis {axis} of {count}", _TORN)
    return axis % count


def _flattened(step: NetworkStep) -> NetworkValue:
    tensor = step.tensor()
    kept = [axis for axis in tensor.axes if axis != ONE]
    if step.attribute("axis", 1) not in {1, 1 - len(tensor.axes)} or kept != [tensor.axes[0], UNITS]:
        raise step.refused("flattens the rows, or the steps of a row")
    return tensor.with_axes(kept)


def _unsqueezed(step: NetworkStep) -> NetworkValue:
    tensor = step.tensor()
    given = step.whole(1, "axes")
    count = len(tensor.axes) + len(given)
    places = {_axis(step, each, count) for each in given}
    rest = iter(tensor.axes)
    return tensor.with_axes([ONE if place in places else next(rest) for place in range(count)])


def _squeezed(step: NetworkStep) -> NetworkValue:
    tensor = step.tensor()
    count = len(tensor.axes)
    places = {_axis(step, each, count) for each in step.whole(1, "axes", [])}
    short = {place for place, axis in enumerate(tensor.axes) if axis == ONE or (axis == UNITS and tensor.units == 1)}
    if not places <= short:
        raise step.refused("leaves out an axis that is longer than 1", _TORN)
    places = places or short
    return tensor.with_axes([axis for place, axis in enumerate(tensor.axes) if place not in places])


def _transposed(step: NetworkStep) -> NetworkValue:
    tensor = step.tensor()
    order = step.attribute("perm", range(len(tensor.axes))[::-1])
    if sorted(order) != list(range(len(tensor.axes))):
        raise step.refused(f"gives {len(tensor.axes)} axes the order {list(order)}", _TORN)
    return tensor.with_axes([tensor.axes[place] for place in order])


def _reshaped(step: NetworkStep) -> NetworkValue:
    """Return a tensor whose axes of length 1 come and go; the others stay as they are."""
    tensor, wanted = step.tensor(), step.value(1)
    if isinstance(wanted, AxisLengths):
        target: Sequence[int | str] = wanted.lengths
    else:
        target = step.whole(1, "shape")
    left = [axis for axis in tensor.axes if axis != ONE]
    axes: list[str] = []
    for place, length in enumerate(target):
        stays = length == 0 and place < len(tensor.axes)
        same = step.length(tensor, tensor.axes[place]) if stays else length
        if left and same in {-1, step.length(tensor, left[0])}:
            axes.append(left.pop(0))
        elif same == 1:
            axes.append(ONE)
        else:
            left.append("")
            break
    # A column may lose its axis.
    if left and not (left == [UNITS] and tensor.units == 1):
        raise step.refused(f"gives a tensor of the axes {', '.join(tensor.axes)} the shape {list(target)}")
    return tensor.with_axes(axes)


def _concat(step: NetworkStep) -> NetworkValue:
    parts = tuple(step.tensor(position) for position in range(len(step.inputs)))
    if any(each.axes != parts[0].axes for each in parts):
        raise step.refused("joins tensors of different axes")
    axis = _axis(step, step.attribute("axis", 1), len(parts[0].axes))
    joined = parts[0].axes[axis]
    if joined == ONE:
        return LayerStates(parts, axis)
    if joined != UNITS:
        raise step.refused("joins rows or steps, not columns")
    if all(each.formula.stack is not None and each.formula.stack.is_bare for each in parts):
        return NetworkTensor.of(Stack.of([name for each in parts for name in each.stack.columns]), parts[0].axes)
    return SideBySide(parts)


def _gathered(step: NetworkStep) -> NetworkValue:
    """Return the last step, one of several layers, or some of the inputs."""
    value, places = step.value(0), step.constant(1)
    if places.dtype.kind not in "iu":
        raise step.refused("takes numbers with fractions where whole ones are read")
    axis = step.attribute("axis", 0 if step.node.domain == CORE else -1)
    if isinstance(value, LayerStates):
        return _state(step, value, places, axis)
    tensor = step.tensor()
    axis = _axis(step, axis, len(tensor.axes))
    if tensor.axes[axis] == UNITS:
        return _columns(step, tensor, places)
    if places.size != 1:
        raise step.refused("chooses several rows or steps")
    kept = [ONE] if places.ndim else []
    return _at(step, tensor, axis, int(places.ravel()[0]), kept)


def _state(step: NetworkStep, states: LayerStates, places: Constant, axis: int) -> NetworkTensor:
    tensor = states.parts[0]
    at = _axis(step, axis, len(tensor.axes))
    if at != states.axis or places.size != 1:
        raise step.refused("chooses several layers, rows or steps")
    tensor = states.parts[int(places.ravel()[0])]
    return tensor if places.ndim else tensor.with_axes((*tensor.axes[:at], *tensor.axes[at + 1 :]))


def _at(step: NetworkStep, tensor: NetworkTensor, axis: int, place: int, kept: Sequence[str]) -> NetworkTensor:
    """Return a tensor at a place of an axis, which must be the last step or the only place."""
    name = tensor.axes[axis]
    axes = (*tensor.axes[:axis], *kept, *tensor.axes[axis + 1 :])
    length = step.length(tensor, name)
    is_last = place == -1 or (isinstance(length, int) and place == length - 1)
    if name == ONE and is_last:
        return tensor.with_axes(axes)
    if name != tensor.steps or not is_last:
        raise step.refused(f"takes place {place} of the {'steps' if name == tensor.steps else 'rows'}")
    return NetworkTensor.of(tensor.stack.pooled("last"), axes)


def _columns(step: NetworkStep, tensor: NetworkTensor, places: Constant) -> NetworkTensor:
    if tensor.steps or not tensor.stack.is_bare or tensor.stack.has_steps:
        raise step.refused("chooses some of the outputs of a layer")
    if places.size and not (-tensor.units <= places.min() and places.max() < tensor.units):
        raise step.refused(f"chooses a column beyond the {tensor.units} that it gets")
    return NetworkTensor.of(tensor.stack.chosen([int(each) for each in places.ravel()]), tensor.axes)


def _sliced(step: NetworkStep) -> NetworkValue:
    """Return the last step, or all that there is; of the states of several layers, those of one."""
    value = step.value(0)
    starts, ends = step.whole(1, "starts"), step.whole(2, "ends")
    axes = step.whole(3, "axes", range(len(starts)))
    by = step.whole(4, "steps", [1] * len(starts))
    if isinstance(value, LayerStates) and len(axes) == 1:
        if _axis(step, axes[0], len(value.parts[0].axes)) != value.axis:
            raise step.refused("cuts out some of the rows or units of joined states")
        (picked,) = value.parts[starts[0] : ends[0] : by[0]]
        return picked
    tensor = step.tensor()
    for start, end, axis, one in zip(starts, ends, axes, by, strict=True):
        tensor = _cut(step, tensor, (start, end, one), _axis(step, axis, len(tensor.axes)))
    return tensor


def _cut(step: NetworkStep, tensor: NetworkTensor, cut: tuple[int, int, int], axis: int) -> NetworkTensor:
    start, end, one = cut
    length = step.length(tensor, tensor.axes[axis])
    most = length if isinstance(length, int) else _END
    if one == 1 and start in {0, -most} and end >= most:
        return tensor
    if one == 1 and end >= most and start in {-1, most - 1}:
        return _at(step, tensor, axis, -1, [ONE])
    raise step.refused("cuts out some of the rows, steps or outputs of a layer")


def _reduced(kind: Literal["mean", "max"]) -> Callable[[NetworkStep], NetworkValue]:
    """Return the mean or the largest over the steps."""

    def made(step: NetworkStep) -> NetworkValue:
        tensor = step.tensor()
        axes = [_axis(step, each, len(tensor.axes)) for each in step.whole(1, "axes", [])]
        if len(axes) != 1 or not tensor.steps or tensor.axes[axes[0]] != tensor.steps:
            raise step.refused(f"takes the {kind} over another axis than that of the steps")
        kept = [ONE] if step.attribute("keepdims", 1) else []
        return NetworkTensor.of(
            tensor.stack.pooled(kind), (*tensor.axes[: axes[0]], *kept, *tensor.axes[axes[0] + 1 :])
        )

    return made


_SAME = ("Identity",)
_ARITHMETIC = ("Add", "Sub", "Mul", "Div", "Pow")
_FUNCTIONS = ("Sigmoid", "Tanh", "Relu", "Softplus", "Erf", "Log", "Neg")

NETWORK_OPERATORS: Mapping[tuple[str, str], Callable[[NetworkStep], NetworkValue]] = {
    **{
        (CORE, name): function
        for name, function in {
            **dict.fromkeys(_SAME, _same),
            **dict.fromkeys(_ARITHMETIC, _arithmetic),
            **{name: _applied(name) for name in _FUNCTIONS},
            "Cast": _cast,
            "Dropout": _dropout,
            "MatMul": _matmul,
            "Gemm": _gemm,
            "LeakyRelu": _leaky,
            "PRelu": _prelu,
            "Elu": _elu,
            "HardSigmoid": _hard_sigmoid,
            "Gelu": _gelu,
            "Clip": _clip,
            "Max": _max,
            "Greater": _greater,
            "Where": _chosen,
            "Softmax": _softmax,
            "LogSoftmax": _softmax,
            "BatchNormalization": _normalised,
            "Flatten": _flattened,
            "Unsqueeze": _unsqueezed,
            "Squeeze": _squeezed,
            "Transpose": _transposed,
            "Reshape": _reshaped,
            "Concat": _concat,
            "Gather": _gathered,
            "Slice": _sliced,
            "ReduceMean": _reduced("mean"),
            "ReduceMax": _reduced("max"),
        }.items()
    },
    (ML, "Scaler"): _scaler,
    (ML, "ArrayFeatureExtractor"): _gathered,
}
