"""Which escape characters of a text act, and which are text, for any text and whatever is looked at at a time."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sources.csv import escapes as csv_escapes
from pipeline.sources.csv.dialect import Dialect
from pipeline.sources.csv.escapes import Escapes


@given(
    text=st.lists(st.sampled_from([b"\\", b"\\", b"\\\\\\", b'"', b"a", b"\n", b","]), max_size=30).map(b"".join),
    quote=st.sampled_from(['"', ""]),
    tile=st.integers(1, 9),
)
def test_escape_characters_act_from_left_to_right(text: bytes, quote: str, tile: int) -> None:
    pattern = re.compile(rb'\\(["\\]?)' if quote else rb"\\(\\?)")
    found = list(pattern.finditer(text))
    doubled = pattern.sub(lambda match: b"\\" + (match[1] or b"\\"), text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_escapes, "_TILE", tile)
        escapes = Escapes.of(text, Dialect(quote=quote, escape="\\"))
        into = bytearray(len(text) + len(escapes.lone))
        escapes.double(text, memoryview(into))
    assert escapes.pairs.tolist() == [match.start() for match in found if match[1]]
    assert escapes.lone.tolist() == [match.start() for match in found if not match[1]]
    assert bytes(into) == doubled
    assert bytes(escapes.masked(text, ord("x"))) == pattern.sub(lambda match: b"xx" if match[1] else match[0], text)
    places = np.arange(len(text)) + np.searchsorted(escapes.lone, np.arange(len(text)))
    assert [escapes.original_place(int(place)) for place in places] == list(range(len(text)))
    assert escapes.original_place(len(doubled)) == len(text)


def test_a_text_without_an_escape_character_has_none() -> None:
    assert len(Escapes.of(b'\\"', Dialect()).pairs) == 0
    assert len(Escapes.of(b"", Dialect(escape="\\")).lone) == 0
