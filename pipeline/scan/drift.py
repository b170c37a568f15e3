"""Where files differ in their columns: what the needs of a job become in each file, and words for a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace

import pyarrow as pa

from pipeline.dataclass import dataclass
from pipeline.sources.column_types import arrow_type, unit_of
from pipeline.sources.csv.columns import shown_header
from pipeline.sources.csv.naming import pandas_names
from pipeline.types.inputs import FileColumns, FileFacts, Need
from pipeline.units import escape, format_count, near_name, quoted

NAMED = 3
_NAMES_SHOWN = 20
_PATH_LENGTH = 1_000


@dataclass(slots=True)
class FilesNamed:
    """Some files: how many, and the first three of them, each with its position among all files and its name."""

    count: int = 0
    earliest: list[tuple[int, str]] = field(default_factory=list)

    @property
    def first(self) -> tuple[str, ...]:
        """The names of the first three."""
        return tuple(name for _, name in self.earliest)

    def add(self, position: int, name: str) -> None:
        """Count one more file, which comes after the others."""
        self.count += 1
        if len(self.earliest) < NAMED:
            self.earliest.append((position, name))

    def join(self, others: FilesNamed) -> None:
        """Count other files too."""
        self.count += others.count
        self.earliest = sorted(self.earliest + others.earliest)[:NAMED]


class Fitting:
    """The columns of one file, as the needs of a job find them.

    Parameters
    ----------
    facts : FileFacts
    keep_all : bool
        Whether all columns are kept. Then those of a CSV that have no name, or one that is taken, are found under the
        names of :func:`~pipeline.sources.csv.naming.pandas_names`.
    """

    def __init__(self, facts: FileFacts, *, keep_all: bool) -> None:
        self.names = _names(facts)
        self.is_csv = facts.file.format == "csv"
        self.stated = tuple(name for name, _ in facts.file.partitions)
        self._types = {} if self.is_csv else {each.field.name: each.field.type for each in facts.columns}
        self._counts = Counter(self.names)
        self.renamed: dict[str, int] = {}
        if keep_all and self.is_csv and (len(self._counts) < len(self.names) or "" in self._counts):
            called = enumerate(zip(pandas_names(self.names), self.names, strict=True))
            self.renamed = {new: i for i, (new, old) in called if new != old or self._counts[old] > 1}

    def columns(self) -> Iterator[str]:
        """Yield the names of all columns, those in the path last."""
        yield from pandas_names(self.names) if self.renamed else self.names
        yield from self.stated

    def called(self) -> list[str]:
        """Return the names of the columns that have another name here than in the header."""
        return [name for name, number in self.renamed.items() if self.names[number] != name]

    def fit(self, need: Need) -> Need:
        """Return a need as this file meets it; it may be absent."""
        position = self.renamed.get(need.name) if need.role == "kept" else None
        here = position is not None or need.name in self._counts
        if not here and need.name not in self.stated:
            return replace(need, absent=True)
        if position is None and not (here and need.name in self.stated):
            return need
        return replace(need, position=position, stated=here and need.name in self.stated)

    def counts_in(self, need: Need) -> str | None:
        """Return the unit in which a number counts that is read of a column of times; ``None`` for any other column."""
        if need.type is None or need.name not in self._types:
            return None
        is_number = pa.types.is_integer(arrow_type(need.type)) or pa.types.is_floating(arrow_type(need.type))
        return unit_of(self._types[need.name]) if is_number else None

    def stores(self, name: str) -> bool:
        """Return whether the file gives a column a type: in a CSV or a path it is text."""
        return not self.is_csv and name in self._counts

    def faults(self, needs: Sequence[Need]) -> list[str]:
        """Return what is wrong with the names of some columns, as one clause or none: they are missing, or repeated."""
        missing = list(dict.fromkeys(need.name for need in needs if need.absent))
        twice = list(dict.fromkeys(need.name for need in needs if self.is_repeated(need)))
        clauses = [f"has no column{'' if len(missing) == 1 else 's'} {_listed(missing)}"] if missing else []
        clauses += [f"has {self._counts[name]} columns {quoted(name)}" for name in twice[:_NAMES_SHOWN]]
        if not clauses:
            return []
        header = f"; {shown_header(self.names)}" if self.is_csv else ""
        # A header of one field has another delimiter, and is no name.
        near = _near(missing, self.names) if len(self.names) > 1 or not self.is_csv else ""
        return [f"{', '.join(clauses)}{header}{near}"]

    def alike(self, needs: Iterable[Need]) -> list[tuple[str, str]]:
        """Return each absent column of which this file has one that differs in case or blanks alone, with that one."""
        absent = dict.fromkeys(need.name for need in needs if need.absent)
        folded = {name.strip().casefold(): name for name in self.names} if absent else {}
        found = ((name, folded.get(name.strip().casefold())) for name in absent)
        return [(name, other) for name, other in found if other is not None]

    def is_repeated(self, need: Need) -> bool:
        """Return whether several columns have the name of a need, which does not say which one it is."""
        return bool(need.name) and need.position is None and self._counts[need.name] > 1


def _names(facts: FileFacts) -> Sequence[str]:
    if isinstance(facts.columns, FileColumns):
        return [each.name for each in facts.columns.fields]
    return [column.field.name for column in facts.columns]


def _near(missing: Sequence[str], names: Sequence[str]) -> str:
    found = list(dict.fromkeys(filter(None, (near_name(name, names) for name in missing[:_NAMES_SHOWN]))))
    shown = ", ".join(f'"{escape(name)}"' for name in found)
    return f"; did you mean {shown}?" if found else ""


def _listed(names: Sequence[str]) -> str:
    more = f" and {format_count(len(names) - _NAMES_SHOWN)} more" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(map(quoted, names[:_NAMES_SHOWN])) + more


def lacking_texts(lacking: Mapping[str, FilesNamed], files: int) -> Iterator[str]:
    """Yield a sentence for the columns that the same files lack: ``y is missing in 1 file of 3 (b.csv)``."""
    groups: dict[tuple[int, tuple[str, ...]], list[str]] = {}
    for name, where in lacking.items():
        groups.setdefault((where.count, where.first), []).append(name)
    for (count, paths), names in groups.items():
        listed = some([escape(path, _PATH_LENGTH) for path in paths], count)
        place = f"{files_text(count)} of {format_count(files)} ({listed})"
        shown = some([_shown(name) for name in names[:NAMED]], len(names))
        yield f"{shown} {'is' if len(names) == 1 else 'are'} missing in {place}"


def types_text(name: str, kinds: Iterable[tuple[str, FilesNamed]], verb: str = "is") -> str:
    """Return the types of a column in words: ``k is int64 in 2 files (a.parquet first), string in 1 file (b.csv)``."""
    return f"{_shown(name)} {verb} {', '.join(_kind(kind, where) for kind, where in kinds)}"


def _shown(name: str) -> str:
    return escape(name) or "(no name)"


def _kind(kind: str, where: FilesNamed) -> str:
    first = escape(where.first[0], _PATH_LENGTH)
    return f"{escape(kind)} in {files_text(where.count)} ({first}{' first' if where.count > 1 else ''})"


def some(names: Sequence[str], count: int) -> str:
    """Return the first of some names, which are safe to show, and how many more there are."""
    more = f" and {format_count(count - len(names))} more" if count > len(names) else ""
    return ", ".join(names) + more


def files_text(count: int) -> str:
    """Return a number of files in words."""
    return f"{format_count(count)} file{'' if count == 1 else 's'}"
