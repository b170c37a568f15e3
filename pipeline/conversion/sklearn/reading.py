"""From a fitted scikit-learn estimator to a model."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.conversion.comparison import Comparison, Reread, checked, column_types, compare, expected, named
from pipeline.conversion.sklearn.steps import (
    Cell,
    Indicator,
    Scaled,
    Signal,
    class_name,
    is_passthrough,
    require,
    run,
)
from pipeline.errors import ConfigurationError, ModelError
from pipeline.models.logistic.model import LogisticModel
from pipeline.models.logistic.parsing import from_mapping
from pipeline.units import escape

__all__ = ["Comparison", "compare", "from_sklearn"]

_SUPPORTED = (
    "use a LogisticRegression with two classes, alone or as the last step of a Pipeline of StandardScaler, "
    "OneHotEncoder, SimpleImputer, 'passthrough', Pipelines of these, and a ColumnTransformer of them"
)


def from_sklearn(
    estimator: Any,
    *,
    columns: Sequence[str] | None = None,
    target: str | None = None,
    threshold: float | None = None,
    check: Any = None,
    reread: Reread | None = None,
) -> LogisticModel:
    """Return a model with the scores of a fitted scikit-learn estimator; see :func:`pipeline.from_sklearn`.

    ``reread`` writes a dataframe as CSV and yields what is read from it; without it, rows to check are compared in
    memory alone.
    """
    if find_spec("sklearn") is None:
        raise ConfigurationError("scikit-learn is not installed", "pip install 'logitstream[sklearn]'")
    steps, regression = _split(_best(estimator))
    names = _column_names(steps, regression, columns)
    signals: list[Signal] = [Cell(name, position) for position, name in enumerate(names)]
    for name, step in steps:
        signals = run(step, name, signals, _SUPPORTED)
    theirs = None if check is None else expected(estimator, check)
    rows = None if check is None else named(check, names)
    document = _document(signals, regression, frozenset() if rows is None else _booleans(signals, rows))
    document["target"] = _target(regression.classes_, target)
    if threshold is not None:
        document["output"] = {"threshold": threshold}
    model = LogisticModel(from_mapping(document, "the estimator"))
    if theirs is not None:
        # The caller asked for these lines with `check`.
        print(checked(model, theirs, rows, reread))  # noqa: T201
    return model


def _booleans(signals: Sequence[Signal], rows: Any) -> frozenset[str]:
    """Return the columns that are booleans in the rows, though an estimator may have them as numbers."""
    types = column_types(rows, list(dict.fromkeys(signal.cell.name for signal in signals)))
    return frozenset(name for name, type_ in types.items() if pa.types.is_boolean(type_))


def _best(estimator: Any) -> Any:
    """Return the estimator that a search has found, or the estimator itself."""
    if hasattr(estimator, "best_estimator_"):
        return estimator.best_estimator_
    if type(estimator).__name__.endswith("SearchCV"):
        raise ModelError(
            f"the {type(estimator).__name__} has no best_estimator_", "call fit() first, and leave refit as it is"
        )
    return estimator


def _split(estimator: Any) -> tuple[list[tuple[str, Any]], Any]:
    steps = list(estimator.steps) if class_name(estimator) == "Pipeline" else [("", estimator)]
    name, last = steps[-1]
    last = _best(last)
    if class_name(last) not in {"LogisticRegression", "LogisticRegressionCV"}:
        where = f'step "{escape(name)}"' if name else "the estimator"
        raise ModelError(f"{where} is a {type(last).__name__}, not a LogisticRegression", _SUPPORTED)
    if len(classes := require(last, "classes_", name)) != 2:
        raise ModelError(f"the LogisticRegression has {len(classes)} classes, but a model has two", _SUPPORTED)
    if getattr(last, "multi_class", None) == "multinomial":
        raise ModelError("the LogisticRegression is multinomial", "fit it without multi_class")
    return steps[:-1], last


def _column_names(steps: Sequence[tuple[str, Any]], regression: Any, columns: Sequence[str] | None) -> list[str]:
    # A Pipeline has them from its first step, which may be no estimator.
    first = next((step for _, step in steps if not is_passthrough(step)), regression)
    count = int(require(first, "n_features_in_", ""))
    fitted: Any = getattr(first, "feature_names_in_", None)
    if columns is None and fitted is None:
        raise ModelError("the estimator was fitted without column names", f"give columns=[...], {count} names")
    if columns is not None and len(columns) != count:
        raise ModelError(f"columns has {len(columns)} names, but the estimator takes {count}")
    if columns is not None and fitted is not None and list(columns) != list(fitted):
        raise ModelError("columns differ from the names that the estimator was fitted with", "leave columns out")
    chosen: Sequence[Any] = fitted if columns is None else columns
    return [str(name) for name in chosen]


def _document(signals: Sequence[Signal], regression: Any, booleans: frozenset[str]) -> dict[str, Any]:
    coefficients = regression.coef_
    # After sparsify() it is a sparse matrix.
    weights = np.asarray(coefficients.toarray() if hasattr(coefficients, "toarray") else coefficients)
    if weights.shape != (1, len(signals)):
        raise ModelError(f"the estimator has {weights.shape[-1]} coefficients for {len(signals)} columns", _SUPPORTED)
    return {
        "format": "logitstream-model",
        "version": 1,
        "kind": "logistic",
        "intercept": float(np.ravel(regression.intercept_)[0]),
        "features": _features(signals, [float(weight) for weight in weights[0]], booleans),
    }


def _target(classes: Any, column: str | None) -> dict[str, Any]:
    negative, positive = (value.item() if isinstance(value, np.generic) else value for value in classes)
    named = {} if column is None else {"column": column}
    return {**named, "negative": negative, "positive": positive}


def _features(signals: Sequence[Signal], weights: Sequence[float], booleans: frozenset[str]) -> list[dict[str, Any]]:
    groups: dict[int, list[tuple[Signal, float]]] = {}
    for signal, weight in zip(signals, weights, strict=True):
        groups.setdefault(signal.cell.position, []).append((signal, weight))
    return [_feature(groups[position], booleans) for position in sorted(groups)]


def _feature(group: Sequence[tuple[Signal, float]], booleans: frozenset[str]) -> dict[str, Any]:
    first, weight = group[0]
    if not isinstance(first, Indicator):
        if len(group) > 1:
            raise _used_twice(first)
        return _numeric(first, weight) | ({"boolean": True} if first.cell.name in booleans else {})
    coefficients = {}
    for signal, coefficient in group:
        if not isinstance(signal, Indicator) or signal.encoding is not first.encoding:
            raise _used_twice(first)
        coefficients[signal.level] = coefficient
    return first.encoding.feature(coefficients, boolean=first.cell.name in booleans)


def _used_twice(signal: Signal) -> ModelError:
    return ModelError(f'column "{escape(signal.cell.name)}" is used twice', "use each column in one step")


def _numeric(signal: Cell | Scaled, weight: float) -> dict[str, Any]:
    cell = signal.cell
    feature = {"column": cell.name, "kind": "numeric", "coefficient": weight, "missing": cell.numeric_policy()}
    if isinstance(signal, Scaled):
        feature |= {"center": signal.center, "scale": signal.scale}
    return feature
