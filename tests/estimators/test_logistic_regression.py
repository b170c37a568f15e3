"""The logistic regression: scikit-learn's own results on every kind of rows, the same bits, and what it refuses."""

from __future__ import annotations

import math
import pickle
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import dask
import dask.array as da
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pd = pytest.importorskip("pandas", reason="pandas is not installed (extra test)")
pl = pytest.importorskip("polars", reason="polars is not installed (extra test)")
pytest.importorskip("sklearn", reason="scikit-learn is not installed (extra sklearn)")

import dask.dataframe as dd  # noqa: E402 - where they are installed
from scipy import sparse  # noqa: E402
from sklearn.base import clone  # noqa: E402
from sklearn.datasets import load_breast_cancer, load_iris, load_wine, make_classification  # noqa: E402
from sklearn.exceptions import ConvergenceWarning  # noqa: E402
from sklearn.linear_model import LogisticRegression as Theirs  # noqa: E402
from sklearn.model_selection import GridSearchCV  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler, scale  # noqa: E402

import pipeline  # noqa: E402
from pipeline.errors import ModelError  # noqa: E402
from pipeline.fitting.estimator.arrays import block_facts  # noqa: E402
from pipeline.fitting.estimator.row_blocks import RowBlock  # noqa: E402
from pipeline.sklearn import LogisticRegression  # noqa: E402

NAMES = ["a", "b", "c", "d"]
# 17,000 rows are three tiles, the last one shorter.
X, Y = make_classification(17_000, 4, n_informative=4, n_redundant=0, flip_y=0.2, random_state=3)
WEIGHTS = np.random.default_rng(4).integers(0, 4, len(Y)).astype(float)
FRAME = pd.DataFrame(X, columns=NAMES)
IN_MEMORY: dict[str, Any] = {
    "C order": np.ascontiguousarray(X),
    "Fortran order": np.asfortranarray(X),
    "list": X.tolist(),
    "pandas": FRAME,
    "polars": pl.from_pandas(FRAME),
    "Arrow": pa.table({name: X[:, place] for place, name in enumerate(NAMES)}),
    "nullable pandas": FRAME.astype("Float64"),
}


@pytest.fixture(autouse=True)
def _without_threads() -> Iterator[None]:
    with dask.config.set(scheduler="sync"):
        yield


def theirs(**parameters: Any) -> Any:
    return Theirs(**{"solver": "newton-cholesky", "tol": 1e-12, "max_iter": 1_000, **parameters})


def assert_same(ours: Any, other: Any, rtol: float = 1e-8) -> None:
    np.testing.assert_array_equal(ours.classes_, other.classes_)
    largest = np.abs(other.coef_).max()
    np.testing.assert_allclose(ours.coef_, other.coef_, rtol=rtol, atol=rtol * largest * 1e-3)
    np.testing.assert_allclose(ours.intercept_, other.intercept_, rtol=rtol, atol=rtol)


def cancer() -> tuple[Any, Any]:
    return load_breast_cancer(return_X_y=True)


CASES: dict[str, tuple[Callable[[], tuple[Any, Any]], dict[str, Any]]] = {
    "breast cancer, scaled": (lambda: (scale(cancer()[0]), cancer()[1]), {}),
    "breast cancer, ten columns in their own units": (lambda: (cancer()[0][:, :10], cancer()[1]), {"C": 3.0}),
    "breast cancer, ten columns, no penalty": (lambda: (cancer()[0][:, :10], cancer()[1]), {"C": math.inf}),
    "no intercept": (lambda: (X, Y), {"fit_intercept": False, "C": 0.01}),
    "no intercept, no penalty": (lambda: (X, Y), {"fit_intercept": False, "C": math.inf}),
    "class weights": (lambda: (X, Y), {"class_weight": {0: 1.0, 1: 7.5}}),
    "balanced classes": (lambda: (X[Y[::-1] + Y > 0], Y[Y[::-1] + Y > 0]), {"class_weight": "balanced"}),
    "iris": (lambda: load_iris(return_X_y=True), {}),
    "iris without an intercept": (lambda: load_iris(return_X_y=True), {"fit_intercept": False}),
    "wine": (lambda: (scale(load_wine().data), load_wine().target_names[load_wine().target]), {"C": 10.0}),
}


@pytest.mark.parametrize("case", CASES)
def test_coefficients_are_those_of_scikit_learn(case: str) -> None:
    rows, parameters = CASES[case]
    features, target = rows()
    ours = LogisticRegression(**parameters).fit(features, target)
    other = theirs(**parameters).fit(features, target)
    assert ours.certificate_.converged
    assert_same(ours, other)
    np.testing.assert_allclose(ours.predict_proba(features), other.predict_proba(features), rtol=1e-7, atol=1e-14)
    np.testing.assert_array_equal(ours.predict(features), other.predict(features))
    assert ours.score(features, target) == other.score(features, target)


