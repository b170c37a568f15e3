"""Transformers for scikit-learn: the functions, and the scores of a model file.

They learn nothing from rows and also work without ``fit``; ``fit`` checks parameters and records the columns. They take
NumPy arrays and dataframes (pandas, Polars), and Dask arrays and dataframes, which stay lazy. ``set_output`` has no
effect on Dask.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import wraps
from inspect import cleandoc
from textwrap import fill, indent
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import FLOAT_DTYPES, check_array, validate_data

from pipeline.arrays import functions
from pipeline.models import LogisticModel
from pipeline.registry import FUNCTIONS, function_named
from pipeline.sklearn.lazy import check_columns, note_columns
from pipeline.types.lazy import empty, is_dask, is_dask_frame

__all__ = ["ActivationTransformer", "LogisticScorer", "SigmoidTransformer"]


def _lazily(cls: type[Any]) -> type[Any]:
    """Make a transformer return Dask for Dask: ``set_output`` would compute it and lose its index."""
    contained, fit_contained = cls.transform, cls.fit_transform

    @wraps(contained)
    def transform(self: Any, X: Any) -> Any:  # noqa: N803 - the signature is scikit-learn's
        return contained.__wrapped__(self, X) if is_dask(X) else contained(self, X)

    @wraps(fit_contained)
    def fit_transform(self: Any, X: Any, y: object = None, **options: Any) -> Any:  # noqa: N803 - as above
        return self.fit(X, y).transform(X) if is_dask(X) else fit_contained(self, X, y, **options)

    cls.transform, cls.fit_transform = transform, fit_transform
    return cls


def _stating(cls: type[Any], *names: str) -> None:
    """Append formula, range, error bound and source of functions to a docstring."""
    lines = [cleandoc(cls.__doc__ or ""), "", "Functions", "---------"]
    for entry in map(function_named, names):
        text = f"``{entry.formula}``. Range: {entry.range}. Error in float64: {entry.error}. Source: {entry.source}."
        lines += [entry.name, indent(fill(text, 100, break_on_hyphens=False), "    ")]
    cls.__doc__ = "\n".join(lines)


@_lazily
class _FunctionTransformer(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A function applied to every column: the result has the same columns with the same names."""

    def _applied(self) -> tuple[str, dict[str, Any]]:
        """Return the name of the function and its parameters, checked."""
        raise NotImplementedError

    def fit(self, X: Any, y: object = None) -> Self:  # noqa: ARG002, N803 - the signature is scikit-learn's
        """Check the parameters, and record the number of columns and their names.

        Raises
        ------
        ValueError
            A parameter is not allowed, or scikit-learn does not take the rows; NaN and infinities are allowed. For
            Dask only the types of the columns are checked: they must be numbers or booleans.
        """
        self._applied()
        if is_dask(X):
            note_columns(self, X)
        else:
            validate_data(self, X, dtype=FLOAT_DTYPES, ensure_all_finite=False)
        return self

    def transform(self, X: Any) -> Any:  # noqa: N803 - the signature is scikit-learn's
        """Return the function of every element, in the float type of ``X``; float64 for integers and booleans.

        A Dask array gives a Dask array, a Dask dataframe a Dask dataframe.

        Raises
        ------
        ValueError
            The columns are not those of ``fit``, or scikit-learn does not take the rows.
        """
        name, parameters = self._applied()
        if not is_dask(X):
            options = {"dtype": FLOAT_DTYPES, "ensure_all_finite": False}
            if hasattr(self, "n_features_in_"):
                rows = validate_data(self, X, reset=False, **options)
            else:
                rows = check_array(X, estimator=self, **options)
            return functions.apply(name, rows, **parameters)
        check_columns(self, X)
        if is_dask_frame(X):
            return X.map_partitions(_frame_of, name, parameters, meta=_frame_of(empty(X), name, parameters))
        return functions.apply(name, X, **parameters)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32", "float16"]
        return tags


class SigmoidTransformer(_FunctionTransformer):
    """Apply ``low + (high - low) / (1 + exp(-z))`` with ``z = (alpha x + beta) / temperature`` to every column.

    The bits are those of ``pipeline.sigmoid``; u is a unit in the last place. NaN stays NaN.

    Parameters
    ----------
    temperature : float, more than 0
        A larger one flattens the curve.
    alpha, beta : float
        The factor of x, and the number that is added.
    low, high : float
        The ends of the range of the results.
    """

    def __init__(
        self,
        temperature: float = 1.0,
        alpha: float = 1.0,
        beta: float = 0.0,
        low: float = 0.0,
        high: float = 1.0,
    ) -> None:
        self.temperature = temperature
        self.alpha = alpha
        self.beta = beta
        self.low = low
        self.high = high

    def _applied(self) -> tuple[str, dict[str, Any]]:
        return "sigmoid", _arguments("sigmoid", self.get_params(deep=False))


