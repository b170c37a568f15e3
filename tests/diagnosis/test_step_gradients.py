"""Gradients in networks over sequences: the values of autograd, through the layers and through time."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pipeline as logitstream
from pipeline.diagnosis import GradientReport, LayerGradient, gradients_json, step_summing
from pipeline.diagnosis.gradient_wording import gradient_advice, step_sentence, step_sentences
from pipeline.diagnosis.sources import StepRows
from pipeline.errors import MemoryBudgetError, SchemaError
from pipeline.memory import current_bytes
from pipeline.models import load_model
from pipeline.models.logistic.batch import BatchColumns
from pipeline.models.tally import BatchColumn, RowTally
from pipeline.units import MIB
from tests.diagnosis.torch_step_gradients import CASES, LENGTHS, by_autograd, stored_rows
from tests.models.network.networks import dense, drawn_steps, sequence, step_layers, written
from tests.seeds import seeds

STORED: dict[str, Any] = json.loads((Path(__file__).parent / "stored_step_gradients.json").read_text())
needs_torch = pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed")


def network(folder: Path, kind: str, widths: tuple[int, ...], pooling: str, **options: Any) -> Path:
    """Write a network with drawn weights over sequences of the column x."""
    name, _, before = kind.partition(" ")
    tensors = drawn_steps(name, widths, options.get("dtype", np.float64), options.get("seed", 0))
    outputs = widths[-1]
    classes = {"head": "softmax", "classes": list(range(outputs))} if outputs > 1 else {}
    form = {"reset_after": False} if before else {}
    feature = sequence("x", width=widths[0], **options.get("feature", {}))
    described = step_layers(name, len(widths) - 2, pooling, **form)
    return written(folder, tensors, features=[feature], layers=described, **classes)


def write(path: Path, rows: Any, codes: Any = None, **how: Any) -> None:
    lists = pa.array(
        [None if row is None else np.asarray(row).tolist() for row in rows], pa.list_(pa.list_(pa.float64()))
    )
    pq.write_table(pa.table({"x": lists} if codes is None else {"x": lists, "y": codes}), path, **how)


def assert_near(report: GradientReport, expected: dict[str, Any]) -> None:
    for name in ("norm", "weight_gradient"):
        found = [getattr(layer, name) for layer in report.layers]
        np.testing.assert_allclose(found, expected[name], rtol=1e-9, atol=0, err_msg=name)
    recurrent = report.layers[:-1]
    for layer, steps in zip(recurrent, expected["steps"], strict=True):
        np.testing.assert_allclose(layer.steps, steps, rtol=1e-9, atol=0)
    np.testing.assert_allclose([layer.mean_activation for layer in recurrent], expected["mean_activation"], rtol=1e-9)
    assert report.layers[-1].steps == ()
    if report.target is not None:
        assert report.loss == pytest.approx(expected["loss"], rel=1e-9)


@pytest.mark.parametrize(("kind", "pooling", "outputs"), CASES)
def test_gradients_through_time_are_those_that_autograd_computed(
    kind: str, pooling: str, outputs: int, tmp_path: Path
) -> None:
    model = network(tmp_path, kind, (3, 6, 5, outputs), pooling, feature={"missing": "empty"})
    write(tmp_path / "in.parquet", stored_rows(), np.arange(len(LENGTHS)) % max(2, outputs))
    found = logitstream.diagnose_gradients(tmp_path / "in.parquet", model, target="y")
    assert_near(found, STORED[f"{kind}, {pooling}, {outputs}"])
    assert [layer.kind for layer in found.layers] == [kind[:4].strip()] * 2 + ["dense"]
    assert [layer.place for layer in found.layers] == [0, 1, 3]


@needs_torch
@pytest.mark.parametrize("seed", seeds(30, slow=10))
def test_gradients_through_time_of_drawn_networks_are_those_of_autograd(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Small tiles, so that there are several.
    monkeypatch.setattr(step_summing, "STEP_TILE_BYTES", 1 << 18)
    generator = np.random.default_rng(seed)
    kind, pooling, _ = CASES[seed % len(CASES)]
    outputs, depth = int(generator.choice([1, 4])), int(generator.integers(1, 4))
    widths = (*generator.integers(1, 9, depth + 1).tolist(), outputs)
    count = int(generator.choice([1, 40, 120]))
    rows = [generator.normal(size=(int(generator.integers(0, 15)), widths[0])) for _ in range(count)]
    rows[0] = generator.normal(size=(3, widths[0]))
    codes = generator.integers(0, max(2, outputs), count) if seed % 2 else None
    dtype = np.float32 if seed % 3 == 0 else np.float64
    model = network(tmp_path, kind, widths, pooling, dtype=dtype, seed=seed, feature={"missing": "empty"})
    write(tmp_path / "in.parquet", rows, codes, row_group_size=50)
    found = logitstream.diagnose_gradients(tmp_path / "in.parquet", model, target=None if codes is None else "y")
    tensors = drawn_steps(kind.partition(" ")[0], widths, dtype, seed)
    assert_near(found, by_autograd(kind, tensors, rows, codes, pooling))


def test_the_bits_do_not_depend_on_workers_or_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_summing, "STEP_TILE_BYTES", 1 << 20)
    generator = np.random.default_rng(0)
    rows = [generator.normal(size=(int(length), 2)) for length in generator.integers(1, 9, 4_000)]
    model = network(tmp_path, "lstm", (2, 5, 1), "last")
    write(tmp_path / "in.parquet", rows, generator.integers(0, 2, 4_000), row_group_size=500)
    write(tmp_path / "in2.parquet", rows, generator.integers(0, 2, 4_000), row_group_size=4_000)

    def found(**how: Any) -> str:
        return json.dumps(gradients_json(logitstream.diagnose_gradients(tmp_path / "in.parquet", model, **how)))

    alone = found(workers=1, scheduler="sync", chunk_size=2_000)
    assert found(workers=2, chunk_size=2_000) == alone
    # Row groups are batches of their own: a chunk has the same tiles whatever they are.
    whole = found(chunk_size=4_000)
    report = logitstream.diagnose_gradients(tmp_path / "in2.parquet", model, chunk_size=4_000)
    assert json.dumps(gradients_json(report)) == whole


def test_rows_with_odd_steps_are_left_out_and_counted(tmp_path: Path) -> None:
    model = network(tmp_path, "gru", (1, 3, 1), "mean")
    rows = [[[1.0], [2.0]], None, [[1.0], [float("nan")]], [[float("inf")]], [], [[0.5]]]
    write(tmp_path / "in.parquet", rows)
    found = logitstream.diagnose_gradients(tmp_path / "in.parquet", model)
    assert found.rows == {
        "read": 6, "used": 2, "bad": 0, "set_aside": 0, "without_score": 3, "without_target": 0, "not_finite": 1,
    }  # fmt: skip
    write(tmp_path / "in.parquet", [rows[0], rows[5]])
    assert logitstream.diagnose_gradients(tmp_path / "in.parquet", model).layers == found.layers
    assert len(found.layers[0].steps) == 2


def test_saturated_gates_are_counted_in_the_steps_that_a_row_has(tmp_path: Path) -> None:
    tensors = {
        "r0.input_weight": np.zeros((4, 1)),
        "r0.hidden_weight": np.zeros((4, 1)),
        "r0.input_bias": np.array([5.0, -5.0, 0.0, 1.0]),
        "r0.hidden_bias": np.zeros(4),
        "0.weight": np.ones((1, 1)),
        "0.bias": np.zeros(1),
    }
    model = written(tmp_path, tensors, features=[sequence("x")], layers=step_layers("lstm", 1, "last"))
    pq.write_table(pa.table({"x": pa.array([[1.0], [1.0, 2.0, 3.0]])}), tmp_path / "in.parquet")
    (layer, _) = logitstream.diagnose_gradients(tmp_path / "in.parquet", model).layers
    assert layer.saturated == 0.5
    assert layer.mean_activation == 0.0


def test_steps_that_no_counted_row_has_are_not_told(tmp_path: Path) -> None:
    tensors = {
        "r0.input_weight": np.full((4, 1), 10.0),
        "r0.hidden_weight": np.zeros((4, 1)),
        "r0.input_bias": np.zeros(4),
        "r0.hidden_bias": np.zeros(4),
        "0.weight": np.full((1, 1), 1e200),
        "0.bias": np.full(1, -1e199),
        "1.weight": np.full((1, 1), 1e200),
        "1.bias": np.zeros(1),
    }
    described = [*step_layers("lstm", 1, "last")[:-1], dense("0", "relu"), dense("1")]
    model = written(tmp_path, tensors, features=[sequence("x")], layers=described)
    # The raw prediction of the row of four steps is beyond float64; the relu is off in the others.
    write(tmp_path / "in.parquet", [[[0.0]], [[50.0]] * 4, [[0.0], [0.0]]])
    found = logitstream.diagnose_gradients(tmp_path / "in.parquet", model)
    assert (found.rows["used"], found.rows["not_finite"]) == (2, 1)
    assert found.layers[0].steps == (0.0, 0.0)


def test_a_row_that_is_longer_than_a_tile_is_one_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, generator = network(tmp_path, "gru", (1, 4, 1), "mean"), np.random.default_rng(0)
    write(tmp_path / "in.parquet", [generator.normal(size=(size, 1)) for size in (3, 900, 5, 1, 700)])
    expected = logitstream.diagnose_gradients(tmp_path / "in.parquet", model)
    monkeypatch.setattr(step_summing, "STEP_TILE_BYTES", 10_000)
    found = logitstream.diagnose_gradients(tmp_path / "in.parquet", model)
    assert found.rows == expected.rows
    for one, other in zip(found.layers, expected.layers, strict=True):
        assert one.norm == pytest.approx(other.norm, rel=1e-12)
        np.testing.assert_allclose(one.steps, other.steps, rtol=1e-12)


def test_a_row_that_is_too_long_for_the_memory_is_refused_with_what_it_takes(tmp_path: Path) -> None:
    model = network(tmp_path, "lstm", (1, 4, 1), "last")
    steps = 800_000
    offsets = pa.array([0, 3, 3 + steps, 5 + steps], pa.int32())
    lists = pa.ListArray.from_arrays(offsets, pa.array(np.zeros(5 + steps)))
    pq.write_table(pa.table({"x": lists}), tmp_path / "in.parquet")
    with pytest.raises(
        MemoryBudgetError, match=r"in\.parquet: row 2: a sequence of 800,000 steps, but the gradients of at most"
    ) as found:
        logitstream.diagnose_gradients(tmp_path / "in.parquet", model, memory=current_bytes() + 512 * MIB, workers=1)
    assert found.value.remedy.startswith("raise --memory")


def test_one_long_row_of_wide_steps_takes_no_room_in_the_short_rows_beside_it(tmp_path: Path) -> None:
    model: Any = load_model(network(tmp_path, "gru", (256, 2, 1), "last"))
    flat = pa.array([np.zeros(256 * (60 if row == 5 else 1)) for row in range(1024)], pa.list_(pa.float64()))
    batch = BatchColumns({"x": BatchColumn(0, "x", flat)}, RowTally(len(flat)))
    tracemalloc.start()
    try:
        StepRows(batch, model.file)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # 60 steps of 1,024 rows are 120 MiB.
    assert peak < 30 * MIB


@pytest.mark.slow
def test_a_long_row_stays_within_the_memory(tmp_path: Path) -> None:
    model = network(tmp_path, "lstm", (1, 16, 1), "mean")
    write(tmp_path / "in.parquet", [np.zeros((size, 1)) for size in (3, 60_000, 2)])
    code = (
        "import sys, pipeline\n"
        "from pipeline.memory import peak_bytes\n"
        "report = pipeline.diagnose_gradients(sys.argv[1], sys.argv[2], memory='700MiB', workers=1)\n"
        "print(report.rows['used'], peak_bytes())"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "in.parquet"), str(model)]
    done = subprocess.run(command, check=True, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE)
    used, peak = map(int, done.stdout.split())
    print(f"peak {peak / MIB:.0f} MiB of 700")
    assert used == 3
    assert peak <= 700 * MIB


def test_a_column_that_is_no_sequence_is_refused_before_any_row(tmp_path: Path) -> None:
    model = network(tmp_path, "lstm", (1, 4, 1), "last")
    pq.write_table(pa.table({"x": ["a", "b"], "y": [0, 1]}), tmp_path / "in.parquet")
    with pytest.raises(SchemaError, match='column "x" is string'):
        logitstream.diagnose_gradients(tmp_path / "in.parquet", model, target="y")


LAYER = LayerGradient(1, 0, "lstm", 8, None, 1.0, 1.0, 0.1, 0.0, (1e-5, 1e-3, 1.0))
LAST = LayerGradient(2, 2, "dense", 1, "sigmoid", 1.0, 1.0, 0.1, 0.5)


@pytest.mark.parametrize(
    ("layer", "told", "helps"),
    [
        (
            LAYER,
            "Through time the signal vanishes in layer 1 (lstm): 2 steps before the last one, a step gets 1.0e-05",
            "forget",
        ),
        (
            replace(LAYER, kind="gru"),
            "vanishes in layer 1 (gru)",
            "an lstm, the mean of the steps in place",
        ),
        (
            replace(LAYER, steps=(1e4, 1.0)),
            "the signal explodes in layer 1 (lstm): 1 step before",
            "clip_gradients",
        ),
        (
            replace(LAYER, steps=(0.5, 1.0)),
            "Through time the signal roughly keeps its size in",
            "Nothing needs to",
        ),
        (replace(LAYER, steps=(0.0, 1.0)), "a step gets nothing of what the last one has", "shorter sequences"),
    ],
)
def test_a_sentence_says_what_becomes_of_the_signal_through_time(layer: LayerGradient, told: str, helps: str) -> None:
    assert told in step_sentence(layer)
    assert helps in gradient_advice((layer, LAST), 1.0)


def test_without_an_error_at_the_output_nothing_is_told_of_the_steps_and_nothing_helps() -> None:
    layers = (replace(LAYER, norm=0.0, steps=(0.0, 0.0)), replace(LAST, norm=0.0))
    assert step_sentences(layers) == ()
    assert gradient_advice(layers, 0.0) == "Nothing needs to change: all probabilities are right."
    assert len(step_sentences((LAYER, LAST))) == 1