def test_three_classes_without_a_penalty_are_those_of_scikit_learn() -> None:
    features, target = make_classification(
        900, 5, n_informative=4, n_redundant=0, n_classes=3, flip_y=0.4, random_state=1
    )
    ours = LogisticRegression(C=math.inf).fit(features, target)
    assert_same(ours, theirs(C=math.inf).fit(features, target), rtol=1e-7)
    np.testing.assert_allclose(ours.coef_.sum(axis=0), 0, atol=1e-13)
    assert ours.covariance_.shape == (18, 18)


@pytest.mark.parametrize("penalty", [{}, {"C": math.inf}, {"C": 0.001}])
def test_sample_weights_count_rows(penalty: dict[str, Any]) -> None:
    ours = LogisticRegression(**penalty).fit(X, Y, WEIGHTS)
    assert_same(ours, theirs(**penalty).fit(X, Y, sample_weight=WEIGHTS))
    repeats = WEIGHTS.astype(int)
    assert_same(ours, LogisticRegression(**penalty).fit(np.repeat(X, repeats, axis=0), np.repeat(Y, repeats)))


def objective(fitted: Any, features: Any, target: Any) -> float:
    signs = np.where(target == fitted.classes_[1], -1.0, 1.0)
    losses = np.logaddexp(0, signs * (features @ fitted.coef_[0] + fitted.intercept_[0]))
    size = fitted.l1_ratio * np.abs(fitted.coef_).sum() + (1 - fitted.l1_ratio) / 2 * (fitted.coef_**2).sum()
    return float(fitted.C * losses.sum() + size)


@pytest.mark.parametrize("ratio", [0.3, 1.0])
@pytest.mark.parametrize("strength", [0.05, 2.0])
def test_the_elastic_net_objective_is_that_of_saga(ratio: float, strength: float) -> None:
    features, target = make_classification(400, 8, n_informative=4, flip_y=0.2, random_state=7)
    features = scale(features)
    parameters = {"l1_ratio": ratio, "C": strength}
    ours = LogisticRegression(**parameters).fit(features, target)
    # Before 1.8 l1_ratio alone was not enough.
    older = {"penalty": "elasticnet"} if "multi_class" in Theirs().get_params() else {}
    saga = Theirs(solver="saga", tol=1e-10, max_iter=100_000, random_state=0, **parameters, **older)
    saga.fit(features, target)
    mine, best = objective(ours, features, target), objective(saga, features, target)
    assert mine <= best * (1 + 1e-12)
    assert mine == pytest.approx(best, rel=1e-8)
    np.testing.assert_array_equal(ours.coef_ == 0, np.abs(saga.coef_) < 1e-7)


def test_an_l1_penalty_leaves_the_same_coefficients_of_three_classes_as_saga() -> None:
    features, target = make_classification(
        400, 6, n_informative=4, n_redundant=0, n_classes=3, flip_y=0.3, random_state=2
    )
    features = scale(features)
    parameters = {"l1_ratio": 0.5, "C": 0.05}
    ours = LogisticRegression(**parameters).fit(features, target)
    older = {"penalty": "elasticnet"} if "multi_class" in Theirs().get_params() else {}
    saga = Theirs(solver="saga", tol=1e-10, max_iter=100_000, random_state=0, **parameters, **older)
    saga.fit(features, target)
    np.testing.assert_allclose(ours.coef_, saga.coef_, atol=1e-7)
    np.testing.assert_allclose(ours.predict_proba(features), saga.predict_proba(features), atol=1e-7)
    assert (ours.coef_ == 0).any()
    assert ours.intercept_.sum() == pytest.approx(0, abs=1e-13)


@pytest.mark.parametrize("ratio", [0.5, 1.0])
def test_the_elastic_net_of_three_classes_is_that_of_saga(ratio: float) -> None:
    features, target = scale(load_wine().data), load_wine().target
    older = {"penalty": "elasticnet"} if "multi_class" in Theirs().get_params() else {}
    found = LogisticRegression(C=0.1, l1_ratio=ratio).fit(features, target)
    saga = Theirs(solver="saga", tol=1e-10, max_iter=100_000, random_state=0, C=0.1, l1_ratio=ratio, **older)
    saga.fit(features, target)
    np.testing.assert_allclose(found.coef_, saga.coef_, atol=1e-8)
    np.testing.assert_allclose(found.intercept_, saga.intercept_, atol=1e-8)
    assert 0 < np.count_nonzero(found.coef_ == 0) < found.coef_.size


