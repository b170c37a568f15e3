"""What the article on the sigmoid shows, one test each: the same results here, and right ones where it is wrong.

Each is short; what a function or a command promises in full is tested in the other rooms.
"""

from __future__ import annotations

import functools
import json
import math
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pipeline
from jobs.cli import run
from pipeline.models import TransformBlock, parse_application
from pipeline.registry import FUNCTIONS

FUNCTIONS_PAGE = Path(__file__).parents[2] / "jobs" / "guide" / "functions.md"
X = np.linspace(-20, 20, 401)


@pytest.fixture
def monitored(capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """Return what ``bench functions`` prints for a program."""

    def call(*words: str) -> dict[str, Any]:
        assert run(["bench", "functions", *words, "--size", "20000", "--rounds", "1", "--json"]) == 0
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    return call


def test_sigmoid_naive_clipped_np_where_stable_and_scipy() -> None:
    x = np.array([-740.0, -600.0, -1.0, 0.0, 40.0])
    with np.errstate(over="ignore"):
        naive = 1 / (1 + np.exp(-x))
    clipped = 1 / (1 + np.exp(-np.clip(x, -500, 500)))
    small = np.exp(-np.abs(x))
    stable = np.where(x >= 0, 1 / (1 + small), small / (1 + small))
    ours = pipeline.sigmoid(x)
    np.testing.assert_allclose(ours, stable, rtol=1e-15)
    assert naive[0] == 0 < ours[0] == math.exp(-740)
    assert clipped[0] == clipped[1] > 1e43 * ours[1]
    if find_spec("scipy") is not None:
        from scipy.special import expit

        assert expit(-740.0) == 0


# logit is of another domain, and softmax of several columns.
@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name not in {"logit", "softmax"}])
def test_derivative_of_every_activation(name: str) -> None:
    function, derivative = getattr(pipeline, name), getattr(pipeline, f"{name}_grad")
    x, step = X + 0.013, 1e-6
    np.testing.assert_allclose(derivative(x), (function(x + step) - function(x - step)) / (2 * step), atol=1e-8)


def test_derivative_of_the_sigmoid_from_its_value_without_cancellation() -> None:
    np.testing.assert_allclose(pipeline.sigmoid_grad(value=pipeline.sigmoid(X[:200])), pipeline.sigmoid_grad(X[:200]))
    assert pipeline.sigmoid_grad(40.0) == pytest.approx(math.exp(-40), rel=1e-15)


def test_tanh_relu_leaky_relu_and_a_comparison_table() -> None:
    np.testing.assert_allclose(pipeline.tanh(X), np.tanh(X), rtol=1e-15)
    np.testing.assert_array_equal(pipeline.relu(X), np.maximum(X, 0))
    np.testing.assert_array_equal(pipeline.leaky_relu(X, alpha=0.1), np.where(X > 0, X, 0.1 * X))
    table = FUNCTIONS_PAGE.read_text(encoding="utf-8")
    assert [name for name in FUNCTIONS if f"| `{name}` |" not in table] == []


def test_temperature_alpha_beta_and_feature_range(tmp_path: Path) -> None:
    pq.write_table(pa.table({"score": X}), tmp_path / "in.parquet")
    texts = ["t=sigmoid(score, temperature=2)", "a=sigmoid(score, alpha=3, beta=1)", "r=sigmoid(score, low=-1, high=1)"]
    pipeline.transform(tmp_path / "in.parquet", texts, tmp_path / "out.parquet", scheduler="sync")
    found = pq.read_table(tmp_path / "out.parquet")
    np.testing.assert_allclose(found["t"], 1 / (1 + np.exp(-X / 2)), rtol=1e-14)
    np.testing.assert_allclose(found["a"], 1 / (1 + np.exp(-(3 * X + 1))), rtol=1e-14)
    np.testing.assert_allclose(found["r"], np.tanh(X / 2), atol=1e-15)


def _loop_of_batch_size(values: np.ndarray, batch_size: int) -> Iterator[np.ndarray]:
    for start in range(0, len(values), batch_size):
        yield values[start : start + batch_size]


@pytest.mark.parametrize("batch_size", [7, 401])
def test_loops_of_batch_size(tmp_path: Path, batch_size: int) -> None:
    pipeline.transform_stream(_loop_of_batch_size(X, batch_size), "p=sigmoid(x)", tmp_path / "out.parquet")
    np.testing.assert_array_equal(pq.read_table(tmp_path / "out.parquet")["p"], pipeline.sigmoid(X))


def test_streaming_a_generator_to_a_file(tmp_path: Path) -> None:
    output = tmp_path / "out.csv"

    def generator() -> Iterator[np.ndarray]:
        for batch in _loop_of_batch_size(X, 100):
            assert not output.exists()
            yield batch

    report = pipeline.transform_stream(generator(), pipeline.sigmoid, output)
    assert (report.published, report.totals.written) == (True, len(X))
    np.testing.assert_array_equal(np.loadtxt(output, skiprows=1), pipeline.sigmoid(X))


def _nanoseconds(call: Callable[[], object], elements: int) -> float:
    times = []
    for _ in range(7):
        start = time.process_time_ns()
        call()
        times.append(time.process_time_ns() - start)
    return min(times) / elements


