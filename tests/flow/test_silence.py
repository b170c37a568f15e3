"""Silence never hides a wrong answer: what makes scores meaningless ends the run by default, or is warned of."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

import pipeline
from pipeline.canonical import canonical, digest
from pipeline.errors import DataError, UsageError
from pipeline.flow.judging import cause_of
from pipeline.flow.manifest import CODEC
from pipeline.models import ScoreBlock
from pipeline.types.features import NO_COUNTS, FeatureCounts
from pipeline.types.report import Event, Noted
from tests.flow.conftest import Bench

LEVELS = {"AA": 1.0, "UA": -1.0, "B6": 0.5}
POLICIES = ["null", "zero", {"level": "UA"}, "quarantine"]


def features(unseen: object = "zero", missing: object = "null", x_missing: object = "null") -> list[dict[str, Any]]:
    return [
        {"column": "x", "kind": "numeric", "coefficient": 1.0, "missing": x_missing},
        {"column": "c", "kind": "categorical", "coefficients": LEVELS, "unseen": unseen, "missing": missing},
    ]


def csv(levels: Sequence[str], x: str = "1.5") -> str:
    return "x,c\n" + "".join(f"{x},{level}\n" for level in levels)


def scored(bench: Bench, **options: Any) -> tuple[pipeline.Report, list[str]]:
    """Score, and return the report with what an observer must show."""
    events: list[Event] = []
    model = options.pop("model", None) or bench.model(features())
    report = bench.score(model=model, observe=events.append, **options)
    told = [event.text for event in events if isinstance(event, Noted) and event.always]
    assert told == [warning.text for warning in report.warnings]
    return report, told


def failed(bench: Bench, **options: Any) -> DataError:
    model = options.pop("model", None) or bench.model(features())
    before = sorted(bench.out.rglob("*"))
    with pytest.raises(DataError) as caught:
        bench.score(model=model, **options)
    assert type(caught.value) is DataError
    assert caught.value.exit_code == 65
    assert sorted(bench.out.rglob("*")) == before
    assert str(caught.value).count("\n") <= 2
    return caught.value


def receipts(output: Path) -> list[dict[str, Any]]:
    with (output / "_manifest.receipts").open("rb") as file, CODEC.decompressed(file) as stream:
        return [json.loads(line)["receipt"] for line in stream.read().splitlines()]


@pytest.fixture
def forge(bench: Bench) -> Callable[..., None]:
    """Change the receipt of the only part, and the totals of the manifest, and make all digests agree."""

    def change(receipt: Callable[[dict[str, Any]], object], totals: Callable[[dict[str, Any]], object]) -> None:
        listed, proof = bench.out / "_manifest.receipts", bench.out / "_manifest.json"
        with listed.open("rb") as file, CODEC.decompressed(file) as stream:
            (line,) = [json.loads(text) for text in stream.read().splitlines()]
        receipt(line["receipt"])
        with listed.open("wb") as new, CODEC.compressed(new) as stream:
            stream.write(canonical(line) + b"\n")
        body = json.loads(proof.read_bytes())
        totals(body["totals"])
        content = listed.read_bytes()
        body["receipts"] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        observed = body.pop("observed")
        body.pop("digest")
        proof.write_bytes(canonical({**body, "observed": observed, "digest": digest(body)}) + b"\n")

    return change


def manifest(output: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((output / "_manifest.json").read_bytes())
    return found


def test_a_pipeline_fitted_in_pandas_and_scored_from_to_csv_with_other_codes_ends_with_65(bench: Bench) -> None:
    """The disaster of the issue: every value of a category is unknown, and every probability wrong."""
    random = np.random.default_rng(7)
    frame = pd.DataFrame({"x": random.normal(size=300), "carrier": random.choice(["AA", "UA", "B6"], 300)})
    late = (frame.x + (frame.carrier == "AA") > 0.5).to_numpy()
    encoder = ColumnTransformer([("c", OneHotEncoder(handle_unknown="ignore"), ["carrier"])], remainder="passthrough")
    fitted = make_pipeline(encoder, LogisticRegression()).fit(frame, late)
    pipeline.from_sklearn(fitted).save(model := bench.folder / "fitted.json")
    lower = frame.assign(carrier=frame.carrier.str.lower())
    bench.put("lower.csv", lower.to_csv(index=False))
    error = failed(bench, model=model)
    assert "column carrier: all 300 values (100%) are levels that the model does not know" in error.message
    assert "they differ from known levels only in case or blanks" in error.message
    assert "or allow it with --max-unseen carrier=100%; nothing was published" in error.remedy
    assert error.column == "carrier"
    report = bench.score(model=model, max_unseen="carrier=100%")
    assert [(each.file, each.count) for each in report.warnings] == [("lower.csv", 300)]
    np.testing.assert_allclose(bench.table()["probability"], fitted.predict_proba(lower)[:, 1], rtol=1e-12)


@pytest.mark.parametrize("policy", [*POLICIES, "error"], ids=str)
@pytest.mark.parametrize("parquet", [False, True])
def test_by_default_a_run_fails_where_every_one_of_at_least_100_values_is_unseen_whatever_the_policy(
    bench: Bench, policy: object, parquet: bool
) -> None:
    levels = ["aa", None, "ua"] * 50
    if parquet:
        bench.put("rows.parquet", pa.table({"x": [1.0] * 150, "c": levels}))
    else:
        bench.put("rows.csv", csv([level or "" for level in levels]))
    error = failed(bench, model=bench.model(features(policy)), max_bad="100%")
    assert error.message.startswith(
        "column c: all 100 values (100%) are levels that the model does not know; most frequent: 'aa' (50), 'ua' (50); "
        "known levels: 'AA', 'UA', 'B6'; they differ"
    )


@pytest.mark.parametrize("levels", [["aa"] * 99, ["aa"] * 9_999 + ["AA"]], ids=["too few", "one is known"])
def test_fewer_values_or_one_that_is_known_do_not_fail_by_default(bench: Bench, levels: list[str]) -> None:
    bench.put("rows.csv", csv(levels))
    report, told = scored(bench)
    assert report.published
    assert len(told) == (len(levels) > 99)


@pytest.mark.parametrize(
    ("limit", "fails"),
    [
        ("29%", False), ("28.9%", True), ("0%", True), ("100%", False), ("c=29%", False), ("c=28%", True),
        (["100%", "c=1%"], True), (["1%", "c=100%"], False), ({"c": "29%"}, False), ({"c": "28%"}, True), ((), False),
    ],
    ids=str,
)  # fmt: skip
def test_more_unseen_values_than_the_limit_fail_the_run_and_as_many_do_not(
    bench: Bench, limit: object, fails: bool
) -> None:
    bench.put("rows.csv", csv(["zz"] * 29 + ["AA"] * 71 + [""] * 50))
    if fails:
        assert " 29 of 100 values (29%) are levels that " in failed(bench, max_unseen=limit).message
        assert not bench.out.exists()
    else:
        scored(bench, max_unseen=limit)


@pytest.mark.parametrize(
    ("limit", "fails"),
    [("20%", False), ("19.9%", True), ("c=0%", False), ("x=0%", True), ({"x": "20%", "c": "0%"}, False), ((), False)],
    ids=str,
)
@pytest.mark.parametrize("policy", ["null", {"impute": 3}, "quarantine"], ids=str)
def test_more_missing_values_than_the_limit_fail_the_run_whatever_the_policy(
    bench: Bench, limit: object, fails: bool, policy: object
) -> None:
    values = [1.5] * 8 + [None, float("nan")]
    bench.put("rows.parquet", pa.table({"x": pa.array(values, from_pandas=False), "c": ["AA"] * 10}))
    model = bench.model(features(x_missing=policy))
    if fails:
        error = failed(bench, model=model, max_missing=limit)
        assert error.message.startswith("column x: there is no value in 2 of 10 rows (20%) (--max-missing allows ")
        assert "--max-missing x=100%" in error.remedy
    else:
        scored(bench, model=model, max_missing=limit)


@pytest.mark.parametrize("column", ["x", "c"])
@pytest.mark.parametrize(("rows", "present"), [(1_000, 0), (999, 0), (1_000, 1)])
def test_by_default_a_run_fails_where_a_feature_is_null_in_all_of_at_least_1000_rows(
    bench: Bench, column: str, rows: int, present: int
) -> None:
    table = {"x": pa.array([1.0] * rows), "c": pa.array(["AA"] * rows)}
    some = table[column].slice(0, present)
    table[column] = pa.concat_arrays([some, pa.nulls(rows - present, some.type)])
    bench.put("rows.parquet", pa.table(table))
    if rows == 1_000 and not present:
        error = failed(bench)
        assert error.message == f"column {column}: there is no value in all 1,000 rows (100%)"
        assert (
            error.remedy == f"correct the column, or allow it with --max-missing {column}=100%; nothing was published"
        )
        assert error.column == column
        assert scored(bench, max_missing=f"{column}=100%")[0].totals.resumed == 1
    else:
        assert scored(bench)[1] == []


def test_a_feature_whose_missing_values_are_errors_is_not_judged_by_default(bench: Bench) -> None:
    bench.put("rows.csv", csv([""] * 1_000))
    model = bench.model(features(missing="error"))
    assert bench.score(model=model, max_bad="100%").totals.bad == 1_000
    assert "allows 50%" in failed(bench, model=model, max_bad="100%", max_missing="50%", if_exists="replace").message


def test_rows_that_cannot_be_read_do_not_count(bench: Bench) -> None:
    """Shares are of the rows whose features were looked at: a ragged record says nothing about a column."""
    bench.put("rows.csv", csv(["zz"] * 100) + "ragged\n" * 50 + "no number,AA\n" * 50)
    assert "all 100 values (100%)" in failed(bench, max_bad="60%").message


@pytest.mark.parametrize(
    ("unseen", "warned"), [(0, False), (9, False), (10, True), (60, True)], ids=["none", "below", "a tenth", "most"]
)
def test_a_warning_is_given_from_10_percent_unseen_of_at_least_100_values(
    bench: Bench, unseen: int, warned: bool
) -> None:
    bench.put("rows.csv", csv(["zz"] * unseen + ["UA"] * (100 - unseen) + [""] * 20))
    report, told = scored(bench)
    text = (
        f"column c: {unseen} of 100 values ({unseen}%) are levels that the model does not know; most frequent: "
        f"'zz' ({unseen}); known levels: 'AA', 'UA', 'B6'; they seem to come from another list of codes"
    )
    assert told == ([text] if warned else [])
    observed = manifest(bench.out)["observed"]
    assert observed["warnings"] == [warning.to_json() for warning in report.warnings]


def test_no_warning_is_given_of_fewer_values_or_where_a_limit_was_given_for_the_column(bench: Bench) -> None:
    bench.put("rows.csv", csv(["zz"] * 50 + ["UA"] * 49))
    assert scored(bench)[1] == []
    bench.put("rows.csv", csv(["zz"] * 50 + ["UA"] * 50))
    replace = {"if_exists": "replace"}
    assert len(scored(bench, **replace)[1]) == 1
    for number, limit in enumerate(("c=50%", "50%")):
        assert scored(bench, max_unseen=limit, output=bench.folder / f"out{number}")[1] == []


@pytest.mark.parametrize("chunk_size", [1_000_000, 150, 40])
def test_a_warning_is_given_for_each_file_all_of_whose_at_least_100_values_are_unseen(
    bench: Bench, chunk_size: int
) -> None:
    bench.put("1.csv", csv(["AA"] * 5_000))
    bench.put("2.csv", csv(["aa"] * 140 + [""] * 200))
    bench.put("3.parquet", pa.table({"x": [1.0] * 120, "c": ["NA"] * 110 + [None] * 10}), row_group_size=50)
    bench.put("4.csv", csv(["zz"] * 99))
    bench.put("5.csv", csv(["zz"] * 99 + ["UA"]))
    bench.put("6.csv", csv(["yy"] * 100) + "ragged\n" * 30)
    report, told = scored(bench, chunk_size=chunk_size, max_bad=30)
    assert [(each.file, each.count, each.of) for each in report.warnings] == [
        ("2.csv", 140, 140),
        ("3.parquet", 110, 110),
        ("6.csv", 100, 100),
    ]
    assert told[0].startswith("2.csv: column c: all 140 values (100%) are levels that the model does not know; most ")
    if chunk_size == 40:
        # Each chunk is part of one file, so that what is unseen in it is known to be of that file.
        assert "most frequent: 'aa' (140); " in told[0]
        assert "most frequent: 'NA' (110); " in told[1]


def test_where_the_values_of_a_file_are_not_known_apart_those_of_the_run_are_named(bench: Bench) -> None:
    bench.put("1.csv", csv(["aa"] * 100))
    bench.put("2.csv", csv(["zz"] * 110))
    bench.put("3.csv", csv(["AA"] * 50))
    _, told = scored(bench)
    assert [text.partition(";")[2].partition(";")[0] for text in told] == [
        " most frequent: 'zz' (110), 'aa' (100)",
        " most frequent in the run: 'zz' (at least 110), 'aa' (at least 100)",
        " most frequent in the run: 'zz' (at least 110), 'aa' (at least 100)",
    ]


def test_a_slice_in_which_no_record_begins_says_nothing_about_its_file(bench: Bench) -> None:
    bench.put("1.csv", "x,c,note\n" + "1.5,aa,\n" * 60 + f"1.5,aa,{'n' * 5_000}\n" + "1.5,aa,\n" * 60)
    bench.put("2.csv", csv(["AA"] * 200))
    report, _ = scored(bench, chunk_size="1KiB")
    assert [(each.file, each.count) for each in report.warnings] == [(None, 121), ("1.csv", 121)]


def test_the_warning_about_a_file_stays_where_a_limit_was_given(bench: Bench) -> None:
    bench.put("1.csv", csv(["AA"] * 500))
    bench.put("2.csv", csv(["aa"] * 100))
    assert [each.file for each in scored(bench, max_unseen="c=50%")[0].warnings] == ["2.csv"]


def test_many_unknown_files_are_named_up_to_twenty(bench: Bench) -> None:
    bench.put("00.csv", csv(["AA"] * 30_000))
    for number in range(25):
        bench.put(f"{number + 1:02}.csv", csv(["aa"] * 100))
    files = [warning.file for warning in scored(bench)[0].warnings]
    assert files == [*(f"{number:02}.csv" for number in range(1, 21)), "5 more files"]


def test_a_receipt_keeps_five_spellings_of_its_chunk_with_80_characters_each(bench: Bench) -> None:
    long = "ü" * 100
    bench.put("rows.csv", csv([long] * 30 + [f"v{number % 40}" for number in range(120)] + ["w"] * 9 + ["AA"] * 40))
    report, told = scored(bench)
    (receipt,) = receipts(bench.out)
    assert receipt["features"] == {
        "rows": 199,
        "columns": {
            "c": {
                "missing": 0,
                "unseen": 159,
                "spellings": [["ü" * 80, 30], ["w", 9], ["v0", 3], ["v1", 3], ["v10", 3]],
            }
        },
        "unknown": [],
    }
    assert "(at least 30), 'w' (at least 9), 'v0' (at least 3)" in told[0]
    assert report.warnings[0].frequent[0] == ("ü" * 80, 30)


def test_only_slices_without_a_known_value_are_listed_in_a_receipt(bench: Bench) -> None:
    for number, levels in enumerate((["AA"] * 10, ["zz"] * 9 + ["AA"], ["zz"] * 10, [""] * 10)):
        bench.put(f"{number}.csv", csv(levels))
    scored(bench)
    (receipt,) = receipts(bench.out)
    assert receipt["features"]["unknown"] == [[2, "c", 10], [3, "c", 0]]
    transformed = bench.folder / "transformed"
    pipeline.transform(bench.inputs / "0.csv", "sigmoid(x)", transformed)
    assert "features" not in receipts(transformed)[0]
    assert "features" not in manifest(transformed)["totals"]


def test_after_a_65_the_same_command_with_a_higher_limit_publishes_without_computing_anew(bench: Bench) -> None:
    bench.put("rows.csv", csv(["aa"] * 900))
    failed(bench, chunk_size="1KiB")
    failed(bench, chunk_size="1KiB", max_unseen="99%")
    report, _ = scored(bench, chunk_size="1KiB", max_unseen="100%")
    assert report.totals.chunks > 5
    assert report.totals.resumed == report.totals.chunks
    assert report.totals.bytes_read == 0
    plain = manifest(bench.out)
    scored(bench, chunk_size="1KiB", max_unseen="c=100%", max_missing="7%", output=bench.folder / "other")
    other = manifest(bench.folder / "other")
    assert (plain["digest"], plain["job_id"]) == (other["digest"], other["job_id"])
    assert pipeline.verify(bench.out, inputs=True, sample=3).differences == ()


def test_an_output_that_is_published_is_judged_by_the_limits_of_the_next_command(bench: Bench) -> None:
    bench.put("a.csv", csv(["aa"] * 200))
    bench.put("b.csv", csv(["AA"] * 200 + ["zz"]))
    _, first = scored(bench)
    again, told = scored(bench)
    assert not again.published
    assert told == first
    error = failed(bench, max_unseen="10%")
    assert (
        "201 of 401 values (50.1%) are levels that the model does not know; most frequent: 'aa' (200)" in error.message
    )
    assert error.remedy.endswith("--max-unseen c=100%; the output that is published stays")


def test_chunks_carried_over_count_by_their_receipts(bench: Bench) -> None:
    options = {"chunk_size": 100, "if_exists": "replace"}
    bench.put("1.csv", csv(["aa"] * 150))
    scored(bench, max_unseen="100%", **options)
    bench.put("2.csv", csv(["ua"] * 150))
    error = failed(bench, **options)
    assert "all 300 values (100%)" in error.message
    assert "'aa' (150), 'ua' (150)" in error.message
    bench.put("2.csv", csv(["UA"] * 151))
    report, told = scored(bench, **options)
    assert report.totals.reused
    assert [(each.file, each.count, each.of) for each in report.warnings] == [(None, 150, 301), ("1.csv", 150, 150)]
    assert all("'aa' (150)" in text for text in told)


@pytest.mark.parametrize(
    "counts", ["text", {"rows": 10}, {"rows": 10, "columns": {}, "unknown": [[7, "c", 1]]}], ids=str
)
def test_a_part_with_counts_that_cannot_be_read_is_computed_again(
    bench: Bench, forge: Callable[..., None], counts: object
) -> None:
    bench.put("1.csv", csv(["zz"] * 90_000 + ["AA"]))
    scored(bench)
    forge(lambda receipt: receipt.update(features=counts), lambda totals: None)
    bench.put("2.csv", csv(["AA"]))
    report, told = scored(bench, if_exists="replace")
    assert (report.totals.chunks, report.totals.reused) == (2, 0)
    assert len(told) == 1


@pytest.mark.parametrize("scheduler", ["sync", "threads", "processes"])
@pytest.mark.slow
def test_every_scheduler_says_the_same(bench: Bench, scheduler: str) -> None:
    bench.put("1.csv", csv(["aa", "", "zz", "AA"] * 100))
    bench.put("2.csv", csv(["ua"] * 100))
    options = {"scheduler": scheduler, "chunk_size": "1KiB", "workers": 2}
    report, _ = scored(bench, **options)
    assert [(each.file, each.count, each.of) for each in report.warnings] == [(None, 300, 400), ("2.csv", 100, 100)]
    assert report.warnings[0].frequent == (("aa", 100), ("ua", 100), ("zz", 100))
    error = failed(bench, max_unseen="59%", output=bench.folder / "other", **options)
    assert "300 of 400 values (75%)" in error.message
    assert "(--max-unseen allows 59%)" in error.message


def test_a_run_that_fails_tells_of_everything_else_that_it_found(bench: Bench) -> None:
    bench.put("rows.csv", "x,c,d\n" + ",aa,zz\n" * 1_000)
    also = {"column": "d", "kind": "categorical", "coefficients": LEVELS, "unseen": "zero"}
    events: list[Event] = []
    error = failed(bench, model=bench.model([*features(), also]), observe=events.append)
    assert error.message.startswith("column x: there is no value in all 1,000 rows (100%)\nthe same is true of c, d")
    told = [event.text for event in events if isinstance(event, Noted) and event.always]
    assert [text.partition(":")[0] for text in told] == ["column c", "column d"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_unseen": "cc=20%"}, 'no categorical feature of that name; did you mean "c"'),
        ({"max_unseen": "x=20%"}, "--max-unseen x: this feature is numeric, so that no value is unseen"),
        ({"max_missing": {"y": "20%"}}, "--max-missing y: the model has no feature of that name"),
        ({"max_unseen": "20"}, "'20' is not a share"),
        ({"max_unseen": {"c": "a lot"}}, "'a lot' is not a share"),
        ({"max_unseen": ["20%", "30%"]}, "max_unseen has two limits for all features"),
        ({"max_missing": ["c=20%", "c=30%"]}, "max_missing has two limits for c"),
        ({"sample_rows": 0}, "sample_rows is 0: it must be at least 1"),
    ],
    ids=str,
)  # fmt: skip
def test_a_limit_must_be_a_share_and_name_a_feature_of_the_model(
    bench: Bench, options: dict[str, Any], message: str
) -> None:
    bench.put("rows.csv", csv(["AA"]))
    for function in (bench.score, bench.preview):
        with pytest.raises(UsageError, match=message.replace("(", r"\(")) as refused:
            function(model=bench.model(features()), **options)
        assert refused.value.exit_code == 2


def test_a_limit_of_another_type_says_what_to_write(bench: Bench) -> None:
    with pytest.raises(TypeError, match=r'max_unseen is the float 0\.2; write a percentage, such as max_unseen="20%"'):
        bench.score(model=bench.model(), max_unseen=0.2)


@pytest.mark.parametrize(
    ("spellings", "levels", "cause"),
    [
        (["aa", "ua "], ["AA", "UA"], "case or blanks"),
        (["Ab Cd"], ["abcd"], "case or blanks"),
        (["NA", "null", "NaN", "-", "?"], ["AA"], "missing value"),
        (["True", "no"], ["sunny", "rainy"], "boolean or decimal"),
        (["1.5", "2,0", "1e3"], ["1", "2"], "boolean or decimal"),
        ([r"5\" pipe", r"C:\\new"], ['5" pipe', r"C:\new"], "backslashes"),
        ([r"C:\old"], [r"C:\new"], "other codes"),
        (["Ne\u0301e"], ["Née"], "accents"),
        (["Née"], ["ne\u0301e"], "accents"),
        (["3.5"], ["1.5", "2.5"], "other codes"),
        (["7"], ["1", "2"], "other codes"),
        (["American"], ["AA"], "other codes"),
        ([], ["AA"], None),
    ],
    ids=str,
)
def test_the_likely_cause_is_named(spellings: list[str], levels: list[str], cause: str | None) -> None:
    assert cause_of(dict.fromkeys(spellings, 3), levels) == cause


def test_the_cause_of_most_values_is_named() -> None:
    assert cause_of({"zz": 4, "aa": 3, "NA": 2}, ["AA"]) == "other codes"
    assert cause_of({"zz": 2, "aa": 3, "NA": 2}, ["AA"]) == "case or blanks"


def test_a_number_that_is_no_level_is_another_code_however_it_is_spelled() -> None:
    assert cause_of({"59.0": 9}, ["20", "30"]) == "boolean or decimal"
    assert cause_of({"59.0": 9}, ["20", "30"], reads_numbers=True) == "other codes"
    assert cause_of({"59.5": 9}, ["20", "30"], reads_numbers=True) == "boolean or decimal"


@pytest.mark.parametrize(
    ("level", "parquet", "words"),
    [
        ("NA", False, "they look like missing values: --null NA"),
        ("NA", True, "they look like missing values: write nulls instead"),
        ("True", False, "they are booleans or decimals, the levels are not"),
    ],
)
def test_the_message_says_what_to_do_about_the_cause(bench: Bench, level: str, parquet: bool, words: str) -> None:
    if parquet:
        bench.put("rows.parquet", pa.table({"x": [1.0] * 100, "c": [level] * 100}))
    else:
        bench.put("rows.csv", csv([level] * 100))
    assert words in failed(bench).message
    if "--null" in words:
        assert scored(bench, null="NA")[0].totals.null == 100


@pytest.mark.parametrize(
    ("cell", "options", "named", "works"),
    [
        ("n/a", {}, "--null n/a, and --quoted-null if they are in quotes", {"null": "n/a"}),
        ("n/a", {"null": "-"}, "--null -,n/a, and", {"null": "-,n/a"}),
        (" NA", {}, "--null '\" NA\"', and", {"null": '" NA"'}),
        ('"NA"', {"null": "NA"}, "values: --quoted-null", {"null": "NA", "quoted_null": True}),
        ('"n/a"', {"quoted_null": True}, "values: --null n/a\n", {"null": "n/a", "quoted_null": True}),
        ('""', {}, "values: --quoted-null", {"quoted_null": True}),
        ('""', {"null": "NA"}, "values: --quoted-null", {"null": "NA", "quoted_null": True}),
    ],
)
def test_the_options_that_make_a_word_null_are_named_as_they_work(
    bench: Bench, cell: str, options: dict[str, Any], named: str, works: dict[str, Any]
) -> None:
    bench.put("rows.csv", csv([cell] * 100))
    assert named in f"{failed(bench, **options).message}\n"
    assert scored(bench, **works)[0].totals.null == 100


@pytest.mark.parametrize(("cell", "decimal", "other"), [("1,50", ".", ","), ("1.50", ",", ".")])
def test_another_decimal_sign_is_named_with_its_option(bench: Bench, cell: str, decimal: str, other: str) -> None:
    bench.put("rows.csv", csv([cell] * 100, x="1").replace(f",{cell}", f";{cell}").replace("x,c", "x;c"))
    model = bench.model([{"column": "c", "kind": "categorical", "coefficients": {"1.5": 1.0, "2.5": -1.0}}])
    error = failed(bench, model=model, delimiter=";", decimal=decimal)
    assert f"; their decimal sign is another: --decimal {other}\n" in str(error)
    assert scored(bench, model=model, delimiter=";", decimal=other)[0].totals.scored == 100


def test_a_decimal_sign_is_not_named_where_it_cannot_be_given_or_is_not_read(bench: Bench) -> None:
    bench.put("rows.csv", csv(['"1,5"'] * 100))
    model = bench.model([{"column": "c", "kind": "categorical", "coefficients": {"1.5": 1.0}}])
    assert "--decimal" not in str(failed(bench, model=model))
    bench.put("rows.csv", "c\n" + "1,5\n" * 100)
    model = bench.model([{"column": "c", "kind": "categorical", "coefficients": {"1.5": 1.0}, "levels": "text"}])
    assert "--decimal" not in str(failed(bench, model=model, delimiter=";"))


def test_the_remedy_for_backslashes_works(bench: Bench) -> None:
    bench.put("rows.csv", csv([r"A\"A"] * 100))
    model = bench.model([{"column": "c", "kind": "categorical", "coefficients": {'A"A': 0.1}}])
    with pytest.raises(DataError, match=re.escape(r"only in backslashes: --escape '\'")):
        bench.score(model=model)
    assert bench.score(model=model, escape="\\").totals.null == 0


@pytest.mark.parametrize("parquet", [False, True])
def test_a_preview_reads_the_first_rows_of_at_most_20_files_evenly_spread_and_warns_in_the_same_words(
    bench: Bench, parquet: bool
) -> None:
    for number in range(39):
        levels = ["aa" if number % 4 == 2 else "AA"] * 130 + ["zz"] * 200
        if parquet:
            bench.put(f"{number:02}.parquet", pa.table({"x": [1.0] * 330, "c": levels}), row_group_size=30)
        else:
            bench.put(f"{number:02}.csv", csv(levels))
    model = bench.model(features())
    assert bench.preview(model=model).warnings == ()
    plan = bench.preview(model=model, sample_rows=100)
    suffix = "parquet" if parquet else "csv"
    assert plan.notes[-1] == "the first rows were sampled: 2,000 rows of 20 files"
    assert [(each.file, each.count, each.of) for each in plan.warnings] == [
        (None, 1_000, 2_000),
        *((f"{number:02}.{suffix}", 100, 100) for number in range(2, 39, 4)),
    ]
    assert not any(each.fails for each in plan.warnings)
    for number in range(39):
        bench.put(f"{number:02}.{suffix}", (bench.inputs / f"02.{suffix}").read_bytes())
    (warning,) = bench.preview(model=model, sample_rows=50).warnings
    assert warning.fails
    assert warning.text == (
        "column c: all 1,000 values (100%) are levels that the model does not know; most frequent: 'aa' (1,000); "
        "known levels: 'AA', 'UA', 'B6'; they differ from known levels only in case or blanks"
    )
    assert not bench.out.exists()


def test_a_preview_warns_by_the_limits_that_were_given_and_of_missing_values(bench: Bench) -> None:
    bench.put("rows.csv", csv(["AA"] * 90 + ["zz"] * 10, x=""))
    model = bench.model(features())
    plan = bench.preview(model=model, sample_rows=1_000, max_unseen="9%", max_missing="x=50%")
    assert [(each.lack, each.column, each.fails) for each in plan.warnings] == [
        ("missing", "x", True),
        ("unseen", "c", True),
    ]
    assert bench.preview(model=model, sample_rows=1_000, max_unseen="10%").warnings == ()


def test_a_sample_has_no_more_rows_than_were_asked_for(bench: Bench) -> None:
    bench.put("rows.parquet", pa.table({"x": np.zeros(140_000), "c": ["AA"] * 140_000}))
    assert (
        bench.preview(model=bench.model(features()), sample_rows=70_000).notes[-1].endswith(": 70,000 rows of 1 file")
    )


def test_a_run_warns_of_its_sample_before_it_works(bench: Bench) -> None:
    bench.put("rows.csv", csv(["aa"] * 300))
    events: list[Event] = []
    failed(bench, sample_rows=100, observe=events.append)
    names = [type(event).__name__ for event in events]
    (at,) = [number for number, event in enumerate(events) if isinstance(event, Noted) and event.always]
    assert "Progressed" not in names[:at]


def test_verify_takes_receipts_without_counts_and_finds_counts_that_do_not_add_up(
    bench: Bench, forge: Callable[..., None]
) -> None:
    bench.put("rows.csv", csv(["AA"] * 90 + ["zz"] * 10))
    scored(bench)
    forge(lambda receipt: receipt["features"]["columns"]["c"].update(unseen=9), lambda totals: None)
    assert [(each.subject, each.what) for each in pipeline.verify(bench.out).differences] == [("totals", "features")]
    forge(lambda receipt: receipt.pop("features"), lambda totals: totals.pop("features"))
    assert pipeline.verify(bench.out).differences == ()


SPELLED = st.lists(st.sampled_from(["AA", "aa", "", "NA", "UA", "é" * 90, "z", "y"]), min_size=1, max_size=60)
BLOCK = ScoreBlock.of(
    pipeline.LogisticModel.from_json(
        json.dumps(
            {"format": "logitstream-model", "version": 1, "kind": "logistic", "intercept": 0, "features": features()}
        )
    ).file
)


def counted(levels: Sequence[str], batch: int) -> FeatureCounts:
    column = pa.array([level or None for level in levels])
    found = NO_COUNTS
    for first in range(0, len(levels), batch):
        part = column.slice(first, batch)
        values = BLOCK.block([pa.array([1.0] * len(part)), part])
        found = found.plus(FeatureCounts(len(part), values.features or {}))
    return found


@settings(max_examples=30, deadline=None)
@given(levels=SPELLED, batch=st.integers(1, 20))
def test_pandas_counts_the_same_missing_and_unseen_values(levels: list[str], batch: int) -> None:
    found = counted(levels, batch)
    series = pd.Series(levels)
    unseen = series[~series.isin([*LEVELS, ""])].str[:80].value_counts()
    assert found.rows == len(levels)
    assert found.of("c").missing == int((series == "").sum())
    assert found.of("c").unseen == int(unseen.sum())
    assert dict(found.of("c").spellings) == unseen.to_dict()


@settings(max_examples=30, deadline=None)
@given(levels=SPELLED, batch=st.integers(1, 20))
def test_what_is_kept_of_many_spellings_does_not_depend_on_the_batches(levels: list[str], batch: int) -> None:
    """Receipts are in the digest of a version, and batches depend on the memory."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.types.features._MOST_SPELLINGS", 2)
        assert counted(levels, batch) == counted(levels, len(levels))
        assert len(counted(levels, batch).of("c").spellings) <= 2


