"""Values that show themselves as a short table: as text on a terminal, as HTML in a notebook."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape as as_html

from pipeline.dataclass import dataclass
from pipeline.units import escape, format_count

_MOST_ROWS = 20
_OF_A_FACT, _OF_A_CELL = 200, 60


@dataclass(frozen=True, slots=True)
class Summary:
    """What a value shows of itself.

    Attributes
    ----------
    facts : sequence of (str, str)
        A label and a text each.
    headers : tuple of str
        Of the table below the facts; empty if there is none.
    rows : sequence of tuple of str
        A cell for each header. Only the first 20 are shown.
    """

    facts: Sequence[tuple[str, str]]
    headers: tuple[str, ...] = ()
    rows: Sequence[tuple[str, ...]] = ()


class Tabular:
    """Shows a short table instead of all that a value holds; subclasses are data classes with ``repr=False``."""

    __slots__ = ()

    def _summary(self) -> Summary:
        raise NotImplementedError

    def __repr__(self) -> str:
        summary = self._summary()
        lines = [type(self).__name__, *_aligned(summary.facts, _OF_A_FACT)]
        if summary.rows:
            lines += ["", *_aligned([summary.headers, *_first(summary.rows)], _OF_A_CELL), *_left_out(summary.rows)]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """Return the same table for a notebook; every text in it is escaped."""
        summary = self._summary()
        facts = (_html_row(fact, "td", _OF_A_FACT) for fact in summary.facts)
        parts = [f"<strong>{type(self).__name__}</strong>", _html_table(facts)]
        if summary.rows:
            rows = (_html_row(row, "td", _OF_A_CELL) for row in _first(summary.rows))
            parts += [_html_table([_html_row(summary.headers, "th", _OF_A_CELL), *rows])]
            parts += [f"<p>{as_html(line)}</p>" for line in _left_out(summary.rows)]
        return "\n".join(parts)


def _first(rows: Sequence[tuple[str, ...]]) -> Sequence[tuple[str, ...]]:
    return rows[:_MOST_ROWS]


def _left_out(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    if len(rows) > _MOST_ROWS:
        yield f"  ... {format_count(len(rows) - _MOST_ROWS)} more"


def _aligned(rows: Iterable[Sequence[str]], limit: int) -> list[str]:
    shown = [[escape(cell, limit) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    lines = ("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)) for row in shown)
    return [f"  {line}".rstrip() for line in lines]


def _html_table(rows: Iterable[str]) -> str:
    return f"<table>{''.join(rows)}</table>"


def _html_row(cells: Sequence[str], tag: str, limit: int) -> str:
    inner = (f"<{tag}>{as_html(escape(cell, limit))}</{tag}>" for cell in cells)
    return f"<tr>{''.join(inner)}</tr>"
