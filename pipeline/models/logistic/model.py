"""A logistic model for people to use: load it, save it, and ask it for probabilities."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.errors import BadCellsError, DataError
from pipeline.kernels import evaluate
from pipeline.models.columns import Rows
from pipeline.models.logistic.feature import Coefficient, Feature
from pipeline.models.logistic.features import kind_of
from pipeline.models.logistic.file import Column, ModelFile, Output, Target
from pipeline.models.logistic.parsing import parse
from pipeline.models.logistic.score import DEFAULT_THRESHOLD, ScoreBlock
from pipeline.models.logistic.show import facts
from pipeline.models.rows import batches
from pipeline.models.store import read_file, write_file
from pipeline.models.tally import RowTally
from pipeline.types.tabular import Summary, Tabular
from pipeline.units import escape, format_count

Floats = npt.NDArray[np.float64]

_CORRECT = "correct the value, or leave the row out (rows are counted from 0)"
_ROUND = "make the column float64, which rounds it; for files, logitstream score has --type NAME=float64"


@dataclass(frozen=True, repr=False)
class LogisticModel(Tabular):
    """A binary logistic model: plain JSON that people can read. Nothing is ever unpickled.

    Immutable, picklable, and equal to a model with the same content. All methods may be called from several threads.

    Rows may be an Arrow table or record batch, a dataframe (anything with ``__arrow_c_stream__``), or a mapping from
    column names to arrays: columns are found by their names, and others are ignored. Rows may also be a NumPy array of
    shape (rows, features) with the columns in the order of ``features`` (of objects if there are categorical features),
    or a Dask array of that shape, split by rows only, which gives a Dask array.

    Null and floating NaN are missing values, for which the policies of the model decide. A row that they send to the
    quarantine has no score here. Scores are bit for bit those of :func:`pipeline.score`.

    Parameters
    ----------
    file : ModelFile
        The content of a model file. Use :meth:`load`, :meth:`from_json` or :func:`pipeline.from_sklearn`.
    """

    file: ModelFile

    def __hash__(self) -> int:
        return hash(self.digest())

    def __dask_tokenize__(self) -> tuple[str, str]:
        return "logitstream-model", self.digest()

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> LogisticModel:
        """Return the model in a file.

        Raises
        ------
        ModelError
            The file is not a valid model; the message lists everything that is wrong, with its place. A pickle is
            refused without opening it.
        InputMissingError, PermissionDeniedError, StorageError
            The file cannot be read.
        """
        return cls(parse(read_file(path), os.fspath(path)))

    @classmethod
    def from_json(cls, text: str | bytes) -> LogisticModel:
        """Return the model in the text of a model file; raises what :meth:`load` raises."""
        return cls(parse(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text))

    def to_json(self) -> str:
        """Return the text of the model file, without defaults; every number is read back bit for bit."""
        return self.file.to_json()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model file in one step: ``path`` always holds the whole model or what it held before.

        A file that exists is replaced and keeps its mode; a symbolic link is followed. The file is synced.

        Raises
        ------
        InputMissingError
            The folder does not exist.
        PermissionDeniedError, StorageError
            The file cannot be written.
        """
        write_file(path, self.to_json().encode())

    def digest(self) -> str:
        """Return the SHA-256, in hexadecimal, of the content of the model, however its file is laid out."""
        return self.file.digest()

    @property
    def kind(self) -> str:
        """The kind of model, as its file names it."""
        return self.file.kind

    @property
    def features(self) -> tuple[Feature, ...]:
        """The columns, in the order of the file, which is the order of summation and of array columns."""
        return self.file.features

    @property
    def intercept(self) -> float:
        """The raw prediction if every column is at its center."""
        return self.file.intercept

    @property
    def target(self) -> Target | None:
        """What is predicted, if the file says it."""
        return self.file.target

    @property
    def output(self) -> Output:
        """The columns that scoring makes by default."""
        return self.file.output

    @property
    def training(self) -> Mapping[str, Any] | None:
        """What was recorded when the model was fitted; kept as it is, and not used."""
        return self.file.training

    def coefficients(self) -> list[Coefficient]:
        """Return the coefficients of the model, one for each column or level, in the order of the file."""
        return [row for feature in self.features for row in kind_of(feature).coefficients(feature)]

    def probability(self, data: Any) -> Any:
        """Return the probability of the positive class.

        Returns
        -------
        ndarray of float64, shape (rows,)
            NaN for rows without a score: by the policies ``null`` and ``quarantine``, or because the arithmetic ends in
            NaN. A Dask array for a Dask array.

        Raises
        ------
        SchemaError
            Columns are missing or have a type that does not fit.
        BadCellsError
            A cell is an error by the policies of the model, or float64 cannot hold it.
        ValueError, TypeError
            The shape or kind of ``data`` is wrong.
        """
        if _is_dask(data):
            return _check_dask(data, len(self.features)).map_blocks(
                self.probability, drop_axis=1, dtype=np.float64, meta=np.empty(0)
            )
        return self._floats(data, "probability")

    def predict_proba(self, data: Any) -> Any:
        """Return the probabilities of the negative and of the positive class.

        Returns
        -------
        ndarray of float64, shape (rows, 2)
            Each column is computed with its own sigmoid, so that small probabilities keep their digits in both. NaN and
            errors as in :meth:`probability`.
        """
        if _is_dask(data):
            return _check_dask(data, len(self.features)).map_blocks(
                self.predict_proba, chunks=(data.chunks[0], (2,)), dtype=np.float64, meta=np.empty((0, 2))
            )
        raw = self._floats(data, "raw_prediction")
        parameters = self.output.parameters
        mirrored = {**parameters, "alpha": -parameters["alpha"], "beta": -parameters["beta"]}
        return np.column_stack([evaluate("sigmoid", raw, **mirrored), evaluate("sigmoid", raw, **parameters)])

    def predict(self, data: Any) -> Any:
        """Return the decision: the positive class if its probability is at least the threshold.

        The threshold is ``output.threshold`` of the model, or 0.5.

        Returns
        -------
        ndarray, shape (rows,)
            The values of ``target``, or booleans without a target: bool, int64, float64 or text.

        Raises
        ------
        DataError
            Rows have no decision (policies ``null`` and ``quarantine``, or NaN): these types have no value for that.
            Other errors are those of :meth:`probability`.
        """
        dtype = self._decision_dtype()
        if _is_dask(data):
            return _check_dask(data, len(self.features)).map_blocks(
                self.predict, drop_axis=1, dtype=dtype, meta=np.empty(0, dtype=dtype)
            )
        scored = list(self._scored(data, "decision"))
        if undecided := sum(array.null_count + len(quarantined) for array, quarantined in scored):
            raise DataError(
                f"{format_count(undecided)} rows have no decision: they have no score, or the score is NaN",
                "leave these rows out, or use probability(), which is NaN there",
            )
        return _joined([array.to_numpy(zero_copy_only=False).astype(dtype) for array, _ in scored], dtype)

    def _summary(self) -> Summary:
        shown = [(name, value if isinstance(value, str) else f"{value:.6g}") for name, value in facts(self.file)]
        return Summary(shown, ("column", "kind"), [(feature.column, feature.kind) for feature in self.features])

    def _floats(self, data: Any, column: Column) -> Floats:
        parts = [_with_nan(array, quarantined) for array, quarantined in self._scored(data, column)]
        return _joined(parts, np.dtype(np.float64))

    def _scored(self, data: Any, column: Column) -> Iterator[tuple[pa.Array, Rows]]:
        """Yield the scores of each batch, and which of its rows the model sends to the quarantine."""
        threshold = self.output.threshold
        block = ScoreBlock(self.file, (column,), DEFAULT_THRESHOLD if threshold is None else threshold)
        first = 0
        for arrays in batches(data, block.columns()):
            tally = RowTally(len(arrays[0]))
            (scores,), _ = block.scores(arrays, tally)
            if tally.bad.size:
                raise _bad_cells(tally, first)
            first += tally.rows
            yield scores, tally.rejected

    def _decision_dtype(self) -> np.dtype[Any]:
        if self.target is None:
            return np.dtype(np.bool_)
        return np.array([self.target.negative, self.target.positive]).dtype


