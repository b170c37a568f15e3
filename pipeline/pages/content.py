"""What a report says, as plain values. Texts are as they are: the page escapes them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from pipeline.dataclass import dataclass

# A label and a text.
Fact = tuple[str, str]

_MOST_ROWS = 1_000


@dataclass(frozen=True, slots=True)
class PageTable:
    """A table under its own heading.

    Attributes
    ----------
    title : str
    headers : tuple of str
    rows : tuple of tuple of str
        A cell for each header; the first cell names the row.
    numbers : frozenset of int
        Positions of the columns that are aligned to the right.
    left_out : int
        How many more rows there are, which the page only counts.
    """

    title: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: frozenset[int] = frozenset()
    left_out: int = 0

    @classmethod
    def filled(
        cls, title: str, headers: Sequence[str], rows: Sequence[Sequence[str]], numbers: Collection[int] = ()
    ) -> PageTable:
        """Return a table of the first 1,000 rows, without the columns that are empty in all rows but the first one."""
        told = [place for place in range(len(headers)) if place == 0 or any(row[place] for row in rows)]
        return cls(
            title,
            tuple(headers[place] for place in told),
            tuple(tuple(row[place] for place in told) for row in rows[:_MOST_ROWS]),
            frozenset(place for place, former in enumerate(told) if former in numbers),
            max(0, len(rows) - _MOST_ROWS),
        )


@dataclass(frozen=True, slots=True)
class PageDrawing:
    """A picture under its own heading.

    Attributes
    ----------
    title : str
    description : str
        What can be seen in it, for people who do not see it, and below it for all others.
    svg : str
        As matplotlib writes it.
    """

    title: str
    description: str
    svg: str


@dataclass(frozen=True, slots=True)
class PageSection:
    """A heading with facts, tables and pictures below it."""

    title: str
    parts: tuple[PageTable | PageDrawing, ...] = ()
    facts: tuple[Fact, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """A report.

    Attributes
    ----------
    title : str
    ran : tuple of Fact
        What ran: inputs, model, options, versions.
    accounts : tuple of Fact
        What became of the rows.
    warnings : tuple of str
        What a person must look at.
    notes : tuple of str
        What else a person should know.
    sections : tuple of PageSection
    """

    title: str
    ran: tuple[Fact, ...]
    accounts: tuple[Fact, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    sections: tuple[PageSection, ...] = ()
