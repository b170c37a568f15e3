"""The first pass: the same numbers on every scheduler, with any workers and batches; accounts; bad input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest

from pipeline.errors import DataError
from pipeline.fitting.asking.reading import PreparedFit, prepare_fit
from pipeline.fitting.designs.designing import design_of
from pipeline.fitting.first_pass.learning import learn
from pipeline.fitting.first_pass.learnt import Learnt
from pipeline.fitting.first_pass.sampling import SampleRows, SampleRule, ranks_of
from pipeline.fitting.report import PassDone
from pipeline.scan import open_scan
from pipeline.types.job import BadLimit
from tests.fitting.jobs import ipc, job_of, learnt_by

ROWS = 60_000


@pytest.fixture(scope="module")
def flights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows with numbers, levels, missing values and a target, in two Parquet files of several row groups."""
    path = tmp_path_factory.mktemp("flights")
    chance = np.random.default_rng(11)
    distance = chance.gamma(2.0, 500.0, ROWS)
    delay = chance.normal(5.0, 30.0, ROWS)
    delay[chance.random(ROWS) < 0.02] = np.nan
    table = pa.table(
        {
            "late": chance.random(ROWS) < 1 / (1 + np.exp(-0.002 * (distance - 1000))),
            "distance": distance,
            "delay": pa.array(delay, from_pandas=True),
            "hour": chance.integers(0, 24, ROWS),
            "rare": pa.array([None if each > 60 else int(each) for each in chance.geometric(0.05, ROWS)], pa.int16()),
            "gappy": pa.array([None if each < 0.01 else 1.0 for each in chance.random(ROWS)]),
            "times": chance.integers(0, 4, ROWS),
            "carrier": pa.array(chance.choice(["AA", "UA", "B6", "WN"], ROWS, p=[0.4, 0.3, 0.2, 0.1])),
            "weight": chance.random(ROWS),
            "id": np.arange(ROWS),
        }
    )
    for number in range(2):
        pq.write_table(table.slice(number * ROWS // 2, ROWS // 2), path / f"{number}.parquet", row_group_size=5_000)
    return path


def whole(path: Path) -> pa.Table:
    return pq.read_table(path)


def test_numbers_are_those_of_numpy(flights: Path) -> None:
    _, learnt, _ = learnt_by(job_of(flights, "distance, log1p(distance), hour"))
    distance = whole(flights)["distance"].to_numpy()
    for name, values in (("distance", distance), ("log1p(distance)", np.log1p(distance))):
        found = learnt.numbers[name]
        assert (found.values, found.missing, found.share) == (ROWS, 0, 1.0)
        assert found.mean == pytest.approx(values.mean(), rel=1e-14)
        assert found.deviation == pytest.approx(values.std(), rel=1e-14)
        assert (found.smallest, found.largest) == (values.min(), values.max())
    assert learnt.classes == (False, True)
    assert learnt.rows.read == learnt.rows.used == learnt.weight == ROWS


def test_the_design_centres_and_scales_numbers(flights: Path) -> None:
    prepared, learnt, _ = learnt_by(job_of(flights, "distance, hour"))
    design, notes = design_of(prepared.job, learnt)
    assert [column.name for column in design.columns] == ["distance", "hour"]
    assert (design.layout.dense, design.layout.width, notes) == (2, 3, ())
    assert design.columns[0].center == learnt.numbers["distance"].mean
    assert [source.missing for source in design.numbers] == ["error", "error"]


EVERYTHING = (
    "distance, log1p(distance), C(carrier)*hour, C(rare), C(carrier):C(rare), B(distance, bins=7), "
    "B(delay, bins=12, woe=true, monotone=up), B(hour, edges=[6, 12]), delay:hour, M(id)"
)
OPTIONS: dict[str, Any] = {
    "weight": "weight",
    "missing": "indicator",
    "missing_of": {"delay": "impute-median"},
    "min_count": 50,
    "solve": {"folds": 3, "holdout": "10%"},
}


@pytest.fixture(scope="module")
def in_one_thread(flights: Path) -> tuple[PreparedFit, Learnt, pa.Table]:
    return learnt_by(job_of(flights, EVERYTHING, **OPTIONS))


@pytest.mark.parametrize(
    "means",
    [
        {"scheduler": "threads", "workers": 3},
        pytest.param({"scheduler": "processes", "workers": 2}, marks=pytest.mark.slow),
    ],
)
def test_every_scheduler_learns_the_same_bits(
    flights: Path, in_one_thread: tuple[PreparedFit, Learnt, pa.Table], means: dict[str, object]
) -> None:
    _, learnt, sample = in_one_thread
    _, others, other_sample = learnt_by(job_of(flights, EVERYTHING, means=means, **OPTIONS))
    assert learnt == others
    assert ipc(sample) == ipc(other_sample)


@pytest.mark.parametrize("batch_rows", [777, 5_000])
def test_batches_change_no_bit(
    flights: Path, in_one_thread: tuple[PreparedFit, Learnt, pa.Table], batch_rows: int
) -> None:
    _, learnt, sample = in_one_thread
    _, others, other_sample = learnt_by(job_of(flights, EVERYTHING, **OPTIONS), batch_rows)
    assert learnt == others
    assert ipc(sample) == ipc(other_sample)


def test_another_chunk_size_changes_only_rounding(
    flights: Path, in_one_thread: tuple[PreparedFit, Learnt, pa.Table]
) -> None:
    _, learnt, _ = in_one_thread
    _, others, _ = learnt_by(job_of(flights, EVERYTHING, data={"chunk_size": "9000"}, **OPTIONS))
    assert learnt.rows == others.rows
    assert learnt.weight == pytest.approx(others.weight, rel=1e-12)
    for name, number in learnt.numbers.items():
        other = others.numbers[name]
        assert (number.values, number.missing, number.median) == (other.values, other.missing, other.median)
        assert number.mean == pytest.approx(other.mean, rel=1e-12)
        assert number.deviation == pytest.approx(other.deviation, rel=1e-12)
    for name, levels in learnt.levels.items():
        assert levels.counts == others.levels[name].counts
        for level, weights in levels.of_class.items():
            assert weights == pytest.approx(others.levels[name].of_class[level], rel=1e-12)
    for name, bins in learnt.bins.items():
        assert bins.edges == pytest.approx(others.bins[name].edges)
        assert np.array(bins.counts) == pytest.approx(np.array(others.bins[name].counts), rel=1e-12)


def test_levels_are_counted_by_class(flights: Path) -> None:
    _, learnt, _ = learnt_by(job_of(flights, "C(carrier), C(rare)", missing="indicator", min_count=50, max_levels=9))
    table = whole(flights)
    late = table["late"].to_numpy()
    carriers = np.array(table["carrier"].to_pylist())
    found = learnt.levels["carrier"]
    assert list(found.counts) == ["AA", "UA", "B6", "WN"]
    for level, count in found.counts.items():
        rows = carriers == level
        assert count == rows.sum()
        assert found.of_class[level] == ((rows & ~late).sum(), (rows & late).sum())
    rare = table["rare"].to_numpy(zero_copy_only=False)
    values, counts = np.unique(rare[~np.isnan(rare)].astype(int), return_counts=True)
    frequent = sorted(zip(-counts, map(str, values), strict=True))[:9]
    expected = {level: -count for count, level in frequent if -count >= 50}
    assert learnt.levels["rare"].type == "integer"
    assert learnt.levels["rare"].missing == np.isnan(rare).sum() > 0
    assert learnt.levels["rare"].counts == expected | {"(other)": counts.sum() - sum(expected.values())}
    assert set(learnt.levels["rare"].pooled) == set(map(str, values)) - set(expected)


def test_weights_count_in_means_and_classes_and_rows_in_counts(flights: Path) -> None:
    _, learnt, _ = learnt_by(job_of(flights, "distance, C(carrier)", weight="weight", class_weights="balanced"))
    table = whole(flights)
    weight, distance, late = (table[name].to_numpy() for name in ("weight", "distance", "late"))
    assert learnt.weight == pytest.approx(weight.sum(), rel=1e-13)
    assert learnt.numbers["distance"].mean == pytest.approx(np.average(distance, weights=weight), rel=1e-13)
    carriers = np.array(table["carrier"].to_pylist())
    assert learnt.levels["carrier"].counts["AA"] == (carriers == "AA").sum()
    assert learnt.levels["carrier"].of_class["AA"][1] == pytest.approx(
        weight[late & (carriers == "AA")].sum(), rel=1e-12
    )
    expected = [weight.sum() / (2 * weight[late == value].sum()) for value in (False, True)]
    assert learnt.class_weights == pytest.approx(expected, rel=1e-12)


def test_the_accounts_of_rows_balance(flights: Path) -> None:
    rules = {"delay": "drop", "rare": "drop"}
    job = job_of(
        flights,
        "delay, C(rare), log(id)",
        missing_of=rules,
        missing_target="drop",
        weight="gappy",
        data={"max_bad": BadLimit(5)},
        solve={"holdout": "25%"},
    )
    _, learnt, sample = learnt_by(job)
    table, rows = whole(flights), learnt.rows
    without = table["gappy"].is_null().to_numpy()
    dropped = (table["delay"].is_null().to_numpy() | table["rare"].is_null().to_numpy()) & ~without
    assert rows.read == ROWS == rows.used + rows.held_out + rows.dropped + rows.bad + rows.without_target
    assert (rows.without_target, rows.bad) == (without.sum(), int(not without[0]))
    assert rows.dropped == dropped.sum() - int(dropped[0])
    assert rows.held_out / (rows.held_out + rows.used) == pytest.approx(0.25, abs=0.01)
    assert sample["delay"].null_count == sample["gappy"].null_count == 0


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_medians_are_within_four_thousandths_or_exact(flights: Path, exact: bool, weighted: bool) -> None:
    options: dict[str, Any] = {"weight": "times"} if weighted else {}
    _, learnt, _ = learnt_by(
        job_of(flights, "distance, delay, hour", missing="impute-median", exact_median=exact, **options)
    )
    table = whole(flights)
    times = table["times"].to_numpy() if weighted else np.ones(ROWS, dtype=int)
    for name in ("distance", "delay", "hour"):
        values = np.repeat(table[name].to_numpy(), times)
        expected = np.nanmedian(values)
        assert learnt.numbers[name].median == pytest.approx(expected, rel=0 if exact or name == "hour" else 0.004)


def test_imputed_values_count_in_the_scale_of_a_column(flights: Path) -> None:
    prepared, learnt, _ = learnt_by(job_of(flights, "log1p(clip(delay, low=0)), delay", missing="impute-mean"))
    design, _ = design_of(prepared.job, learnt)
    delay = whole(flights)["delay"].to_numpy()
    filled = np.where(np.isnan(delay), np.nanmean(delay), delay)
    for column, values in zip(design.columns, (np.log1p(np.maximum(filled, 0)), filled), strict=True):
        assert column.center == pytest.approx(values.mean(), rel=1e-12)
        assert column.scale == pytest.approx(values.std(), rel=1e-12)


def test_the_sample_has_rows_of_the_data_with_their_values(flights: Path) -> None:
    _, learnt, sample = learnt_by(job_of(flights, "id, distance, C(carrier), C(rare)", missing="indicator"))
    table = whole(flights)
    assert sample.column_names == ["id", "distance", "carrier", "rare", "late", "(fold)"]
    assert 14_000 < sample.num_rows < 18_000 < learnt.rows.used
    rows = sample["id"].to_numpy().astype(int)
    assert len(set(rows)) == len(rows)
    assert sample["distance"].to_numpy().tolist() == table["distance"].to_numpy()[rows].tolist()
    assert sample["carrier"].to_pylist() == table["carrier"].take(pa.array(rows)).to_pylist()


def test_a_sample_has_no_more_rows_and_bytes_than_may_be() -> None:
    rule = SampleRule(1.0, ((0, "numeric"),), rows=1_000)
    ranks = ranks_of(3, 0, 20_000)
    data = pa.record_batch({"x": np.arange(20_000.0)})
    whole_rows, parts = SampleRows(rule), SampleRows(rule)
    whole_rows.add(data, np.ones(20_000, dtype=bool), ranks, None)
    for begin in range(0, 20_000, 3_000):
        part = SampleRows(rule)
        piece = data.slice(begin, 3_000)
        part.add(piece, np.ones(piece.num_rows, dtype=bool), ranks_of(3, begin, piece.num_rows), None)
        parts.join(part)
    one, other = whole_rows.rows(), parts.rows()
    assert one is not None
    assert other is not None
    assert one.equals(other)
    assert one.num_rows == 1_000
    assert sorted(one["x"].to_pylist()) == sorted(np.argsort(ranks)[:1_000].astype(float).tolist())
    small = SampleRows(SampleRule(1.0, ((0, "numeric"),), bytes=17_000))
    small.add(data, np.ones(20_000, dtype=bool), ranks, None)
    assert small.rows().num_rows == 1_000  # type: ignore[union-attr]


def test_a_csv_and_a_parquet_file_teach_the_same(flights: Path, tmp_path: Path) -> None:
    columns = ["late", "distance", "hour", "carrier", "rare"]
    pc.write_csv(whole(flights).select(columns), tmp_path / "rows.csv")
    features = "distance, hour, C(carrier), C(rare), B(distance, bins=9)"
    _, learnt, _ = learnt_by(job_of(flights, features, missing="indicator", data={"chunk_size": "100000"}))
    _, others, _ = learnt_by(job_of(tmp_path, features, missing="indicator", data={"chunk_size": "100000"}))
    assert learnt.rows == others.rows
    assert learnt.classes == others.classes
    assert learnt.levels == others.levels
    assert learnt.bins == others.bins
    assert learnt.numbers["distance"].mean == pytest.approx(others.numbers["distance"].mean, rel=1e-13)


def test_the_pass_is_told_of(flights: Path) -> None:
    prepared = prepare_fit(job_of(flights, "distance"))
    told: list[PassDone] = []
    with open_scan(prepared.scan) as scan:
        learn(scan, prepared, told.append)
    (event,) = told
    assert (event.number, event.what, event.rows) == (1, "learn", ROWS)
    assert event.bytes_read > 100_000
    prepared = prepare_fit(job_of(flights, "distance, hour", missing="impute-median", exact_median=True))
    with open_scan(prepared.scan) as scan:
        learn(scan, prepared, told.append)
    assert [event.what for event in told] == ["learn", "learn", "medians"]


def test_the_error_names_the_first_place_though_a_later_chunk_is_done_before(tmp_path: Path) -> None:
    many = np.arange(300_000) % 2
    for name, rows, lost in (("a", many, len(many) - 1), ("b", many[:10], 0)):
        late = pa.array(rows, mask=np.arange(len(rows)) == lost)
        pq.write_table(pa.table({"late": late, "x": rows * 1.0}), tmp_path / f"{name}.parquet")
    job = job_of(tmp_path, "x", data={"chunk_size": "300000"}, means={"scheduler": "threads", "workers": 2})
    with pytest.raises(DataError, match=r"a\.parquet: row 300,000, column late"):
        learnt_by(job)
