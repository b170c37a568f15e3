"""The benchmark: it measures everything that it lists, and its numbers are what they claim to be."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import mpmath
import numpy as np
import pytest

import pipeline
from pipeline.bench import (
    COPY,
    NEW,
    ONE_LINER,
    ONE_LINER_OUT,
    OURS,
    Bench,
    bench_functions,
    bench_json,
    contenders,
    sigmoid_errors,
)
from pipeline.bench.accuracy import RANGES, exact_sigmoid, units
from pipeline.bench.contenders import sigmoid_forms, ways_of
from pipeline.bench.cost import costs_of, in_threads
from pipeline.registry import FUNCTIONS

MIB = 2**20


@pytest.fixture(scope="module")
def bench() -> Bench:
    return bench_functions(size=100_000, rounds=1)


def test_sigmoid_naive_clipped_np_where_and_scipy_are_compared(bench: Bench) -> None:
    worst = {(each.low, each.high): each.errors for each in bench.errors}
    subnormal, below_500, rest = worst[-745.1, -708.4], worst[-708.4, -500.0], list(worst.values())[2:]
    # The clip makes a constant of the tail.
    assert below_500["clipped"] > 1e80
    assert subnormal["clipped"] > 1e100
    # The naive form, and scipy's, give 0 where the exact value is a number yet.
    assert subnormal["naive"] > 1e12
    if find_spec("scipy") is not None:
        assert subnormal["scipy"] > 1e12
    assert all(error < 4 for errors in rest for error in errors.values())
    assert max(errors[OURS] for errors in worst.values()) <= FUNCTIONS["sigmoid"].bound
    assert set(bench.forms) == set(bench.errors[0].errors)


def test_the_exact_value_is_exact() -> None:
    with mpmath.workdps(60):
        for x in (-745.1, -708.4, -500.3, -37.1, -1e-9, 0.0, 0.7, 36.7, 750.0):
            exact = mpmath.mpf(str(exact_sigmoid(x)))
            assert abs(exact * (1 + mpmath.exp(-mpmath.mpf(x))) - 1) < mpmath.mpf(10) ** -48


def test_units_are_those_of_the_exact_value() -> None:
    half = exact_sigmoid(0.0)
    assert units(0.5, half) == 0
    assert units(math.nextafter(0.5, 1), half) == 1
    # Just below 1 they are half as large as at 1.
    assert units(1.0, exact_sigmoid(36.0)) == pytest.approx(float((1 - exact_sigmoid(36.0)) * 2**53))
    assert units(0.0, exact_sigmoid(-745.0)) == pytest.approx(math.exp(-745 + 744.44) * 1.0, rel=1)
    assert units(math.nan, half) == math.inf


def test_a_form_that_is_wrong_somewhere_is_found() -> None:
    def wrong(x: Any) -> Any:
        return np.where((x > 3) & (x < 9), 0.9, pipeline.sigmoid(x))

    errors = {(each.low, each.high): each.errors["wrong"] for each in sigmoid_errors({"wrong": wrong}, 100)}
    assert [place for place in RANGES if errors[place] > 4] == [(0.0, 37.0)]


def test_benchmark_of_activations_has_every_function(bench: Bench) -> None:
    assert [each.name for each in bench.functions] == list(FUNCTIONS)
    for each in bench.functions:
        assert {COPY, OURS, NEW} <= set(each.costs), each.name
        assert ONE_LINER in each.costs or (FUNCTIONS[each.name].needed and find_spec("scipy") is None)
        assert (ONE_LINER_OUT in each.costs) == (ONE_LINER in each.costs)
        has_torch = bool(FUNCTIONS[each.name].torch) and find_spec("torch") is not None
        assert ("torch" in each.costs) == has_torch, each.name
        assert all(cost.ns > 0 and cost.ratio > 0 for cost in each.costs.values())
        assert each.costs[OURS].ratio == 1


def test_memory_test_of_activations_holds_a_tile_and_no_more(bench: Bench) -> None:
    for each in bench.functions:
        assert each.costs[OURS].traced_bytes <= MIB, each.name
        assert (each.costs[OURS].resident_bytes or 0) <= 4 * MIB, each.name
    # As much as an array, which the clipped one-liner makes on its way.
    (sigmoid,) = (each for each in bench.functions if each.name == "sigmoid")
    assert sigmoid.costs[ONE_LINER].traced_bytes >= 8 * 100_000


def test_memory_does_not_include_the_result() -> None:
    x, out = np.ones(500_000), np.zeros(500_000)

    def held(way: Callable[[Any, Any], Any]) -> tuple[int, int | None]:
        cost = costs_of({OURS: lambda: way(x, out)}, OURS, out, x.size, 1, 1)[OURS]
        return cost.traced_bytes, cost.resident_bytes

    array = x.nbytes
    for way, expected in (
        (lambda x, out: np.copyto(out, x), 0),
        (lambda x, out: x + 1, 0),
        (lambda x, out: (x + 1) * (x + 2), array),
        (lambda x, out: np.add(x + 1, x, out=out), array),
    ):
        traced, resident = held(way)
        assert traced == pytest.approx(expected, abs=20_000)
        assert resident is None or resident == pytest.approx(expected, abs=array / 4)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_way_computes_the_same(name: str) -> None:
    shape = (50, 4) if FUNCTIONS[name].several else (200,)
    x = np.random.default_rng(2).uniform(0.01, 0.99, shape)
    out = np.zeros_like(x)
    ways = ways_of(name)
    expected = np.asarray(ways[NEW](x, out))
    for who, way in ways.items():
        if who != COPY:
            np.testing.assert_allclose(way(x, out), expected, rtol=1e-12, err_msg=who)
    for form in sigmoid_forms().values():
        np.testing.assert_allclose(form(x), pipeline.sigmoid(x), rtol=1e-12)


@pytest.mark.parametrize(
    "name", [name for name, entry in FUNCTIONS.items() if not entry.needed or find_spec("scipy") is not None]
)
def test_the_one_liner_writes_into_the_same_array(name: str) -> None:
    x = np.random.default_rng(2).uniform(0.01, 0.99, (50, 4))
    out, ways = np.zeros_like(x), ways_of(name)
    assert ways[ONE_LINER_OUT](x, out) is out
    np.testing.assert_array_equal(out, ways[ONE_LINER](x, out))


def test_a_function_that_pytorch_lacks_has_no_such_contender(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(contenders.FUNCTIONS, "relu", replace(FUNCTIONS["relu"], torch=""))  # type: ignore[arg-type]
    assert "torch" not in ways_of("relu")


def test_threads_share_the_array() -> None:
    x, out = np.random.default_rng(2).normal(size=1_001), np.zeros(1_001)
    with in_threads(3) as called:
        called(ways_of("tanh")[OURS], x, out)()
    np.testing.assert_array_equal(out, np.tanh(x))
    found = bench_functions(["relu"], size=3_000, dtype="float32", threads=2, rounds=2)
    assert (found.clock, found.functions[0].bytes, found.errors) == ("wall", 8, ())


def test_json_says_the_same(bench: Bench) -> None:
    found = json.loads(json.dumps(bench_json(bench), allow_nan=False))
    assert (found["kind"], found["schema_version"], found["size"]) == ("bench-functions", 1, 100_000)
    first = found["functions"][0]
    assert first["name"] == "sigmoid"
    assert first["contenders"][OURS]["ns"] == bench.functions[0].costs[OURS].ns
    assert len(found["sigmoid"]["ranges"]) == len(RANGES)
    assert bench_json(bench_functions(["relu"], size=1_000, rounds=1))["sigmoid"] is None
