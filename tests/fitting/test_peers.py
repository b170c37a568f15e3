"""Fits of data that statisticians know, held against statsmodels, scikit-learn, glum, Stata and R."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from packaging.version import parse as parse_version

import pipeline
from pipeline.fitting.asking.formula import term_text
from pipeline.fitting.asking.terms import NumberTerm

pytestmark = pytest.mark.slow

sm = pytest.importorskip("statsmodels.api")
pd = pytest.importorskip("pandas")
# It sets a variable of the environment when it is imported.
sklearn = pytest.importorskip("sklearn")


@dataclass(frozen=True)
class Case:
    """Rows, what is fitted, and what statsmodels says of it, in the order of the features, the intercept last."""

    frame: Any
    target: str
    features: tuple[str, ...]
    expected: Any
    options: dict[str, Any]


def fitted(folder: Path, frame: Any, target: str, features: tuple[str, ...], **options: Any) -> Any:
    path = folder / "rows.parquet"
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), path, row_group_size=1_000)
    return pipeline.fit(path, target=target, features=", ".join(f'"{name}"' for name in features), **options)


def by_feature(report: Any, output: str | None = None) -> dict[str, Any]:
    return {row.feature: row for row in report.coefficients if row.output == output and row.note != "reference"}


def logit(frame: Any, target: str, features: tuple[str, ...]) -> Any:
    design = sm.add_constant(frame[list(features)].astype(float), prepend=False, has_constant="add")
    return sm.Logit(frame[target].astype(float), design).fit(disp=0, method="newton", tol=1e-14, maxiter=200)


def glm(frame: Any, target: str, features: tuple[str, ...], **options: Any) -> Any:
    design = sm.add_constant(frame[list(features)].astype(float), prepend=False, has_constant="add")
    family = sm.families.Binomial()
    return sm.GLM(frame[target].astype(float), design, family=family, **options).fit(tol=1e-14, maxiter=200)


def spector() -> Case:
    frame = sm.datasets.spector.load_pandas().data
    features = ("GPA", "TUCE", "PSI")
    return Case(frame, "GRADE", features, logit(frame, "GRADE", features), {})


def randhie() -> Case:
    frame = sm.datasets.randhie.load_pandas().data
    frame = frame.assign(visited=(frame["mdvis"] > 0).astype(int))
    features = ("lncoins", "idp", "lpi", "fmde", "physlm", "disea", "hlthg", "hlthf", "hlthp")
    return Case(frame, "visited", features, logit(frame, "visited", features), {})


def star98() -> Case:
    frame = sm.datasets.star98.load_pandas().data
    features = tuple(name for name in frame.columns if name not in {"NABOVE", "NBELOW"})
    above, below = (frame.assign(y=y, n=frame[name]) for y, name in ((1, "NABOVE"), (0, "NBELOW")))
    rows = pd.concat([above, below], ignore_index=True)
    return Case(rows, "y", features, glm(rows, "y", features, freq_weights=rows["n"]), {"weight": "n"})


def correlated() -> Case:
    random = np.random.default_rng(1)
    common = random.standard_normal(20_000)
    noise = np.sqrt(1 - 0.999**2)
    columns = {f"x{number}": 0.999 * common + noise * random.standard_normal(20_000) for number in range(3)}
    return generated(columns, [1.0, -2.0, 1.5], -0.5, random)


def scaled() -> Case:
    """Columns of all sizes, for which statsmodels sees them in units of their size."""
    random = np.random.default_rng(2)
    sizes = 10.0 ** np.array([-8, -4, 0, 4, 8])
    columns = {f"x{number}": random.standard_normal(20_000) for number in range(len(sizes))}
    case = generated(columns, [0.5, -1.0, 0.7, 0.2, -0.3], 0.3, random)
    frame = case.frame.assign(**{name: case.frame[name] * size for name, size in zip(columns, sizes, strict=True)})
    units = np.append(sizes, 1.0)
    there = SimpleNamespace(params=case.expected.params / units, bse=case.expected.bse / units, llf=case.expected.llf)
    return Case(frame, "y", case.features, there, {})


def rare() -> Case:
    random = np.random.default_rng(3)
    columns = {f"x{number}": random.standard_normal(50_000) for number in range(4)}
    return generated(columns, [0.8, -0.4, 0.3, 0.0], -5.2, random)


def generated(columns: dict[str, Any], weights: list[float], intercept: float, random: Any, **more: Any) -> Case:
    raw = intercept + sum(weight * column for weight, column in zip(weights, columns.values(), strict=True))
    rows = len(raw)
    frame = pd.DataFrame(columns).assign(y=(random.random(rows) < 1 / (1 + np.exp(-raw))).astype(int))
    return Case(frame, "y", tuple(columns), glm(frame, "y", tuple(columns)), more)


def offset() -> Case:
    random = np.random.default_rng(4)
    frame = pd.DataFrame({"x0": random.standard_normal(20_000), "x1": random.exponential(size=20_000)})
    frame["exposure"] = random.normal(0, 1, 20_000)
    frame["n"] = random.integers(0, 4, 20_000)
    raw = 0.2 + 0.5 * frame["x0"] - 0.3 * frame["x1"] + frame["exposure"]
    frame["y"] = (random.random(20_000) < 1 / (1 + np.exp(-raw))).astype(int)
    expected = glm(frame, "y", ("x0", "x1"), offset=frame["exposure"], freq_weights=frame["n"])
    return Case(frame, "y", ("x0", "x1"), expected, {"offset": "exposure", "weight": "n"})


def flights() -> Case:
    frame = pd.read_csv(Path("sample_data/flights.csv"))
    frame = frame[["distance", "hour", "dep_delay", "late"]].dropna()
    frame["late"] = frame["late"].astype(int)
    features = ("distance", "hour", "dep_delay")
    return Case(frame, "late", features, logit(frame, "late", features), {})


CASES = {
    function.__name__: function for function in (spector, randhie, star98, correlated, scaled, rare, offset, flights)
}


@pytest.mark.parametrize("name", CASES)
def test_coefficients_and_errors_are_those_of_statsmodels(name: str, tmp_path: Path) -> None:
    case = CASES[name]()
    report = fitted(tmp_path, case.frame, case.target, case.features, **case.options)
    rows = by_feature(report)
    ours = np.array([rows[feature].value for feature in (*case.features, "(intercept)")])
    errors = np.array([rows[feature].error for feature in (*case.features, "(intercept)")])
    params, bse = np.asarray(case.expected.params), np.asarray(case.expected.bse)
    # In units of standard errors, since a coefficient may be close to 0.
    assert np.abs(ours - params).max(initial=0, where=np.abs(params) < 1e-3 * bse) <= 1e-8 * bse.max()
    np.testing.assert_allclose(ours, params, rtol=1e-8, atol=1e-9 * bse.min())
    np.testing.assert_allclose(errors, bse, rtol=1e-6)
    assert report.measures.deviance == pytest.approx(-2 * case.expected.llf, rel=1e-9)


def test_several_classes_are_those_of_statsmodels_and_of_stata(tmp_path: Path) -> None:
    from statsmodels.discrete.tests.results.results_discrete import Anes

    frame = sm.datasets.anes96.load_pandas().data.assign(PID=lambda rows: rows["PID"].astype(int))
    features = ("logpopul", "selfLR", "age", "educ", "income")
    frame["logpopul"] = np.log(frame["popul"] + 0.1)
    report = fitted(tmp_path, frame, "PID", features)
    design = sm.add_constant(frame[list(features)], prepend=False)
    expected = sm.MNLogit(frame["PID"], design).fit(disp=0, method="newton", tol=1e-14, maxiter=200)
    for number in range(6):
        rows = by_feature(report, str(number + 1))
        for feature, value, error in zip(
            (*features, "(intercept)"), expected.params[number], expected.bse[number], strict=True
        ):
            assert rows[feature].value == pytest.approx(value, rel=1e-8, abs=1e-9 * error)
            assert rows[feature].error == pytest.approx(error, rel=1e-6)
    stata = Anes.mnlogit_basezero
    assert report.measures.deviance == pytest.approx(-2 * stata.llf, abs=1e-6)
    assert report.measures.mcfadden == pytest.approx(stata.prsquared, abs=1e-9)
    assert report.measures.aic == pytest.approx(stata.aic, abs=1e-6)
    assert report.measures.bic == pytest.approx(stata.bic, abs=1e-6)
    assert report.measures.likelihood_ratio == pytest.approx(stata.llr, abs=1e-6)
    assert report.measures.likelihood_ratio_p == pytest.approx(stata.llr_pvalue, rel=1e-6)
    for number in range(6):
        rows = by_feature(report, str(number + 1))
        np.testing.assert_allclose(
            [rows[feature].value for feature in (*features, "(intercept)")],
            stata.params[:, number],
            atol=6e-8,
            rtol=1e-6,
        )


def test_figures_of_stata_for_spector(tmp_path: Path) -> None:
    from statsmodels.discrete.tests.results.results_discrete import Spector

    stata = Spector.logit
    case = spector()
    report = fitted(tmp_path, case.frame, case.target, case.features)
    rows = by_feature(report)
    order = (*case.features, "(intercept)")
    # Stata stops where a step changes little: its last digits are not those of the optimum, which statsmodels has.
    np.testing.assert_allclose([rows[name].value for name in order], stata.params, rtol=2e-7)
    np.testing.assert_allclose([rows[name].error for name in order], stata.bse, rtol=2e-7)
    assert report.measures.deviance == pytest.approx(-2 * stata.llf, rel=1e-7)
    assert report.measures.mcfadden == pytest.approx(stata.prsquared, abs=1e-7)


def test_figures_of_r_for_star98(tmp_path: Path) -> None:
    from statsmodels.genmod.tests.results.results_glm import Star98

    r = Star98()
    case = star98()
    report = fitted(tmp_path, case.frame, case.target, case.features, **case.options)
    rows = by_feature(report)
    order = (*case.features, "(intercept)")
    np.testing.assert_allclose([rows[name].value for name in order], r.params, atol=6e-11, rtol=1e-7)
    np.testing.assert_allclose([rows[name].error for name in order], r.bse, rtol=1e-6)


def test_figures_of_stata_for_low_birth_weight(tmp_path: Path) -> None:
    import statsmodels.genmod.tests.results.results_glm as results

    stata = results.Lbw()
    frame = stata.exog.drop(columns="const").astype(float).assign(low=stata.endog.astype(int))
    features = tuple(name for name in frame.columns if name != "low")
    report = fitted(tmp_path, frame, "low", features)
    rows = by_feature(report)
    order = (*features, "(intercept)")
    np.testing.assert_allclose([rows[name].value for name in order], stata.params, atol=1e-8)
    # Stata's errors are those of its last but one step: statsmodels compares them to four decimals.
    np.testing.assert_allclose([rows[name].error for name in order], stata.bse, rtol=2e-5)
    assert report.measures.deviance == pytest.approx(stata.deviance, rel=1e-10)
    assert report.measures.null_deviance == pytest.approx(stata.null_deviance, rel=1e-10)
    assert report.measures.aic == pytest.approx(stata.aic_R, rel=1e-9)


@pytest.mark.parametrize("number", range(9))
def test_elastic_net_is_as_good_as_that_of_glmnet(number: int, tmp_path: Path) -> None:
    from statsmodels.genmod.tests.results import glmnet_r_results

    path = Path(glmnet_r_results.__file__).parent / "enet_binomial.csv"
    # R took the first row for a header.
    data = np.loadtxt(path, delimiter=",", skiprows=1)
    y, matrix = data[:, 0], data[:, 1:]
    matrix = (matrix - matrix.mean(axis=0)) / matrix.std(axis=0, ddof=1)
    alpha, strength, *theirs = getattr(glmnet_r_results, f"rslt_binomial_{number}")
    features = tuple(f"x{position}" for position in range(matrix.shape[1]))
    frame = pd.DataFrame(dict(zip(features, matrix.T, strict=True))).assign(y=y.astype(int))
    # Ours are of columns scaled by the deviation of the population.
    scale = matrix.std()
    penalties = {"l1": strength * alpha / scale, "l2": strength * (1 - alpha) / scale**2}
    report = fitted(tmp_path, frame, "y", features, intercept=False, **penalties)
    rows = by_feature(report)
    ours = np.array([rows[name].value for name in features])

    def objective(coefficients: Any) -> float:
        raw = matrix @ np.asarray(coefficients)
        loss = np.logaddexp(0, raw).mean() - (y * raw).mean()
        sizes = np.abs(coefficients).sum(), (np.asarray(coefficients) ** 2).sum()
        return float(loss + strength * (alpha * sizes[0] + (1 - alpha) / 2 * sizes[1]))

    assert objective(ours) <= objective(theirs) + 1e-12
    np.testing.assert_allclose(ours, theirs, atol=2e-4)


def test_penalised_breast_cancer_is_that_of_scikit_learn(tmp_path: Path) -> None:
    from sklearn.datasets import load_breast_cancer
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    loaded = load_breast_cancer(as_frame=True)
    matrix, y = loaded.data, loaded.target
    strength = 1e-3
    fitted_there = LogisticRegression(C=1 / (strength * len(y)), solver="newton-cholesky", tol=1e-12, max_iter=1_000)
    scaler = StandardScaler().fit(matrix)
    fitted_there.fit(scaler.transform(matrix), y)
    report = fitted(tmp_path, matrix.assign(target=y), "target", tuple(matrix.columns), l2=strength)
    rows = by_feature(report)
    ours = np.array([rows[term_text(NumberTerm(name))].value for name in matrix.columns])
    np.testing.assert_allclose(ours * scaler.scale_, fitted_there.coef_[0], rtol=1e-8, atol=1e-10)


def test_elastic_net_reaches_the_objective_of_saga(tmp_path: Path) -> None:
    from sklearn.datasets import load_breast_cancer
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    loaded = load_breast_cancer(as_frame=True)
    matrix, y = loaded.data, loaded.target.to_numpy()
    scaled_ = StandardScaler().fit_transform(matrix)
    l1, l2 = 4e-3, 1e-3
    total = l1 + l2
    named = {"penalty": "elasticnet"} if parse_version(sklearn.__version__) < parse_version("1.8") else {}
    there = LogisticRegression(
        C=1 / (total * len(y)), l1_ratio=l1 / total, solver="saga", tol=1e-10, max_iter=200_000, **named
    ).fit(scaled_, y)
    report = fitted(tmp_path, matrix.assign(target=y), "target", tuple(matrix.columns), l1=l1, l2=l2)
    rows = by_feature(report)
    ours = (
        np.array([rows[term_text(NumberTerm(name))].value for name in matrix.columns]) * matrix.std(ddof=0).to_numpy()
    )
    intercept = rows["(intercept)"].value + ours @ (matrix.mean() / matrix.std(ddof=0)).to_numpy()

    def objective(coefficients: Any, constant: float) -> float:
        raw = scaled_ @ coefficients + constant
        loss = np.logaddexp(0, raw).mean() - (y * raw).mean()
        return float(loss + l1 * np.abs(coefficients).sum() + l2 / 2 * (coefficients**2).sum())

    best = objective(there.coef_[0], float(there.intercept_[0]))
    assert objective(ours, intercept) <= best * (1 + 1e-8)


def test_coefficients_are_those_of_glum(tmp_path: Path) -> None:
    glum = pytest.importorskip("glum")
    case = rare()
    there = glum.GeneralizedLinearRegressor(
        family="binomial", link="logit", alpha=0, gradient_tol=1e-13, max_iter=200
    ).fit(case.frame[list(case.features)], case.frame["y"])
    rows = by_feature(fitted(tmp_path, case.frame, case.target, case.features))
    np.testing.assert_allclose([rows[name].value for name in case.features], there.coef_, rtol=1e-8, atol=1e-10)


def test_robust_errors_are_those_of_statsmodels(tmp_path: Path) -> None:
    case = randhie()
    design = sm.add_constant(case.frame[list(case.features)].astype(float), prepend=False)
    there = sm.Logit(case.frame["visited"], design).fit(disp=0, method="newton", tol=1e-14, cov_type="HC0")
    rows = by_feature(fitted(tmp_path, case.frame, case.target, case.features, robust=True))
    order = (*case.features, "(intercept)")
    np.testing.assert_allclose([rows[name].error for name in order], there.bse, rtol=1e-6)


def test_marginal_effects_are_those_of_statsmodels(tmp_path: Path) -> None:
    case = randhie()
    there = case.expected.get_margeff(dummy=True)
    report = fitted(tmp_path, case.frame, case.target, case.features, effects=True)
    found = {row.feature: row for row in report.effects}
    np.testing.assert_allclose([found[name].value for name in case.features], there.margeff, rtol=1e-7, atol=1e-11)
    np.testing.assert_allclose([found[name].error for name in case.features], there.margeff_se, rtol=1e-6)


def test_the_model_file_has_what_the_report_has(tmp_path: Path) -> None:
    case = spector()
    out = tmp_path / "model.json"
    report = fitted(tmp_path, case.frame, case.target, case.features, output=out)
    written = json.loads(out.read_text())
    assert written["training"]["rows"]["used"] == 32
    loaded = pipeline.LogisticModel.load(out)
    np.testing.assert_array_equal(loaded.probability(case.frame), report.model.probability(case.frame))
    there = case.expected.predict(sm.add_constant(case.frame[list(case.features)], prepend=False))
    np.testing.assert_allclose(loaded.probability(case.frame), there, rtol=1e-8)
