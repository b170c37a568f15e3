"""One run at a time: the second is told who the first is; a dead one is in nobody's way."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.errors import TemporaryError
from pipeline.publish import open_staging
from tests.publish.runs import CODEC, NEW, home, job_id, parts_of, publish

_HOLD = """
import subprocess, sys
from pathlib import Path
from pipeline.publish import open_staging
from tests.publish.runs import CODEC, job_id
with open_staging(Path(sys.argv[1]), job_id("first"), if_exists="fail", codec=CODEC):
    child = subprocess.Popen(["sleep", "60"], close_fds=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    print(child.pid, flush=True)
    sys.stdin.read()
"""


@contextmanager
def holder(output: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process that holds the lock, and a child of it that inherits whatever can be inherited."""
    root = Path(__file__).parents[2]
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
