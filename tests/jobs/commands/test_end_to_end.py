"""Runs in processes of their own that are stopped, started again, replaced and taken back."""

from __future__ import annotations

import gzip
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from jobs.cli import run

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
CODE = "from jobs.cli import main\nif __name__ == '__main__':\n    main()"
ROWS, CHUNKS = 120_000, 120
# As many as still run when a signal comes late, on a machine that is busy.
SLOW_CHUNKS = 12
TERM, INT, KILL, STOP, CONT = (
    signal.SIGTERM, signal.SIGINT, signal.SIGKILL, signal.SIGSTOP, signal.SIGCONT
)  # fmt: skip
AGAIN = "run the same command again: finished chunks are not computed again"
MODEL = {
    "format": "logitstream-model",
    "version": 1,
    "kind": "logistic",
    "intercept": -1.5,
    "features": [
        {"column": "distance", "kind": "numeric", "coefficient": 0.12, "center": 1000, "scale": 300},
        {"column": "hour", "kind": "numeric", "coefficient": 0.07},
    ],
}


@dataclass(frozen=True)
class World:
    """Inputs that take a while, the command that scores them, and what an undisturbed run of it has published."""

    flights: Path
    model: Path
    slow: Path
    parts: dict[str, bytes]

    def words(self, output: Path, *more: object, inputs: Path | None = None) -> list[str]:
        options = ("--model", self.model, "--keep", "flight", "--chunk-size", ROWS // CHUNKS, "--output", output)
        return ["score", str(inputs or self.flights), *(str(word) for word in (*options, *more))]


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("world")
    random = np.random.default_rng(3)
    distance, hour = random.normal(1000, 300, ROWS).round(1), random.integers(0, 24, ROWS)
    table = pa.table({"flight": np.arange(ROWS), "distance": distance, "hour": hour})
    pq.write_table(table, folder / "flights.parquet", row_group_size=ROWS // CHUNKS)
    (folder / "slow").mkdir()
    with gzip.open(folder / "slow" / "0.csv.gz", "wb", compresslevel=1) as stream:
        pa.csv.write_csv(pa.concat_tables([table, table]), stream)
    for number in range(1, SLOW_CHUNKS):
        shutil.copy(folder / "slow" / "0.csv.gz", folder / "slow" / f"{number}.csv.gz")
    (folder / "model.json").write_text(json.dumps(MODEL))
    found = World(folder / "flights.parquet", folder / "model.json", folder / "slow", {})
    assert run([*found.words(folder / "undisturbed"), "-q"]) == 0
    found.parts.update(parts_of(folder / "undisturbed"))
    assert len(found.parts) == CHUNKS
    return found


def parts_of(output: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(output.glob("part-*"))}


@contextmanager
def started(words: list[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Give a run in a process of its own, in a group of its own, and let none of it live on."""
    with subprocess.Popen(
        [sys.executable, "-c", CODE, *words],
        stderr=subprocess.PIPE,
        env={"PYTHONPATH": str(ROOT)},
        text=True,
        start_new_session=True,
        **options,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, KILL)


def until_journalled(output: Path, chunks: int, process: subprocess.Popen[str]) -> None:
    """Wait until so many chunks of a run are done."""
    deadline = time.monotonic() + 60
    while sum(_receipts(output)) < chunks and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.005)


def _receipts(output: Path) -> Iterator[int]:
    for journal in output.parent.glob(f".{output.name}.logitstream/jobs/*/journal"):
        yield journal.read_bytes().count(b'"part":{')


def stop(process: subprocess.Popen[str], number: int, *, group: bool = False) -> tuple[int, str]:
    (os.killpg if group else os.kill)(process.pid, number)
    _, err = process.communicate(timeout=60)
    return process.returncode, err


def goes_on(err: str, at_least: int) -> None:
    """Check that a run has said that it went on, from no less than so many chunks."""
    match = re.search(rf"^note: resuming: (\d+) of {CHUNKS} chunks done before$", err, re.MULTILINE)
    assert match is not None, err
    assert at_least <= int(match[1]) < CHUNKS
    assert f"note: {CHUNKS} chunks: {match[1]} resumed, {CHUNKS - int(match[1])} computed" in err


STOPS = {
    "SIGTERM": (TERM, "threads", 143, "stopped by a request to end (SIGTERM)"),
    "Ctrl-C": (INT, "processes", 130, "stopped by an interrupt (SIGINT)"),
}


@pytest.mark.parametrize("how", STOPS)
def test_a_run_that_is_stopped_goes_on_when_it_is_started_again(process, cli, world, tmp_path, how):
    number, scheduler, code, reason = STOPS[how]
    output = tmp_path / "out"
    words = world.words(output, "--scheduler", scheduler)
    with started(words) as first:
        until_journalled(output, 5, first)
        # A terminal tells the worker processes, too.
        ended, err = stop(first, number, group=how == "Ctrl-C")
    assert ended == code, err
    assert err.splitlines()[-3:] == [
        "stopping: chunks under way have 25 s to finish; a second signal stops at once",
        f"error: {reason}; nothing was published",
        AGAIN,
    ]
    assert not output.exists()
    assert f"{reason} ({code})" in cli("runs", "list", tmp_path).out
    again = process(*words) if how == "SIGTERM" else cli(*world.words(output))
    assert again.code == 0, again.err
    goes_on(again.err, 5)
    assert parts_of(output) == world.parts


def test_a_killed_run_goes_on_and_is_listed_until_then(cli, world, tmp_path):
    output = tmp_path / "out"
    with started(world.words(output)) as first:
        until_journalled(output, 5, first)
        code, _ = stop(first, KILL)
    assert (code, output.exists()) == (-KILL, False)
    listed = cli("runs", "list", tmp_path)
    assert (listed.code, listed.err) == (0, "")
    assert "killed, or power lost" in listed.out
    again = cli(*world.words(output))
    assert again.code == 0, again.err
    goes_on(again.err, 5)
    assert parts_of(output) == world.parts
    assert cli("runs", "list", tmp_path).out == "no unfinished runs and no previous versions\n"


def test_a_second_signal_ends_the_run_at_once_and_what_was_done_stays_done(cli, world, tmp_path):
    output = tmp_path / "out"
    words = world.words(output, "--scheduler", "sync", inputs=world.slow)
    with started(words) as first:
        assert first.stderr is not None
        until_journalled(output, 1, first)
        first.send_signal(TERM)
        while not first.stderr.readline().startswith("stopping: "):
            assert first.poll() is None
        # The chunk that is under way would end while this test waits.
        first.send_signal(STOP)
        time.sleep(0.3)
        first.send_signal(TERM)
        code, err = stop(first, CONT)
    assert (code, err) == (-TERM, "")
    assert not output.exists()
    again = cli(*words)
    assert again.code == 0, again.err
    assert re.search(rf"resuming: \d+ of {SLOW_CHUNKS} chunks done before", again.err)


def test_the_deadline_stops_a_run_that_goes_on_without_it(cli, world, tmp_path):
    output = tmp_path / "out"
    words = world.words(output, "--scheduler", "sync", inputs=world.slow)
    outcome = cli(*words, "--deadline", "0.3s", "--no-resume")
    assert outcome.code == 75, outcome.err
    assert outcome.err.endswith(
        "error: stopped by its deadline of 0.30 s; nothing was published\n"
        "run the same command again without --no-resume: finished chunks are not computed again\n"
    )
    (left,) = json.loads(cli("runs", "show", output, "--json").out)["runs"]
    assert (left["ended"], left["exit_code"]) == ("stopped by its deadline of 0.30 s", 75)
    assert left["chunks"] < SLOW_CHUNKS
    again = cli(*words)
    assert again.code == 0, again.err
    assert (f"resuming: {left['chunks']} of {SLOW_CHUNKS} chunks" in again.err) == (left["chunks"] > 0)


def test_another_run_is_refused_skipped_or_waited_for(cli, world, tmp_path):
    output = tmp_path / "out"
    words = world.words(output)
    with started(words) as first:
        until_journalled(output, 5, first)
        first.send_signal(STOP)
        by = f"{output} is being published by process {first.pid} on "
        refused = cli(*words)
        assert (refused.code, f"error: {by}" in refused.err) == (75, True), refused.err
        assert refused.err.endswith("\nrun again when it has ended\n")
        skipped = cli(*words, "--if-running", "skip")
        assert (skipped.code, by in skipped.err) == (0, True), skipped.err
        assert all(skipped.err.splitlines()), skipped.err
        late = cli(*words, "--if-running", "wait=0.2s")
        assert (late.code, "still after 0.20 s" in late.err) == (75, True), late.err
        assert "running now" in cli("runs", "list", tmp_path).out
        assert by in cli("runs", "show", output).out
        assert [cli(*what, output).code for what in (("rollback",), ("runs", "clean", "--stopped"))] == [75, 75]
        with started([*words, "--if-running", "wait"]) as second:
            time.sleep(0.2)
            first.send_signal(CONT)
            assert first.wait(60) == 0
            _, err = second.communicate(timeout=60)
    assert (second.returncode, "there was nothing to do" in err) == (0, True), err
    assert parts_of(output) == world.parts


@pytest.fixture
def three_files(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in "abc":
        pq.write_table(
            pa.table({"flight": [1, 2], "distance": [900.0, ord(name)], "hour": [3, 4]}), folder / f"{name}.parquet"
        )
    return folder


def test_replacing_reuses_what_is_unchanged_and_rollback_goes_back_and_forth(cli, world, three_files, tmp_path):
    output = tmp_path / "out"
    words = world.words(output, "--chunk-size", "2", inputs=three_files)
    assert cli(*words).code == 0
    first = parts_of(output)
    pq.write_table(pa.table({"flight": [7], "distance": [5.0], "hour": [6]}), three_files / "b.parquet")
    assert cli(*words).code == 73
    replaced = cli(*words, "--if-exists", "replace")
    assert replaced.code == 0, replaced.err
    assert "note: 3 chunks: 2 reused, 1 computed; " in replaced.err
    second = parts_of(output)
    assert len(first.items() & second.items()) == 2
    back = cli("rollback", output)
    assert (back.code, back.out) == (0, "")
    assert re.fullmatch(
        rf"{output} is now the version of job [0-9a-f]{{12}}, 6 rows, made [-0-9]+ [:0-9]+ UTC\n"
        r"it replaced the version of job [0-9a-f]{12}, 5 rows, made [-0-9]+ [:0-9]+ UTC; "
        r"run the same command again to undo this\n",
        back.err,
    )
    assert parts_of(output) == first
    forward = json.loads(cli("rollback", output, "--json", "--durability", "none").out)
    assert (forward["standing"]["rows"], forward["replaced"]["rows"]) == (5, 6)
    assert parts_of(output) == second
    assert cli("verify", output).code == 0


@pytest.mark.parametrize("keep", [0, 2])
def test_as_many_versions_are_kept_as_was_said(cli, world, three_files, tmp_path, keep):
    output = tmp_path / "out"
    for limit in (1, 2, 3, 4):
        words = ("--limit", limit, "--keep-versions", keep, "--if-exists", "replace", "--durability", "none", "-q")
        assert cli(*world.words(output, *words, inputs=three_files)).code == 0
    versions = json.loads(cli("runs", "show", output, "--json").out)["versions"]
    assert [version["rows"] for version in versions] == [3, 2][:keep]
    outcome = cli("rollback", output)
    assert outcome.code == (0 if keep else 73)
    assert ("has no previous version" in outcome.err) == (not keep)


def test_bad_rows_go_to_the_quarantine_and_the_note_says_how_to_look_at_it(cli, world, tmp_path):
    bad = tmp_path / "bad.csv"
    bad.write_text("flight,distance,hour\n1,900,3\n2,far,4\n3,800,5\n")
    words = world.words(tmp_path / "out of two", inputs=bad)
    refused = cli(*words)
    assert refused.code == 65
    assert "far" in refused.err
    outcome = cli(*words, "--max-bad", "1")
    assert outcome.code == 0, outcome.err
    note = next(line for line in outcome.err.splitlines() if "in the quarantine" in line)
    assert note.startswith("note: 1 row in the quarantine (1 bad, 0 set aside by the model): logitstream inspect ")
    look = cli(*shlex.split(note.partition(": logitstream ")[2]))
    assert look.code == 0, look.err
    assert "2,far,4" in look.out


def test_no_environment_no_streams_a_strict_umask_and_no_durability(world, tmp_path):
    words = world.words(tmp_path / "out", "--limit", "1000", "--durability", "none")
    script = 'umask 077; exec "$0" "$@" <&- >&- 2>&-'
    command = ["/usr/bin/env", "-i", f"PYTHONPATH={ROOT}", "/bin/sh", "-c", script, sys.executable, "-c", CODE, *words]
    assert subprocess.run(command, cwd="/", check=False, timeout=60).returncode == 0
    files = [*(tmp_path / "out").iterdir()]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert pq.read_table(tmp_path / "out").num_rows == 1000


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mount a file system of a size, or give the one that is mounted another size."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def sized(options: str) -> Path:
        again = ("remount,",) if folder.is_mount() else ("",)
        command = ["mount", "-t", "tmpfs", "-o", f"{again[0]}{options}", "none", str(folder)]
        if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("no file system can be mounted here")
        return folder

    yield sized
    if folder.is_mount():
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_run_completes_when_the_full_disk_has_room_again(cli, world, disk):
    output = disk("size=1m") / "out"
    words = world.words(output)
    hopeless = cli(*words)
    assert hopeless.code == 74, hopeless.err
    assert hopeless.err.endswith("\nfree some space, or choose another --output\n")
    # Room for bytes, and so few names that they run out in the middle of the run.
    disk("size=16m,nr_inodes=80")
    full = cli(*words)
    assert full.code == 74, full.err
    assert full.err.endswith(
        ": No space left on device (it has as many files as it can hold)\n"
        "free space or raise the quota, then run again\n"
    )
    assert not output.exists()
    assert re.search(r"cannot create …/\S+: No space left on device.* \(74\)\n", cli("runs", "list", output).out)
    disk("size=32m,nr_inodes=20000")
    again = cli(*words)
    assert again.code == 0, again.err
    goes_on(again.err, 1)
    assert parts_of(output) == world.parts
