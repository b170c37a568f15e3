"""Input files, their facts, and the columns that a job needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Self, overload

import numpy as np
import numpy.typing as npt

from pipeline.choices import Format, Role
from pipeline.dataclass import dataclass
from pipeline.units import names_of, texts_of

if TYPE_CHECKING:
    import pyarrow as pa


# Delimiters besides the comma, as they are written on a command line.
_DELIMITERS = {";": "';'", "\t": "tab", "|": "'|'"}
# What the first line begins with where a file tells Excel its delimiter.
_FOR_EXCEL = "sep="

# In the metadata of a field of a file: the logical type that its Arrow type does not show.
LOGICAL = b"logical"
# There, for what is no logical type: timestamps of 96 bits.
INT96 = b"INT96"
UUID = b"UUID"

Integers = npt.NDArray[np.int64]

# A word among the spellings of null, and what it means: what ``read_csv`` takes for null by default, quoted or not.
# Source: ``pandas._libs.parsers.STR_NA_VALUES`` of pandas 3.0 (the same since 2.0, which added None).
PANDAS = "pandas"
PANDAS_NULLS = (
    "",
    "#N/A",
    "#N/A N/A",
    "#NA",
    "-1.#IND",
    "-1.#QNAN",
    "-NaN",
    "-nan",
    "1.#IND",
    "1.#QNAN",
    "<NA>",
    "N/A",
    "NA",
    "NULL",
    "NaN",
    "None",
    "n/a",
    "nan",
    "null",
)
# What people and programs write where there is no value, in lower case.
USUAL_NULLS = frozenset(
    {*map(str.lower, PANDAS_NULLS), "-", "--", "---", ".", "?", r"\n", "none", "nil", "nat", "missing"}
)


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file found under an INPUT argument.

    Attributes
    ----------
    path : str
        Relative to the INPUT argument, ``/`` between parts: the name of the file in plans, messages and identities.
    location : str
        Absolute path, only for opening the file; it never enters an identity.
    position : int
        Position of the INPUT argument that it came from.
    format : {"parquet", "csv"}
    partitions : tuple of (name, value)
        Constants in the path (``country=NL``), ``None`` for ``__HIVE_DEFAULT_PARTITION__``.
    """

    path: str
    location: str
    position: int
    format: Format
    partitions: tuple[tuple[str, str | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Identity:
    """The state of a file: the part of its facts that enters ``job_id``.

    Attributes
    ----------
    size : int
        Bytes.
    mtime_ns : int
        Nanoseconds since the epoch.
    digest : str
        SHA-256, in hexadecimal, of the footer (Parquet) or of the first and last 64 KiB (other).
    content : str
        SHA-256, in hexadecimal, of all bytes where that was asked for (``--fingerprint full``), else empty.
    """

    size: int
    mtime_ns: int
    digest: str
    content: str = ""


@dataclass(frozen=True, slots=True)
class ColumnFacts:
    """One top-level column of a file: its Arrow field, and its bytes in the file and decoded (0 where unknown).

    ``decoded_bytes`` are those of its pages, which a dictionary makes smaller than the values; ``member_bytes`` those
    of the numbers in its lists as they are in memory, 0 where it has none.
    """

    field: pa.Field
    encoded_bytes: int
    decoded_bytes: int
    member_bytes: int = 0

    @property
    def logical(self) -> str:
        """The logical type of a Parquet column that its Arrow type does not show, such as ``UUID``; empty if none."""
        return str((self.field.metadata or {}).get(LOGICAL, b""), "utf-8")


@dataclass(frozen=True, slots=True, eq=False)
class FileColumns(Sequence[ColumnFacts]):
    """The facts of many columns, each made when it is asked for. Files with equal schemas share their fields.

    Attributes
    ----------
    fields : tuple of pyarrow.Field
    encoded, decoded, members : ndarray of int64, shape (columns,)
    """

    fields: tuple[pa.Field, ...]
    encoded: Integers
    decoded: Integers
    members: Integers

    def __len__(self) -> int:
        """Return the number of columns."""
        return len(self.fields)

    @overload
    def __getitem__(self, number: int) -> ColumnFacts: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[ColumnFacts]: ...
    def __getitem__(self, number: int | slice) -> ColumnFacts | Sequence[ColumnFacts]:
        """Return the facts of a column, or of some."""
        sizes = (self.encoded, self.decoded, self.members)
        if isinstance(number, slice):
            return FileColumns(self.fields[number], *(of_columns[number] for of_columns in sizes))
        return ColumnFacts(self.fields[number], *(int(of_columns[number]) for of_columns in sizes))


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What planning needs to know about a file, found without reading its rows.

    Attributes
    ----------
    file : InputFile
    identity : Identity
    columns : sequence of ColumnFacts
        In file order. The columns of a CSV are text until a :class:`Need` says otherwise.
    rows : int or None
        Exact, or ``None`` where only reading shows them (CSV).
    row_bytes : float
        Mean encoded bytes of a row; an estimate where ``rows`` is ``None``. At least 1.
    group_rows : ndarray of int64, shape (row groups,)
        Rows of each row group of a Parquet file; empty for a CSV.
    data_start : int
        Offset of the first byte after the header of a CSV; 0 for Parquet.
    cuttable : bool
        Whether slices may be byte ranges of the file (an uncompressed CSV in an encoding that allows it).
    state : bytes
        Of a Parquet file as it was before it was read, see :func:`pipeline.sources.content.settled_state`: while the
        system states the same of it, these facts hold. Empty where they may not.
    """

    file: InputFile
    identity: Identity
    columns: Sequence[ColumnFacts]
    rows: int | None
    row_bytes: float
    group_rows: Integers
    data_start: int = 0
    cuttable: bool = False
    state: bytes = b""

    @classmethod
    def of_row_groups(
        cls, file: InputFile, identity: Identity, columns: FileColumns, group_rows: Integers, state: bytes
    ) -> Self:
        """Return the facts of a Parquet file, whose rows are those of its row groups."""
        rows = int(group_rows.sum())
        row_bytes = max(1.0, int(columns.encoded.sum()) / max(1, rows))
        return cls(file, identity, columns, rows, row_bytes, group_rows, state=state)

    @property
    def estimated_rows(self) -> int:
        """Rows, exact where they are known, else the bytes after the header divided by the mean row."""
        if self.rows is not None:
            return self.rows
        return int(max(0, self.identity.size - self.data_start) / self.row_bytes)

    @property
    def likely_delimiter(self) -> str:
        """What to write after ``--delimiter``: a character in the only field of a header; empty if there is none."""
        if self.file.format != "csv" or len(self.columns) != 1:
            return ""
        header = self.columns[0].field.name
        best = max(_DELIMITERS, key=header.count)
        return _DELIMITERS[best] if best in header and not self.likely_preamble else ""

    @property
    def likely_preamble(self) -> str:
        """What to do where the header seems to be a line before the header; empty if it does not."""
        header = self.columns[0].field.name if self.file.format == "csv" and len(self.columns) else ""
        if header.startswith("#"):
            return (
                "if the first line is a comment, add --comment '#'; if it is the header, add --skip-lines 1 --columns"
            )
        if not header.lower().startswith(_FOR_EXCEL):
            return ""
        delimiter = _DELIMITERS.get(header[len(_FOR_EXCEL) :])
        option = f" --delimiter {delimiter}" if delimiter else ""
        return f"add --skip-lines 1{option}: the first line only names the delimiter, for Excel"


@dataclass(frozen=True, slots=True)
class Need:
    """A column that the job reads, and its use.

    ``numeric``, ``boolean``, ``categorical`` and ``sequence`` columns are features; ``kept`` columns are copied to the
    output unchanged. A ``boolean`` column is numeric, but text in it is true or false; a ``sequence`` is a column of
    lists of numbers. A column that is both a feature and kept has two needs. ``type`` is the Arrow type named by
    ``--type NAME=TYPE``, else ``None``.

    What follows is true of one file, and says how the column is stored there.

    Attributes
    ----------
    unified : str or None
        The type that it is delivered as, where the file has another one: the type that a kept column has over all
        files, as ``pipeline.sources.column_types.packed`` writes it.
    absent : bool
        Whether the file lacks it; it is null in every row then.
    position : int or None
        Which column of a CSV it is, where the header does not tell it by its name.
    stated : bool
        Whether the path of the file states it too; a row with another value than the path is a bad row.
    """

    name: str
    role: Role
    type: str | None = None
    unified: str | None = None
    absent: bool = False
    position: int | None = None
    stated: bool = False


@dataclass(frozen=True, slots=True)
class CsvOptions:
    """The format of the CSV inputs.

    ``columns`` names the columns of files that have no header; ``nulls`` are the unquoted spellings of null, always
    including the empty field, where the word ``pandas`` means :data:`PANDAS_NULLS`, quoted or not; with ``quoted_null``
    every spelling is null in quotes, too. ``types`` maps a column name to the name of an Arrow type. An empty
    ``quote``, ``escape``, ``comment`` or ``thousands`` means that there is none. ``skip_lines`` lines of text come
    before the header. ``decimal`` is the character before the fraction of a number, ``thousands`` the one between
    groups of three digits.
    """

    delimiter: str = ","
    quote: str = '"'
    nulls: tuple[str, ...] = ("",)
    encoding: str = "utf-8"
    columns: tuple[str, ...] | None = None
    types: tuple[tuple[str, str], ...] = ()
    escape: str = ""
    skip_lines: int = 0
    comment: str = ""
    quoted_null: bool = False
    decimal: str = "."
    thousands: str = ""

    @classmethod
    def given(
        cls,
        *,
        delimiter: str = ",",
        quote: str | None = '"',
        null: str | Sequence[str] | None = (),
        encoding: str = "utf-8",
        columns: str | Sequence[str] | None = None,
        types: Mapping[str, str] | None = None,
        escape: str | None = None,
        skip_lines: int | None = 0,
        comment: str | None = None,
        quoted_null: bool = False,
        decimal: str = ".",
        thousands: str | None = None,
    ) -> Self:
        """Return the options that a person gives: ``null`` are spellings besides the empty field.

        One text of spellings or names may hold several, with commas between them. A character is the empty one where
        ``none`` or ``None`` is given.

        Raises
        ------
        TypeError
            A character is not text, or the number of lines not a whole number.
        """
        if isinstance(skip_lines, bool) or not isinstance(skip_lines, Integral | None):
            raise TypeError(f"skip_lines is {skip_lines!r}; write a whole number, such as skip_lines=2")
        return cls(
            delimiter=_character("delimiter", delimiter),
            quote=_character("quote", quote, none=True),
            nulls=tuple(dict.fromkeys(("", *texts_of(null or ())))),
            encoding=encoding,
            columns=None if columns is None else names_of(columns),
            types=tuple(sorted((types or {}).items())),
            escape=_character("escape", escape, none=True),
            skip_lines=int(skip_lines or 0),
            comment=_character("comment", comment, none=True),
            quoted_null=quoted_null,
            decimal=_character("decimal", decimal),
            thousands=_character("thousands", thousands, none=True),
        )

    @property
    def spellings(self) -> tuple[str, ...]:
        """Every unquoted spelling of null, the empty field first."""
        others = (each for null in self.nulls for each in (PANDAS_NULLS if null == PANDAS else (null,)))
        return tuple(dict.fromkeys(("", *others)))

    @property
    def quoted_spellings(self) -> tuple[str, ...]:
        """The spellings that are null in quotes, too."""
        if self.quoted_null:
            return self.spellings
        return PANDAS_NULLS if PANDAS in self.nulls else ()


def _character(name: str, text: object, *, none: bool = False) -> str:
    """Return a character that is given; the empty text where there is none, which must be allowed."""
    if none and text in (None, "none"):
        return ""
    if not isinstance(text, str):
        raise TypeError(f"{name} is {text!r}; write one character as text")
    return text
