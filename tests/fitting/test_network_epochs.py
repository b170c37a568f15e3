"""One epoch of a network against PyTorch, and the layers, optimisers and mini-batches that it is made of."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tracemalloc
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import pipeline as logitstream
from pipeline.choices import Optimizer
from pipeline.fitting.network.hidden import parse_hidden
from pipeline.fitting.network.layers import NetworkShape, drawn, loss_and_gradient, raw_predictions
from pipeline.fitting.network.learning import Progress
from pipeline.fitting.network.order import WINDOW_ROWS, BatchCutter, chunk_order
from pipeline.fitting.network.passes import VECTORS
from pipeline.fitting.network.rows import LearningRows, joined
from pipeline.fitting.network.wishes import LearningWishes
from pipeline.kernels.layers import log_losses
from tests.fitting.stored_network import CASES, STORED, fit_options, write

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(find_spec("safetensors") is None, reason="safetensors is not installed")


def weights_of(model: logitstream.NetworkModel) -> list[np.ndarray]:
    from safetensors.numpy import load

    tensors = load(model.weights())
    return [tensors[name] for section in model.file.layers for name in (section.weight, section.bias)]  # type: ignore[union-attr]


def difference(found: list[np.ndarray], expected: list[np.ndarray]) -> float:
    return max(float(np.abs(mine - theirs).max()) for mine, theirs in zip(found, expected, strict=True))


@pytest.mark.parametrize("name", CASES)
def test_the_weights_after_an_epoch_are_those_of_pytorch(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    report = logitstream.fit_network(write(tmp_path, case.classes), **fit_options(case))
    stored = [np.array(array) for array in json.loads(STORED.read_text())[name]]
    assert difference(weights_of(report.model), stored) < 1e-9


@pytest.mark.slow
@pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed")
def test_the_stored_weights_are_those_of_pytorch() -> None:
    # PyTorch sets variables of the environment, so it runs in a process of its own.
    command = [sys.executable, "-m", "tests.fitting.stored_network", "-"]
    printed = subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.PIPE).stdout
    stored = json.loads(STORED.read_text())
    for name, arrays in json.loads(printed).items():
        assert difference(list(map(np.array, arrays)), list(map(np.array, stored[name]))) < 1e-12, name


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_keeping_an_epoch_takes_no_more_vectors_than_a_fit_counts(optimizer: Optimizer) -> None:
    size = 100_000
    learning = LearningWishes(parse_hidden("2 tanh"), optimizer=optimizer)
    tracemalloc.start()
    try:
        progress = Progress.begin(np.zeros(size), learning)
        content = progress.packed()
        packing = tracemalloc.get_traced_memory()[1] / (8 * size)
        del progress
        tracemalloc.reset_peak()
        Progress.unpacked(content)
        unpacking = tracemalloc.get_traced_memory()[1] / (8 * size)
    finally:
        tracemalloc.stop()
    print(f"{packing:.2f} vectors while an epoch is packed, {unpacking:.2f} while it is unpacked")
    assert max(packing, unpacking) < VECTORS + 0.1


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("weighted", [False, True])
def test_gradients_are_the_slopes_of_the_loss(classes: int, weighted: bool) -> None:
    chance = np.random.Generator(np.random.Philox(2))
    shape = NetworkShape((3, 5, 4, 1 if classes == 2 else classes), ("sigmoid", "gelu"))
    parameters = chance.normal(size=shape.size)
    rows, y = chance.normal(size=(17, 3)), chance.integers(0, classes, 17)
    weights = chance.uniform(0, 2, 17) if weighted else None

    def loss(moved: np.ndarray) -> float:
        losses = log_losses(shape.head, raw_predictions(shape, moved, rows), y)
        return float(np.average(losses, weights=weights))

    found, slopes = loss_and_gradient(shape, parameters, rows, y, weights)
    assert found == pytest.approx(loss(parameters), rel=1e-14)
    steps = np.eye(shape.size) * 1e-6
    numeric = [(loss(parameters + each) - loss(parameters - each)) / 2e-6 for each in steps]
    np.testing.assert_allclose(slopes, numeric, atol=1e-8)


@pytest.mark.parametrize("raw", [-800.0, -30.0, 0.0, 30.0, 800.0])
def test_losses_of_certain_rows_are_exact(raw: float) -> None:
    exact = max(-raw, 0) + math.log1p(math.exp(-abs(raw)))
    assert log_losses("sigmoid", np.array([[raw]]), np.array([1]))[0] == pytest.approx(exact, rel=1e-14)
    assert log_losses("softmax", np.array([[0.0, raw]]), np.array([1]))[0] == pytest.approx(exact, rel=1e-14, abs=1e-14)


def test_initial_weights_have_the_gain_that_is_asked_for() -> None:
    hidden = parse_hidden("200 sigmoid, 200 relu")

    def deviations(**options: object) -> list[float]:
        learning = LearningWishes(hidden, **options)  # type: ignore[arg-type]
        shape = NetworkShape.of(learning, 200, 2)
        return [float(weight.std()) for weight, _ in shape.views(drawn(shape, learning))]

    limit = math.sqrt(2 / 400)
    assert deviations() == pytest.approx([4 * limit, math.sqrt(2) * limit, math.sqrt(2 / 201)], rel=0.15)
    assert deviations(gain=0.5)[:2] == pytest.approx([limit / 2, limit / 2], rel=0.02)
    assert deviations(initialisation="he")[:2] == pytest.approx([0.1, 0.1], rel=0.02)
    assert deviations(initialisation="normal")[:2] == pytest.approx([0.5, 0.5], rel=0.02)


def numbered(first: int, count: int) -> LearningRows:
    ids = np.arange(first, first + count, dtype=np.float64)
    return LearningRows(ids[:, np.newaxis], np.empty((count, 0), np.int32), np.zeros(count, np.intp), None)


def streamed(seed: int, epoch: int, batch_rows: int, chunks: list[LearningRows]) -> list[np.ndarray]:
    cutter = BatchCutter(seed, epoch, batch_rows)
    found = [batch for rows in chunks for batch in cutter.add(rows)]
    return [batch.numbers[:, 0] for batch in (*found, *cutter.end())]


def test_every_row_comes_once_in_an_epoch_in_an_order_that_batches_do_not_change() -> None:
    counts = [40_000, 0, 50_000, 3, 70_001, 10]
    starts = np.cumsum([0, *counts])
    chunks = [numbered(int(start), count) for start, count in zip(starts[:-1], counts, strict=True)]
    small, large = streamed(1, 1, 256, chunks), streamed(1, 1, 100_000, chunks)
    assert [len(batch) for batch in small[:-1]] == [256] * (len(small) - 1)
    order = np.concatenate(small)
    assert np.array_equal(order, np.concatenate(large))
    assert np.array_equal(np.sort(order), np.arange(starts[-1]))
    assert not np.array_equal(order, np.concatenate(streamed(1, 2, 256, chunks)))
    assert not np.array_equal(order, np.concatenate(streamed(2, 1, 256, chunks)))
    # The first window has the first chunks that make 65,536 rows together, whole.
    assert np.array_equal(np.sort(order[:90_000]), np.arange(90_000))
    assert WINDOW_ROWS < 90_000


def test_chunks_come_in_another_order_in_each_epoch() -> None:
    orders = [chunk_order(3, epoch, 20) for epoch in (1, 2)]
    assert orders[0] != orders[1]
    assert all(sorted(order) == list(range(20)) for order in orders)
    assert len(joined([numbered(0, 2), numbered(2, 3)])) == 5
