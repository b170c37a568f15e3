"""How much memory a job asks for, and what it tells its workers."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.flow.preparation import prepare
from pipeline.interface import score_job
from tests.flow.conftest import Bench


def test_the_model_is_in_it_once(bench: Bench) -> None:
    bench.put("rows.csv", "x,c\n1,a\n")
    coefficient = "0.12345678901234566"
    features = [
        {"column": "x", "kind": "numeric", "coefficient": float(coefficient)},
        {"column": "c", "kind": "categorical", "coefficients": {"a": 1.0, "level of c": -1.0}},
    ]
    preparation = prepare(score_job(bench.inputs, bench.model(features), bench.out))
    content = preparation.scan.job_file(preparation.settings().to_json()).to_bytes()
    assert content.count(coefficient.encode()) == 1
    assert content.count(b"level of c") == 1


@pytest.mark.parametrize(
    ("options", "made"), [({}, 8), ({"raw_prediction": True}, 16), ({"float32": True, "threshold": 0.5}, 5)]
)
def test_what_scoring_takes_of_memory_is_its_results_twice_and_the_raw_prediction(
    bench: Bench, options: dict[str, Any], made: int
) -> None:
    bench.put("rows.csv", "x,c\n1,a\n")
    assert (
        prepare(score_job(bench.inputs, bench.model(), bench.out, **options)).scan.demand.made_row_bytes == 2 * made + 8
    )


@pytest.mark.parametrize(("chunk_size", "noted"), [("1B", True), ("1", True), ("2", False), ("1048576", False)])
def test_many_chunks_of_few_rows_are_noted(bench: Bench, chunk_size: str, noted: bool) -> None:
    bench.put("rows.csv", "x,c\n" + "1,a\n" * 1_500)
    notes = prepare(score_job(bench.inputs, bench.model(), bench.out, chunk_size=chunk_size)).notes
    assert any("a larger --chunk-size" in note for note in notes) == noted
