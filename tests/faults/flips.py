"""Flipped bits and truncations: of outputs, inputs, and what a stopped run left."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
from itertools import count
from typing import IO

from tests.faults.data import ROOT
from tests.faults.frame import Campaign

# For each of the four scenes, in CI, however slow the machine is.
_LEAST = 100
_SCENES = 4
# Far beyond anything but an endless loop.
_HANG_SECONDS = 120


def run(campaign: Campaign) -> None:
    crew = min(2, os.cpu_count() or 1)
    crews = [_Crew(campaign, position, crew) for position in range(crew)]
    with selectors.DefaultSelector() as selector:
        for one in crews:
            one.start(one.position * _SCENES)
            selector.register(one.output, selectors.EVENT_READ, one)
        while selector.get_map():
            ready = selector.select(_HANG_SECONDS)
            if not ready:
                for one in crews:
                    one.kill("hangs")
                return
            for key, _ in ready:
                old = key.fileobj
                if not key.data.take():
                    selector.unregister(old)
                    if key.data.go_on():
                        selector.register(key.data.output, selectors.EVENT_READ, key.data)


class _Crew:
    """A process that works on every n-th case; another one continues if a case has ended it."""

    def __init__(self, campaign: Campaign, position: int, every: int) -> None:
        self.position, self._every, self._campaign = position, every, campaign
        self._numbers = count()
        self._next = 0
        self._process: subprocess.Popen[str] | None = None

    @property
    def output(self) -> IO[str]:
        assert self._process is not None
        assert self._process.stdout is not None
        return self._process.stdout

    def start(self, first: int) -> None:
        folder = self._campaign.scratch / f"{self.position}-{next(self._numbers)}"
        folder.mkdir()
        self._next = first
        seconds = self._campaign.seconds if self._campaign.bounded else 0
        words = [folder, self._campaign.seed, first, self._every, _LEAST, seconds]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.damage", *map(str, words)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )

    def take(self) -> bool:
        """Count one case; ``False`` at the end of the output."""
        line = self.output.readline()
        if not line.endswith("\n"):
            return False
        number, what, wrong = json.loads(line)
        self._next = self._behind(number)
        self._campaign.count(what)
        if wrong:
            self._campaign.violated("Damage is found", f"{wrong} ({self._case(number)})")
        return True

    def go_on(self) -> bool:
        """Start again after the case that ended the process, if one did."""
        assert self._process is not None
        code = self._process.wait()
        self.output.close()
        if not code:
            return False
        self._campaign.count("crashes")
        self._campaign.violated("No crash", f"ended with {code} ({self._case(self._next)})")
        if code > 0:
            return False
        self.start(self._behind(self._next))
        return True

    def kill(self, why: str) -> None:
        assert self._process is not None
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
            self._campaign.violated("No hang", f"{why} ({self._case(self._next)})")

    def _behind(self, number: int) -> int:
        """Return the case that follows another one in this process."""
        following = number + 1
        return following if following % _SCENES else (number // _SCENES + self._every) * _SCENES

    def _case(self, number: int) -> str:
        words = f"python -m tests.faults.damage FOLDER {self._campaign.seed} {number} {10**9} 0 0"
        return f"again with: {words}"
