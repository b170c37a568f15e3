"""The escape characters of a text: those that make a character text, and those that are text themselves.

Before the quote or before itself the escape character makes that character text, inside quotes and outside. Before
anything else it is text. Arrow's parser takes more: any character behind an escape character is text for it, a line
end too, and the escape character is gone. So the parser is given a text in which each lone one is doubled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.dataclass import dataclass
from pipeline.units import KIB

if TYPE_CHECKING:
    from pipeline.sources.csv.dialect import Bytes, Dialect

    View = np.ndarray[Any, np.dtype[np.uint8]]
    Places = np.ndarray[Any, np.dtype[np.int32]]

_TILE = 256 * KIB
_NONE = np.empty(0, np.int32)


@dataclass(frozen=True)
class Escapes:
    """The places of the escape characters that begin a pair, and of those that are text. In ascending order."""

    pairs: Places
    lone: Places

    @classmethod
    def of(cls, text: Bytes, dialect: Dialect) -> Escapes:
        """Return the escape characters of a text that does not begin behind one of them.

        Takes some bytes for each of them, and memory for a tile of the text.
        """
        view = np.frombuffer(text, np.uint8)
        pairs, lone = [_NONE], [_NONE]
        paired = False
        for start in range(0, len(view) if dialect.escape else 0, _TILE):
            places, paired = _acting(view, start, paired=paired, escape=ord(dialect.escape))
            if len(places):
                following = view[np.minimum(places + 1, len(view) - 1)]
                is_pair = following == ord(dialect.escape)
                if dialect.quote:
                    is_pair |= following == ord(dialect.quote)
                is_pair &= places + 1 < len(view)
                pairs.append(places[is_pair])
                lone.append(places[~is_pair])
        return cls(np.concatenate(pairs), np.concatenate(lone))

    def until(self, length: int) -> Escapes:
        """Return those in the beginning of the text, which ends between records."""
        return Escapes(*(places[: places.searchsorted(length)] for places in (self.pairs, self.lone)))

    def masked(self, text: Bytes, letter: int) -> Bytes:
        """Return the text with a letter in place of both bytes of each pair: no quote in it is escaped any more."""
        if not len(self.pairs):
            return text
        view = np.frombuffer(text, np.uint8).copy()
        view[self.pairs] = view[self.pairs + 1] = letter
        return view.data

    def double(self, text: Bytes, into: memoryview) -> None:
        """Write the text with two escape characters in place of each lone one to memory of the right size."""
        view, written = np.frombuffer(text, np.uint8), np.frombuffer(into, np.uint8)
        for start in range(0, len(view), _TILE):
            first, last = self.lone.searchsorted((start, start + _TILE))
            places = self.lone[first:last]
            tile = np.insert(view[start : start + _TILE], places - start, view[places])
            written[start + first : start + first + len(tile)] = tile

    def original_place(self, place: int) -> int:
        """Return where a place of the doubled text is in the text."""
        return place - int(np.searchsorted(self.lone + np.arange(len(self.lone), dtype=np.int32), place))


def _acting(view: View, start: int, *, paired: bool, escape: int) -> tuple[Places, bool]:
    """Return the escape characters of a tile that are not text because of the one before them.

    ``paired`` says that the first byte of the tile is text because of the byte before it; the same comes back for the
    tile behind this one.
    """
    tile = view[start : start + _TILE]
    places = np.flatnonzero(tile == escape)
    if paired and len(places) and places[0] == 0:
        places = places[1:]
    if not len(places):
        return _NONE, False
    begins_run = np.concatenate(([True], np.diff(places) != 1))
    run = np.cumsum(begins_run) - 1
    acting = places[(places - places[begins_run][run]) % 2 == 0]
    return (start + acting).astype(np.int32), bool(acting[-1] == len(tile) - 1)
