"""Models written as Python: the module gives the scores of the scorer, in an interpreter without packages."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.conversion.exporting import export
from pipeline.models.logistic.making import probability_of
from pipeline.models.logistic.parsing import from_mapping
from tests.conversion.randomly import LINKS, Scored, differences, document, far, scored, table

RUN = """
import importlib.util, json, math, sys
spec = importlib.util.spec_from_file_location("model", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
rows = json.load(open(sys.argv[2]))
made = [module.score(row) for row in rows]
assert made == made and not {"numpy", "pipeline"} & set(sys.modules)
print(json.dumps(made))
"""


def run_here(expected: Scored) -> dict[str, list[Any]]:
    """Run the exported module in this interpreter."""
    names: dict[str, Any] = {}
    exec(compile(export(expected.model, "python"), "model.py", "exec"), names)
    made = [names["score"](row) for row in expected.rows.to_pylist()]
    return {name: [row[name] for row in made] for name in expected.columns}


@settings(max_examples=15)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 0, 2, 5]))
def test_any_model_scores_in_python_as_here(seed: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    expected = scored(document(rng, classes), table(rng, 40))
    assert differences(expected, run_here(expected)) <= 1e-14


def test_a_fresh_interpreter_without_packages_gives_the_scores(tmp_path: Path) -> None:
    rng = np.random.default_rng(16)
    largest = 0.0
    for classes in (0, 3):
        expected = scored(document(rng, classes), table(rng, 200))
        export(expected.model, "python", tmp_path / "model.py")
        (tmp_path / "rows.json").write_text(json.dumps(expected.rows.to_pylist()))
        command = [sys.executable, "-I", "-S", "-c", RUN, str(tmp_path / "model.py"), str(tmp_path / "rows.json")]
        made = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        columns = {name: [row[name] for row in made] for name in expected.columns}
        largest = max(largest, differences(expected, columns))
    print(f"largest difference in a fresh interpreter: {largest:.1e}")
    assert largest <= 1e-14


@pytest.mark.parametrize("link", LINKS)
def test_far_from_the_middle_a_module_gives_the_raw_predictions_and_probabilities_of_the_scorer(link: str) -> None:
    expected = scored(*far(link))
    made = run_here(expected)
    assert made["raw_prediction"] == expected.columns["raw_prediction"]
    np.testing.assert_allclose(made["probability"], expected.columns["probability"], rtol=1e-12, atol=1e-316)


@pytest.mark.parametrize(
    "output",
    [
        {},
        {"alpha": -1.3, "beta": 0.2},
        {"calibration": {"method": "platt", "slope": -1.3, "intercept": 0.7}},
        {"calibration": {"method": "isotonic", "thresholds": [0.5], "probabilities": [0.1, 0.4]}},
    ],
)
def test_decisions_and_bands_of_a_module_change_at_the_same_float(output: dict[str, Any]) -> None:
    rng = np.random.default_rng(4)
    for centre in rng.normal(size=12) * 3:
        near = [centre, *(math.nextafter(centre, end) for end in (-math.inf, math.inf))]
        whole = numeric(output=output)
        threshold = float(probability_of(from_mapping(whole), np.array(near[:1]), "fast")[0])
        whole["output"] = output | {
            "columns": ["decision", "band"],
            "threshold": threshold,
            "bands": {
                "on": "probability",
                "thresholds": [threshold, max(0.99, (1 + threshold) / 2)],
                "names": ["a", "b", "c"],
            },
        }
        expected = scored(whole, pa.table({"x": [*near, 0.5, math.inf, -math.inf, None]}))
        assert run_here(expected) == expected.columns


@pytest.mark.parametrize(
    ("feature", "cell", "said"),
    [
        ({"kind": "numeric", "coefficient": 1.0, "missing": "error"}, None, "column 'x': missing value: None"),
        ({"kind": "categorical", "coefficients": {"a": 1.0}, "unseen": "error"}, "b", "column 'x': unseen value: 'b'"),
        ({"kind": "numeric", "coefficient": 1.0, "boolean": True}, 2.0, "column 'x': 2.0 is not a boolean"),
        ({"kind": "numeric", "coefficient": 1.0}, 2**53 + 1, "is not a number that a float holds"),
        ({"kind": "transformed", "transform": "log", "coefficient": 1.0}, -1.0, "-1.0 is outside the domain"),
    ],
)  # fmt: skip
def test_a_value_that_the_model_refuses_is_an_error_with_the_column(
    feature: dict[str, Any], cell: object, said: str
) -> None:
    names: dict[str, Any] = {}
    exec(export(from_mapping(numeric(features=[{"column": "x", **feature}])), "python"), names)
    with pytest.raises(ValueError, match=said):
        names["score"](x=cell)
    with pytest.raises(KeyError, match="x"):
        names["score"](y=cell)


def numeric(**other: Any) -> dict[str, Any]:
    feature = {"column": "x", "kind": "numeric", "coefficient": 1.0}
    head = {"format": "logitstream-model", "version": 2, "kind": "logistic", "intercept": 0.0}
    return head | {"features": [feature]} | other
