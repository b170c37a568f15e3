"""The case of a job so small that starting is all there is to it."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks import contenders, turns
from tests.benchmarks.checking import Work, check
from tests.benchmarks.data import Dataset
from tests.benchmarks.figures import SECONDS, Figure, Outcome
from tests.benchmarks.models import model, save_model, truth
from tests.benchmarks.scoring import describe
from tests.benchmarks.turns import Bench, Contender

DATASET = Dataset(10_000)
WORK = Work()


@dataclass(frozen=True, slots=True)
class Tiny:
    """Ten thousand rows at any scale: the whole, and the whole less a process that only imports what we import."""

    about: str
    whole_seconds: float
    beyond_imports_seconds: float
    against: Mapping[str, float | None] = field(default_factory=dict)

    def run(self, bench: Bench) -> Outcome:
        """Run us and the imports in turn."""
        data, raw = DATASET.make(bench.folder), truth(DATASET, bench.folder)
        with tempfile.TemporaryDirectory(dir=bench.folder) as temporary:
            scratch = Path(temporary)
            mine = command(data, scratch)
            names = scratch / "modules.txt"
            names.write_text("\n".join(imported(bench, mine, scratch)))
            importing = [sys.executable, str(contenders.SCRIPTS / "imports.py"), str(names)]
            every = [Contender(contenders.OURS, {"": mine}), Contender("imports", {"": importing}, scores=False)]
            entries = turns.rehearse(bench, every, scratch, lambda out: check(out, WORK, raw, data))
            turns.measure(bench, entries, scratch)
        runs = list(zip(entries[0].runs, entries[1].runs, strict=True))
        figures = [
            Figure("wall", [whole.seconds for whole, _ in runs], SECONDS, self.whole_seconds),
            Figure(
                "wall beyond our imports",
                [whole.seconds - bare.seconds for whole, bare in runs],
                SECONDS,
                self.beyond_imports_seconds,
            ),
            Figure(
                "CPU time beyond our imports", [whole.cpu_seconds - bare.cpu_seconds for whole, bare in runs], SECONDS
            ),
        ]
        return Outcome(describe(DATASET, data), figures, entries)


def command(data: Path, scratch: Path) -> list[str]:
    """Return our command on the tiny dataset."""
    return contenders.ours(data, save_model(model(DATASET.mixture), scratch / "tiny.json"), WORK, csv=False)


def imported(bench: Bench, mine: Sequence[str], scratch: Path) -> list[str]:
    """Return the modules that a command of ours imports, in the order in which they were ready."""
    told = [sys.executable, "-X", "importtime", *(part for part in mine if part != sys.executable)]
    lines = bench.run(told, scratch / "out").errors.splitlines()
    turns.clear(scratch / "out")
    return [line.rpartition("|")[2].strip() for line in lines[1:] if line.startswith("import time:")]
