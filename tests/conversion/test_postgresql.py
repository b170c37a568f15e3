"""Models written as SQL: a real PostgreSQL gives the scores of the scorer, and no row is an arithmetic error."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.conversion.exporting import export
from tests.conversion import postgresql
from tests.conversion.randomly import Scored, differences, document, odd, scored, table

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


def test_a_model_of_many_features_fits_into_a_query(server: postgresql.Server) -> None:
    features = [{"column": f"n{place % 3}", "kind": "numeric", "coefficient": 0.1} for place in range(1200)]
    features = [feature | {"missing": {"impute": place}, "name": f"{place}"} for place, feature in enumerate(features)]
    whole = {"format": "logitstream-model", "version": 2, "kind": "logistic", "intercept": 0.1, "features": features}
    expected = scored(whole, table(np.random.default_rng(5), 20, largest=1e90))
    assert differences(expected, run(server, expected)) <= 1e-12


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


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog", "loglog", "cauchit"])
def test_probabilities_of_any_raw_prediction_are_no_error_in_postgresql(server: postgresql.Server, link: str) -> None:
    far = [0.0, 5e-324, 1e-300, 1e-162, 6.6, 37.5, 38.5, 700.1, 709.5, 745.1, 745.2, 1000.0, 1e155, 1e299, math.inf]
    cells = [*far, *(-each for each in far), *np.linspace(-746, -690, 100).tolist(), *np.linspace(-45, 45, 100), None]
    whole = with_feature(kind="numeric", coefficient=1.0) | {"link": link, "intercept": 0.0}
    whole["output"] = {"columns": ["probability", "decision"], "threshold": 0.3}
    expected = scored(whole, pa.table({"c": pa.array(cells, pa.float64())}))
    assert differences(expected, run(server, expected)) <= 1e-12


@pytest.mark.parametrize("coefficient", [1e308, -1e305])
def test_a_coefficient_of_any_size_adds_0_where_a_number_is_0_in_postgresql(
    server: postgresql.Server, coefficient: float
) -> None:
    whole = with_feature(kind="numeric", coefficient=coefficient)
    whole["output"] = {"columns": ["probability", "raw_prediction", "contributions"]}
    expected = scored(whole, pa.table({"c": [0.0, 5e-324, 1e-300, -1e-9, math.inf]}))
    assert differences(expected, run(server, expected)) <= 1e-12


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_a_sum_of_exponentials_does_not_overflow_in_postgresql(server: postgresql.Server, temperature: float) -> None:
    whole = with_feature(kind="numeric", coefficient=[0.0, 1.0, 1.0, 1.0]) | {"intercept": [0.0] * 4}
    whole |= {"classes": ["a", "b", "c", "d"], "output": {"columns": ["probability"], "temperature": temperature}}
    cells = [temperature * each for each in (0.0, 1.0, 690.0, 699.0, 700.5, 708.9, 709.5, 745.0, -708.9, -745.0)]
    expected = scored(whole, pa.table({"c": cells}))
    made = run(server, expected)
    for name, values in expected.columns.items():
        np.testing.assert_allclose(made[name], values, rtol=1e-12, atol=math.exp(-700))


def test_names_and_texts_of_any_kind_are_quoted_in_postgresql(server: postgresql.Server) -> None:
    expected = scored(*odd())
    assert differences(expected, run(server, expected)) <= 1e-12


def with_feature(**feature: Any) -> dict[str, Any]:
    features = [{"column": "c", **feature}]
    return {"format": "logitstream-model", "version": 2, "kind": "logistic", "intercept": 0.1, "features": features}


@pytest.mark.parametrize(
    ("levels", "cells"),
    [
        (["true", "false"], pa.array([True, False, None])),
        (["true", "false"], pa.array(["True", "FALSE", "1", "0", "yes", None])),
        (["1", "-3", "0"], pa.array([1, -3, 0, 7, None])),
        (["1", "-3", "0"], pa.array([1.0, -3.0, -0.0, 0.5, math.nan, math.inf])),
        (["1", "-3", "0"], pa.array(["+1", "01.", "-3.00", "-0", "1e0", " 1", "+-3", "--3", "1\n", ""])),
        (["0.5", "2.0"], pa.array([0.5, 2.0, 3.5, math.nan, math.inf, None])),
        (["0.5", "2.0"], pa.array(["0.50", "2", "+.5", "5e-1", ".", "9" * 400, "-2", "nan", None])),
    ],
)  # fmt: skip
def test_levels_are_found_in_postgresql(server: postgresql.Server, levels: list[str], cells: pa.Array) -> None:
    coefficients = {level: 0.25 * place + 0.1 for place, level in enumerate(levels)}
    policies = {"missing": {"level": levels[0]}, "unseen": "zero"}
    expected = scored(with_feature(kind="categorical", coefficients=coefficients, **policies), pa.table({"c": cells}))
    assert differences(expected, run(server, expected)) <= 1e-15


@pytest.mark.parametrize(
    ("feature", "cell", "said"),
    [
        ({"kind": "numeric", "coefficient": 1.0, "missing": "error"}, None, "column c: missing value: NULL"),
        ({"kind": "categorical", "coefficients": {"0.5": 1.0}, "unseen": "error"}, 7.25, "c: unseen value: 7.25"),
        ({"kind": "transformed", "transform": "log", "coefficient": 1.0}, -1.0, "column c: outside the domain: -1"),
    ],
)  # fmt: skip
def test_a_row_that_the_model_refuses_ends_the_query_in_postgresql(
    server: postgresql.Server, feature: dict[str, Any], cell: float | None, said: str
) -> None:
    rows = pa.table({"c": pa.array([cell], pa.float64())})
    expected = scored(with_feature(**feature), rows)
    with pytest.raises(postgresql.QueryError, match=said):
        server.rows(expected.bad, str(export(expected.model, "sql", dialect="postgresql")))