def _joined(parts: list[npt.NDArray[Any]], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    return np.concatenate([np.empty(0, dtype=dtype), *parts])


def _with_nan(scores: pa.Array, rows: Rows) -> Floats:
    values: Floats = scores.to_numpy(zero_copy_only=False)
    if rows.size:
        values = values.copy()
        values[rows] = np.nan
    return values


def _bad_cells(tally: RowTally, first: int) -> BadCellsError:
    bad = tally.bad
    (cell,) = tally.cells(bad[:1])
    others = bad.size - 1
    more = f" (and {format_count(others)} more row{'' if others == 1 else 's'})" if others else ""
    return BadCellsError(
        f"row {format_count(first + cell.record)}, column {escape(cell.column)}: "
        f"{escape(cell.text)} {cell.reason}{more}",
        _ROUND if cell.cause == "inexact" else _CORRECT,
    )


def _is_dask(data: Any) -> bool:
    return hasattr(data, "map_blocks") and hasattr(data, "numblocks")


def _check_dask(data: Any, features: int) -> Any:
    if data.ndim != 2 or data.shape[1] != features:
        raise ValueError(f"a Dask array must have shape (rows, {features}), got {data.shape}")
    if data.numblocks[1] != 1:
        raise ValueError("columns of the Dask array are in separate blocks; join them: data.rechunk({1: -1})")
    return data
