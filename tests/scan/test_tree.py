"""The tree: it combines payloads in the same order, whatever order they come in, and few nodes wait."""

from __future__ import annotations

import math
import random

from hypothesis import given
from hypothesis import strategies as st

from pipeline.scan.tree import ReduceTree


def reference(payloads: list[str | None]) -> str | None:
    """Combine a list of a power of two by halves, from the definition."""
    if len(payloads) == 1:
        return payloads[0]
    half = len(payloads) // 2
    left, right = reference(payloads[:half]), reference(payloads[half:])
    if left is None or right is None:
        return right if left is None else left
    return f"({left}{right})"


def combine(left: str, right: str) -> str:
    return f"({left}{right})"


@given(
    payloads=st.lists(st.sampled_from(["a", "b", None]), min_size=1, max_size=70),
    seed=st.integers(0, 2**32),
    missing=st.booleans(),
)
def test_payloads_are_combined_by_halves_whatever_the_order(
    payloads: list[str | None], seed: int, missing: bool
) -> None:
    chance = random.Random(seed)
    tree = ReduceTree(len(payloads), combine)
    order = chance.sample(range(len(payloads)), len(payloads))
    if missing:
        left_out = order.pop()
        payloads[left_out] = None
    for chunk in order:
        tree.add(chunk, payloads[chunk])
    size = 1 << max(0, len(payloads) - 1).bit_length()
    assert tree.total() == reference(payloads + [None] * (size - len(payloads)))


def test_sums_have_the_same_bits_in_any_order() -> None:
    chance = random.Random(20130101)
    values = [chance.uniform(-1e10, 1e10) * 10 ** chance.randint(-12, 3) for _ in range(1000)]
    sums = set()
    for _ in range(20):
        tree = ReduceTree(len(values), lambda one, two: one + two)
        for chunk in chance.sample(range(1000), 1000):
            tree.add(chunk, values[chunk])
        sums.add(tree.total())
    assert len(sums) == 1
    assert math.isclose(sums.pop() or 0.0, math.fsum(values), rel_tol=1e-12)


def test_what_waits_grows_with_workers_and_the_logarithm_of_the_chunks() -> None:
    chunks, workers = 10_000, 8
    tree = ReduceTree(chunks, combine=lambda one, _: one)
    chance = random.Random(7)
    under_way, following, most = list(range(workers)), workers, 0
    while under_way:
        # One worker is slow: its chunk is often passed over.
        chosen = chance.randrange(1, len(under_way)) if len(under_way) > 1 and chance.random() < 0.99 else 0
        tree.add(under_way.pop(chosen), "x")
        most = max(most, tree.waiting)
        if following < chunks:
            under_way.append(following)
            following += 1
    assert tree.total() == "x"
    assert most <= workers * math.ceil(math.log2(chunks))


def test_nothing_is_nothing() -> None:
    assert ReduceTree(0, combine).total() is None
    assert ReduceTree(3, combine).total() is None
