"""Stops a run at every step it takes and reports what it found. A test runs it as a separate process: it forks.

    python -m tests.publish.crash FOLDER SCENE kill,EIO,ENOSPC,interrupt changing|all [EVERY]

The scenes are those of tests/publish/scenes.py and tests/publish/file_scenes.py. Several ways to stop take turns. The
steps are those that change something, or all; with EVERY, only every n-th of them.
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
from tests.publish.file_scenes import FILE_SCENES
from tests.publish.runs import names
from tests.publish.scenes import SCENES, Scene, act_again
from tests.publish.steps import ALL, CHANGING, watched

OK, REFUSED, INTERRUPTED, UNKNOWN, LEAK = 0, 10, 11, 12, 13
DONE_ALL_THE_SAME = "is published, but", "is rolled back, but"


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


def disturbed(scene: Scene, output: Path, at: int, way: str, steps: set[str]) -> int:
    """Act in this process and return how it ended."""
    stopper = Stopper(at, way)
    before = _open_files()
    try:
        with watched(stopper, steps):
            scene.act(output)
        code = OK
    except PermissionDeniedError:
        return UNKNOWN
    except LogitstreamError as error:
        done = any(text in error.message for text in DONE_ALL_THE_SAME)
        code = OK if done else REFUSED if error.exit_code == 74 else UNKNOWN
    except KeyboardInterrupt:
        code = INTERRUPTED
    return LEAK if _open_files() != before else code


def one(scene: Scene, folder: Path, way: str, at: int, steps: set[str]) -> list[str]:
    """Stop one act at one step; return what is wrong afterwards."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    output = folder / "out"
    scene.prepare(output)
    before = scene.state(output)
    child = os.fork()
    if child == 0:
        code = 99
        try:
            code = disturbed(scene, output, at, way, steps)
        finally:
            os._exit(code)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    wrong = []
    after = scene.state(output)
    done = scene.shows(output, scene.after)
    if not done and after != before:
        wrong.append("mixed")
    if status == OK and not done:
        wrong.append("success without the output")
    if status == REFUSED and after != before:
        wrong.append("failure with another output")
    if status not in {OK, REFUSED, INTERRUPTED, -signal.SIGKILL}:
        wrong.append(f"ended with {status}")
    wrong += act_again(scene, output, done)
    if not scene.toggles and not isinstance(scene.act(output), Manifest):
        wrong.append("a rerun does not recognise what is published")
    return wrong + scene.wrong_afterwards(output)


def main(folder: Path, scene: Scene, ways: list[str], steps: set[str], every: int) -> None:
    counter = Stopper(0, "none")
    output = folder / "count" / "out"
    output.parent.mkdir(parents=True)
    scene.prepare(output)
    with watched(counter, steps):
        scene.act(output)
    violations = {}
    chosen = range(1, counter.seen + 1, every)
    for turn, at in enumerate(chosen):
        if wrong := one(scene, folder / "at", ways[turn % len(ways)], at, steps):
            violations[at] = wrong
    print(json.dumps({"steps": len(chosen), "violations": violations}))


if __name__ == "__main__":
    main(
        Path(sys.argv[1]),
        (SCENES | FILE_SCENES)[sys.argv[2]],
        sys.argv[3].split(","),
        CHANGING if sys.argv[4] == "changing" else ALL,
        int(sys.argv[5]) if len(sys.argv) > 5 else 1,
    )
