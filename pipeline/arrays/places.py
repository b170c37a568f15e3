"""Where the rows of a chunk are in their files, in words."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from pipeline.dataclass import dataclass
from pipeline.plan import Plan
from pipeline.types.inputs import FileFacts
from pipeline.units import escape, format_count


@dataclass(frozen=True)
class RowPlaces:
    """Says which rows of which files the chunks have.

    Attributes
    ----------
    plan : Plan
    files : sequence of FileFacts
    rows : sequence of int
        The rows of each chunk.
    """

    plan: Plan
    files: Sequence[FileFacts]
    rows: Sequence[int]

    def of(self, chunk: int) -> str:
        """Return the number of a chunk, its file, and the rows in it, counted from 1; of many files the first."""
        slices = self.plan.chunk(chunk).slices
        path = escape(self.files[slices[0].file].file.path, 1000)
        first, rows = self._first[chunk], format_count(self.rows[chunk])
        if len(slices) > 1:
            others = f"{len(slices) - 1:,} more file{'' if len(slices) == 2 else 's'}"
            return f"chunk {chunk}: {path} and {others}, {rows} rows"
        return f"chunk {chunk}: {path}, rows {format_count(first + 1)} to {format_count(first + self.rows[chunk])}"

    @cached_property
    def _first(self) -> Sequence[int]:
        """Rows of the same file before each chunk. A chunk of several files has all of their rows."""
        before: list[int] = []
        file, after = -1, 0
        for chunk, rows in zip(self.plan.chunks(), self.rows, strict=True):
            same = len(chunk.slices) == 1 and chunk.slices[0].file == file
            before.append(after if same else 0)
            file, after = chunk.slices[-1].file, before[-1] + rows
        return before
