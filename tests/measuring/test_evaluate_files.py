"""Evaluations of files: the measures of scikit-learn, the same bits however they are made, accounts, bad input."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from sklearn import metrics

import pipeline as logitstream
from pipeline import memory
from pipeline.errors import (
    BadCellsError,
    DataError,
    MemoryBudgetError,
    OutputError,
    SchemaError,
    ThresholdError,
    UsageError,
)
from pipeline.evaluation.json import evaluation_json
from pipeline.evaluation.passing import prepare_evaluation
from pipeline.evaluation.report import EvaluationReport
from pipeline.evaluation.statefile import read_state, to_bytes
from pipeline.measuring.evaluations import evaluation_job
from pipeline.options import completed
from pipeline.types.report import PassBegun, PassReached
from tests.contracts.cluster import Cluster
from tests.measuring.observed import ROWS, model_file, observed
from tests.models.network.networks import columns, drawn, layers, written


def document(report: EvaluationReport) -> str:
    return json.dumps(evaluation_json(report))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    pq.write_table(observed(), tmp_path / "in.parquet", row_group_size=500)
    return tmp_path / "in.parquet"


@pytest.mark.parametrize("weight", [None, "w"])
@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_the_measures_of_a_column_are_those_of_scikit_learn(tmp_path: Path, kind: str, weight: str | None) -> None:
    table = observed()
    path = tmp_path / f"in.{kind}"
    if kind == "csv":
        pa.csv.write_csv(table, path)
    else:
        pq.write_table(table, path)
    report = logitstream.evaluate(path, target="y", probability="p", weight=weight, thresholds=[0.25, 0.5])
    y, p = table["y"].to_numpy(), table["p"].to_numpy()
    w = None if weight is None else table["w"].to_numpy()
    found = report.measures
    assert found.auc == pytest.approx(metrics.roc_auc_score(y, p, sample_weight=w), rel=1e-10)
    assert (found.auc_bound, found.average_precision_bound) == (0.0, 0.0)
    assert found.average_precision == pytest.approx(metrics.average_precision_score(y, p, sample_weight=w), rel=1e-10)
    assert found.log_loss == pytest.approx(metrics.log_loss(y, p, sample_weight=w), rel=1e-10)
    assert found.brier == pytest.approx(metrics.brier_score_loss(y, p, sample_weight=w), rel=1e-10)
    for rates in found.thresholds:
        matrix = metrics.confusion_matrix(y, p >= rates.threshold, sample_weight=w)
        counted = (rates.true_negatives, rates.false_positives, rates.false_negatives, rates.true_positives)
        assert counted == pytest.approx(matrix.ravel().tolist(), rel=1e-10)
    assert report.rows == {
        "read": ROWS, "used": ROWS, "not_held_out": 0, "dropped": 0, "bad": 0, "without_target": 0, "set_aside": 0,
        "without_score": 0,
    }  # fmt: skip


def test_costs_are_a_mapping_or_a_text(data: Path) -> None:
    given: tuple[Any, ...] = ({"fp": 1, "fn": 5}, "fp=1,fn=5", "fp=1,fn=1")
    found, same, other = (logitstream.evaluate(data, target="y", probability="p", costs=costs) for costs in given)
    assert found.measures.best == same.measures.best
    assert found.measures.best.cost != other.measures.best.cost


def test_a_model_is_measured_by_its_raw_predictions(data: Path, tmp_path: Path) -> None:
    report = logitstream.evaluate(data, target="y", model=model_file(tmp_path))
    table = observed()
    raw = table["x0"].to_numpy() - 0.5 * table["x1"].to_numpy() - 0.4
    y = table["y"].to_numpy()
    assert report.measures.auc == pytest.approx(metrics.roc_auc_score(y, raw), abs=1e-12 + report.measures.auc_bound)
    assert report.measures.log_loss == pytest.approx(np.logaddexp(0, np.where(y == 1, -raw, raw)).mean(), rel=1e-12)
    assert report.models == (str(tmp_path / "model.json"),)


@pytest.mark.parametrize(
    "changes",
    [
        {"link": "probit"},
        {"link": "cloglog"},
        {"output": {"alpha": -1.0, "temperature": 2.0}},
        {"output": {"calibration": {"method": "platt", "slope": 0.8, "intercept": 0.1}}},
        {"output": {"calibration": {"method": "temperature", "temperature": 1.5}}},
        {"output": {"calibration": {"method": "beta", "a": 0.9, "b": 1.2, "c": 0.1}}},
        {
            "output": {
                "calibration": {"method": "isotonic", "thresholds": [-1, 0, 1], "probabilities": [0.1, 0.3, 0.6, 0.9]}
            }
        },
    ],
    ids=lambda changes: json.dumps(changes)[:50],
)
def test_links_and_calibrations_are_measured_by_the_probability(data: Path, tmp_path: Path, changes: Any) -> None:
    path = model_file(tmp_path, **changes)
    report = logitstream.evaluate(data, target="y", model=path)
    table = observed()
    p = logitstream.LogisticModel.load(path).probability(table)
    y = table["y"].to_numpy()
    assert report.measures.log_loss == pytest.approx(metrics.log_loss(y, p), rel=1e-9)
    assert report.measures.auc == pytest.approx(metrics.roc_auc_score(y, p), abs=1e-6)
    assert report.measures.brier == pytest.approx(metrics.brier_score_loss(y, p), rel=1e-10)


def test_a_network_is_measured_too(data: Path, tmp_path: Path) -> None:
    features = [{**each, "column": name} for each, name in zip(columns(2), ("x0", "x1"), strict=True)]
    path = written(tmp_path / "net", drawn((2, 4, 1)), features=features, layers=layers(2, "tanh"))
    report = logitstream.evaluate(data, target="y", model=path)
    table = observed()
    p = logitstream.NetworkModel.load(path).probability(table.select(["x0", "x1"]))
    assert report.measures.log_loss == pytest.approx(metrics.log_loss(table["y"].to_numpy(), p), rel=1e-9)


@pytest.mark.parametrize("normalise", ["softmax", "one-vs-rest"])
def test_several_classes_are_measured_as_scikit_learn_does(tmp_path: Path, normalise: str) -> None:
    table = observed()
    generator = np.random.default_rng(3)
    names = np.array(["a", "b", "c"])
    y = names[generator.integers(0, 3, ROWS)]
    pq.write_table(table.append_column("kind", pa.array(y.tolist())), tmp_path / "in.parquet")
    features = [
        {"column": "x0", "kind": "numeric", "coefficient": [1.0, 0.2, -0.7]},
        {"column": "x1", "kind": "numeric", "coefficient": [-0.5, 0.1, 0.4]},
    ]
    changes = {"classes": names.tolist(), "normalise": normalise, "intercept": [0.1, 0.0, -0.2], "features": features}
    path = model_file(tmp_path, **changes)
    report = logitstream.evaluate(tmp_path / "in.parquet", target="kind", model=path, by="region")
    p = logitstream.LogisticModel.load(path).predict_proba(table)
    found = report.measures
    assert found.log_loss == pytest.approx(metrics.log_loss(y, p, labels=names), rel=1e-10)
    assert found.accuracy == pytest.approx(metrics.accuracy_score(y, names[p.argmax(axis=1)]))
    assert [list(row) for row in found.confusion_matrix] == metrics.confusion_matrix(
        y, names[p.argmax(axis=1)]
    ).tolist()
    assert found.auc_macro == pytest.approx(metrics.roc_auc_score(y, p, multi_class="ovr"), abs=2e-5)
    assert sum(group.measures.rows for group in report.groups[0].groups) == ROWS
    for options in ({"bins": 5}, {"costs": "fp=1,fn=5"}, {"thresholds": 0.5}):
        with pytest.raises(UsageError, match=r"--(bins|cost|threshold) is for models with two classes"):
            logitstream.evaluate(tmp_path / "in.parquet", target="kind", model=path, **options)


@pytest.mark.parametrize(
    "how", [{"workers": 2}, pytest.param({"workers": 2, "scheduler": "processes"}, marks=pytest.mark.slow)]
)
def test_the_bits_do_not_depend_on_workers_scheduler_or_batches(data: Path, tmp_path: Path, how: Any) -> None:
    model = model_file(tmp_path)

    def found(**how: Any) -> tuple[str, bytes]:
        options: dict[str, Any] = {"weight": "w", "by": ["region", "month:region"], "max_groups": 9, "thresholds": 0.5}
        state = tmp_path / "s"
        report = logitstream.evaluate(
            data, target="y", model=model, chunk_size=500, state=state, if_exists="replace", **options, **how
        )
        return document(report), state.read_bytes()

    assert found(**how) == found(workers=1, scheduler="sync")


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_an_observer_is_told_how_far_the_pass_is(tmp_path: Path, kind: str) -> None:
    path, told = tmp_path / f"in.{kind}", list[Any]()
    if kind == "csv":
        pa.csv.write_csv(observed(), path)
    else:
        pq.write_table(observed(), path, row_group_size=500)
    logitstream.evaluate(path, target="y", probability="p", chunk_size=500, workers=2, observe=told.append)
    begun, *reached = told
    assert isinstance(begun, PassBegun)
    assert begun.rows_estimated == (kind == "csv")
    if kind == "parquet":
        assert (begun.rows, reached[-1].input_bytes) == (ROWS, begun.bytes_to_read)
    assert all(isinstance(each, PassReached) for each in reached)
    assert reached[-1].rows == ROWS
    assert 0.9 < reached[-1].input_bytes / begun.bytes_to_read <= 1
    assert sorted(reached, key=lambda each: each.rows) == reached


@pytest.mark.slow
def test_two_workers_of_a_cluster_give_the_bits_of_one_process(tmp_path: Path, cluster: Cluster) -> None:
    (tmp_path / "in").mkdir()
    table = observed(6_000).append_column("long", pa.array([f"{row % 60:0200d}" for row in range(6_000)]))
    pq.write_table(table.slice(0, 4_000), tmp_path / "in" / "a.parquet", row_group_size=500)
    pa.csv.write_csv(table.slice(4_000), tmp_path / "in" / "b.csv")
    second = model_file(tmp_path, "second.json", features=[{"column": "x0", "kind": "numeric", "coefficient": 0.3}])
    options: dict[str, Any] = {
        "target": "y", "model": model_file(tmp_path), "challenger": second, "thresholds": 0.5, "max_groups": 20,
        "by": ["region", "month:region", "long"], "chunk_size": 700, "if_exists": "replace",
    }  # fmt: skip

    def found(**how: Any) -> tuple[str, bytes]:
        report = logitstream.evaluate(tmp_path / "in", state=tmp_path / "state", **options, **how)
        return document(report), (tmp_path / "state").read_bytes()

    alone, told = found(workers=1, scheduler="sync"), list[Any]()
    assert found(scheduler=cluster.address, observe=told.append) == alone
    assert told[-1].rows == 6_000


def test_batches_do_not_change_what_a_chunk_adds_up_to(data: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.parquet"
    pq.write_table(observed(), again, row_group_size=ROWS)
    one, other = (
        logitstream.evaluate(path, target="y", model=model_file(tmp_path), by="region", workers=1)
        for path in (data, again)
    )
    assert document(replace(one, files=1)) == document(other)


def halves(tmp_path: Path) -> list[Path]:
    table = observed()
    (tmp_path / "months").mkdir()
    paths = [tmp_path / "months" / f"{month}.parquet" for month in (1, 2)]
    for path, part in zip(paths, (table.slice(0, 1_200), table.slice(1_200)), strict=True):
        pq.write_table(part, path)
    return paths


@pytest.mark.parametrize(
    "options", [{"weight": "w"}, {"by": ["region", "month", "month:region"], "max_groups": 5, "thresholds": 0.3}]
)
def test_months_added_up_have_the_bits_of_one_run(tmp_path: Path, options: dict[str, Any]) -> None:
    paths = halves(tmp_path)
    # Each file is a chunk of its own.
    named: dict[str, Any] = {"target": "y", "model": model_file(tmp_path), "chunk_size": 1_200, **options}
    states = [tmp_path / f"{path.stem}.state" for path in paths]
    for path, state in zip(paths, states, strict=True):
        logitstream.evaluate(path, state=state, **named)
    together = logitstream.merge_evaluations(states, state=tmp_path / "merged.state")
    at_once = logitstream.evaluate(tmp_path / "months", state=tmp_path / "once.state", **named)
    assert (tmp_path / "merged.state").read_bytes() == (tmp_path / "once.state").read_bytes()
    assert document(together) == document(at_once)
    other_way = logitstream.merge_evaluations(states[::-1])
    assert evaluation_json(other_way)["measures"] == evaluation_json(at_once)["measures"]


def test_a_merged_state_can_be_merged_again(tmp_path: Path) -> None:
    paths = halves(tmp_path)
    third = tmp_path / "3.parquet"
    pq.write_table(observed(500, seed=9), third)
    named: dict[str, Any] = {"target": "y", "probability": "p"}
    for path in (*paths, third):
        logitstream.evaluate(path, state=f"{path}.state", **named)
    logitstream.merge_evaluations([f"{path}.state" for path in paths], state=tmp_path / "two")
    found = logitstream.merge_evaluations([tmp_path / "two", f"{third}.state"])
    assert found.rows["used"] == ROWS + 500
    assert found.files == 3


def test_states_of_something_else_are_not_added_up(tmp_path: Path) -> None:
    table = observed(300)
    pq.write_table(table.append_column("z", table["y"]).append_column("q", table["p"]), tmp_path / "in.parquet")
    named: dict[str, Any] = {"target": "y", "probability": "p"}
    logitstream.evaluate(tmp_path / "in.parquet", state=tmp_path / "a", **named)
    differing: list[tuple[dict[str, Any], str]] = [
        ({"target": "z"}, "the target y and z differ"),
        ({"probability": "q"}, "the probability p and q differ"),
        ({"by": "month"}, "the groups none and month differ"),
        ({"thresholds": [0.5], "weight": "w"}, "the weight none and w; the thresholds none and 0.5 differ"),
    ]
    for options, said in differing:
        named_otherwise = {**named, **options}
        logitstream.evaluate(tmp_path / "in.parquet", state=tmp_path / "b", if_exists="replace", **named_otherwise)
        with pytest.raises(UsageError, match=said):
            logitstream.merge_evaluations([tmp_path / "a", tmp_path / "b"])


def test_rows_of_one_file_are_not_counted_twice(data: Path, tmp_path: Path) -> None:
    logitstream.evaluate(data, target="y", probability="p", state=tmp_path / "a")
    with pytest.raises(UsageError, match="both have the rows of one file, which would count twice"):
        logitstream.merge_evaluations([tmp_path / "a", tmp_path / "a"])


def test_models_with_other_digests_are_not_added_up(data: Path, tmp_path: Path) -> None:
    paths = halves(tmp_path)
    for path, intercept in zip(paths, (0.1, 0.2), strict=True):
        model = model_file(tmp_path, intercept=intercept)
        logitstream.evaluate(path, target="y", model=model, state=f"{path}.state")
    with pytest.raises(UsageError, match="the models with the digests"):
        logitstream.merge_evaluations([f"{path}.state" for path in paths])


def test_a_state_is_not_written_over_unless_that_is_asked_for(data: Path, tmp_path: Path) -> None:
    logitstream.evaluate(data, target="y", probability="p", state=tmp_path / "a")
    with pytest.raises(OutputError, match="exists"):
        logitstream.evaluate(data, target="y", probability="p", state=tmp_path / "a")
    logitstream.evaluate(data, target="y", probability="p", limit=10, state=tmp_path / "a", if_exists="replace")
    assert read_state(tmp_path / "a").read == 10


@pytest.mark.parametrize("name", ["in.parquet", "model.json", "notes.txt", "folder", "missing/a.state"])
def test_a_state_replaces_nothing_but_a_state(data: Path, tmp_path: Path, name: str) -> None:
    model = model_file(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "folder").mkdir()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    with pytest.raises(OutputError, match=r"is not the state of an evaluation|is a folder|its folder does not exist"):
        logitstream.evaluate(data, target="y", model=model, state=tmp_path / name, if_exists="replace")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


@pytest.mark.parametrize("by", ["region", "month", pytest.param("month:region", marks=pytest.mark.slow)])
def test_groups_are_measured_as_if_each_were_a_file(data: Path, tmp_path: Path, by: str) -> None:
    table = observed().to_pandas()
    report = logitstream.evaluate(data, target="y", probability="p", by=by)
    groups = report.groups[0].groups
    names = by.split(":")
    for group in groups:
        assert group.value is not None
        here = np.ones(ROWS, dtype=bool)
        for name, value in zip(names, group.value, strict=True):
            here &= table[name].isna() if value is None else table[name].astype(str) == value
        y, p = table["y"][here], table["p"][here]
        assert group.measures.rows == here.sum()
        assert group.measures.log_loss == pytest.approx(metrics.log_loss(y, p), rel=1e-10)
        assert group.measures.auc == pytest.approx(metrics.roc_auc_score(y, p), rel=1e-10)
    assert sum(group.measures.rows for group in groups) == ROWS
    values = [group.value for group in groups]
    if by == "month":
        assert values == [(str(month),) for month in range(1, 13)]
    if by == "region":
        assert values == [("north",), ("south",), ("west",), (None,)]


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_days_are_groups_in_the_order_of_the_calendar(tmp_path: Path, kind: str) -> None:
    days = [dt.date(2013, 12, 31), dt.date(2014, 1, 1), None, dt.date(2013, 2, 1)]
    table = pa.table({"y": [0, 1, 1, 0] * 5, "p": [0.2, 0.6, 0.7, 0.4] * 5, "day": pa.array(days * 5)})
    if kind == "csv":
        pa.csv.write_csv(table, tmp_path / "in.csv")
    else:
        pq.write_table(table, tmp_path / "in.parquet")
    types = {"day": "date32"} if kind == "csv" else None
    (found,) = logitstream.evaluate(tmp_path / f"in.{kind}", target="y", probability="p", by="day", types=types).groups
    assert [group.value for group in found.groups] == [("2013-02-01",), ("2013-12-31",), ("2014-01-01",), (None,)]
    assert {group.measures.rows for group in found.groups} == {5}


@pytest.mark.parametrize(("zone", "ending"), [(None, ""), ("UTC", "+0000"), ("Europe/Berlin", "+0100")])
def test_a_time_is_one_group_in_files_of_several_units(tmp_path: Path, zone: str | None, ending: str) -> None:
    times = [dt.datetime(2014, 1, 10, 0, 0, 0, part) for part in (0, 505_000)]
    for unit in ("ms", "us", "ns"):
        column = pa.array([*times, None] * 2, pa.timestamp(unit))
        if zone is not None:
            column = pc.assume_timezone(column, zone)
        table = pa.table({"y": [0, 1, 1, 0, 1, 0], "p": [0.2, 0.6, 0.7, 0.4, 0.3, 0.1], "at": column})
        pq.write_table(table, tmp_path / f"{unit}.parquet")
        named: dict[str, Any] = {"target": "y", "probability": "p", "by": "at", "state": tmp_path / f"{unit}.state"}
        logitstream.evaluate(tmp_path / f"{unit}.parquet", **named)
    (found,) = logitstream.merge_evaluations([tmp_path / f"{unit}.state" for unit in ("ms", "us", "ns")]).groups
    days = [f"2014-01-10 00:00:00{fraction}{ending}" for fraction in ("", ".505")]
    assert [group.value for group in found.groups] == [(days[0],), (days[1],), (None,)]
    assert {group.measures.rows for group in found.groups} == {6}


def test_what_the_path_of_a_file_states_can_be_a_group(tmp_path: Path) -> None:
    for country in ("NL", "BE"):
        (tmp_path / "in" / f"country={country}").mkdir(parents=True)
        pq.write_table(observed(300), tmp_path / "in" / f"country={country}" / "a.parquet")
    lacking = observed(50).drop_columns(["region"])
    pq.write_table(lacking, tmp_path / "in" / "country=NL" / "b.parquet")
    by_country, by_region = logitstream.evaluate(
        tmp_path / "in", target="y", probability="p", by=["country", "region"], absent="null"
    ).groups
    assert [(group.value, group.measures.rows) for group in by_country.groups] == [(("BE",), 300), (("NL",), 350)]
    assert by_region.groups[-1].value == (None,)
    assert by_region.groups[-1].measures.rows >= 50


def test_more_groups_than_may_be_are_measured_together_and_that_is_said(data: Path) -> None:
    report = logitstream.evaluate(data, target="y", probability="p", by="month", max_groups=3, chunk_size=500)
    (groups,) = report.groups
    assert [group.value for group in groups.groups] == [("1",), ("2",), ("3",), None]
    assert groups.pooled == 9
    assert "month has 12 groups: 9 of them are measured together, as all others (--max-groups)" in report.notes
    month = observed()["month"].to_numpy()
    assert groups.groups[-1].measures.rows == np.count_nonzero(month > 3)


@pytest.mark.parametrize(
    "options",
    [
        {"holdout": "30%"},
        pytest.param({"holdout": "30%", "key": "month"}, marks=pytest.mark.slow),
        pytest.param({"holdout": "month > 9"}, marks=pytest.mark.slow),
    ],
)
def test_rows_that_a_fit_held_out_are_measured_exactly(data: Path, options: dict[str, Any]) -> None:
    fitted = logitstream.fit(data, target="y", features="x0, x1", **options)
    report = logitstream.evaluate(data, target="y", model=fitted.model, rows="held-out")
    assert report.rows["used"] == fitted.rows["held_out"] > 0
    assert report.rows["not_held_out"] == fitted.rows["used"]
    assert report.measures.log_loss == pytest.approx(fitted.measures.held_out_log_loss, rel=1e-12)


def test_rows_are_not_called_held_out_where_that_is_not_known(data: Path, tmp_path: Path) -> None:
    fitted = logitstream.fit(data, target="y", features="x0, x1", holdout="30%").model
    other = tmp_path / "other.parquet"
    pq.write_table(observed(seed=4), other)
    with pytest.raises(UsageError, match="known by their places in the files that the model was fitted to"):
        logitstream.evaluate(other, target="y", model=fitted, rows="held-out")
    with pytest.raises(UsageError, match="fitted to another number of rows"):
        logitstream.evaluate(data, target="y", model=fitted, rows="held-out", limit=100)
    with pytest.raises(UsageError, match="does not say that its fit held out rows"):
        logitstream.evaluate(data, target="y", model=model_file(tmp_path, training={"algorithm": 7}), rows="held-out")
    with pytest.raises(UsageError, match="needs a model"):
        logitstream.evaluate(data, target="y", probability="p", rows="held-out")
    keyed = logitstream.fit(data, target="y", features="x0, x1", holdout="30%", key="month").model
    assert logitstream.evaluate(other, target="y", model=keyed, rows="held-out").rows["not_held_out"] > 0
    table = observed(seed=4)
    lists = pa.array([[month] for month in table["month"].to_pylist()])
    pq.write_table(table.set_column(table.column_names.index("month"), "month", lists), other)
    with pytest.raises(UsageError, match=r"column month is list<.*, whose values cannot be compared"):
        logitstream.evaluate(other, target="y", model=keyed, rows="held-out")


@pytest.mark.parametrize("workers", [1, 2])
def test_levels_that_the_model_does_not_know_are_told_or_end_the_evaluation(tmp_path: Path, workers: int) -> None:
    table = pa.table({"c": ["u"] * 150 + ["v"] * 50, "n": [None] * 200, "y": [True, False] * 100})
    pq.write_table(table.cast(pa.schema([("c", pa.string()), ("n", pa.float64()), ("y", pa.bool_())])),
                   tmp_path / "in.parquet", row_group_size=50)  # fmt: skip
    features = [{"column": "c", "kind": "categorical", "coefficients": {"a": 1.0}, "unseen": "zero"}]
    model = model_file(tmp_path, features=features, version=1)
    options: dict[str, Any] = {"target": "y", "model": model, "chunk_size": 50, "workers": workers}
    with pytest.raises(DataError) as caught:
        logitstream.evaluate(tmp_path / "in.parquet", **options)
    told = "column c: all 200 values (100%) are levels that the model does not know; most frequent"
    assert caught.value.message.startswith(told)
    assert caught.value.remedy == (
        "correct the column or the model, or allow it with --max-unseen c=100%; nothing was measured"
    )
    allowed = logitstream.evaluate(tmp_path / "in.parquet", **options, max_unseen="c=100%")
    assert (allowed.warnings, allowed.measures.auc) == ((), 0.5)


@pytest.mark.parametrize(
    ("kind", "advice"),
    [("csv", "they look like missing values: --null -, and --quoted-null"), ("parquet", "write nulls instead")],
)
def test_spellings_of_a_missing_value_are_told_with_what_helps_for_the_kind_of_file(
    tmp_path: Path, kind: str, advice: str
) -> None:
    table = pa.table({"c": ["-"] * 150 + ["a"] * 50, "y": [True, False] * 100})
    if kind == "csv":
        pa.csv.write_csv(table, tmp_path / "in.csv", pa.csv.WriteOptions(quoting_style="none"))
    else:
        pq.write_table(table, tmp_path / "in.parquet")
    features = [{"column": "c", "kind": "categorical", "coefficients": {"a": 1.0}, "unseen": "zero"}]
    model = model_file(tmp_path, features=features, version=1)
    (warning,) = logitstream.evaluate(tmp_path / f"in.{kind}", target="y", model=model).warnings
    assert advice in warning


def test_two_models_are_compared_on_the_same_rows(data: Path, tmp_path: Path) -> None:
    second = model_file(tmp_path, "second.json", intercept=0.6)
    third = model_file(tmp_path, "third.json", features=[{"column": "x0", "kind": "numeric", "coefficient": 0.3}])
    moved = logitstream.evaluate(data, target="y", model=model_file(tmp_path), challenger=second, by="region")
    assert moved.differences is not None
    assert moved.differences.auc is not None
    assert moved.differences.auc.value == 0
    assert moved.differences.log_loss > 0
    assert all(group.differences is not None for group in moved.groups[0].groups)
    worse = logitstream.evaluate(data, target="y", model=model_file(tmp_path), challenger=third)
    alone = logitstream.evaluate(data, target="y", model=third)
    assert worse.challenger is not None
    assert worse.differences is not None
    assert worse.challenger == alone.measures
    assert worse.differences.log_loss == pytest.approx(worse.challenger.log_loss - worse.measures.log_loss, rel=1e-9)
    assert worse.differences.auc is not None
    assert worse.differences.auc.value < 0


def test_models_of_other_classes_are_not_compared(data: Path, tmp_path: Path) -> None:
    named = [
        model_file(tmp_path, f"{positive}.json", target={"negative": 0, "positive": positive}) for positive in (1, 2)
    ]
    with pytest.raises(UsageError, match=r"has the classes '0', '1', but .* has '0', '2'"):
        logitstream.evaluate(data, target="y", model=named[0], challenger=named[1])


def test_what_becomes_of_each_row_is_counted(tmp_path: Path) -> None:
    table = pa.table(
        {
            "x0": [1.0, None, 2.0, 3.0, 0.5, -1.0],
            "x1": [1.0, 1.0, 1.0, 1.0, 1.0, 1.0],
            "y": pa.array([1, 1, None, 5, 0, 1], pa.int64()),
        }
    )
    pq.write_table(table, tmp_path / "in.parquet")
    model = model_file(tmp_path)
    report = logitstream.evaluate(tmp_path / "in.parquet", target="y", model=model, missing_target="drop", max_bad=1)
    assert report.rows == {
        "read": 6, "used": 3, "not_held_out": 0, "dropped": 1, "bad": 1, "without_target": 1, "set_aside": 0,
        "without_score": 1,
    }  # fmt: skip
    with pytest.raises(BadCellsError, match="row 3, column y: null is a missing value"):
        logitstream.evaluate(tmp_path / "in.parquet", target="y", model=model, max_bad=1)


def test_rows_that_a_model_sets_aside_are_counted_as_such(tmp_path: Path) -> None:
    pq.write_table(pa.table({"c": ["a", "z", "b"], "y": [True, False, False]}), tmp_path / "in.parquet")
    features = [{"column": "c", "kind": "categorical", "coefficients": {"a": 1.0, "b": -1.0}, "unseen": "quarantine"}]
    model = model_file(tmp_path, features=features, version=1)
    report = logitstream.evaluate(tmp_path / "in.parquet", target="y", model=model)
    assert [report.rows[name] for name in ("used", "dropped", "set_aside", "without_score")] == [2, 1, 1, 0]


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [
        ("y", [0, 1, 2], r"row 3, column y: '2' is not a target: a target is 0 or 1, or false or true"),
        ("y", ["no", "1", "0"], r"row 1, column y: 'no' is not a target"),
        ("p", [0.1, 1.5, 0.2], r"row 2, column p: '1.5' is not a probability from 0 to 1"),
        ("p", [0.1, 0.2, -1e-9], r"row 3, column p: '-1e-09' is not a probability"),
        ("p", [float("nan"), 0.2, 0.3], r"row 1, column p: 'NaN' is not a probability"),
        ("w", [1.0, -2.0, 1.0], r"row 2, column w: '-2.0' is not a weight"),
        ("w", [1.0, 1.0, float("inf")], r"row 3, column w: 'inf' is not a weight"),
        ("w", [1.0, float("nan"), 1.0], r"row 2, column w: 'NaN' is a missing value, but every row needs a weight"),
    ],
)
@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_bad_input_names_file_row_and_value(
    tmp_path: Path, kind: str, column: str, values: list[Any], said: str
) -> None:
    table = pa.table({"y": [0, 1, 1], "p": [0.1, 0.2, 0.9], "w": [1.0, 1.0, 1.0], column: values})
    if kind == "csv":
        pa.csv.write_csv(table, tmp_path / "in.csv")
        said = said.replace("row ", "record ", 1).replace(", column", r" \(byte \d+\), column")
        said = said.replace("'NaN'", "'(NaN|nan)'").replace("'-2.0'", "'-2(.0)?'")
    else:
        pq.write_table(table, tmp_path / "in.parquet")
    with pytest.raises(BadCellsError, match=said) as caught:
        logitstream.evaluate(tmp_path / f"in.{kind}", target="y", probability="p", weight="w")
    assert f"in.{kind}" in str(caught.value)
    assert caught.value.remedy.startswith("fix the value, or ")
    assert caught.value.column == column


def test_a_target_that_the_model_does_not_know_is_a_bad_row(data: Path, tmp_path: Path) -> None:
    model = model_file(tmp_path, target={"negative": "on time", "positive": "late"})
    with pytest.raises(BadCellsError, match=r"row 1, column y: '[01]' is not a class of the model"):
        logitstream.evaluate(data, target="y", model=model)


@pytest.mark.parametrize("values", [["0", "1"], [False, True], [0.0, 1.0], ["FALSE", "True"]])
def test_zero_and_one_may_be_written_in_several_ways(tmp_path: Path, values: list[Any]) -> None:
    pq.write_table(pa.table({"y": values * 2, "p": [0.2, 0.3, 0.6, 0.4]}), tmp_path / "in.parquet")
    assert logitstream.evaluate(tmp_path / "in.parquet", target="y", probability="p").measures.prevalence == 0.5


@pytest.mark.parametrize("precision", ["fast", "reproducible"])
@pytest.mark.parametrize(
    ("positives", "negatives", "clipped"),
    [
        ([0.0, 1.0, 0.5], [1.0, 0.0], 2),
        ([1e-300, 5e-324, 1e-17, 2.2e-16, 2.3e-16], [1e-300, np.nextafter(1, 0), 1 - 3e-16], 5),
        ([1.0, 1 - 1e-16], [0.0, 1e-300], 0),
    ],
)
def test_probabilities_next_to_0_and_1_are_clipped_as_scikit_learn_does_and_counted_on_the_wrong_side(
    tmp_path: Path, positives: list[float], negatives: list[float], clipped: int, precision: Any
) -> None:
    y, p = np.repeat([1, 0], [len(positives), len(negatives)]), np.array([*positives, *negatives])
    pq.write_table(pa.table({"y": y, "p": p}), tmp_path / "in.parquet")
    report = logitstream.evaluate(tmp_path / "in.parquet", target="y", probability="p", precision=precision)
    assert report.clipped == (clipped,)
    assert report.measures.log_loss == pytest.approx(metrics.log_loss(y, p), rel=1e-10, abs=1e-300)


def test_the_log_loss_of_a_model_is_that_of_its_raw_prediction_however_large(tmp_path: Path) -> None:
    table = pa.table({"x0": [-700.0, 40.0, 50.0], "x1": [0.0, 0.0, 0.0], "y": [1, 0, 1]})
    pq.write_table(table, tmp_path / "in.parquet")
    report = logitstream.evaluate(tmp_path / "in.parquet", target="y", model=model_file(tmp_path))
    assert report.clipped == (0,)
    assert report.measures.log_loss == pytest.approx((700.4 + 39.6) / 3, rel=1e-12)


def test_an_unfit_column_of_groups_is_refused_with_all_types_that_work(tmp_path: Path) -> None:
    pq.write_table(pa.table({"y": [0, 1], "p": [0.2, 0.3], "g": [[1], [2]]}), tmp_path / "in.parquet")
    said = "a column of groups is text, a boolean, an integer, a float, a date or a time"
    with pytest.raises(SchemaError, match=rf'column "g" is list<element: int64>, but {said}'):
        logitstream.evaluate(tmp_path / "in.parquet", target="y", probability="p", by="g")


@pytest.mark.parametrize("weight", [None, "w"])
def test_rows_that_make_the_log_loss_infinite_are_told_unless_they_count_for_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, weight: str | None
) -> None:
    table = pa.table({"x0": [-np.inf, 1.0, -1.0], "x1": [0.0, 0.0, 0.0], "y": [1, 1, 0], "w": [0.0, 1.0, 1.0]})
    pq.write_table(table, tmp_path / "in.parquet")
    report = logitstream.evaluate(tmp_path / "in.parquet", target="y", model=model_file(tmp_path), weight=weight)
    if weight is None:
        assert report.measures.log_loss == np.inf
        told = "log_loss is infinite: the raw prediction is infinite, and wrong, in 1 row"
        assert report.measures.warnings == (told,)
        assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [told]
        two = replace(report, models=("a", "b"), challenger=report.measures)
        assert two.all_warnings == (f"{told}, a", f"{told}, b")
    else:
        assert report.measures.log_loss == pytest.approx(np.logaddexp(0, [-0.6, -1.4]).mean(), rel=1e-12)
        assert report.measures.warnings == ()


def test_a_column_of_very_many_values_makes_no_groups(tmp_path: Path) -> None:
    rows = 100_001
    table = pa.table({"y": np.arange(rows) % 2, "p": np.full(rows, 0.5), "id": np.arange(rows)})
    pq.write_table(table, tmp_path / "in.parquet")
    with pytest.raises(
        DataError, match="--by id: the column has more than 100,000 different values, too many"
    ) as caught:
        logitstream.evaluate(tmp_path / "in.parquet", target="y", probability="p", by="id", max_groups=2)
    assert caught.value.column == "id"


_PEAK = """
import sys
import pipeline
from pipeline import memory
from pipeline.errors import MemoryBudgetError
try:
    how = {"workers": 1, "memory": int(sys.argv[2]), "chunk_size": 4_000}
    pipeline.evaluate(sys.argv[1], target="y", probability="p", by="g", **how)
