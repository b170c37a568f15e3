"""Folds and hold-out: the same rows in any chunks and batches, rows of a key together, comparisons of one column."""

from __future__ import annotations

import datetime as dt
import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.fitting.first_pass.dividing import ColumnComparison, compared, is_missing, parse_holdout, unfit_comparison
from pipeline.fitting.first_pass.hashing import hashes_of, hashes_of_places, mixed
from tests.fitting.jobs import ipc, job_of, learnt_by

ROWS = 12_000
CHANCE = np.random.default_rng(23)
TABLE = pa.table(
    {
        "late": CHANCE.random(ROWS) < 0.4,
        "x": np.arange(ROWS, dtype=np.float64),
        "key": CHANCE.integers(0, 500, ROWS),
        "day": pa.array([dt.date(2013, 1, 1) + dt.timedelta(days=int(day)) for day in CHANCE.integers(0, 365, ROWS)]),
        "note": [f"text {number % 7}" for number in range(ROWS)],
    }
)


def as_parquet(path: Path) -> None:
    pq.write_table(TABLE, path / "rows.parquet", row_group_size=1_000)


def as_csv(path: Path) -> None:
    pc.write_csv(TABLE, path / "rows.csv")


def as_latin(path: Path) -> None:
    text = "late,x,key,day,note\r\n" + "".join(
        f"{row['late']},{row['x']},{row['key']},{row['day']},é{row['note']}\r\n".lower() for row in TABLE.to_pylist()
    )
    (path / "rows.csv").write_bytes(text.encode("latin-1"))


def as_quoted_csv(path: Path) -> None:
    text = "late,x,key,day,note\n" + "".join(
        f'{row["late"]},{row["x"]},{row["key"]},{row["day"]},"two\nlines"\n'.lower() for row in TABLE.to_pylist()
    )
    (path / "rows.csv").write_text(text)


def as_gz(path: Path) -> None:
    as_csv(path)
    (path / "rows.csv.gz").write_bytes(gzip.compress((path / "rows.csv").read_bytes()))
    (path / "rows.csv").unlink()


WRITERS: list[Callable[[Path], None]] = [as_parquet, as_csv, as_quoted_csv, as_latin, as_gz]


def folds_by_row(path: Path, chunk_size: str, batch_rows: int | None = None, **solve: Any) -> dict[float, int]:
    """Return the fold of each row in the sample, by its number."""
    data: dict[str, Any] = {"chunk_size": chunk_size}
    if (path / "rows.csv").exists() and b"\xe9" in (path / "rows.csv").read_bytes():
        from pipeline.types.inputs import CsvOptions

        data["csv"] = CsvOptions(encoding="latin-1")
    _, learnt, sample = learnt_by(job_of(path, "x", data=data, solve=solve), batch_rows)
    assert learnt.rows.used + learnt.rows.held_out == ROWS
    return dict(zip(sample["x"].to_pylist(), sample["(fold)"].to_pylist(), strict=True))


@pytest.mark.parametrize("write", WRITERS)
def test_the_fold_of_a_row_depends_on_its_place_alone(write: Callable[[Path], None], tmp_path: Path) -> None:
    write(tmp_path)
    one = folds_by_row(tmp_path, "100000", folds=4)
    other = folds_by_row(tmp_path, "3000", 501, folds=4)
    both = one.keys() & other.keys()
    assert len(both) > 500
    assert {row: one[row] for row in both} == {row: other[row] for row in both}
    shares = np.bincount(list(one.values()), minlength=4) / len(one)
    assert shares == pytest.approx([0.25] * 4, abs=0.03)


@pytest.mark.parametrize("write", WRITERS)
def test_as_many_rows_are_held_out_in_any_chunks(write: Callable[[Path], None], tmp_path: Path) -> None:
    write(tmp_path)
    data: dict[str, Any] = {}
    if write is as_latin:
        from pipeline.types.inputs import CsvOptions

        data["csv"] = CsvOptions(encoding="latin-1")
    held = {
        learnt_by(job_of(tmp_path, "x", data={"chunk_size": size, **data}, solve={"holdout": "20%"}))[1].rows.held_out
        for size in ("100000", "1000", "3333")
    }
    assert len(held) == 1
    assert held.pop() / ROWS == pytest.approx(0.2, abs=0.02)


@pytest.mark.parametrize("write", [as_parquet, as_csv])
def test_rows_with_one_key_are_in_one_fold_in_every_format(write: Callable[[Path], None], tmp_path: Path) -> None:
    write(tmp_path)
    folds = folds_by_row(tmp_path, "5000", folds=5, key="key")
    keys = TABLE["key"].to_numpy()
    of_key: dict[int, set[int]] = {}
    for row, fold in folds.items():
        of_key.setdefault(int(keys[int(row)]), set()).add(fold)
    assert all(len(found) == 1 for found in of_key.values())
    expected = {int(key): int(value % np.uint64(5)) for key, value in zip(keys, hashes_of(pa.array(keys)), strict=True)}
    assert {key: min(found) for key, found in of_key.items()} == {key: expected[key] for key in of_key}


