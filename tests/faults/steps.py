"""A run stopped at every I/O step: the process killed, a write torn, a full disk, a failing disk."""

from __future__ import annotations

import errno
import os
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from tests.faults.children import shared_out
from tests.faults.frame import Campaign
from tests.faults.scenes import SCENES, World, world
from tests.publish.steps import HALF

# A torn write leaves half of its bytes. A full disk stays full; a failing one may answer the next call.
FAULTS = {
    "kill": "kills",
    "torn": "torn writes",
    "ENOSPC": "full disks",
    "EIO": "disk errors",
    "short": "runs of short writes",
}
_WRITES = {"write", "pwrite"}
_TAKE_SPACE = {"mkdir", "link", "write", "pwrite", "fsync"}
# How many cases of a run that is stopped twice each scene has, and how many cases a bounded campaign takes.
_PAIRS = 400
_SHARE = 40

Case = tuple[str, list[tuple[str, int]]]


class Fault:
    """One fault at one step; the first step is 1."""

    def __init__(self, what: str, at: int) -> None:
        self.what, self.at, self.seen = what, at, 0

    def __str__(self) -> str:
        return f"{self.what} at step {self.at}"

    def __call__(self, name: str, path: str) -> object:
        self.seen += 1
        if self.what == "short" and name in _WRITES:
            return HALF
        # A resumed run has other steps than the one whose steps were counted: this step may not be a write.
        if self.what == "torn" and self.seen == self.at and name in _WRITES:
            return HALF
        if self.seen == self.at + (self.what == "torn") and self.what in {"kill", "torn"}:
            os.kill(os.getpid(), signal.SIGKILL)
        full = self.what == "ENOSPC" and self.seen > self.at and name in _TAKE_SPACE
        if full or (self.seen == self.at and self.what in {"EIO", "ENOSPC"}):
            code = getattr(errno, self.what)
            raise OSError(code, os.strerror(code))
        return None


def run(campaign: Campaign) -> None:
    with world(campaign.scratch) as played:
        cases = list(_cases(campaign, played))
        if campaign.bounded:
            cases = campaign.random.sample(cases, _SHARE)
        for share in shared_out(lambda number, count: _share(campaign, played, cases, number, count)):
            for what, count in share["counts"].items():
                campaign.count(what, count)
            campaign.violations += share["violations"]


def _share(campaign: Campaign, played: World, cases: list[Case], number: int, count: int) -> object:
    """Take every n-th case, each on a new stage."""
    own = replace(campaign, counts=Counter(), violations=[])
    played.stage = f"play-{number}"
    for name, faults in cases[number::count]:
        _stop(own, played, name, faults)
    return {"counts": own.counts, "violations": own.violations}


def _cases(campaign: Campaign, played: World) -> Iterator[Case]:
    """Yield each fault at each step of each scene, and pairs of faults of a run and of the one that resumes it."""
    random = campaign.random
    for name, scene in SCENES.items():
        steps = played.steps(scene)
        campaign.count(f"steps of a run that is {name}", len(steps))
        kinds = [(what, at) for at, (kind, *_) in enumerate(steps, 1) for what in FAULTS if _applies(what, kind)]
        yield from ((name, [(what, at)]) for what, at in kinds)
        yield name, [("short", 0)]
        if scene.act != "roll":
            deaths = [(what, at) for what, at in kinds if what in {"kill", "torn"}]
            yield from ((name, [random.choice(deaths), random.choice(kinds)]) for _ in range(_PAIRS))


def _applies(what: str, kind: str) -> bool:
    return what != "short" and (what != "torn" or kind in _WRITES)


def _stop(campaign: Campaign, played: World, name: str, faults: list[tuple[str, int]]) -> None:
    """Play a scene with one fault, or with a second one when it is played again; see what is left."""
    scene = SCENES[name]
    played.prepare(scene)
    for what, at in faults:
        ended = played.ended(scene, Fault(what, at))
    campaign.count("runs stopped twice" if len(faults) > 1 else f"{FAULTS[what]} while {name}")
    wrongs = played.wrong_after(scene, ended)
    if what == "short" and ended.code != 0:
        wrongs.append(f"short writes ended it with {ended.code}: {ended.message}")
    for wrong in wrongs:
        shown = ", then ".join(f"{what} at step {at}" for what, at in faults)
        campaign.violated("Yesterday survives", f"{name}, {shown} (seed {campaign.seed}, in {played.folder}): {wrong}")
