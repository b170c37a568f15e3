"""Completion in the shells themselves, on a terminal."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
SECONDS = 30.0
PROMPT = "ready> "
START = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "--interactive"],
}
SET_UP = {
    "bash": "bind 'set show-all-if-ambiguous on'; bind 'set enable-bracketed-paste off'; {source}",
    "zsh": "autoload -Uz compinit; compinit -u -D; {source}",
}


class Terminal:
    """A shell, seen by somebody who types and reads."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.seen = ""

    def type(self, text: str) -> None:
        os.write(self.descriptor, text.encode())

    def read_until(self, text: str) -> str:
        """Return what is on the screen up to a text, which is forgotten then."""
        end = time.monotonic() + SECONDS
        while text not in self.seen:
            ready, _, _ = select.select([self.descriptor], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"{text!r} did not come after {self.seen!r}"
            piece = os.read(self.descriptor, 65536).decode(errors="replace")
            self.seen = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\x07", "", self.seen + piece)
        before, _, self.seen = self.seen.partition(text)
        return before + text


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "logitstream"
    command.write_text(f"#!{sys.executable}\nfrom jobs.logitstream import main\nmain()\n")
    command.chmod(0o755)
    (tmp_path / "flights.csv").write_text("carrier,dep delay,distance\n")
    return tmp_path


@pytest.fixture
def environment(folder: Path) -> dict[str, str]:
    path = f"{folder / 'bin'}:/usr/local/bin:/usr/bin:/bin"
    return {
        "PATH": path,
        "PYTHONPATH": str(ROOT),
        "HOME": str(folder),
        "TERM": "xterm",
        "PS1": PROMPT,
        "LC_ALL": "C.UTF-8",
    }


def require(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")


@contextmanager
def terminal(shell: str, folder: Path, environment: Mapping[str, str]) -> Iterator[Terminal]:
    process, descriptor = pty.fork()
    if process == 0:
        os.chdir(folder)
        os.execvpe(shell, START[shell], dict(environment))
    try:
        found = Terminal(descriptor)
        found.read_until(PROMPT)
        source = f'eval "$(_LOGITSTREAM_COMPLETE={shell}_source logitstream)"'
        found.type(SET_UP[shell].format(source=source) + "; stty columns 500; echo o''k\n")
        found.read_until("ok")
        found.read_until(PROMPT)
        yield found
    finally:
        os.close(descriptor)
        os.waitpid(process, 0)


LINES = [
    ("logitstream ver", "ify "),
    ("logitstream runs cl", "ean "),
    ("logitstream score --raw", "-prediction "),
    ("logitstream score flights.csv --format pa", "rquet "),
    ("logitstream score flights.csv --format=pa", "rquet "),
    ("logitstream score fli", "ghts.csv "),
    ("logitstream score --model=fli", "ghts.csv "),
    ("logitstream score flights.csv --keep ca", "rrier "),
    ("logitstream score flights.csv --keep carrier,di", "stance "),
    ("logitstream score flights.csv --keep=carrier,di", "stance "),
    ("logitstream score flights.csv --keep dep", "\\ delay "),
    ("logitstream score flights.csv --keep 'dep", " delay' "),
    ("logitstream score flights.csv --type dis", "tance="),
    ("logitstream score flights.csv --type distance=date", "32 "),
    ('logitstream transform flights.csv --apply "p=tanh(dis', 'tance)" '),
    ("logitstream transform flights.csv --apply p=sigm", "oid\\("),
    ("logitstream score flights.csv --scheduler proc", "esses "),
    ("logitstream score flights.csv --scheduler tc", "p://"),
]


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_tab_completes_what_was_typed(shell, folder, environment):
    require(shell)
    with terminal(shell, folder, environment) as found:
        for typed, rest in LINES:
            found.type(f"{typed}\t")
            found.read_until(typed)
            found.read_until(rest)
            found.type("\x15\n")
            found.read_until(PROMPT)


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_tab_lists_what_is_possible_and_nothing_where_nothing_is(shell, folder, environment):
    require(shell)
    with terminal(shell, folder, environment) as found:
        found.type("logitstream score flights.csv --keep \t")
        shown = found.read_until("distance")
        assert "carrier" in shown
        found.type("\x15\n")
        found.read_until(PROMPT)
        found.type("logitstream scroe --\t\t\x15echo do''ne\n")
        shown = found.read_until("\ndone").partition("scroe")[2]
        assert "Traceback" not in shown
        assert "score" not in shown


def test_fish_completes_too(folder, environment):
    require("fish")
    source = "_LOGITSTREAM_COMPLETE=fish_source logitstream | source; "

    def completions(line: str) -> list[str]:
        quoted = line.replace("\\", "\\\\").replace("'", "\\'")
        done = subprocess.run(
            ["fish", "--no-config", "-c", f"{source}complete -C '{quoted}'"],
            cwd=folder, env=environment, capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
        assert done.stderr == ""
        return [each.partition("\t")[0] for each in done.stdout.splitlines()]

    for typed, rest in LINES:
        if "'" not in typed and '"' not in typed:
            whole = (typed.split()[-1] + rest).strip().replace("\\", "")
            assert any(each.startswith(whole) for each in completions(typed)), typed
    assert completions("logitstream score flights.csv --keep ") == ["carrier", "dep delay", "distance"]
    assert completions("logitstream scroe ") == []
