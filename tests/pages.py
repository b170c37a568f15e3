"""The README and the pages of the guide, and what their tests share: each is followed as its reader would.

A page is followed block by block, in order, in a folder as its reader has it. What a page has its reader save (a block
behind "`NAME`:") is saved, commands and Python run, and a line for cron runs as cron would run it.
"""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import sklearn.linear_model  # noqa: F401 - before tests begin: it sets variables of the environment

from jobs.cli import run
from jobs.commands.guide import TOPICS

ROOT = Path(__file__).parents[1]
GUIDE = ROOT / "jobs" / "guide"
README = ROOT / "README.md"
PAGES = {topic: GUIDE / f"{topic}.md" for topic in TOPICS}
EVERY = {"README": README, **PAGES}

_BLOCK = re.compile(r"(?:`([\w.-]+)`:\n\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SHELL = re.compile(r"[|<>&;$`]")
_BARE = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)}


@dataclass(frozen=True)
class Block:
    """A block of code: its kind, its text, and the name under which the reader saves it, if any."""

    kind: str
    body: str
    name: str

    @property
    def commands(self) -> list[str]:
        """The commands of a shell block, each on one line."""
        return self.body.replace("\\\n", " ").splitlines()


def blocks(page: Path, kind: str = "") -> list[Block]:
    """Return the blocks of a page in order, or those of one kind."""
    found = [Block(*match.group(2, 3), match[1] or "") for match in _BLOCK.finditer(page.read_text(encoding="utf-8"))]
    return [block for block in found if kind in {"", block.kind}]


def is_installing(block: Block) -> bool:
    return block.kind == "sh" and "venv" in block.body


def is_cluster(block: Block) -> bool:
    return block.kind == "sh" and "dask scheduler" in block.body


def is_starting(block: Block) -> bool:
    """Return whether the commands of a block start clusters themselves: what these leave ends with a process."""
    return block.kind == "sh" and re.search(r"--scheduler local|--cluster\b", block.body) is not None


def is_for_airflow(block: Block) -> bool:
    """Return whether a block needs Airflow: a file that it loads, or its command."""
    return block.kind in {"python", "sh"} and "airflow" in block.body


@dataclass
class Reader:
    """Somebody who follows a page in a folder, with the commands of this Python on the path."""

    folder: Path
    variables: dict[str, object] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        path = f"{self.command.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}

    @property
    def command(self) -> Path:
        """The installed command: not everywhere that tests run is it installed."""
        script = self.folder / ".venv" / "bin" / "logitstream"
        if not script.exists():
            script.parent.mkdir(parents=True, exist_ok=True)
            script.write_text(
                f"#!{sys.executable}\nfrom jobs.logitstream import main\nif __name__ == '__main__':\n    main()\n"
            )
            script.chmod(0o755)
        return script

    def follow(self, page: Path, command: Callable[[str], None] | None = None) -> None:
        """Do what a page says, but install nothing and start neither a cluster nor Airflow.

        The folder is the current one.
        """
        for block in blocks(page):
            if block.name:
                (self.folder / block.name).write_text(block.body, encoding="utf-8")
            if is_for_airflow(block):
                continue
            if block.kind == "sh" and not (is_installing(block) or is_cluster(block) or is_starting(block)):
                for line in block.commands:
                    (command or self.run_here)(line)
            elif block.kind == "python":
                exec(compile(block.body, str(page), "exec"), self.variables)
            elif block.kind == "crontab":
                self.run_as_cron(block.body)

    def run_here(self, command: str) -> None:
        """Run a command of logitstream in this process, which saves its start; anything else in a shell.

        One with a budget has a process of its own, too: the tests before have taken gigabytes of this one.
        """
        in_shell = _SHELL.search(re.sub(r"'[^']*'", "", command)) or "--memory" in command
        if command.startswith("logitstream ") and not in_shell:
            assert run(shlex.split(command)[1:]) == 0, command
        else:
            self.run(command)

    def run(self, command: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command in its own shell."""
        result = subprocess.run(
            ["sh", "-c", command], cwd=self.folder, env=environment or self.environment, capture_output=True, text=True,
            timeout=120, check=False,
        )  # fmt: skip
        assert result.returncode == 0, f"{command}\n{result.stderr}"
        return result

    def run_as_cron(self, crontab: str) -> None:
        """Run the line of a crontab with next to no environment but what the lines before set; nothing may be said."""
        *settings, line = crontab.replace("/srv/nightly", str(self.folder)).splitlines()
        *times, command = line.split(maxsplit=5)
        assert all(re.fullmatch(r"[\d*]+", each) for each in times)
        assert self.command.exists()
        result = self.run(command, _BARE | dict(setting.split("=", 1) for setting in settings))
        assert result.stdout == result.stderr == ""

    def start_clusters(self, page: Path) -> None:
        """Run the commands of a page that start clusters, each in a process of its own."""
        with_extras = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
        for block in blocks(page):
            if block.name:
                (self.folder / block.name).write_text(block.body, encoding="utf-8")
            if is_starting(block):
                for line in block.commands:
                    assert "Traceback" not in self.run(line, self.environment | {"PYTHONPATH": with_extras}).stderr

    def score_on_the_cluster(self, page: Path, number: int = 0) -> None:
        """Start the scheduler and the workers of a block of a page, and run the command behind them."""
        port = free_port()
        with self.cluster(page, port, number) as score:
            result = self.run(score)
        assert "Traceback" not in result.stderr

    @contextmanager
    def cluster(self, page: Path, port: int, number: int = 0) -> Iterator[str]:
        """Start the scheduler and the workers of a block of a page, on a port; yield the command behind them."""
        found = [block for block in blocks(page) if is_cluster(block)][number]
        scheduler, worker, score = (line.replace("8786", str(port)) for line in found.commands)
        with self._started(f"{scheduler} --no-dashboard"), self._started(f"{worker} --no-dashboard"):
            _wait_for(port)
            yield score

    @contextmanager
    def _started(self, command: str) -> Iterator[None]:
        process = subprocess.Popen(
            shlex.split(command), cwd=self.folder, env=self.environment, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            yield
        finally:
            process.terminate()
            process.wait(30)


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _wait_for(port: int) -> None:
    """Return when somebody listens on a port."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.05)
    raise AssertionError(f"nobody listens on port {port}")


def reader_in(folder: Path) -> Reader:
    """Return a reader whose folder has what ``logitstream demo`` leaves of the sample."""
    (folder / "logitstream-demo").symlink_to(ROOT / "sample_data")
    return Reader(folder)
