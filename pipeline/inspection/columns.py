"""Columns over many files: what each file tells about its columns, joined in the order of the files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import field

from pipeline.dataclass import dataclass
from pipeline.inspection.contents import Read
from pipeline.inspection.extent import EMPTY, Extent
from pipeline.inspection.findings import Column
from pipeline.scan import NAMED, FilesNamed, lacking_texts, types_text

# The type shown for a column of a CSV that was given none, and for one that a path states.
TEXT = "text"


@dataclass(frozen=True, slots=True)
class FileColumn:
    """What one file tells about one of its columns; see :class:`~pipeline.inspection.findings.Column`.

    ``numbers`` is the range of a text column whose cells are all numbers; unknown for any other column.
    """

    type: str
    nullable: bool
    nulls: int | None
    nan: int | None
    infinite: int | None
    extent: Extent
    numbers: Extent


@dataclass(slots=True)
class _Gathered:
    """What is known of a column so far. ``lacking`` names the first files that do not have it."""

    types: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)
    lacking: list[str] = field(default_factory=list)
    nullable: bool = False
    nulls: int | None = 0
    nan: int | None = 0
    infinite: int | None = 0
    extent: Extent = EMPTY
    numbers: Extent = EMPTY

    def add(self, path: str, column: FileColumn) -> None:
        self.types[column.type] += 1
        self.first.setdefault(column.type, path)
        self.nullable |= column.nullable
        self.nulls = _sum(self.nulls, column.nulls)
        self.nan = _sum(self.nan, column.nan)
        self.infinite = _sum(self.infinite, column.infinite)
        self.extent = self.extent.plus(column.extent)
        self.numbers = self.numbers.plus(column.numbers)

    def lacks(self, path: str) -> None:
        if len(self.lacking) < NAMED:
            self.lacking.append(path)


class ColumnUnion:
    """Takes the columns of one file after the other; memory does not grow with the number of files."""

    def __init__(self) -> None:
        self._columns: dict[str, _Gathered] = {}
        self._files = 0
        self._earliest: list[str] = []

    def add(self, path: str, columns: Mapping[str, FileColumn]) -> None:
        """Add the columns of a file, in file order."""
        for name, gathered in self._columns.items():
            if name not in columns:
                gathered.lacks(path)
        for name, column in columns.items():
            if name not in self._columns:
                self._columns[name] = _Gathered(lacking=list(self._earliest))
            self._columns[name].add(path, column)
        self._files += 1
        if len(self._earliest) < NAMED:
            self._earliest.append(path)

    def add_values(self, name: str, read: Read) -> None:
        """Add the values of a column over all files that have it."""
        gathered = self._columns[name]
        gathered.nulls = _sum(gathered.nulls, read.nulls)
        gathered.nan = _sum(gathered.nan, read.nan)
        gathered.infinite = _sum(gathered.infinite, read.infinite)
        gathered.extent = gathered.extent.plus(read.extent)
        gathered.numbers = gathered.numbers.plus(read.numbers)

    def columns(self) -> Iterator[Column]:
        """Yield the columns, in the order in which the files have them."""
        for name, gathered in self._columns.items():
            extent, numbers = gathered.extent, gathered.numbers
            yield Column(
                name=name,
                types=tuple(gathered.types.most_common()),
                nullable=gathered.nullable,
                nulls=gathered.nulls,
                nan=gathered.nan,
                infinite=gathered.infinite,
                smallest=None if extent.smallest is None else extent.smallest.value,
                largest=None if extent.largest is None else extent.largest.value,
                smallest_number=None if numbers.smallest is None else numbers.smallest.order,
                largest_number=None if numbers.largest is None else numbers.largest.order,
            )

    def differences(self) -> Iterator[str]:
        """Yield the differences between files, as sentences: types, and missing columns."""
        for name, gathered in self._columns.items():
            kinds = [(kind, count) for kind, count in gathered.types.most_common() if kind != TEXT]
            if len(kinds) > 1:
                yield types_text(
                    name, [(kind, FilesNamed(count, [(0, gathered.first[kind])])) for kind, count in kinds]
                )
        lacking = {
            name: FilesNamed(files, list(enumerate(gathered.lacking)))
            for name, gathered in self._columns.items()
            if (files := self._files - gathered.types.total())
        }
        yield from lacking_texts(lacking, self._files)


def _sum(total: int | None, more: int | None) -> int | None:
    return None if total is None or more is None else total + more
