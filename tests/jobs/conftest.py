"""The command line in this process and in one of its own."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest

from jobs.cli import group, run

ROOT = Path(__file__).resolve().parents[2]
CODE = "from jobs.cli import main; main()"


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


def on_a_terminal(columns: int, *words: object) -> str:
    """Return what a command writes to a terminal of so many columns."""
    main, other = pty.openpty()
    fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    command = [sys.executable, "-c", "from jobs.cli import main; main()", *map(str, words)]
    environment = {"PYTHONPATH": str(ROOT), "TERM": "xterm", "LC_ALL": "C.UTF-8"}
    with subprocess.Popen(command, stdin=other, stdout=other, stderr=other, env=environment):
        os.close(other)
        text = b""
        # The terminal is gone with the process.
        with suppress(OSError):
            while block := os.read(main, 65_536):
                text += block
        os.close(main)
    return re.sub(r"\x1b\[[0-9;]*m", "", text.decode()).replace("\r\n", "\n")


def parsed(job: str, *words: str) -> dict[str, object]:
    """Return what a command gets, without running it."""
    with click.Context(group, info_name="logitstream", auto_envvar_prefix="LOGITSTREAM") as context:
        command = group.get_command(context, job)
        assert command is not None
        return command.make_context(job, list(words), parent=context).params


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("LOGITSTREAM_"):
            monkeypatch.delenv(name)


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run a command line in this process."""

    def call(*words: object) -> Outcome:
        capsys.readouterr()
        code = run([str(word) for word in words])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call


@pytest.fixture
def process(tmp_path: Path) -> Callable[..., Outcome]:
    """Run a command line in a process of its own, with no environment but what is given."""

    def call(
        *words: object, env: Mapping[str, str] | None = None, start: Sequence[str] = ("-c", CODE), **options: Any
    ) -> Outcome:
        command = [sys.executable, *start, *(str(word) for word in words)]
        environment = {"PYTHONPATH": str(ROOT)} | dict(env or {})
        options = {"cwd": tmp_path, "capture_output": True, "timeout": 120} | options
        done = subprocess.run(command, env=environment, check=False, **options)
        return Outcome(done.returncode, (done.stdout or b"").decode(), (done.stderr or b"").decode())

    return call
