"""Neither the order of rows, nor tiles, nor the order of merging changes a bit of a state."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import DataError
from pipeline.evaluation import counting
from pipeline.evaluation.counting import KeyCounter, KeyedRows
from pipeline.evaluation.joint import JointTable, joined
from pipeline.evaluation.keys import MOST_KEYS, KeyTable
from pipeline.evaluation.states import EvaluationState, ScoredTile, StateShape
from tests.evaluation.states_of import arrays_equal, state_of

# Scores that share leading bits, far apart, equal, tiny, negative, and zeros of both signs.
SCORES = st.one_of(
    st.floats(allow_nan=False),
    st.floats(0.5, 0.5001),
    st.sampled_from([0.0, -0.0, 1.0, -1.0, 5e-324, -5e-324, 1e300, -1e-300, np.inf, -np.inf]),
)
ROWS = st.lists(st.tuples(SCORES, st.booleans(), st.integers(0, 3)), min_size=1, max_size=60)


def table_of(rows: list, most: int, cuts: list[int], order: list[int]) -> dict:
    """Return the table of rows in some order, cut into tiles, of which some are tables by themselves."""
    scores = np.array([row[0] for row in rows])[order]
    positive = np.array([row[1] for row in rows])[order]
    weights = np.array([row[2] / 4 for row in rows])[order]
    probabilities = 0.5 + np.arctan(scores) / np.pi
    whole = KeyCounter(KeyTable.empty(most, weighted=True))
    ends = sorted({min(cut, len(rows)) for cut in cuts} | {len(rows)})
    for number, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
        here = np.s_[start:end]
        part = KeyedRows(scores[here], probabilities[here], positive[here], weights[here])
        if number % 2:
            whole.add(part)
        else:
            other = KeyCounter(KeyTable.empty(most, weighted=True))
            other.add(part)
            whole.merge(KeyCounter(KeyTable.from_arrays(other.table().to_arrays(), weighted=True)))
    return whole.table().to_arrays()


@settings(max_examples=30)
@given(ROWS, st.sampled_from([2, 3, 8, 1000]), st.lists(st.integers(0, 60), max_size=5), st.randoms())
def test_a_table_has_the_same_bits_in_any_order_and_any_parts(rows, most, cuts, random) -> None:
    order = random.sample(range(len(rows)), len(rows))
    one = table_of(rows, most, [], list(range(len(rows))))
    other = table_of(rows, most, cuts, order)
    assert {name: array.tobytes() for name, array in one.items()} == {n: a.tobytes() for n, a in other.items()}
    assert len(one["smallest"]) <= most


@settings(max_examples=30)
@given(ROWS, st.sampled_from([2, 8]), st.integers(0, 60))
def test_as_few_bits_are_left_out_as_keys_allow(rows, most, cut) -> None:
    found = table_of(rows, most, [cut], list(range(len(rows))))
    shift = int(found["rule"][1])
    table = KeyTable.from_arrays(table_of(rows, 1000, [], list(range(len(rows)))), weighted=True)
    keys = [len(np.unique(table.keys(bits))) for bits in range(64)]
    assert keys[shift] <= most
    assert not shift or keys[shift - 1] > most


@settings(max_examples=25)
@given(st.integers(0, 2**32), st.sampled_from([4, 64, 1 << 18]), st.booleans(), st.sampled_from([0, 1 << 14]))
def test_states_of_parts_add_up_to_that_of_all_rows(seed, most, weighted, few) -> None:
    random = np.random.default_rng(seed)
    size = int(random.integers(2, 300))
    target = random.integers(0, 2, size)
    base = random.random(size)
    models = tuple(random.choice([base, np.round(base, 1), base**8, base**60]) for _ in range(2))
    weights = random.random(size) if weighted else None
    whole = state_of(target, *models, weights=weights, thresholds=(0.5,), most=most)
    total = EvaluationState.empty(whole.shape)
    total.limit(most)
    # Large tables are added to at their places, and small ones are merged whole: here each is done with small ones.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "_FEW_KEYS", few)
        for part in np.split(np.arange(size), np.sort(random.integers(0, size, 5))):
            its = tuple(model[part] for model in models)
            here = None if weights is None else weights[part]
            state = state_of(target[part], *its, weights=here, thresholds=(0.5,), most=most)
            assert state.rows == len(part)
            total.merge(EvaluationState.from_arrays(state.shape, state.to_arrays()))
    assert arrays_equal(total, whole)


@given(st.integers(0, 2**32), st.sampled_from([4, 7, 50, 10_000]))
def test_pairs_of_keys_have_the_same_bits_in_any_order_and_any_parts(seed, most) -> None:
    random = np.random.default_rng(seed)
    size = int(random.integers(2, 200))
    first = random.choice([-1, 1], size) * 2.0 ** random.integers(-3, 3, size) * np.round(random.random(size), 2)
    second = np.round(first + random.random(size) * random.choice([1e-9, 1.0]), int(random.integers(1, 12)))
    positive = random.random(size) < 0.5
    whole = JointTable.of((first, second), positive, most)
    order, cut = random.permutation(size), int(random.integers(0, size))
    parts = [JointTable.of((first[part], second[part]), positive[part], most) for part in (order[:cut], order[cut:])]
    for table in (joined(*parts), joined(parts[1], parts[0])):
        assert {name: array.tobytes() for name, array in table.to_arrays().items()} == {
            name: array.tobytes() for name, array in whole.to_arrays().items()
        }
    assert len(whole.first) <= most
    assert whole.counts.sum(axis=1).tolist() == [positive.sum(), size - positive.sum()]
    pairs = {(one >> whole.shift, two >> whole.shift) for one, two in zip(*_bits(first, second), strict=True)}
    assert pairs == set(zip(whole.first.tolist(), whole.second.tolist(), strict=True))
    if whole.shift:
        finer = whole.shift - 1
        assert len({(one >> finer, two >> finer) for one, two in zip(*_bits(first, second), strict=True)}) > most


def _bits(*models: np.ndarray) -> list[list[int]]:
    from pipeline.kernels.order import keys_of

    return [keys_of(each).tolist() for each in models]


def test_a_table_of_a_wide_range_has_all_rows() -> None:
    random = np.random.default_rng(0)
    scores = np.concatenate([10.0 ** random.uniform(-300, 300, 3000), -(10.0 ** random.uniform(-300, 300, 3000))])
    positive = random.random(6000) < 0.5
    for most in (16, 5000, 10_000):
        counter = KeyCounter(KeyTable.empty(most))
        for part in np.split(np.arange(6000), 4):
            counter.add(KeyedRows(scores[part], scores[part] * 0 + 0.5, positive[part]))
        table = counter.table()
        assert table.totals[0].sum() == positive.sum()
        assert table.ends()[0][0] == scores.min()
        assert table.ends()[1][-1] == scores.max()
        assert len(table) <= most


@pytest.mark.parametrize("weights", [np.full(3, 2.0**23), np.array([1.0, np.inf, 2.0])])
def test_weights_that_are_too_large_are_refused(weights) -> None:
    with pytest.raises(DataError, match="weights must be below 8,388,608"):
        state_of(np.array([0, 1, 1]), np.array([0.1, 0.2, 0.3]), weights=weights)


def test_weights_that_add_up_to_too_much_are_refused_when_states_are_merged() -> None:
    many = 1 << 19
    tile = ScoredTile(
        (np.full(many, 0.5),), (np.full(many, 0.5),), (np.full(many, 0.7),), np.arange(many) % 2, np.full(many, 0.8e7)
    )
    state = EvaluationState.empty(StateShape(weighted=True))
    state.add(tile)
    with pytest.raises(DataError, match="weights add up to"):
        state.merge(EvaluationState.from_arrays(state.shape, state.to_arrays()))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("model 0/table 0/rule", lambda each: each + 64),
        ("model 0/table 0/smallest", lambda each: each[::-1].copy()),
        ("model 0/table 0/largest", lambda each: each - np.uint64(1)),
        ("model 0/table 0/least", lambda each: each[1:]),
        ("model 0/table 0/totals", lambda each: each[:, 1:]),
        ("model 0/table 0/totals", lambda each: -each),
        ("model 0/predicted", lambda each: each[:, :1]),
        ("classes", lambda each: each + 1),
    ],
)
def test_arrays_that_are_no_state_are_refused(name: str, change, weighted: bool) -> None:
    target, probabilities = np.arange(9) % 2, np.linspace(0.1, 0.9, 9)
    state = state_of(target, probabilities, weights=np.ones(9) if weighted else None, thresholds=(0.5,))
    arrays = state.to_arrays()
    assert EvaluationState.from_arrays(state.shape, arrays).rows == 9
    with pytest.raises(ValueError, match=r"table|shape"):
        EvaluationState.from_arrays(state.shape, arrays | {name: change(arrays[name])})
    with pytest.raises(KeyError):
        EvaluationState.from_arrays(state.shape, {each: arrays[each] for each in arrays if each != name})


def test_a_table_of_all_keys_takes_less_than_25_megabytes() -> None:
    counter = KeyCounter(KeyTable.empty())
    scores = np.arange(2000.0)
    counter.add(KeyedRows(scores, scores / 2000, scores > 1000))
    taken = sum(each.nbytes for each in counter.table().to_arrays().values()) / len(scores)
    assert taken * MOST_KEYS < 25e6
