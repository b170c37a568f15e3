"""Files written alike: what they share, found out once, and how messages call each of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import cast

import numpy as np

from pipeline.types.inputs import FileColumns, FileFacts, Integers
from pipeline.units import escape


def shown_names(files: Sequence[FileFacts]) -> list[str]:
    """Return how messages call each file: by its path below the INPUT argument, or in full where two share that."""
    count = Counter(facts.file.path for facts in files)
    return [
        escape(facts.file.path if count[facts.file.path] == 1 else facts.file.location, limit=1_000) for facts in files
    ]


def shape_of(facts: FileFacts) -> object | None:
    """Return what is equal for files that have the same fields, in columns and path; ``None`` where that is not known.

    Valid as long as the facts of both are held.
    """
    if not isinstance(facts.columns, FileColumns):
        return None
    return id(facts.columns.fields), facts.file.partitions


class ColumnNumbers:
    """The numbers of some columns among those of files, found once for files written alike."""

    def __init__(self, names: Collection[str]) -> None:
        self._names = frozenset(names)
        self._known: dict[int, Integers] = {}

    def encoded(self, facts: FileFacts) -> int:
        """Return the bytes that the columns take in a file."""
        columns = facts.columns
        if isinstance(columns, FileColumns):
            return int(columns.encoded[self._of(columns)].sum())
        return sum(column.encoded_bytes for column in columns if column.field.name in self._names)

    def decoded(self, facts: FileFacts) -> list[int]:
        """Return the decoded bytes of each of the columns in a file."""
        columns = facts.columns
        if isinstance(columns, FileColumns):
            return cast("list[int]", columns.decoded[self._of(columns)].tolist())
        return [column.decoded_bytes for column in columns if column.field.name in self._names]

    def _of(self, columns: FileColumns) -> Integers:
        numbers = self._known.get(id(columns.fields))
        if numbers is None:
            found = [number for number, field in enumerate(columns.fields) if field.name in self._names]
            numbers = self._known[id(columns.fields)] = np.array(found, dtype=np.int64)
        return numbers
