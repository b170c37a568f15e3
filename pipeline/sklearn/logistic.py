"""Logistic regression as an estimator of scikit-learn: the optimum, with a certificate, in a handful of passes."""

from __future__ import annotations

import math
import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self, cast

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score
from sklearn.utils import compute_class_weight
from sklearn.utils.validation import check_is_fitted

from pipeline.fitting.estimator.arrays import BlockFacts, learn
from pipeline.fitting.estimator.estimating import EstimatorProblem, estimate
from pipeline.fitting.passes.points import PassSums, Point
from pipeline.fitting.solving.objective import Certificate, PassRecord
from pipeline.fitting.tiles.layout import Floats
from pipeline.modelling import from_sklearn
from pipeline.models import LogisticModel
from pipeline.sklearn.lazy import values_of
from pipeline.sklearn.parameters import check_parameters, is_exact, l1_share_of
from pipeline.sklearn.rows import blocks_of, check_facts, rows_to_score
from pipeline.sklearn.scoring import LinearScores
from pipeline.types.lazy import is_dask


class LogisticRegression(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Logistic regression, fitted to the optimum.

    It minimises what scikit-learn's minimises: ``C`` times the weighted sum of the losses, plus the penalty of the
    coefficients; the intercept is free. It differs in this: it always goes on to the optimum and says how that is known
    (``certificate_``), gives the covariance of the coefficients without a penalty, has the same bits for any number of
    threads and Dask's schedulers, and centers and scales columns inside, so that they need not be scaled beforehand.
    Everything is float64, whatever the rows are.

    Rows may be NumPy arrays, SciPy sparse matrices, dataframes (pandas, Polars), Arrow tables, or Dask arrays and
    dataframes. Those of Dask are summed block by block, pass after pass, and are never gathered: ``persist`` them first
    if they fit the memory. Of many rows, or blocks of Dask, a sixteenth is fitted first, which saves passes over all.
    Memory beyond the rows: for each thread 8,192 rows as float64, and the square of the number of coefficients.
    Sparse matrices with few values are summed as they are.

    Parameters
    ----------
    penalty : {"auto", "l1", "l2", "elasticnet", None}
        ``auto``: ``l1_ratio`` and ``C`` decide, as in scikit-learn from 1.8 on. The others mean what they mean there in
        older versions; ``None`` is no penalty.
    C : float, more than 0
        The inverse of the strength of the penalty; infinite for none.
    l1_ratio : float from 0 to 1, or None
        The share of the L1 penalty: 0 is L2 alone, 1 is L1 alone. ``None`` is 0.
    dual : bool
        Only ``False``: the optimum is the same.
    tol : float
        The fit goes on to the optimum in any case. There is a warning where the largest gradient for each unit of
        weight is still above ``tol``.
    fit_intercept : bool
    intercept_scaling : float
        Only for ``solver="liblinear"``, which penalises the intercept, divided by this number.
    class_weight : dict, "balanced" or None
        ``balanced`` gives each class the same weight in sum.
    random_state : object
        Has no effect: nothing is random.
    solver : {"auto", "newton-cholesky", "newton-cg", "lbfgs", "sag", "saga", "liblinear"}
        ``auto`` is Newton's method with the exact Hessian up to 2,000 coefficients, classes counted. Above, it never
        builds one. It takes every penalty. ``newton-cholesky`` builds the Hessian for any number. The others choose as
        ``auto`` does, and take the penalties that they take in scikit-learn.
    max_iter : int
        The most steps. Up to 2,000 coefficients a step is one pass over the rows. Above, there may be ten passes for
        each, with an L1 penalty thirty.
    verbose : int
        1 or more prints a line for each pass.
    warm_start : bool
        Start at the coefficients of the fit before.
    n_jobs : int or None
        Threads for rows in memory; ``None`` and -1 for one on each processor. Dask has workers of its own.

    Attributes
    ----------
    coef_ : ndarray of float64, shape (1, features) or (classes, features)
    intercept_ : ndarray of float64, shape (1,) or (classes,)
    classes_ : ndarray, shape (classes,)
    n_iter_ : ndarray of int32, shape (1,)
        How many passes the solver took after that at its start: with Newton's method the steps.
    left_out_ : tuple of int
        Without a penalty, columns with the coefficient 0 because they are constant, or combinations of others.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Of dataframes and Arrow tables.
    certificate_ : Certificate
        How it is known that this is the optimum: ``converged``, ``reason``, ``decrement``, ``gradient``, ``passes``
        and so on.
    covariance_ : ndarray of float64 or None
        The covariance of ``[intercept_, coef_]``, class after class, the intercept first where there is one. Square
        roots of its diagonal are standard errors; ``sample_weight`` counts rows. ``None`` with a penalty or
        ``class_weight``, where there is no optimum, and above 2,000 coefficients except with ``newton-cholesky``.
    """

    def __init__(
        self,
        penalty: str | None = "auto",
        *,
        C: float = 1.0,  # noqa: N803 - the name is scikit-learn's
        l1_ratio: float | None = 0.0,
        dual: bool = False,
        tol: float = 1e-4,
        fit_intercept: bool = True,
        intercept_scaling: float = 1.0,
        class_weight: Mapping[Any, float] | Literal["balanced"] | None = None,
        random_state: Any = None,
        solver: str = "auto",
        max_iter: int = 100,
        verbose: int = 0,
        warm_start: bool = False,
        n_jobs: int | None = None,
    ) -> None:
        self.penalty = penalty
        self.C = C
        self.l1_ratio = l1_ratio
        self.dual = dual
        self.tol = tol
        self.fit_intercept = fit_intercept
        self.intercept_scaling = intercept_scaling
        self.class_weight = class_weight
        self.random_state = random_state
        self.solver = solver
        self.max_iter = max_iter
        self.verbose = verbose
        self.warm_start = warm_start
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:  # noqa: N803 - the signature is scikit-learn's
        """Fit to the optimum.

        Parameters
        ----------
        X : rows of numbers, shape (rows, features)
        y : array of shape (rows,)
            Two classes or more. For Dask rows a Dask array or series with the same blocks, or an array in memory.
        sample_weight : array of shape (rows,), optional
            0 or more; 1 unless given.

        Raises
        ------
        ValueError
            A parameter, a value or a shape is not allowed; values must be finite.

        Warns
        -----
        ConvergenceWarning
            The optimum was not reached in ``max_iter`` steps, or there is none.
        """
        check_parameters(self)
        blocks = blocks_of(self, X, y, sample_weight, _threads(self.n_jobs))
        facts = check_facts(self, learn(blocks))
        self._check_classes(facts)
        found = estimate(blocks, facts, self._problem(facts), _print_pass if self.verbose else None)
        self.classes_ = facts.classes
        self.coef_, self.intercept_ = found.coefficients, found.intercepts
        self.covariance_ = found.covariance
        self.certificate_ = found.solution.certificate
        self.left_out_ = tuple(sorted(place - bool(self.fit_intercept) for place, _ in found.solution.dropped))
        self.n_iter_ = np.array([self.certificate_.passes - 1], dtype=np.int32)
        self._warn(self.certificate_)
        return self

    def decision_function(self, X: Any) -> Any:  # noqa: N803 - the signature is scikit-learn's
        """Return raw predictions, shape (rows,) for two classes, else (rows, classes); lazy for Dask."""
        return self._scored("decisions", X)

    def predict_proba(self, X: Any) -> Any:  # noqa: N803 - the signature is scikit-learn's
        """Return the probability of each class, shape (rows, classes); lazy for Dask."""
        return self._scored("probabilities", X)

    def predict_log_proba(self, X: Any) -> Any:  # noqa: N803 - the signature is scikit-learn's
        """Return the logarithms of the probabilities, accurate also where a probability is 0; lazy for Dask."""
        return self._scored("log_probabilities", X)

    def predict(self, X: Any) -> Any:  # noqa: N803 - the signature is scikit-learn's
        """Return the most probable class of each row; lazy for Dask."""
        return self._scored("predictions", X)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:  # noqa: N803 - as above
        """Return the share of the rows, or of their weight, whose class is predicted."""
        if not is_dask(X):
            return float(super().score(X, y, sample_weight))
        predicted = self.predict(X)
        if not (is_dask(y) and (sample_weight is None or is_dask(sample_weight))):
            known, weights = (each.compute() if is_dask(each) else each for each in (y, sample_weight))
            return float(accuracy_score(known, predicted.compute(), sample_weight=weights))
        is_right = predicted == values_of(y)
        if sample_weight is None:
            return float(is_right.mean().compute())
        weights = values_of(sample_weight)
        return float(((is_right * weights).sum() / weights.sum()).compute())

    def sparsify(self) -> Self:
        """Make ``coef_`` a sparse matrix, which saves memory where an L1 penalty left few coefficients."""
        from scipy.sparse import csr_matrix  # noqa: PLC0415 - scikit-learn loads it when it is used

        check_is_fitted(self)
        self.coef_ = csr_matrix(self.coef_)
        return self

    def densify(self) -> Self:
        """Make ``coef_`` an array again."""
        check_is_fitted(self)
        self.coef_ = self._coefficients()
        return self

    def to_model(
        self, *, columns: Sequence[str] | None = None, target: str | None = None, threshold: float | None = None
    ) -> LogisticModel:
        """Return the model with the same raw predictions, to save, score files with, and convert.

        Parameters
        ----------
        columns : sequence of str, optional
            The names of the columns; required where the fit had none.
        target : str, optional
            The name of the predicted column, recorded in the model.
        threshold : float, optional
            Adds a decision to the output.

        Raises
        ------
        ModelError
            Names are missing, or do not fit.
        """
        return cast("LogisticModel", from_sklearn(self, columns=columns, target=target, threshold=threshold))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.classifier_tags.multi_class = self.solver != "liblinear"
        return tags

    def _scored(self, method: str, rows: Any) -> Any:
        check_is_fitted(self)
        features = rows_to_score(self, rows)
        intercepts = np.ravel(np.asarray(self.intercept_, dtype=np.float64))
        scores = LinearScores(self._coefficients(), intercepts, self.classes_)
        return scores.of(getattr(scores, method), features)

    def _coefficients(self) -> Floats:
        dense = self.coef_.toarray() if hasattr(self.coef_, "toarray") else self.coef_
        return np.asarray(dense, dtype=np.float64)

    def _check_classes(self, facts: BlockFacts) -> None:
        if self.solver == "liblinear" and len(facts.classes) > 2:
            raise ValueError(
                f"Only binary classification is supported with solver='liblinear', and y has {len(facts.classes)} "
                "classes; use solver='auto'"
            )

    def _problem(self, facts: BlockFacts) -> EstimatorProblem:
        share = l1_share_of(self)
        is_free = self.solver != "liblinear"
        return EstimatorProblem(
            inverse=math.inf if share is None else float(self.C),
            l1_share=share or 0.0,
            intercept=bool(self.fit_intercept),
            intercept_penalty=0.0 if is_free else 1 / float(self.intercept_scaling),
            factors=self._factors(facts),
            is_exact=is_exact(self),
            iterations=int(self.max_iter),
            start=self._start(facts),
        )

    def _factors(self, facts: BlockFacts) -> Floats | None:
        if self.class_weight is None:
            return None
        if self.class_weight == "balanced":
            return np.asarray(facts.class_weights.sum() / (len(facts.classes) * facts.class_weights))
        found = compute_class_weight(self.class_weight, classes=facts.classes, y=facts.classes)
        return np.asarray(found, dtype=np.float64)

    def _start(self, facts: BlockFacts) -> Floats | None:
        if not (self.warm_start and hasattr(self, "coef_")):
            return None
        outputs = 1 if len(facts.classes) == 2 else len(facts.classes)
        coefficients = self._coefficients()
        if coefficients.shape != (outputs, facts.features):
            raise ValueError(
                f"warm_start: coef_ has the shape {coefficients.shape}, and the rows need "
                f"{(outputs, facts.features)}; set warm_start=False"
            )
        return np.column_stack([np.ravel(self.intercept_), coefficients])

    def _warn(self, certificate: Certificate) -> None:
        if not certificate.converged:
            warnings.warn(
                f"{self.solver} failed to converge after {int(self.n_iter_[0])} iterations: {certificate.reason}. "
                f"{self._remedy(certificate)}",
                ConvergenceWarning,
                stacklevel=3,
            )
        elif certificate.gradient > self.tol:
            warnings.warn(
                f"the largest gradient is {certificate.gradient:.1e} where numbers end, above tol={self.tol}",
                ConvergenceWarning,
                stacklevel=3,
            )

    def _remedy(self, certificate: Certificate) -> str:
        if certificate.separation is None:
            return "Increase the number of iterations (max_iter), or use a stronger penalty (a smaller C)"
        start = int(self.fit_intercept)
        width = start + self.n_features_in_
        places = dict.fromkeys(place % width - start for place in certificate.separating)
        names = getattr(self, "feature_names_in_", None)
        found = [f"x{place}" if names is None else str(names[place]) for place in places if place >= 0]
        return f"Use a penalty (a finite C), or leave out or merge what tells the classes apart: {', '.join(found)}"


def _threads(jobs: int | None) -> int:
    processors = len(os.sched_getaffinity(0))
    if jobs is None:
        return processors
    return jobs if jobs > 0 else max(1, processors + 1 + jobs)


def _print_pass(
    number: int, _points: Sequence[Point], _sums: Sequence[PassSums], records: Sequence[PassRecord | None]
) -> None:
    for record in records:
        if record is not None:
            decrement = "" if record.decrement is None else f", decrement {record.decrement:.2e}"
            text = f"pass {number}: objective {record.objective:.12g}, gradient {record.gradient:.2e}{decrement}"
            sys.stdout.write(text + "\n")
