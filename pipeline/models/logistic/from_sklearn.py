"""From a fitted scikit-learn estimator to a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from pipeline.errors import ConfigurationError, DataError, ModelError
from pipeline.models.logistic.estimators import Cell, Indicator, Scaled, Signal, class_name, require, run
from pipeline.models.logistic.model import LogisticModel
from pipeline.models.logistic.parsing import from_mapping
from pipeline.units import escape, format_count

_SUPPORTED = (
    "use a LogisticRegression with two classes, alone or as the last step of a Pipeline of StandardScaler, "
    "OneHotEncoder, SimpleImputer, 'passthrough', Pipelines of these, and a ColumnTransformer of them"
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """How much two ways of scoring the same rows differ.

    ``absolute`` and ``relative`` are the largest differences in the probability of the positive class; infinite if
    one way gives a number and the other does not.
    """

    rows: int
    absolute: float
    relative: float


def from_sklearn(
    estimator: Any,
    *,
    columns: Sequence[str] | None = None,
    target: str | None = None,
    threshold: float | None = None,
    check: Any = None,
) -> LogisticModel:
    """Return a model with the scores of a fitted scikit-learn estimator.

    Means, scales, imputed values, categories and coefficients are copied bit for bit. What the estimator refuses
    (missing values without an imputer, unseen levels unless ``handle_unknown`` ignores them) gets the policy ``error``.
    Features keep the order of the estimator's input columns. If the encoder knows a missing category, or ignores
    unknown ones, missing values become a level called ``(missing)``.

    Parameters
    ----------
    estimator : LogisticRegression, or Pipeline that ends in one
        The steps before it: StandardScaler, OneHotEncoder, SimpleImputer, ``passthrough``, Pipelines of these, or a
        ColumnTransformer of them.
    columns : sequence of str, optional
        Names of the input columns; required if the estimator was fitted without names.
    target : str, optional
        Name of the predicted column, recorded in the model.
    threshold : float, optional
        Adds a decision to the output.
    check : rows, optional
        Rows to compare on, in the form that the estimator takes. They are scored both ways, and the largest difference
        is printed.

    Raises
    ------
    ModelError
        The estimator is not fitted, has more than two classes, or has a step that is not supported; the message names
        the step.
    ConfigurationError
        scikit-learn is not installed.
    DataError
        scikit-learn refuses the rows to check.
    """
    if find_spec("sklearn") is None:
        raise ConfigurationError("scikit-learn is not installed", "pip install 'logitstream[sklearn]'")
    steps, regression = _split(estimator)
    names = _column_names(estimator, columns)
    signals: list[Signal] = [Cell(name, position) for position, name in enumerate(names)]
    for name, step in steps:
        signals = run(step, name, signals, _SUPPORTED)
    model = LogisticModel(from_mapping(_document(signals, regression, target, threshold), "the estimator"))
    if check is not None:
        found = compare(model, estimator, check, columns=names)
        # The caller asked for this one line with `check`.
        print(  # noqa: T201
            f"{format_count(found.rows)} rows scored both ways: largest difference {found.absolute:.2g} "
            f"(relative {found.relative:.2g})"
        )
    return model


def compare(model: LogisticModel, estimator: Any, rows: Any, *, columns: Sequence[str] | None = None) -> Comparison:
    """Return how much a model and an estimator differ on rows that both take.

    ``columns`` are the names of the columns of a NumPy array, in the order of the estimator's input. The model need not
    use them all.
    """
    try:
        theirs = np.asarray(estimator.predict_proba(rows), dtype=np.float64)[:, 1]
    except (ValueError, TypeError) as error:
        raise DataError(f"scikit-learn refuses the rows: {escape(str(error), 300)}") from error
    if isinstance(rows, np.ndarray) and columns is not None:
        rows = {name: rows[:, position] for position, name in enumerate(columns)}
    ours = model.probability(rows)
    with np.errstate(all="ignore"):
        absolute = np.where(np.isnan(ours) & np.isnan(theirs), 0.0, np.abs(ours - theirs))
        relative = np.where(absolute == 0, 0.0, absolute / np.abs(theirs))
    largest = [float(np.nan_to_num(values, nan=np.inf).max(initial=0.0)) for values in (absolute, relative)]
    return Comparison(len(ours), *largest)


def _split(estimator: Any) -> tuple[list[tuple[str, Any]], Any]:
    steps = list(estimator.steps) if class_name(estimator) == "Pipeline" else [("", estimator)]
    name, last = steps[-1]
    if class_name(last) not in {"LogisticRegression", "LogisticRegressionCV"}:
        where = f'step "{escape(name)}"' if name else "the estimator"
        raise ModelError(f"{where} is a {type(last).__name__}, not a LogisticRegression", _SUPPORTED)
    if len(classes := require(last, "classes_", name)) != 2:
        raise ModelError(f"the LogisticRegression has {len(classes)} classes, but a model has two", _SUPPORTED)
    if getattr(last, "multi_class", None) == "multinomial":
        raise ModelError("the LogisticRegression is multinomial", "fit it without multi_class")
    return steps[:-1], last


def _column_names(estimator: Any, columns: Sequence[str] | None) -> list[str]:
    count = int(require(estimator, "n_features_in_", ""))
    fitted: Any = getattr(estimator, "feature_names_in_", None)
    if columns is None and fitted is None:
        raise ModelError("the estimator was fitted without column names", f"give columns=[...], {count} names")
    if columns is not None and len(columns) != count:
        raise ModelError(f"columns has {len(columns)} names, but the estimator takes {count}")
    if columns is not None and fitted is not None and list(columns) != list(fitted):
        raise ModelError("columns differ from the names that the estimator was fitted with", "leave columns out")
    chosen: Sequence[Any] = fitted if columns is None else columns
    return [str(name) for name in chosen]


def _document(
    signals: Sequence[Signal], regression: Any, target: str | None, threshold: float | None
) -> dict[str, Any]:
    weights = np.asarray(regression.coef_)
    if weights.shape != (1, len(signals)):
        raise ModelError(f"the estimator has {weights.shape[-1]} coefficients for {len(signals)} columns", _SUPPORTED)
    document: dict[str, Any] = {
        "format": "logitstream-model",
        "version": 1,
        "kind": "logistic",
        "target": _target(regression.classes_, target),
        "intercept": float(np.ravel(regression.intercept_)[0]),
        "features": _features(signals, [float(weight) for weight in weights[0]]),
    }
    if threshold is not None:
        document["output"] = {"threshold": threshold}
    return document


def _target(classes: Any, column: str | None) -> dict[str, Any]:
    negative, positive = (value.item() if isinstance(value, np.generic) else value for value in classes)
    named = {} if column is None else {"column": column}
    return {**named, "negative": negative, "positive": positive}


def _features(signals: Sequence[Signal], weights: Sequence[float]) -> list[dict[str, Any]]:
    groups: dict[int, list[tuple[Signal, float]]] = {}
    for signal, weight in zip(signals, weights, strict=True):
        groups.setdefault(signal.cell.position, []).append((signal, weight))
    return [_feature(groups[position]) for position in sorted(groups)]


def _feature(group: Sequence[tuple[Signal, float]]) -> dict[str, Any]:
    first, weight = group[0]
    if not isinstance(first, Indicator):
        if len(group) > 1:
            raise _used_twice(first)
        return _numeric(first, weight)
    feature = first.encoding.feature()
    for signal, coefficient in group:
        if not isinstance(signal, Indicator) or signal.encoding is not first.encoding:
            raise _used_twice(first)
        feature["coefficients"][signal.level] = coefficient
    return feature


def _used_twice(signal: Signal) -> ModelError:
    return ModelError(f'column "{escape(signal.cell.name)}" is used twice', "use each column in one step")


def _numeric(signal: Cell | Scaled, weight: float) -> dict[str, Any]:
    cell = signal.cell
    feature = {"column": cell.name, "kind": "numeric", "coefficient": weight, "missing": cell.numeric_policy()}
    if isinstance(signal, Scaled):
        feature |= {"center": signal.center, "scale": signal.scale}
    return feature