@pytest.mark.parametrize("kind", IN_MEMORY)
def test_rows_of_every_kind_give_the_same_bits(kind: str) -> None:
    rows = IN_MEMORY[kind]
    expected = LogisticRegression(C=math.inf).fit(X, Y, WEIGHTS)
    found = LogisticRegression(C=math.inf, n_jobs=2).fit(rows, Y.tolist(), WEIGHTS.tolist())
    np.testing.assert_array_equal(found.coef_, expected.coef_)
    np.testing.assert_array_equal(found.covariance_, expected.covariance_)
    np.testing.assert_array_equal(found.predict_proba(rows), expected.predict_proba(X))
    # Which dataframes have names depends on the version of scikit-learn.
    names = list(getattr(StandardScaler().fit(rows), "feature_names_in_", []))
    assert list(getattr(found, "feature_names_in_", [])) == names
    assert names == NAMES or "pandas" not in kind


def test_two_threads_give_the_bits_of_one() -> None:
    features, target = np.tile(X, (16, 1)), np.tile(Y, 16)
    fits = [LogisticRegression(n_jobs=jobs).fit(features, target) for jobs in (1, 2, -1)]
    assert len({each.coef_.tobytes() + each.intercept_.tobytes() for each in fits}) == 1


@pytest.mark.usefixtures("one_blas_thread")
def test_many_rows_take_few_passes_as_a_sample_is_fitted_first() -> None:
    features, target = np.tile(X, (16, 1)), np.tile(Y, 16)
    expected = LogisticRegression(C=math.inf).fit(features, target)
    assert expected.certificate_.passes <= 4 < LogisticRegression(C=math.inf).fit(X, Y).certificate_.passes
    frame = pd.DataFrame(features, columns=NAMES)
    kinds = [frame, pl.from_pandas(frame), pa.table(dict(zip(NAMES, features.T, strict=True)))]
    for rows in kinds:
        found = LogisticRegression(C=math.inf).fit(rows, target)
        np.testing.assert_array_equal(found.coef_, expected.coef_)
    found = LogisticRegression(C=math.inf).fit(sparse.csr_array(features), target)
    np.testing.assert_allclose(found.coef_, expected.coef_, rtol=1e-12)
    rows, classes = da.from_array(features, chunks=(8_000, 4)), da.from_array(target, chunks=8_000)
    found = LogisticRegression(C=math.inf).fit(rows, classes)
    assert found.certificate_.passes <= 4
    np.testing.assert_allclose(found.coef_, expected.coef_, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.int8, np.bool_])
def test_numbers_of_every_type_are_fitted_as_float64(dtype: Any) -> None:
    rows = (X > 0 if dtype is np.bool_ else X * 3).astype(dtype)
    found = LogisticRegression().fit(rows, Y)
    assert found.coef_.dtype == np.float64
    assert_same(found, theirs().fit(rows.astype(np.float64), Y))


def test_columns_of_mixed_types_are_numbers_in_every_dataframe() -> None:
    columns = {
        "flag": X[:, 0] > 0,
        "count": np.round(X[:, 1] * 3).astype(np.int16),
        "small": X[:, 2].astype(np.float32),
        "price": [Decimal(f"{value:.2f}") for value in X[:, 3]],
    }
    table = pa.table(columns)
    rows = np.column_stack([np.asarray(column, dtype=np.float64) for column in columns.values()])
    expected = LogisticRegression().fit(rows, Y)
    for frame in (table, table.combine_chunks().to_batches()[0], pl.from_arrow(table), table.to_pandas()):
        found = LogisticRegression().fit(frame, Y)
        np.testing.assert_allclose(found.coef_, expected.coef_, rtol=1e-10)
        np.testing.assert_allclose(found.decision_function(frame), expected.decision_function(rows), rtol=1e-9)
    missing = table.set_column(0, "flag", pa.array([None, *columns["flag"][1:].tolist()]))
    for frame in (missing, pl.from_arrow(missing)):
        with pytest.raises(ValueError, match="contains NaN"):
            LogisticRegression().fit(frame, Y)


@pytest.mark.filterwarnings("ignore:X has feature names")
@pytest.mark.parametrize(("cell", "problem"), [(math.nan, "NaN"), (math.inf, "infinity"), (-math.inf, "infinity")])
def test_rows_of_every_kind_are_refused_where_a_number_is_not_finite(cell: float, problem: str) -> None:
    found = LogisticRegression().fit(X, Y)
    rows = X.copy()
    rows[7, 2] = cell
    frame = pd.DataFrame(rows)
    streamed = (frame, pl.from_pandas(frame), pa.Table.from_pandas(frame), da.from_array(rows, chunks=(100, -1)))
    for kind in (rows, *streamed):
        with pytest.raises(ValueError, match=f"Input X contains {problem}"):
            np.asarray(found.predict(kind))


