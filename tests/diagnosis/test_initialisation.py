"""How the error signal fares in random layers: the figures of the article, exact gradients, and sentences that hold."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from threadpoolctl import threadpool_limits

import pipeline as logitstream
from pipeline import kernels
from pipeline.diagnosis import (
    SATURATED_SHARE,
    InitialisationReport,
    LayerSignal,
    StackSignal,
    backward,
    forward,
    initialisation_json,
    largest_slope,
    output_signal,
)
from pipeline.diagnosis.wording import advice, sentence
from pipeline.errors import MemoryBudgetError, UsageError
from pipeline.kernels.layers import DenseLayer
from pipeline.kernels.layers.initial import generator, glorot
from pipeline.registry import FUNCTIONS, LAYER_FUNCTIONS

Floats = npt.NDArray[np.float64]


@pytest.fixture(scope="module", autouse=True)
def _one_blas_thread() -> Iterator[None]:
    """Give BLAS one thread, as the command does: a second one keeps a core busy while it waits for work."""
    with threadpool_limits(1, user_api="blas"):
        yield


@pytest.fixture(scope="module")
def compared() -> InitialisationReport:
    return logitstream.diagnose_initialisation()


def stack_of(**options: Any) -> StackSignal:
    (stack,) = logitstream.diagnose_initialisation(**options).stacks
    return stack


def layers_of(weights: list[Floats], function: str) -> list[DenseLayer]:
    return [DenseLayer(weight, np.zeros(len(weight)), function) for weight in weights]


def signals_of(weights: list[Floats], x: Floats, error: Floats, function: str) -> list[Floats]:
    """Return dL/dz of each layer, from the last one back."""
    layers = layers_of(weights, function)
    passes = list(forward(layers, x))
    return list(backward(layers, passes, output_signal(layers, passes, error)))


def drawn(width: int, depth: int, gain: float = 4.0, rows: int = 3) -> tuple[list[Floats], Floats, Floats]:
    """Return weights, inputs and the error at the output."""
    random = generator((7, 0))
    weights = [glorot(width, width, gain=gain, seed=(7, layer)) for layer in range(1, depth + 1)]
    return weights, random.standard_normal((rows, width)), random.standard_normal((rows, width))


@pytest.mark.parametrize(
    ("place", "ratio", "saturated"), [(0, (2e-5, 6e-5), 0.007), (1, (1e-6, 2e-6), 0.001), (2, (3e-3, 8e-3), 0.248)]
)
def test_the_figures_of_ten_layers_of_ten_units_are_those_of_the_issue(
    compared: InitialisationReport, place: int, ratio: tuple[float, float], saturated: float
) -> None:
    """The deviation of 0.5 gives about 3e-5, Xavier 1e-6, Xavier with gain 4 about 5e-3 with a quarter saturated."""
    stack = compared.stacks[place]
    low, high = ratio
    assert low < stack.ratio < high
    assert stack.lowest < stack.ratio < stack.highest
    assert stack.saturated == pytest.approx(saturated, abs=0.002)


def test_the_compared_initialisations_have_their_names_and_the_spread_is_that_of_the_seeds(
    compared: InitialisationReport,
) -> None:
    assert [each.label for each in compared.stacks] == [
        "normal with deviation 0.5",
        "glorot with gain 1",
        "glorot with gain 4",
    ]
    assert (compared.stacks[0].lowest, compared.stacks[0].highest) == pytest.approx((1.2e-5, 1.5e-4), rel=0.05)


def test_wide_layers_of_the_article_pass_more_on_and_saturate() -> None:
    stack = stack_of(width=128, initialisation="normal", seeds=9)
    assert stack.ratio == pytest.approx(6e-2, rel=0.15)
    assert stack.saturated == pytest.approx(0.43, abs=0.005)


def test_relu_with_he_passes_the_signal_on_as_the_advice_says() -> None:
    assert 0.1 < stack_of(function="relu", initialisation="he").ratio < 10
    assert 0.1 < stack_of(function="relu", initialisation="he", width=64).ratio < 10


def test_a_sigmoid_is_saturated_below_5_and_above_95_percent() -> None:
    z = np.linspace(-6, 6, 1001)
    p = logitstream.sigmoid(z)
    assert largest_slope("sigmoid") == 0.25
    by_slope = logitstream.sigmoid_grad(z) < SATURATED_SHARE * 0.25
    np.testing.assert_array_equal(by_slope, (p < 0.05) | (p > 0.95))


@pytest.mark.parametrize("function", LAYER_FUNCTIONS)
def test_no_slope_is_larger_than_the_largest(function: str) -> None:
    largest = largest_slope(function)
    fine = np.abs(kernels.gradient(function, np.linspace(-60, 60, 1_000_001)))
    assert fine.max() == pytest.approx(largest, rel=1e-4)


@pytest.mark.parametrize("function", LAYER_FUNCTIONS)
def test_error_signals_are_the_differences_of_the_loss(function: str) -> None:
    """The loss is the sum of error times output; a unit's argument is moved both ways, in every layer."""
    weights, x, error = drawn(4, 5, gain=1.5)
    outputs = [done.values for done in forward(layers_of(weights, function), x)]
    signals = signals_of(weights, x, error, function)[::-1]
    inputs = [x, *outputs[:-1]]
    step = 1e-5

    def loss(layer: int, unit: int, moved: float) -> Floats:
        z = inputs[layer] @ weights[layer].T
        z[:, unit] += moved
        a = kernels.evaluate(function, z)
        for weight in weights[layer + 1 :]:
            a = kernels.evaluate(function, a @ weight.T)
        return np.asarray((error * a).sum(axis=1))

    for layer, signal in enumerate(signals):
        for unit in range(4):
            difference = (loss(layer, unit, step) - loss(layer, unit, -step)) / (2 * step)
            np.testing.assert_allclose(signal[:, unit], difference, rtol=1e-5, atol=1e-9)


