"""What a fit reads of its files: roles of columns, what ``*`` is, files that differ, memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import DataError, InputMissingError, MemoryBudgetError, UsageError
from pipeline.fitting.asking.formula import term_text
from pipeline.fitting.asking.reading import prepare_fit
from pipeline.memory import current_bytes
from pipeline.types.inputs import CsvOptions
from pipeline.units import MIB
from tests.fitting.jobs import job_of, learnt_by

ROWS = 300
TABLE = pa.table(
    {
        "late": [row % 2 == 0 for row in range(ROWS)],
        "distance": np.arange(ROWS, dtype=np.float32),
        "hour": np.arange(ROWS) % 24,
        "carrier": ["AA", "UA", "B6"] * (ROWS // 3),
        "weight": np.ones(ROWS),
        "flown": [row % 5 == 0 for row in range(ROWS)],
        "key": np.arange(ROWS),
        "at": pa.array(np.arange(ROWS), pa.timestamp("s")),
        "list": [[row] for row in range(ROWS)],
    }
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    pq.write_table(TABLE, tmp_path / "a.parquet")
    return tmp_path


def test_a_column_as_number_and_as_levels_is_read_twice(path: Path) -> None:
    prepared = prepare_fit(job_of(path, "hour, C(hour), C(carrier):distance, B(distance, bins=3), M(at)"))
    assert prepared.columns == (
        ("hour", "numeric"),
        ("distance", "numeric"),
        ("hour", "categorical"),
        ("carrier", "categorical"),
        ("late", "categorical"),
        ("at", "categorical"),
    )
    assert prepared.place("hour", "categorical") == 2
    _, learnt, _ = learnt_by(job_of(path, "hour, C(hour), M(at)"))
    assert learnt.levels["hour"].type == "integer"
    assert learnt.numbers["M(at)"].mean == 0


def test_every_number_is_each_numeric_column_that_is_not_used_otherwise(path: Path) -> None:
    prepared = prepare_fit(job_of(path, "C(carrier), *, log1p(distance)", weight="weight", solve={"key": "key"}))
    assert [term_text(term) for term in prepared.terms] == ["C(carrier)", "hour", "flown", "log1p(distance)"]
    assert (
        "* is 2 numeric columns: hour, flown; left out: late (the target), distance, carrier (used otherwise), "
        "weight (the weight), key (the key), at, list (not numeric)"
    ) in prepared.notes


def test_every_number_of_a_csv_is_what_its_first_rows_have(tmp_path: Path) -> None:
    lines = ["late,x,code,text,day"] + [f"{row % 2},{row}.5,00{row % 7},t{row},2020-01-01" for row in range(50)]
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    prepared = prepare_fit(job_of(tmp_path, "*", data={"csv": CsvOptions(types=(("code", "string"),))}))
    assert [term_text(term) for term in prepared.terms] == ["x"]
    assert "left out: late (the target), code, text, day (not numeric)" in prepared.notes[0]


def test_every_number_of_a_csv_is_written_as_its_options_say(tmp_path: Path) -> None:
    lines = ["late;x;big;point"] + [f"{row % 2};{row},5;1.{row + 100},5;{row}.25" for row in range(50)]
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    csv = CsvOptions(delimiter=";", decimal=",", thousands=".")
    assert [term_text(term) for term in prepare_fit(job_of(tmp_path, "*", data={"csv": csv})).terms] == ["x", "big"]
    csv = replace(csv, thousands="")
    assert [term_text(term) for term in prepare_fit(job_of(tmp_path, "*", data={"csv": csv})).terms] == ["x"]


def test_every_number_says_of_columns_without_a_name_and_of_equal_names(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(",x,y,y,late\n" + "".join(f"{row},{row},1,2,{row % 2}\n" for row in range(9)))
    prepared = prepare_fit(job_of(tmp_path, "*"))
    (note,) = prepared.notes
    assert note == ("* is 1 numeric column: x; left out: y (there twice), late (the target), 1 column (without a name)")


def test_every_number_has_the_decimal_sign_of_the_csv(tmp_path: Path) -> None:
    folder = tmp_path / "year=2013"
    folder.mkdir()
    lines = ["late;x", *(f"{row % 2};1.{row:03},5" for row in range(50))]
    (folder / "a.csv").write_text("\n".join(lines) + "\n")
    csv = CsvOptions(delimiter=";", decimal=",", thousands=".")
    prepared, learnt, _ = learnt_by(job_of(tmp_path, "*", data={"csv": csv}))
    assert [term_text(term) for term in prepared.terms] == ["x"]
    assert learnt.numbers["x"].largest == 1049.5
    assert "left out: year (of the path), late (the target)" in prepared.notes[0]


def test_every_number_of_nothing_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"late": [True, False], "c": ["a", "b"]}), tmp_path / "a.parquet")
    with pytest.raises(UsageError, match=r"no numeric column to fit; there are late \(the target\), c \(not numeric\)"):
        prepare_fit(job_of(tmp_path, "*"))


def test_a_column_missing_in_one_file_is_an_error_unless_absent_is_null(path: Path) -> None:
    pq.write_table(TABLE.drop_columns(["hour"]), path / "b.parquet")
    with pytest.raises(DataError) as caught:
        prepare_fit(job_of(path, "hour, distance"))
    assert "b.parquet: has no column 'hour'" in caught.value.message
    assert "--absent null takes what a file lacks (hour) as null" in caught.value.remedy
    job = job_of(path, "hour, distance", missing="drop", data={"absent": "null"})
    prepared, learnt, _ = learnt_by(job)
    assert [lacking.column for lacking in prepared.lacking] == ["hour"]
    assert (learnt.rows.used, learnt.rows.dropped) == (ROWS, ROWS)


def test_a_name_that_is_nearly_right_is_suggested(path: Path) -> None:
    with pytest.raises(DataError, match='did you mean "distance"'):
        prepare_fit(job_of(path, "distanse"))
    with pytest.raises(DataError, match="has no column 'lat'"):
        prepare_fit(job_of(path, "hour", target="lat"))


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ({"means": {"memory": "60MiB"}}, MemoryBudgetError, "may use only 60 MiB"),
        ({"solve": {"holdout": "hour >"}}, UsageError, "--holdout: expected one number, date or text"),
        (
            {"controls": ("Hour",)},
            UsageError,
            'names Hour, which is not among the features; did you mean "hour"',
        ),
        ({"solve": {"folds": 3, "key": "list"}}, UsageError, "--key list: the column is list<"),
        ({"signs": {"carrier": 1}}, UsageError, "--sign names carrier, which is not a feature that is a number"),
        ({"data": {"csv": CsvOptions(types=(("nope", "int64"),))}}, UsageError, "the job reads no column of that name"),
    ],
)
def test_what_cannot_start_is_refused_before_a_row_is_read(
    path: Path, options: dict[str, Any], code: type[Exception], message: str
) -> None:
    with pytest.raises(code, match=message.replace("?", r"\?")):
        prepare_fit(job_of(path, "hour, distance", **options))


def test_a_refusal_because_of_levels_names_the_option_that_bounds_them(path: Path) -> None:
    with pytest.raises(MemoryBudgetError) as caught:
        prepare_fit(
            job_of(
                path,
                "C(carrier)",
                max_levels=10_000_000,
                means={"memory": f"{max(160, current_bytes() // MIB) + 340}MiB"},
            )
        )
    assert "lower --max-levels" in caught.value.remedy


def test_no_such_input(tmp_path: Path) -> None:
    with pytest.raises(InputMissingError):
        prepare_fit(job_of(tmp_path / "nowhere", "x"))


def test_only_the_first_rows_are_read_under_a_limit(path: Path) -> None:
    _, learnt, _ = learnt_by(job_of(path, "distance", data={"limit": 100}))
    assert learnt.rows.read == learnt.rows.used == 100
    assert learnt.numbers["distance"].largest == 99


def test_files_with_other_types_of_the_same_columns_are_read_together(path: Path) -> None:
    other = {
        "late": pa.array(["true", "false"] * 50).dictionary_encode(),
        "distance": pa.array(range(100), pa.int16()),
        "hour": pa.array([row % 24 for row in range(100)], pa.int64()).cast(pa.decimal128(21, 2)),
        "carrier": pa.array(["AA", None] * 50, pa.large_string()),
        "at": pa.array(["soon", None] * 50),
    }
    pq.write_table(pa.table(other), path / "b.parquet")
    job = job_of(path, "distance, hour, C(carrier), M(at)", missing="indicator")
    _, learnt, sample = learnt_by(job)
    assert learnt.rows.used == ROWS + 100
    assert learnt.classes == (False, True)
    assert learnt.levels["carrier"].counts == {"AA": 150, "B6": 100, "UA": 100}
    assert learnt.numbers["M(at)"].mean == pytest.approx(50 / 400)
    assert [str(type_) for type_ in sample.schema.types] == ["double", "double", "string", "string", "bool", "int8"]
    assert sample["at"].null_count == 50
