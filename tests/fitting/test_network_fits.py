"""Networks fitted to files: the same bits whatever does the work, resumed after an epoch, as good as others."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq
import pytest
from distributed import Client
from sklearn.metrics import log_loss
from sklearn.neural_network import MLPClassifier

import pipeline as logitstream
from pipeline import memory
from pipeline.errors import DataError, LogitstreamError, MemoryBudgetError, OutputError, ThresholdError, UsageError
from pipeline.fitting.passes.state import state_name
from pipeline.fitting.report import EpochDone
from pipeline.models.network.weights import parse_weights
from pipeline.types.report import Noted
from pipeline.units import MIB

pytestmark = pytest.mark.skipif(find_spec("safetensors") is None, reason="safetensors is not installed")

ROWS = 2_400
ROOT = Path(__file__).resolve().parents[2]


def rings(rows: int = ROWS, seed: int = 1) -> pa.Table:
    """Return rows of a circle, a level and noise: no logistic model tells the classes apart."""
    chance = np.random.Generator(np.random.Philox(seed))
    x = chance.uniform(-1, 1, (rows, 3))
    level = chance.integers(0, 3, rows)
    raw = 6 * (0.5 - x[:, 0] ** 2 - x[:, 1] ** 2) + (level - 1)
    y = chance.random(rows) < 1 / (1 + np.exp(-raw))
    names = np.array(["north", "south", "west"])[level]
    return pa.table({"x0": 100 * x[:, 0], "x1": x[:, 1], "x2": x[:, 2], "c": names, "y": y})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rings") / "rings.parquet"
    pq.write_table(rings(), path, row_group_size=500)
    return path


def fit(inputs: Path | str, **options: Any) -> logitstream.NetworkReport:
    usual: dict[str, Any] = {
        "target": "y",
        "features": "x0, x1, x2, C(c)",
        "hidden": "8 tanh",
        "epochs": 3,
        "chunk_size": 700,
        "batch_rows": 64,
    }
    return logitstream.fit_network(inputs, **{**usual, **options})


def test_the_weights_have_the_same_bits_for_any_workers_and_schedulers(data: Path) -> None:
    ways: list[dict[str, Any]] = [
        {"scheduler": "sync"},
        {"workers": 1},
        {"workers": 2},
        {"workers": 2, "scratch": "none", "memory": memory.current_bytes() + 256 * MIB},
    ]
    found = {fit(data, epochs=2, holdout="20%", **way).model.digest() for way in ways}
    assert len(found) == 1
    assert fit(data, epochs=2, holdout="20%", seed=1).model.digest() not in found


@pytest.mark.slow
def test_the_weights_have_the_same_bits_in_other_processes(data: Path) -> None:
    of_threads = fit(data, epochs=2, holdout="20%", workers=2).model
    assert fit(data, epochs=2, holdout="20%", workers=2, scheduler="processes").model == of_threads


@pytest.mark.slow
def test_on_a_cluster_every_task_of_a_fit_is_called_by_its_command(data: Path) -> None:
    with Client(processes=False, dashboard_address="127.0.0.1:0", set_as_default=False) as client:
        fit(data, epochs=1, scheduler=client)
        names = {name for name in client.cluster.scheduler.task_prefixes if not name.startswith("_")}
    assert names == {"fit"}


def test_a_csv_gives_the_bits_that_do_not_depend_on_workers_either(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "rings.csv"
    pcsv.write_csv(pq.read_table(data), path)
    digests = {fit(path, chunk_size="20KiB", epochs=2, workers=workers).model.digest() for workers in (1, 2)}
    assert len(digests) == 1


def test_the_model_file_scores_as_the_network_that_was_measured(data: Path, tmp_path: Path) -> None:
    report = fit(data, output=tmp_path / "m.json")
    table = pq.read_table(data)
    theirs = log_loss(table["y"].to_numpy(), report.model.probability(table))
    assert report.log_loss == pytest.approx(theirs, rel=1e-12)
    loaded = logitstream.NetworkModel.load(tmp_path / "m.json")
    assert loaded == report.model
    logitstream.score(data, loaded, tmp_path / "scores.parquet")
    scores = pq.read_table(tmp_path / "scores.parquet")["probability"].to_numpy()
    assert np.array_equal(scores, report.model.probability(table))
    assert {each.name for each in tmp_path.iterdir()} >= {"m.json", "m.safetensors"}
    training = loaded.training or {}
    assert training["algorithm"]["method"] == "adam"
    assert training["rows"]["used"] == ROWS


def test_rows_of_one_key_are_held_out_together(tmp_path: Path) -> None:
    path = tmp_path / "rings.parquet"
    pq.write_table(rings(600).append_column("k", pa.array(np.arange(600) // 60)), path)
    training = fit(path, key="k", holdout="20%", epochs=1).model.training or {}
    assert training["rows"]["held_out"] in {60, 120, 180}


def test_first_weights_are_those_of_the_initialisation_and_gain_that_are_asked_for(data: Path) -> None:
    def first(**options: Any) -> np.ndarray:
        model = fit(data, epochs=1, limit=64, learning_rate=1e-12, **options).model
        tensors = parse_weights(model.weights(), "the model").tensors
        return np.array(tensors[model.file.dense[0][1].weight].values)

    np.testing.assert_allclose(first(gain=2.0), 2 * first(gain=1.0), atol=1e-9)
    assert first(initialisation="normal").std() == pytest.approx(0.5, rel=0.3)


def test_several_classes_have_a_softmax(data: Path) -> None:
    report = fit(data, target="c", features="x0, x1, C(y)", epochs=1)
    assert report.model.file.head == "softmax"
    shown = report.model.predict_proba(pq.read_table(data))
    assert shown.shape == (ROWS, 3)
    np.testing.assert_allclose(shown.sum(axis=1), 1)
    names = pq.read_table(data)["c"].to_pylist()
    assert report.log_loss == pytest.approx(log_loss(names, shown, labels=report.model.classes), rel=1e-12)


def killer(epoch: int, told: list[object]) -> Callable[[object], None]:
    def observe(event: object) -> None:
        told.append(event)
        if isinstance(event, Noted) and event.text.startswith("resuming"):
            return
        if isinstance(event, EpochDone) and event.number > epoch:
            raise KeyboardInterrupt

    return observe


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_fit_that_was_killed_goes_on_after_the_last_epoch_and_ends_with_the_same_bits(
    data: Path, tmp_path: Path, optimizer: str
) -> None:
    whole = fit(data, epochs=4, holdout="20%", optimizer=optimizer)
    output = tmp_path / "m.json"
    # The event comes before the epoch is kept: that of epoch 3 is carried out again.
    with pytest.raises(KeyboardInterrupt):
        fit(data, epochs=4, holdout="20%", optimizer=optimizer, output=output, observe=killer(2, []))
    assert [each.name for each in tmp_path.iterdir()] == [state_name(str(output))]
    told: list[object] = []
    report = fit(data, epochs=4, holdout="20%", optimizer=optimizer, output=output, observe=killer(9, told))
    assert [event.number for event in told if isinstance(event, EpochDone)] == [3, 4]
    assert any("resuming after epoch 2" in note for note in report.notes)
    assert report.model == whole.model
    assert [(each.log_loss, each.held_out_log_loss) for each in report.epochs] == [
        (each.log_loss, each.held_out_log_loss) for each in whole.epochs
    ]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["m.json", "m.safetensors"]


def test_another_job_starts_over(data: Path, tmp_path: Path) -> None:
    output = tmp_path / "m.json"
    with pytest.raises(KeyboardInterrupt):
        fit(data, output=output, observe=killer(1, []))
    report = fit(data, output=output, hidden="7 tanh")
    assert any("starting over" in note for note in report.notes)
    assert report.model == fit(data, hidden="7 tanh").model


def test_it_stops_early_and_keeps_the_best_epoch(data: Path) -> None:
    options = {"holdout": "20%", "hidden": "40 relu", "learning_rate": 0.05, "limit": 700, "patience": 2}
    report = fit(data, epochs=40, **options)
    held = [each.held_out_log_loss for each in report.epochs]
    assert report.early
    assert len(report.epochs) == report.best_epoch + 2
    assert report.held_out_log_loss == pytest.approx(min(each for each in held if each is not None), rel=1e-12)
    again = fit(data, epochs=report.best_epoch, **options)
    assert again.model.file.weights.sha256 == report.model.file.weights.sha256


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.usefixtures("one_blas_thread")
@pytest.mark.slow
def test_it_predicts_as_well_as_the_network_of_scikit_learn(tmp_path: Path) -> None:
    table, test = rings(6_000), rings(5_000, seed=2)
    pq.write_table(table, tmp_path / "rings.parquet", row_group_size=500)
    report = fit(tmp_path / "rings.parquet", hidden="16 tanh", epochs=25, learning_rate=0.01)
    ours = log_loss(test["y"].to_numpy(), report.model.probability(test))

    def inputs(table: pa.Table) -> np.ndarray:
        frame = table.to_pandas()
        levels = [frame["c"] == name for name in ("north", "south", "west")]
        return np.column_stack([frame["x0"] / 57.7, frame["x1"] / 0.577, frame["x2"] / 0.577, *levels]).astype(float)

    their = MLPClassifier(
        (16,), activation="tanh", alpha=0, batch_size=64, learning_rate_init=0.01, max_iter=25, random_state=1
    )
    their.fit(inputs(table), table["y"].to_numpy())
    theirs = log_loss(test["y"].to_numpy(), their.predict_proba(inputs(test)))
    print(f"log loss {ours:.4f}, scikit-learn {theirs:.4f}")
    assert ours < theirs * 1.03
    assert ours < 0.45


def test_missing_values_are_treated_at_scoring_as_in_the_fit(data: Path, tmp_path: Path) -> None:
    table = pq.read_table(data)
    x, c = table["x0"].to_pylist(), table["c"].to_pylist()
    holes = table.set_column(0, "x0", pa.array([None if row % 7 == 0 else value for row, value in enumerate(x)]))
    holes = holes.set_column(3, "c", pa.array([None if row % 11 == 0 else value for row, value in enumerate(c)]))
    path = tmp_path / "holes.parquet"
    pq.write_table(holes, path, row_group_size=500)
    with pytest.raises(LogitstreamError) as found:
        fit(path)
    assert found.value.exit_code == 65
    report = fit(path, missing={"x0": "impute-median", "c": "indicator"})
    loss = log_loss(table["y"].to_numpy(), report.model.probability(holes))
    assert report.log_loss == pytest.approx(loss, rel=1e-12)
    dropped = fit(path, missing="drop")
    assert dropped.rows["dropped"] == sum(1 for row in range(ROWS) if row % 7 == 0 or row % 11 == 0)
    assert np.isnan(dropped.model.probability(holes)).sum() == dropped.rows["dropped"]


def test_a_number_may_have_an_input_for_where_it_is_missing(data: Path, tmp_path: Path) -> None:
    table = pq.read_table(data)
    x, y = table["x0"].to_numpy().copy(), table["y"].to_numpy()
    lacks = np.random.default_rng(1).random(ROWS) < np.where(y, 0.6, 0.1)
    x[lacks] = np.nan
    path = tmp_path / "holes.parquet"
    holes = table.set_column(0, "x0", pa.array(x))
    pq.write_table(holes, path, row_group_size=500)
    options = {"epochs": 2, "learning_rate": 0.03}
    report = fit(path, missing="indicator", **options)
    assert [(each.column, each.kind) for each in report.model.features] == [
        *(("x0", "numeric"), ("x0", "indicator"), ("x1", "numeric"), ("x2", "numeric"), ("c", "categorical"))
    ]
    flag = report.model.features[1]
    assert flag.center == pytest.approx(lacks.mean(), rel=1e-12)
    assert flag.scale == pytest.approx(lacks.std(), rel=1e-12)
    assert report.log_loss == pytest.approx(log_loss(y, report.model.probability(holes)), rel=1e-12)
    # What is imputed is the mean, but a row with the mean has another score.
    mean = holes.set_column(0, "x0", pa.array(np.where(lacks, np.nanmean(x), x)))
    moved = report.model.probability(holes) - report.model.probability(mean)
    assert moved[lacks].mean() > 0.1
    assert not moved[~lacks].any()
    asked = fit(path, features="x0, M(x0), x1, x2, C(c)", missing="impute-mean", workers=2, **options)
    assert asked.model.file.weights.sha256 == report.model.file.weights.sha256
    # A column without a missing value needs no indicator.
    assert len(fit(data, missing="indicator", epochs=1).model.features) == 4


def test_an_offset_is_added_in_the_fit_and_in_scoring(data: Path, tmp_path: Path) -> None:
    table = pq.read_table(data)
    y = table["y"].to_numpy()
    offset = 3 * (0.5 - table["x1"].to_numpy() ** 2)
    path = tmp_path / "offset.parquet"
    rows = table.append_column("o", pa.array(offset))
    pq.write_table(rows, path, row_group_size=500)
    whole = fit(path, offset="o", epochs=1, output=tmp_path / "m.json")
    assert whole.model == fit(path, offset="o", epochs=1, workers=2, scratch="none").model
    assert whole.model.columns == ("x0", "x1", "x2", "c", "o")
    assert whole.log_loss == pytest.approx(log_loss(y, whole.model.probability(rows)), rel=1e-12)
    # Another offset moves the raw prediction by as much.
    moved = rows.set_column(5, "o", pa.array(offset + 1))
    np.testing.assert_allclose(whole.model.raw_prediction(moved), whole.model.raw_prediction(rows) + 1, rtol=1e-12)
    assert logitstream.NetworkModel.load(tmp_path / "m.json") == whole.model
    assert fit(path, epochs=1).model.file.weights.sha256 != whole.model.file.weights.sha256
    lacking = rows.set_column(5, "o", pa.array([None, *offset[1:]]))
    pq.write_table(lacking, path, row_group_size=500)
    with pytest.raises(DataError, match="every row needs an offset"):
        fit(path, offset="o")
    assert fit(path, offset="o", max_bad=1, epochs=1, limit=1_000).rows["bad"] == 1


def test_controls_are_fitted_and_have_a_fixed_value_in_scoring(data: Path, tmp_path: Path) -> None:
    table = pq.read_table(data)
    x = table["x0"].to_numpy().copy()
    x[::9] = np.nan
    path = tmp_path / "holes.parquet"
    pq.write_table(table.set_column(0, "x0", pa.array(x)), path, row_group_size=500)
    options = {"missing": {"x0": "indicator"}, "epochs": 1}
    whole, report = fit(path, **options), fit(path, **options, control="x0, c", output=tmp_path / "m.json")
    assert report.log_loss == whole.log_loss
    assert report.model.columns == ("x1", "x2")
    training = report.model.training or {}
    counts = table["c"].value_counts().to_pylist()
    most = max(counts, key=lambda each: each["counts"])["values"]
    assert training["controls"] == {"x0": pytest.approx(np.nanmean(x), rel=1e-12), "M(x0)": 0.0, "C(c)": most}
    fixed = table.set_column(0, "x0", pa.array(np.full(ROWS, training["controls"]["x0"])))
    fixed = fixed.set_column(3, "c", pa.array([most] * ROWS))
    np.testing.assert_allclose(
        report.model.raw_prediction(table), whole.model.raw_prediction(fixed), rtol=0, atol=1e-12
    )
    assert logitstream.NetworkModel.load(tmp_path / "m.json") == report.model
    with pytest.raises(DataError, match="every column is a control"):
        fit(path, **options, control="x0, x1, x2, c")


def test_a_constant_column_that_drops_rows_drops_them_in_scoring_too(data: Path, tmp_path: Path) -> None:
    table = pq.read_table(data)
    x, level = np.where(np.arange(ROWS) % 7 == 0, np.nan, 3.0), np.where(np.arange(ROWS) % 11 == 0, None, "one")
    rows = table.append_column("k", pa.array(x)).append_column("l", pa.array(level.tolist(), pa.string()))
    path = tmp_path / "rows.parquet"
    pq.write_table(rows, path, row_group_size=500)
    report = fit(path, features="k, x0, x1, C(l), C(c)", missing="drop", epochs=1)
    assert {"k: is 3 in every row: left out", "k is 3 in every row: left out"} & set(report.notes)
    found = report.model.probability(rows)
    assert np.isnan(found).sum() == report.rows["dropped"] > 0
    kept = ~np.isnan(found)
    assert report.log_loss == pytest.approx(log_loss(table["y"].to_numpy()[kept], found[kept]), rel=1e-12)


def test_a_network_that_learns_nothing_says_so(data: Path) -> None:
    assert not [note for note in fit(data, epochs=8).notes if "is not below" in note]
    (note,) = [note for note in fit(data, epochs=1, optimizer="sgd", learning_rate=50).notes if "is not below" in note]
    assert "try another --learning-rate" in note


def test_the_true_share_of_positives_corrects_the_last_bias(data: Path) -> None:
    table = pq.read_table(data)
    share = float(table["y"].to_numpy().mean())
    plain, corrected = fit(data, epochs=1), fit(data, epochs=1, prior=0.1)
    moved = corrected.model.raw_prediction(table) - plain.model.raw_prediction(table)
    np.testing.assert_allclose(moved, np.log(0.1 / 0.9) - np.log(share / (1 - share)), atol=1e-9)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"features": "log1p(x0), x1"}, UsageError, r"log1p\(x0\): a network takes columns of numbers, C\(NAME\)"),
        ({"features": "x0:x1"}, UsageError, "a network takes columns of numbers"),
        ({"features": "B(x0)"}, UsageError, "a network takes columns of numbers"),
        ({"features": "M(x0)"}, DataError, "no feature is left"),
        ({"target": "c", "features": "x0", "offset": "x1"}, UsageError, "--offset is for two classes, but the target"),
        ({"offset": "y"}, UsageError, "y is both target and offset"),
        ({"offset": "c"}, DataError, 'column "c" is string, but an offset is'),
        ({"features": "x0, C(x0)"}, UsageError, "x0 is a number and levels among the features"),
        ({"hidden": ""}, UsageError, "'' is not a layer"),
        ({"hidden": "0 tanh"}, UsageError, "'0 tanh' is not a layer"),
        ({"hidden": "8 tanh; 4"}, UsageError, "is not a layer"),
        ({"hidden": "8 sigmod"}, UsageError, 'no function sigmod for a layer; did you mean "sigmoid"'),
        ({"hidden": "8 softmax"}, UsageError, "no function softmax for a layer"),
        ({"momentum": 0.5}, UsageError, "--momentum is for --optimizer sgd"),
        ({"momentum": 1.0, "optimizer": "sgd"}, UsageError, "momentum is 1.0: it must be from 0 to below 1"),
        ({"optimizer": "adamw"}, UsageError, "there is no such choice"),
        ({"gain": 2.0, "initialisation": "normal"}, UsageError, "--gain is for glorot and he"),
        ({"patience": 3}, UsageError, "--patience needs rows that are held out"),
        ({"epochs": 0}, UsageError, "epochs is 0: it must be at least 1"),
        ({"batch_rows": 0}, UsageError, "batch_rows is 0: it must be at least 1"),
        ({"learning_rate": 0}, UsageError, "learning_rate is 0: it must be more than 0"),
        ({"clip": float("nan")}, UsageError, "clip is nan: it must be more than 0"),
        ({"l2": -1}, UsageError, "l2 is -1: it must be 0 or more"),
        ({"seed": -1}, UsageError, "seed is -1: it must be at least 0"),
        ({"key": "c"}, UsageError, "--key needs a percentage of rows that are held out\nadd --holdout 20%"),
        ({"key": "c", "holdout": "x1 > 0"}, UsageError, "--key needs a percentage"),
        ({"output": "m.safetensors"}, UsageError, "is the name of a file of weights"),
        ({"output": "m.parquet"}, UsageError, "cannot be the output"),
        ({"learning_rate": 1e200, "optimizer": "sgd", "hidden": "8 relu"}, ThresholdError, "the loss is not finite in"),
        ({"memory": "60MiB"}, MemoryBudgetError, "60 MiB"),
        ({"target": "x0", "features": "x1"}, DataError, "different values"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_by_name(data: Path, options: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        fit(data, **options)


@pytest.mark.parametrize(
    ("options", "name"),
    [({"hidden": 3}, "hidden"), ({"epochs": 1.5}, "epochs"), ({"seed": None}, "seed"), ({"clip": "1"}, "clip"),
     ({"l2": None}, "l2"), ({"solver": "newton"}, "no option 'solver'"), ({"offset": 2}, "offset is")],
)  # fmt: skip
def test_options_of_another_type_are_refused(data: Path, options: Any, name: str) -> None:
    with pytest.raises(TypeError, match=name):
        fit(data, **options)


def test_weights_that_cannot_be_written_are_refused_before_rows_are_read(data: Path, tmp_path: Path) -> None:
    (tmp_path / "m.safetensors").mkdir()
    told: list[object] = []
    with pytest.raises(OutputError, match="is a folder, where the weights go"):
        fit(data, output=tmp_path / "m.json", if_exists="replace", observe=told.append)
    assert not told


def test_weights_of_classes_and_rows_count_in_the_loss(data: Path, tmp_path: Path) -> None:
    table = pq.read_table(data)
    y = table["y"].to_numpy()
    weights = np.where(y, 3.0, 1.0)
    path = tmp_path / "weighted.parquet"
    pq.write_table(table.append_column("w", pa.array(weights)), path, row_group_size=500)
    by_class, by_row = fit(data, class_weight={True: 3, False: 1}), fit(path, weight="w")
    # The numbers are standardised with the weights of rows, not with those of classes.
    for report, source in ((by_class, table), (by_row, table)):
        shown = report.model.probability(source)
        assert report.log_loss == pytest.approx(log_loss(y, shown, sample_weight=weights), rel=1e-12)
    assert by_class.model.probability(table).mean() > fit(data).model.probability(table).mean() + 0.1


def test_levels_may_be_integers_and_rare_ones_share_an_input(data: Path, tmp_path: Path) -> None:
    table = pq.read_table(data)
    codes = np.where(np.arange(ROWS) % 100 == 0, np.arange(ROWS), np.arange(ROWS) % 3)
    path = tmp_path / "codes.parquet"
    pq.write_table(table.set_column(3, "c", pa.array(codes)), path, row_group_size=500)
    report = fit(path, min_count=5, epochs=1)
    levels = report.model.file.features[-1]
    assert levels.width == 4
    shown = report.model.probability(pq.read_table(path))
    assert report.log_loss == pytest.approx(log_loss(table["y"].to_numpy(), shown), rel=1e-12)
    assert np.isfinite(report.model.probability({"x0": [0.0], "x1": [0.0], "x2": [0.0], "c": [123_456]})).all()


@pytest.mark.parametrize("name", ["m.json", "m.safetensors"])
def test_files_that_exist_are_replaced_only_if_asked_for(data: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("precious")
    with pytest.raises(OutputError, match=f"{name} exists"):
        fit(data, output=tmp_path / "m.json")
    assert (tmp_path / name).read_text() == "precious"
    fit(data, output=tmp_path / "m.json", epochs=1, if_exists="replace")
    assert logitstream.NetworkModel.load(tmp_path / "m.json").kind == "network"


@pytest.mark.parametrize("name", ["m.json", "m.safetensors"])
def test_a_file_that_appears_during_the_fit_is_not_replaced_unless_asked_for(
    data: Path, tmp_path: Path, name: str
) -> None:
    def appear(_: object) -> None:
        (tmp_path / name).write_text("precious")

    told: list[object] = []
    with pytest.raises(OutputError, match=f"{name} exists and is another file"):
        fit(data, output=tmp_path / "m.json", epochs=1, observe=lambda event: (told.append(event), appear(event)))
    assert (tmp_path / name).read_text() == "precious"
    assert "what the fit has done is kept" in [each.text for each in told if isinstance(each, Noted)][-1]
    state = state_name(str(tmp_path / "m.json"))
    assert sorted(each.name for each in tmp_path.iterdir()) == [state, name]
    kept = (tmp_path / state).read_bytes()
    resumed = [fit(data, output=tmp_path / "other.json", epochs=1)]
    assert (tmp_path / name).read_text() == "precious"
    assert sorted(each.name for each in tmp_path.iterdir()) == [name, "other.json", "other.safetensors"]
    (tmp_path / state).write_bytes(kept)
    resumed.append(fit(data, output=tmp_path / "m.json", epochs=1, observe=appear, if_exists="replace"))
    assert logitstream.NetworkModel.load(tmp_path / "m.json") == resumed[0].model == resumed[1].model
    for report in resumed:
        assert "resuming after epoch 1 of the interrupted fit" in report.notes
    assert "the interrupted fit had the output m.json" in resumed[0].notes
    assert not (tmp_path / state).exists()


@pytest.mark.parametrize("left", [["m.safetensors"], ["m.json", "m.safetensors"]], ids=str)
def test_a_fit_killed_while_it_wrote_its_files_ends_well_when_run_again(
    data: Path, tmp_path: Path, left: list[str]
) -> None:
    output = tmp_path / "m.json"
    state = tmp_path / state_name(str(output))
    kept: list[bytes] = []

    def keep(_: object) -> None:
        if state.exists():
            kept.append(state.read_bytes())

    fit(data, output=output, observe=keep)
    made = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
    for name in made.keys() - left:
        (tmp_path / name).unlink()
    state.write_bytes(kept[-1])
    fit(data, output=output)
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == made


@pytest.mark.slow
def test_memory_stays_within_the_budget_however_many_rows_there_are(tmp_path: Path) -> None:
    chance = np.random.Generator(np.random.Philox(3))
    for number in range(3):
        x = chance.normal(size=(200_000, 30))
        columns = {f"x{place}": x[:, place] for place in range(30)}
        pq.write_table(
            pa.table({**columns, "y": x[:, 0] > x[:, 1]}), tmp_path / f"{number}.parquet", row_group_size=20_000
        )
    code = (
        "import sys, pipeline\n"
        "report = pipeline.fit_network(sys.argv[1], target='y', features='*', hidden='32 relu', epochs=1,\n"
        "    chunk_size=20_000, memory='360MiB', workers=2, scratch='none', holdout='10%')\n"
        "print(report.peak_bytes)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, str(tmp_path)]
    peak = int(subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE).stdout)
    print(f"peak {peak / MIB:.0f} MiB of 360")
    assert peak <= 360 * MIB


def test_rows_of_a_chunk_that_do_not_fit_are_refused_with_what_makes_them_fewer(tmp_path: Path) -> None:
    ones = np.ones(1_000_000, dtype=np.float32)
    path = tmp_path / "one_group.parquet"
    columns = {f"x{number}": ones for number in range(8)}
    pq.write_table(pa.table({**columns, "y": ones > 0}), path, row_group_size=len(ones))
    with pytest.raises(MemoryBudgetError, match="results that wait") as found:
        fit(path, features="*", memory=memory.current_bytes() + 200 * MIB)
    assert "lower --chunk-size (a Parquet file is cut between row groups" in found.value.remedy