except MemoryBudgetError as error:
    print(error.message)
print(memory.peak_bytes())
"""


@pytest.mark.slow
@pytest.mark.parametrize(("letters", "fits"), [(50, True), (5_000, False)])
def test_names_of_groups_stay_within_the_memory(tmp_path: Path, letters: int, fits: bool) -> None:
    path, rows = tmp_path / "in.parquet", 4_000
    schema = pa.schema([("y", pa.int64()), ("p", pa.float64()), ("g", pa.string())])
    with pq.ParquetWriter(path, schema, compression="zstd") as file:
        for start in range(0, 60_000, rows):
            names = [f"{number:0{letters}d}" for number in range(start, start + rows)]
            p = np.linspace(0, 1, rows).round(2)
            file.write_table(pa.table({"y": np.arange(rows) % 2, "p": p, "g": names}))
    budget = 525 << 20
    outcome = subprocess.run(
        [sys.executable, "-c", _PEAK, path, str(budget)], capture_output=True, text=True, check=True
    )
    *told, peak = outcome.stdout.splitlines()
    assert int(peak) < budget
    assert [text.startswith("--by g: the names of its groups do not fit the memory") for text in told] == [
        True for _ in range(not fits)
    ]


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({}, UsageError, "neither a model nor a column of probabilities"),
        ({"model": "m.json", "probability": "p"}, UsageError, "both a model and a column of probabilities"),
        ({"challenger": "m.json"}, UsageError, "there is a challenger, but no model"),
        ({"probability": "p", "by": ["month", "month"]}, UsageError, "--by month is given twice"),
        ({"probability": "p", "by": "a::b"}, UsageError, "is not the name of a column"),
        ({"probability": "p", "by": "a:a"}, UsageError, "names a column twice"),
        ({"probability": "p", "thresholds": [1.5]}, UsageError, "the threshold 1.5 is not between 0 and 1"),
        ({"probability": "p", "thresholds": "half"}, TypeError, "thresholds is the str 'half'"),
        ({"probability": "p", "costs": "fp=1"}, UsageError, "does not say what a false positive"),
        ({"probability": "p", "costs": [1, 5]}, TypeError, 'costs is .*; write costs={"fp": 1, "fn": 5}'),
        ({"probability": "p", "bins": 1}, UsageError, "bins is 1: it must be at least 2"),
        ({"probability": "p", "threshold": 0.5}, TypeError, "did you mean"),
        ({"probability": "nothing"}, SchemaError, "has no column 'nothing'"),
        ({"probability": "region"}, SchemaError, 'column "region" is string, but a probability is'),
        ({"probability": "p", "memory": "1MiB"}, MemoryBudgetError, "memory"),
        ({"probability": "p", "scheduler": "nowhere"}, UsageError, "nowhere"),
    ],
)
def test_what_cannot_be_is_refused_with_its_reason(data: Path, options: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        logitstream.evaluate(data, target="y", **options)


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        ({"by": "month"}, "make fewer groups (--by, --max-groups)"),
        ({"model": "model.json", "challenger": "model.json"}, "evaluate one model"),
        ({}, "lower --chunk-size"),
    ],
)
def test_what_does_not_fit_the_memory_says_what_makes_it_smaller(
    tmp_path: Path, options: dict[str, Any], remedy: str
) -> None:
    pq.write_table(observed(200_000), tmp_path / "in.parquet")
    model = str(model_file(tmp_path))
    scored = {name: model for name in ("model", "challenger") if name in options} or {"probability": "p"}
    asked = {**options, **scored, "target": "y", "memory": memory.current_bytes() + (48 << 20)}
    with pytest.raises(MemoryBudgetError, match="sums over the rows") as caught:
        logitstream.evaluate(tmp_path / "in.parquet", **asked)
    assert remedy in caught.value.remedy


@pytest.mark.parametrize(
    ("options", "models", "arrays"),
    [
        ({}, 0, ("probability", "loss", "class")),
        ({"weight": "w", "by": ["region"]}, 0, ("probability", "loss", "class", "weight", "group")),
        ({}, 1, ("raw prediction", "probability", "loss", "class")),
        ({}, 2, ("raw prediction", "probability", "loss") * 2 + ("class",)),
    ],
)
def test_the_memory_has_room_for_what_is_made_of_a_row_as_it_comes_and_in_its_tile(
    data: Path, tmp_path: Path, options: dict[str, Any], models: int, arrays: tuple[str, ...]
) -> None:
    model = model_file(tmp_path)
    pair = (model if models else None, model if models == 2 else None)
    job = evaluation_job(data, "y", pair, None if models else "p", completed(options))
    _, scan, _ = prepare_evaluation(job)
    assert scan.demand.made_row_bytes >= 2 * 8 * len(arrays)


def test_limits_of_measures_are_required_in_python_too(data: Path) -> None:
    report = logitstream.evaluate(data, target="y", probability="p")
    report.require({"auc": 0.6, "average_precision": 0.1})
    with pytest.raises(ThresholdError, match=r"auc is 0.7.*, below 0.99; ks is .*, below 1"):
        report.require({"auc": 0.99, "ks": 1})
    with pytest.raises(UsageError, match=r"there is no measure 'acu'; did you mean .auc.?"):
        report.require({"acu": 0.5})
    with pytest.raises(UsageError, match="brier is better if it is smaller: with a limit from below a bad model"):
        report.require({"brier": 0.2})


def test_no_row_and_no_weight_are_told(tmp_path: Path) -> None:
    pq.write_table(pa.table({"y": [None, None], "p": [0.1, 0.2]}, pa.schema([("y", pa.int8()), ("p", pa.float64())])),
                   tmp_path / "in.parquet")  # fmt: skip
    with pytest.raises(DataError, match=r"no row is left to measure: 2 read = 0 used [+] 2 without a target"):
        logitstream.evaluate(tmp_path / "in.parquet", target="y", probability="p", missing_target="drop")
    pq.write_table(pa.table({"y": [0, 1], "p": [0.1, 0.2], "w": [0.0, 0.0]}), tmp_path / "in.parquet")
    with pytest.raises(DataError, match="column w: all weights are 0"):
        logitstream.evaluate(tmp_path / "in.parquet", target="y", probability="p", weight="w")
    pq.write_table(pa.table({"y": [0, 1], "p": [0.1, 0.2], "w": [1e-300, 0.0]}), tmp_path / "in.parquet")
    with pytest.raises(
        DataError, match=r"column w: all weights are 0 or too small: each is rounded to 2.2e-19"
    ) as small:
        logitstream.evaluate(tmp_path / "in.parquet", target="y", probability="p", weight="w")
    assert "multiply all weights by a constant" in small.value.remedy


def test_weights_are_added_up_to_all_digits_or_refused(data: Path, tmp_path: Path) -> None:
    table = observed()
    y, p, w = (table[name].to_numpy() for name in ("y", "p", "w"))
    path = tmp_path / "in.parquet"
    for factor in (1e-18, 1e-14, 1e-11, 1e-8):
        pq.write_table(pa.table({"y": y, "p": p, "w": w * factor}), path)
        if factor < 1e-9:
            with pytest.raises(DataError, match=r"column w: the weights of a class are .* on average") as refused:
                logitstream.evaluate(path, target="y", probability="p", weight="w")
            remedy = float(str(refused.value).split("such as ")[1].split(":")[0])
            pq.write_table(pa.table({"y": y, "p": p, "w": w * factor * remedy}), path)
        found = logitstream.evaluate(path, target="y", probability="p", weight="w").measures
        assert found.auc == pytest.approx(metrics.roc_auc_score(y, p, sample_weight=w), rel=1e-10)
        assert found.log_loss == pytest.approx(metrics.log_loss(y, p, sample_weight=w), rel=1e-10)
    pq.write_table(pa.table({"y": y, "p": p, "w": w * 1e-30}), path)
    with pytest.raises(DataError, match="column w: all weights are 0 or too small"):
        logitstream.evaluate(path, target="y", probability="p", weight="w")


def test_a_group_without_weight_is_told(tmp_path: Path) -> None:
    columns = {"y": [0, 1, 0, 1], "p": [0.1, 0.7, 0.2, 0.6], "w": [0, 0, 1, 1], "g": ["a", "a", "b", "b"]}
    pq.write_table(pa.table(columns), tmp_path / "in.parquet")
    report = logitstream.evaluate(tmp_path / "in.parquet", target="y", probability="p", weight="w", by="g")
    assert [group.value for group in report.groups[0].groups] == [("b",)]
    assert report.notes == ("1 group is not measured by g: all their weights are 0",)


def test_a_report_is_a_short_table_in_a_notebook(data: Path) -> None:
    shown = repr(logitstream.evaluate(data, target="y", probability="p"))
    assert shown.startswith("EvaluationReport\n  target  y\n  rows    2,000 read = 2,000 used")
    assert "auc" in shown


def test_the_digits_of_a_state_are_all_kept(data: Path, tmp_path: Path) -> None:
    logitstream.evaluate(data, target="y", probability="p", by="region", weight="w", state=tmp_path / "a")
    content = (tmp_path / "a").read_bytes()
    assert to_bytes(read_state(tmp_path / "a")) == content
