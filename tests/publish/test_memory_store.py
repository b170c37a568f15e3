"""A store without a rename keeps the same promises."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pipeline.publish.record.names import MANIFEST
from tests.contracts.store import Bench, check_reuse, check_store
from tests.publish.memory_store import MemoryStore


def bench() -> Bench:
    store, output = MemoryStore(), Path("out")

    def edit(change: Callable[[bytes], bytes]) -> None:
        (key,) = (key for key in store.bucket.keys("") if key.endswith(MANIFEST))
        store.bucket.objects[key] = change(store.bucket.objects[key])

    return Bench(store, output, edit)


def test_a_store_in_memory() -> None:
    check_store(bench)


def test_a_store_in_memory_takes_parts_over() -> None:
    check_reuse(bench)
