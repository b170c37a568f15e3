"""One run at a time: the second is told who the first is; a dead run blocks nobody."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.errors import TemporaryError
from pipeline.publish import Busy, Manifest, Staging
from pipeline.publish.local.listing import runs
from pipeline.publish.local.staging import open_staging
from pipeline.types.job import Conduct
from tests.publish.runs import CODEC, NEW, home, job_id, parts_of, publish, work

_HOLD = """
import subprocess, sys
from pathlib import Path
from pipeline.publish.local.staging import open_staging
from tests.publish.runs import CODEC, job_id
with open_staging(Path(sys.argv[1]), job_id("first"), if_exists="fail", codec=CODEC):
    child = subprocess.Popen(["sleep", "60"], close_fds=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    print(child.pid, flush=True)
    sys.stdin.read()
"""


@contextmanager
def holder(output: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process that holds the lock, and its child, which inherits everything that can be inherited."""
    root = Path(__file__).parents[3]
    command = [sys.executable, "-c", _HOLD, str(output)]
    with subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        try:
            yield process, child
        finally:
            process.kill()
            os.kill(child, signal.SIGKILL)


def test_a_second_run_is_told_who_holds_the_lock_and_a_killed_one_frees_it(folder: Path) -> None:
    output = folder / "out"
    with holder(output) as (process, child):
        with pytest.raises(TemporaryError) as busy:
            publish(output, "second", NEW)
        assert f"process {process.pid} on {socket.gethostname()}, started 20" in busy.value.message
        assert busy.value.exit_code == 75
        process.kill()
        process.wait()
        os.kill(child, 0)
        publish(output, "second", NEW)
    assert parts_of(output) == NEW


@pytest.mark.parametrize("note", [b"", b"torn {", b"[]", b'{"pid": "\\u001b[2J", "host": 1, "started": {}}'])
def test_a_note_that_cannot_be_read_does_not_matter(tmp_path: Path, note: bytes) -> None:
    output = tmp_path / "out"
    with open_staging(output, job_id("first"), if_exists="fail", codec=CODEC):
        (home(output) / "lock").write_bytes(note)
        with pytest.raises(TemporaryError) as busy:
            publish(output, "second", NEW)
    assert busy.value.message.isprintable()


def test_the_lock_is_free_after_a_run_however_it_ended(tmp_path: Path) -> None:
    for error in (RuntimeError, KeyboardInterrupt, SystemExit):
        with (
            pytest.raises(error),
            open_staging(tmp_path / "out", job_id("x"), if_exists="fail", codec=CODEC),
        ):
            raise error
    publish(tmp_path / "out", "x", NEW)


def test_outputs_beside_each_other_do_not_wait_for_each_other(tmp_path: Path) -> None:
    with open_staging(tmp_path / "a", job_id("x"), if_exists="fail", codec=CODEC):
        publish(tmp_path / "b", "x", NEW)


def opened(output: Path, **conduct: object):
    return open_staging(output, job_id("second"), if_exists="fail", codec=CODEC, conduct=Conduct(**conduct))


def test_whoever_skips_is_told_who_is_running(tmp_path: Path) -> None:
    output = tmp_path / "out"
    with holder(output) as (process, _):
        with opened(output, if_running="skip") as busy:
            assert isinstance(busy, Busy)
        assert (busy.pid, busy.host, busy.job_id) == (process.pid, socket.gethostname(), job_id("first"))
        assert busy.text.startswith(f"{output} is being published by process {process.pid} on ")
        with pytest.raises(TemporaryError) as refused:
            publish(output, "second", NEW)
        assert refused.value.message == busy.text
    assert not output.exists()


def test_whoever_waits_runs_when_the_other_has_ended(tmp_path: Path) -> None:
    output = tmp_path / "out"
    looked = []

    def look() -> None:
        looked.append(time.monotonic())
        if len(looked) == 4:
            process.kill()

    with holder(output) as (process, _):
        conduct = Conduct(if_running="wait")
        with open_staging(
            output, job_id("second"), if_exists="fail", codec=CODEC, conduct=conduct, while_waiting=look
        ) as staging:
            assert isinstance(staging, Staging)
    pauses = [later - earlier for earlier, later in itertools.pairwise(looked)]
    assert len(looked) >= 4
    assert pauses[2] > pauses[0]


def test_whoever_waits_long_enough_gives_up(tmp_path: Path) -> None:
    output = tmp_path / "out"
    with holder(output) as (process, _):
        started = time.monotonic()
        with (
            pytest.raises(TemporaryError, match=rf"process {process.pid} .*, still after 0\.30 s"),
            opened(output, if_running="wait", wait_seconds=0.3),
        ):
            pass
        assert time.monotonic() - started >= 0.3


def test_waiting_ends_with_whatever_is_raised_meanwhile(tmp_path: Path) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    output = tmp_path / "out"
    conduct = Conduct(if_running="wait")
    with holder(output):
        waiting = open_staging(
            output, job_id("second"), if_exists="fail", codec=CODEC, conduct=conduct, while_waiting=stop
        )
        with pytest.raises(KeyboardInterrupt), waiting:
            pass


def test_what_was_published_meanwhile_is_seen_after_waiting(tmp_path: Path) -> None:
    """The output is examined under the lock: after waiting for the same job there is nothing to do."""
    output = tmp_path / "out"
    with ThreadPoolExecutor(1) as pool:
        with open_staging(output, job_id("x"), if_exists="fail", codec=CODEC) as first:
            assert isinstance(first, Staging)
            second = pool.submit(publish, output, "x", NEW, conduct=Conduct(if_running="wait"))
            first.publish({}, list(work(first, NEW)), observed={})
            assert not second.done()
        assert isinstance(second.result(timeout=20), Manifest)


def test_whoever_looks_at_the_lock_turns_no_run_away(tmp_path: Path) -> None:
    output = tmp_path / "out"
    publish(output, "x", NEW)
    ended = threading.Event()

    def look() -> None:
        while not ended.is_set():
            runs(output)

    lookers = [threading.Thread(target=look) for _ in range(2)]
    for looker in lookers:
        looker.start()
    try:
        for _ in range(20):
            publish(output, "x", NEW)
    finally:
        ended.set()
        for looker in lookers:
            looker.join()
