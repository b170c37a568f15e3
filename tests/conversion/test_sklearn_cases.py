"""Every estimator and step of scikit-learn that converts gives the scores of scikit-learn; the others are refused."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import sklearn

import pipeline
from pipeline.conversion.sklearn import compare, from_sklearn
from pipeline.errors import ModelError
from tests.conversion import sklearn_matrix
from tests.conversion.scored import difference
from tests.conversion.sklearn_cases import CASES, Case, frame

ROOT = Path(__file__).resolve().parents[2]
# Scikit-learn as it is installed in other environments, each with its variable.
OTHERS = {"LOGITSTREAM_OLDEST_SKLEARN": "1.6", "LOGITSTREAM_NEWEST_SKLEARN": "1."}
LEAST = 45


EVERYDAY = {
    "LogisticRegression",
    "LogisticRegression, 3 classes",
    "LinearSVC: raw prediction and decision",
    "CalibratedClassifierCV of LinearSVC",
    "FixedThresholdClassifier, of raw predictions",
    "FixedThresholdClassifier, of raw predictions, pos_label the first class",
    "TunedThresholdClassifierCV, a scorer of the first class",
    "OneVsRestClassifier of Pipelines",
    "ColumnTransformer, a column twice",
    "MinMaxScaler, clip=True",
    "SimpleImputer behind scalers, add_indicator",
    "SelectKBest",
    "PCA, whiten=True",
    "FunctionTransformer(numpy.log1p), scaled",
    "PolynomialFeatures",
    "Normalizer",
    "OneHotEncoder, min_frequency",
    "OneHotEncoder of floats",
    "OrdinalEncoder, max_categories",
    "MissingIndicator, then OneHotEncoder",
    "TargetEncoder, 3 classes",
    "KBinsDiscretizer behind an imputer and scalers",
    "PolynomialFeatures of categories and numbers",
    "PolynomialFeatures of scaled categories and numbers",
    "MLPClassifier, logistic, 3 classes",
    "MLPClassifier behind SimpleImputer, add_indicator",
    "MLPClassifier behind KBinsDiscretizer",
}
MARKED = [pytest.param(case, marks=() if case.title in EVERYDAY else pytest.mark.slow) for case in CASES]


@pytest.mark.parametrize("case", MARKED, ids=lambda case: f"{case.group}-{case.title}")
def test_a_case_gives_the_scores_of_scikit_learn_row_by_row_or_is_refused_by_name(case: Case) -> None:
    if not case.is_available:
        pytest.skip(f"scikit-learn {sklearn.__version__} does not have it")
    fitted = case.fitted()
    if case.refusal:
        with pytest.raises(ModelError, match=case.refusal) as caught:
            from_sklearn(fitted)
        assert caught.value.remedy
        return
    rows = case.input(frame(seed=9, odd=True))
    found = difference(from_sklearn(fitted), fitted, rows, is_float32=case.is_float32)
    assert found.share <= 1
    assert found.scored + found.refused == len(rows)
    assert found.zeros == 0
    if (figures := sklearn_matrix.stored().get(sklearn_matrix.version())) is not None:
        now = found.raw if np.isnan(found.probability) else found.probability
        assert not sklearn_matrix.differs(figures[case.title], now), "run python -m tests.conversion.sklearn_matrix"


def test_every_everyday_case_exists() -> None:
    assert {case.title for case in CASES} >= EVERYDAY
    assert len({case.title for case in CASES}) == len(CASES)


def test_the_matrix_of_the_guide_is_current() -> None:
    every = sklearn_matrix.stored()
    titles = [case.title for case in CASES]
    assert all(list(figures) == titles for figures in every.values()), "run python -m tests.conversion.sklearn_matrix"
    page = sklearn_matrix.PAGE.read_text(encoding="utf-8")
    assert sklearn_matrix.current(page) == page
    for figures in every.values():
        assert sum(isinstance(figure, float) for figure in figures.values()) >= LEAST
        assert {case.title for case in CASES if case.refusal} == {t for t, f in figures.items() if f == "refused"}


def test_models_of_plain_pipelines_stay_of_version_1() -> None:
    plain = [case for case in CASES if case.title in {"LogisticRegression", "StandardScaler", "OneHotEncoder"}]
    assert [from_sklearn(case.fitted()).file.version for case in plain] == [1, 1, 1]


def test_rows_to_check_are_compared_for_several_classes_and_for_raw_predictions(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for title in ("LogisticRegression, 3 classes", "LinearSVC: raw prediction and decision"):
        case = next(case for case in CASES if case.title == title)
        fitted, rows = case.fitted(), case.input(frame(seed=9))
        model = from_sklearn(fitted, check=rows)
        assert capsys.readouterr().out.startswith("240 rows scored both ways: largest difference ")
        assert 0 < compare(model, fitted, rows).absolute < 1e-12


def test_rows_to_check_are_read_from_a_csv_file_by_models_of_version_2_too(capsys: pytest.CaptureFixture[str]) -> None:
    for title in ("PolynomialFeatures of categories and numbers", "LogisticRegression, 3 classes"):
        case = next(case for case in CASES if case.title == title)
        rows = case.input(frame(seed=9))
        assert pipeline.from_sklearn(case.fitted(), check=rows).file.version == 2
        first, second, *more = capsys.readouterr().out.splitlines()
        assert second.startswith("the same rows from a CSV file, as to_csv writes it: largest difference ")
        assert first.split("largest")[1] == second.split("largest")[1]
        assert more == []


@pytest.mark.campaign
@pytest.mark.parametrize("variable", OTHERS)
def test_at_least_45_cases_convert_on_the_oldest_and_on_the_newest_scikit_learn(variable: str) -> None:
    python = os.environ.get(variable)
    if python is None or not Path(python).exists():
        pytest.skip(f"{variable} names no Python with scikit-learn {OTHERS[variable]}")
    done = subprocess.run(
        [python, "-m", "tests.conversion.sklearn_matrix", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    print(done.stdout, done.stderr)
    assert done.returncode == 0, done.stdout + done.stderr
    words = done.stdout.split()
    assert words[1].startswith(OTHERS[variable])
    assert int(words[2]) >= LEAST
