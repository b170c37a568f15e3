"""How much of a folder a command reads, as strace sees it; page cache and libraries make no difference."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks import meter

CALLS = "read,pread64,readv,preadv,preadv2"
# What strace -y writes: a call on a descriptor with its path, and how many bytes came.
_READ = re.compile(r"\w+\(\d+<(?P<path>[^>]*)>.* = (?P<count>\d+)$")


def can_trace() -> bool:
    """Return whether strace is there, and allowed."""
    if shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, check=False).returncode == 0


def bytes_read(command: Sequence[str], folder: Path) -> int:
    """Run a command and return how many bytes it and its children read of files in a folder."""
    with tempfile.TemporaryDirectory() as temporary:
        log = Path(temporary) / "log"
        tracing = ["strace", "-ff", "--seccomp-bpf", "-qq", "-y", "-s", "0", "-e", f"trace={CALLS}", "-o", str(log)]
        meter.run([*tracing, "--", *command])
        # A file for each thread, so that no line is cut in two by another thread's.
        calls = [_READ.match(line) for path in log.parent.iterdir() for line in path.read_text().splitlines()]
    return sum(int(call["count"]) for call in calls if call and Path(call["path"]).is_relative_to(folder))
