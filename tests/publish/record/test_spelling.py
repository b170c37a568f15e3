"""The spelling of names, manifests, receipts and journals, without any file system."""

from __future__ import annotations

import ast
import io
from pathlib import Path

import pytest

from pipeline.canonical import canonical
from pipeline.publish.record import names
from pipeline.publish.record.journal import content_of, header, is_header, line_bytes, newer_version
from pipeline.publish.record.manifest import NewerVersion, manifest_bytes, manifest_from
from pipeline.publish.record.receipts import Part, parts_from, write_lines
from pipeline.sources import discovery
from pipeline.types.outputs import PartFile

ROOT = Path(__file__).resolve().parents[3]
JOB = "0123456789abcdef"
PART = PartFile("attempts/0/x", 10, "00" * 32, 3)
LISTED = {
    "parts": {"count": 1, "bytes": 10, "rows": 3},
    "quarantines": {"count": 0, "bytes": 0, "rows": 0},
    "receipts": {"bytes": 5, "sha256": "ab"},
}


def test_a_manifest_byte_for_byte() -> None:
    content = manifest_bytes(JOB, {"totals": {"read": 3}}, {"seconds": 1.5}, LISTED)
    assert content == (
        b'{"digest":"d2822c44bcc9c1bde3a1adfc15c448a3e538f0166a5b38c23047c085210e6a3c","format":"logitstream-output",'
        b'"job_id":"0123456789abcdef","observed":{"digest":"4d5fcac9c47ce07acf78133476884c162be41ff2d3fff9740be2b7dd83fcb10b",'
        b'"seconds":1.5},"parts":{"bytes":10,"count":1,"rows":3},'
        b'"quarantines":{"bytes":0,"count":0,"rows":0},"receipts":{"bytes":5,"sha256":"ab"},"totals":{"read":3},'
        b'"version":1}\n'
    )
    manifest = manifest_from(content)
    assert (manifest.job_id, manifest.parts, manifest.bytes, manifest.rows, manifest.file) == (JOB, 1, 10, 3, None)
    assert manifest.proof is None


def test_the_manifest_of_one_file() -> None:
    file = {"bytes": 9, "sha256": "cd" * 32, "rows": 3}
    manifest = manifest_from(manifest_bytes(JOB, {}, {}, {**LISTED, "file": file}))
    assert manifest.proof == "cd" * 32
    assert manifest.output_bytes == 9


def test_a_higher_version_is_told_before_anything_else_is_judged() -> None:
    with pytest.raises(NewerVersion) as caught:
        manifest_from(b'{"format": "logitstream-output", "version": 2}')
    assert caught.value.version == 2
    with pytest.raises(ValueError, match="digest"):
        manifest_from(canonical({"format": "another", "version": 2, "digest": ""}) + b"\n")


def test_a_section_may_not_have_one_of_our_names() -> None:
    with pytest.raises(ValueError, match="may not be called"):
        manifest_bytes(JOB, {"parts": 1}, {}, LISTED)


def test_receipts_byte_for_byte() -> None:
    stream = io.BytesIO()
    quarantine = PartFile("attempts/0/y", 4, "11" * 32, 1)
    parts = [Part("part-0.parquet", PART, {"chunk": 0}), Part("part-1.parquet", PART, {"chunk": 1}, quarantine)]
    sums = write_lines(stream, parts)
    zero, one = "00" * 32, "11" * 32
    assert stream.getvalue().decode() == (
        f'{{"bytes":10,"name":"part-0.parquet","receipt":{{"chunk":0}},"rows":3,"sha256":"{zero}"}}\n'
        f'{{"bytes":10,"name":"part-1.parquet","quarantine":{{"bytes":4,"name":"_quarantine/part-1.quarantine",'
        f'"rows":1,"sha256":"{one}"}},"receipt":{{"chunk":1}},"rows":3,"sha256":"{zero}"}}\n'
    )
    assert sums == {
        "parts": {"count": 2, "bytes": 20, "rows": 6},
        "quarantines": {"count": 1, "bytes": 4, "rows": 1},
    }
    stream.seek(0)
    back = list(parts_from(stream))
    assert [(part.name, part.file.path, part.receipt) for part in back] == [
        ("part-0.parquet", "part-0.parquet", {"chunk": 0}),
        ("part-1.parquet", "part-1.parquet", {"chunk": 1}),
    ]
    assert back[1].quarantine == PartFile("_quarantine/part-1.quarantine", 4, one, 1)


def test_lines_of_a_journal() -> None:
    line = line_bytes(header(JOB))
    assert line == b'{"format":"logitstream-journal","job_id":"0123456789abcdef","version":1} 32ac560a8e323582\n'
    content = content_of(line[:-1])
    assert content is not None
    assert is_header(content, JOB)
    assert not is_header(content, "another")
    assert content_of(line[:-2]) is None
    assert newer_version(content) is None
    assert newer_version({**content, "version": 3}) == 3
    assert newer_version({"chunk": 3}) is None


def test_names_that_are_ours() -> None:
    thousand, name = names.attempt_name(12_345, "csv.gz", "ab" * 16)
    assert names.attempt_path(thousand, name) == f"attempts/12/12345-{'ab' * 16}.csv.gz.attempt"
    ours = [
        name,
        "journal",
        "_manifest.json",
        "part-0-a.parquet",
        "part-0-a.parquet.kept",
        "merged",
        "ab" * 32 + ".kept",
    ]
    assert all(names.OURS.fullmatch(each) for each in ours)
    assert not any(names.OURS.fullmatch(each) for each in ("file", "data.parquet", "journal.bak", "part-A", "lock"))
    assert names.home_name("out.csv") == ".out.csv.logitstream"
    assert names.output_of(".out.csv.logitstream") == "out.csv"
    assert [names.output_of(each) for each in (".logitstream", "out.logitstream", ".out")] == [None, None, None]
    with pytest.raises(ValueError, match="do not make a name"):
        names.attempt_name(-1, "csv", "ab" * 16)


def test_every_name_is_spelt_once() -> None:
    """Only ``record`` knows how they are written, except for two that no input may have."""
    spelt = {names.MANIFEST, names.RECEIPTS, names.QUARANTINE, names.QUARANTINE_SUFFIX, names.HOME_SUFFIX, names.KEPT}
    found = {}
    for path in [*(ROOT / "pipeline").rglob("*.py"), *(ROOT / "jobs").rglob("*.py")]:
        constants = (node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant))
        if here := spelt.intersection(value for value in constants if isinstance(value, str)):
            found[str(path.relative_to(ROOT))] = here
    assert found.pop("pipeline/types/outputs.py") == discovery._OURS == {names.MANIFEST, names.RECEIPTS}
    assert list(found) == ["pipeline/publish/record/names.py"]
