"""From a fitted scikit-learn estimator to a model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import pyarrow as pa

from pipeline.conversion.algebra import Signal, column, columns_of
from pipeline.conversion.comparison import Reread, checked, column_types, expected, named
from pipeline.conversion.folding import document
from pipeline.conversion.sklearn.classifiers import Linear, inner_estimators, read
from pipeline.conversion.sklearn.layered import network_of
from pipeline.conversion.sklearn.places import StepPlace, require
from pipeline.errors import ConfigurationError, ModelError, UsageError
from pipeline.models.logistic.model import LogisticModel
from pipeline.models.logistic.parsing import from_mapping
from pipeline.models.network.model import NetworkModel
from pipeline.units import escape


def from_sklearn(
    estimator: Any,
    *,
    columns: Sequence[str] | None = None,
    target: str | None = None,
    threshold: float | None = None,
    check: Any = None,
    reread: Reread | None = None,
) -> LogisticModel | NetworkModel:
    """Return a model with the scores of a fitted scikit-learn estimator; see :func:`pipeline.from_sklearn`.

    ``reread`` writes a dataframe as CSV and yields what is read from it; without it, rows to check are compared in
    memory alone.
    """
    if find_spec("sklearn") is None:
        raise ConfigurationError("scikit-learn is not installed", "pip install 'logitstream[sklearn]'")
    names = _column_names(estimator, columns)
    found = linear_of(estimator, names)
    if threshold is not None and not found.is_binary:
        raise UsageError(f"threshold is for two classes; the estimator has {len(found.classes)}", "leave it out")
    theirs = None if check is None else expected(estimator, check, is_raw=not found.has_probabilities)
    rows = None if check is None else named(check, names)
    booleans = frozenset[str]() if rows is None else _booleans(found.signals, rows)
    model = _model(found, _said(found, target, threshold), booleans)
    return model if theirs is None else checked(model, theirs, rows, reread, "scikit-learn")


def linear_of(estimator: Any, names: Sequence[str]) -> Linear:
    """Return a fitted classifier whose input columns have names: the columns of its matrix, and its coefficients."""
    return read(estimator, StepPlace(), [column(name, position) for position, name in enumerate(names)])


def _booleans(signals: Sequence[Signal], rows: Any) -> frozenset[str]:
    """Return the columns that are booleans in the rows, though an estimator may have them as numbers."""
    # A column may be looked at for missing values alone.
    guards = {guard for signal in signals for guard in signal.guards}
    names = [*(name for signal in signals for name in signal.columns), *(columns_of(guard)[0] for guard in guards)]
    types = column_types(rows, list(dict.fromkeys(names)))
    return frozenset(name for name, type_ in types.items() if pa.types.is_boolean(type_))


def _column_names(estimator: Any, columns: Sequence[str] | None) -> list[str]:
    # A wrapper may not have them, nor a Pipeline whose first step is no estimator.
    inner = list(inner_estimators(estimator))
    first = next((each for each in inner if hasattr(each, "n_features_in_")), None)
    if first is None:
        # Says why it cannot be read.
        read(estimator, StepPlace(), [])
    count = int(require(first, "n_features_in_", StepPlace()))
    fitted: Any = next(
        (names for each in inner if (names := getattr(each, "feature_names_in_", None)) is not None), None
    )
    if columns is None and fitted is None:
        raise ModelError(
            "the estimator was fitted without column names", f"give columns=[...], a name for each of {count}"
        )
    if columns is not None and len(columns) != count:
        raise ModelError(f"the estimator takes {count} columns, but columns has names for {len(columns)}")
    if columns is not None and fitted is not None and list(columns) != list(fitted):
        raise ModelError("columns differ from the names that the estimator was fitted with", "leave columns out")
    chosen: Sequence[Any] = fitted if columns is None else columns
    names = [str(name) for name in chosen]
    if twice := next((name for name, count in Counter(names).items() if count > 1), None):
        raise ModelError(f'two input columns are named "{escape(twice)}"', "give each column a name of its own")
    return names


def _model(found: Linear, said: dict[str, Any], booleans: frozenset[str]) -> LogisticModel | NetworkModel:
    folded = document(found.signals, found.weights, found.intercepts, booleans=booleans)
    if not folded["features"]:
        raise ModelError("the steps before the classifier leave no column", "fit it on at least one column that varies")
    if found.layers:
        return network_of(folded, found.layers, {"head": "sigmoid" if found.is_binary else "softmax", **said})
    if not found.is_binary:
        folded["normalise"] = found.normalise or "softmax"
    return LogisticModel(from_mapping(folded | said, "the estimator"))


def _said(found: Linear, target: str | None, threshold: float | None) -> dict[str, Any]:
    """Return what a model file says of target, classes and output."""
    made: dict[str, Any] = {}
    if found.is_binary:
        negative, positive = found.classes
        made["target"] = {"negative": negative, "positive": positive}
    else:
        made["classes"] = list(found.classes)
    if target is not None:
        made["target"] = {"column": target, **made.get("target", {})}
    output = dict(found.output)
    if threshold is not None:
        output["threshold"] = threshold
    return made | ({"output": output} if output else {})
