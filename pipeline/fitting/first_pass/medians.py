"""Medians of columns: from the histograms of the first pass, or exactly, by one more pass over what is near them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import numpy as np

from pipeline.dataclass import dataclass
from pipeline.fitting.asking.reading import PreparedFit
from pipeline.fitting.first_pass.counting import SeenLevels
from pipeline.fitting.first_pass.quantiles import HalfWay, KeyCounts
from pipeline.fitting.first_pass.rows import RowReader, RowRules
from pipeline.fitting.first_pass.tallies import Tallies
from pipeline.fitting.report import PassDone
from pipeline.fitting.tiles.layout import Codes
from pipeline.scan import ChunkContext, Scan
from pipeline.types.work import Outcome

# So many different numbers near a median are told apart.
_MOST_NEAR = 1 << 20
_ONE_CLASS: Codes = np.zeros(1, dtype=np.intp)
Near = dict[str, KeyCounts]


def medians_of(
    scan: Scan, prepared: PreparedFit, tallies: Tallies, observe: Callable[[PassDone], None]
) -> dict[str, float]:
    """Return the median of each column that needs one and has a value.

    It is within 0.4 %. With ``--exact-median`` columns with more different numbers than a histogram has keys are read
    once more, and their medians are exact.
    """
    known = {name: tallies.keys[name] for name in sorted(prepared.medians) if tallies.keys[name].total()}
    found = {name: keys.median() for name, keys in known.items()}
    ranges = {name: keys.half_way() for name, keys in known.items() if keys.shift}
    while ranges and prepared.job.model.exact_median:
        started, near = time.monotonic(), _near(scan, prepared, ranges)
        observe(PassDone(0, "medians", scan.prepared.expected_rows, time.monotonic() - started))
        found |= {name: keys.median(ranges[name]) for name, keys in near.items()}
        ranges = {name: keys.half_way(ranges[name]) for name, keys in near.items() if keys.shift}
    return found


def _near(scan: Scan, prepared: PreparedFit, ranges: Mapping[str, HalfWay]) -> Near:
    return scan.reduce(NearStep(prepared.rules, tuple(ranges.items())), join_near) or {}


@dataclass(frozen=True, slots=True)
class NearStep:
    """Reads a chunk and returns the numbers that are near the medians of some columns: a step. Plain values."""

    rules: RowRules
    ranges: tuple[tuple[str, HalfWay], ...]

    def __call__(self, context: ChunkContext) -> Outcome[Near]:
        """Read the chunk."""
        near = {name: KeyCounts(most=_MOST_NEAR) for name, _ in self.ranges}
        levels = {source.name: SeenLevels({}) for source in self.rules.levels}
        reader = RowReader(self.rules, SeenLevels({}), levels)
        for batch in context.batches():
            if not batch.data.num_rows:
                continue
            rows = reader.read(batch, context.job.files[batch.file][0].path)
            for name, ends in self.ranges:
                values = rows.numbers[name]
                here = np.flatnonzero(rows.used & (values >= ends.low) & (values <= ends.high))
                weights = None if rows.weights is None else rows.weights[here]
                near[name].add(values[here], np.zeros(len(here), dtype=np.intp), weights)
        for keys in near.values():
            keys.settle()
        return context.outcome(near)


def join_near(left: Near, right: Near) -> Near:
    """Return the numbers of two neighbouring parts of the rows."""
    for name, keys in left.items():
        keys.join(right[name], _ONE_CLASS)
    return left
