"""A logistic model as people hold it: loaded from its file, saved, and asked for probabilities."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline import disk
from pipeline.errors import BadCellsError, DataError, InputMissingError, ModelError, PermissionDeniedError, StorageError
from pipeline.kernels import evaluate
from pipeline.models.columns import Rows
from pipeline.models.file import (
    Column,
    Feature,
    Impute,
    Level,
    ModelFile,
    NumericFeature,
    Output,
    Target,
    parse,
    refuse_pickle,
)
from pipeline.models.places import SIZE_LIMIT
from pipeline.models.rows import batches
from pipeline.models.score import DEFAULT_THRESHOLD, ScoreBlock
from pipeline.models.tally import RowTally
from pipeline.units import escape, format_count

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Coefficient:
    """One number of a model as a table shows it; ``level`` is empty for a numeric column.

    ``missing`` and ``unseen`` are the policies in words; ``unseen`` is empty for a numeric column.
    """

    column: str
    level: str
    coefficient: float
    center: float
    scale: float
    missing: str
    unseen: str


@dataclass(frozen=True)
class LogisticModel:
    """A binary logistic model: text that anybody can read, and nothing else. Nothing is ever unpickled.

    Immutable, picklable, and equal to a model that says the same. All methods may be called from several threads.

    Rows come as an Arrow table or record batch, as a dataframe (anything with ``__arrow_c_stream__``), or as a mapping
    from column names to arrays, all matched by name, other columns ignored; as a NumPy array of shape (rows, features)
    with the columns in the order of ``features`` (of objects where there are categorical features); or as a Dask array
    of that shape, cut by rows alone, which gives a Dask array.

    Null and floating NaN are missing values, and the policies of the model decide; a row that they send to the
    quarantine has no score here either. Scores have the bits that the streaming job gives to the same rows.

    Parameters
    ----------
    file : ModelFile
        What the model file says. Use :meth:`load`, :meth:`from_json` or :func:`pipeline.from_sklearn`.
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
            The file is not a valid model; everything that is wrong with it, each with its place. A pickle is refused
            unopened.
        InputMissingError, PermissionDeniedError, StorageError
            The file cannot be read.
        """
        name = os.fspath(path)
        refuse_pickle(b"", name)
        with _system_errors(name):
            data = disk.read_file(path, SIZE_LIMIT + 1)
        return cls(parse(data, name))

    @classmethod
    def from_json(cls, text: str | bytes) -> LogisticModel:
        """Return the model that the text of a model file states; errors as :meth:`load` has them."""
        return cls(parse(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text))

    def to_json(self) -> str:
        """Return the text of the model file, defaults left out; every number comes back bit for bit."""
        return self.file.to_json()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model file, in one step: whatever happens, ``path`` holds the whole model or what it held before.

        A file that stands there is replaced, and keeps its mode; a symbolic link is followed. The file is synced.

        Raises
        ------
        InputMissingError
            The folder does not exist.
        PermissionDeniedError, StorageError
            The file cannot be written.
        """
        name = os.fspath(path)
        with _system_errors(name):
            disk.write_file(Path(path).resolve(), self.to_json().encode())

    def digest(self) -> str:
        """Return the SHA-256, in hexadecimal, of what the model says, however its file is laid out."""
        return self.file.digest()

    @property
    def features(self) -> tuple[Feature, ...]:
        """The columns, in the order of the file, which is the order of summation and of array columns."""
        return self.file.features

    @property
    def intercept(self) -> float:
        """The raw prediction where every column is at its center."""
        return self.file.intercept

    @property
    def target(self) -> Target | None:
        """What is predicted, where the file says it."""
        return self.file.target

    @property
    def output(self) -> Output:
        """The columns that scoring makes unless told otherwise."""
        return self.file.output

    @property
    def training(self) -> Mapping[str, Any] | None:
        """What was recorded when the model was fitted; free of meaning here, kept as it is."""
        return self.file.training

    def coefficients(self) -> list[Coefficient]:
        """Return the numbers of the model, a row for each column and each level, in the order of the file."""
        return [row for feature in self.features for row in _coefficients(feature)]

    def probability(self, data: Any) -> Any:
        """Return the probability of the positive class.

        Returns
        -------
        ndarray of float64, shape (rows,)
            NaN where the model gives no score: under the policies ``null`` and ``quarantine``, and where the arithmetic
            ends in NaN. A Dask array for a Dask array.

        Raises
        ------
        SchemaError
            Columns are missing or of an unfit type.
        BadCellsError
            A cell that the model takes for an error, or that float64 cannot hold.
        ValueError, TypeError
            The shape or kind of ``data`` is wrong.
        """
        if _is_dask(data):
            return _check_dask(data, len(self.features)).map_blocks(
                self.probability, drop_axis=1, dtype=np.float64, meta=np.empty(0)
            )
        return self._floats(data, "probability")

    def predict_proba(self, data: Any) -> Any:
        """Return the probabilities of the negative and of the positive class; otherwise as :meth:`probability`.

        Returns
        -------
        ndarray of float64, shape (rows, 2)
            Each column is a sigmoid of its own, so that a small probability keeps its digits on either side.
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
        """Return the decision: the positive class iff its probability is at least the threshold.

        The threshold is ``output.threshold`` of the model, or 0.5.

        Returns
        -------
        ndarray, shape (rows,)
            The values of ``target``, or booleans without a target: bool, int64, float64 or text.

        Raises
        ------
        DataError
            Rows without a decision (policies ``null`` and ``quarantine``, or NaN), for which these types have no value;
            :meth:`probability` shows them as NaN. Otherwise as :meth:`probability`.
        """
        dtype = self._decision_dtype()
        if _is_dask(data):
            return _check_dask(data, len(self.features)).map_blocks(
                self.predict, drop_axis=1, dtype=dtype, meta=np.empty(0, dtype=dtype)
            )
        scored = list(self._scored(data, "decision"))
        if undecided := sum(array.null_count + len(quarantined) for array, quarantined in scored):
            raise DataError(
                f"{format_count(undecided)} rows have no decision: the model gives them no score, or it is NaN",
                "leave these rows out, or use probability(), which is NaN there",
            )
        return _joined([array.to_numpy(zero_copy_only=False).astype(dtype) for array, _ in scored], dtype)

    def _floats(self, data: Any, column: Column) -> Floats:
        parts = [_with_nan(array, quarantined) for array, quarantined in self._scored(data, column)]
        return _joined(parts, np.dtype(np.float64))

    def _scored(self, data: Any, column: Column) -> Iterator[tuple[pa.Array, Rows]]:
        """Yield the scores of batch after batch, and which of its rows the model sends to the quarantine."""
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


def _coefficients(feature: Feature) -> Iterator[Coefficient]:
    missing = _policy(feature.missing)
    if isinstance(feature, NumericFeature):
        yield Coefficient(feature.column, "", feature.coefficient, feature.center, feature.scale, missing, "")
        return
    unseen = _policy(feature.unseen)
    for level, coefficient in feature.coefficients.items():
        yield Coefficient(feature.column, level, coefficient, 0.0, 1.0, missing, unseen)


def _policy(policy: str | Impute | Level) -> str:
    if isinstance(policy, Impute):
        return f"impute {policy.impute!r}"
    return f'level "{policy.level}"' if isinstance(policy, Level) else policy


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
        "rows are counted from 0",
    )


def _is_dask(data: Any) -> bool:
    return hasattr(data, "map_blocks") and hasattr(data, "numblocks")


def _check_dask(data: Any, features: int) -> Any:
    if data.ndim != 2 or data.shape[1] != features:
        raise ValueError(f"a Dask array must have shape (rows, {features}), got {data.shape}")
    if data.numblocks[1] != 1:
        raise ValueError("the columns of the Dask array are cut apart; join them: data.rechunk({1: -1})")
    return data


@contextlib.contextmanager
def _system_errors(name: str) -> Iterator[None]:
    shown = escape(name)
    try:
        yield
    except FileNotFoundError as error:
        raise InputMissingError(f"{shown}: no such file or folder") from error
    except IsADirectoryError as error:
        raise ModelError(f"{shown} is a folder, not a model file") from error
    except PermissionError as error:
        raise PermissionDeniedError(f"{shown}: {error.strerror}") from error
    except OSError as error:
        raise StorageError(f"{shown}: {error.strerror or error}") from error
    except ValueError as error:
        raise InputMissingError(f"{shown} cannot be a path: {error}") from error
