"""Groups of an evaluation: their order, which are kept, and that both do not depend on how rows were divided."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from pipeline.errors import DataError, MemoryBudgetError, UsageError
from pipeline.evaluation import groups
from pipeline.evaluation.groups import (
    FEW_GROUPS,
    KEYS_OF_FEW,
    KEYS_OF_MANY,
    GroupNames,
    GroupStates,
    groups_in,
    place_of,
)
from pipeline.evaluation.names import NamesBudget, NamesRoom
from pipeline.evaluation.states import StateShape
from pipeline.evaluation.terms import parse_by
from pipeline.evaluation.tiles import UsedRows
from pipeline.models.columns import levels

SHAPE = StateShape()


def rows_of(values: np.ndarray, seed: int = 0) -> UsedRows:
    """Return rows with drawn probabilities whose group is a number."""
    generator = np.random.default_rng(seed)
    p = generator.random(len(values))
    codes = (generator.random(len(values)) < p).astype(np.intp)
    return UsedRows((None,), (p,), (-np.log(np.where(codes == 1, p, 1 - p)),), codes, None, (values.astype(np.intp),))


def added(rows: UsedRows, most: int, *cuts: int) -> GroupStates:
    """Return the states of groups, of parts that were added up in turn."""
    names = [str(number) for number in range(int(rows.groups[0].max()) + 1)]
    total = GroupStates(("g",), SHAPE, most)
    for start, stop in zip((0, *cuts), (*cuts, len(rows.codes)), strict=True):
        part = GroupStates(("g",), SHAPE, most)
        piece = rows.of_rows(slice(start, stop))
        part.add(piece, *groups_in(piece.groups, [names]))
        total.merge(part)
    return total


def shown(states: GroupStates) -> list[tuple[object, dict[str, bytes]]]:
    found = [(group, state) for group, state in states.kept]
    found += [] if states.others is None else [(("others",), states.others)]
    return [(group, {name: each.tobytes() for name, each in state.to_arrays().items()}) for group, state in found]


def test_numbers_come_by_value_then_texts_by_code_points_then_what_is_missing() -> None:
    values = ["b", "10", "9", None, "-1.5", "1e3", "é", "a", "", "nan", "9.0"]
    ordered = sorted(((value,) for value in values), key=place_of)
    assert [value for (value,) in ordered] == ["-1.5", "9", "9.0", "10", "1e3", "", "a", "b", "nan", "é", None]


def test_whole_numbers_beyond_float64_keep_their_order() -> None:
    assert place_of((str(2**60 + 1),)) > place_of((str(2**60),))


def test_a_whole_number_has_one_name_in_integers_and_in_floats() -> None:
    names = GroupNames()
    one = names.codes(levels(pa.array([7, 8, None, 7])))
    other = names.codes(levels(pa.array([8.0, 7.0, 2.5, float("nan")])))
    assert names.names == ["7", "8", "2.5"]
    assert (one.tolist(), other.tolist()) == ([0, 1, -1, 0], [1, 0, 2, -1])


def test_names_without_room_end_the_pass_and_very_many_are_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    # Any process takes more than one byte.
    budget, cells = NamesBudget(least_bytes=3_000, process_bytes=1), levels(pa.array([f"{i:0100d}" for i in range(20)]))
    few = GroupNames("g", NamesRoom(NamesBudget(least_bytes=1 << 20, process_bytes=1)))
    assert few.codes(cells).tolist() == list(range(20))
    with pytest.raises(MemoryBudgetError, match="--by g: the names of its groups do not fit the memory") as caught:
        GroupNames("g", NamesRoom(budget)).codes(cells)
    assert (caught.value.column, caught.value.exit_code) == ("g", 71)
    states = GroupStates(("g", "h"), SHAPE, 5, room=NamesRoom(budget))
    part = GroupStates(("g", "h"), SHAPE, 5, seen={(f"{i:0100d}", None) for i in range(20)})
    with pytest.raises(MemoryBudgetError, match="--by g:h: the names of its groups"):
        states.merge(part)
    monkeypatch.setattr(groups, "MOST_VALUES", 5)
    with pytest.raises(DataError, match="--by g: the column has more than 5 different values"):
        GroupNames("g", NamesRoom(budget)).codes(cells)


def test_both_zeros_of_floats_are_one_group() -> None:
    names = GroupNames()
    assert names.codes(levels(pa.array([0.0, -0.0, 1.0, -1.0]))).tolist() == [0, 0, 1, 2]
    assert names.names == ["0", "1", "-1"]


def test_crossed_groups_are_those_that_occur() -> None:
    codes = [np.array([0, 1, 0, -1]), np.array([2, 0, 2, 1])]
    groups, places = groups_in(codes, [["a", "b"], ["x", "y", "z"]])
    assert sorted(groups, key=place_of) == [("a", "z"), ("b", "x"), (None, "y")]
    assert [groups[place] for place in places.tolist()] == [("a", "z"), ("b", "x"), ("a", "z"), (None, "y")]


@pytest.mark.parametrize("most", [1, 30, 60])
def test_the_groups_that_are_kept_do_not_depend_on_how_rows_were_divided(most: int) -> None:
    rows = rows_of(np.random.default_rng(1).integers(0, 60, 4_000))
    order = np.random.default_rng(2).permutation(4_000)
    whole = added(rows, most)
    assert [group for group, _ in whole.kept] == [(str(number),) for number in range(min(60, most))]
    assert whole.pooled == max(0, 60 - most)
    for other in (added(rows, most, 100, 101, 3_000), added(rows.of_rows(order), most, 700)):
        assert [group for group, _ in other.kept] == [group for group, _ in whole.kept]
        counts = [state.classes.tolist() for _, state in other.kept]
        assert counts == [state.classes.tolist() for _, state in whole.kept]
        assert (other.others is None) == (most >= 60)


def test_parts_may_be_merged_in_any_order() -> None:
    rows = rows_of(np.random.default_rng(1).integers(0, 60, 3_000))
    names = [str(number) for number in range(60)]
    bounds = [(0, 1_000), (1_000, 1_500), (1_500, 3_000)]

    def merged(order: list[int]) -> list[tuple[object, dict[str, bytes]]]:
        total = GroupStates(("g",), SHAPE, 55)
        for number in order:
            part = GroupStates(("g",), SHAPE, 55)
            piece = rows.of_rows(slice(*bounds[number]))
            part.add(piece, *groups_in(piece.groups, [names]))
            total.merge(part)
        return shown(total)

    assert merged([0, 1, 2]) == merged([2, 0, 1])


@pytest.mark.parametrize(("groups", "most"), [(FEW_GROUPS, KEYS_OF_FEW), (FEW_GROUPS + 1, KEYS_OF_MANY)])
def test_beyond_50_groups_each_has_fewer_keys(groups: int, most: int) -> None:
    states = added(rows_of(np.arange(500) % groups), 200, 250)
    assert {state.models[0].counters[0].table().most for _, state in states.kept} == {most}


@pytest.mark.parametrize(
    ("text", "columns"),
    [("a", ("a",)), ("a:b", ("a", "b")), (" a : b ", ("a", "b")), ('"a:b":c', ("a:b", "c")), ('"a""b"', ('a"b',))],
)
def test_columns_are_crossed_by_colons(text: str, columns: tuple[str, ...]) -> None:
    assert parse_by(text) == columns


@pytest.mark.parametrize("text", ["", ":", "a:", ":a", "a::b", '"a', "a:a", '"a"b'])
def test_what_names_no_columns_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--by"):
        parse_by(text)
