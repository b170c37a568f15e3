"""Whether an output is what was published: every kind of damage is found and named, and nothing else."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pipeline
from pipeline import disk, verification
from pipeline.canonical import canonical, digest
from pipeline.errors import DataError, InputMissingError, OutputError, TemporaryError, ThresholdError


def differences(output: Path, **options: Any) -> list[tuple[str, str]]:
    return [(each.subject, each.what) for each in pipeline.verify(output, **options).differences]


def part(output: Path, number: int = 1) -> Path:
    return sorted(output.glob("part-*"))[number]


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def forge(output: Path, body: Callable[[Any], None], line: Callable[[Any], None] = lambda _: None) -> None:
    """Edit a manifest and its receipts, and make every digest in them right again."""
    receipts = output / "_manifest.receipts"
    with pa.CompressedInputStream(receipts, "zstd") as stream:
        lines = [json.loads(text) for text in stream.read().splitlines()]
    for each in lines:
        line(each)
    with pa.CompressedOutputStream(receipts, "zstd") as stream:
        stream.write(b"".join(canonical(each) + b"\n" for each in lines))
    manifest = json.loads((output / "_manifest.json").read_text())
    text = receipts.read_bytes()
    manifest["receipts"] = {"bytes": len(text), "sha256": hashlib.sha256(text).hexdigest()}
    body(manifest)
    manifest["digest"] = digest({k: v for k, v in manifest.items() if k not in {"observed", "digest"}})
    (output / "_manifest.json").write_bytes(canonical(manifest) + b"\n")


def test_what_logitstream_did_not_publish_is_not_in_the_way(tmp_path):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "thesis.txt").write_text("all of it")
    (tmp_path / "theirs.parquet").write_bytes(b"PAR1")
    for name in ("theirs", "theirs.parquet"):
        with pytest.raises(OutputError, match="was not published by logitstream") as caught:
            pipeline.verify(tmp_path / name)
        assert caught.value.remedy == "give the name of an output that logitstream published"


def test_what_was_published_holds(published, cli):
    found = pipeline.verify(published.out, inputs=True, sample=2)
    assert (found.differences, found.rows, found.inputs, found.chunks_scored) == ((), 293, 2, 2)
    assert found.parts == len(list(published.out.glob("part-*"))) > 4
    outcome = cli("verify", published.out, "--inputs", "--sample", "2")
    assert (outcome.code, outcome.err) == (0, "")
    (line,) = outcome.out.splitlines()
    assert line.startswith(f"{published.out}: {found.parts} parts, 293 rows, ")
    assert line.endswith(", as published; inputs: 2 unchanged; 2 chunks scored again: the same bits")
    assert cli("verify", published.out).out.endswith(", as published\n")


def test_every_chunk_scored_again_has_the_same_bytes(published):
    assert pipeline.verify(published.out, sample=1_000).chunks_scored == len(list(published.out.glob("part-*")))


def test_nothing_is_left_behind_and_nothing_is_changed(published):
    def state(folder: Path) -> dict[str, int]:
        return {str(path): path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}

    before = state(published.folder)
    pipeline.verify(published.out, inputs=True, sample=1)
    assert state(published.folder) == before


def test_a_flipped_byte_of_a_part(copy, cli):
    path = part(copy)
    # the last byte of the last page of a column, which has a separate checksum
    column = pq.read_metadata(path).row_group(0).column(0)
    flip(path, (column.dictionary_page_offset or column.data_page_offset) + column.total_compressed_size - 1)
    found = pipeline.verify(copy).differences
    assert {(each.subject, each.what) for each in found} == {(path.name, "sha256"), (path.name, "content")}
    outcome = cli("verify", copy)
    assert outcome.code == 3
    header, _, *rows = outcome.out.splitlines()
    assert header.split() == ["subject", "what", "expected", "found"]
    assert len(rows) == 2
    message, remedy = outcome.err.splitlines()
    assert message == f"error: {copy} is not what was published: 2 differences"
    assert remedy.endswith("adding --if-exists replace --no-reuse, to make every part again")


def test_every_byte_of_a_part_counts(copy):
    path = part(copy)
    whole = path.read_bytes()
    for at in range(0, len(whole), 97):
        flip(path, at)
        assert (path.name, "sha256") in differences(copy), at
        path.write_bytes(whole)
    assert differences(copy) == []


def test_a_truncated_part(copy):
    path = part(copy)
    os.truncate(path, 400)
    assert differences(copy) == [(path.name, "size"), (path.name, "sha256"), (path.name, "content")]


def test_a_missing_part(copy):
    path = part(copy)
    path.unlink()
    assert differences(copy) == [(path.name, "file")]


def test_a_part_that_is_a_link(copy):
    path = part(copy)
    path.rename(copy.parent / "elsewhere")
    path.symlink_to(copy.parent / "elsewhere")
    assert differences(copy) == [(path.name, "file")]


def test_a_part_under_the_name_of_another(copy):
    one, other = part(copy, 0), part(copy, 1)
    one.write_bytes(other.read_bytes())
    assert (one.name, "sha256") in differences(copy)


@pytest.mark.parametrize("name", ["extra", "part-9999999-0123456789abcdef.parquet", "_quarantine/extra", ".hidden"])
def test_an_extra_file(copy, name):
    (copy / name).write_bytes(b"")
    assert differences(copy) == [(name, "file")]


def test_a_damaged_a_missing_quarantine(copy):
    first, second = sorted((copy / "_quarantine").iterdir())[:2]
    flip(first, 50)
    second.unlink()
    found = differences(copy)
    assert (f"_quarantine/{first.name}", "sha256") in found
    assert (f"_quarantine/{second.name}", "file") in found
    shutil.rmtree(copy / "_quarantine")
    assert (f"_quarantine/{first.name}", "file") in differences(copy)


@pytest.mark.parametrize("change", [(b'"rows":293', b'"rows":294'), (b"{", b"["), (b'"score"', b'"sc\\u006fre"')])
def test_an_edited_manifest(copy, change, cli):
    path = copy / "_manifest.json"
    path.write_bytes(path.read_bytes().replace(*change))
    assert differences(copy) == [("_manifest.json", "content")]
    outcome = cli("verify", copy)
    assert outcome.code == 3
    assert outcome.err.endswith(": 1 difference\n")


def test_what_is_wrong_is_said_whatever_the_name_of_the_output(copy):
    output = copy.rename(copy.parent / "scores: new")
    flip(output / "_manifest.receipts", 10)
    (receipts,) = pipeline.verify(output).differences
    assert receipts.found == "its _manifest.receipts was damaged or edited"
    (output / "_manifest.json").write_text("{}")
    (manifest,) = pipeline.verify(output).differences
    assert manifest.found.startswith("its _manifest.json was damaged or edited")


def test_an_edited_and_a_missing_receipts_file(copy):
    path = copy / "_manifest.receipts"
    flip(path, path.stat().st_size // 2)
    assert differences(copy) == [("_manifest.receipts", "content")]
    path.unlink()
    assert differences(copy) == [("_manifest.receipts", "content")]


@pytest.mark.parametrize("name", ["read", "written", "scored", "null", "nan", "quarantined", "bad"])
def test_an_edited_total_with_a_digest_that_holds(copy, name):
    def edit(manifest: Any) -> None:
        manifest["totals"][name] += 1

    forge(copy, edit)
    assert differences(copy) == [("totals", name)]


def test_an_account_that_does_not_balance_with_digests_that_hold(copy):
    def edit(line: Any) -> None:
        if line["name"] == part(copy, 0).name:
            line["receipt"]["accounts"][0]["read"] += 1

    forge(copy, lambda _: None, edit)
    assert differences(copy) == [(part(copy, 0).name, "balance"), ("totals", "read")]


def test_scores_exchanged_together_with_their_digests_are_found_by_scoring_again(copy):
    path = part(copy, 0)
    table = pq.read_table(path)
    exchanged = table.set_column(1, table.schema.field(1), pa.array([0.5] * len(table)))
    pq.write_table(exchanged, path, write_page_checksum=True)
    content = path.read_bytes()

    def edit(line: Any) -> None:
        if line["name"] == path.name:
            line |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}

    def add_up(manifest: Any) -> None:
        manifest["parts"]["bytes"] = sum(each.stat().st_size for each in copy.glob("part-*"))

    forge(copy, add_up, edit)
    assert differences(copy) == []
    assert differences(copy, sample=1_000) == [(path.name, "scored again")]


@pytest.fixture
def own(bench) -> Any:
    """An output whose inputs may be changed."""
    bench.put("a.csv", "x,c\n1,a\n2,b\n")
    bench.put("b.csv", "x,c\n3,a\n4,b\n")
    bench.score()
    return bench


def test_a_version_that_is_replaced_meanwhile_is_not_told_to_be_damaged(copy, tmp_path, monkeypatch):
    other = tmp_path / "other"
    shutil.copytree(copy, other)
    forge(other, lambda manifest: manifest["plan"].update(chunk_size="1"))
    part(copy).unlink()
    real = disk.file_sha256

    def replaced_first(path: Path) -> str:
        if other.exists():
            copy.rename(tmp_path / "former")
            other.rename(copy)
        return real(path)

    monkeypatch.setattr(disk, "file_sha256", replaced_first)
    assert differences(copy) == []


def test_a_version_that_is_replaced_over_and_over_cannot_be_checked(copy, monkeypatch):
    part(copy).unlink()
    monkeypatch.setattr(verification, "_was_replaced", lambda *_: True)
    with pytest.raises(TemporaryError, match="was replaced again and again"):
        pipeline.verify(copy)


def test_a_part_that_cannot_be_read(copy, monkeypatch):
    real, victim = disk.file_sha256, part(copy)

    def broken(path: Path) -> str:
        if path == victim:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(path)

    monkeypatch.setattr(disk, "file_sha256", broken)
    assert differences(copy) == [(victim.name, "content")]


def test_a_changed_input(own):
    (own.inputs / "a.csv").write_text("x,c\n1,a\n2,b\n5,a\n")
    assert [what for subject, what in differences(own.out, inputs=True) if subject == "a.csv"] == [
        "size",
        "time of change",
        "digest of its ends",
    ]
    assert differences(own.out) == []


def test_a_touched_input(own, cli):
    os.utime(own.inputs / "a.csv", ns=(1, 1))
    assert differences(own.out, inputs=True) == [("a.csv", "time of change")]
    # nothing can be scored again, so the change is reported
    outcome = cli("verify", own.out, "--inputs", "--sample", "1", "--json")
    assert outcome.code == 3
    found = json.loads(outcome.out)
    assert (found["kind"], found["holds"], found["chunks_scored"]) == ("verification", False, 0)
    (change,) = found["differences"]
    assert (change["what"], change["found"]) == ("time of change", "1970-01-01T00:00:00.000000001Z")
    assert change["expected"].startswith(f"{datetime.now(UTC):%Y-}")
    with pytest.raises(DataError, match="the inputs have changed since"):
        pipeline.verify(own.out, sample=1)


def test_an_input_removed_and_one_added(own):
    (own.inputs / "a.csv").rename(own.inputs / "c.csv")
    assert differences(own.out, inputs=True) == [("a.csv", "input"), ("c.csv", "input")]
    shutil.rmtree(own.inputs)
    assert differences(own.out, inputs=True) == [("a.csv", "input"), ("b.csv", "input")]


def test_what_is_no_output_is_refused(tmp_path, cli):
    with pytest.raises(InputMissingError):
        pipeline.verify(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(OutputError):
        pipeline.verify(tmp_path / "empty")
    assert cli("verify", tmp_path / "none").code == 66
    assert cli("verify", tmp_path / "empty").code == 73
    assert cli("verify", tmp_path / "empty", "--sample", "0").code == 2
    assert ThresholdError.exit_code == 3


@pytest.mark.parametrize("command", ["verify", "rollback"])
def test_the_advice_names_no_option_that_the_command_does_not_have(tmp_path, cli, command):
    mine = tmp_path / "mine.csv"
    mine.write_text("mine")
    (tmp_path / ".mine.csv.logitstream").mkdir()
    refused = cli(command, mine)
    assert refused.code == 73
    assert ("mv -T" in refused.err) == (command == "rollback")
    assert "--output" not in refused.err
    assert mine.read_text() == "mine"


def test_json_has_the_keys_that_are_documented(published, cli):
    outcome = cli("verify", published.out, "--json")
    assert (outcome.code, outcome.err) == (0, "")
    found = json.loads(outcome.out)
    assert (found["holds"], found["differences"], found["rows"]) == (True, [], 293)
    from pipeline.verification import json as documented

    assert [name for name in found if f"``{name}``" not in documented.__doc__] == []
