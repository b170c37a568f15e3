"""The cases in which starting is all there is to it: a job of few rows, and a page of help."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks import contenders, meter, turns
from tests.benchmarks.checking import Work, check
from tests.benchmarks.data import Dataset
from tests.benchmarks.figures import SECONDS, Figure, Outcome, paired
from tests.benchmarks.models import model, save_model, truth
from tests.benchmarks.scoring import describe
from tests.benchmarks.turns import Bench, Contender, Entry

DATASET = Dataset(10_000)
WORK = Work()
IMPORTS, CLICK = "imports", "import click"


@dataclass(frozen=True, slots=True)
class Tiny:
    """Ten thousand rows at any scale: the whole, and the whole less a process that only imports our packages."""

    about: str
    whole_seconds: float
    beyond_imports_seconds: float
    against: Mapping[str, float | None]

    def run(self, bench: Bench) -> Outcome:
        """Run us, those who score the same rows, and the imports in turn."""
        data, raw = DATASET.make(bench.folder), truth(DATASET, bench.folder)
        names = [name for name in self.against if name not in bench.without]
        with tempfile.TemporaryDirectory(dir=bench.folder) as temporary:
            scratch = Path(temporary)
            every = contenders.field(data, model_file(scratch), WORK, DATASET, names)
            importing = [sys.executable, str(contenders.SCRIPTS / "imports.py")]
            every.append(Contender(IMPORTS, {"": importing}, scores=False))
            entries = turns.rehearse(bench, every, scratch, lambda out: check(out, WORK, raw, data))
            turns.measure(bench, entries, scratch)
        ours, *others = entries
        figures = _beyond(ours, others[-1], self.beyond_imports_seconds)
        figures.insert(0, Figure("wall", [run.seconds for run in ours.runs], SECONDS, self.whole_seconds))
        for other in others:
            figures += paired(ours, other, self.against.get(other.name))
        return Outcome(describe(DATASET, data), figures, entries)


def _beyond(ours: Entry, imports: Entry, target: float) -> list[Figure]:
    runs = list(zip(ours.runs, imports.runs, strict=True))
    return [
        Figure("wall beyond our imports", [whole.seconds - bare.seconds for whole, bare in runs], SECONDS, target),
        Figure("CPU time beyond our imports", [whole.cpu_seconds - bare.cpu_seconds for whole, bare in runs], SECONDS),
    ]


@dataclass(frozen=True, slots=True)
class Help:
    """The list of our commands against a process that only imports the library for commands."""

    about: str
    target: float

    @property
    def against(self) -> Mapping[str, float | None]:
        """The process that only imports."""
        return {CLICK: self.target}

    def run(self, bench: Bench) -> Outcome:
        """Run both in turn."""
        every = [
            Contender(contenders.OURS, {"": meter.command("--help")}, scores=False),
            Contender(CLICK, {"": [sys.executable, "-c", "import click"]}, scores=False),
        ]
        with tempfile.TemporaryDirectory(dir=bench.folder) as temporary:
            scratch = Path(temporary)
            entries = turns.rehearse(bench, every, scratch, lambda _: 0.0)
            turns.measure(bench, entries, scratch)
        ours, importing = entries
        return Outcome("nothing is read", paired(ours, importing, self.target), entries)


def model_file(scratch: Path) -> Path:
    """Write the model of the tiny dataset and return its path."""
    return save_model(model(DATASET.mixture), scratch / "tiny.json")


def command(data: Path, scratch: Path) -> Sequence[str]:
    """Return our command on the tiny dataset."""
    return contenders.ours(data, model_file(scratch), WORK, csv=False)
