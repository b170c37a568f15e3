"""A case in which all contenders score one dataset."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks import contenders, files, turns
from tests.benchmarks.checking import Work, check
from tests.benchmarks.data import Dataset
from tests.benchmarks.figures import Figure, Outcome, paired
from tests.benchmarks.models import model, save_model, truth
from tests.benchmarks.turns import Bench


@dataclass(frozen=True, slots=True)
class Scoring:
    """A dataset at a scale, the work, and against whom: the most that ours / theirs should be, or ``None``."""

    about: str
    dataset: Callable[[Bench], Dataset]
    against: Mapping[str, float | None]
    work: Work = field(default_factory=Work)

    def run(self, bench: Bench) -> Outcome:
        """Make the data, check every form of every contender, and run them in turn."""
        dataset = self.dataset(bench)
        data = dataset.make(bench.folder)
        raw = truth(dataset, bench.folder)
        names = [name for name in self.against if name not in bench.without]
        with tempfile.TemporaryDirectory(dir=bench.folder) as temporary:
            scratch = Path(temporary)
            model_path = save_model(model(dataset.mixture), scratch / "model.json")
            every = contenders.field(data, model_path, self.work, dataset, names)
            entries = turns.rehearse(bench, every, scratch, lambda out: check(out, self.work, raw, data))
            turns.measure(bench, entries, scratch)
        ours, *others = entries
        figures: list[Figure] = []
        for other in others:
            figures += paired(ours, other, self.against[other.name])
        return Outcome(describe(dataset, data), figures, entries)


def describe(dataset: Dataset, data: Path) -> str:
    """Return rows, columns, files and bytes in words."""
    columns = len(dataset.mixture.numeric) + len(dataset.mixture.levels)
    kind = dataset.kind + (f" {dataset.compression}" if dataset.kind == "parquet" else "")
    many = f"{dataset.files:,} files" if dataset.files > 1 else "one file"
    return f"{dataset.rows:,} rows, id and {columns} features, {kind}, {many} of {files.size(data) / 1e6:,.1f} MB"
