"""scikit-learn's own tests of logistic regression with our estimator in place: which pass, and why others do not.

    PYTHONPATH=. python tests/estimators/scikit_learn_tests.py

runs all of them, some ten minutes, and writes ``scikit_learn_tests.json``: the tests that come to our ``fit`` and pass,
and those that come to it and do not, with the reason. It fails where one has no reason in the table below.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
STORED = HERE / "scikit_learn_tests.json"
FILES = {"test_logistic.py": "tests", "test_glm.py": "_glm/tests"}

_WORDS = "asks for a message in scikit-learn's words; ours has its own"
_WARNING = "asks for a warning that something is deprecated, inconsistent or without effect; here it is not"
_DUAL = "fits the dual problem of liblinear; ours has the same optimum without it, and refuses dual=True"
_LOOSE = "compares with LogisticRegressionCV, whose solver ends at tol; ours goes on to the optimum"
_NEAR_SAGA = "asks for 1e-7 of each coefficient beside saga; ours ends within 4e-9 of all of them together"
_NORM = "asks for the one of smallest norm among many optima; ours leaves out columns that others explain"
_LARGE = "asks that liblinear refuses 1e100, which freezes it; ours scales columns"
# By the name of the test, and what its parameters contain.
REASONS = {
    ("test_check_solver_option", ""): _WORDS,
    ("test_max_iter", ""): _WORDS,
    ("test_penalty_none", ""): _WORDS,
    ("test_l1_ratio_non_elasticnet", ""): _WORDS,
    ("test_liblinear_multiclass_raises", ""): _WORDS,
    ("test_lr_penalty_l1ratio_incompatible", ""): _WARNING,
    ("test_penalty_deprecated", ""): _WARNING,
    ("test_l1_ratio_None_deprecated", ""): _WARNING,
    ("test_logisticregression_warns_with_n_jobs", ""): _WARNING,
    ("test_liblinear_dual_random_state", ""): _DUAL,
    ("test_sample_and_class_weight_equivalence_liblinear", ""): _DUAL,
    ("test_logisticregression_liblinear_sample_weight", ""): _DUAL,
    ("test_liblinear_with_large_values", ""): _LARGE,
    ("test_dtype_match", ""): "asks for float32 coefficients of float32 rows; ours are float64, as exact as the fit",
    ("test_large_sparse_matrix", ""): "asks that some solvers refuse 64-bit indices; ours takes them",
    ("test_logreg_predict_proba_multinomial", ""): "calls a private method of scikit-learn's class",
    ("test_newton_cholesky_fallback_to_lbfgs", ""): "asks for the steps of scikit-learn's fallback",
    ("test_logistic_cv", ""): _LOOSE,
    ("test_logistic_cv_multinomial_score", ""): _LOOSE,
    ("test_logistic_regression_cv_refit", "42-1"): _NEAR_SAGA,
    ("test_glm_regression_unpenalized", "wide"): _NORM,
    ("test_glm_regression_unpenalized_hstacked_X", ""): _NORM,
    ("test_glm_regression_unpenalized_vstacked_X", "wide"): _NORM,
}


def run(names: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Return what became of tests, all of them unless some are named."""
    found = find_spec("sklearn.linear_model")
    assert found is not None
    assert found.origin is not None
    folder = Path(found.origin).parent
    chosen = list(FILES) if names is None else names
    with tempfile.TemporaryDirectory() as scratch:
        listing, record = Path(scratch) / "names", Path(scratch) / "record"
        listing.write_text("".join(f"{folder / FILES[name.partition('::')[0]] / name}\n" for name in chosen))
        options = ["-c", os.devnull, "--rootdir", "/", "-p", "in_place", "-p", "no:cacheprovider", "-q"]
        command = [sys.executable, "-m", "pytest", *options, "--record", str(record), f"@{listing}"]
        environment = {**os.environ, "PYTHONPATH": f"{HERE}{os.pathsep}{ROOT}"}
        done = subprocess.run(command, cwd=scratch, env=environment, capture_output=True, text=True, check=False)
        if not record.exists():
            raise RuntimeError(done.stdout[-2000:] + done.stderr[-2000:])
        return [json.loads(line) for line in record.read_text().splitlines()]


def reason_of(name: str) -> str | None:
    """Return why a test is left out, ``None`` where nobody has said it."""
    function, _, parameters = name.partition("::")[2].partition("[")
    found = (why for (known, part), why in REASONS.items() if known == function and part in parameters)
    return next(found, None)


def main() -> int:
    """Run all tests and write which of them pass."""
    results = [each for each in run() if each["reached"]]
    passed = [each["id"] for each in results if each["outcome"] == "passed"]
    others = [each for each in results if each["outcome"] != "passed"]
    left_out: dict[str, list[str]] = defaultdict(list)
    for each in others:
        left_out[reason_of(each["id"]) or ""].append(each["id"])
    for name in left_out.pop("", []):
        why = next(each["why"] for each in others if each["id"] == name)
        sys.stderr.write(f"no reason: {name}\n{why}\n")
    content = {"scikit-learn": version("scikit-learn"), "passed": passed, "left_out": left_out}
    STORED.write_text(json.dumps(content, indent=1) + "\n")
    unexplained = len(others) - sum(map(len, left_out.values()))
    sys.stdout.write(f"{len(passed)} pass, {len(others)} do not, {unexplained} of them without a reason\n")
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