@pytest.mark.slow
def test_a_cache_for_repeated_scalars_is_slower_than_an_array() -> None:
    x = np.random.default_rng(1).choice(np.linspace(-6, 6, 100), 1_000_000)
    out, values = np.empty_like(x), x.tolist()
    dictionary = {value: pipeline.sigmoid(value) for value in set(values)}
    cached = functools.lru_cache(maxsize=None)(pipeline.sigmoid)
    array = _nanoseconds(lambda: pipeline.sigmoid(x, out=out), len(x))
    assert _nanoseconds(lambda: [dictionary[value] for value in values], len(x)) > 3 * array
    assert _nanoseconds(lambda: [cached(value) for value in values], len(x)) > 3 * array


def test_repeated_values_of_a_dictionary_are_computed_once_a_distinct_value() -> None:
    column = pa.DictionaryArray.from_arrays(pa.array([0, 1, 1, 0] * 100, pa.int8()), pa.array([-3.0, 5.0]))
    (found,) = TransformBlock((parse_application("p=sigmoid(x)"),)).block([column]).arrays
    np.testing.assert_array_equal(found, pipeline.sigmoid(np.array([-3.0, 5.0, 5.0, -3.0] * 100)))


@pytest.mark.parametrize("library", ["array_api_strict", "torch"])
def test_cupy_on_a_gpu_and_any_array_of_the_standard(library: str) -> None:
    xp = pytest.importorskip(library, reason=f"{library} is not installed")
    found = pipeline.sigmoid(xp.asarray(X), temperature=2)
    assert type(found) is type(xp.asarray(X))
    np.testing.assert_allclose(np.asarray(found), pipeline.sigmoid(X, temperature=2), rtol=1e-14)


@pytest.fixture(scope="module")
def transformer() -> Any:
    # Outside of the test: scikit-learn sets variables of the environment.
    pytest.importorskip("sklearn", reason="scikit-learn is not installed (extra sklearn)")
    from pipeline.sklearn import SigmoidTransformer

    return SigmoidTransformer


def test_scikit_learn_sigmoid_transformer(transformer: Any) -> None:
    rows = X[:400].reshape(-1, 2)
    found = transformer(low=-1, high=1).fit_transform(rows)
    np.testing.assert_array_equal(found, pipeline.sigmoid(rows, low=-1, high=1))


def test_benchmark_of_activations(monitored: Callable[..., dict[str, Any]]) -> None:
    found = monitored("sigmoid", "tanh", "relu", "leaky_relu")
    assert [each["name"] for each in found["functions"]] == ["sigmoid", "tanh", "relu", "leaky_relu"]
    assert all({"logitstream", "numpy", "copy"} <= set(each["contenders"]) for each in found["functions"])


def test_memory_test_with_psutil() -> None:
    x = np.ones(4_000_000)
    out = np.zeros_like(x)
    pipeline.sigmoid(x[:100_000], out=out[:100_000])
    process = psutil.Process()
    before = process.memory_info().rss
    pipeline.sigmoid(x, out=out)
    # An array is 30 MiB.
    assert process.memory_info().rss - before <= 4 * 2**20


def test_performance_monitor(monitored: Callable[..., dict[str, Any]]) -> None:
    (relu,) = monitored("relu")["functions"]
    cost = relu["contenders"]["logitstream"]
    assert cost["ns"] > 0
    assert cost["gb_per_s"] > 0
    assert relu["share_of_copy"] > 0
    assert cost["traced_bytes"] <= 2**20


def test_a_plot_of_the_curve(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra plot)")
    assert run(["plot", "sigmoid", "tanh", "--output", str(tmp_path / "curves.svg")]) == 0
    assert b"sigmoid" in (tmp_path / "curves.svg").read_bytes()


def test_the_vanishing_gradient_and_a_xavier_layer_that_makes_it_worse() -> None:
    """The article's loop over ten layers, with its weights and its Xavier weights, beside what is measured here."""
    random = np.random.default_rng(0)
    medians = []
    for deviation in (0.5, math.sqrt(2 / (10 + 10))):
        ratios = []
        for _ in range(25):
            weights = [random.normal(0, deviation, (10, 10)) for _ in range(10)]
            activations = [random.normal(size=(100, 10))]
            for weight in weights:
                activations.append(1 / (1 + np.exp(-activations[-1] @ weight)))
            gradient, norms = random.normal(size=(100, 10)), []
            for weight, a in zip(reversed(weights), reversed(activations), strict=False):
                gradient = gradient * a * (1 - a)
                norms.append(np.linalg.norm(gradient, axis=1).mean())
                gradient = gradient @ weight.T
            # The list begins at the output, so that its first element belongs to the last layer.
            ratios.append(norms[-1] / norms[0])
        medians.append(float(np.median(ratios)))
    normal, xavier, suited = pipeline.diagnose_initialisation().stacks
    # Medians of 25 draws differ by up to a half.
    assert all(0.5 < ours.ratio / median < 2 for ours, median in zip((normal, xavier), medians, strict=True))
    assert xavier.ratio < normal.ratio / 10 < suited.ratio / 1000