@pytest.mark.parametrize("container", [sparse.csr_matrix, sparse.csr_array, sparse.csc_array, sparse.coo_array])
def test_sparse_rows_give_what_dense_ones_give(container: Any) -> None:
    rows = np.where(np.abs(X) < 1.2, 0, X)
    ours = LogisticRegression().fit(container(rows), Y)
    assert_same(ours, theirs().fit(rows, Y))
    np.testing.assert_allclose(ours.predict_proba(container(rows)), ours.predict_proba(rows), rtol=1e-13)


@pytest.mark.parametrize("share", [0.02, 0.2])
@pytest.mark.parametrize("penalty", [{"C": 0.5}, {"C": math.inf}, {"C": 0.5, "l1_ratio": 0.5}])
def test_rows_that_are_mostly_zeros_are_summed_as_they_are(share: float, penalty: dict[str, Any]) -> None:
    random = np.random.default_rng(8)
    rows = sparse.random_array((3_000, 20), density=share, rng=random, format="csr") + sparse.csr_array(
        sparse.eye_array(3_000, 20)
    )
    target = (rows.sum(axis=1) + random.normal(size=3_000) > 0.3).astype(int)
    found = LogisticRegression(**penalty).fit(rows, target, WEIGHTS[:3_000])
    dense = LogisticRegression(**penalty).fit(rows.toarray(), target, WEIGHTS[:3_000])
    assert found.certificate_.converged
    assert_same(found, dense, rtol=1e-8)
    lazy = da.from_array(rows.toarray(), chunks=(1_000, 20)).map_blocks(sparse.csr_array)
    assert_same(LogisticRegression(**penalty).fit(lazy, target, WEIGHTS[:3_000]), dense, rtol=1e-8)


@pytest.mark.parametrize("is_sparse", [True, False])
def test_more_columns_than_a_hessian_is_built_for(is_sparse: bool) -> None:
    random = np.random.default_rng(8)
    rows = sparse.random_array((300, 2_100), density=0.02, rng=random, format="csr")
    target = (rows @ random.normal(size=2_100) > 0).astype(int)
    found = LogisticRegression().fit(rows if is_sparse else rows.toarray(), target)
    assert found.certificate_.converged
    residual = 1 / (1 + np.exp(-(rows @ found.coef_[0] + found.intercept_[0]))) - target
    np.testing.assert_allclose(rows.T @ residual + found.coef_[0], 0, atol=1e-9)
    assert residual.sum() == pytest.approx(0, abs=1e-9)


def collections() -> dict[str, tuple[Any, Any, Any]]:
    """Return Dask rows, targets and weights, each cut otherwise where it may be."""
    frame = dd.from_pandas(FRAME.assign(y=Y, w=WEIGHTS), npartitions=5)
    array = da.from_array(X, chunks=(6_000, 3))
    return {
        "arrays": (array, da.from_array(Y, chunks=5_000), da.from_array(WEIGHTS, chunks=17_000)),
        "an array, and targets in memory": (array, Y, WEIGHTS),
        "a dataframe": (frame[NAMES], frame["y"], frame["w"]),
        "a dataframe, and targets in memory": (frame[NAMES], pd.Series(Y), WEIGHTS),
        "arrays of unknown lengths": (frame[NAMES].values, frame["y"].values, frame["w"].values),
        "an array of unknown length, and targets in memory": (frame[NAMES].values, Y, WEIGHTS),
    }


@pytest.mark.parametrize("kind", collections())
def test_dask_is_fitted_block_by_block_and_scored_lazily(kind: str) -> None:
    rows, target, weights = collections()[kind]
    expected = LogisticRegression(C=math.inf).fit(X, Y, WEIGHTS)
    fits = []
    for scheduler in ("sync", "threads"):
        with ThreadPoolExecutor(2) as pool, dask.config.set(scheduler=scheduler, pool=pool):
            fits.append(LogisticRegression(C=math.inf).fit(rows, target, weights))
    found = fits[0]
    assert_same(found, expected, rtol=1e-12)
    assert fits[1].coef_.tobytes() == found.coef_.tobytes()
    for method in ("predict_proba", "predict_log_proba", "decision_function", "predict"):
        lazy, whole = getattr(found, method)(rows), getattr(found, method)(FRAME if "frame" in kind else X)
        assert isinstance(lazy, da.Array)
        assert lazy.ndim == whole.ndim
        np.testing.assert_array_equal(lazy.compute(), whole)
    assert found.score(rows, target) == expected.score(X, Y)
    assert found.score(rows, target, weights) == pytest.approx(expected.score(X, Y, WEIGHTS))


