"""The case of memory: the peak of a run, and that it does not grow with the rows."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks import contenders, turns
from tests.benchmarks.checking import Work
from tests.benchmarks.data import Dataset, Mixture
from tests.benchmarks.figures import BYTES, Figure, Outcome
from tests.benchmarks.models import model, save_model
from tests.benchmarks.turns import Bench

MIXTURE = Mixture()
COPIES = 10


@dataclass(frozen=True, slots=True)
class Growth:
    """P20, then 1, 10 and 100 times so many rows: the most bytes of their peaks, and the most that these may differ by.

    The largest is a folder that has the file of the second ten times, under ten names. Nothing is checked here: the
    other cases check what this one writes.
    """

    about: str
    p20_bytes: float
    peak_bytes: float
    times: float
    rows: int = 1_000_000
    against: Mapping[str, float | None] = field(default_factory=dict)

    def run(self, bench: Bench) -> Outcome:
        """Run the sizes in turn."""
        p20 = Dataset(bench.rows(20_000_000)).make(bench.folder)
        one = Dataset(bench.rows(self.rows)).make(bench.folder)
        ten = Dataset(bench.rows(COPIES * self.rows)).make(bench.folder)
        with tempfile.TemporaryDirectory(dir=bench.folder) as temporary:
            scratch = Path(temporary)
            hundred = scratch / "data"
            hundred.mkdir()
            for number in range(COPIES):
                os.link(ten, hundred / f"{number}.parquet")
            model_path = save_model(model(MIXTURE), scratch / "model.json")
            sizes = {"P20": p20, "rows": one, "10 x rows": ten, "100 x rows": hundred}
            entries = [
                bench.entry(name, "", contenders.ours(data, model_path, Work(), csv=False))
                for name, data in sizes.items()
            ]
            turns.measure(bench, entries, scratch)
        peaks = [[run.peak_bytes for run in entry.runs] for entry in entries]
        goals = [self.p20_bytes, *[self.peak_bytes] * len(peaks[1:])]
        figures = [
            Figure(f"peak memory, {entry.name}", values, BYTES, goal)
            for entry, values, goal in zip(entries, peaks, goals, strict=True)
        ]
        differ = [max(values) / min(values) for values in zip(*peaks[1:], strict=True)]
        figures.append(Figure("largest / smallest peak of 1, 10 and 100 x rows", differ, target=self.times))
        return Outcome(f"id and {len(MIXTURE.numeric)} features; rows is {bench.rows(self.rows):,}", figures, entries)
