"""Stops a run at every step it takes and tells what it found. Run as a process of its own, by a test: it forks.

    python -m tests.publish.crash FOLDER fresh|replace kill,EIO,ENOSPC,interrupt changing|all

Of several ways to stop, each takes its turn. The steps are those that change something, or all.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import sys
from pathlib import Path

from pipeline.errors import LogitstreamError, PermissionDeniedError
from pipeline.publish import Manifest
from tests.publish.runs import NEW, OLD, home, names, parts_of, publish, snapshot
from tests.publish.steps import ALL, CHANGING, watched

OK, REFUSED, INTERRUPTED, UNKNOWN, LEAK = 0, 10, 11, 12, 13


class Stopper:
    def __init__(self, at: int, way: str) -> None:
        self.at, self.way, self.seen = at, way, 0

    def __call__(self, name: str, path: str) -> None:
        self.seen += 1
        if self.seen != self.at:
            return
        if self.way == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.way == "interrupt":
            raise KeyboardInterrupt
        code = getattr(errno, self.way)
        raise OSError(code, os.strerror(code))


def _open_files() -> int:
    return len(names(Path("/proc/self/fd")))


def disturbed(output: Path, at: int, way: str, steps: set[str]) -> int:
    """Run in this process and return how it ended."""
    stopper = Stopper(at, way)
    before = _open_files()
    try:
        with watched(stopper, steps):
            publish(output, "new", NEW, "replace")
        code = OK
    except PermissionDeniedError:
        return UNKNOWN
    except LogitstreamError as error:
        code = REFUSED if error.exit_code == 74 and "is published, but" not in error.message else UNKNOWN
        code = OK if "is published, but" in error.message else code
    except KeyboardInterrupt:
        code = INTERRUPTED
    return LEAK if _open_files() != before else code


def one(folder: Path, scene: str, way: str, at: int, steps: set[str]) -> list[str]:
    """Stop one run at one step; return what is wrong afterwards."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    output = folder / "out"
    if scene == "replace":
        publish(output, "old", OLD)
    before = snapshot(output)
    child = os.fork()
    if child == 0:
        code = 99
        try:
            code = disturbed(output, at, way, steps)
        finally:
            os._exit(code)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    wrong = []
    after = snapshot(output)
    is_new = parts_of(output) == NEW if output.exists() else False
    if not is_new and after != before:
        wrong.append("mixed")
    if status == OK and not is_new:
        wrong.append("success without the output")
    if status == REFUSED and after != before:
        wrong.append("failure with another output")
    if status not in {OK, REFUSED, INTERRUPTED, -signal.SIGKILL}:
        wrong.append(f"ended with {status}")
    again = publish(output, "new", NEW, "replace")
    if isinstance(again, Manifest) != is_new:
        wrong.append("a rerun does not know what stands")
    if parts_of(output) != NEW:
        wrong.append("a rerun does not complete")
    kept = {f"{name}.kept": content for name, content in OLD.items()} if scene == "replace" else {}
    found = {Path(name).name: c for name, c in snapshot(home(output)).items() if "part-" in name}
    if found != kept:
        wrong.append(f"left beside the output: {sorted(snapshot(home(output)))}")
    if list((home(output) / "jobs").iterdir()):
        wrong.append("staging is left")
    return wrong


def main(folder: Path, scene: str, ways: list[str], steps: set[str]) -> None:
    counter = Stopper(0, "none")
    output = folder / "count" / "out"
    output.parent.mkdir(parents=True)
    if scene == "replace":
        publish(output, "old", OLD)
    with watched(counter, steps):
        publish(output, "new", NEW, "replace")
    violations = {}
    for at in range(1, counter.seen + 1):
        if wrong := one(folder / "at", scene, ways[at % len(ways)], at, steps):
            violations[at] = wrong
    print(json.dumps({"steps": counter.seen, "violations": violations}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3].split(","), CHANGING if sys.argv[4] == "changing" else ALL)
