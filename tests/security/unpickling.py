"""Watches the whole process: nothing from disk is unpickled, only what processes send each other.

An audit hook sees every pickle that names a class or a function, whatever library loads it. It cannot be removed, and
costs nothing while nothing is unpickled.
"""

from __future__ import annotations

import io
import os
import stat
import sys
from pathlib import Path
from types import FrameType

# Who may unpickle, and why: processes that talk to each other over pipes and sockets, copies, and tests.
IN_MEMORY = {
    "concurrent": "results of process pools",
    "copy": "copies",
    "cloudpickle": "tasks of Dask",
    "dask": "tasks of Dask",
    "distributed": "tasks and results on a cluster",
    "execnet": "parallel test runs",
    "multiprocessing": "messages of process pools",
    "pipeline.execute.child": "messages of our own processes, over a pipe",
    "pipeline.execute.cluster.carrying": "tasks of a run, over the connections of the cluster",
    "pipeline.execute.cluster.plugin": "what a run shares with its workers, over their connections",
    "tests": "round trips of what travels to workers",
}

seen: list[str] = []
_installed: list[bool] = []


class UnpickledError(RuntimeError):
    """Something was unpickled that should not have been."""


def install() -> None:
    """Watch from now on; calling it again does nothing."""
    if not _installed:
        _installed.append(True)
        sys.addaudithook(_hook)


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if event != "pickle.find_class":
        return
    frame = _loader(sys._getframe(1))
    reason = _forbidden(frame)
    if reason:
        what = ".".join(map(str, arguments))
        where = f"{frame.f_code.co_filename}:{frame.f_lineno}"
        seen.append(f"{what} was unpickled {reason} at {where}")
        raise UnpickledError(seen[-1])


def _loader(frame: FrameType) -> FrameType:
    """Return the frame that asked ``pickle`` to load something."""
    while _module(frame) == "pickle" and frame.f_back is not None:
        frame = frame.f_back
    return frame


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _forbidden(frame: FrameType) -> str:
    """Return why nothing may be unpickled there; empty if it may."""
    module = _module(frame)
    if not any(module == name or module.startswith(f"{name}.") for name in IN_MEMORY):
        return f"by {module or 'nameless code'}"
    names = [str(name) for value in list(frame.f_locals.values()) if (name := _file_on_disk(value))]
    return f"from the file {names[0]}" if names else ""


def _file_on_disk(value: object) -> str:
    if not isinstance(value, io.IOBase):
        return ""
    try:
        descriptor = value.fileno()
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return ""
        return str(Path(f"/proc/self/fd/{descriptor}").readlink())
    except (OSError, ValueError):
        return ""