def torch_function(torch: Any, name: str) -> Callable[[Any], Any]:
    if name == "hard_sigmoid":
        # Its own has a slope of 1/6 in float32, which is off by 1e-8 of itself.
        return lambda z: torch.clamp((z + 3) / 6, 0, 1)
    found = torch
    for part in FUNCTIONS[name].torch.split("."):
        found = getattr(found, part)
    return partial(found, **FUNCTIONS[name].torch_options)


@pytest.mark.slow
@pytest.mark.parametrize("case", range(40))
def test_error_signals_are_those_of_torch(case: int) -> None:
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(case)
    names = [name for name in LAYER_FUNCTIONS if FUNCTIONS[name].torch]
    function = names[case % len(names)]
    width, depth, rows = (int(random.integers(1, most)) for most in (40, 25, 30))
    weights = [random.normal(0, 1.2 / math.sqrt(width), (width, width)) for _ in range(depth)]
    x, error = random.normal(size=(rows, width)), random.normal(size=(rows, width))
    call = torch_function(torch, function)
    arguments, a = [], torch.from_numpy(x)
    for weight in weights:
        z = a @ torch.from_numpy(weight).T
        if not z.requires_grad:
            z.requires_grad_()
        z.retain_grad()
        arguments.append(z)
        a = call(z)
    (a * torch.from_numpy(error)).sum().backward()
    for ours, theirs in zip(signals_of(weights, x, error, function), reversed(arguments), strict=True):
        expected = theirs.grad.numpy()
        scale = np.linalg.norm(expected)
        assert np.linalg.norm(ours - expected) <= 1e-9 * scale


def test_the_norms_are_means_over_rows_and_medians_over_seeds() -> None:
    report = logitstream.diagnose_initialisation(width=6, depth=3, seeds=5, initialisation="glorot", gain=2)
    norms, means = [], []
    for seed in range(5):
        random = generator((seed, 0))
        x, error = random.standard_normal((100, 6)), random.standard_normal((100, 6))
        weights = [glorot(6, 6, gain=2, seed=(seed, layer)) for layer in (1, 2, 3)]
        values = [x]
        for weight in weights:
            values.append(1 / (1 + np.exp(-values[-1] @ weight.T)))
        signal, found = error * values[3] * (1 - values[3]), []
        for layer in (2, 1, 0):
            found.append(np.sqrt((signal**2).sum(axis=1)).mean())
            signal = signal @ weights[layer] * values[layer] * (1 - values[layer])
        norms.append(found[::-1])
        means.append([each.mean() for each in values[1:]])
    (stack,) = report.stacks
    assert [each.number for each in stack.layers] == [1, 2, 3]
    for name, expected in (
        ("norm", np.median(norms, axis=0)),
        ("lowest", np.min(norms, axis=0)),
        ("highest", np.max(norms, axis=0)),
        ("mean_activation", np.median(means, axis=0)),
    ):
        np.testing.assert_allclose([getattr(each, name) for each in stack.layers], expected, rtol=1e-12)
    ratios = [each[0] / each[-1] for each in norms]
    assert (stack.lowest, stack.ratio, stack.highest) == pytest.approx((min(ratios), np.median(ratios), max(ratios)))


def test_the_same_options_give_the_same_report_and_one_initialisation_the_numbers_of_the_comparison(
    compared: InitialisationReport,
) -> None:
    assert logitstream.diagnose_initialisation() == compared
    assert stack_of(initialisation="normal") == compared.stacks[0]
    assert stack_of(initialisation="glorot") == compared.stacks[2]
    assert stack_of(initialisation="glorot", gain=1) == compared.stacks[1]