_stating(SigmoidTransformer, "sigmoid")


class ActivationTransformer(_FunctionTransformer):
    """Apply a function to every column, or ``softmax`` to the columns of each row.

    The bits are those of the function with this name in ``pipeline``; u is a unit in the last place. NaN stays NaN.

    Parameters
    ----------
    function : str
        The name of a function: ``sigmoid``, ``tanh``, ``relu``, ``gelu`` ...
    parameters : mapping of str to float, optional
        The parameters that differ from their defaults, as in ``{"alpha": 0.2}``.
    """

    def __init__(self, function: str = "sigmoid", parameters: Mapping[str, float] | None = None) -> None:
        self.function = function
        self.parameters = parameters

    def _applied(self) -> tuple[str, dict[str, Any]]:
        return self.function, _arguments(self.function, {} if self.parameters is None else self.parameters)


_stating(ActivationTransformer, *FUNCTIONS)


@_lazily
class LogisticScorer(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Score rows with a model file: one column, ``probability``, that of the positive class.

    It is ``1 / (1 + exp(-z))`` with ``z = (alpha raw + beta) / temperature``, where ``raw`` is the intercept and what
    the features add to it; alpha, beta and temperature are 1, 0 and 1 unless the model file says otherwise. Range: 0 to
    1. Error in float64: 2.75 units in the last place of the sigmoid of the rounded z. Source: P. F. Verhulst, 1838.

    Columns of dataframes are found by their names: they may be in any order, and others are ignored. Arrays must have
    the columns in the order of the model. Scores are bit for bit those of ``logitstream score``; a row without a score
    is NaN. The policies of the model for missing and unseen values apply.

    Parameters
    ----------
    model : path or LogisticModel
        A path is read by ``fit``, and without ``fit`` by every ``transform``.
    """

    def __init__(self, model: str | os.PathLike[str] | LogisticModel) -> None:
        self.model = model

    def fit(self, X: Any = None, y: object = None) -> Self:  # noqa: ARG002, N803 - the signature is scikit-learn's
        """Load the model; the rows are not looked at.

        Raises
        ------
        LogitstreamError
            The file is not a valid model, or cannot be read.
        """
        self.model_ = self._load()
        self.feature_names_in_ = np.array(self.model_.columns, dtype=object)
        self.n_features_in_ = len(self.feature_names_in_)
        return self

    def transform(self, X: Any) -> Any:  # noqa: N803 - the signature is scikit-learn's
        """Return the probabilities, shape (rows, 1); lazy where ``X`` is.

        Raises
        ------
        LogitstreamError
            Columns are missing or do not fit, or the model does not take a cell.
        """
        model = getattr(self, "model_", None) or self._load()
        if is_dask_frame(X):
            return model.probability(X).to_frame()
        return model.probability(X).reshape(-1, 1)

    def get_feature_names_out(self, input_features: object = None) -> Any:  # noqa: ARG002 - as above
        """Return the name of the column."""
        return np.array(["probability"], dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        return tags

    def _load(self) -> LogisticModel:
        return self.model if isinstance(self.model, LogisticModel) else LogisticModel.load(self.model)


def _arguments(name: Any, given: Any) -> dict[str, float]:
    """Return the parameters of a function, checked; every mistake is a ``ValueError``, as in scikit-learn."""
    if not isinstance(name, str):
        raise ValueError(f"function must be the name of a function, got {type(name).__name__}")
    if not isinstance(given, Mapping) or not all(isinstance(each, str) for each in given):
        raise ValueError(f"parameters must map names to numbers, got {given!r:.100}")
    try:
        return function_named(name).arguments(given)
    except (LookupError, TypeError) as error:
        raise ValueError(error.args[0]) from None


def _frame_of(partition: Any, name: str, parameters: Mapping[str, Any]) -> Any:
    """Return the result for a partition of a Dask dataframe."""
    types, dtype = list(partition.dtypes), np.dtype(np.float64)
    # Nullable types are float64, as scikit-learn has them in memory.
    if all(isinstance(each, np.dtype) for each in types) and any(each.kind == "f" for each in types):
        dtype = np.result_type(*types)
    values = functions.apply(name, partition.to_numpy(dtype=dtype, na_value=np.nan), **parameters)
    return type(partition)(values, index=partition.index, columns=partition.columns)
