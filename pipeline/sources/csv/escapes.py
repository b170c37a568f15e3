"""The escape characters of a text: those that make a character text, and those that are text themselves.

Before the quote or before itself the escape character makes that character text, inside quotes and outside. Before
anything else it is text. Arrow's parser takes more: any character behind an escape character is text for it, a line
end too, and the escape character is gone. So the parser is given a text in which each lone one is doubled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pipeline.sources.csv.dialect import Bytes, Dialect
    from pipeline.types.inputs import Integers

    View = np.ndarray[Any, np.dtype[np.uint8]]


@dataclass(frozen=True)
class Escapes:
    """The places of the escape characters that begin a pair, and of those that are text. In ascending order."""

    pairs: Integers
    lone: Integers

    @classmethod
    def of(cls, text: Bytes, dialect: Dialect) -> Escapes:
        """Return the escape characters of a text that does not begin behind one of them."""
        view = np.frombuffer(text, np.uint8)
        places = np.flatnonzero(view == ord(dialect.escape)) if dialect.escape else np.empty(0, np.intp)
        if not len(places):
            return cls(places, places)
        begins_run = np.concatenate(([True], np.diff(places) != 1))
        run = np.cumsum(begins_run) - 1
        # Of a run of escape characters every second one is text because of the one before it.
        acts = (places - places[begins_run][run]) % 2 == 0
        following = view[np.minimum(places + 1, len(view) - 1)]
        paired = np.isin(following, [ord(character) for character in dialect.escape + dialect.quote])
        paired &= places + 1 < len(view)
        return cls(places[acts & paired], places[acts & ~paired])

    def masked(self, text: Bytes, letter: int) -> bytes:
        """Return the text with a letter in place of both bytes of each pair: no quote in it is escaped any more."""
        if not len(self.pairs):
            return bytes(text)
        view = np.frombuffer(text, np.uint8).copy()
        view[self.pairs] = view[self.pairs + 1] = letter
        return view.tobytes()

    def doubled(self, text: Bytes) -> bytes:
        """Return the text with two escape characters in place of each lone one."""
        view = np.frombuffer(text, np.uint8)
        return np.insert(view, self.lone, view[self.lone]).tobytes() if len(self.lone) else bytes(text)

    def original_place(self, place: int) -> int:
        """Return where a place of the doubled text is in the text."""
        return place - int(np.searchsorted(self.lone + np.arange(len(self.lone)), place))
