"""The file of a state: what it was is read again, and what is damaged or foreign is refused with the reason."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import DataError, InputMissingError
from pipeline.evaluation.passing import EvaluatedRows
from pipeline.evaluation.statefile import from_bytes, read_state, to_bytes, write_state
from pipeline.evaluation.terms import EvaluationTerms
from pipeline.evaluation.tiles import UsedRows
from pipeline.evaluation.totals import ChunkTotals, totals_bytes


def found(by: tuple[tuple[str, ...], ...] = (("g",),), rows: int = 200, *, weighted: bool = True) -> EvaluatedRows:
    generator = np.random.default_rng(0)
    terms = EvaluationTerms(
        "y",
        ("false", "true"),
        probability="p",
        weight="w" if weighted else None,
        by=by,
        max_groups=2,
        thresholds=(0.5,),
    )
    chunk = ChunkTotals(terms)
    for names in chunk.names.values():
        names.names += ["a", "b", "c"]
    p = generator.random(rows)
    groups = tuple(generator.integers(-1, 3, rows) for _ in chunk.names)
    codes = generator.integers(0, 2, rows)
    chunk.add(UsedRows((None,), (p,), (-np.log(p),), codes, generator.random(rows) if weighted else None, groups))
    totals = chunk.done()
    totals.counts = Counter({"without_target": 3})
    return EvaluatedRows(terms, totals, rows + 5, 1, 1, ("d1", "d2"))


def sealed(body: bytes) -> bytes:
    return body + hashlib.sha256(body).digest()


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    before = found()
    write_state(tmp_path / "a", before)
    after = read_state(tmp_path / "a")
    assert (after.terms, after.rows, after.data) == (before.terms, before.rows, before.data)
    assert [group for group, _ in after.totals.groups[0].kept] == [("a",), ("b",)]
    assert after.totals.groups[0].seen == {("a",), ("b",), ("c",), (None,)}
    assert to_bytes(after) == to_bytes(before)
    # It can be added to.
    after.totals.merge(found().totals)
    assert after.totals.whole.rows == 400


def test_equal_states_have_equal_bytes() -> None:
    assert to_bytes(found()) == to_bytes(found())


def test_a_state_takes_no_more_than_was_projected() -> None:
    for by in ((), (("g",),), (("g", "h"), ("g",))):
        for weighted in (False, True):
            state = found(by, 20_000, weighted=weighted)
            arrays = len(to_bytes(state))
            assert arrays <= totals_bytes(state.terms, 20_000)


def test_pairs_of_two_models_take_no_more_than_was_projected() -> None:
    terms = EvaluationTerms("y", ("false", "true"), ("d", "e"))
    chunk = ChunkTotals(terms)
    models = tuple(np.random.default_rng(0).random((2, 20_000)))
    chunk.add(UsedRows((None, None), models, models, np.arange(20_000) % 2, None, ()))
    arrays = chunk.done().whole.to_arrays()
    assert sum(each.nbytes for each in arrays.values()) <= totals_bytes(terms, 20_000)


@pytest.mark.parametrize(("classes", "thresholds"), [(2, 9_000), (300, 0)])
def test_counts_by_class_and_by_threshold_take_no_more_than_was_projected(classes: int, thresholds: int) -> None:
    shares = tuple(np.linspace(0.0, 1.0, thresholds).tolist())
    terms = EvaluationTerms("y", tuple(map(str, range(classes))), ("d",), thresholds=shares)
    chunk = ChunkTotals(terms)
    probabilities = np.random.default_rng(0).random(4 if classes == 2 else (classes, 4))
    chunk.add(UsedRows((None,), (probabilities,), (np.ones(4),), np.arange(4) % classes, None, ()))
    arrays = chunk.done().whole.to_arrays()
    assert sum(each.nbytes for each in arrays.values()) <= totals_bytes(terms, 4)


@pytest.mark.parametrize("place", [5, 60, 400, -1, -40])
def test_a_changed_byte_is_noticed(place: int) -> None:
    content = bytearray(to_bytes(found()))
    content[place] ^= 1
    with pytest.raises(DataError, match=r"months.state is (damaged|not the state of an evaluation)") as caught:
        from_bytes(bytes(content), "months.state")
    assert caught.value.remedy
    assert caught.value.file == "months.state"


@pytest.mark.parametrize("length", [0, 10, 30, 100, -1, -32, -33])
def test_a_file_that_was_cut_is_noticed(length: int) -> None:
    with pytest.raises(DataError, match=r"is (damaged|not the state of an evaluation)"):
        from_bytes(to_bytes(found())[:length], "a")


def test_another_version_is_told_by_its_number() -> None:
    content = to_bytes(found()).replace(b"logitstream-evaluation 1\n", b"logitstream-evaluation 2\n", 1)
    with pytest.raises(DataError, match="a is a state of version 2, but this logitstream reads version 1") as caught:
        from_bytes(content, "a")
    assert "evaluate the rows again with --state" in caught.value.remedy


def test_a_pickle_is_not_opened() -> None:
    with pytest.raises(DataError, match="is not the state of an evaluation"):
        from_bytes(b"\x80\x04\x95cos\nsystem", "a")


@pytest.mark.parametrize("name", ["terms", "groups", "arrays", "rows", "counts", "data"])
def test_a_header_without_a_part_is_refused(name: str) -> None:
    for changed in ({}, {name: 7}, {name: None}):
        with pytest.raises(DataError, match="a is not the state of an evaluation"):
            from_bytes(changed_header(lambda header, changed=changed: without(header, name) | changed), "a")


@pytest.mark.parametrize("read", [204, -1, float("inf")])
def test_a_state_whose_rows_are_not_all_accounted_for_is_refused(read: float) -> None:
    with pytest.raises(DataError, match="a is not the state of an evaluation"):
        from_bytes(changed_header(lambda header: header | {"rows": header["rows"] | {"read": read}}), "a")


def without(header: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in header.items() if key != name}


def changed_header(change: Callable[[dict[str, Any]], dict[str, Any]]) -> bytes:
    """Return a state with another header, under a digest that holds."""
    content = to_bytes(found())[:-32]
    start = content.index(b"\n") + 1
    length = int.from_bytes(content[start : start + 8], "little")
    header = json.loads(content[start + 8 : start + 8 + length])
    text = json.dumps(change(header)).encode()
    return sealed(content[:start] + len(text).to_bytes(8, "little") + text + content[start + 8 + length :])


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputMissingError, match="no such file"):
        read_state(tmp_path / "nothing")
