"""How far a scan is: rows and bytes read so far, of chunks that are done and of those under way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.scan.prepared import PreparedScan
from pipeline.types.inputs import FileFacts
from pipeline.types.report import Observer, PassBegun, PassReached
from pipeline.types.rows import SliceAccount
from pipeline.types.work import Outcome, Reached


class SliceBytes:
    """How many bytes of ``PreparedScan.bytes_to_read`` slices have: all of them, or a part that was read.

    Parameters
    ----------
    prepared : PreparedScan
    """

    def __init__(self, prepared: PreparedScan) -> None:
        self._plan = prepared.plan
        # Of a unit of the slices of each file: a row group, or a byte after the header.
        self._unit_bytes: npt.NDArray[np.float64] = np.array(
            [prepared.bytes_of(facts) / max(1, _units(facts)) for facts in prepared.files]
        )

    def read(self, accounts: Sequence[SliceAccount]) -> float:
        """Return the bytes of slices that were read whole."""
        return float(sum((each.stop - each.start) * self._unit_bytes[each.file] for each in accounts))

    def reached(self, reached: Reached) -> float:
        """Return the bytes that were read of a chunk under way."""
        plan, first = self._plan, int(self._plan.offsets[reached.chunk])
        pieces = slice(first, first + reached.position + 1)
        sizes = (plan.slice_stop[pieces] - plan.slice_start[pieces]) * self._unit_bytes[plan.slice_file[pieces]]
        return float(sizes[:-1].sum() + reached.share * sizes[-1])


def _units(facts: FileFacts) -> int:
    return len(facts.group_rows) if facts.file.format == "parquet" else facts.identity.size - facts.data_start


def further(one: Reached, other: Reached) -> Reached:
    """Return which of two pieces of news of a chunk is further: one that is tried again moves nothing back."""
    return max(one, other, key=lambda each: (each.position, each.share))


class PassProgress:
    """Tells an observer how far a pass is. For one thread.

    Parameters
    ----------
    prepared : PreparedScan
    observe : Observer
    """

    def __init__(self, prepared: PreparedScan, observe: Observer) -> None:
        self._observe, self._bytes = observe, SliceBytes(prepared)
        self._rows, self._input_bytes = 0, 0.0
        self._under_way: dict[int, Reached] = {}
        estimated = any(facts.rows is None for facts in prepared.files)
        observe(PassBegun(prepared.expected_rows, estimated, prepared.bytes_to_read))

    def book(self, outcome: Outcome[Any]) -> None:
        """Add a chunk that is done."""
        self._under_way.pop(outcome.chunk, None)
        self._rows += outcome.rows
        self._input_bytes += self._bytes.read(outcome.accounts)
        self._tell()

    def reach(self, reached: Reached) -> None:
        """Note how far a chunk under way is."""
        self._under_way[reached.chunk] = further(self._under_way.get(reached.chunk, reached), reached)
        self._tell()

    def _tell(self) -> None:
        under_way = self._under_way.values()
        rows = self._rows + sum(each.rows for each in under_way)
        self._observe(PassReached(rows, round(self._input_bytes + sum(map(self._bytes.reached, under_way)))))
