"""One file as the output: the rows of the folder in their order, and the same bytes however it is run."""

from __future__ import annotations

import csv
import io
import json
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pipeline
from pipeline import flow, publish
from pipeline.disk import newfile
from pipeline.errors import DataError, OutputError, StorageError, TemporaryError, UsageError
from pipeline.flow.manifest import CODEC
from pipeline.interface import score_job
from pipeline.memory import current_bytes
from pipeline.publish.local.listing import runs
from pipeline.publish.local.published import open_published
from pipeline.publish.local.restoring import rollback
from pipeline.units import MIB
from tests.flow.conftest import Bench, tree
from tests.flow.test_resume import StopAfter

ROWS, GROUP = 600, 50
CHUNK = 150


def fill(bench: Bench) -> pa.Table:
    random = np.random.default_rng(4)
    words = [None, "", "plain", 'say "no"', "a,b", "two\nlines", " spaced ", "NaN"]
    table = pa.table(
        {
            "x": random.normal(size=ROWS),
            "c": random.choice(["a", "b", None], size=ROWS),
            "text": pa.array([words[int(n)] for n in random.integers(len(words), size=ROWS)]),
            "level": pa.array(random.choice(["low", "high"], size=ROWS)).dictionary_encode(),
            "id": np.arange(ROWS),
        }
    )
    bench.put("rows.parquet", table, row_group_size=GROUP)
    return table


def score(bench: Bench, name: str, **options: Any) -> pipeline.Report:
    return bench.score(output=bench.folder / name, **{"keep": ["id", "text", "level"], "chunk_size": CHUNK} | options)


def home(bench: Bench, name: str) -> Path:
    return bench.folder / f".{name}.logitstream"


