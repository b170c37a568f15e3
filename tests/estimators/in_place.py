"""A plugin of pytest: scikit-learn's own tests of logistic regression, with our estimator in place of theirs.

In ``test_logistic.py`` the class itself is ours. In ``test_glm.py`` the regressor of a binomial share is one that fits
each row twice, as a positive of weight y and a negative of weight 1 - y.

``--record FILE`` writes a line of JSON for each test: its name, what became of it, and whether it came to our ``fit``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.linear_model
import sklearn.linear_model._glm
from sklearn.linear_model._glm import _GeneralizedLinearRegressor

from pipeline.sklearn import LogisticRegression

_reached = [False]
_lines: list[dict[str, Any]] = []
_fit = LogisticRegression.fit


def _recorded(self: Any, *arguments: Any, **named: Any) -> Any:
    _reached[0] = True
    return _fit(self, *arguments, **named)


class ShareRegressor(_GeneralizedLinearRegressor):  # type: ignore[misc]
    """The mean of a binomial share by our estimator, where a test takes no other loss."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:  # noqa: N803 - as theirs
        if type(self).__name__ != "BinomialRegressor":
            return super().fit(X, y, sample_weight)
        shares = np.asarray(y, dtype=np.float64)
        weights = np.ones(len(shares)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
        ours = LogisticRegression(
            C=1 / (self.alpha * weights.sum()) if self.alpha else np.inf,
            fit_intercept=self.fit_intercept,
            solver=self.solver,
            tol=self.tol,
            max_iter=self.max_iter,
        )
        classes = np.repeat([1, 0], len(shares))
        ours.fit(np.concatenate([X, X]), classes, np.concatenate([weights * shares, weights * (1 - shares)]))
        self.coef_, self.intercept_, self.n_iter_ = ours.coef_[0], ours.intercept_[0], int(ours.n_iter_[0])
        self._base_loss = self._get_loss()
        return self


def pytest_addoption(parser: Any) -> None:
    parser.addoption("--record", help="where to write a line for each test")


def pytest_configure(config: Any) -> None:
    LogisticRegression.fit = _recorded  # type: ignore[method-assign]
    sklearn.linear_model.LogisticRegression = LogisticRegression
    sklearn.linear_model._glm._GeneralizedLinearRegressor = ShareRegressor


def pytest_runtest_setup(item: Any) -> None:
    _reached[0] = False


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: Any, call: Any) -> Any:
    report = yield
    if report.when == "call" or (report.when == "setup" and not report.passed):
        why = "" if report.passed else str(report.longrepr)[-400:]
        line = {"id": item.nodeid.rpartition("/")[2], "outcome": report.outcome, "reached": _reached[0], "why": why}
        _lines.append(line)
    return report


def pytest_sessionfinish(session: Any) -> None:
    if path := session.config.getoption("--record"):
        Path(path).write_text("".join(json.dumps(line) + "\n" for line in _lines))
