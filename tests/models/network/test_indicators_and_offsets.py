"""Networks with inputs for where a column is missing, and with an offset: scored, shown, exported, diagnosed."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq
import pytest

import pipeline as logitstream
from pipeline.diagnosis import gradients_json
from pipeline.errors import BadCellsError, ModelError, SchemaError
from pipeline.modelling import described_model, shown_model
from pipeline.models import load_model
from pipeline.models.network.model import NetworkModel
from tests.conversion.written_networks import by_runtime
from tests.models.network.networks import (
    Tensors,
    categorical,
    drawn,
    drawn_steps,
    layers,
    numeric,
    sequence,
    step_layers,
    written,
)

needs_runtime = pytest.mark.skipif(
    find_spec("onnx") is None or find_spec("onnxruntime") is None, reason="onnx or onnxruntime is not installed"
)
needs_torch = pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed")

ROWS = 3_000
FEATURES = [
    numeric("a", center=1.0, scale=2.0, missing={"impute": 1.5}),
    {"column": "a", "kind": "indicator", "center": 0.25, "scale": 0.5},
    categorical("c", ["u", "v"], missing={"level": "u"}, unseen="zero"),
    {"column": "c", "kind": "indicator"},
    {"column": "t", "kind": "indicator"},
]
WIDTHS = (6, 5, 1)
OFFSET = {"column": "o", "missing": {"impute": 0.5}}


def rows_of(rows: int = ROWS) -> pa.Table:
    generator = np.random.default_rng(2)
    a, o = generator.normal(size=rows), generator.normal(size=rows)
    a[::7], o[::13] = np.nan, np.nan
    c, t = generator.choice(["u", "v", "w"], rows).astype(object), generator.choice(["x", "y"], rows).astype(object)
    c[::5], t[::3] = None, None
    columns = {"a": pa.array(a), "c": pa.array(c, pa.string()), "t": pa.array(t, pa.string())}
    return pa.table({**columns, "o": pa.array(o, from_pandas=True), "id": np.arange(rows)})


def inputs_of(table: pa.Table) -> np.ndarray:
    """Return what the features make of rows."""
    frame = table.to_pandas()
    a, c = frame["a"].to_numpy(), frame["c"]
    missing = np.isnan(a)
    levels = c.fillna("u")
    return np.column_stack(
        [
            (np.where(missing, 1.5, a) - 1) / 2,
            (missing - 0.25) / 0.5,
            levels == "u",
            levels == "v",
            c.isna(),
            frame["t"].isna(),
        ]
    ).astype(float)


def raw_of(tensors: Tensors, inputs: np.ndarray) -> np.ndarray:
    hidden = np.tanh(inputs @ tensors["0.weight"].T + tensors["0.bias"])
    return (hidden @ tensors["1.weight"].T + tensors["1.bias"])[:, 0]


def model(folder: Path, dtype: type = np.float64, **content: Any) -> Path:
    said = {"features": FEATURES, "layers": layers(2, "tanh"), "offset": OFFSET, **content}
    return written(folder, drawn(WIDTHS, dtype), **said)


def test_an_indicator_is_an_input_where_a_column_is_missing_and_an_offset_is_added(tmp_path: Path) -> None:
    table = rows_of()
    expected = raw_of(drawn(WIDTHS), inputs_of(table))
    network = NetworkModel.load(model(tmp_path / "plain", offset=None))
    np.testing.assert_allclose(network.raw_prediction(table), expected, rtol=0, atol=1e-12)
    assert network.columns == ("a", "c", "t")
    added = NetworkModel.load(model(tmp_path / "added"))
    assert added.columns == ("a", "c", "t", "o")
    assert added.digest() != network.digest()
    offset = np.nan_to_num(table["o"].to_numpy(zero_copy_only=False), nan=0.5)
    np.testing.assert_allclose(added.raw_prediction(table), expected + offset, rtol=0, atol=1e-12)
    none = added.raw_prediction(table.slice(0, 0))
    assert none.shape == (0,)


def test_files_of_any_form_give_the_bits_of_rows_in_memory(tmp_path: Path) -> None:
    table, path = rows_of(), model(tmp_path)
    expected = NetworkModel.load(path).probability(table)
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=700)
    # What is NaN there is empty here: both are missing.
    empty = table.set_column(0, "a", pa.array(table["a"].to_numpy(), from_pandas=True))
    pcsv.write_csv(empty, tmp_path / "rows.csv", pcsv.WriteOptions(quoting_style="none"))
    for name, options in (("rows.parquet", {"chunk_size": 700, "workers": 2}), ("rows.csv", {})):
        report = logitstream.score(tmp_path / name, path, tmp_path / f"{name}.out", **options)
        scores = np.concatenate(
            [pq.read_table(each)["probability"] for each in sorted((tmp_path / f"{name}.out").glob("*.parquet"))]
        )
        assert scores.tobytes() == expected.tobytes()
        assert report.totals.events["missing a"] == len(range(0, ROWS, 7))
        assert report.totals.events["missing o"] == len(range(0, ROWS, 13))


@pytest.mark.parametrize("missing", ["null", "error", "quarantine"])
def test_a_row_without_an_offset_has_no_score_where_the_policy_says_so(missing: str, tmp_path: Path) -> None:
    network = NetworkModel.load(model(tmp_path, offset={"column": "o", "missing": missing}))
    table = rows_of(30)
    assert network.block("probability").fields()[0].nullable == (missing == "null")
    if missing == "error":
        with pytest.raises(BadCellsError, match="row 0, column o"):
            network.raw_prediction(table)
        return
    lacking = np.isnan(network.raw_prediction(table))
    assert np.flatnonzero(lacking).tolist() == [0, 13, 26]


def test_infinite_offsets_are_values(tmp_path: Path) -> None:
    network = NetworkModel.load(model(tmp_path))
    table = rows_of(3).set_column(3, "o", pa.array([np.inf, -np.inf, 1.0]))
    assert network.probability(table)[:2].tolist() == [1.0, 0.0]


def test_a_network_of_sequences_may_have_an_offset(tmp_path: Path) -> None:
    said = {"features": [sequence("s")], "layers": step_layers("gru", 1, "last")}
    tensors = drawn_steps("gru", (1, 4, 1))
    plain = NetworkModel.load(written(tmp_path / "plain", tensors, **said))
    added = NetworkModel.load(written(tmp_path / "added", tensors, **said, offset={"column": "o"}))
    lists = [[0.5, 1.0], [2.0], [], [1.0, 3.0, 4.0]]
    table = pa.table({"s": lists, "o": [1.0, None, 2.0, -3.0]})
    raw = plain.raw_prediction(table)
    np.testing.assert_array_equal(added.raw_prediction(table), raw + np.array([1.0, np.nan, 2.0, -3.0]))
    pq.write_table(table, tmp_path / "rows.parquet")
    logitstream.score(tmp_path / "rows.parquet", tmp_path / "added" / "model.json", tmp_path / "out.parquet")
    scores = pq.read_table(tmp_path / "out.parquet")["probability"].to_numpy(zero_copy_only=False)
    assert scores[[0, 3]].tobytes() == added.probability(table)[[0, 3]].tobytes()
    wrong = table.set_column(1, "o", pa.array(["a", "b", "c", "d"]))
    pq.write_table(wrong, tmp_path / "wrong.parquet")
    with pytest.raises(SchemaError, match='column "o" is string'):
        logitstream.score(tmp_path / "wrong.parquet", tmp_path / "added" / "model.json", tmp_path / "other.parquet")


def test_model_show_has_both(tmp_path: Path) -> None:
    path = model(tmp_path)
    shown = shown_model(path)
    assert dict(shown.facts)["offset"] == "o, missing: impute 0.5"
    assert ("a", "indicator", "", 0.25, 0.5, "", "") in shown.rows
    described = described_model(path)
    assert described["offset"] == OFFSET
    assert "offset" not in json.loads(NetworkModel.load(model(tmp_path / "other", offset=None)).file.to_json())


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "the same indicator twice": (
        {"features": [*FEATURES[:4], {"column": "a", "kind": "indicator"}]},
        'features[4].column: "a" is already the column of features[1]',
    ),
    "a policy of an indicator": (
        {"features": [*FEATURES[:4], {"column": "t", "kind": "indicator", "missing": "null"}]},
        'features[4].missing: unknown key "missing"',
    ),
    "a scale of 0": (
        {"features": [*FEATURES[:4], {"column": "t", "kind": "indicator", "scale": 0}]},
        "features[4].scale: must not be 0: values are divided by it",
    ),
    "an offset with a coefficient": (
        {"offset": {"column": "o", "coefficient": 2}},
        'offset.coefficient: unknown key "coefficient"',
    ),
    "a policy that is none": (
        {"offset": {"column": "o", "missing": "drop"}},
        'offset.missing: must be "null", "error", "quarantine" or {"impute": number}, not "drop"',
    ),
    "an offset of classes": (
        {"head": "softmax", "classes": ["a", "b"]},
        'offset: is for "head": "sigmoid": added to the sums of all classes it changes no probability',
    ),
    "an offset that is a sequence": (
        {"features": [sequence("s")], "layers": step_layers("gru", 1, "last"), "offset": {"column": "s"}},
        'offset.column: "s" is the sequence of features[0]: an offset is a column of numbers',
    ),
    "an indicator beside sequences": (
        {"features": [sequence("s"), FEATURES[1]], "layers": step_layers("gru", 1, "last")},
        "features[1].kind: is no sequence, but features[0] is a sequence: a network takes one or the other",
    ),
}


@pytest.mark.parametrize("case", FAULTS)
def test_what_does_not_fit_is_named_with_its_place(case: str, tmp_path: Path) -> None:
    changed, message = FAULTS[case]
    with pytest.raises(ModelError) as caught:
        load_model(model(tmp_path, **changed))
    lines = [line.strip() for line in str(caught.value).splitlines()[1:]]
    assert message in [f"{line.split(' at line ')[0]}: {line.split(': ', 1)[1]}" for line in lines]


def test_safetensors_are_read_back_with_the_same_digest(tmp_path: Path) -> None:
    network = NetworkModel.load(model(tmp_path))
    network.export("safetensors", tmp_path / "state.safetensors")
    again = logitstream.import_network(
        tmp_path / "state.safetensors", tmp_path / "state.layers.json", tmp_path / "again.json"
    )
    assert again.raw_prediction(rows_of()).tobytes() == network.raw_prediction(rows_of()).tobytes()


@pytest.mark.slow
@needs_runtime
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_onnxruntime_gives_our_scores_and_the_graph_is_read_back(dtype: type, tmp_path: Path) -> None:
    network, table = NetworkModel.load(model(tmp_path, dtype)), rows_of()
    network.export("onnx", tmp_path / "model.onnx")
    texts = {
        name: np.array([each or "" for each in table[name].to_pylist()], dtype=object)[:, None] for name in ("c", "t")
    }
    numbers = {name: table[name].to_numpy(zero_copy_only=False)[:, None] for name in ("a", "o")}
    theirs = by_runtime(
        tmp_path / "model.onnx",
        {**numbers, "c": texts["c"], "t": np.where(texts["t"] == "", np.nan, 1.0).astype(float)},
    )
    ours, limit = network.raw_prediction(table), 1e-12 if dtype == np.float64 else 2e-6
    np.testing.assert_allclose(theirs["raw_prediction"][:, 0], ours, rtol=limit, atol=limit)
    pq.write_table(table, tmp_path / "rows.parquet")
    again = logitstream.import_model(tmp_path / "model.onnx")
    assert again.raw_prediction(table).tobytes() == ours.tobytes()


@pytest.mark.slow
@needs_runtime
def test_a_graph_of_sequences_takes_the_offset_too(tmp_path: Path) -> None:
    said = {"features": [sequence("s")], "layers": step_layers("gru", 1, "last"), "offset": {"column": "o"}}
    network = NetworkModel.load(written(tmp_path, drawn_steps("gru", (1, 4, 1), np.float32), **said))
    network.export("onnx", tmp_path / "model.onnx")
    table = pa.table({"s": [[0.5, 1.0], [2.0], [1.0, 3.0, 4.0]], "o": [1.0, None, -3.0]})
    pq.write_table(table, tmp_path / "rows.parquet")
    found = logitstream.import_model(tmp_path / "model.onnx", check=tmp_path / "rows.parquet")
    assert found.raw_prediction(table).tobytes() == network.raw_prediction(table).tobytes()
    assert dict(found.training or {})["imported"]["largest_difference"] < 1e-6


@pytest.mark.slow
@needs_torch
def test_torch_scores_them_alike(tmp_path: Path) -> None:
    model(tmp_path)
    table = rows_of()
    pq.write_table(table, tmp_path / "rows.parquet")
    said = {"features": FEATURES, "layers": layers(2, "tanh"), "offset": OFFSET, "head": "sigmoid"}
    (tmp_path / "layers.json").write_text(json.dumps(said))
    found = logitstream.import_network(
        tmp_path / "model.safetensors",
        tmp_path / "layers.json",
        tmp_path / "again.json",
        check=tmp_path / "rows.parquet",
    )
    assert dict(found.training or {})["imported"]["largest_difference"] < 1e-12


def test_gradients_count_the_offset_in_the_loss(tmp_path: Path) -> None:
    table = rows_of()
    raw = NetworkModel.load(model(tmp_path)).raw_prediction(table)
    y = np.arange(ROWS) % 3 == 0
    chance = 1 / (1 + np.exp(-raw))
    pq.write_table(table.append_column("y", pa.array(y)), tmp_path / "rows.parquet", row_group_size=700)
    report = logitstream.diagnose_gradients(tmp_path / "rows.parquet", tmp_path / "model.json", target="y")
    assert report.loss == pytest.approx(-np.log(np.where(y, chance, 1 - chance)).mean(), rel=1e-12)
    assert report.layers[-1].norm == pytest.approx(np.abs(chance - y).mean(), rel=1e-12)
    assert report.layers[-1].mean_activation == pytest.approx(chance.mean(), rel=1e-12)
    other = logitstream.diagnose_gradients(
        tmp_path / "rows.parquet", tmp_path / "model.json", target="y", workers=2, scheduler="threads"
    )
    assert json.dumps(gradients_json(other)) == json.dumps(gradients_json(report))
    infinite = table.set_column(3, "o", pa.array(np.where(np.arange(ROWS) == 5, np.inf, 0.0)))
    pq.write_table(infinite.append_column("y", pa.array(y)), tmp_path / "infinite.parquet")
    report = logitstream.diagnose_gradients(tmp_path / "infinite.parquet", tmp_path / "model.json", target="y")
    assert (report.rows["used"], report.rows["not_finite"]) == (ROWS - 1, 1)


def test_gradients_through_time_count_the_offset_too(tmp_path: Path) -> None:
    said = {"features": [sequence("s")], "layers": step_layers("gru", 1, "last"), "offset": {"column": "o"}}
    path = written(tmp_path, drawn_steps("gru", (1, 4, 1)), **said)
    generator = np.random.default_rng(3)
    lists = [generator.normal(size=size).tolist() for size in generator.integers(1, 9, 50)]
    table = pa.table({"s": lists, "o": generator.normal(size=50), "y": generator.random(50) < 0.5})
    pq.write_table(table, tmp_path / "rows.parquet")
    chance = NetworkModel.load(path).probability(table)
    report = logitstream.diagnose_gradients(tmp_path / "rows.parquet", path, target="y")
    y = table["y"].to_numpy()
    assert report.loss == pytest.approx(-np.log(np.where(y, chance, 1 - chance)).mean(), rel=1e-12)
