"""Faults from outside: strace makes single system calls of the real command line fail, lie, or be its last one.

An undisturbed trace gives the number of each call that touches the output or what is next to it; the seed chooses among
them. Some numbers are chosen among all calls: they may hit the start of the interpreter, and are counted separately.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.faults.children import shared_out
from tests.faults.data import command_line, environment
from tests.faults.frame import Campaign
from tests.faults.scenes import CHUNK_ROWS, SCENES, Ended, World, world

_KILL = "signal=SIGKILL"
# What happens to a call; fsync:retval=0 is a disk that lies, which is noticed only after the next power cut.
FAULTS = {
    "write": ("error=ENOSPC", "error=EIO", "error=EDQUOT", "error=EINTR", _KILL),
    "pwrite64": ("error=ENOSPC", "error=EIO", _KILL),
    "ftruncate": ("error=EIO", _KILL),
    "fsync": ("error=EIO", "error=ENOSPC", "retval=0", _KILL),
    "close": ("error=EIO", "error=ENOSPC", _KILL),
    "openat": ("error=EMFILE", "error=ENOSPC", "error=EIO", "error=EACCES", _KILL),
    "mkdirat": ("error=ENOSPC", "error=EIO", _KILL),
    "linkat": ("error=EIO", "error=ENOSPC", "error=EMLINK", _KILL),
    "renameat2": ("error=EIO", "error=ENOSPC", "error=EINVAL", _KILL),
    "unlinkat": ("error=EIO", "error=EROFS", _KILL),
    "fchmod": ("error=EIO", "error=EPERM", _KILL),
    "newfstatat": ("error=EIO", "error=EACCES", _KILL),
    "getdents64": ("error=EIO", _KILL),
    "flock": ("error=ENOLCK", _KILL),
    "read": ("error=EIO", "error=ESTALE", _KILL),
    "readv": ("error=EIO", "error=ESTALE", _KILL),
}
# With a full disk, a refusal, a file system without exchange, a busy lock; never a bug.
_OURS = frozenset({0, 73, 74, 75, 77, -9})
_SCENES = ("fresh", "replacing")
_STRANGERS = 10
_LIMIT = 300.0
_LINE = re.compile(r"(\d+) +(?:\d+\.\d+ )?(\w+)\(")


@dataclass(frozen=True, slots=True)
class Case:
    """A fault at the n-th call of a kind that the main thread makes."""

    scene: str
    call: str
    fault: str
    number: int

    @property
    def inject(self) -> str:
        """The arguments for strace."""
        when = f"{self.number}+" if self.fault.startswith("retval") else self.number
        return f"inject={self.call}:{self.fault}:when={when}"


def run(campaign: Campaign) -> None:
    with world(campaign.scratch) as played:
        if not can_trace(played):
            campaign.skip("strace is not installed, or may not trace here")
            return
        scenes = (campaign.random.choice(_SCENES),) if campaign.bounded else _SCENES
        cases = [case for scene in scenes for case in _cases(campaign, played, scene)]
        campaign.count("cases to choose from", len(cases))
        campaign.random.shuffle(cases)
        until = time.monotonic() + campaign.seconds / (2 if campaign.bounded else 1)
        for share in shared_out(lambda number, count: _share(campaign, played, cases[number::count], number, until)):
            for what, count in share["counts"].items():
                campaign.count(what, count)
            campaign.violations += share["violations"]


def can_trace(played: World) -> bool:
    """Return whether strace is there, and allowed."""
    if shutil.which("strace") is None:
        return False
    line = ["strace", "-f", "-o", str(played.folder / "log"), "true"]
    return subprocess.run(line, capture_output=True, check=False, timeout=_LIMIT).returncode == 0


def _cases(campaign: Campaign, played: World, scene: str) -> Iterator[Case]:
    """Yield a case for each fault of each call that touches logitstream's files, and some for other calls."""
    played.prepare(SCENES[scene])
    ended, log = traced(played, scene, ["-e", f"trace={','.join(FAULTS)}"])
    if ended.code != 0:
        raise RuntimeError(f"the undisturbed run ended with {ended.code}: {ended.message}")
    seen: Counter[str] = Counter()
    main = ""
    for line in log:
        found = _LINE.match(line)
        main = main or (found[1] if found else "")
        if found is None or found[1] != main:
            continue
        seen[found[2]] += 1
        if str(played.play) in line and "strace" not in line:
            yield from (Case(scene, found[2], fault, seen[found[2]]) for fault in FAULTS[found[2]])
    random = campaign.random
    for call, count in sorted(seen.items()):
        for fault in FAULTS[call]:
            yield from (Case(scene, call, fault, random.randint(1, count)) for _ in range(_STRANGERS))


def traced(played: World, scene: str, options: Sequence[str]) -> tuple[Ended, list[str]]:
    """Run the command under strace; return how it ended, and the lines of the log."""
    log = played.folder / f"{played.stage}.log"
    words = ["score", played.folder / SCENES[scene].act, "--model", played.model, "--output", played.output, "-q"]
    words += ["--chunk-size", CHUNK_ROWS, "--scheduler", "sync", "--if-exists", "replace", "--keep", "version"]
    line = ["strace", "-f", "--seccomp-bpf", "-qq", "-y", "-o", str(log), *options, "--", *command_line(*words)]
    clean = environment() | {"PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(line, env=clean, capture_output=True, check=False, timeout=_LIMIT, cwd="/")
    except subprocess.TimeoutExpired:
        return Ended(-14, "it hangs"), []
    message = done.stderr.decode(errors="replace")
    return Ended(done.returncode, message), log.read_text(errors="replace").splitlines()


def _share(campaign: Campaign, played: World, cases: list[Case], number: int, until: float) -> object:
    own = replace(campaign, counts=Counter(), violations=[])
    played.stage = f"play-{number}"
    for case in cases:
        _disturb(own, played, case)
        if time.monotonic() > until:
            break
    return {"counts": own.counts, "violations": own.violations}


def _disturb(campaign: Campaign, played: World, case: Case) -> None:
    played.prepare(SCENES[case.scene])
    ended, log = traced(played, case.scene, ["-e", f"trace={case.call}", "-e", case.inject])
    hit = _hit(log, case, played.play)
    campaign.count(hit if hit != "ours" else f"{case.call}:{case.fault.removeprefix('error=')}")
    allowed = _OURS if hit == "ours" else None
    wrong = played.wrong_after(SCENES[case.scene], replace(ended, allowed=allowed))
    if "Traceback" in ended.message and hit == "ours":
        wrong.append(f"a traceback: {ended.message[-300:]}")
    for each in wrong:
        how = f"{case.scene}, strace -e {case.inject} (seed {campaign.seed}, in {played.folder})"
        campaign.violated("Yesterday survives", f"{how}: {each}")


def _hit(log: list[str], case: Case, play: Path) -> str:
    """Return whether a fault hit a call that touches logitstream's files, another call, or none."""
    if case.fault == _KILL:
        injected = [line for line in log if _LINE.match(line)][-1:]
    else:
        injected = [line for line in log if "(INJECTED)" in line]
    if not injected:
        return "faults that met no call"
    if any(str(play) in line for line in injected):
        return "ours"
    return "faults before our code, or outside of our paths"