def test_parquet_has_the_rows_of_the_folder_in_their_order(bench: Bench) -> None:
    fill(bench)
    score(bench, "out")
    report = score(bench, "scores.parquet")
    found = pq.read_table(bench.folder / "scores.parquet")
    assert found.schema == bench.table().schema
    assert found.to_pylist() == bench.table().to_pylist()
    assert found["id"].to_pylist() == list(range(ROWS))
    assert (report.totals.written, report.totals.chunks) == (ROWS, ROWS // CHUNK)
    frame = found.to_pandas()
    pd.testing.assert_frame_equal(pd.read_parquet(bench.folder / "scores.parquet"), frame)
    assert pl.read_parquet(bench.folder / "scores.parquet")["probability"].to_list() == found["probability"].to_pylist()


def test_row_groups_are_as_planned_and_pages_have_checksums(bench: Bench) -> None:
    fill(bench)
    report = score(bench, "scores.parquet")
    path = bench.folder / "scores.parquet"
    metadata = pq.read_metadata(path)
    groups = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
    planned = report.plan.row_group_rows
    assert groups == [planned] * (ROWS // planned) + [ROWS % planned] * bool(ROWS % planned)
    content = bytearray(path.read_bytes())
    column = metadata.row_group(0).column(0)
    content[column.data_page_offset + column.total_compressed_size // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(OSError, match="CRC"):
        pq.read_table(path, page_checksum_verification=True)


def test_csv_has_one_header_and_the_bytes_of_the_parts(bench: Bench) -> None:
    table = fill(bench)
    score(bench, "out", format="csv")
    score(bench, "scores.csv")
    content = (bench.folder / "scores.csv").read_bytes()
    parts = [path.read_bytes() for path in sorted(bench.out.glob("*.csv"))]
    header = b"id,text,level,probability\n"
    assert len(parts) == ROWS // CHUNK
    assert content == header + b"".join(part.removeprefix(header) for part in parts)
    rows = list(csv.reader(io.StringIO(content.decode(), newline="")))
    assert [row[0] for row in rows[1:]] == [str(number) for number in range(ROWS)]
    assert [row[1] for row in rows[1:]] == [text or "" for text in table["text"].to_pylist()]
    frame = pd.read_csv(bench.folder / "scores.csv", keep_default_na=False, na_values={"probability": [""]})
    assert list(frame["id"]) == list(range(ROWS))


def test_floats_of_a_csv_read_back_as_the_same_bits(bench: Bench) -> None:
    fill(bench)
    score(bench, "out")
    score(bench, "scores.csv")
    rows = list(csv.reader(io.StringIO((bench.folder / "scores.csv").read_text(), newline="")))[1:]
    expected = bench.table()["probability"].to_pylist()
    found = [float(row[3]) if row[3] else None for row in rows]
    assert None in expected
    assert [f is None or struct.pack("<d", f) for f in found] == [e is None or struct.pack("<d", e) for e in expected]


@pytest.mark.parametrize("name", ["scores.parquet", "scores.csv"])
def test_bytes_do_not_depend_on_how_it_was_run(bench: Bench, name: str) -> None:
    fill(bench)
    score(bench, name)
    expected = (bench.folder / name).read_bytes()
    (bench.folder / name).unlink()
    small = max(160 * MIB, current_bytes()) + 40 * MIB
    assert score(bench, name, scheduler="threads", workers=3, memory=small).published
    assert (bench.folder / name).read_bytes() == expected


@pytest.mark.parametrize(("name", "after"), [("scores.parquet", 3), ("scores.csv", 1)])
def test_a_run_that_was_stopped_goes_on_to_the_same_bytes(bench: Bench, name: str, after: int) -> None:
    fill(bench)
    output = bench.folder / name
    score(bench, name)
    expected = output.read_bytes()
    output.unlink()
    watch = StopAfter(after)
    options: dict[str, Any] = {"keep": ["id", "text", "level"], "chunk_size": CHUNK, "scheduler": "sync"}
    with pytest.raises(TemporaryError):
        flow.run(score_job(bench.inputs, bench.model(), output, **options), watch, watch.stop)
    assert not output.exists()
    assert [run.chunks for run in runs(output)] == [after]
    report = score(bench, name)
    assert report.totals.resumed == after
    assert output.read_bytes() == expected
    assert runs(output) == ()


def test_a_run_killed_while_it_merges_goes_on_from_all_of_its_chunks(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(bench)
    real = newfile.write_all

    def refuse(descriptor: int, data: memoryview, path: Path) -> None:
        if path.name == "merged":
            raise KeyboardInterrupt
        real(descriptor, data, path)

    with monkeypatch.context() as patched:
        patched.setattr(newfile, "write_all", refuse)
        with pytest.raises(KeyboardInterrupt):
            score(bench, "scores.csv")
    assert not (bench.folder / "scores.csv").exists()
    report = score(bench, "scores.csv")
    assert report.totals.resumed == ROWS // CHUNK
    assert (bench.folder / "scores.csv").read_bytes().count(b"probability") == 1


@pytest.mark.parametrize("name", ["scores.parquet", "scores.csv"])
def test_no_rows(bench: Bench, name: str) -> None:
    bench.put("rows.csv", "x,c\n")
    with pytest.raises(DataError, match="no rows"):
        bench.score(output=bench.folder / name)
    report = bench.score(output=bench.folder / name, allow_empty=True)
    assert report.totals.read == 0
    if name.endswith(".csv"):
        assert (bench.folder / name).read_bytes() == b"probability\n"
    else:
        assert pq.read_table(bench.folder / name).schema.names == ["probability"]
        assert pq.read_table(bench.folder / name).num_rows == 0
    assert pipeline.verify(bench.folder / name).differences == ()


def test_the_same_job_again_does_nothing(bench: Bench) -> None:
    fill(bench)
    score(bench, "scores.parquet")
    before = tree(bench.folder)
    again = score(bench, "scores.parquet")
    assert not again.published
    assert again.totals.written == ROWS
    assert "nothing to do" in again.notes[0]
    assert tree(bench.folder) == before


def test_another_job_replaces_it_and_can_be_rolled_back(bench: Bench) -> None:
    fill(bench)
    output = bench.folder / "scores.parquet"
    score(bench, "scores.parquet")
    first = output.read_bytes()
    bench.refused(OutputError, output=output, raw_prediction=True)
    report = score(bench, "scores.parquet", if_exists="replace", raw_prediction=True)
    assert report.totals.reused == 0
    assert "raw_prediction" in pq.read_schema(output).names
    rollback(output, codec=CODEC)
    assert output.read_bytes() == first
    assert pipeline.verify(output).differences == ()


def test_a_file_that_is_not_ours_is_refused(bench: Bench) -> None:
    fill(bench)
    (bench.folder / "scores.csv").write_text("mine")
    text = bench.refused(OutputError, output=bench.folder / "scores.csv", if_exists="replace")
    assert "mv -T" in text


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("x.csv", {"format": "parquet"}, "means csv"),
        ("x.parquet", {"format": "csv"}, "means parquet"),
        ("x.csv", {"compression": "gzip"}, "a CSV in one file is not compressed"),
    ],
)
def test_contradictions(bench: Bench, name: str, options: dict[str, Any], reason: str) -> None:
    fill(bench)
    assert reason in bench.refused(UsageError, output=bench.folder / name, **options)


def test_the_format_follows_the_name(bench: Bench) -> None:
    fill(bench)
    for name in ("a.csv", "b.parquet"):
        score(bench, name)
    assert (bench.folder / "a.csv").read_bytes().startswith(b"id,text")
    assert (bench.folder / "b.parquet").read_bytes().startswith(b"PAR1")


def test_a_slash_at_the_end_asks_for_a_folder(bench: Bench) -> None:
    fill(bench)
    bench.score(output=f"{bench.folder}/scores.parquet/", chunk_size=CHUNK)
    assert len(list((bench.folder / "scores.parquet").glob("part-*.parquet"))) == ROWS // CHUNK


def test_compression_of_parquet_is_that_of_the_file(bench: Bench) -> None:
    fill(bench)
    score(bench, "scores.parquet", compression="zstd")
    assert pq.read_metadata(bench.folder / "scores.parquet").row_group(0).column(0).compression == "ZSTD"


def test_the_quarantine_lies_beside_and_the_note_says_where(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["x,c", *(f"{'oops' if row % 40 == 7 else row},a" for row in range(200))]
    bench.put("rows.csv", "\n".join(lines) + "\n")
    model = bench.model()
    monkeypatch.chdir(bench.folder)
    report = pipeline.score("in", model, "scores.csv", chunk_size="400B", max_bad=10, scheduler="sync")
    assert (report.totals.read, report.totals.written, report.totals.bad) == (200, 195, 5)
    (note,) = (note for note in report.notes if "quarantine" in note)
    where = note.rpartition("logitstream inspect ")[2]
    assert where.startswith(".scores.csv.logitstream/files/")
    rows = [row for path in sorted(Path(where).iterdir()) for row in pq.read_table(path).to_pylist()]
    assert [row["cell"] for row in rows] == ["oops"] * 5
    assert len(Path("scores.csv").read_text().splitlines()) == 196
    assert sum(each.rows for each in pipeline.inspect(where).reasons) == 5


def test_verify_checks_the_file_the_quarantine_and_the_balance(bench: Bench) -> None:
    bench.put("rows.csv", "\n".join(["x,c", *(f"{'oops' if row == 70 else row},a" for row in range(200))]) + "\n")
    output = bench.folder / "scores.csv"
    bench.score(output=output, chunk_size="400B", max_bad=1)
    found = pipeline.verify(output, inputs=True, sample=100)
    assert found.differences == ()
    assert (found.rows, found.bytes) == (199, output.stat().st_size)
    assert found.chunks_scored == found.parts > 2
    next(home(bench, "scores.csv").rglob("*.quarantine")).write_bytes(b"")
    subjects = {difference.subject for difference in pipeline.verify(output).differences}
    (subject,) = subjects
    assert subject.startswith(".scores.csv.logitstream/files/")


@pytest.mark.parametrize("name", ["scores.parquet", "scores.csv"])
def test_a_flipped_bit_and_a_cut_are_found_anywhere(bench: Bench, name: str) -> None:
    fill(bench)
    score(bench, name)
    output = bench.folder / name
    whole = output.read_bytes()
    random = np.random.default_rng(1)
    for _ in range(5):
        content = bytearray(whole)
        content[random.integers(len(whole))] ^= 1 << int(random.integers(8))
        output.write_bytes(content)
        assert "sha256" in {difference.what for difference in pipeline.verify(output).differences}
        output.write_bytes(whole[: random.integers(len(whole))])
        assert {"size", "sha256"} <= {difference.what for difference in pipeline.verify(output).differences}
    output.write_bytes(whole)
    assert pipeline.verify(output).differences == ()


def test_a_sample_is_compared_with_the_digests_of_the_parts(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(bench)
    output = bench.folder / "scores.parquet"
    score(bench, "scores.parquet")
    content = output.read_bytes()
    output.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    found = pipeline.verify(output, sample=4)
    # The file is damaged, but what it was made from is right.
    assert {difference.what for difference in found.differences} == {"sha256", "content"}
    assert found.chunks_scored == 4


def test_the_manifest_lists_the_parts_as_they_were(bench: Bench) -> None:
    fill(bench)
    score(bench, "out")
    score(bench, "scores.parquet")
    with open_published(bench.out, CODEC) as folder, open_published(bench.folder / "scores.parquet", CODEC) as file:
        assert [(p.name, p.file.sha256) for p in file.parts] == [(p.name, p.file.sha256) for p in folder.parts]
        assert folder.manifest is not None
        assert file.manifest is not None
        assert file.manifest.body["totals"] == folder.manifest.body["totals"]
    (digest,) = os.listdir(home(bench, "scores.parquet") / "files")  # noqa: PTH208
    manifest = json.loads((home(bench, "scores.parquet") / "files" / digest / "_manifest.json").read_text())
    assert manifest["file"]["sha256"] == digest
    assert manifest["file"]["rows"] == ROWS


def test_the_free_space_is_counted_twice(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(bench)
    monkeypatch.setattr(publish.LocalStore, "free_bytes", staticmethod(lambda _: 15_000))
    score(bench, "out", keep=["id"])
    with pytest.raises(StorageError, match="are free there"):
        score(bench, "scores.csv", keep=["id"])


def test_an_expression_is_written_to_one_file(bench: Bench) -> None:
    fill(bench)
    dataset = pipeline.open_dataset(bench.inputs, chunk_size=CHUNK)
    x = dataset.to_dask_array(["x"])
    dataset.write({"twice": x[:, 0] * 2}, bench.folder / "twice.parquet", keep=["id"])
    found = pq.read_table(bench.folder / "twice.parquet")
    assert found["id"].to_pylist() == list(range(ROWS))
    assert found["twice"].to_pylist() == [2 * value for value in pq.read_table(bench.inputs)["x"].to_pylist()]
