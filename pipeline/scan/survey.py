"""Files checked against the columns that a job reads: what is read of each, and all differences that matter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace

import numpy as np
import pyarrow as pa

from pipeline.choices import Absent, Role
from pipeline.dataclass import dataclass
from pipeline.errors import SchemaError, UsageError
from pipeline.scan.drift import FilesNamed, Fitting, lacking_texts, some, types_text
from pipeline.scan.facts import field_of
from pipeline.scan.jobfile import Needs
from pipeline.scan.shapes import shape_of, shown_names
from pipeline.sources.column_types import arrow_type, can_be_read_as, packed, type_name, unified
from pipeline.types.inputs import CsvOptions, FileFacts, Need
from pipeline.types.report import Lacking
from pipeline.units import escape, quoted

# Returns one sentence for each unfit field, given those of the features in their order.
Check = Callable[[Sequence[pa.Field]], Sequence[str]]

_PROBLEMS_SHOWN = 1_000
_CLAUSES_SHOWN = 20
_NAMES_SHOWN = 5
# From the coarsest to the finest; and the zones that --type can name.
_UNITS = ("s", "ms", "us", "ns")
_ZONES = {None: "", "UTC": ", UTC"}

_UNNAMED = "pandas writes its index there: write the file with to_csv(index=False), or name the index"
_CSV = (
    "for a CSV, see --delimiter (what separates its fields), --columns (their names, if it has no header; with"
    " --skip-lines 1 they replace its header), --comment (for lines above the header) and --type NAME=TYPE (the type of"
    " a kept column)"
)


@dataclass(frozen=True)
class Surveyed:
    """What is read of some files.

    Attributes
    ----------
    features, kept : tuple of Need
        The columns of all files: those that are read as numbers or levels, and those that are read as they are.
    needs : Needs
        The same for each file, features first; a column that a file lacks is absent there.
    fields : tuple of pyarrow.Field
        Of the kept columns, over all files.
    lacking : tuple of Lacking
        The columns that some files lack.
    notes : tuple of str
        How the files differ, in words for a person.
    """

    features: tuple[Need, ...]
    kept: tuple[Need, ...]
    needs: Needs
    fields: tuple[pa.Field, ...]
    lacking: tuple[Lacking, ...]
    notes: tuple[str, ...]


@dataclass(slots=True, eq=False)
class _Look:
    """One file, or several with equal schemas: its needs, the fields of the kept columns that it has, and faults."""

    facts: FileFacts
    fitting: Fitting
    files: FilesNamed = field(default_factory=FilesNamed)
    needs: tuple[Need, ...] = ()
    fields: Mapping[str, pa.Field] = field(default_factory=dict)
    faults: tuple[str, ...] = ()


@dataclass(slots=True)
class _Kept:
    """What the files have of a kept column: its types, and those of them that are not just text of a CSV or a path."""

    types: dict[pa.DataType, FilesNamed] = field(default_factory=dict)
    stored: set[pa.DataType] = field(default_factory=set)
    nullable: bool = False

    def in_words(self, name: str) -> str:
        """Return the types with their files, as a clause."""
        return types_text(name, [(str(type_), where) for type_, where in self.types.items()])


@dataclass(slots=True)
class Survey:
    """All files, compared with each other.

    Attributes
    ----------
    csv : CsvOptions
    features, kept : tuple of Need
        The columns that are wanted of all files.
    looks : list of _Look or None
        One for each file, the same for equal schemas; ``None`` for a CSV that has not even a header.
    lacking : dict of str to FilesNamed
        The columns that some files lack.
    columns : dict of str to _Kept
        The kept columns.
    types : dict of str to pyarrow.DataType or None
        The type of each kept column over all files, ``None`` where they have none in common.
    units : dict of str to dict of str to FilesNamed
        What the numbers count that are read of columns of times, with the files.
    """

    csv: CsvOptions
    looks: list[_Look | None]
    features: tuple[Need, ...] = ()
    kept: tuple[Need, ...] = ()
    lacking: dict[str, FilesNamed] = field(default_factory=dict)
    columns: dict[str, _Kept] = field(default_factory=dict)
    types: dict[str, pa.DataType | None] = field(default_factory=dict)
    units: dict[str, dict[str, FilesNamed]] = field(default_factory=dict)

    @classmethod
    def of(cls, files: Sequence[FileFacts], features: Sequence[Need], keep: Sequence[str], csv: CsvOptions) -> Survey:
        """Return the files as they are found, before they are compared with what is wanted of them.

        Parameters
        ----------
        files : sequence of FileFacts
        features : sequence of Need
            Columns that are read as numbers or levels.
        keep : sequence of str
            Columns that are read as they are; ``*`` is all of them.
        csv : CsvOptions

        Raises
        ------
        UsageError
            A type is declared for no column.
        """
        survey = cls(csv, _looks(files, keep_all="*" in keep))
        types = dict(csv.types)
        survey.features = tuple(replace(need, type=types.get(need.name)) for need in features)
        survey.kept = tuple(Need(name, "kept", types.get(name)) for name in _kept_names(keep, survey))
        read = {need.name for need in (*survey.features, *survey.kept)}
        for name, type_ in csv.types:
            if name not in read:
                raise UsageError(
                    f"--type {escape(name)}={escape(type_)}: the job reads no column of that name",
                    "correct the name, keep the column (--keep), or leave the type out",
                )
        return survey

    @property
    def count(self) -> int:
        """How many files have columns."""
        return sum(look is not None for look in self.looks)

    def distinct(self) -> list[_Look]:
        """Return each look once, in the order of the files."""
        return [look for look in dict.fromkeys(self.looks) if look is not None]

    def compared(self, check: Check, absent: Absent) -> Surveyed:
        """Return what is read of the files, after all of them were compared with what is wanted.

        A kept column has the narrowest type that holds the values of every file unchanged.

        Raises
        ------
        SchemaError
            With every difference that is not allowed, files with the same one together.
        """
        self._compare(check)
        _refuse(self, absent)
        fields = tuple(self.field(need) for need in self.kept)
        return Surveyed(
            features=self.features,
            kept=self.kept,
            needs=_needs_by_file(self, {each.name: each.type for each in fields}),
            fields=fields,
            lacking=tuple(Lacking(name, where.count, where.first) for name, where in self.lacking.items()),
            notes=tuple(_notes(self)),
        )

    def _compare(self, check: Check) -> None:
        """Judge every file, and find what the files lack and which types they have."""
        self.columns = {need.name: _Kept() for need in self.kept}
        for look in self.distinct():
            _judge(self, look, check)
            for lacked in dict.fromkeys(need.name for need in look.needs if need.absent):
                self.lacking.setdefault(lacked, FilesNamed()).join(look.files)
            for name, unit in {need.name: look.fitting.counts_in(need) for need in look.needs}.items():
                if unit is not None:
                    self.units.setdefault(name, {}).setdefault(unit, FilesNamed()).join(look.files)
            for column, found in look.fields.items():
                self.columns[column].types.setdefault(found.type, FilesNamed()).join(look.files)
                self.columns[column].nullable |= found.nullable
                if look.fitting.stores(column):
                    self.columns[column].stored.add(found.type)
        self.types = {name: unified(column.types) for name, column in self.columns.items()}

    def field(self, need: Need) -> pa.Field:
        """Return the field of a kept column in the output; without any file that has columns it is text."""
        column = self.columns[need.name]
        type_ = self.types[need.name] if column.types else pa.string()
        return pa.field(need.name, type_, nullable=column.nullable or not column.types or need.name in self.lacking)


def _looks(files: Sequence[FileFacts], *, keep_all: bool) -> list[_Look | None]:
    """Return one look for each file, the same for equal schemas; ``None`` for a CSV that has not even a header."""
    known: dict[object, _Look] = {}
    looks: list[_Look | None] = []
    for position, (facts, name) in enumerate(zip(files, shown_names(files), strict=True)):
        if facts.file.format == "csv" and not facts.columns:
            looks.append(None)
            continue
        shape = shape_of(facts)
        look = known.get(shape) or _Look(facts, Fitting(facts, keep_all=keep_all))
        if shape is not None:
            known[shape] = look
        look.files.add(position, name)
        looks.append(look)
    return looks


def _kept_names(keep: Sequence[str], survey: Survey) -> Sequence[str]:
    """Return the names of the kept columns; all of them are those of every file, in order of first appearance."""
    if "*" not in keep:
        return keep
    there = (name for look in survey.distinct() for name in look.fitting.columns())
    return tuple(dict.fromkeys((*there, *(name for name in keep if name != "*"))))


_FITTING: Mapping[Role, pa.DataType] = {"categorical": pa.string(), "sequence": pa.list_(pa.float64())}


def _judge(survey: Survey, look: _Look, check: Check) -> None:
    """Find the needs, fields and faults of a look; what it lacks is judged with all files."""
    features, kept = survey.features, survey.kept
    look.needs = tuple(map(look.fitting.fit, (*features, *kept)))
    fields: list[pa.Field | None] = []
    faults = []
    for need in look.needs:
        found = None
        if not (need.absent or look.fitting.is_repeated(need)):
            try:
                found = field_of(look.facts, need, survey.csv)
            except LookupError as error:
                faults.append(str(error.args[0]))
        fields.append(found)
    # A field that fits takes the place of one that is missing, so that the others are judged all the same.
    fitting = [
        pa.field(need.name, _FITTING.get(need.role, pa.float64())) if found is None else found
        for need, found in zip(features, fields, strict=False)
    ]
    look.faults = tuple(dict.fromkeys((*faults, *check(fitting))))
    named = zip(kept, fields[len(features) :], strict=True)
    look.fields = {need.name: found for need, found in named if found is not None}


def _needs_by_file(survey: Survey, types: Mapping[str, pa.DataType]) -> Needs:
    """Return the needs of each file; a kept column that it lacks, or has in another type, comes in the unified one."""
    needs = (*survey.features, *survey.kept)
    lists: dict[tuple[Need, ...], int] = {}
    numbers: dict[_Look | None, int] = {}
    for look in dict.fromkeys(survey.looks):
        own = needs if look is None else tuple(_delivered(need, look, types) for need in look.needs)
        numbers[look] = lists.setdefault(own, len(lists))
    if len(lists) < 2:
        return Needs.of(next(iter(lists), needs))
    return Needs(tuple(lists), np.array([numbers[look] for look in survey.looks], dtype=np.int64))


def _delivered(need: Need, look: _Look, types: Mapping[str, pa.DataType]) -> Need:
    if need.role != "kept" or (need.name in look.fields and look.fields[need.name].type == types[need.name]):
        return need
    return replace(need, unified=packed(types[need.name]))


def _refuse(survey: Survey, absent: Absent) -> None:
    """Raise with all that is wrong; files with the same faults share a line."""
    nowhere = {name for name, where in survey.lacking.items() if where.count == survey.count}
    refused = nowhere if absent == "null" else set(survey.lacking)
    groups: dict[tuple[str, ...], FilesNamed] = {}
    for look in survey.distinct():
        if clauses := tuple(_clauses(look, refused)):
            groups.setdefault(clauses, FilesNamed()).join(look.files)
    problems = [f"{_subject(where)}: {_joined(faults)}" for faults, where in groups.items()]
    apart = [name for name, type_ in survey.types.items() if type_ is None]
    problems += [survey.columns[name].in_words(name) for name in apart]
    problems += [
        f"{types_text(name, units.items(), 'counts')}: as numbers they cannot be compared"
        for name, units in survey.units.items()
        if len(units) > 1
    ]
    if problems:
        raise SchemaError(_listed(problems), _remedy(survey, refused, nowhere, apart))


def _clauses(look: _Look, refused: set[str]) -> Iterator[str]:
    yield from look.fitting.faults([need for need in look.needs if not need.absent or need.name in refused])
    yield from look.faults


def _subject(where: FilesNamed) -> str:
    """Return files as the subject of a sentence about each of them."""
    first, *others = where.first
    if not others:
        return first
    count = where.count - 1
    more = ", ...)" if count > len(others) else ")"
    return f"{first} (like {count:,} other file{'' if count == 1 else 's'}: {', '.join(others)}{more}"


def _joined(faults: Sequence[str]) -> str:
    more = f"; and {len(faults) - _CLAUSES_SHOWN:,} more" if len(faults) > _CLAUSES_SHOWN else ""
    return "; ".join(faults[:_CLAUSES_SHOWN]) + more


def _remedy(survey: Survey, refused: set[str], nowhere: set[str], apart: Sequence[str]) -> str:
    """Return what to do; ``refused`` columns are missing in some file, ``nowhere`` in all, ``apart`` have no type."""
    looks, needs = survey.distinct(), (*survey.features, *survey.kept)
    headers = [look.facts for look in looks if look.fitting.is_csv]
    preamble = next(filter(None, (facts.likely_preamble for facts in headers)), "")
    if preamble and all(need.name in nowhere for need in needs):
        return preamble
    if delimiter := _other_delimiter(headers):
        return delimiter
    has_csv = bool(headers)
    if has_csv and not all(need.name for need in needs):
        return _UNNAMED
    sequences = any(need.role == "sequence" for need in needs)
    if has_csv and sequences:
        return "write the sequences to Parquet, as columns of lists of numbers"
    remedies = ["fix the files, or use other columns"]
    absent = [name for name in survey.lacking if name in refused and name not in nowhere]
    if absent:
        shown = ", ".join(map(escape, absent[:_NAMES_SHOWN])) + (", ..." if len(absent) > _NAMES_SHOWN else "")
        remedies.append(f"--absent null takes what a file lacks ({shown}) as null")
    typed = [text for name in apart if (text := _typed(name, survey.columns[name]))]
    if typed:
        remedies.append(f"--type {typed[0]}{', and so on,' if len(apart) > 1 else ''} reads a column as one type")
    elif any(look.faults for look in looks) and not sequences:
        remedies.append("--type NAME=TYPE reads a column as another type")
    # Where files only differ from each other, they are written as they are said to be.
    doubtful = nowhere or not (absent or apart)
    return "; ".join([*remedies, *([_CSV] if has_csv and doubtful else [])])


def _other_delimiter(headers: Sequence[FileFacts]) -> str:
    """Return what to do about headers that have another delimiter; empty where none seems so."""
    delimiters = sorted({facts.likely_delimiter for facts in headers} - {""})
    if len(delimiters) > 1 or (delimiters and any(len(facts.columns) > 1 for facts in headers)):
        return f"the files have different delimiters: give each kind to a run of its own (--delimiter {delimiters[0]})"
    if delimiters:
        return f"add --delimiter {delimiters[0]}: the header is one field with that character in it"
    return ""


def _typed(name: str, column: _Kept) -> str:
    """Return the option that gives a column one type, with one that suits those of the files; empty if none does."""
    kind = _common_type([type_ for type_ in column.stored or column.types if not pa.types.is_null(type_)])
    if not all(can_be_read_as(type_, arrow_type(kind)) for type_ in column.types):
        return ""
    return f"'{escape(name)}={kind}'" if set(" ()[]") & set(name + kind) else f"{escape(name)}={kind}"


def _common_type(types: Sequence[pa.DataType]) -> str:
    """Return the name of a type that all or nearly all values of some types can be read as."""
    one = unified(types)
    if one is not None and (named := type_name(one)):
        return named
    if all(pa.types.is_integer(type_) or pa.types.is_floating(type_) for type_ in types):
        return "float64"
    if all(map(pa.types.is_timestamp, types)) and len({type_.tz for type_ in types}) == 1 and types[0].tz in _ZONES:
        return f"timestamp[{max((type_.unit for type_ in types), key=_UNITS.index)}{_ZONES[types[0].tz]}]"
    if all(map(pa.types.is_decimal, types)):
        scale = max(type_.scale for type_ in types)
        return f"decimal128({min(38, max(type_.precision - type_.scale for type_ in types) + scale)}, {scale})"
    return "string"


def _notes(survey: Survey) -> Iterator[str]:
    for text in lacking_texts(survey.lacking, survey.count):
        yield f"{text}: taken as null (--absent null)"
    for look in survey.distinct():
        for name, other in look.fitting.alike(look.needs):
            yield f"{some(look.files.first, look.files.count)}: has {quoted(other)}, but no {quoted(name)}"
    for name, column in survey.columns.items():
        if len(column.types) > 1:
            yield f"{column.in_words(name)}: written as {survey.types[name]}"
    for name, units in survey.units.items():
        yield f"{escape(name)} is a time: its numbers count {', '.join(units)}"
    called: dict[tuple[str, ...], FilesNamed] = {}
    for look in survey.distinct():
        if new := tuple(look.fitting.called()):
            called.setdefault(new, FilesNamed()).join(look.files)
    for new, where in called.items():
        shown = some(list(map(quoted, new[:_NAMES_SHOWN])), len(new))
        yield f"{some(where.first, where.count)}: columns with no name, or a repeated one, are called {shown}"


def _listed(problems: Iterable[str]) -> str:
    unique = list(dict.fromkeys(problems))
    shown = [f"  {problem}" for problem in unique[:_PROBLEMS_SHOWN]]
    if len(unique) > _PROBLEMS_SHOWN:
        shown.append(f"  and {len(unique) - _PROBLEMS_SHOWN:,} more")
    return "\n".join(["the inputs do not fit the job:", *shown])