def test_partitions_without_rows_add_nothing() -> None:
    frame = FRAME.assign(y=np.where(Y == 1, "late", "on time"))
    whole = dd.from_pandas(frame, npartitions=4)
    # All rows of the second partition go.
    some = whole.map_partitions(lambda part: part[(part.index < 4_250) | (part.index >= 8_500)])
    found = LogisticRegression().fit(some[NAMES], some["y"])
    kept = np.r_[0:4_250, 8_500:17_000]
    assert_same(found, LogisticRegression().fit(X[kept], frame["y"][kept].to_numpy()), rtol=1e-12)
    assert found.predict(some[NAMES]).compute().shape == (12_750,)


def test_dask_rows_of_several_classes_are_scored_lazily() -> None:
    features, target = load_wine(return_X_y=True)
    names = load_wine().target_names[target].astype(object)
    rows, classes = da.from_array(features, chunks=(50, 13)), da.from_array(names, chunks=50)
    found = LogisticRegression().fit(rows, classes)
    expected = LogisticRegression().fit(features, names)
    assert_same(found, expected)
    assert found.predict_proba(rows).shape == (178, 3)
    np.testing.assert_array_equal(found.predict(rows).compute(), expected.predict(features))


def test_no_task_of_dask_gets_more_than_one_block() -> None:
    largest: list[int] = []

    def noted(block: Any) -> Any:
        largest.append(len(block))
        return block

    rows = da.from_array(X, chunks=(1_000, 4)).map_blocks(noted, dtype=float)
    found = LogisticRegression().fit(rows, da.from_array(Y, chunks=1_000))
    assert max(largest) == 1_000
    # Each pass reads each block once; a look at the types may come on top.
    assert sum(each == 1_000 for each in largest) <= 17 * (found.certificate_.passes + 1) + 1


@pytest.mark.parametrize("has_intercept", [True, False])
@pytest.mark.parametrize("strength", [math.inf, 1.0])
def test_on_dask_coefficients_are_those_of_scikit_learn(has_intercept: bool, strength: float) -> None:
    # What dask-ml's own test asks for, and skips, since its solvers end too far from the optimum.
    features, target = make_classification(20_000, 10, n_informative=6, n_redundant=0, flip_y=0.2, random_state=11)
    rows, classes = da.from_array(features, chunks=(3_000, 10)), da.from_array(target, chunks=3_000)
    found = LogisticRegression(fit_intercept=has_intercept, C=strength).fit(rows, classes)
    assert_same(found, theirs(fit_intercept=has_intercept, C=strength).fit(features, target))


def test_columns_of_any_scale_need_not_be_scaled_beforehand() -> None:
    scales = np.array([1e-8, 1.0, 1e4, 1e8])
    plain = LogisticRegression(C=math.inf).fit(X, Y)
    found = LogisticRegression(C=math.inf).fit(X * scales + 5 * scales, Y)
    assert found.certificate_.converged
    np.testing.assert_allclose(found.coef_ * scales, plain.coef_, rtol=1e-8)


@pytest.mark.parametrize("size", [1e-120, 1e120])
def test_very_small_and_very_large_values_are_fitted(size: float) -> None:
    plain = LogisticRegression(C=math.inf).fit(X, Y)
    for rows in (X * [size, 1, 1, 1], sparse.csr_array(X * [size, 1, 1, 1])):
        found = LogisticRegression(C=math.inf).fit(rows, Y)
        assert found.certificate_.converged
        np.testing.assert_allclose(found.coef_ * [size, 1, 1, 1], plain.coef_, rtol=1e-7)


def test_the_covariance_is_the_inverse_of_the_hessian() -> None:
    found = LogisticRegression(C=math.inf).fit(X, Y, WEIGHTS)
    probability = found.predict_proba(X)[:, 1]
    design = np.column_stack([np.ones(len(X)), X])
    hessian = design.T @ (design * (WEIGHTS * probability * (1 - probability))[:, None])
    np.testing.assert_allclose(found.covariance_, np.linalg.inv(hessian), rtol=1e-9, atol=1e-18)
    assert LogisticRegression().fit(X, Y).covariance_ is None
    # Weights of classes are no frequencies: errors would be those of rows that nobody counted.
    assert LogisticRegression(C=math.inf, class_weight="balanced").fit(X, Y).covariance_ is None


