"""All of scikit-learn's own checks of estimators, on the logistic regression."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed (extra sklearn)")

ROOT = Path(__file__).parents[2]

CHECKS = """
import json, sys, warnings
from sklearn.utils.estimator_checks import check_estimator
from pipeline.sklearn import LogisticRegression

warnings.simplefilter("ignore")
results = check_estimator(LogisticRegression(**eval(sys.argv[1])), on_fail=None)
print(json.dumps([[each["check_name"], each["status"]] for each in results]))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "parameters",
    [{}, {"penalty": None}, {"l1_ratio": 0.5}, {"solver": "newton-cg"}, {"class_weight": "balanced"}],
    ids=str,
)
def test_check_estimator_passes_in_full(parameters: dict[str, object]) -> None:
    # In a process of its own: some of its checks write pickles to disk and load them again.
    # One of them is left out unless scipy is told beforehand that arrays of other libraries may come.
    environment = {**os.environ, "SCIPY_ARRAY_API": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", CHECKS, repr(parameters)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(found) > 60
    assert [name for name, state in found if state != "passed"] == []
