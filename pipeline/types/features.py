"""What is missing in the features of a model, which of their values it does not know, and the warnings about both."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any, Protocol, cast, runtime_checkable

from pipeline.choices import Lack, Role, UnseenCause
from pipeline.dataclass import dataclass

# Of the unseen values of a chunk its receipt keeps so many, with so many characters each.
KEPT_SPELLINGS, KEPT_CHARACTERS = 5, 80
# More different values are not told apart while they are counted: the first ones are.
_MOST_SPELLINGS = 1_000


@dataclass(frozen=True, slots=True)
class FeatureCount:
    """What was counted of one feature in some rows.

    Attributes
    ----------
    missing : int
        Rows without a value: null or NaN.
    unseen : int
        Values that are not a level of the model.
    spellings : mapping of str to int
        How often unseen values occur, in the order in which they were first seen, 80 characters of each. The sum is at
        most ``unseen``: not all of them are kept.
    """

    missing: int = 0
    unseen: int = 0
    spellings: Mapping[str, int] = field(default_factory=dict)

    def plus(self, other: FeatureCount) -> FeatureCount:
        """Return the counts of these rows and of some that follow; a thousand different spellings are kept."""
        spellings = dict(self.spellings)
        for text, count in other.spellings.items():
            if text in spellings or len(spellings) < _MOST_SPELLINGS:
                spellings[text] = spellings.get(text, 0) + count
        return FeatureCount(self.missing + other.missing, self.unseen + other.unseen, spellings)

    @property
    def frequent(self) -> tuple[tuple[str, int], ...]:
        """The five most frequent spellings, the most frequent first."""
        return tuple(sorted(self.spellings.items(), key=lambda each: (-each[1], each[0]))[:KEPT_SPELLINGS])

    def shortened(self) -> FeatureCount:
        """Return the counts with the five most frequent spellings alone, as a receipt keeps them."""
        return FeatureCount(self.missing, self.unseen, dict(self.frequent))


NOTHING = FeatureCount()


@dataclass(frozen=True, slots=True)
class FeatureCounts:
    """What was counted of all features in some rows.

    Attributes
    ----------
    rows : int
        Rows in which the features were looked at: those that could be read.
    columns : mapping of str to FeatureCount
        By the column of the feature. One of which nothing is missing or unseen is not listed.
    unknown : tuple of (int, str, int)
        Slice position in the chunk, column and values, where the model knows none of the values of a categorical
        feature in a slice; the values may be 0.
    """

    rows: int = 0
    columns: Mapping[str, FeatureCount] = field(default_factory=dict)
    unknown: tuple[tuple[int, str, int], ...] = ()

    def plus(self, other: FeatureCounts) -> FeatureCounts:
        """Return the counts of both; slices have no meaning beyond a chunk, and are left out."""
        columns = dict(self.columns)
        for name, count in other.columns.items():
            columns[name] = columns.get(name, NOTHING).plus(count)
        return FeatureCounts(self.rows + other.rows, columns)

    def without_spellings(self) -> FeatureCounts:
        """Return the numbers alone: they are the same in whatever order receipts come."""
        numbers = {name: FeatureCount(count.missing, count.unseen) for name, count in self.columns.items()}
        return FeatureCounts(self.rows, numbers)

    def unknown_of(self, columns: Iterable[str]) -> Iterator[tuple[str, int]]:
        """Yield the categorical features of which the model knows no value in these rows, and how many values."""
        for column in columns:
            values = self.rows - self.of(column).missing
            if values == self.of(column).unseen:
                yield column, values

    def of(self, column: str) -> FeatureCount:
        """Return the counts of one feature."""
        return self.columns.get(column, NOTHING)

    def to_json(self) -> dict[str, object]:
        """Return the counts as receipts and manifests have them."""
        return {
            "rows": self.rows,
            "columns": {
                name: {"missing": count.missing, "unseen": count.unseen, "spellings": [list(e) for e in count.frequent]}
                for name, count in sorted(self.columns.items())
            },
            "unknown": [list(each) for each in self.unknown],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any] | None, slices: int = 0) -> FeatureCounts:
        """Return the counts of a receipt of so many slices, or of a manifest; none where it has none.

        Raises
        ------
        TypeError, ValueError, LookupError, AttributeError
            The value is something else.
        """
        if value is None:
            return cls()
        columns = {
            str(name): FeatureCount(int(count["missing"]), int(count["unseen"]), _spellings(count["spellings"]))
            for name, count in value["columns"].items()
        }
        unknown = tuple((int(position), str(name), int(values)) for position, name, values in value["unknown"])
        if not all(0 <= position < slices for position, *_ in unknown):
            raise ValueError("there is no such slice")
        return cls(int(value["rows"]), columns, unknown)


NO_COUNTS = FeatureCounts()


def _spellings(pairs: Sequence[tuple[str, int]]) -> dict[str, int]:
    return {str(text): int(count) for text, count in pairs}


@dataclass(frozen=True, slots=True)
class FeatureFacts:
    """What a model says of a feature.

    Attributes
    ----------
    column : str
    role : {"numeric", "boolean", "categorical", "sequence"}
    refuses_missing : bool
        Whether a missing value is an error.
    levels : collection of str
        The levels of a categorical feature.
    levels_are_numbers : bool
        Whether cells are read as integers or numbers where no level is spelled like them.
    """

    column: str
    role: Role
    refuses_missing: bool
    levels: Collection[str] = ()
    levels_are_numbers: bool = False


@runtime_checkable
class HasFeatures(Protocol):
    """A block function with features whose missing and unseen values are counted."""

    def features(self) -> Sequence[FeatureFacts]:
        """Return what the model says of its features."""
        ...


@dataclass(frozen=True, slots=True)
class FeatureWarning:
    """A feature that probably makes scores meaningless.

    Attributes
    ----------
    lack : {"unseen", "missing"}
    column : str
    count, of : int
        How many of the values are unseen, or how many of the rows have no value.
    file : str or None
        The file that this is about, ``None`` for the whole run.
    frequent : tuple of (str, int)
        The most frequent unseen values, and how often each occurs at least: those of the run if those of the file are
        not known.
    levels : tuple of str
        Some levels that the model knows.
    known : int
        How many levels it knows.
    cause : str or None
        The likely cause, a word of :data:`~pipeline.choices.UnseenCause`.
    fails : bool
        Whether this ends a run, with exit code 65.
    text : str
        All of it in a sentence, safe to show.
    """

    lack: Lack
    column: str
    count: int
    of: int
    text: str
    file: str | None = None
    frequent: tuple[tuple[str, int], ...] = ()
    levels: tuple[str, ...] = ()
    known: int = 0
    cause: UnseenCause | None = None
    fails: bool = False

    def __str__(self) -> str:
        return self.text

    def to_json(self) -> dict[str, object]:
        """Return the warning as ``--json`` and the manifest have it."""
        return {
            "kind": self.lack,
            "column": self.column,
            "file": self.file,
            "count": self.count,
            "of": self.of,
            "values": [{"text": text, "at_least": count} for text, count in self.frequent],
            "levels": list(self.levels),
            "known_levels": self.known,
            "cause": self.cause,
            "fails": self.fails,
            "message": self.text,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> FeatureWarning:
        """Return the warning in a manifest.

        Raises
        ------
        TypeError, ValueError, LookupError
            The value is something else.
        """
        return cls(
            lack=cast("Lack", str(value["kind"])),
            column=str(value["column"]),
            count=int(value["count"]),
            of=int(value["of"]),
            text=str(value["message"]),
            file=None if value["file"] is None else str(value["file"]),
            frequent=tuple((str(each["text"]), int(each["at_least"])) for each in value["values"]),
            levels=tuple(map(str, value["levels"])),
            known=int(value["known_levels"]),
            cause=cast("UnseenCause | None", value["cause"]),
            fails=bool(value["fails"]),
        )
