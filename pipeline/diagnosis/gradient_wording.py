"""Sentences about the error signal in a network: in which layer it vanishes or explodes, and what helps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from pipeline.diagnosis.findings import LayerGradient
from pipeline.diagnosis.signals import is_straight
from pipeline.diagnosis.wording import KEPT, MANY, percent, state, where_changed
from pipeline.kernels.layers.initial import default_gain
from pipeline.registry import function_named
from pipeline.units import format_count

# Half of the units of a relu pass nothing on in a row, and it learns all the same.
_DEAD = 0.9


def gradient_sentence(layers: Sequence[LayerGradient], ratio: float) -> str:
    """Return what becomes of the signal in a network, and in which layer."""
    if len(layers) == 1:
        return "The network has one layer: the error signal has no way to go."
    if not layers[-1].norm:
        return "There is no error at the output, so nothing goes back."
    start = f"The error signal {state(ratio)}"
    if math.isinf(ratio):
        first = next((layer.number for layer in reversed(layers) if math.isinf(layer.norm)), 1)
        return f"{start}: from layer {first} on, numbers grow beyond what float64 can hold."
    share = f"{ratio:.1e} of" if ratio else "nothing of"
    reached = f"Layer 1, next to the input, gets {share} what layer {len(layers)} has"
    return f"{start}. {reached}{where_changed(layers)}.{_steepest(layers, ratio)}{_stuck_told(layers)}"


def has_steps(layer: LayerGradient) -> bool:
    """Return whether a layer has a signal through time."""
    return len(layer.steps) > 1


def step_sentences(layers: Sequence[LayerGradient]) -> tuple[str, ...]:
    """Return a sentence for each layer with a signal through time; none where no signal comes in at the output."""
    return tuple(map(step_sentence, filter(has_steps, layers))) if layers[-1].norm else ()


def step_sentence(layer: LayerGradient) -> str:
    """Return what becomes of the signal through the steps of a recurrent layer."""
    ratio = through_time(layer)
    back = f"{format_count(len(layer.steps) - 1)} step{'' if len(layer.steps) == 2 else 's'}"
    share = f"{ratio:.1e} of what the last one has" if ratio else "nothing of what the last one has"
    reached = f"{back} before the last one, a step gets {share}"
    if math.isinf(ratio):
        reached = f"{back} before the last one, numbers are beyond what float64 can hold"
    return f"Through time the signal {state(ratio)} in layer {layer.number} ({layer.kind}): {reached}."


def through_time(layer: LayerGradient) -> float:
    """Return the norm in the first step of the longest rows, divided by that in the last step."""
    first, last = layer.steps[0], layer.steps[-1]
    if math.isinf(first) or math.isinf(last):
        return math.inf
    return first / last if last else 0.0


def _steepest(layers: Sequence[LayerGradient], ratio: float) -> str:
    """Return between which two layers most is lost or gained, where that is worth a word."""
    if state(ratio) == KEPT or len(layers) < 3:
        return ""
    factors = {below.number: below.norm / above.norm if above.norm else 1.0 for below, above in pairwise(layers)}
    number = (min if ratio < 1 else max)(factors, key=factors.__getitem__)
    verb = "lost" if ratio < 1 else "gained"
    return f" Most is {verb} on the way from layer {number + 1} to layer {number}: a factor of {factors[number]:.2g}."


def _stuck_told(layers: Sequence[LayerGradient]) -> str:
    told = [
        *(f"layer {layer.number}, {percent(layer.saturated)} of the units are saturated" for layer in _stuck(layers)),
        *(f"layer {layer.number}, {percent(layer.saturated)} of the units pass nothing on" for layer in _dead(layers)),
    ]
    return f" In {'; in '.join(told)}." if told else ""


def _stuck(layers: Sequence[LayerGradient]) -> list[LayerGradient]:
    """Return the hidden layers with many units on a flat part of their function, other than the flat side of a relu."""
    flat = (layer for layer in layers[:-1] if layer.function is not None and not _passes_on(layer.function))
    return [layer for layer in flat if layer.saturated > MANY]


def _dead(layers: Sequence[LayerGradient]) -> list[LayerGradient]:
    """Return the hidden layers with a function such as relu, of which nearly all units are on the flat side."""
    straight = (layer for layer in layers[:-1] if layer.function is not None and _passes_on(layer.function))
    return [layer for layer in straight if layer.saturated > _DEAD]


def _passes_on(function: str) -> bool:
    return not function_named(function).several and is_straight(function)


def _through_time_helps(layers: Sequence[LayerGradient]) -> str:
    """Return what helps where the signal is not kept through the steps of a recurrent layer; empty where it is."""
    for layer in filter(has_steps, layers):
        ratio = through_time(layer)
        if state(ratio) != KEPT:
            if ratio > 1:
                return "gradients of a limited norm (clip_gradients), or smaller weights from state to state"
            bias = "a forget gate that starts open (its bias at 1 or more)" if layer.kind == "lstm" else "an lstm"
            return f"{bias}, the mean of the steps in place of the last one, or shorter sequences"
    return ""


def gradient_advice(layers: Sequence[LayerGradient], ratio: float) -> str:
    """Return what helps a network whose error signal has this ratio of the first layer to the last."""
    kept, stuck, dead = state(ratio) == KEPT, _stuck(layers), _dead(layers)
    flat = [layer.function for layer in layers[:-1] if layer.function and not _passes_on(layer.function)]
    if not layers[-1].norm:
        return "Nothing needs to change: all probabilities are right."
    if helps := _through_time_helps(layers):
        return f"What helps: {helps}."
    if kept and not stuck and not dead:
        return f"Nothing needs to change: the error signal {KEPT}."
    if not kept and ratio > 1:
        helps = "gradients of a limited norm (clip_gradients), a lower learning rate, or smaller initial weights"
    elif dead:
        helps = "a lower learning rate, initial weights by he, or leaky_relu, whose units are never off"
    elif stuck and stuck[0].number == 1:
        helps = "standardised inputs (center and scale of the features), or smaller initial weights"
    elif stuck:
        helps = f"smaller initial weights, such as glorot with gain {default_gain(flat[0]):.4g}"
    elif flat:
        weights = f"initial weights by glorot with gain {default_gain(flat[0]):.4g} for {flat[0]}"
        helps = f"{weights}; relu with he in the hidden layers; or fewer layers"
    else:
        helps = "larger initial weights, such as those of he, or fewer layers"
    return f"What helps: {helps}."
