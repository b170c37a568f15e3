"""Terms as columns: references, pools, combinations, intervals; what is left out, and notes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import DataError
from pipeline.fitting.designs.design import DesignColumn, FitDesign
from pipeline.fitting.designs.designing import design_of
from tests.fitting.jobs import job_of, learnt_by

ROWS = 4_000


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows with levels, one of them with positives alone, and a column that is constant."""
    chance = np.random.default_rng(29)
    carrier = chance.choice(["AA", "UA", "B6"], ROWS, p=[0.5, 0.3, 0.2]).tolist()
    late = chance.random(ROWS) < 0.4
    carrier[:3], late[:3] = ["ZZ", "ZZ", "ZZ"], True
    table = pa.table(
        {
            "late": late,
            "carrier": [None if row % 50 == 49 else each for row, each in enumerate(carrier)],
            "origin": chance.choice(["JFK", "LGA"], ROWS, p=[0.7, 0.3]),
            "hour": chance.integers(0, 24, ROWS),
            "delay": pa.array([None if row % 40 == 39 else float(row % 17) for row in range(ROWS)]),
            "one": np.ones(ROWS),
        }
    )
    folder = tmp_path_factory.mktemp("designs")
    pq.write_table(table, folder / "rows.parquet")
    return folder


def designed(path: Path, features: str, **options: Any) -> tuple[FitDesign, tuple[str, ...]]:
    prepared, learnt, _ = learnt_by(job_of(path, features, **{"missing": "indicator", **options}))
    return design_of(prepared.job, learnt)


def column(design: FitDesign, name: str) -> DesignColumn:
    return next(each for each in design.columns if each.name == name)


def test_the_most_frequent_level_is_the_reference_and_missing_is_a_level(path: Path) -> None:
    design, _ = designed(path, "C(carrier)")
    (found,) = design.columns
    assert found.reference == "AA"
    assert found.labels == ("UA", "B6", "ZZ", "(missing)")
    assert found.cells == ((0,), (1,), (2,), (3,))
    assert design.levels[0].codes == {"AA": -1, "UA": 0, "B6": 1, "ZZ": 2, "(missing)": 3}
    assert design.levels[0].missing == 3
    assert design.layout.levels == (4,)


@pytest.mark.parametrize(
    ("rule", "code"), [("impute-mean", -1), ("impute-median", -1), ("drop", "drop"), ("error", "error")]
)
def test_a_rule_says_what_a_missing_level_counts_as(path: Path, rule: str, code: object) -> None:
    options: dict[str, Any] = {"missing": rule}
    if rule == "error":
        from pipeline.types.job import BadLimit

        options["data"] = {"max_bad": BadLimit(None, 1.0)}
    design, _ = designed(path, "C(carrier)", **options)
    assert design.levels[0].missing == code
    assert design.columns[0].labels == ("UA", "B6", "ZZ")


def test_a_penalty_keeps_every_level(path: Path) -> None:
    design, notes = designed(path, "C(carrier), C(origin)", solve={"l2": 1.0})
    assert [(each.reference, len(each.labels)) for each in design.columns] == [(None, 5), (None, 2)]
    assert design.levels[0].codes["AA"] == 0
    assert notes == ()


def test_without_an_intercept_the_first_column_of_levels_keeps_all(path: Path) -> None:
    design, _ = designed(path, "hour, C(carrier), C(origin), C(origin):hour", intercept=False)
    assert [each.reference for each in design.columns if each.levels is not None] == [None, "JFK", None]
    assert [len(each.labels) for each in design.columns if each.levels is not None] == [5, 1, 1]
    assert design.columns[0].center == 0


def test_a_level_of_one_class_alone_is_named(path: Path) -> None:
    _, notes = designed(path, "C(carrier)")
    (note,) = notes
    assert note.startswith("carrier: level 'ZZ' has rows of only one class, so that its coefficient has no optimum:")
    assert note.endswith("merge it with others (--min-count), or add --l2")


def test_several_levels_of_one_class_alone_share_a_note(tmp_path: Path) -> None:
    rows = {"c": ["a", "b", "c", "c"] * 25, "late": [True, False, True, False] * 25}
    pq.write_table(pa.table(rows), tmp_path / "rows.parquet")
    (note,) = designed(tmp_path, "C(c)")[1]
    assert note.startswith("c: levels 'a', 'b' have rows of only one class, so that their coefficients have no")


def test_a_holdout_without_any_row_is_noted(path: Path) -> None:
    _, notes = designed(path, "hour", solve={"holdout": "hour > 99"})
    assert notes == ("--holdout hour > 99 holds out no row",)


def test_rare_levels_are_pooled(path: Path) -> None:
    design, notes = designed(path, "C(carrier)", min_count=10)
    assert set(design.columns[0].labels) == {"UA", "B6", "(missing)", "(other)"}
    codes = design.levels[0].codes
    assert codes["ZZ"] == codes["(other)"] >= 0
    assert notes[0] == "carrier: 1 rare level counts as '(other)', 3 rows"
    assert len(notes) == 2


def test_levels_that_only_products_have_are_pooled_with_one_note(path: Path) -> None:
    _, notes = designed(path, "C(carrier):hour, C(carrier):C(origin)", min_count=10)
    assert [note for note in notes if "rare" in note] == ["carrier: 1 rare level counts as '(other)', 3 rows"]


def test_what_is_learnt_of_all_folds_is_said(path: Path) -> None:
    _, notes = designed(path, "hour, delay, C(origin)", solve={"folds": 3})
    assert notes == ("imputed values and levels and intervals are learnt from the rows of all folds",)
    assert designed(path, "hour", missing="drop", solve={"folds": 3})[1] == ()


