"""Find what a person should hear about the quotes of a text: odd ones, and line ends between them.

Odd quoting is not as a program writes it, but in a way that the parser accepts: a quote in a field that is not quoted
(``12" pipe``), which is legal, or text behind a closing quote, which is not.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import field
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.dataclass import dataclass
from pipeline.sources.csv.parse import count_up_to
from pipeline.units import KIB

if TYPE_CHECKING:
    from pipeline.sources.csv.dialect import Bytes, Dialect
    from pipeline.sources.csv.parse import Text
    from pipeline.types.inputs import Integers

    View = np.ndarray[Any, np.dtype[np.uint8]]
    Flags = np.ndarray[Any, np.dtype[np.bool_]]
    Words = np.ndarray[Any, np.dtype[np.uint64]]

_BLOCK = 256 * KIB
# Quotes are found by place where there is at most one in so many bytes.
_FEW = 16


@dataclass(frozen=True)
class Odd:
    """The first odd quote of each record that has one, in order: ``places`` of legal ones, ``behind`` of the others."""

    places: list[int] = field(default_factory=list)
    behind: list[int] = field(default_factory=list)

    def until(self, length: int) -> Odd:
        """Return those in the beginning of the text."""
        return Odd(*(found[: bisect_left(found, length)] for found in (self.places, self.behind)))


def find_odd(text: Bytes, dialect: Dialect) -> Odd:
    """Return where the records with odd quoting are.

    Where no quoting is odd, quotes open and close in turn: an opening quote follows a delimiter or a line end, a
    closing one precedes one, and a doubled quote is one that closes and one that opens. So the first quote that is
    not where its turn demands is odd, and no odd one comes before it; after its record the turns start again.

    Takes a few fast passes over the text, and some microseconds for each odd record. Memory does not grow with the
    text.

    Parameters
    ----------
    text : bytes-like
        Whole records, the last of which may be open. No quote is escaped.
    dialect : Dialect
        Has a quote, and no escape character.
    """
    view = np.frombuffer(text, np.uint8)
    scratch = np.empty((3, min(_BLOCK, len(view)) + 2), np.bool_)
    found = Odd()
    start, inside = 0, False
    while start < len(view):
        stop = min(start + _BLOCK, len(view))
        places = _few_places(view, start, stop, dialect, scratch[0])
        if places is not None and _take_turns(view, places, dialect, inside=inside):
            start, inside = stop, inside != bool(len(places) % 2)
            continue
        turns = _Turns(view, start, stop, dialect, scratch, inside=inside)
        if turns.any_misfit():
            start, inside = _record_by_record(text, turns, dialect, found)
        else:
            start, inside = turns.stop, turns.inside(turns.stop)
    return found


def line_ends_inside(text: Text, records: int, dialect: Dialect, *, blank: bool, unended: bool) -> int:
    """Return how many line ends of a text are inside quotes.

    Parameters
    ----------
    text : bytes-like
        So many ``records``.
    records : int
    dialect : Dialect
        Has a quote.
    blank : bool
        Whether a blank line is a record.
    unended : bool
        Whether the last record has no line end.
    """
    # Every record but an open one has a line end of one byte at least. No more such bytes: none of them is inside.
    if count_up_to(text, 0x0D) == records - unended:
        return 0
    ends, ending_nothing = _line_ends(np.frombuffer(text, np.uint8))
    beyond = ends + unended - records
    if beyond and not blank and ending_nothing:
        # One of them may end a blank line, which is no record.
        beyond -= sum(1 for _ in dialect.records(bytes(text), blank=True)) - records
    return beyond


def _line_ends(view: View) -> tuple[int, int]:
    """Return how many line ends a text has, and how many of them are at its beginning or right behind another one."""
    ends, ending_nothing = 0, int(view[0] in b"\r\n")
    for start in range(0, len(view), _BLOCK):
        # with the first byte of the next one
        tile = view[start : start + _BLOCK + 1]
        found = feeds = tile == 0x0A
        returns = tile == 0x0D
        pairs = 0
        if returns.any():
            pairs = int(np.count_nonzero(returns[:-1] & feeds[1:]))
            found = feeds | returns
        ends += int(np.count_nonzero(found[:_BLOCK])) - pairs
        ending_nothing += int(np.count_nonzero(found[:-1] & found[1:])) - pairs
    return ends, ending_nothing


def _few_places(view: View, start: int, stop: int, dialect: Dialect, scratch: Flags) -> Integers | None:
    """Return the places of the quotes of a block, ``None`` where there are so many that bits are faster."""
    is_quote = np.equal(view[start:stop], ord(dialect.quote), out=scratch[: stop - start])
    few = np.count_nonzero(is_quote) * _FEW <= stop - start
    return start + np.flatnonzero(is_quote) if few else None


def _take_turns(view: View, places: Integers, dialect: Dialect, *, inside: bool) -> bool:
    """Return whether quotes that open and close in turn, the first of them closing if ``inside``, are at right places.

    A quote at the beginning or end of the text is its own neighbour, which counts as a line end.
    """
    fits = np.zeros(256, np.bool_)
    fits[[ord(dialect.quote), ord(dialect.delimiter), 0x0A, 0x0D]] = True
    neighbours = places.copy()
    neighbours[int(inside) :: 2] -= 1
    neighbours[int(not inside) :: 2] += 1
    return bool(fits.take(view.take(neighbours, mode="clip")).all())


def _record_by_record(text: Bytes, turns: _Turns, dialect: Dialect, found: Odd) -> tuple[int, bool]:
    """Add the odd records that touch a block; return where to continue, and whether that is inside quotes."""
    misfits = turns.misfits(swapped=False), turns.misfits(swapped=True)
    place, swapped = turns.start, False
    while True:
        index = misfits[swapped].searchsorted(place)
        if index == len(misfits[swapped]):
            return turns.stop, turns.inside(turns.stop) != swapped
        odd = int(misfits[swapped][index])
        opens = turns.inside(odd + 1) != swapped
        place = dialect.record_end_behind(text, odd)
        behind = not opens or _has_text_behind(bytes(text[odd + 1 : place]), dialect)
        (found.behind if behind else found.places).append(odd)
        if place >= turns.stop:
            return place, False
        swapped = turns.inside(place)


def _has_text_behind(rest: bytes, dialect: Dialect) -> bool:
    """Return whether there is text behind a closing quote in the rest of a record, given from inside a field."""
    return dialect.quote.encode() in rest and dialect.behind_quote(dialect.letter.encode() + rest) is not None


class _Turns:
    """The quotes of a block of text that open and those that close, if they do so in turn: a bit for each byte.

    Parameters
    ----------
    view : numpy.ndarray
        The text.
    start, stop : int
        The block.
    dialect : Dialect
    scratch : numpy.ndarray
        Three rows of flags, longer than the block by two; not used any more when it is made.
    inside : bool
        Whether the block begins inside quotes, so that its first quote closes.
    """

    def __init__(self, view: View, start: int, stop: int, dialect: Dialect, scratch: Flags, *, inside: bool) -> None:
        self.start, self.stop = start, stop
        first, behind = max(0, start - 1), min(len(view), stop + 1)
        around = view[first:behind]
        # One flag more on each side; the end of the text counts as a line end.
        quotes, fits, other = scratch[:, : stop - start + 2]
        fits[0] = fits[-1] = True
        known = slice(first - start + 1, behind - start + 1)
        is_quote, is_end, other = quotes[known], fits[known], other[known]
        np.equal(around, ord(dialect.quote), out=is_quote)
        np.equal(around, ord(dialect.delimiter), out=is_end)
        is_end |= is_quote
        is_end |= np.equal(around, 0x0A, out=other)
        is_end |= np.equal(around, 0x0D, out=other)
        self._fits_before = _packed(fits)
        self._fits_behind = _shifted(self._fits_before, 2)
        # the flags at the two sides are those of other blocks
        quotes[0] = quotes[-1] = False
        self._quotes = _shifted(_packed(quotes), 1)
        self._inside = _parities(self._quotes, first=inside)

    def inside(self, place: int) -> bool:
        """Return whether a place behind the start of the block is inside quotes."""
        word, bit = divmod(place - 1 - self.start, 64)
        return bool(int(self._inside[word]) >> bit & 1)

    def any_misfit(self) -> bool:
        """Return whether a quote is not where its turn demands."""
        return bool(self._unfit(self._inside).any())

    def misfits(self, *, swapped: bool) -> Integers:
        """Return the places of these quotes; ``swapped`` says that those open that would close, and the reverse."""
        unfit = self._unfit(~self._inside if swapped else self._inside)
        return self.start + np.flatnonzero(np.unpackbits(unfit.view(np.uint8), bitorder="little"))

    def _unfit(self, inside: Words) -> Words:
        # a quote that opens is inside itself
        return self._quotes & ~((inside & self._fits_before) | (~inside & self._fits_behind))


def _packed(flags: Flags) -> Words:
    words = np.zeros(-(-len(flags) // 64), "<u8")
    words.view(np.uint8)[: -(-len(flags) // 8)] = np.packbits(flags, bitorder="little")
    return words


def _shifted(words: Words, count: int) -> Words:
    """Return the bits behind the first ``count``, which are fewer than 64."""
    shifted: Words = words >> np.uint64(count)
    shifted[:-1] |= words[1:] << np.uint64(64 - count)
    return shifted


def _parities(words: Words, *, first: bool) -> Words:
    """Return, for each bit, whether the bits up to it and ``first`` are odd in number."""
    found = words.copy()
    shifted = np.empty_like(found)
    for distance in (1, 2, 4, 8, 16, 32):
        np.left_shift(found, distance, out=shifted)
        found ^= shifted
    before = np.bitwise_xor.accumulate(np.concatenate(([np.uint64(first)], found[:-1] >> 63)))
    found ^= -before  # all ones where the words before are odd
    return found