def test_the_model_has_the_raw_predictions_of_the_estimator() -> None:
    found = LogisticRegression().fit(FRAME, np.where(Y == 1, "late", "on time"))
    model = found.to_model(target="arrival", threshold=0.5)
    np.testing.assert_array_equal(model.raw_prediction(FRAME), found.decision_function(FRAME))
    np.testing.assert_array_equal(model.probability(FRAME), found.predict_proba(FRAME)[:, 1])
    assert (model.target.negative, model.target.positive) == ("late", "on time")
    again = pipeline.from_sklearn(make_pipeline(StandardScaler(), LogisticRegression()).fit(FRAME, Y))
    assert again.columns == tuple(NAMES)
    wine = LogisticRegression().fit(*load_wine(return_X_y=True))
    with pytest.raises(ModelError, match="columns"):
        wine.to_model()
    several = wine.to_model(columns=[f"x{place}" for place in range(13)])
    np.testing.assert_array_equal(several.predict_proba(load_wine().data), wine.predict_proba(load_wine().data))


def test_probabilities_in_the_tails_keep_their_digits() -> None:
    found = LogisticRegression().fit(X, Y)
    found.coef_[:], found.intercept_[:] = [[100.0, 0, 0, 0]], 0.0
    row = np.array([[-5.0, 0, 0, 0]])
    assert found.predict_proba(row)[0, 1] == pytest.approx(math.exp(-500), rel=1e-14)
    assert found.predict_log_proba(row * 4)[0].tolist() == [0.0, -2000.0]


def test_warm_start_goes_on_where_the_last_fit_ended() -> None:
    for features, target in ((X, Y), load_wine(return_X_y=True)):
        warm = LogisticRegression(warm_start=True).fit(features, target)
        steps, before = warm.n_iter_[0], warm.coef_
        warm.fit(features, target)
        assert warm.n_iter_[0] < steps
        assert warm.n_iter_[0] <= 1
        np.testing.assert_allclose(warm.coef_, before, rtol=1e-7, atol=1e-9)


def test_liblinear_penalises_the_intercept_as_it_does_there() -> None:
    ours = LogisticRegression(solver="liblinear", intercept_scaling=2.0, C=0.01).fit(X, Y)
    other = Theirs(solver="liblinear", intercept_scaling=2.0, C=0.01, tol=1e-12, max_iter=10_000).fit(X, Y)
    np.testing.assert_allclose(ours.coef_, other.coef_, rtol=1e-6)
    np.testing.assert_allclose(ours.intercept_, other.intercept_, rtol=1e-6)


def test_rows_that_a_line_separates_are_named() -> None:
    features = np.linspace(-1, 1, 200).reshape(-1, 1)
    with pytest.warns(ConvergenceWarning, match=r"complete separation.* Use a penalty .* apart: x0$"):
        found = LogisticRegression(C=math.inf).fit(features, features[:, 0] > 0)
    frame = pd.DataFrame({"noise": np.random.default_rng(1).normal(size=200), "age": features[:, 0]})
    with pytest.warns(ConvergenceWarning, match="apart: age"):
        LogisticRegression(C=math.inf).fit(frame, np.digitize(features[:, 0], [-0.5, 0.5]))
    assert found.certificate_.separation == "complete"
    assert found.covariance_ is None
    assert LogisticRegression().fit(features, features[:, 0] > 0).certificate_.converged


def test_duplicate_and_constant_columns_have_a_coefficient_once() -> None:
    rows = np.column_stack([X, X[:, 0], np.ones(len(X))])
    found = LogisticRegression(C=math.inf).fit(rows, Y)
    plain = LogisticRegression(C=math.inf).fit(X, Y)
    assert found.certificate_.converged
    assert found.left_out_ == (4, 5)
    np.testing.assert_allclose(found.predict_proba(rows), plain.predict_proba(X), rtol=1e-9)
    assert np.isfinite(found.covariance_).all()
    assert np.count_nonzero(np.diag(found.covariance_)) == 5


def test_too_few_iterations_are_a_warning() -> None:
    with pytest.warns(ConvergenceWarning, match=r"after 2 iterations: .*max_iter"):
        found = LogisticRegression(max_iter=2).fit(X, Y)
    assert found.n_iter_.tolist() == [2]
    assert not found.certificate_.converged
    with pytest.warns(ConvergenceWarning, match="above tol=0"):
        LogisticRegression(tol=0).fit(X, Y)


def test_verbose_prints_a_line_for_each_pass(capsys: pytest.CaptureFixture[str]) -> None:
    found = LogisticRegression(verbose=1).fit(X, Y)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == found.certificate_.passes
    assert lines[0].startswith("pass 1: objective 0.693147")


