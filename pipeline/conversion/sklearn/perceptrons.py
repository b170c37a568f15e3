"""The layers of a fitted MLPClassifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.conversion.sklearn.places import StepPlace, require
from pipeline.dataclass import dataclass

# What scikit-learn calls a function, and what a network calls it.
_FUNCTIONS: Mapping[str, str | None] = {"identity": None, "logistic": "sigmoid", "tanh": "tanh", "relu": "relu"}


@dataclass(frozen=True, slots=True)
class PerceptronLayer:
    """Sums of the values that the layer before it makes.

    Attributes
    ----------
    function : str, optional
        What is applied first to the sums of the layer before; ``None``: nothing.
    weights : sequence of sequences of float
        A row for each unit.
    intercepts : sequence of float
    """

    function: str | None
    weights: Sequence[Sequence[float]]
    intercepts: Sequence[float]


def layers_of(estimator: Any, place: StepPlace, columns: int, outputs: int) -> list[PerceptronLayer]:
    """Return the layers of a fitted MLPClassifier that takes so many columns; the first has no function before it.

    Raises
    ------
    ModelError
        It is not fitted, its layers do not fit together, or it has another function.
    """
    matrices = require(estimator, "coefs_", place)
    if estimator.activation not in _FUNCTIONS:
        why = f"has the activation {estimator.activation!r}"
        raise place.fault(estimator, why, f"use one of {', '.join(_FUNCTIONS)}")
    function = _FUNCTIONS[estimator.activation]
    width, made = columns, list[PerceptronLayer]()
    for matrix, intercepts in zip(matrices, estimator.intercepts_, strict=True):
        weights = np.asarray(matrix, dtype=np.float64).T
        biases = np.asarray(intercepts, dtype=np.float64)
        if weights.ndim != 2 or weights.shape[1] != width or biases.shape != weights.shape[:1]:
            raise place.fault(estimator, "has layers that do not fit together", "fit the whole Pipeline again")
        made.append(PerceptronLayer(function if made else None, weights.tolist(), biases.tolist()))
        width = len(biases)
    if width != outputs:
        raise place.fault(estimator, f"has {width} outputs instead of {outputs}", "fit it again")
    return made
