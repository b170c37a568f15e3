"""Sentences that say where the error signal vanishes or explodes, and what helps."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import takewhile

from pipeline.diagnosis.findings import NORMAL_DEVIATION, LayerGradient, LayerSignal, StackSignal
from pipeline.diagnosis.signals import is_straight
from pipeline.kernels.layers.initial import default_gain

KEPT = "roughly keeps its size"
# What becomes of a signal whose ratio is below the number.
_STATES = ((1e-3, "vanishes"), (0.1, "fades"), (10.0, KEPT), (1e3, "grows"), (math.inf, "explodes"))
_WORDS = [words for _, words in _STATES]
_FAR = 1e3
# From this share on, saturated units are a problem of their own.
MANY = 0.4

# Further from 1 than float64 goes, in powers of ten.
_FURTHEST = 400.0


def sentence(stack: StackSignal) -> str:
    """Return what became of the signal, and where."""
    start = f"{stack.label}: the error signal {state(stack.ratio)}"
    saturated = f"{percent(stack.saturated)} of the units are saturated."
    if math.isinf(stack.ratio):
        return f"{start}: numbers grow beyond what float64 can hold. {saturated}"
    share = f"{stack.ratio:.1e} of" if stack.ratio else "nothing of"
    spread = f" ({stack.lowest:.1e} to {stack.highest:.1e} over the seeds)" if stack.lowest < stack.highest else ""
    reached = f"Layer 1, next to the input, gets {share} what layer {len(stack.layers)} has{spread}"
    return f"{start}. {reached}{where_changed(stack.layers)}. {saturated}"


def state(ratio: float) -> str:
    """Return what becomes of a signal with this ratio of the first layer to the last."""
    return next((words for limit, words in _STATES if ratio < limit), _WORDS[-1])


def percent(share: float) -> str:
    """Return a share as a text."""
    return f"{100 * share:.1f} %"


def where_changed(layers: Sequence[LayerSignal] | Sequence[LayerGradient]) -> str:
    """Return which layers next to the input get less than a thousandth of the signal, or more than a thousandfold."""
    last = layers[-1].norm
    less = _leading(layer.norm * _FAR < last for layer in layers)
    more = _leading(layer.norm > _FAR * last for layer in layers)
    if max(less, more) < 2:
        return ""
    share = "less than a thousandth" if less else "more than a thousand times it"
    return f"; layers 1 to {max(less, more)} get {share}"


def _leading(flags: Iterable[bool]) -> int:
    return sum(1 for _ in takewhile(bool, flags))


def advice(stacks: Sequence[StackSignal], function: str, width: int) -> str:
    """Return what helps. It names the initialisation that keeps the signal best, if there are several."""
    stuck = [not is_straight(function) and stack.saturated > MANY for stack in stacks]
    kept = [state(stack.ratio) == KEPT for stack in stacks]
    if all(kept) and not any(stuck):
        return f"Nothing needs to change: the error signal {KEPT}."
    place = min(range(len(stacks)), key=lambda place: _badness(stacks[place], is_stuck=stuck[place]))
    best, gain = stacks[place], default_gain(function)
    if kept[place]:
        return _on_what_keeps(best, gain, is_stuck=stuck[place])
    gains = [_weight_gain(stack, width) for stack in stacks]
    first = f"What helps: of these, {best.label}. Beyond that: " if len(stacks) > 1 else "What helps: "
    if best.ratio < 1:
        if max(gains) < 0.99 * gain:
            return f"What helps: larger weights. For {function}, glorot with gain {gain:.4g} is the usual choice."
        return f"{first}fewer or wider layers{_or_another(function)}"
    if min(gains) > 1.01 * gain:
        return f"What helps: smaller weights, such as glorot with a gain from {gain:.4g} to {min(gains):.4g}."
    return f"{first}fewer layers, or glorot with a gain below {min(gains):.4g}."


def _on_what_keeps(stack: StackSignal, gain: float, *, is_stuck: bool) -> str:
    if not is_stuck:
        return f"What helps: {stack.label}. With it the error signal {KEPT}."
    hardly = f"{percent(stack.saturated)} of the units are saturated, and hardly learn."
    return f"What helps: smaller weights, such as glorot with gain {gain:.4g}. {hardly}"


def _badness(stack: StackSignal, *, is_stuck: bool) -> tuple[int, bool, float]:
    """Return a key: the smaller, the better. Weights that ignore the width come after others that do as well."""
    distance = abs(math.log10(stack.ratio)) if 0 < stack.ratio < math.inf else _FURTHEST
    steps = abs(_WORDS.index(state(stack.ratio)) - _WORDS.index(KEPT))
    return steps + is_stuck, stack.gain is None, distance


def _or_another(function: str) -> str:
    if is_straight(function):
        return "."
    return ", or a function that is straight on one side, such as relu with he. Larger weights saturate more units."


def _weight_gain(stack: StackSignal, width: int) -> float:
    """Return the gain with which glorot would draw weights of this size."""
    if stack.gain is None:
        return NORMAL_DEVIATION * math.sqrt(width)
    return stack.gain * math.sqrt(2) if stack.initialisation == "he" else stack.gain