@pytest.mark.parametrize("write", [as_parquet, as_csv])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("day >= 2013-11-01", lambda row: row["day"] >= dt.date(2013, 11, 1)),
        ("x < 1000", lambda row: row["x"] < 1000),
        ("note == 'text 3'", lambda row: row["note"] == "text 3"),
        ("note != 'text 3'", lambda row: row["note"] != "text 3"),
    ],
)
def test_a_comparison_holds_the_rows_out_of_which_it_is_true(
    write: Callable[[Path], None], text: str, expected: Callable[[dict[str, Any]], bool], tmp_path: Path
) -> None:
    write(tmp_path)
    _, learnt, _ = learnt_by(job_of(tmp_path, "x", solve={"holdout": text}))
    assert learnt.rows.held_out == sum(map(expected, TABLE.to_pylist()))


def test_folds_and_hold_out_do_not_depend_on_each_other(tmp_path: Path) -> None:
    as_parquet(tmp_path)
    one = folds_by_row(tmp_path, "5000", folds=3)
    other = folds_by_row(tmp_path, "5000", folds=3, holdout="10%")
    assert all(one[row] == fold for row, fold in other.items() if row in one)
    assert ipc(pa.table({"fold": list(one.values())})) != ipc(pa.table({"fold": list(other.values())}))


def test_hashes_are_those_of_splitmix64() -> None:
    # The first outputs of the generator with seed 1234567 (https://prng.di.unimi.it/splitmix64.c).
    gamma = 0x9E3779B97F4A7C15
    states = np.array([(1234567 + step * gamma) % 2**64 for step in range(3)], dtype=np.uint64)
    assert mixed(states).tolist() == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_equal_values_have_equal_hashes_in_every_type() -> None:
    texts = ["7", "", None, "a longer text than eight bytes", "7"]
    plain = hashes_of(pa.array(texts))
    assert plain[0] == plain[4]
    assert len(set(plain.tolist())) == 4
    assert hashes_of(pa.array(texts).dictionary_encode()).tolist() == plain.tolist()
    assert hashes_of(pa.array(texts, pa.large_string())[1:]).tolist() == plain[1:].tolist()
    assert hashes_of(pa.array([7], pa.int8()))[0] == plain[0]
    assert hashes_of_places("a.parquet", np.arange(3)).tolist() != hashes_of_places("b.parquet", np.arange(3)).tolist()


@pytest.mark.parametrize("type_", [pa.binary(16), pa.large_binary(), pa.binary_view(), pa.uuid()], ids=str)
def test_bytes_that_are_not_text_have_the_same_hash_in_every_type(type_: pa.DataType) -> None:
    keys = pa.array([b"\xff" * 16, None, b"\x00" * 16], pa.binary())
    assert hashes_of(keys.cast(pa.binary(16)).cast(type_)).tolist() == hashes_of(keys).tolist()


def test_a_dictionary_may_have_as_many_values_as_its_indices_can_number() -> None:
    texts = [str(number) for number in range(128)]
    rows = pa.DictionaryArray.from_arrays(pa.array([127, None, 0], pa.int8()), texts)
    assert hashes_of(rows).tolist() == hashes_of(pa.array(["127", None, "0"])).tolist()
    assert is_missing(rows, ("127",)).tolist() == [True, True, False]
    assert is_missing(pa.array([1.5, None, np.nan]).dictionary_encode()).tolist() == [False, True, True]


@given(st.lists(st.one_of(st.none(), st.text(max_size=40)), min_size=1, max_size=20), st.integers(0, 5))
def test_the_hash_of_a_value_does_not_depend_on_the_others(texts: list[str | None], skipped: int) -> None:
    alone = [hashes_of(pa.array([text], pa.string()))[0] for text in texts]
    together = hashes_of(pa.array([*([""] * skipped), *texts], pa.string()).slice(skipped))
    assert together.tolist() == [int(each) for each in alone]
    assert len({int(each) for each in alone}) == len(set(texts))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("20%", 0.2),
        (" 12.5 % ", 0.125),
        ("date >= 2013-11-01", ColumnComparison("date", ">=", "2013-11-01", "time")),
        ("at<2013-11-01T12:30", ColumnComparison("at", "<", "2013-11-01T12:30", "time")),
        ("year=2013", ColumnComparison("year", "==", "2013", "number")),
        ("x <> -1.5e3", ColumnComparison("x", "!=", "-1.5e3", "number")),
        ("`odd ``name` == 'O''Hare'", ColumnComparison("odd `name", "==", "O'Hare", "text")),
        ('"a b" > "c ""d"""', ColumnComparison("a b", ">", 'c "d"', "text")),
        ("state == NY", ColumnComparison("state", "==", "NY", "text")),
    ],
)
def test_a_hold_out_is_a_share_or_a_comparison(text: str, expected: object) -> None:
    assert parse_holdout(text) == expected


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", 1),
        ("20", 1),
        ("date", 5),
        ("date >= ", 9),
        ("date >= 2013-13-01", 9),
        ("a > 1 and b > 2", 5),
        ("a + b > 1", 3),
        ("a > 'open", 5),
    ],
)
def test_an_error_shows_the_place(text: str, place: int) -> None:
    with pytest.raises(UsageError) as caught:
        parse_holdout(text)
    assert f"at column {place}" in caught.value.message
    assert caught.value.message.splitlines()[-1].index("^") == place + 1
    assert "write a percentage (20%)" in caught.value.remedy