@pytest.mark.parametrize(
    ("options", "labels"),
    [
        ({"function": "tanh"}, ["normal with deviation 0.5", "glorot with gain 1"]),
        ({"gain": 3}, ["normal with deviation 0.5", "glorot with gain 1", "glorot with gain 3"]),
        ({"initialisation": "he"}, ["he with gain 2.828"]),
        ({"initialisation": "he", "function": "relu"}, ["he with gain 1"]),
        ({"initialisation": "he", "function": "relu", "gain": 0.5}, ["he with gain 0.5"]),
    ],
)
def test_the_gain_is_the_one_that_suits_the_function_or_the_one_given(
    options: dict[str, Any], labels: list[str]
) -> None:
    assert [each.label for each in logitstream.diagnose_initialisation(**options, seeds=1).stacks] == labels


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"width": 0}, UsageError, "width is 0: it must be at least 1"),
        ({"depth": 1}, UsageError, "depth is 1: it must be at least 2"),
        ({"seeds": 0}, UsageError, "seeds is 0"),
        ({"width": 2.5}, TypeError, r"width is the float 2\.5; write a whole number"),
        ({"depth": True}, TypeError, "depth is the bool True"),
        ({"function": "sigmod"}, UsageError, 'there is no such choice; did you mean "sigmoid"'),
        ({"function": "softmax"}, UsageError, "there is no such choice"),
        ({"function": "logit"}, UsageError, "there is no such choice"),
        ({"initialisation": "xavier"}, UsageError, "there is no such choice"),
        ({"gain": 0}, UsageError, "gain is 0: it must be above 0"),
        ({"gain": math.nan}, UsageError, "gain is nan"),
        ({"gain": 1e200}, UsageError, r"at most 1e\+100"),
        ({"gain": 10**400}, UsageError, "at most"),
        ({"gain": "4"}, TypeError, "gain is the str '4'; write a number"),
        ({"initialisation": "normal", "gain": 4}, UsageError, "normal weights have no gain"),
        ({"widht": 3}, TypeError, "there is no option 'widht'; did you mean \"width\""),
        ({"width": 10_000_000}, MemoryBudgetError, "10 layers of 10,000,000 units need .* are free"),
        ({"width": 10**11, "depth": 2}, MemoryBudgetError, "2 layers of 100,000,000,000 units need .* are free"),
    ],
)
def test_an_option_that_cannot_be_is_refused_before_any_work(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        logitstream.diagnose_initialisation(**options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"initialisation": "normal"}, "the error signal vanishes. Layer 1, next to the input, gets 3.9e-05 of what"),
        ({"initialisation": "normal"}, "layers 1 to 3 get less than a thousandth"),
        ({"initialisation": "glorot"}, "the error signal fades. Layer 1, next to the input, gets 5.4e-03"),
        ({"function": "tanh", "initialisation": "glorot"}, "roughly keeps its size"),
        ({"initialisation": "glorot", "gain": 32.0, "width": 50}, "the error signal grows"),
        ({"function": "relu", "initialisation": "he", "gain": 4.0}, "explodes"),
        ({"function": "relu", "initialisation": "he", "gain": 4.0}, "layers 1 to 4 get more than a thousand times it"),
        ({"function": "relu", "initialisation": "he", "gain": 1e90}, "numbers grow beyond what float64 can hold"),
        ({"function": "relu", "width": 1, "depth": 40, "initialisation": "he"}, "gets nothing of what layer 40 has;"),
        ({"depth": 900, "seeds": 1, "initialisation": "glorot"}, "gets nothing of what layer 900 has; layers 1 to 8"),
    ],
)
def test_the_sentence_says_where_the_signal_vanishes_or_explodes(options: dict[str, Any], words: str) -> None:
    (said,) = logitstream.diagnose_initialisation(**options).sentences
    assert words.rstrip(";") in said
    assert said.endswith(" % of the units are saturated.")


def test_where_it_is_said_to_vanish_it_has(compared: InitialisationReport) -> None:
    layers = compared.stacks[0].layers
    assert layers[2].norm < layers[9].norm / 1000 < layers[3].norm


