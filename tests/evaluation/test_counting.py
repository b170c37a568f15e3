"""Tables of keys hold the sums of their rows to the bit, and a table that was asked for stays as it is."""

from __future__ import annotations

import copy
import pickle
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest

from pipeline.evaluation import counting
from pipeline.evaluation.counting import KeyCounter, KeyedRows, table_of, tile_bytes
from pipeline.evaluation.exact import BLOCK_ROWS
from pipeline.evaluation.keys import KeyTable, merged

UNIT = 2**62


@pytest.fixture(autouse=True)
def tables_of_any_size_are_added_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "_FEW_KEYS", 0)


def rows_of(seed: int, size: int, *, weighted: bool, same: bool = True) -> KeyedRows:
    """Return rows with ties, zeros of both signs and weights of 0; a third of them in one key."""
    random = np.random.default_rng(seed)
    probabilities = random.choice([0.0, -0.0, 0.25, 1.0, 1e-9, 5e-324, 1 - 2**-53], size)
    is_drawn = random.random(size) < 0.3
    probabilities[is_drawn] = random.random(np.count_nonzero(is_drawn)) ** 9
    scores = probabilities
    if not same:
        with np.errstate(divide="ignore"):
            scores = np.log(probabilities) - np.log1p(-probabilities)
    weights = random.choice([0.0, 1.0, 2.0**-60, 8e6, 0.1], size) if weighted else None
    return KeyedRows(scores, probabilities, random.random(size) < 0.3, weights)


def part_of(rows: KeyedRows, places: np.ndarray) -> KeyedRows:
    same, weights = rows.probabilities is rows.scores, rows.weights
    scores = rows.scores[places]
    probabilities = scores if same else rows.probabilities[places]
    return KeyedRows(scores, probabilities, rows.positive[places], None if weights is None else weights[places])


def bytes_of(table: KeyTable) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in table.to_arrays().items()}


def expected_sums(rows: KeyedRows) -> list[list[int]]:
    """Return for each score, in ascending order, the sums in units of 2**-62, of integers alone."""
    found: dict[float, list[int]] = {}
    given = np.ones(len(rows.scores)) if rows.weights is None else rows.weights
    for score, p, positive, weight in zip(
        rows.scores.tolist(), rows.probabilities.tolist(), rows.positive.tolist(), given.tolist(), strict=True
    ):
        if rows.weights is None and p >= 2.0**-10:
            square = round(Fraction(p * p) * 2**42) << 20
        else:
            square = round(Fraction(weight * p * p) * UNIT)
        terms = [round(Fraction(weight) * UNIT), round(Fraction(weight * p) * UNIT)]
        sums = found.setdefault(score + 0.0, [0] * 5)
        for place, term in zip((0, 2), terms, strict=True):
            sums[place + (not positive)] += term
        sums[4] += square
    return [found[score][0 if rows.weights is not None else 2 :] for score in sorted(found)]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("same", [False, True])
@pytest.mark.parametrize("size", [0, 1, 1_000])
def test_each_key_has_the_exact_sums_of_its_rows(size: int, same: bool, weighted: bool) -> None:
    rows = rows_of(size, size, weighted=weighted, same=same)
    table = table_of(rows, 1 << 18)
    upper, lower = (part.astype(object) for part in table.sum_parts())
    assert (upper * 2**42 + lower).T.tolist() == expected_sums(rows)
    assert table.least.tolist() == np.unique(rows.probabilities).tolist()
    assert table.totals[:2].sum(axis=1).tolist() == [rows.positive.sum(), (~rows.positive).sum()]
    assert not table.is_wide().any()
    assert table.ends()[0].tolist() == np.unique(rows.scores).tolist()


@pytest.mark.parametrize("weighted", [False, True])
def test_one_key_may_have_as_many_rows_as_a_tile(weighted: bool) -> None:
    rows, many = rows_of(1, 300, weighted=weighted), 3 * BLOCK_ROWS + 1
    places = np.concatenate([np.arange(300), np.full(many, 7)])
    whole, other = table_of(rows, 1 << 10), KeyCounter(table_of(part_of(rows, np.full(1, 7)), 1 << 10))
    # Doubled again and again: seven tables of a row are 2**17 of them.
    doubled, left = other.table(), many
    while left:
        if left % 2:
            whole = merged(whole, doubled)
        doubled, left = merged(doubled, doubled), left // 2
    assert bytes_of(table_of(part_of(rows, places), 1 << 10)) == bytes_of(whole)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("same", [False, True])