@pytest.mark.parametrize("text", ["0%", "100%", "150%"])
def test_a_share_leaves_rows_on_both_sides(text: str) -> None:
    with pytest.raises(UsageError, match="not between 0% and 100%"):
        parse_holdout(text)


def test_a_constant_of_another_kind_is_refused() -> None:
    number = ColumnComparison("x", ">", "5", "number")
    assert "is date32[day], but --holdout compares it with a number" in str(unfit_comparison(number, pa.date32()))
    time = ColumnComparison("x", ">", "2013-01-01", "time")
    assert "compares it with a date" in str(unfit_comparison(time, pa.int64()))
    assert unfit_comparison(time, pa.timestamp("ns", "UTC")) is None
    assert "neither true nor false" in str(unfit_comparison(ColumnComparison("x", "==", "yes", "text"), pa.bool_()))


def test_text_is_compared_as_what_the_constant_is() -> None:
    texts = pa.array(["9", "10", " 11 ", "x", "NA", None])
    true, wrong = compared(ColumnComparison("x", ">", "9.5", "number"), texts, ("NA",))
    assert true.tolist() == [False, True, True, False, False, False]
    assert wrong.tolist() == [False, False, False, True, False, False]
    days = pa.array(["2013-11-01", "2013-10-31 23:59", "2013-02-30", "1.11.2013"])
    true, wrong = compared(ColumnComparison("x", ">=", "2013-11-01", "time"), days)
    assert true.tolist() == [True, False, False, False]
    assert wrong.tolist() == [False, False, True, True]


LARGE = 2**62


@pytest.mark.parametrize(
    ("sign", "constant", "column", "expected"),
    [
        (">", "99999999999999999999", pa.array([1, 2**63 - 1]), [False, False]),
        (">", "9" * 5_000, pa.array([1, 2]), [False, False]),
        (">", "1.5", pa.array([1, LARGE + 1]), [False, True]),
        (">=", str(LARGE + 1), pa.array([LARGE, LARGE + 1]), [False, True]),
        ("==", str(2**64 - 1), pa.array([2**64 - 2, 2**64 - 1], pa.uint64()), [False, True]),
        (">", "-1", pa.array([0, 2**64 - 1], pa.uint64()), [True, True]),
        ("<", "500", pa.array([1, 2], pa.int8()), [True, True]),
        (">", str(LARGE), pa.array([0.5, 1e30]), [False, True]),
        (">", "2", pa.array([1.5, 2.5], pa.float16()), [False, True]),
        (">", "1500", pa.array(["0.1", "0.2"]).cast(pa.decimal128(38, 37)), [False, False]),
        ("==", str(LARGE + 1), pa.array([LARGE, LARGE + 1]).cast(pa.decimal128(38, 0)), [False, True]),
    ],
)
def test_numbers_of_any_type_and_size_are_compared(
    sign: str, constant: str, column: pa.Array, expected: list[bool]
) -> None:
    true, wrong = compared(parse_holdout(f"x {sign} {constant}"), column)  # type: ignore[arg-type]
    assert (true.tolist(), wrong.any()) == (expected, False)


BY_KEY, BY_GROUP, BY_NAME = {"holdout": "20%", "key": "name"}, {"robust_groups": "name"}, {"holdout": "name == 'b'"}


@pytest.mark.parametrize(
    ("type_", "solve"),
    [
        *((type_, solve) for type_ in (pa.string_view(), pa.large_string()) for solve in (BY_KEY, BY_GROUP, BY_NAME)),
        *((pa.binary_view(), solve) for solve in (BY_KEY, BY_GROUP)),
    ],
    ids=str,
)
def test_names_in_any_type_of_text_or_bytes_divide_rows(
    type_: pa.DataType, solve: dict[str, Any], tmp_path: Path
) -> None:
    names = pa.array(["a", "b", "c", "d", "e"] * 40)
    plain = {"late": np.arange(200) % 7 < 3, "x": np.arange(200.0), "name": names}
    held = []
    for folder, column in ((tmp_path / "plain", names), (tmp_path / "other", names.cast(type_))):
        folder.mkdir()
        pq.write_table(pa.table({**plain, "name": column}), folder / "rows.parquet")
        held.append(learnt_by(job_of(folder, "x", solve=solve))[1].rows.held_out)
    assert held[0] == held[1] < 200
