"""Rows scored by a scikit-learn estimator and by its model, with the bound that the differences must keep."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.conversion.folding import document
from pipeline.conversion.sklearn.classifiers import Linear
from pipeline.conversion.sklearn.reading import linear_of
from pipeline.models import LogisticModel, ScoreBlock
from pipeline.models.logistic.file import ModelFile
from pipeline.models.logistic.parsing import from_mapping
from pipeline.models.network.model import NetworkModel
from pipeline.models.rows import batches
from pipeline.models.tally import RowTally

Floats = npt.NDArray[np.float64]
EPS = 2.0**-53
NETWORK_LIMIT = 1e-12


@dataclass(frozen=True)
class Difference:
    """The largest differences, and how they compare with what is allowed (1 is the limit).

    ``raw`` is NaN where scikit-learn gives no raw prediction, ``probability`` where it gives none.
    """

    raw: float
    probability: float
    share: float
    scored: int
    refused: int
    zeros: int


def by_scikit_learn(function: Callable[[Any], Any], rows: pd.DataFrame) -> Floats:
    """Return what scikit-learn gives for each row, NaN in rows that it refuses."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = np.asarray(function(rows), dtype=np.float64)
        return found if found.ndim == 2 else found.reshape(-1, 1)
    except ValueError:
        if len(rows) == 1:
            return np.full((1, 1), np.nan)
    half = len(rows) // 2
    parts = [by_scikit_learn(function, rows.iloc[:half]), by_scikit_learn(function, rows.iloc[half:])]
    width = max(part.shape[1] for part in parts)
    return np.vstack([part if part.shape[1] == width else np.full((len(part), width), np.nan) for part in parts])


def by_model(file: ModelFile, column: Any, rows: pd.DataFrame) -> Floats:
    """Return the scores of a model, NaN in rows that it refuses or gives none."""
    return by_block(ScoreBlock(file, (column,), 0.5), rows)


def by_block(block: Any, rows: pd.DataFrame) -> Floats:
    parts = []
    for arrays in batches(rows, block.columns()):
        tally = RowTally(len(arrays[0]))
        scores, _ = block.scores(arrays, tally)
        values = np.column_stack([array.to_numpy(zero_copy_only=False) for array in scores]).astype(np.float64)
        values[tally.rejected] = np.nan
        parts.append(values)
    return np.vstack(parts)


def allowed(linear: Linear, rows: pd.DataFrame) -> Floats:
    """Return 16 eps (|intercept| + sum of |w x| + sum of |w center|) for each row and class.

    The sums are those of the estimator's own columns: what cancels where columns are folded is counted before. Sums
    over the folded features alone are too small where PCA follows scaled levels, by a factor of 2.4.
    """
    signals = [
        replace(
            signal,
            constant=abs(signal.constant),
            terms={atom: abs(by) for atom, by in signal.terms.items()},
            scaled=None,
        )
        for signal in linear.signals
    ]
    bounds = []
    for weights, intercept in zip(linear.weights, linear.intercepts, strict=True):
        made = from_mapping(document(signals, [list(map(abs, weights))], [abs(intercept)]), "a class")
        bounds.append(made.base + np.abs(by_model(made, "contributions", rows)).sum(axis=1))
    return 16 * EPS * np.column_stack(bounds)


