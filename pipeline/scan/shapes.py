"""Files with equal schemas: what they have in common, found once; and the names of files in messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np

from pipeline.types.inputs import FileColumns, FileFacts, Integers
from pipeline.units import escape


def shown_names(files: Sequence[FileFacts]) -> list[str]:
    """Return the name of each file in messages: its path below the INPUT argument, or in full where two share it."""
    count = Counter(facts.file.path for facts in files)
    return [
        escape(facts.file.path if count[facts.file.path] == 1 else facts.file.location, limit=1_000) for facts in files
    ]


def shape_of(facts: FileFacts) -> object | None:
    """Return a key that is equal for files with the same fields in columns and path; ``None`` where that is unknown.

    Keys may be compared as long as the facts of both files are alive.
    """
    if not isinstance(facts.columns, FileColumns):
        return None
    return id(facts.columns.fields), facts.file.partitions


class ColumnNumbers:
    """The positions of some columns in files, found once for files with equal schemas."""

    def __init__(self, names: Collection[str]) -> None:
        self._names = frozenset(names)
        self._known: dict[int, Integers] = {}

    def encoded(self, facts: FileFacts) -> int:
        """Return the bytes that the columns take in a file."""
        columns = facts.columns
        if isinstance(columns, FileColumns):
            return int(columns.encoded[self._of(columns)].sum())
        return sum(column.encoded_bytes for column in columns if column.field.name in self._names)

    def decoded(self, facts: FileFacts) -> Integers:
        """Return the decoded bytes of each of the columns in a file."""
        columns = facts.columns
        if isinstance(columns, FileColumns):
            return columns.decoded[self._of(columns)]
        found = [column.decoded_bytes for column in columns if column.field.name in self._names]
        return np.array(found, dtype=np.int64)

    def _of(self, columns: FileColumns) -> Integers:
        numbers = self._known.get(id(columns.fields))
        if numbers is None:
            found = [number for number, field in enumerate(columns.fields) if field.name in self._names]
            numbers = self._known[id(columns.fields)] = np.array(found, dtype=np.int64)
        return numbers
