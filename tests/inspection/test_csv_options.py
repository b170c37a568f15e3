"""Inspect reads CSV files with the options that score has: it shows what the others read."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

import pipeline
from jobs import options
from jobs.commands import inspect as inspect_command
from jobs.commands import score as score_command
from pipeline.errors import UsageError
from pipeline.inspection import DataInspection

HERE = "id|name|note|day\r\n1|'Å|b'|NA|2024-02-29\r\n22|'c'|-|2023-01-01\r\n333||x|\r\n".encode("cp1252")
WRITTEN = {"delimiter": "|", "quote": "'", "encoding": "cp1252", "null": ["NA", "-"]}
WORDS = ["--delimiter", "|", "--quote", "'", "--encoding", "cp1252", "--null", "NA", "--null", "-"]


@pytest.fixture
def odd(bench):
    """A CSV that nobody reads without its options."""
    path = bench.inputs / "odd.csv"
    path.write_bytes(HERE)
    return path


def columns(path, **how):
    found = pipeline.inspect(path, **how)
    assert isinstance(found, DataInspection)
    return {column.name: column for column in found.columns}


def names(command):
    return {param.name: param for param in command.params}


def test_inspect_has_the_csv_options_of_score():
    wanted = {param.name for param in score_command.command.params if getattr(param, "section", "") == "CSV"}
    assert len(wanted) == len(options.READ)
    assert wanted <= names(inspect_command.command).keys()


@pytest.mark.parametrize("full", [False, True])
def test_data_is_shown_as_it_is_read(odd, full):
    found = columns(odd, full=full, **WRITTEN)
    assert list(found) == ["id", "name", "note", "day"]
    if not full:
        return
    assert [column.nulls for column in found.values()] == [0, 1, 2, 1]
    assert (found["name"].smallest, found["name"].largest) == ("c", "Å|b")
    assert (found["id"].smallest_number, found["id"].largest_number) == (1.0, 333.0)
    assert list(columns(odd)) != list(found)


def test_the_command_line_has_them_too(odd, cli):
    plain = cli("inspect", odd, "--full")
    assert "1 record that cannot be read" in plain.out
    assert "name the encoding of the file with --encoding NAME" in " ".join(plain.out.split())
    outcome = cli("inspect", odd, "--full", "--json", *WORDS)
    assert (outcome.code, outcome.err) == (0, "")
    by_name = {column["name"]: column for column in json.loads(outcome.out)["columns"]}
    assert (by_name["name"]["largest"], by_name["note"]["nulls"]) == ("Å|b", 2)


@pytest.mark.parametrize("full", [False, True])
def test_a_type_is_that_of_the_column(odd, cli, full):
    found = columns(odd, full=full, **WRITTEN, types={"id": "int64", "day": "date32"})
    assert [column.types[0][0] for column in found.values()] == ["int64", "text", "text", "date32[day]"]
    words = ["--type", "id=int64", "--type", "day=date32", *(["--full"] if full else [])]
    outcome = cli("inspect", odd, "--json", *WORDS, *words)
    assert [column["types"][0]["type"] for column in json.loads(outcome.out)["columns"]] == [
        column.types[0][0] for column in found.values()
    ]
    if full:
        assert (found["id"].smallest, found["id"].largest) == (1, 333)
        assert (found["day"].smallest, found["day"].largest, found["day"].nulls) == ("2023-01-01", "2024-02-29", 1)


def test_cells_that_are_not_of_their_type_are_bad_records(odd):
    found = pipeline.inspect(odd, full=True, **WRITTEN, types={"note": "int64"})
    assert (found.rows, found.bad_records) == (2, 1)
    assert "note is not of type int64" in found.differences[0]


def test_names_for_a_file_without_a_header(bench):
    bench.put("a.csv", "1,2\n3,4\n")
    for full in (False, True):
        found = pipeline.inspect(bench.inputs, full=full, columns=["x", "y"])
        assert [column.name for column in found.columns] == ["x", "y"]
    assert found.rows == 2


def test_what_is_not_csv_takes_them_as_score_does(bench, published, cli):
    bench.put("a.parquet", pa.table({"x": [1, 2], "t": ["5", "7"]}))
    assert pipeline.inspect(bench.inputs, full=True, **WRITTEN) == pipeline.inspect(bench.inputs, full=True)
    read = columns(bench.inputs, full=True, types={"t": "int64"})["t"]
    assert (read.types, read.smallest, read.largest) == ((("int64", 1),), 5, 7)
    quarantine = published.out / "_quarantine"
    assert cli("inspect", quarantine, *WORDS).out == cli("inspect", quarantine).out


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"delimiter": "ab"}, "the delimiter must be one ASCII character, not 'ab'"),
        ({"quote": ","}, "delimiter and quote are both ','"),
        ({"encoding": "utf-99"}, "there is no encoding 'utf-99'"),
        ({"types": {"x": "int65"}}, "'int65' is not a type that a column can be given; did you mean \"int64\"?"),
        ({"types": {"nope": "int64"}}, "--type nope=int64: no file has a column of that name"),
    ],
)
@pytest.mark.parametrize("full", [False, True])
def test_an_option_that_cannot_be_used_is_an_error_of_the_call(bench, how, message, full):
    bench.put("a.csv", "x\n1\n")
    bench.put("b.csv", "x\n1\n")
    with pytest.raises(UsageError) as caught:
        pipeline.inspect(bench.inputs, full=full, **how)
    assert caught.value.message == message
    assert caught.value.remedy


def test_the_remedies_of_inspect_name_only_options_that_it_has(bench, cli):
    bench.inputs.joinpath("a.csv").write_bytes(b"\xffx,y\n1,2\n")
    bench.inputs.joinpath("b.csv").write_bytes("x,y\n".encode("utf-16"))
    bench.inputs.joinpath("c.csv").write_bytes(b'"x,y\n')
    bench.put("d.parquet", pa.table({"x": ["a"]}))
    known = {flag for param in inspect_command.command.params for flag in param.opts}
    errors = [each.error for each in pipeline.inspect(bench.inputs).errors]
    errors += [each.error for each in pipeline.inspect(bench.inputs, full=True, memory="50MiB").errors]
    errors += [each.error for each in pipeline.inspect(bench.inputs, full=True, types={"x": "int64"}).errors]
    assert len(errors) > 6
    for error in errors:
        named = [word.strip(",;()'") for word in error.remedy.split() if word.startswith("--")]
        assert known.issuperset(named), error.remedy
        assert error.remedy
    outcome = cli("inspect", bench.inputs)
    assert outcome.code == 65
    assert outcome.err.splitlines()[0] == "error: 3 files cannot be read"
    assert "add --encoding utf-16" in outcome.err


def test_files_that_do_not_fit_are_not_said_to_be_unreadable(bench, cli):
    bench.put("a.parquet", pa.table({"x": [1]}))
    bench.put("b.csv", "x\n1\n")
    outcome = cli("inspect", bench.inputs, "--full", "--memory", "50MiB")
    assert outcome.code == 71
    head, *_, remedy = outcome.err.splitlines()
    assert head == "error: 2 files do not fit the memory"
    assert remedy == "raise --memory, or leave out --full"
    assert [
        error["remedy"]
        for error in json.loads(cli("inspect", bench.inputs, "--full", "--memory", "50MiB", "--json").out)["errors"]
    ] == [remedy, remedy]
    bench.inputs.joinpath("c.parquet").write_bytes(b"PAR1")
    outcome = cli("inspect", bench.inputs, "--full", "--memory", "50MiB")
    assert outcome.code == 65
    assert outcome.err.splitlines()[0] == "error: 1 file cannot be read, 2 files do not fit the memory"