def difference(
    model: LogisticModel | NetworkModel, estimator: Any, rows: pd.DataFrame, *, is_float32: bool = False
) -> Difference:
    """Return the differences; raises where a row is scored by one alone, or a decision differs for no reason."""
    if isinstance(model, NetworkModel):
        return _of_network(model, estimator, rows)
    linear = linear_of(estimator, [str(name) for name in rows.columns])
    bound = np.full((len(rows), 1), 1e-6) if is_float32 else allowed(linear, rows)
    ours = by_model(model.file, "raw_prediction", rows)
    raw, share = np.nan, [0.0]
    refused = np.isnan(ours).any(axis=1)
    if hasattr(estimator, "decision_function"):
        theirs = by_scikit_learn(estimator.decision_function, rows)
        last = estimator[-1] if hasattr(estimator, "steps") else estimator
        if getattr(last, "multi_class", None) == "multinomial" and theirs.shape[1] == 1:
            # A softmax of -z and z.
            theirs *= 2
        _same_rows(refused, np.isnan(theirs).any(axis=1))
        found = np.abs(ours - theirs)[~refused]
        raw = float(found.max(initial=0.0))
        share.append(float((found / bound[~refused]).max(initial=0.0)))
    probability = np.nan
    if linear.has_probabilities:
        theirs = by_scikit_learn(estimator.predict_proba, rows)
        theirs = theirs[:, 1:] if theirs.shape[1] == 2 else theirs
        mine = by_model(model.file, "probability", rows)
        _same_rows(refused, np.isnan(theirs).any(axis=1))
        scale = max(1.0, abs(float(linear.output.get("alpha", 1.0))))
        # Of several classes, a share also has the errors of the sum that it is a share of.
        shared = (theirs * bound).sum(axis=1, keepdims=True) if theirs.shape[1] > 1 else 0.0
        limit = theirs * (scale * (bound + shared) + 4 * EPS * len(bound[0])) + np.finfo(float).tiny
        found = np.abs(mine - theirs)[~refused]
        probability = float(found.max(initial=0.0))
        share.append(float((found / (1e-6 if is_float32 else limit[~refused])).max(initial=0.0)))
    zeros = _check_decisions(model, estimator, rows.iloc[np.flatnonzero(~refused)], ours[~refused], bound[~refused])
    return Difference(raw, probability, max(share), int((~refused).sum()), int(refused.sum()), zeros)


def _of_network(model: NetworkModel, estimator: Any, rows: pd.DataFrame) -> Difference:
    """Return the differences of a network, whose probabilities may differ by 1e-12."""
    theirs = by_scikit_learn(estimator.predict_proba, rows)
    theirs = theirs[:, 1:] if theirs.shape[1] == 2 else theirs
    ours, raw = (by_block(model.block(column), rows) for column in ("probability", "raw_prediction"))
    refused = np.isnan(ours).any(axis=1)
    _same_rows(refused, np.isnan(theirs).any(axis=1))
    probability = float(np.abs(ours - theirs)[~refused].max(initial=0.0))
    bound = np.full((int((~refused).sum()), 1), NETWORK_LIMIT)
    zeros = _check_decisions(model, estimator, rows.iloc[np.flatnonzero(~refused)], raw[~refused], bound)
    return Difference(
        np.nan, probability, probability / NETWORK_LIMIT, int((~refused).sum()), int(refused.sum()), zeros
    )


def _same_rows(ours: npt.NDArray[np.bool_], theirs: npt.NDArray[np.bool_]) -> None:
    wrong = np.flatnonzero(ours != theirs)
    if wrong.size:
        who = "the model" if ours[wrong[0]] else "scikit-learn"
        raise AssertionError(f"{wrong.size} rows are refused by {who} alone, the first of them row {wrong[0]}")


def _check_decisions(
    model: LogisticModel | NetworkModel, estimator: Any, rows: pd.DataFrame, raw: Floats, bound: Floats
) -> int:
    """Compare decisions; return the rows whose raw prediction is exactly 0, which are counted apart."""
    if not len(rows):
        return 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = estimator.predict(rows)
    ours = model.predict(rows)
    apart = (raw == 0).any(axis=1)
    ordered = np.sort(raw, axis=1)
    gap = ordered[:, -1] - ordered[:, -2] if raw.shape[1] > 1 else np.abs(raw[:, 0] - _edge(model))
    close = gap <= 2 * bound.max(axis=1) + 16 * EPS
    wrong = (ours != theirs) & ~apart & ~close
    if wrong.any():
        raise AssertionError(f"{int(wrong.sum())} decisions differ, the first in row {int(np.argmax(wrong))}")
    return int(apart.sum())


def _edge(model: LogisticModel | NetworkModel) -> float:
    """Return the raw prediction at the threshold."""
    threshold = 0.5 if model.output.threshold is None else model.output.threshold
    parameters = model.output.parameters
    logit = float(np.log(threshold / (1 - threshold))) if 0 < threshold < 1 else np.inf * (1 if threshold else -1)
    return float((logit * parameters["temperature"] - parameters["beta"]) / parameters["alpha"])
