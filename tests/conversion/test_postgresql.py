"""Models written as SQL: a real PostgreSQL gives the scores of the scorer, and no row is an arithmetic error."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from pipeline.conversion.exporting import export
from tests.conversion import postgresql
from tests.conversion.randomly import Scored, differences, document, scored, table

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server() -> Iterator[postgresql.Server]:
    if missing := postgresql.missing_programs():
        pytest.skip(f"no PostgreSQL on this machine: {missing} not found")
    with postgresql.running() as running:
        yield running


def run(server: postgresql.Server, expected: Scored) -> dict[str, list[Any]]:
    """Return the columns that the exported expressions make of the rows."""
    made = server.rows(expected.rows, str(export(expected.model, "sql", dialect="postgresql")))
    return {name: [postgresql.value_of(row[place]) for row in made] for place, name in enumerate(expected.columns)}


@pytest.mark.parametrize("classes", [0, 2, 5])
def test_any_model_scores_in_postgresql_as_here(server: postgresql.Server, classes: int) -> None:
    largest = 0.0
    for seed in range(20):
        rng = np.random.default_rng([seed, classes])
        expected = scored(document(rng, classes), table(rng, 100, largest=1e90))
        largest = max(largest, differences(expected, run(server, expected)))
    print(f"largest difference in PostgreSQL, {classes} classes: {largest:.1e}")
    assert largest <= 1e-12


@pytest.mark.parametrize("classes", [0, 3])
def test_no_number_is_an_arithmetic_error_in_postgresql(server: postgresql.Server, classes: int) -> None:
    compared = 0
    for seed in range(15):
        rng = np.random.default_rng([seed, 1, classes])
        expected = scored(document(rng, classes), table(rng, 100))
        made = run(server, expected)
        raws = [values for name, values in expected.columns.items() if name.startswith("raw_prediction")]
        # What is added counts as infinite beyond 1e300.
        is_small = [all(raw is None or abs(raw) < 1e100 for raw in row) for row in zip(*raws, strict=True)]
        compared += sum(is_small)
        for name in expected.columns:
            if name.startswith("probability"):
                pairs = zip(expected.columns[name], made[name], is_small, strict=True)
                assert all(
                    theirs is None if ours is None else abs(ours - theirs) <= 1e-12
                    for ours, theirs, small in pairs
                    if small
                )
    assert compared > 1000
