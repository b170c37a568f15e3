"""Used rows come in tiles that do not depend on how batches were cut."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.evaluation import tiles
from pipeline.evaluation.tiles import TileBuffer, UsedRows, tile_rows


def used(rows: int, *, scored: bool, weighted: bool) -> UsedRows:
    """Return rows of two models and three classes, each with numbers that tell it from the others."""
    numbers = np.arange(float(rows))
    many = numbers + np.array([[0.1], [0.2], [0.3]])
    return UsedRows(
        scores=(-many if scored else None, None),
        probabilities=(many, many + 0.5),
        losses=(numbers + 0.7, numbers + 0.8),
        codes=np.arange(rows),
        weights=numbers / 2 if weighted else None,
        groups=(np.arange(rows) + 3,),
    )


@pytest.mark.parametrize("cuts", [[], [8], [16], [3, 3, 20], [1, 7, 8, 9, 24, 25], list(range(30))])
@pytest.mark.parametrize(("scored", "weighted"), [(False, True), (True, False)])
def test_tiles_are_full_and_have_the_rows_in_their_order(
    cuts: list[int], scored: bool, weighted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiles, "_FEWEST_ROWS", 8)
    monkeypatch.setattr(tiles, "_TILE_BYTES", 1)
    rows, buffer, found = used(30, scored=scored, weighted=weighted), TileBuffer(), []
    for start, end in zip([0, *cuts], [*cuts, 30], strict=True):
        found += [[each.copy() for each in tile.arrays()] for tile in buffer.add(rows.of_rows(slice(start, end)))]
    found += [[each.copy() for each in tile.arrays()] for tile in buffer.rest()]
    assert [len(tile[-1]) for tile in found] == [8, 8, 8, 6]
    for parts, whole in zip(zip(*found, strict=True), rows.arrays(), strict=True):
        assert np.concatenate(parts, axis=-1).tolist() == whole.tolist()
    assert not list(buffer.rest())


def test_the_wider_a_row_the_fewer_rows_has_a_tile() -> None:
    assert [tile_rows(each) for each in (0, 1, 32, 33, 64, 100, 512, 513, 10**9)] == [
        *(1 << 20, 1 << 20, 1 << 20, 1 << 19, 1 << 19, 1 << 18, 1 << 16, 1 << 16, 1 << 16)
    ]