@pytest.mark.parametrize(
    ("array", "spelled"),
    [
        (pa.array(["x", "AA", "x", None, "y"]), {"x": 2, "y": 1}),
        (pa.array(["x", "AA", "x", None, "y"], pa.string_view()), {"x": 2, "y": 1}),
        (pa.array(["q", "x", "AA", "x", None, "y"]).slice(1).dictionary_encode(), {"x": 2, "y": 1}),
        (pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, None, 3], pa.int8()), ["x", "x", "UA", "never"]),
         {"x": 2, "never": 1}),
        (pa.DictionaryArray.from_arrays(pa.array([0, 1, 0, 1, 0], pa.uint16()), ["AA", None]), {}),
        (pa.array([7, 7, None, -1, 7], pa.int64()), {"7": 3, "-1": 1}),
        (pa.array([True, False, True, None, True]), {"true": 3, "false": 1}),
    ],
    ids=["text", "views", "slice of a dictionary", "levels twice", "null in the dictionary", "integers", "booleans"],
)  # fmt: skip
def test_unseen_values_are_spelled_as_a_model_file_spells_levels(array: pa.Array, spelled: dict[str, int]) -> None:
    found = (BLOCK.block([pa.array([1.0] * len(array)), array]).features or {}).get("c")
    assert found is not None
    assert dict(found.spellings) == spelled
    assert found.unseen == sum(spelled.values())