def test_products_leave_out_what_their_parts_have(path: Path) -> None:
    both, _ = designed(path, "C(carrier)*C(origin)", missing="drop")
    labels = column(both, "C(carrier):C(origin)").labels
    assert labels[:2] == ("UA:LGA", "B6:LGA")
    assert all(label.endswith(":LGA") for label in labels)
    alone, _ = designed(path, "C(carrier):C(origin)", missing="drop")
    found = column(alone, "C(carrier):C(origin)")
    assert found.reference == "AA:JFK"
    assert "AA:JFK" not in found.labels
    assert {"AA:LGA", "UA:JFK", "UA:LGA", "B6:JFK", "B6:LGA"} <= set(found.labels)
    one, _ = designed(path, "C(origin), C(carrier):C(origin)", missing="drop")
    assert {label[:2] for label in column(one, "C(carrier):C(origin)").labels} >= {"UA", "B6"}
    assert not any(label.startswith("AA") for label in column(one, "C(carrier):C(origin)").labels)


def test_slopes_are_of_each_level_or_differences(path: Path) -> None:
    apart, _ = designed(path, "C(origin):hour")
    assert column(apart, "C(origin):hour").labels == ("JFK", "LGA")
    assert column(apart, "C(origin):hour").cells == ((0,), (1,))
    hours = pq.read_table(path / "rows.parquet")["hour"].to_numpy()
    assert column(apart, "C(origin):hour").scale == pytest.approx(hours.std(), rel=1e-12)
    beside, _ = designed(path, "hour, C(origin):hour")
    assert column(beside, "C(origin):hour").labels == ("LGA",)
    of_both, _ = designed(path, "hour, C(origin), C(origin):hour")
    assert column(of_both, "C(origin):hour").cells == ((0,),)
    assert of_both.levels[0].codes == {"JFK": -1, "LGA": 0}


def test_a_product_of_numbers_is_scaled_as_it_is(path: Path) -> None:
    design, _ = designed(path, "hour:delay", missing="drop")
    table = pq.read_table(path / "rows.parquet", columns=["hour", "delay"]).drop_null()
    product = table["hour"].to_numpy() * table["delay"].to_numpy()
    assert design.columns[0].center == pytest.approx(product.mean(), rel=1e-12)
    assert design.columns[0].scale == pytest.approx(product.std(), rel=1e-12)
    assert [source.column for source in design.numbers] == ["hour", "delay"]


def test_intervals_have_a_reference_and_their_own_missing(path: Path) -> None:
    design, _ = designed(path, "B(delay, edges=[4, 9])")
    (found,) = design.columns
    assert found.reference == "[9, inf)"
    assert found.labels == ("(-inf, 4)", "[4, 9)", "missing")
    assert found.cells == ((0,), (1,), (3,))
    filled, _ = designed(path, "B(delay, edges=[4, 9])", missing="impute-mean")
    assert filled.columns[0].labels == ("(-inf, 4)", "[4, 9)")
    assert isinstance(filled.numbers[0].missing, float)
    empty, notes = designed(path, "B(delay, edges=[4, 9, 100])")
    assert "[100, inf)" not in empty.columns[0].labels
    assert notes == ("B(delay, edges=[4, 9, 100]): 1 interval has no row",)


def test_weights_of_evidence_are_one_number(path: Path) -> None:
    design, _ = designed(path, "B(delay, bins=4, woe=true)")
    (found,) = design.columns
    assert found.dense == 0
    assert len(found.values) == len(found.term.edges) + 2  # type: ignore[union-attr]
    assert found.values[-1] != 0
    # Penalties are those of a column with the mean 0 and the deviation 1.
    delay = pq.read_table(path)["delay"].to_numpy()
    intervals = np.searchsorted(found.term.edges, delay, side="right")  # type: ignore[union-attr]
    evidence = np.array(found.values)[np.where(np.isnan(delay), len(found.values) - 1, intervals)]
    assert found.center == pytest.approx(evidence.mean(), rel=1e-12)
    assert found.deviation == found.scale == pytest.approx(evidence.std(), rel=1e-12)


def test_constant_columns_are_left_out_with_a_note(path: Path) -> None:
    design, notes = designed(path, "one, hour, M(delay), B(one, bins=3), C(origin):one", missing="indicator")
    assert [each.name for each in design.columns] == ["hour", "M(delay)", "C(origin):one"]
    assert notes == ("one is 1 in every row: left out", "B(one, bins=3) has one interval with rows: left out")
    with pytest.raises(DataError, match="one is 1 in every row"):
        designed(path, "hour, one", strict=True)


def test_an_indicator_that_a_rule_adds_is_silent_where_nothing_is_missing(path: Path) -> None:
    design, notes = designed(path, "hour, delay", strict=True)
    assert [each.name for each in design.columns] == ["hour", "delay", "M(delay)"]
    assert notes == ()


def test_controls_are_marked(path: Path) -> None:
    design, _ = designed(path, "hour, C(origin), C(origin):hour", controls=("origin",))
    assert [each.control for each in design.columns] == [False, True, True]


def test_several_classes_have_an_output_each_or_all_but_one(path: Path) -> None:
    design, _ = designed(path, "delay", target="carrier", missing_target="drop")
    assert (design.layout.classes, design.layout.outputs) == (4, 3)
    penalised, _ = designed(path, "delay", target="carrier", missing_target="drop", solve={"l2": 0.1})
    assert (penalised.layout.classes, penalised.layout.outputs) == (4, 4)