def test_sparsify_and_back() -> None:
    found = LogisticRegression(l1_ratio=1, C=0.001).fit(X, Y)
    before = found.coef_
    assert sparse.issparse(found.sparsify().coef_)
    expected = found.decision_function(X)
    np.testing.assert_array_equal(found.densify().coef_, before)
    np.testing.assert_array_equal(found.decision_function(X), expected)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"penalty": "l3"}, "penalty must be"),
        ({"solver": "adam"}, "solver must be one of auto"),
        ({"solver": ["auto"]}, "solver must be one of auto"),
        ({"C": 0}, "C must be a number above 0, got 0"),
        ({"C": math.nan}, "C must be"),
        ({"C": "1"}, "C must be"),
        ({"tol": -1}, "tol must be"),
        ({"tol": math.inf}, "tol must be"),
        ({"max_iter": 1.5}, "max_iter must be a whole number"),
        ({"l1_ratio": 2}, "l1_ratio must be"),
        ({"intercept_scaling": 0}, "intercept_scaling must be"),
        ({"intercept_scaling": math.inf, "solver": "liblinear"}, "intercept_scaling must be a number above 0"),
        ({"fit_intercept": "no"}, "fit_intercept must be True or False, got 'no'"),
        ({"warm_start": 1}, "warm_start must be True or False, got 1"),
        ({"n_jobs": 0}, "n_jobs must be"),
        ({"verbose": "yes"}, "verbose must be"),
        ({"class_weight": "even"}, "class_weight must be"),
        ({"class_weight": {0: 1, 7: 2}}, "class_weight"),
        ({"dual": True}, "supports only dual=False"),
        ({"dual": "no"}, "dual must be True or False"),
        ({"penalty": "elasticnet", "l1_ratio": None}, "l1_ratio must be a number"),
        ({"solver": "lbfgs", "l1_ratio": 1}, "use solver='saga' or 'auto'"),
        ({"solver": "newton-cg", "penalty": "l1"}, "use solver='saga' or 'auto'"),
        ({"solver": "liblinear", "l1_ratio": 0.5}, "use solver='saga' or 'auto'"),
        ({"solver": "lbfgs", "penalty": "elasticnet"}, "does not take an elastic net"),
        ({"solver": "liblinear", "penalty": "elasticnet", "l1_ratio": 1}, "does not take an elastic net"),
        ({"solver": "liblinear", "C": math.inf}, "use solver='auto'"),
    ],
    ids=str,
)
def test_wrong_parameters_are_a_value_error_at_fit(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LogisticRegression(**parameters).fit(X, Y)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"penalty": None, "C": 2.0}, "penalty=None leaves C and l1_ratio without effect"),
        ({"penalty": "l1", "l1_ratio": 0.5}, "penalty='l1' leaves l1_ratio=0.5 without effect"),
    ],
)
def test_parameters_without_effect_are_a_warning(parameters: dict[str, Any], message: str) -> None:
    with pytest.warns(UserWarning, match=message):
        LogisticRegression(**parameters).fit(X, Y)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"penalty": None}, {"C": math.inf}),
        ({"penalty": "l2"}, {}),
        ({"penalty": "l1", "C": 0.01, "solver": "saga"}, {"l1_ratio": 1, "C": 0.01}),
        ({"penalty": "elasticnet", "l1_ratio": 0.5, "C": 0.01}, {"l1_ratio": 0.5, "C": 0.01}),
        ({"penalty": "deprecated", "l1_ratio": None}, {}),
    ],
    ids=str,
)
def test_penalties_as_in_older_versions_mean_the_same(old: dict[str, Any], new: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found, expected = LogisticRegression(**old).fit(X, Y), LogisticRegression(**new).fit(X, Y)
    np.testing.assert_array_equal(found.coef_, expected.coef_)


def test_every_parameter_of_the_installed_scikit_learn_is_there() -> None:
    parameters = Theirs().get_params()
    parameters.pop("multi_class", None)
    assert LogisticRegression().get_params().keys() == parameters.keys()
    ours = LogisticRegression(**parameters)
    assert clone(ours).get_params() == parameters
    assert_same(ours.fit(X, Y), theirs().fit(X, Y))


ROWS = [[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]]


@pytest.mark.parametrize(
    ("rows", "target", "weights", "message"),
    [
        (ROWS, [0, 0, 0], None, "two classes or more"),
        (ROWS, [0, 1, 1], [1, 0, 0], "only rows of the class .*0.* have a weight"),
        (ROWS, [0, 1, 1], [0, 0, 0], "zero in every row"),
        (ROWS, [0, 1, 1], [1, -1, 1], "Negative values in sample_weight"),
        (ROWS, [0, 1, 1], [1, math.nan, 1], "sample_weight contains NaN"),
        (ROWS, [0, 1, 1], [1, 1], "2 weights for 3 rows"),
        (ROWS, [0, 1, 1], [[1, 1, 1]], "one dimension"),
        (ROWS, [0.5, 0.1, 0.7], None, "continuous"),
        (ROWS, None, None, "requires y"),
        ([[0.0, math.nan]] * 3, [0, 1, 1], None, "contains NaN"),
        (pd.DataFrame({"a": [1.0, math.nan, 2.0]}), [0, 1, 1], None, "contains NaN"),
        (pl.DataFrame({"a": [1.0, None, 2.0]}), [0, 1, 1], None, "contains NaN"),
        (pa.table({"a": [1.0, math.inf, 2.0]}), [0, 1, 1], None, "contains infinity"),
        (pa.table({"a": ["x", "y", "z"]}), [0, 1, 1], None, "could not convert string"),
        (pd.DataFrame({"a": ["x", "y", "z"]}), [0, 1, 1], None, "could not convert string"),
        (da.from_array(np.array(ROWS)), da.from_array(np.array([0, 0, 0])), None, "two classes or more"),
        (da.from_array(np.array([[0.0, math.nan]] * 3)), np.array([0, 1, 1]), None, "contains NaN"),
        (da.from_array(np.array(ROWS)), da.from_array(np.array([0, 1])), None, "X has 3 rows, but y has 2"),
        (da.from_array(np.array(ROWS)), np.array([0, 1]), None, "X has 3 rows"),
        (da.from_array(np.array(ROWS)), np.array([0.1, 0.2, 0.7]), None, "continuous"),
        (da.from_array(np.array([["a"]])), np.array([0]), None, "expected numbers or booleans"),
        (da.from_array(np.array(ROWS)), None, None, "requires y"),
        (da.from_array(np.array(ROWS)), da.from_array(np.array([0, 1, 1])), np.array([1, -1, 1]), "Negative"),
    ],
)
def test_rows_that_cannot_be_fitted_are_a_value_error(rows: Any, target: Any, weights: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LogisticRegression().fit(rows, target, weights)


def test_rows_to_score_must_have_the_columns_of_the_fit() -> None:
    found = LogisticRegression().fit(FRAME, Y)
    with pytest.raises(ValueError, match="feature names"):
        found.predict(FRAME[["b", "a", "c", "d"]])
    with pytest.raises(ValueError, match="columns of X"):
        found.predict(dd.from_pandas(FRAME[["b", "a", "c", "d"]], npartitions=2))
    with pytest.raises(ValueError, match="contains NaN"):
        found.predict_proba(FRAME.where(FRAME > 0))
    lazy = found.predict(da.from_array(np.full((3, 4), np.nan)))
    with pytest.raises(ValueError, match="contains NaN"):
        lazy.compute()


def test_it_is_an_estimator_like_any_other() -> None:
    search = GridSearchCV(make_pipeline(StandardScaler(), LogisticRegression()), {"logisticregression__C": [0.1, 1]})
    search.fit(X[:500], Y[:500])
    model = pipeline.from_sklearn(search, columns=NAMES)
    np.testing.assert_allclose(model.probability(X[:20]), search.predict_proba(X[:20])[:, 1], rtol=1e-12)
    again = pickle.loads(pickle.dumps(search.best_estimator_))
    np.testing.assert_array_equal(again.predict(X), search.predict(X))


@settings(max_examples=10)
@given(st.data())
def test_the_order_of_columns_and_the_names_of_classes_change_nothing_else(data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(4)))
    names = data.draw(st.lists(st.text(min_size=1, max_size=4), min_size=2, max_size=2, unique=True).map(sorted))
    rows, target = X[:300], Y[:300]
    expected = LogisticRegression(C=0.3).fit(rows, target)
    found = LogisticRegression(C=0.3).fit(rows[:, order], np.array(names, dtype=object)[target])
    assert found.classes_.tolist() == names
    np.testing.assert_allclose(found.coef_, expected.coef_[:, order], rtol=1e-9)


@pytest.mark.parametrize("scale_", [1e-300, 1e-200, 1e-120])
def test_a_penalty_leaves_nothing_of_a_column_of_tiny_values(scale_: float) -> None:
    draw = np.random.default_rng(0)
    features = draw.normal(size=(500, 1))
    target = (draw.random(500) < 1 / (1 + np.exp(-features[:, 0]))).astype(int)
    found = LogisticRegression().fit(features * scale_, target)
    share = target.mean()
    assert found.coef_ == 0
    assert found.predict_proba(features * scale_)[:, 1] == pytest.approx(share, rel=1e-9)


def test_what_is_learnt_of_sparse_columns_is_what_is_learnt_of_dense_ones() -> None:
    draw = np.random.default_rng(0)
    features = np.where(draw.random((400, 3)) < [0.1, 0.5, 1.0], draw.normal(2, 3, (400, 3)), 0.0)
    dense, thin = (block_facts(RowBlock(each, Y[:400])).columns for each in (features, sparse.csr_matrix(features)))
    for name in ("values", "missing", "mean", "squares", "smallest", "largest"):
        np.testing.assert_allclose(getattr(thin, name), getattr(dense, name), rtol=1e-12, err_msg=name)
