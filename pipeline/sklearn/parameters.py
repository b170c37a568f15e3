"""The parameters of the logistic regression, checked as scikit-learn's are, and what they mean here."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np

from pipeline.dataclass import dataclass

_PENALTIES = {"l1": 1.0, "l2": 0.0}


@dataclass(frozen=True, slots=True)
class SolverMeaning:
    """What a name of a solver means.

    ``is_exact`` says whether it builds the Hessian for any number of coefficients; ``is_l1``, ``is_mixed`` and
    ``is_free`` whether it takes an L1 penalty, L1 with L2, and no penalty.
    """

    is_exact: bool = False
    is_l1: bool = False
    is_mixed: bool = False
    is_free: bool = True


_SOLVERS = {
    "auto": SolverMeaning(is_l1=True, is_mixed=True),
    "lbfgs": SolverMeaning(),
    "liblinear": SolverMeaning(is_l1=True, is_free=False),
    "newton-cg": SolverMeaning(),
    "newton-cholesky": SolverMeaning(is_exact=True),
    "sag": SolverMeaning(),
    "saga": SolverMeaning(is_l1=True, is_mixed=True),
}


def check_parameters(estimator: Any) -> None:
    """Raise ValueError where a parameter is not allowed, alone or with the others."""
    _check_words(estimator)
    _check_switches(estimator)
    _check_numbers(estimator)
    _check_penalty(estimator)


def l1_share_of(estimator: Any) -> float | None:
    """Return the share of the L1 penalty, ``None`` for no penalty."""
    if estimator.penalty is None or math.isinf(estimator.C):
        return None
    share = 0.0 if estimator.l1_ratio is None else float(estimator.l1_ratio)
    return _PENALTIES.get(estimator.penalty, share)


def is_exact(estimator: Any) -> bool:
    """Tell whether a solver builds the Hessian for any number of coefficients."""
    return _SOLVERS[estimator.solver].is_exact


def _check_words(estimator: Any) -> None:
    # scikit-learn's own default from 1.8 on.
    penalties = ("auto", "l1", "l2", "elasticnet", None, "deprecated")
    if estimator.penalty not in penalties:
        raise ValueError(f"penalty must be auto, l1, l2, elasticnet or None, got {estimator.penalty!r}")
    if not isinstance(estimator.solver, str) or estimator.solver not in _SOLVERS:
        raise ValueError(f"solver must be one of {', '.join(_SOLVERS)}, got {estimator.solver!r}")
    weights = estimator.class_weight
    if weights is not None and weights != "balanced" and not isinstance(weights, Mapping):
        raise ValueError(f"class_weight must be a dict, 'balanced' or None, got {weights!r}")


def _check_switches(estimator: Any) -> None:
    for name in ("dual", "fit_intercept", "warm_start"):
        value = getattr(estimator, name)
        if not isinstance(value, bool | np.bool_):
            raise ValueError(f"{name} must be True or False, got {value!r}")
    if estimator.dual:
        raise ValueError(f"Solver {estimator.solver} supports only dual=False, got dual=True: the optimum is the same")


def _check_numbers(estimator: Any) -> None:
    numbers: tuple[tuple[str, bool, str], ...] = (
        ("C", _is_real(estimator.C) and estimator.C > 0, "a number above 0"),
        ("tol", _is_real(estimator.tol) and 0 <= estimator.tol < math.inf, "0 or a number above it"),
        (
            "intercept_scaling",
            _is_real(estimator.intercept_scaling) and 0 < estimator.intercept_scaling < math.inf,
            "a number above 0",
        ),
        ("max_iter", _is_whole(estimator.max_iter) and estimator.max_iter >= 0, "a whole number of 0 or more"),
        ("verbose", _is_whole(estimator.verbose) and estimator.verbose >= 0, "a whole number of 0 or more"),
        (
            "n_jobs",
            estimator.n_jobs is None or (_is_whole(estimator.n_jobs) and estimator.n_jobs != 0),
            "None, -1 or a number of threads",
        ),
        (
            "l1_ratio",
            estimator.l1_ratio is None or (_is_real(estimator.l1_ratio) and 0 <= estimator.l1_ratio <= 1),
            "from 0 to 1",
        ),
    )
    for name, is_allowed, meaning in numbers:
        if not is_allowed:
            raise ValueError(f"{name} must be {meaning}, got {getattr(estimator, name)!r}")


def _is_real(value: Any) -> bool:
    return isinstance(value, Real) and not math.isnan(value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, Integral)


def _check_penalty(estimator: Any) -> None:
    penalty, ratio, solver = estimator.penalty, estimator.l1_ratio, estimator.solver
    if penalty == "elasticnet" and ratio is None:
        raise ValueError("l1_ratio must be a number from 0 to 1 where penalty='elasticnet'")
    if penalty is None and estimator.C != 1.0:
        warnings.warn("penalty=None leaves C and l1_ratio without effect", stacklevel=4)
    if penalty in _PENALTIES and ratio not in {None, 0.0, _PENALTIES[penalty]}:
        warnings.warn(f"penalty={penalty!r} leaves l1_ratio={ratio} without effect", stacklevel=4)
    share, meaning = l1_share_of(estimator), _SOLVERS[solver]
    if share is None:
        if not meaning.is_free:
            raise ValueError(f"penalty=None is not supported for the {solver} solver; use solver='auto'")
    elif share == 1 and not meaning.is_l1:
        raise ValueError(f"Solver {solver} supports only 'l2' or None penalties, got L1; use solver='saga' or 'auto'")
    elif (penalty == "elasticnet" or 0 < share < 1) and not meaning.is_mixed:
        raise ValueError(f"Solver {solver} does not take an elastic net; use solver='saga' or 'auto'")
