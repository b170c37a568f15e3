"""Errors carry the place that they are about."""

from __future__ import annotations

from pipeline.errors import DataError


def test_the_first_place_that_is_noted_stays() -> None:
    error = DataError("broken", "fix it").at("a.csv", column="x").at("b.csv", column="y", row=3, byte=70)
    assert (error.file, error.column, error.row, error.byte) == ("a.csv", "x", 3, 70)
    assert str(error) == "broken\nfix it"


def test_a_place_that_nothing_is_known_of_is_none() -> None:
    error = DataError("broken").at()
    assert (error.file, error.column, error.row, error.byte) == (None, None, None, None)
