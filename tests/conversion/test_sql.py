"""Models written as SQL: DuckDB gives the scores of the scorer."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.conversion.exporting import export
from pipeline.models.logistic.parsing import from_mapping
from tests.conversion.randomly import LINKS, Scored, differences, document, far, odd, scored, table

duckdb = pytest.importorskip("duckdb", reason="DuckDB (the extra bench) is not installed")


def run(expected: Scored) -> dict[str, list[Any]]:
    """Return the columns that the exported expressions make of the rows."""
    rows = expected.rows.append_column("the place", pa.array(range(expected.rows.num_rows)))
    with duckdb.connect() as connection:
        connection.register("rows", rows)
        text = export(expected.model, "sql")
        made = connection.execute(f'SELECT {text}, "the place" FROM rows ORDER BY "the place"').fetchall()
    return {name: [row[place] for row in made] for place, name in enumerate(expected.columns)}


def compare(seed: int, classes: int, rows: int) -> float:
    rng = np.random.default_rng([seed, classes])
    expected = scored(document(rng, classes), table(rng, rows))
    return differences(expected, run(expected))


@settings(max_examples=4)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 0, 2, 4]))
def test_any_model_scores_in_duckdb_as_here(seed: int, classes: int) -> None:
    assert compare(seed, classes, 60) <= 1e-12


@pytest.mark.slow
@pytest.mark.parametrize("classes", [0, 2, 5])
def test_many_models_score_in_duckdb_as_here(classes: int) -> None:
    largest = max(compare(seed, classes, 100) for seed in range(15))
    print(f"largest difference in DuckDB, {classes} classes: {largest:.1e}")
    assert largest <= 1e-12


def numeric(*columns: str, **other: Any) -> dict[str, Any]:
    features = [
        {"column": name, "kind": "numeric", "coefficient": 0.1 * place} for place, name in enumerate(columns, 1)
    ]
    return {
        "format": "logitstream-model",
        "version": 1,
        "kind": "logistic",
        "intercept": 0.5,
        "features": features,
        **other,
    }


def test_without_logarithms_the_raw_prediction_has_the_same_bits() -> None:
    rng = np.random.default_rng(3)
    whole = numeric("a", "b", output={"columns": ["raw_prediction"]})
    whole["features"][0] |= {"center": 3.3, "scale": 0.7, "missing": {"impute": 1.1}}
    rows = pa.table({"a": rng.normal(size=5000), "b": rng.normal(size=5000) * 1e5})
    expected = scored(whole, rows)
    assert run(expected)["raw_prediction"] == expected.columns["raw_prediction"]


@pytest.mark.parametrize("link", LINKS)
def test_far_from_the_middle_duckdb_gives_the_raw_predictions_and_probabilities_of_the_scorer(link: str) -> None:
    expected = scored(*far(link))
    made = run(expected)
    assert made["raw_prediction"] == expected.columns["raw_prediction"]
    np.testing.assert_allclose(made["probability"], expected.columns["probability"], rtol=1e-12, atol=1e-316)


@pytest.mark.parametrize("normalise", ["softmax", "one-vs-rest"])
def test_classes_with_infinite_raw_predictions_have_the_same_shares(normalise: str) -> None:
    infinity = math.inf
    signs = [[-infinity, -infinity, 1.0], [-infinity, 2.0, 1.0], [-infinity] * 3, [infinity, 1.0, -infinity]]
    signs += [[1000.0, -1000.0, 1000.0], [-800.0, -801.0, -900.0], [math.nan, 1.0, -infinity], [1e308, -1e308, 0.0]]
    features = [
        {"column": f"x{place}", "kind": "numeric", "coefficient": [float(place == other) for other in range(3)]}
        for place in range(3)
    ]
    whole = numeric(version=2, classes=["a", "b", "c"], normalise=normalise, intercept=[0.0] * 3, features=features)
    whole["output"] = {"columns": ["probability", "decision"]}
    finite = {f"x{place}": [row[place] for row in signs] for place in range(3)}
    expected = scored(whole, pa.table(finite))
    assert differences(expected, run(expected)) <= 1e-12


def test_names_and_texts_of_any_kind_are_quoted() -> None:
    expected = scored(*odd())
    assert differences(expected, run(expected)) <= 1e-12
    assert len(set(expected.columns["decision"])) == 2


def test_a_column_is_not_mistaken_for_a_name_of_the_expression() -> None:
    names = [f"x{place}" for place in range(1, 30)]
    whole = numeric(*names) | {"version": 2}
    terms = [{"column": name, "center": 0.3, "scale": 1.7} for name in names[:4]]
    whole["features"].append({"kind": "product", "terms": terms, "coefficient": 0.7})
    expected = scored(whole, pa.table({name: [1.0 + place, -0.25] for place, name in enumerate(names)}))
    assert differences(expected, run(expected)) <= 1e-12


@pytest.mark.slow
def test_a_model_of_many_features_is_not_too_deep() -> None:
    names = [f"column {place}" for place in range(1500)]
    expected = scored(numeric(*names), pa.table({name: [0.001 * place, None] for place, name in enumerate(names)}))
    assert differences(expected, run(expected)) <= 1e-12


@pytest.mark.parametrize(
    ("levels", "cells"),
    [
        (["true", "false"], pa.array([True, False, None])),
        (["true", "false"], pa.array(["True", "FALSE", "1", "0", "yes", None])),
        (["1", "-3", "0"], pa.array([1, -3, 0, 7, None])),
        (["1", "-3", "0"], pa.array([1.0, -3.0, -0.0, 0.5, math.nan, math.inf])),
        (["1", "-3", "0"], pa.array(["+1", "01.", "-3.00", "-0", "1e0", " 1", "+-3", "--3", "1\n", ""])),
        (["0.5", "2.0", "other"], pa.array([0.5, 2.0, 3.5, math.nan, math.inf, None])),
        (["0.5", "2.0"], pa.array(["0.50", "2", "+.5", "5e-1", ".", "9" * 400, "-2", "nan", None])),
        (["AA", "nan", ""], pa.array(["AA", "aa", "AA ", "nan", "NaN", "", None])),
    ],
)  # fmt: skip
def test_levels_are_found_by_spelling_and_by_value(levels: list[str], cells: pa.Array) -> None:
    coefficients = {level: 0.25 * place + 0.1 for place, level in enumerate(levels)}
    feature = {"column": "c", "kind": "categorical", "coefficients": coefficients}
    feature |= {"missing": {"level": levels[0]}, "unseen": "zero"}
    if "other" in levels:
        feature |= {"unseen": {"level": "other"}, "levels": "number"}
    expected = scored(numeric() | {"features": [feature]}, pa.table({"c": cells}))
    assert differences(expected, run(expected)) <= 1e-15


@pytest.mark.parametrize(
    ("feature", "cell", "said"),
    [
        ({"kind": "numeric", "coefficient": 1.0, "missing": "error"}, None, "column c: missing value: NULL"),
        ({"kind": "numeric", "coefficient": 1.0, "missing": "error"}, math.nan, "column c: missing value: nan"),
        ({"kind": "categorical", "coefficients": {"0.5": 1.0}, "unseen": "error"}, 7.25, "c: unseen value: 7.25"),
        ({"kind": "numeric", "coefficient": 1.0, "boolean": True}, 2.0, "column c: not a boolean: 2.0"),
        ({"kind": "transformed", "transform": "log", "coefficient": 1.0}, -1.0, "column c: outside the domain: -1.0"),
        ({"kind": "binned", "edges": [0.0], "coefficients": [1.0, 2.0], "missing": "error"}, None, "missing value"),
    ],
)  # fmt: skip
def test_a_row_that_the_model_refuses_ends_the_query(feature: dict[str, Any], cell: float | None, said: str) -> None:
    whole = numeric() | {"version": 2, "features": [{"column": "c", **feature}]}
    rows = pa.table({"c": pa.array([cell], pa.float64())})
    assert scored(whole, rows).bad.num_rows == 1
    text = export(from_mapping(whole), "sql")
    with duckdb.connect() as connection:
        connection.register("rows", rows)
        with pytest.raises(duckdb.Error, match=said):
            connection.execute(f"SELECT {text} FROM rows").fetchall()


@pytest.mark.parametrize("alpha", [1.0, -2.5])
@pytest.mark.parametrize("threshold", [0.0, 1e-300, 0.1, 0.5, 0.9999999, 1.0])
def test_a_decision_changes_at_the_same_float(threshold: float, alpha: float) -> None:
    output = {"columns": ["decision"], "threshold": threshold, "alpha": alpha}
    whole = numeric("x", output=output) | {"intercept": 0.0}
    whole["features"][0]["coefficient"] = 1.0
    from pipeline.conversion.cut import cut_at

    cut, _ = cut_at(from_mapping(whole), threshold)
    steps = [cut, math.nextafter(cut, -math.inf), math.nextafter(cut, math.inf), 0.0, -800.0, 800.0, math.inf, math.nan]
    expected = scored(whole, pa.table({"x": [*steps, -math.inf]}))
    assert run(expected) == expected.columns


def test_the_head_says_what_differs_and_holds_no_text_of_the_model() -> None:
    whole = numeric("x\n; DROP TABLE rows; --")
    for dialect in ("duckdb", "postgresql", "spark"):
        text = str(export(from_mapping(whole), "sql", dialect=dialect))
        head = [line for line in text.splitlines() if line.startswith("--")]
        assert "2^53" in " ".join(head)
        assert "DROP" not in " ".join(head)
        assert not text.split("\n")[len(head)].startswith("--")