@pytest.mark.parametrize("most", [2, 3, 40, 1 << 18])
def test_rows_and_tables_may_come_in_any_order_of_any_limits(most: int, same: bool, weighted: bool) -> None:
    rows, random = rows_of(3, 900, weighted=weighted, same=same), np.random.default_rng(most)
    expected = bytes_of(table_of(rows, most))
    for _ in range(4):
        counter = KeyCounter(KeyTable.empty(weighted=weighted))
        limited = int(random.integers(9))
        for number, places in enumerate(np.array_split(random.permutation(900), 9)):
            part = part_of(rows, places)
            if number == limited:
                counter.limit(most)
            if random.random() < 0.5:
                counter.add(part)
            else:
                # Its keys have more bits than those of all rows, and perhaps more of them than may be.
                counter.merge(KeyCounter(table_of(part, int(random.choice([most, max(most, 50), 1 << 18])))))
            if random.random() < 0.2:
                counter.table()
        assert bytes_of(counter.table()) == expected


def test_a_table_stays_as_it_is_while_its_counter_goes_on_and_so_does_one_that_is_given() -> None:
    rows = rows_of(4, 1_000, weighted=True)
    given = table_of(part_of(rows, np.arange(300)), 1 << 10)
    counter, before = KeyCounter(given), bytes_of(given)
    taken = []
    for number in range(6):
        counter.add(part_of(rows, np.arange(100 * number, 100 * number + 300)))
        table = counter.table()
        copied, travelled = copy.copy(counter), pickle.loads(pickle.dumps(counter))
        taken += [(each, bytes_of(table)) for each in (table, copied.table(), travelled.table())]
        copied.merge(counter)
        assert copied.table().totals.sum(axis=1)[0] == 2 * table.totals.sum(axis=1)[0]
    assert bytes_of(given) == before
    for table, its in taken:
        assert bytes_of(table) == its


@pytest.mark.parametrize("zeros", [[0.0, -0.0, 0.0], [-0.0, 0.0, -0.0]])
def test_a_zero_has_one_sign_in_a_table(zeros: list[float]) -> None:
    p, positive = np.array(zeros), np.array([True, False, True])
    for weights in (None, np.ones(3)):
        for scores in (p, p - 1):
            least = table_of(KeyedRows(scores, p, positive, weights), 8).least
            assert least.tobytes() == bytes(8)


def test_keys_of_many_tables_that_fall_together_do_not_overflow() -> None:
    # Of one key of the first table, each table that is added has 2**12: the lower parts of their sums are almost full.
    many, times = 1 << 12, 1_100
    wide = 10.0 ** np.random.default_rng(0).uniform(-300, 300, 3 * many)
    close = wide[5] * (1 + np.arange(many) * 2.0**-52)
    p = np.full(many, 0.99 * 2.0**-20)
    counter = KeyCounter(KeyTable.empty(many))
    counter.add(KeyedRows(wide, wide * 0, wide > 1))
    part = KeyCounter(table_of(KeyedRows(close, p, np.arange(many) % 2 == 0), many))
    assert part.table().shift == 0 < counter.table().shift
    for _ in range(times):
        counter.merge(part)
    assert counter.table().sums[:2].sum() == pytest.approx(times * p.sum(), rel=1e-12)


def test_a_table_that_is_added_to_takes_its_memory_once() -> None:
    scores = np.arange(20_000.0)
    rows = KeyedRows(scores, scores * 0, scores > 7)
    counter = KeyCounter(table_of(rows, 1 << 18))
    size = sum(each.nbytes for each in counter.table().to_arrays().values())
    tracemalloc.start()
    try:
        counter = KeyCounter(table_of(rows, 1 << 18))
        counter.add(rows)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken < 1.2 * size


@pytest.mark.parametrize(("most", "shift", "keys"), [(2, 2, 2), (3, 2, 2), (4, 1, 4), (5, 1, 4), (7, 1, 4), (8, 0, 8)])
def test_numbers_that_differ_in_the_last_bit_count_as_different_keys(most: int, shift: int, keys: int) -> None:
    scores = np.array([1 + place * 2.0**-52 for place in range(8)])
    table = table_of(KeyedRows(scores, scores * 0, scores > 1), most)
    assert (table.shift, len(table)) == (shift, keys)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("same", [False, True])
def test_rows_are_counted_in_the_memory_that_is_stated(same: bool, weighted: bool) -> None:
    size = 1 << 17
    drawn = rows_of(5, 1_000, weighted=weighted, same=same)
    rows = part_of(drawn, np.random.default_rng(0).integers(0, 1_000, size))
    tracemalloc.start()
    try:
        table_of(rows, 1 << 18)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 0.3 * tile_bytes(size) < peak <= tile_bytes(size)


def test_keys_that_wait_take_no_more_memory_than_the_table() -> None:
    most, random = 1 << 10, np.random.default_rng(0)
    counter = KeyCounter(KeyTable.empty(most))
    tracemalloc.start()
    try:
        for _ in range(40):
            scores = random.random(most)
            counter.add(KeyedRows(scores, scores, scores > 0.5))
        # Tables with finer keys than those of the counter, and new ones each time.
        for number in range(40):
            counter.merge(KeyCounter(table_of(KeyedRows(scores + number, scores, scores > 0.5), 1 << 18)))
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(counter.table()) <= most
    # A key takes 88 bytes.
    assert taken < 2.5 * most * 88
