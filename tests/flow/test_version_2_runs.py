"""Whole runs with models of version 2: the answers of their definition, the same with any chunks and scheduler."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest

import pipeline
from pipeline import flow
from pipeline.errors import BadCellsError, DataError, TemporaryError, UsageError
from pipeline.interface import preview, score_job
from pipeline.models.logistic.parsing import from_mapping
from pipeline.types.report import Event, Progressed
from pipeline.verification import verify
from tests.models.logistic import oracle

FEATURES: list[dict[str, Any]] = [
    {"kind": "numeric", "column": "x", "coefficient": 0.5, "center": 1.0, "scale": 2.0, "missing": {"impute": 1.5}},
    {"kind": "categorical", "column": "hour", "coefficients": {"1": 0.25, "2": -0.5}, "levels": "integer"}
    | {"unseen": "zero", "missing": {"level": "1"}},
    {"kind": "binned", "column": "x", "name": "x_bin", "edges": [0.0, 1.0], "coefficients": [0.1, 0.2, 0.3]}
    | {"missing": {"coefficient": -1.0}},
    {"kind": "indicator", "column": "x", "coefficient": 0.75},
    {"kind": "transformed", "column": "y", "transform": "sqrt", "coefficient": -0.5},
    {"kind": "product", "terms": [{"column": "y", "scale": 3.0}, {"kind": "categorical", "column": "c"}]}
    | {"coefficients": {"a": 0.1, "b": -0.2}},
]
MODEL: dict[str, Any] = {
    "format": "logitstream-model",
    "version": 2,
    "kind": "logistic",
    "intercept": -0.25,
    "offset": {"column": "w", "missing": {"impute": 0.0}},
    "features": FEATURES,
}
DECIDING: dict[str, Any] = MODEL | {
    "output": {
        "columns": ["probability", "contributions", "points", "points_by_feature", "band", "reasons"],
        "points": {"pdo": 20, "base_points": 600, "base_odds": 50, "rounding": "features"},
        "bands": {"on": "points", "thresholds": [500, 510], "names": ["low", 'a "quoted", one', "high\n"]},
        "reasons": {
            "count": 2,
            "features": {
                "x": {"code": "R01", "text": "x, of all", "reference": {"value": 1.5}},
                "y": {"text": "null", "mean": 0.5, "reference": {"contribution": -0.5}},
                "hour": {"reference": {"level": "2"}},
            },
        },
    }
}
OF_CLASSES: dict[str, Any] = MODEL | {
    "classes": ["low", "né", "none"],
    "intercept": [0.0, 0.1, -0.1],
    "features": [
        {"kind": "numeric", "column": "x", "coefficient": [-0.5, 0.5, 0.0], "missing": "quarantine"},
        {"kind": "transformed", "column": "y", "transform": "log", "coefficient": [0.1, 0.2, 0.3], "missing": "error"},
        {"kind": "product", "terms": [{"kind": "categorical", "column": "c"}, {"column": "y"}]}
        | {"coefficients": {"a": [0.1, 0.2, 0.3], "b": [0.2, 0.1, 0.0]}},
    ],
    "output": {"columns": ["probability", "raw_prediction", "decision"]},
}
SEVERAL = {"decisions": DECIDING, "classes": OF_CLASSES}
ROWS = 5_000


def rows_of(seed: int = 0) -> pa.Table:
    random = np.random.default_rng(seed)
    missing = random.random((4, ROWS)) < 0.05
    return pa.table(
        {
            "id": np.arange(ROWS),
            "x": pa.array(random.normal(1, 2, ROWS).round(2), mask=missing[0]),
            "hour": pa.array(random.integers(1, 4, ROWS), mask=missing[1]),
            "y": pa.array(random.uniform(0, 9, ROWS).round(2), mask=missing[2]),
            "w": pa.array(random.normal(size=ROWS).round(2), mask=missing[3]),
            "c": random.choice(["a", "b"], ROWS),
        }
    )


def expected_of(model: dict[str, Any], table: pa.Table) -> list[tuple[str, list[float]]]:
    return [oracle.score(model, row) for row in table.to_pylist()]


def digests(folder: Path) -> list[str]:
    return [hashlib.sha256(part.read_bytes()).hexdigest() for part in sorted(folder.glob("part-*"))]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("version2")
    table = rows_of()
    pq.write_table(table, folder / "rows.parquet", row_group_size=700)
    pc.write_csv(table, folder / "rows.csv")
    (folder / "model.json").write_text(json.dumps(MODEL))
    return folder


@pytest.mark.parametrize("name", ["rows.parquet", "rows.csv"])
def test_a_run_gives_the_raw_predictions_of_the_definition(made: Path, tmp_path: Path, name: str) -> None:
    report = pipeline.score(made / name, made / "model.json", tmp_path / "out", raw_prediction=True, keep="id")
    scores = pq.read_table(tmp_path / "out").to_pydict()
    expected = expected_of(MODEL, rows_of())
    assert scores["raw_prediction"] == [None if word == "null" else raw for word, (raw,) in expected]
    assert {word for word, _ in expected} == {"scored", "null"}
    assert report.totals.null == sum(word == "null" for word, _ in expected)
    assert not verify(tmp_path / "out", sample=2).differences


def test_parts_have_the_same_bytes_on_every_scheduler_and_any_chunk_has_the_same_scores(
    made: Path, tmp_path: Path
) -> None:
    outs = {}
    for scheduler in ("sync", "threads", "processes"):
        out = tmp_path / scheduler
        pipeline.score(made / "rows.parquet", made / "model.json", out, scheduler=scheduler, chunk_size=1_500)
        outs[scheduler] = digests(out)
    assert outs["sync"] == outs["threads"] == outs["processes"]
    pipeline.score(made / "rows.parquet", made / "model.json", tmp_path / "whole")
    assert pq.read_table(tmp_path / "whole").equals(pq.read_table(tmp_path / "sync"))


def test_contributions_come_with_their_base_in_the_schema(made: Path, tmp_path: Path) -> None:
    model = MODEL | {"output": {"columns": ["raw_prediction", "contributions"]}}
    (tmp_path / "model.json").write_text(json.dumps(model))
    pipeline.score(made / "rows.parquet", tmp_path / "model.json", tmp_path / "out")
    table = pq.read_table(next((tmp_path / "out").glob("part-*")))
    names = ["w", "x", "hour", "x_bin", "missing_x", "y", "y:c"]
    assert table.column_names == ["raw_prediction", *(f"contribution_{name}" for name in names)]
    base = float(table.schema.metadata[b"logitstream.base"])
    assert base == from_mapping(model).base
    total = np.full(table.num_rows, base)
    for column in table.columns[1:]:
        total = total + column.to_numpy()
    raw = table["raw_prediction"].to_numpy()
    np.testing.assert_array_equal(raw[~np.isnan(raw)], total[~np.isnan(raw)])
    assert not verify(tmp_path / "out", sample=1).differences


def test_a_model_with_classes_makes_a_column_for_each_and_decides_for_the_largest(made: Path, tmp_path: Path) -> None:
    model = MODEL | {
        "classes": ["low", "high", "none"],
        "intercept": [0.0, 0.1, -0.1],
        "features": [{"kind": "numeric", "column": "x", "coefficient": [-0.5, 0.5, 0.0], "missing": {"impute": 0.0}}],
        "output": {"columns": ["probability", "decision"]},
    }
    (tmp_path / "model.json").write_text(json.dumps(model))
    pipeline.score(made / "rows.csv", tmp_path / "model.json", tmp_path / "out", keep="id")
    table = pq.read_table(tmp_path / "out")
    probabilities = np.stack([table[f"probability_{name}"].to_numpy() for name in model["classes"]])
    np.testing.assert_allclose(probabilities.sum(axis=0), 1.0, rtol=1e-15)
    raws = np.array([raw for _, raw in expected_of(model, rows_of())])
    assert table["decision"].to_pylist() == [model["classes"][k] for k in raws.argmax(axis=1)]
    with pytest.raises(UsageError, match="two classes"):
        pipeline.score(made / "rows.csv", tmp_path / "model.json", tmp_path / "other", threshold=0.5)


def test_a_kept_column_may_be_called_probability_where_the_model_makes_none(made: Path, tmp_path: Path) -> None:
    table = rows_of().append_column("probability", pa.array(np.zeros(ROWS)))
    pq.write_table(table, tmp_path / "rows.parquet")
    model = MODEL | {"output": {"columns": ["raw_prediction"]}}
    (tmp_path / "model.json").write_text(json.dumps(model))
    pipeline.score(tmp_path / "rows.parquet", tmp_path / "model.json", tmp_path / "out", keep="probability")
    assert pq.read_table(tmp_path / "out").column_names == ["probability", "raw_prediction"]


def test_a_value_outside_the_domain_of_a_transform_is_a_bad_row_with_its_place(made: Path, tmp_path: Path) -> None:
    features = [{"kind": "transformed", "column": "y", "transform": "log", "coefficient": 1.0}]
    (tmp_path / "model.json").write_text(json.dumps(MODEL | {"features": features}))
    (tmp_path / "rows.csv").write_text("w,y\n0,1\n0,0\n")
    with pytest.raises(DataError, match="has no finite value under the transform") as caught:
        pipeline.score(tmp_path / "rows.csv", tmp_path / "model.json", tmp_path / "out")
    assert caught.value.exit_code == 65
    assert "y" in str(caught.value)
    model = pipeline.LogisticModel.load(tmp_path / "model.json")
    with pytest.raises(BadCellsError, match="row 1, column y"):
        model.probability({"w": [0.0, 0.0], "y": [1.0, 0.0]})


def test_columns_of_classes_and_contributions_count_towards_the_memory(made: Path, tmp_path: Path) -> None:
    projected = []
    for output, more in (["probability"], {}), (["contributions"], {}), (["probability"], {"classes": 40}):
        model = MODEL | {"output": {"columns": output}}
        if more:
            names = [f"k{number}" for number in range(more["classes"])]
            feature = {"kind": "numeric", "column": "x", "coefficient": [0.1] * len(names)}
            model |= {"classes": names, "intercept": [0.0] * len(names), "features": [feature]}
        (tmp_path / "model.json").write_text(json.dumps(model))
        plan = preview(made / "rows.parquet", tmp_path / "model.json", tmp_path / "out")
        projected.append(plan.resources.projected_bytes)
    assert projected[0] < projected[1] < projected[2]


class StopAfterTwo:
    """Asks the run to stop once two chunks are done."""

    def __init__(self) -> None:
        self.stop = flow.Stop()

    def __call__(self, event: Event) -> None:
        if isinstance(event, Progressed) and event.totals.chunks - event.totals.resumed >= 2:
            self.stop.request(TemporaryError("enough"))


@pytest.mark.parametrize("name", ["rows.parquet", "rows.csv"])
@pytest.mark.parametrize("model", SEVERAL.values(), ids=SEVERAL)
def test_a_stopped_run_with_all_columns_is_resumed_with_the_same_parts_and_verified(
    made: Path, tmp_path: Path, model: dict[str, Any], name: str
) -> None:
    (tmp_path / "model.json").write_text(json.dumps(model))
    options: dict[str, Any] = {"chunk_size": 900 if name.endswith("parquet") else "40kB", "max_bad": "100%"}
    options |= {"keep": ["id", "c"], "rename": {"c": "points_c"}, "float32": True, "scheduler": "sync"}
    whole = pipeline.score(made / name, tmp_path / "model.json", tmp_path / "whole", **options)
    watch = StopAfterTwo()
    job = score_job(made / name, tmp_path / "model.json", tmp_path / "out", **options)
    with pytest.raises(TemporaryError, match="enough"):
        flow.run(job, watch, watch.stop)
    report = pipeline.score(made / name, tmp_path / "model.json", tmp_path / "out", **options)
    assert report.totals.resumed >= 2
    assert (report.totals.events, report.totals.quarantined) == (whole.totals.events, whole.totals.quarantined)
    assert digests(tmp_path / "out") == digests(tmp_path / "whole")
    assert not verify(tmp_path / "out", sample=3).differences
    assert pq.read_table(tmp_path / "out").column_names[:2] == ["id", "points_c"]


@pytest.mark.parametrize("model", SEVERAL.values(), ids=SEVERAL)
def test_rows_of_a_csv_and_of_parquet_have_the_same_results_in_every_kind_of_column(
    made: Path, tmp_path: Path, model: dict[str, Any]
) -> None:
    (tmp_path / "model.json").write_text(json.dumps(model))
    found = []
    for number, name in enumerate(["rows.parquet", "rows.csv"]):
        out = tmp_path / str(number)
        scheduler = ("processes", "sync")[number]
        pipeline.score(made / name, tmp_path / "model.json", out, max_bad="100%", scheduler=scheduler)
        found.append(pq.read_table(out))
    assert found[0].equals(found[1])
    assert 0 < found[0].num_rows <= ROWS
    written = tmp_path / "scores.csv"
    pipeline.score(made / "rows.csv", tmp_path / "model.json", written, max_bad="100%")
    types = dict(zip(found[0].column_names, found[0].schema.types, strict=True))
    options = pc.ConvertOptions(column_types=types, strings_can_be_null=True, null_values=[""])
    again = pc.read_csv(written, convert_options=options)
    assert again.to_pydict() == found[0].to_pydict()


def test_the_table_of_a_product_of_levels_counts_towards_the_memory(made: Path, tmp_path: Path) -> None:
    terms = [{"kind": "categorical", "column": "c"}, {"kind": "categorical", "column": "hour", "levels": "integer"}]
    projected = []
    for levels in (2, 3_000):
        coefficients = {f"c{level}": {str(level): 0.5} for level in range(levels)}
        feature = {"kind": "product", "terms": terms, "coefficients": coefficients}
        (tmp_path / "model.json").write_text(json.dumps(MODEL | {"features": [feature]}))
        plan = preview(
            made / "rows.parquet", tmp_path / "model.json", tmp_path / "out", memory="4GiB", scheduler="sync"
        )
        projected.append(plan.resources.projected_bytes)
    # The table has 72 MB; what else is in memory changes a little.
    assert projected[1] - projected[0] > 60e6
