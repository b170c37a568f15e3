"""Runs targets, each in a process of its own, and tells what they found, however the process ended."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.ledger import Ledger

ROOT = Path(__file__).resolve().parents[2]
CHILD = ["-m", "tests.fuzz.child"]
# For one input; far beyond anything but an endless loop, also on a machine that does much else.
HANG_SECONDS = 60
# To load everything, and to end.
GRACE_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Finding:
    """An input that broke a promise, where it was saved, and how it did: ``reason`` in a line, ``text`` in full."""

    path: Path
    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one target: inputs tried, seconds of wall clock, and what was found."""

    target: str
    inputs: int
    seconds: float
    findings: tuple[Finding, ...]


def run(target: str, effort: list[str], seed: int, saved: Path, corpus: Path | None = None) -> Outcome:
    """Run one target and return its outcome; every input found is saved.

    Parameters
    ----------
    target : str
    effort : list of str
        ``["--seconds", "10"]`` with atheris, or ``["--mutations", "300"]`` without.
    seed : int
    saved : Path
        Where inputs that were found are put.
    corpus : Path, optional
        Where inputs that reach new code are kept from run to run.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "found").mkdir()
        own = folder / "corpus"
        if corpus is None:
            own.mkdir()
        else:
            corpus.mkdir(parents=True, exist_ok=True)
            own.symlink_to(corpus.resolve())
        ledger = Ledger.new(folder / "ledger")
        began = time.monotonic()
        ending = _watched([target, name, *effort, "--seed", str(seed)], ledger, int(effort[1]), folder / "output")
        seconds = time.monotonic() - began
        findings = [
            _saved(saved, target, path.read_bytes(), path.with_suffix(".txt").read_text())
            for path in sorted((folder / "found").glob("*.input"))
        ]
        if ending:
            output = (folder / "output").read_text(errors="replace")[-10_000:]
            findings.append(_saved(saved, target, ledger.current or b"", f"{output}\n{ending}"))
        outcome = Outcome(target, ledger.begun, seconds, tuple(findings))
        ledger.close()
        return outcome


def _watched(words: list[str], ledger: Ledger, effort: int, output: Path) -> str:
    """Carry the process of a target to its end; return what was wrong with it, nothing where it ended well."""
    command = [sys.executable, *CHILD, *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0"}
    with (
        output.open("wb") as sink,
        subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink
        ) as process,
    ):
        hung = _wait(process, ledger, effort)
        if hung:
            # Python shows then where it stands.
            process.send_signal(signal.SIGABRT)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
            return hung
    code = process.returncode
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code}" if code else ""


def _wait(process: subprocess.Popen[bytes], ledger: Ledger, effort: int) -> str:
    """Wait for the process; return why it must be ended, if it must."""
    begun, since, began = -1, 0.0, time.monotonic()
    while process.poll() is None:
        now = time.monotonic()
        if ledger.begun != begun:
            begun, since = ledger.begun, now
        if ledger.current is not None and now - since > HANG_SECONDS:
            return f"one input took more than {HANG_SECONDS} s"
        if now - began > effort + HANG_SECONDS + GRACE_SECONDS:
            return "the target did not end"
        time.sleep(0.02)
    return ""


def _saved(folder: Path, target: str, data: bytes, text: str) -> Finding:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{target}-{hashlib.sha256(data).hexdigest()[:12]}.input"
    path.write_bytes(data)
    path.with_suffix(".txt").write_text(text)
    return Finding(path, text.rstrip().rsplit("\n", 1)[-1][:200], text)
