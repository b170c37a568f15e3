"""Outputs of a newer logitstream: every command names them with both versions, and never touches them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import canonical, inspection, publish, upkeep, verification
from pipeline.errors import NewerOutputError, OutputError
from pipeline.publish import MANIFEST, Merge, Staging
from pipeline.publish.local.listing import clean, runs, versions_of
from pipeline.publish.local.restoring import rollback
from pipeline.publish.local.staging import open_staging
from pipeline.publish.record.journal import header, line_bytes
from pipeline.types.job import Conduct
from tests.publish.file_scenes import joined
from tests.publish.runs import CODEC, NEW, OLD, attempt, home, job_id, names, receipt, snapshot
from tests.publish.runs import publish as run

LAYOUTS = pytest.mark.parametrize("merge", [None, joined], ids=["folder of parts", "one file"])
TOLD = r"made by a newer logitstream: its _manifest\.json has version 7, and this one reads version 1"
KEEP_TWO = Conduct(keep_versions=2)


def make_newer(lists: Path) -> None:
    """Give a manifest a higher version, in a form that is not known here."""
    manifest = lists / MANIFEST
    manifest.write_bytes(manifest.read_bytes().replace(b'"version":1}', b'"version": 7, "more": {}}'))


def lists_of(output: Path, merge: Merge | None) -> Path:
    """Return the folder with the manifest of what is published."""
    return (
        output if merge is None else max((home(output) / "files").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    )


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "out"


def everything(folder: Path) -> dict[str, bytes]:
    return {name: content for name, content in snapshot(folder).items() if not name.endswith("/lock")}


COMMANDS: dict[str, Callable[[Path], object]] = {
    "verify": verification.verify,
    "rollback": upkeep.rollback,
    "runs show": upkeep.state_of,
    "read": publish.LOCAL.read_manifest,
}


@LAYOUTS
@pytest.mark.parametrize("command", COMMANDS)
def test_commands_tell_of_a_newer_output_and_leave_it(output: Path, merge: Merge | None, command: str) -> None:
    run(output, "old", OLD, merge=merge)
    run(output, "new", NEW, "replace", merge=merge)
    make_newer(lists_of(output, merge))
    before = everything(output.parent)
    with pytest.raises(NewerOutputError, match=TOLD) as caught:
        COMMANDS[command](output)
    assert caught.value.message.startswith(f"{output} was made by a newer logitstream")
    assert caught.value.exit_code == 73
    assert everything(output.parent) == before


def test_inspect_tells_of_a_newer_output(output: Path) -> None:
    run(output, "old", {"part-0000000-aa.parquet": b"zero|bad"})
    make_newer(output)
    for path in (output, output / "_quarantine"):
        with pytest.raises(NewerOutputError, match=TOLD):
            inspection.inspect(path)


@LAYOUTS
@pytest.mark.parametrize("if_exists", ["fail", "replace"])
@pytest.mark.parametrize("job", ["old", "new"])
def test_no_run_replaces_a_newer_output(output: Path, merge: Merge | None, if_exists: str, job: str) -> None:
    run(output, "old", OLD, merge=merge)
    make_newer(lists_of(output, merge))
    before = everything(output.parent)
    with pytest.raises(NewerOutputError, match=TOLD):
        run(output, job, NEW, if_exists, merge=merge)
    assert everything(output.parent) == before
    with pytest.raises(NewerOutputError, match=TOLD):
        publish.LOCAL.check_output(output, job_id(job), if_exists=if_exists, codec=CODEC, is_file=merge is not None)


@LAYOUTS
def test_a_newer_former_version_is_kept_and_not_rolled_back_to(output: Path, merge: Merge | None) -> None:
    run(output, "old", OLD, merge=merge)
    former = lists_of(output, merge)
    run(output, "new", NEW, "replace", merge=merge)
    (kept,) = (home(output) / "versions").iterdir()
    make_newer(kept if merge is None else former)
    before = everything(output.parent)
    with pytest.raises(NewerOutputError, match=TOLD) as refused:
        rollback(output, codec=CODEC)
    assert refused.value.message.startswith(f"{kept} was made by a newer logitstream")
    for dry_run in (True, False):
        with pytest.raises(NewerOutputError, match=TOLD):
            clean(output, jobs=True, versions=True, dry_run=dry_run)
    assert everything(output.parent) == before
    (facts,) = versions_of(output)
    assert (facts.newer, facts.rows, facts.job_id) == (True, None, job_id("old"))
    # More versions than are to be kept: this one stays, and so does its proof.
    run(output, "third", {"part-0000000-cc.parquet": b"third"}, "replace", conduct=KEEP_TWO, merge=merge)
    run(output, "fourth", {"part-0000000-dd.parquet": b"fourth"}, "replace", merge=merge)
    assert {facts.job_id for facts in versions_of(output)} == {job_id("old"), job_id("third")}
    now = everything(output.parent)
    kept_name = f"0000001-{job_id('old')}" if merge is None else former.name
    of_it = [name for name in before if kept_name in name]
    assert of_it
    assert [now.get(name) for name in of_it] == [before[name] for name in of_it]


@LAYOUTS
def test_cleaning_other_versions_leaves_what_proves_a_newer_output(output: Path, merge: Merge | None) -> None:
    run(output, "old", OLD, merge=merge)
    run(output, "new", NEW, "replace", merge=merge)
    lists = lists_of(output, merge)
    make_newer(lists)
    gone = clean(output, jobs=True, versions=True)
    assert [facts.job_id for facts in gone.versions] == [job_id("old")]
    with pytest.raises(NewerOutputError, match=TOLD):
        publish.LOCAL.read_manifest(output)
    assert (lists / MANIFEST).exists()


def test_what_a_newer_run_has_just_replaced_is_neither_taken_nor_removed(output: Path) -> None:
    """A newer logitstream was stopped right after its exchange; what it replaced was newer too."""
    run(output, "old", OLD)
    staged = home(output) / "jobs" / job_id("newer")
    staged.mkdir()
    run(output.parent / "another", "x", OLD)
    (output.parent / "another").rename(staged / "tree")
    make_newer(staged / "tree")
    before = everything(staged)
    run(output, "new", NEW, "replace")
    assert everything(staged) == before
    assert [facts.job_id for facts in versions_of(output)] == [job_id("old")]


def newer_journal(output: Path) -> Path:
    """A run of the new job that a newer logitstream began, with a chunk done."""
    with open_staging(output, job_id("new"), if_exists="fail", codec=CODEC) as staging:
        assert isinstance(staging, Staging)
        staging.append(receipt(0, attempt(staging, 0, b"by another")))
        journal = staging.directory / "journal"
    line = journal.read_bytes().split(b"\n", 1)[1]
    journal.write_bytes(line_bytes({**header(job_id("new")), "version": 2, "more": []}) + line)
    return journal


def test_a_newer_journal_is_not_taken_over_and_the_run_says_so(output: Path) -> None:
    newer_journal(output)
    (facts,) = runs(output)
    assert (facts.newer, facts.resumable, facts.chunks, facts.ended) == (True, False, 0, None)
    with open_staging(output, job_id("new"), if_exists="fail", codec=CODEC) as staging:
        assert isinstance(staging, Staging)
        assert list(staging.receipts()) == []
        (note,) = staging.notes
        assert "begun by a newer logitstream" in note
        assert "starting over" in note
        assert names(staging.directory) == ["attempts", "journal"]
    run(output, "new", NEW)
    assert names(home(output) / "jobs") == []


def test_nothing_is_said_where_nobody_asked_to_resume(output: Path) -> None:
    newer_journal(output)
    conduct = Conduct(resume=False)
    with open_staging(output, job_id("new"), if_exists="fail", codec=CODEC, conduct=conduct) as staging:
        assert isinstance(staging, Staging)
        assert staging.notes == ()


@pytest.mark.parametrize("version", [0, -1, 1.5, "2", None, True])
def test_another_version_that_is_not_a_higher_number_is_damage(output: Path, version: object) -> None:
    run(output, "old", OLD)
    manifest = output / MANIFEST
    text = b'"version":' + canonical.canonical(version) + b"}"
    manifest.write_bytes(manifest.read_bytes().replace(b'"version":1}', text))
    with pytest.raises(OutputError, match="was not published by logitstream") as caught:
        publish.LOCAL.read_manifest(output)
    assert not isinstance(caught.value, NewerOutputError)
