"""Looking at a quarantine: its reasons, and where its rows come from."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pipeline
from pipeline.errors import DataError, UsageError
from pipeline.sinks import QuarantineSink
from pipeline.types.rows import BadCell

ROOT = Path(__file__).resolve().parents[2]


def cell(record: int, **other: object) -> BadCell:
    return BadCell(**{"record": record, "column": "x", "text": "t", "cause": "no number"} | other)


def write(path: Path, cells: list[BadCell], file: str = "a.csv", start: int = 0) -> Path:
    with path.open("wb") as stream:
        sink = QuarantineSink(stream)
        for each in cells:
            sink.add(file, start, each)
        sink.close()
    return path


def test_every_row_set_aside_is_counted_by_its_reason(published):
    found = pipeline.inspect(published.out / "_quarantine")
    assert isinstance(found, pipeline.QuarantineInspection)
    counts = {(reason.column, reason.reason, reason.by_policy): reason.rows for reason in found.reasons}
    assert sum(counts.values()) == found.rows == 7
    assert (found.bad, found.errors, found.other_rows) == (4, (), 0)
    by_kind = Counter({True: 0, False: 0})
    for (_, _, by_policy), rows in counts.items():
        by_kind[by_policy] += rows
    assert by_kind == {False: 4, True: 3}
    assert counts["x", "is not a number", False] == 3
    assert [reason.rows for reason in found.reasons] == sorted(counts.values(), reverse=True)
    assert found.output is not None
    assert found.output.totals["quarantined"] == 7


def test_records_are_counted_from_the_beginning_of_their_file(published):
    found = pipeline.inspect(published.out / "_quarantine")
    places = {(each.file, each.record) for reason in found.reasons for each in reason.examples}
    assert places == {("a.csv", n + 1) for n in (3, 77, 150, 180)} | {("b.parquet", n + 1) for n in (7, 42, 61)}
    assert all(each.record_in_file for reason in found.reasons for each in reason.examples)
    lines = (published.inputs / "a.csv").read_bytes()
    for reason in found.reasons:
        for each in reason.examples:
            if each.file == "a.csv":
                assert lines[each.byte :].startswith(each.line.encode())
                assert lines[: each.byte].count(b"\n") == each.record


def test_one_file_of_a_quarantine_is_placed_as_well(published):
    paths = sorted((published.out / "_quarantine").iterdir())
    assert len(paths) > 2
    whole = pipeline.inspect(published.out / "_quarantine")
    records = {(each.file, each.record) for reason in whole.reasons for each in reason.examples}
    apart = [pipeline.inspect(path) for path in paths]
    assert sum(found.rows for found in apart) == whole.rows
    assert {(e.file, e.record) for found in apart for reason in found.reasons for e in reason.examples} == records


def test_options_of_a_scan_are_none_of_a_quarantine(published):
    with pytest.raises(UsageError, match="--workers is only for data that is read with --full") as caught:
        pipeline.inspect(published.out / "_quarantine", full=True, workers=2)
    assert caught.value.remedy == "leave it out"


def test_without_its_output_a_quarantine_counts_within_its_slices(published, tmp_path, cli):
    alone = tmp_path / "_quarantine"
    shutil.copytree(published.out / "_quarantine", alone)
    found = pipeline.inspect(alone)
    assert (found.rows, found.output) == (7, None)
    examples = [each for reason in found.reasons for each in reason.examples]
    assert not any(each.record_in_file for each in examples)
    assert any(each.record < 60 < each.byte for each in examples if each.byte)
    shown = cli("inspect", alone).out
    assert " of the range that begins at byte " in shown
    assert " of the range that begins at row group " in shown


@pytest.mark.parametrize("name", ["_manifest.json", "_manifest.receipts"])
def test_a_damaged_manifest_hides_the_place_in_the_file_and_nothing_else(copy, name):
    content = bytearray((copy / name).read_bytes())
    content[20] ^= 1
    (copy / name).write_bytes(content)
    found = pipeline.inspect(copy / "_quarantine")
    assert found.rows == 7
    assert "are numbered within a range" in found.notes[0]
    assert not any(each.record_in_file for reason in found.reasons for each in reason.examples)


def test_inputs_of_one_name_in_a_chunk_are_not_told_apart(bench, tmp_path):
    for folder, rows in (("one", "1,a\n2,a\n"), ("two", "3,a\nbad,a\n")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.csv").write_text(f"x,c\n{rows}")
    bench.put("unused.csv", "x,c\n1,a\n")
    bench.score()
    pipeline.score(
        [tmp_path / "one", tmp_path / "two"], tmp_path / "model.json", tmp_path / "both", max_bad=9, scheduler="sync"
    )
    ((example,),) = (reason.examples for reason in pipeline.inspect(tmp_path / "both" / "_quarantine").reasons)
    assert (example.file, example.record, example.record_in_file) == ("a.csv", 2, False)


def test_three_examples_of_each_reason_are_kept_and_long_text_is_cut(tmp_path):
    cells = [cell(n, text="t" * 5_000, offset=n * 10, line="l" * 60_000) for n in range(20)]
    found = pipeline.inspect(write(tmp_path / "part.quarantine", cells))
    (reason,) = found.reasons
    assert reason.rows == 20
    assert [each.record for each in reason.examples] == [1, 2, 3]
    assert all(len(each.cell) == len(each.line) == 200 for each in reason.examples)


def test_nothing_that_acts_on_a_terminal_reaches_one(tmp_path, cli):
    evil = "\x1b]0;title\x07\n\u202e"
    cells = [cell(0, text=evil, column=evil, cause="other type", values=(evil,), line=evil, offset=0)]
    path = write(tmp_path / "part.quarantine", cells, file=evil)
    outcome = cli("inspect", path)
    assert outcome.code == 0
    assert all(character.isprintable() for character in outcome.out.replace("\n", ""))
    assert r"\x1b]0;title\x07\n\u202e" in outcome.out
    as_json = cli("inspect", path, "--json").out
    assert all(character.isprintable() for character in as_json.replace("\n", ""))
    assert json.loads(as_json)["reasons"][0]["examples"][0]["line"] == evil


def test_reasons_beyond_a_thousand_are_counted_together(tmp_path):
    cells = [cell(n, cause="other type", values=(f"type {n % 1_050}",)) for n in (*range(1_050), 1_055)]
    found = pipeline.inspect(write(tmp_path / "part.quarantine", cells))
    assert (found.rows, len(found.reasons), found.other_rows) == (1_051, 1_000, 50)
    assert (found.reasons[0].reason, found.reasons[0].rows) == ("is not of type type 5", 2)


def test_a_damaged_file_is_named_and_the_others_are_shown(tmp_path, cli):
    write(tmp_path / "a.quarantine", [cell(0)])
    whole = write(tmp_path / "b.quarantine", [cell(n, line="x" * 500) for n in range(50)]).read_bytes()
    (tmp_path / "b.quarantine").write_bytes(whole[: len(whole) // 2])
    pq.write_table(pa.table({"file": ["a"]}), tmp_path / "c.quarantine")
    outcome = cli("inspect", tmp_path)
    assert outcome.code == 65
    assert "files  1" in outcome.out
    assert outcome.err.splitlines()[0] == "error: 2 files cannot be read"
    assert "b.quarantine is cut short" in outcome.err
    assert "c.quarantine is not a quarantine written by logitstream" in outcome.err
    with pytest.raises(DataError, match=r"c\.quarantine is not a quarantine"):
        raise pipeline.inspect(tmp_path / "c.quarantine").errors[0].error


def test_json_has_the_keys_that_are_documented(published, cli):
    outcome = cli("inspect", published.out / "_quarantine", "--json")
    assert outcome.code == 0
    found = json.loads(outcome.out)
    assert (found["kind"], found["schema_version"]) == ("quarantine", 2)
    assert (found["rows"], found["bad"], found["by_policy"]) == (7, 4, 3)
    assert set(found["reasons"][0]) == {"reason", "column", "by_policy", "rows", "examples"}
    assert found["output"]["rows"]["read"] == 300
    from pipeline.inspection import json as documented

    names = {
        *found,
        *found["reasons"][0],
        *found["reasons"][0]["examples"][0],
        *found["output"],
        *found["output"]["rows"],
    }
    assert [name for name in names if f"``{name}``" not in documented.__doc__] == []


@pytest.mark.slow
def test_memory_does_not_grow_with_the_rows(tmp_path):
    code = (
        "import sys, pyarrow as pa, pipeline\n"
        "for path in sys.argv[1:]:\n"
        "    print(pipeline.inspect(path, full=True).rows, pa.default_memory_pool().max_memory())"
    )
    paths = []
    for size in (1, 4):
        cells = [cell(n, line="l" * 16_000, offset=n) for n in range(1_000 * size)]
        paths.append(write(tmp_path / f"{size}.quarantine", cells))
    for size in (2, 6):
        table = pa.table({"s": pa.array(f"{n:0400}" for n in range(100_000 * size))})
        paths.append(tmp_path / f"{size}.parquet")
        pq.write_table(table, paths[-1], use_dictionary=False, row_group_size=table.num_rows)
    done = subprocess.run(
        [sys.executable, "-c", code, *paths],
        env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    found = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
    assert [rows for rows, _ in found] == [1_000, 4_000, 200_000, 600_000]
    peaks = [peak for _, peak in found]
    # of 16 MB and 64 MB, of 80 MB and 240 MB of text
    assert peaks[1] < 1.25 * peaks[0]
    assert peaks[3] < 1.25 * peaks[2]
