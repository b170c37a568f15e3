"""Rolling back, listing and cleaning: what is said, at any width, and with which exit code it ends."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path

import pytest

from pipeline.flow.manifest import CODEC
from pipeline.publish import Staging
from pipeline.publish.local.staging import open_staging
from pipeline.upkeep import json as upkeep_json
from tests.jobs.commands.test_runs import FLIGHTS, MODEL
from tests.jobs.conftest import on_a_terminal
from tests.publish.runs import data_of, home, job_id, publish, work

ROOT = Path(__file__).resolve().parents[3]
OLD, NEW = {"part-0000000-aa.parquet": b"old"}, {"part-0000000-ab.parquet": b"newer"}


def stop_a_run(output: Path, job: str, reason: str | None, code: int = 143) -> None:
    with open_staging(output, job_id(job), if_exists="replace", codec=CODEC) as staging:
        assert isinstance(staging, Staging)
        list(work(staging, {"part-0000000-aa.parquet": b"zero", "part-0000001-ab.parquet": b"one"}))
        if reason is not None:
            staging.note_end(reason, code)


@pytest.fixture(autouse=True)
def _codec_of_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.publish.runs.CODEC", CODEC)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """An output with a previous version, a run that was stopped, and one that was killed."""
    output = tmp_path / "out"
    publish(output, "old", OLD)
    publish(output, "new", NEW, "replace")
    stop_a_run(output, "stopped", "stopped by a request to end (SIGTERM)")
    stop_a_run(output, "killed", None)
    return output


@pytest.mark.parametrize("columns", [80, 200])
def test_the_list_is_read_at_any_width(out, columns):
    text = on_a_terminal(columns, "runs", "list", out.parent)
    lines = text.splitlines()
    assert lines[0] == str(out)
    assert max(map(len, lines[1:])) <= columns
    assert lines[1].split() == ["what", "job", "age", "size", "chunks", "state"]
    joined = " ".join(text.split())
    for words in (f"run {job_id('stopped')[:12]}", f"run {job_id('killed')[:12]}", f"version {job_id('old')[:12]}"):
        assert words in joined
    state = "".join(line[lines[1].index("state") :] + " " for line in lines[3:])
    assert "stopped by a request to end (SIGTERM) (143)" in " ".join(state.split())
    assert "killed, or power lost" in state
    assert "3 rows" in state


def test_the_list_is_of_outputs_and_of_folders_with_outputs(cli, out, tmp_path, monkeypatch):
    other = tmp_path / "other"
    stop_a_run(other, "first", "the disk is full", 74)
    whole = cli("runs", "list", tmp_path)
    assert (whole.code, whole.err) == (0, "")
    assert [line for line in whole.out.splitlines() if line.startswith("/")] == [str(other), str(out)]
    assert "the disk is full (74)" in whole.out
    monkeypatch.chdir(tmp_path)
    assert cli("runs", "list").out == whole.out
    assert cli("runs", "list", other, out, tmp_path).out == whole.out
    assert str(other) not in cli("runs", "list", out).out
    assert cli("runs", "list", tmp_path / "none").code == 66
    found = json.loads(cli("runs", "list", "--json").out)
    assert [Path(each["output"]).name for each in found["outputs"]] == ["other", "out"]


def test_the_list_has_one_short_line_of_an_error_and_show_has_it_all(cli, tmp_path):
    refused = f"the inputs do not fit the job:\n  a.csv: has no column 'kunde'; its header is {'x' * 300}"
    stop_a_run(tmp_path / "many", "first", refused, 65)
    stop_a_run(tmp_path / "long", "first", f"/data/lake/a.csv: {'cell ' * 100}", 65)
    listed = cli("runs", "list", tmp_path / "many", tmp_path / "long").out
    assert "the inputs do not fit the job … (65)" in listed
    assert "…/a.csv: cell cell" in listed
    assert "\\n" not in listed
    assert max(map(len, listed.splitlines())) <= 160
    shown = " ".join(cli("runs", "show", tmp_path / "many").out.split())
    assert f"the inputs do not fit the job: a.csv: has no column 'kunde'; its header is {'x' * 300} (65)" in shown


def test_an_empty_folder_has_nothing_to_list(cli, tmp_path):
    outcome = cli("runs", "list", tmp_path)
    assert (outcome.code, outcome.out) == (0, "no unfinished runs and no previous versions\n")


def test_show_tells_everything_about_one_output(cli, out):
    outcome = cli("runs", "show", out)
    assert (outcome.code, outcome.err) == (0, "")
    for text in (
        f"output     {out}\npublished  5 rows in 1 part, 5 B\njob        {job_id('new')}\n",
        "left       2 unfinished runs, 1 previous version\n",
        f"folder  {home(out) / 'jobs' / job_id('killed')}\n",
        f"version  1, of job {job_id('old')}\nholds    3 rows",
    ):
        assert text in outcome.out
    found = json.loads(cli("runs", "show", out, "--json").out)
    assert (found["schema_version"], found["kind"], found["problem"]) == (2, "output", "")
    assert {run["ended"] for run in found["runs"]} == {None, "stopped by a request to end (SIGTERM)"}
    assert [version["rows"] for version in found["versions"]] == [3]


def test_show_of_what_is_not_ours_or_not_there(cli, tmp_path):
    (tmp_path / "theirs").mkdir()
    outcome = cli("runs", "show", tmp_path / "theirs")
    assert outcome.code == 0
    assert "was not published by logitstream" in outcome.out
    for command in (("runs", "show"), ("runs", "clean", "--stopped"), ("rollback",)):
        missing = cli(*command, tmp_path / "none")
        assert (missing.code, missing.err) == (66, f"error: there is no output {tmp_path}/none\ncheck the path\n")
        assert cli(*command, tmp_path / "none" / "below").code == 66


def test_clean_says_which_flag_is_missing(cli, out):
    outcome = cli("runs", "clean", out)
    assert outcome.code == 2
    assert "choose --stopped (unfinished runs), --versions (previous versions), or both" in outcome.err


def test_clean_removes_what_was_asked_for_and_nothing_else(cli, out):
    words = ("runs", "clean", out)
    before = sorted(out.parent.rglob("*"))
    dry = cli(*words, "--stopped", "--versions", "--dry-run")
    assert (dry.code, dry.out.count("would remove ")) == (0, 3), dry.err
    assert sorted(out.parent.rglob("*")) == before
    assert cli(*words, "--stopped", "--versions", "--older-than", "1h").out == "there is nothing to remove\n"
    old = time.time() - 7200
    os.utime(home(out) / "jobs" / job_id("killed") / "journal", (old, old))
    gone = json.loads(cli(*words, "--stopped", "--versions", "--older-than", "1h", "--json").out)
    assert ([run["job_id"] for run in gone["runs"]], gone["versions"]) == ([job_id("killed")], [])
    assert gone["freed_bytes"] == gone["runs"][0]["bytes"] > 0
    rest = cli(*words, "--stopped")
    assert re.match(r"removed run [0-9a-f]{12}, \d s old, [\d.]+ \w+, 2 chunks done: stopped by a request", rest.out)
    assert rest.out.endswith(" freed\n")
    assert cli("rollback", out).code == 0
    assert data_of(out) == OLD
    assert cli(*words, "--versions").out.startswith("removed version ")
    assert cli("rollback", out).code == 73
    assert data_of(out) == OLD


def test_bytes_that_the_published_version_shares_are_not_free_again(cli, out):
    (kept,) = (home(out) / "versions").glob("*/part-*")
    os.link(kept, out.parent / "shared")
    gone = json.loads(cli("runs", "clean", out, "--versions", "--json").out)
    assert gone["versions"][0]["bytes"] - gone["freed_bytes"] == len(b"old")


@pytest.mark.parametrize("words", [("rollback",), ("runs", "clean", "--stopped"), ("runs", "clean", "--versions")])
def test_while_a_run_is_under_way_nothing_is_changed(cli, out, words):
    with open_staging(out, job_id("under way"), if_exists="replace", codec=CODEC):
        outcome = cli(*words, out)
        assert outcome.code == 75
        assert f"error: {out} is being published by process {os.getpid()} on " in outcome.err
        assert "running now" in cli("runs", "list", out).out
    assert data_of(out) == NEW


def test_rollback_refuses_what_is_damaged_or_not_ours(cli, out):
    (kept,) = (home(out) / "versions").glob("*/part-*")
    kept.write_bytes(b"OLD")
    damaged = cli("rollback", out)
    assert damaged.code == 73
    assert damaged.err.startswith("error: the previous version in ")
    (out / "mine.txt").write_text("mine")
    foreign = cli("rollback", out)
    assert (foreign.code, "mine.txt" in foreign.err) == (73, True)
    assert (out / "mine.txt").read_text() == "mine"


def test_rollback_of_an_output_that_was_removed(cli, out):
    for path in out.iterdir():
        path.unlink()
    out.rmdir()
    outcome = cli("rollback", out)
    assert outcome.code == 0, outcome.err
    assert outcome.err.splitlines()[-1] == "nothing was published there before"
    assert data_of(out) == OLD


def test_no_name_and_no_reason_acts_on_a_terminal_or_forges_a_line(cli, tmp_path):
    folder = tmp_path / "a\x1b[31m\nerror: forged"
    folder.mkdir()
    output = folder / "out"
    publish(output, "old", OLD)
    publish(output, "new", NEW, "replace")
    stop_a_run(output, "stopped", "bad\x1b[2J\nerror: forged")
    for words in (
        ("runs", "list", folder), ("runs", "show", output), ("runs", "clean", output, "--stopped"),
        ("rollback", output), ("rollback", folder / "none\x07"), ("runs", "list", folder / "none\x07"),
    ):  # fmt: skip
        outcome = cli(*words)
        for line in (outcome.out + outcome.err).splitlines():
            assert line.isprintable(), line
            assert not line.startswith("error: forged"), line


def test_the_keys_of_the_json_are_documented(cli, out):
    texts = [
        cli("runs", "list", out, "--json").out,
        cli("runs", "show", out, "--json").out,
        cli("runs", "clean", out, "--stopped", "--versions", "--dry-run", "--json").out,
        cli("rollback", out, "--json").out,
    ]
    keys = {key for text in texts for key in re.findall(r'^ +"(\w+)":', text, re.MULTILINE)}
    assert {key for key in keys if f"``{key}``" not in (upkeep_json.__doc__ or "")} == set()


def test_the_versions_of_a_real_run_verify_after_rollback(cli, tmp_path):
    output = tmp_path / "scores"
    words = ("score", FLIGHTS, "--model", MODEL, "--output", output, "--if-exists", "replace", "-q", "--limit")
    for limit in (5, 6):
        assert cli(*words, limit).code == 0
    assert cli("rollback", output).code == 0
    assert cli("verify", output).out.startswith(f"{output}: 1 part, 5 rows, ")


def test_plan_says_what_is_done_already(cli, tmp_path):
    output = tmp_path / "scores"
    words = (FLIGHTS, "--model", MODEL, "--output", output)
    job = json.loads(cli("plan", *words, "--json").out)["job_id"]
    with open_staging(output, job, if_exists="fail", codec=CODEC) as staging:
        assert isinstance(staging, Staging)
        list(work(staging, {"part-0000000-aa.parquet": b"zero"}))
    before = sorted(tmp_path.rglob("*"))
    assert "an earlier run finished 1 of 1 chunks: the next run resumes there" in cli("plan", *words).out
    assert "earlier try" not in cli("plan", *words, "--no-resume").out
    assert sorted(tmp_path.rglob("*")) == before
    assert cli("score", *words, "-q").code == 0
    assert "already holds the result of this job: there is nothing to do" in cli("plan", *words).out
