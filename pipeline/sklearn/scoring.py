"""What coefficients make of rows: raw predictions, probabilities, and the class of each row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline import kernels
from pipeline.dataclass import dataclass
from pipeline.fitting.estimator.row_blocks import matrix_of, rows_of
from pipeline.fitting.tiles.layout import TILE_ROWS, Floats
from pipeline.kernels import Numeric, raw_prediction
from pipeline.types.lazy import is_dask, is_dask_frame


@dataclass(frozen=True, slots=True, eq=False)
class LinearScores:
    """What a fitted linear classifier gives.

    Raw predictions are added up as a model file has it: the intercept, and feature by feature what it adds, so that
    they have the bits of the model; those of a sparse matrix are added by SciPy. The bits of a row do not depend on the
    other rows.

    Attributes
    ----------
    coefficients : ndarray of float64, shape (outputs, features)
        1 output for two classes.
    intercepts : ndarray of float64, shape (outputs,)
    classes : ndarray, shape (classes,)
    """

    coefficients: Floats
    intercepts: Floats
    classes: npt.NDArray[Any]

    def raw(self, features: Any) -> Floats:
        """Return raw predictions, shape (rows, outputs)."""
        if hasattr(features, "toarray"):
            return np.asarray(features @ self.coefficients.T + self.intercepts, dtype=np.float64)
        rows = features.shape[0]
        found = np.empty((len(self.coefficients), rows))
        for start in range(0, rows, TILE_ROWS):
            tile = matrix_of(rows_of(features, start, start + TILE_ROWS))
            found[:, start : start + TILE_ROWS] = self._raw_of_tile(np.asfortranarray(tile))
        return found.T

    def _raw_of_tile(self, tile: npt.NDArray[Any]) -> Floats:
        terms = [Numeric(tile[:, place], weights) for place, weights in enumerate(self.coefficients.T)]
        out = raw_prediction(terms, self.intercepts, out=np.empty((len(self.coefficients), len(tile))))
        if not np.isfinite(out).all() and not np.isfinite(tile).all():
            problem = "NaN" if np.isnan(tile).any() else "infinity"
            raise ValueError(f"Input X contains {problem}; LogisticRegression takes finite numbers")
        return out

    def decisions(self, features: Any) -> Floats:
        """Return raw predictions, shape (rows,) for two classes, else (rows, classes)."""
        raw = self.raw(features)
        return raw[:, 0] if len(self.coefficients) == 1 else raw

    def probabilities(self, features: Any) -> Floats:
        """Return the probability of each class, shape (rows, classes)."""
        raw = self.raw(features)
        if raw.shape[1] > 1:
            return np.asarray(kernels.softmax(raw))
        return np.column_stack([kernels.sigmoid(-raw[:, 0]), kernels.sigmoid(raw[:, 0])])

    def log_probabilities(self, features: Any) -> Floats:
        """Return the logarithm of each probability, finite where a probability itself is 0."""
        raw = self.raw(features)
        if raw.shape[1] > 1:
            above = raw - raw.max(axis=1, keepdims=True)
            return np.asarray(above - np.log(np.exp(above).sum(axis=1, keepdims=True)))
        return np.column_stack([kernels.log_sigmoid(-raw[:, 0]), kernels.log_sigmoid(raw[:, 0])])

    def predictions(self, features: Any) -> npt.NDArray[Any]:
        """Return the most probable class of each row; of two that are equal the first."""
        raw = self.raw(features)
        codes = raw.argmax(axis=1) if raw.shape[1] > 1 else (raw[:, 0] > 0).astype(np.intp)
        return np.asarray(self.classes[codes])

    def of(self, method: Callable[[Any], Any], features: Any) -> Any:
        """Return what a method makes of rows: a Dask array, block by block, where they are Dask's."""
        if not is_dask(features):
            return method(features)
        meta = method(np.zeros((1, self.coefficients.shape[1])))[:0]
        if is_dask_frame(features):
            return features.map_partitions(method, meta=meta)
        features = features.rechunk({1: -1}) if features.numblocks[1] > 1 else features
        if meta.ndim == 1:
            return features.map_blocks(method, drop_axis=1, dtype=meta.dtype, meta=meta)
        chunks = (features.chunks[0], (meta.shape[1],))
        return features.map_blocks(method, chunks=chunks, dtype=meta.dtype, meta=meta)