RELU, SOFTPLUS, GLOROT = {"function": "relu"}, {"function": "softplus"}, {"initialisation": "glorot"}
HE, NORMAL = {"initialisation": "he"}, {"initialisation": "normal"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "What helps: of these, glorot with gain 4. Beyond that: fewer or wider layers, or a function"),
        ({"width": 80}, "What helps: of these, glorot with gain 4."),
        (NORMAL, "larger weights. For sigmoid, glorot with gain 4 is the usual choice."),
        ({**NORMAL, "width": 80}, "What helps: fewer or wider layers, or a function"),
        (HE, "What helps: fewer or wider layers, or a function"),
        ({**GLOROT, "gain": 20, "width": 40}, "smaller weights, such as glorot with gain 4. 83.5 % of the units are"),
        ({"width": 500, "depth": 4}, "What helps: glorot with gain 4."),
        ({**GLOROT, "gain": 32, "width": 80}, "smaller weights, such as glorot with a gain from 4 to 32."),
        ({**HE, **RELU, "gain": 4}, "smaller weights, such as glorot with a gain from 1.414 to 5.657."),
        ({"function": "tanh"}, "Nothing needs to change"),
        (RELU, "What helps: glorot with gain 1.414. With it the error signal roughly keeps its size."),
        ({**RELU, "width": 1, "depth": 40}, "fewer or wider layers."),
        ({**SOFTPLUS, **GLOROT, "depth": 40}, "fewer layers, or glorot with a gain below 2"),
    ],
)
def test_the_advice_names_what_helps(options: dict[str, Any], words: str) -> None:
    report = logitstream.diagnose_initialisation(**options, seeds=5)
    assert words in report.advice
    assert len(report.advice) < 200


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (NORMAL, GLOROT),
        ({**GLOROT, "gain": 32, "width": 50}, {**GLOROT, "gain": 11, "width": 50}),
        ({**HE, **RELU, "gain": 4}, {**GLOROT, **RELU, "gain": 1.414}),
        (GLOROT, {**GLOROT, "depth": 5}),
        (GLOROT, {**GLOROT, "width": 50}),
        (GLOROT, {**HE, **RELU}),
        ({**HE, **RELU, "depth": 60}, {**HE, **RELU, "depth": 60, "width": 50}),
        ({**GLOROT, **SOFTPLUS, "depth": 40}, {**GLOROT, **SOFTPLUS, "depth": 40, "gain": 1.6}),
        ({**GLOROT, **SOFTPLUS, "depth": 40}, {**GLOROT, **SOFTPLUS, "depth": 10}),
    ],
)
def test_the_advice_is_right(before: dict[str, Any], after: dict[str, Any]) -> None:
    worse, better = (abs(math.log10(stack_of(**options, seeds=9).ratio)) for options in (before, after))
    assert better < worse


def test_a_wide_normal_stack_is_not_praised_for_its_saturated_units() -> None:
    layers = tuple(LayerSignal(number, 1.0, 1.0, 1.0, 0.4, 0.5) for number in (1, 2))
    normal = StackSignal("normal", None, "normal", 0.05, 0.05, 0.05, 0.4, layers)
    other = replace(normal, initialisation="glorot", gain=4.0, label="glorot", ratio=0.02)
    assert advice([normal, other], "sigmoid", 128).startswith("What helps: of these, glorot.")
    nothing = sentence(replace(normal, ratio=0.0, lowest=0.0, highest=0.0))
    assert "gets nothing of what layer 2 has. 40.0 %" in nothing


def test_one_seed_has_no_spread() -> None:
    (said,) = logitstream.diagnose_initialisation(seeds=1, initialisation="glorot").sentences
    assert "over the seeds" not in said


def test_a_report_is_a_short_table(compared: InitialisationReport) -> None:
    lines = repr(compared).splitlines()
    assert lines[:2] == ["InitialisationReport", "  network  10 layers of 10 units, sigmoid"]
    assert lines[-1].split() == ["glorot", "with", "gain", "4", "5.4e-03", "1.6e-03", "2.6e-02", "24.8", "%"]


def test_a_program_gets_everything_and_null_for_what_is_infinite(compared: InitialisationReport) -> None:
    found = json.loads(json.dumps(initialisation_json(compared), allow_nan=False))
    assert (found["kind"], found["width"], found["depth"], found["seeds"]) == ("diagnose-initialisation", 10, 10, 25)
    assert found["saturated_below"] == pytest.approx(0.0475)
    assert [each["gain"] for each in found["stacks"]] == [None, 1.0, 4.0]
    assert found["stacks"][0]["layers"][0]["norm"] == compared.stacks[0].layers[0].norm
    assert found["advice"] == compared.advice
    exploded = logitstream.diagnose_initialisation(function="relu", initialisation="he", gain=1e90, depth=30)
    stack = json.loads(json.dumps(initialisation_json(exploded), allow_nan=False))["stacks"][0]
    assert (stack["ratio"], stack["highest"], stack["layers"][0]["norm"]) == (None, None, None)
