"""Columns over many files: what each file tells of its own, put together in the order of the files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.inspection.extent import EMPTY, Extent
from pipeline.inspection.findings import Column
from pipeline.units import escape, format_count

_NAMED = 3


@dataclass(frozen=True, slots=True)
class FileColumn:
    """What one file tells of one of its columns; see :class:`~pipeline.inspection.findings.Column`.

    ``numbers`` is the range of a column of text whose cells are all numbers, unknown for any other.
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
    """A column as it is known so far. ``lacking`` names the first files that do not have it."""

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
        if len(self.lacking) < _NAMED:
            self.lacking.append(path)


class Columns:
    """Takes the columns of one file after the other; memory is that of the columns, whatever the number of files."""

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
        if len(self._earliest) < _NAMED:
            self._earliest.append(path)

    def columns(self) -> Iterator[Column]:
        """Yield the columns, in the order in which the files brought them."""
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
        """Yield what is not the same in all files, in sentences."""
        for name, gathered in self._columns.items():
            if len(gathered.types) > 1:
                kinds = [
                    f"{kind} in {_files(count)} ({escape(gathered.first[kind])}{' first' if count > 1 else ''})"
                    for kind, count in gathered.types.most_common()
                ]
                yield f"{escape(name)} is {', '.join(kinds)}"
            lacking = self._files - gathered.types.total()
            if lacking:
                where = f"{_files(lacking)} of {format_count(self._files)}"
                yield f"{escape(name)} is missing in {where}: {_some(gathered.lacking, lacking)}"


def _some(names: Sequence[str], count: int) -> str:
    more = f" and {format_count(count - len(names))} more" if count > len(names) else ""
    return ", ".join(escape(name) for name in names) + more


def _files(count: int) -> str:
    return f"{format_count(count)} file{'' if count == 1 else 's'}"


def _sum(total: int | None, more: int | None) -> int | None:
    return None if total is None or more is None else total + more
