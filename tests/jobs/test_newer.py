"""An output of a newer logitstream: every command that meets it ends with 73 and says what it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.publish import MANIFEST

SAMPLE = Path(__file__).resolve().parents[2] / "sample_data"
SCORE = ("score", SAMPLE / "flights", "--model", SAMPLE / "delay_model.json", "--limit", "20", "--output")


@pytest.fixture
def out(cli, tmp_path: Path) -> Path:
    out = tmp_path / "out"
    assert cli(*SCORE, out).code == 0
    assert cli(*SCORE, out, "--if-exists", "replace", "--float32").code == 0
    manifest = out / MANIFEST
    manifest.write_bytes(manifest.read_bytes().replace(b'"version":1}', b'"version":2}'))
    return out


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (SCORE, ()),
        (SCORE, ("--if-exists", "replace")),
        (("plan", *SCORE[1:-1], "--output"), ("--if-exists", "replace")),
        (("verify",), ()),
        (("rollback",), ()),
        (("inspect",), ()),
        (("inspect",), ("--full",)),
        (("runs", "list"), ()),
        (("runs", "show"), ()),
    ],
)
def test_a_newer_output_is_told_as_that(cli, out: Path, before: tuple[object, ...], after: tuple[str, ...]) -> None:
    inode, content = (out / MANIFEST).stat().st_ino, (out / MANIFEST).read_bytes()
    outcome = cli(*before, out, *after)
    assert outcome.code == 73, outcome.err
    assert (
        "was made by a newer logitstream: its _manifest.json has version 2, and this one reads version 1" in outcome.err
    )
    assert "update logitstream" in outcome.err
    assert ((out / MANIFEST).stat().st_ino, (out / MANIFEST).read_bytes()) == (inode, content)


def test_a_newer_output_is_among_the_errors_of_a_list(cli, out: Path) -> None:
    outcome = cli("runs", "list", out.parent, "--json")
    found = json.loads(outcome.out)
    (error,) = found["errors"]
    assert (outcome.code, found["kind"], found["outputs"], error["exit_code"]) == (73, "runs", [], 73)
    assert error["error"] in outcome.err


def test_a_newer_previous_version_is_listed_as_newer(cli, out: Path) -> None:
    previous = next((out.parent / f".{out.name}.logitstream" / "versions").iterdir()) / MANIFEST
    (out / MANIFEST).write_bytes((out / MANIFEST).read_bytes().replace(b'"version":2}', b'"version":1}'))
    previous.write_bytes(previous.read_bytes().replace(b'"version":1}', b'"version":2}'))
    listed = cli("runs", "show", out)
    assert listed.code == 0, listed.err
    assert "made by a newer logitstream" in listed.out
    assert cli("rollback", out).code == 73
    assert cli("runs", "clean", out, "--versions").code == 73
    assert cli("verify", out).code == 0
