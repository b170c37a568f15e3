"""Counts of levels by class: the same whether a table or the pairs that occur are gone through, however rows come."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.fitting.first_pass.counting import LevelCounts, SeenLevels, numbers_in
from pipeline.models.columns import levels
from pipeline.models.levels import spelled_type

CHANCE = np.random.default_rng(61)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("many", "classes"), [(5, 2), (3_000, 40)])
def test_levels_are_counted_whatever_their_number(many: int, classes: int, weighted: bool) -> None:
    rows = 5_000
    codes, of_class = CHANCE.integers(-1, many, rows), CHANCE.integers(0, classes, rows)
    weights = CHANCE.random(rows) if weighted else None
    counts = LevelCounts({str(number): number for number in range(many)})
    for begin in range(0, rows, 700):
        here = slice(begin, begin + 700)
        counts.add(codes[here], of_class[here], None if weights is None else weights[here], classes)
    expected = np.zeros((many, classes))
    is_level = codes >= 0
    np.add.at(expected, (codes[is_level], of_class[is_level]), 1.0 if weights is None else weights[is_level])
    np.testing.assert_allclose(counts.weights, expected, rtol=1e-12)
    assert counts.occurring == {str(level): int((codes == level).sum()) for level in np.unique(codes[is_level])}
    assert counts.of_class("1", [0, classes + 3]) == (pytest.approx(expected[1, 0]), 0.0)


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("xyz")), max_size=60), st.integers(0, 60))
def test_two_parts_have_the_counts_of_the_whole(rows: list[tuple[str, str]], cut: int) -> None:
    def counted(part: list[tuple[str, str]]) -> tuple[LevelCounts, dict[str, int]]:
        counts, classes = LevelCounts(), dict[str, int]()
        codes = numbers_in(counts.numbers, [level for level, _ in part])
        of_class = numbers_in(classes, [each for _, each in part])
        counts.add(codes, of_class, None, len(classes))
        return counts, classes

    (whole, classes), (left, left_classes), (right, right_classes) = map(counted, (rows, rows[:cut], rows[cut:]))
    left.join(right, numbers_in(left_classes, right_classes))
    assert left.occurring == whole.occurring
    for level in whole.occurring:
        for name, number in classes.items():
            assert left.of_class(level, [left_classes[name]]) == whole.of_class(level, [number])


@given(st.lists(st.sampled_from(["7", "08", "x", "", None]), min_size=1, max_size=30), st.integers(1, 9))
def test_levels_have_one_number_in_all_batches(values: list[str | None], size: int) -> None:
    seen = SeenLevels({})
    array = pa.array(values, pa.string())
    codes = [seen.codes(levels(array.slice(begin, size))) for begin in range(0, len(values), size)]
    names = dict(enumerate(seen.numbers))
    assert [names.get(int(code)) for part in codes for code in part] == values
    assert spelled_type([value for value in seen.numbers if value]) in {"text", "integer"}
