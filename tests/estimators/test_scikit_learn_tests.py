"""scikit-learn's own tests of logistic regression pass with our estimator in place of theirs: the stored list of them.

``scikit_learn_tests.py`` writes the list anew.
"""

from __future__ import annotations

import importlib.util
import json
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed (extra sklearn)")

HERE = Path(__file__).parent
LISTED = json.loads((HERE / "scikit_learn_tests.json").read_text())


def command() -> ModuleType:
    spec = importlib.util.spec_from_file_location("scikit_learn_tests", HERE / "scikit_learn_tests.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_at_least_170_tests_of_scikit_learn_pass_and_each_other_one_has_a_reason() -> None:
    others = [name for names in LISTED["left_out"].values() for name in names]
    assert len(LISTED["passed"]) >= 170
    assert [name for name, count in Counter([*LISTED["passed"], *others]).items() if count > 1] == []
    assert {command().reason_of(name) for name in others} == set(LISTED["left_out"])


@pytest.mark.campaign
def test_the_listed_tests_of_scikit_learn_come_to_our_fit_and_pass() -> None:
    if version("scikit-learn") != LISTED["scikit-learn"]:
        pytest.skip(f"the list is that of scikit-learn {LISTED['scikit-learn']}")
    found = {each["id"]: (each["outcome"], each["reached"]) for each in command().run(LISTED["passed"])}
    assert {name: state for name, state in found.items() if state != ("passed", True)} == {}
    assert found.keys() == set(LISTED["passed"])
