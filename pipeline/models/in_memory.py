"""What a model of any kind makes of rows in memory: probabilities, raw predictions, decisions, points."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.errors import BadCellsError, DataError
from pipeline.models.columns import Mask, Rows, numbers
from pipeline.models.lazily import by_blocks
from pipeline.models.logistic.making import BinaryMaker, Requested, class_text, complement_of, probability_of
from pipeline.models.logistic.output import SECTIONS, Column, Output
from pipeline.models.logistic.predictor import Predictor
from pipeline.models.logistic.score import DEFAULT_THRESHOLD
from pipeline.models.rows import batches
from pipeline.models.tally import RowTally
from pipeline.types.blocks import Field
from pipeline.types.inputs import Need
from pipeline.types.lazy import is_dask
from pipeline.types.tabular import Tabular
from pipeline.units import escape, format_count

if TYPE_CHECKING:
    from pipeline.models.logistic.file import Target

Floats = npt.NDArray[np.float64]

_FLOAT64 = np.dtype(np.float64)
_CORRECT = "correct the value, or leave the row out (rows are counted from 0)"
_ROUND = "make the column float64, which rounds it; for files, logitstream score has --type NAME=float64"


class ModelContent(Predictor, Protocol):
    """The content of a model file."""

    @property
    def kind(self) -> str:
        """The name of its kind."""
        ...

    @property
    def training(self) -> Mapping[str, Any] | None:
        """What was recorded when the model was fitted."""
        ...

    def digest(self) -> str:
        """Return the SHA-256, in hexadecimal, of what it says."""
        ...


class RowScorer(Protocol):
    """Scores batches of Arrow columns."""

    def columns(self) -> Sequence[Need]:
        """Return the columns that are read."""
        ...

    def accepted(self) -> Sequence[Need]:
        """Return these columns, with what each must be usable as."""
        ...

    def fields(self) -> Sequence[Field]:
        """Return the columns that are made."""
        ...

    def scores(self, columns: Sequence[pa.Array], tally: RowTally) -> tuple[tuple[pa.Array, ...], Mask]:
        """Return the columns of a batch; ``tally`` gets the rows that are bad."""
        ...


class RowModel(Tabular, ABC):
    """Scores rows in memory. Subclasses are frozen data classes; all methods may be called from several threads.

    Rows may be an Arrow table or record batch, a dataframe (anything with ``__arrow_c_stream__``), or a mapping from
    column names to arrays: columns are found by their names, and others are ignored. Rows may also be a NumPy array of
    shape (rows, columns) with the columns in the order of ``columns`` (of objects if there are categorical features),
    or a Dask array of that shape, split by rows only, which gives a Dask array. A Dask dataframe gives a lazy series,
    or a frame where there are several columns, with its index.

    Null and floating NaN are missing values, for which the policies of the model decide. A row that they send to the
    quarantine has no score here. Scores are bit for bit those of :func:`pipeline.score`.
    """

    @property
    @abstractmethod
    def _content(self) -> ModelContent:
        """The content of the model file."""

    @abstractmethod
    def block(self, column: Column) -> RowScorer:
        """Return what makes the columns of one word of ``output.columns`` from Arrow columns."""

    def digest(self) -> str:
        """Return the SHA-256, in hexadecimal, of the content of the model, however its file is laid out."""
        return self._content.digest()

    @property
    def kind(self) -> str:
        """The kind of model, as its file names it."""
        return self._content.kind

    @property
    def target(self) -> Target | None:
        """What is predicted, if the file says it."""
        return self._content.target

    @property
    def output(self) -> Output:
        """The columns that scoring makes by default."""
        return self._content.output

    @property
    def training(self) -> Mapping[str, Any] | None:
        """What was recorded when the model was fitted; kept as it is, and not used."""
        return self._content.training

    @property
    def classes(self) -> tuple[Any, ...]:
        """The values that a decision may have, in the order of :meth:`predict_proba`."""
        if self._content.classes is not None:
            return self._content.classes
        return self._binary.classes

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read, each once: the order of the columns of arrays."""
        return tuple(need.name for need in self.block("probability").columns())

    def probability(self, data: Any) -> Any:
        """Return the probability of the positive class.

        Returns
        -------
        ndarray of float64, shape (rows,)
            NaN for rows without a score: by the policies ``null`` and ``quarantine``, or because the arithmetic ends in
            NaN. A Dask array for a Dask array, a Dask series for a Dask dataframe.

        Raises
        ------
        SchemaError
            Columns are missing or have a type that does not fit.
        BadCellsError
            A cell is an error by the policies of the model, or float64 cannot hold it.
        ValueError, TypeError
            The shape or kind of ``data`` is wrong, or the model has classes: see :meth:`predict_proba`.
        """
        if self._content.classes is not None:
            raise ValueError(f"the model has {len(self._content.classes)} classes: use predict_proba()")
        if is_dask(data):
            return self._by_blocks(self.probability, data, "probability")
        return self._floats(data, "probability")[:, 0]

    def predict_proba(self, data: Any) -> Any:
        """Return the probabilities of all classes: of the negative and the positive one, or of ``classes``.

        Returns
        -------
        ndarray of float64, shape (rows, classes)
            Of two classes each column is computed by itself, so that small probabilities keep their digits in both. NaN
            and errors as in :meth:`probability`.
        """
        if is_dask(data):
            return self._by_blocks(self.predict_proba, data, [f"probability_{class_text(c)}" for c in self.classes])
        if self._content.classes is not None:
            return self._floats(data, "probability")
        raw = self._floats(data, "raw_prediction")[:, 0]
        return np.column_stack([complement_of(self._content, raw), probability_of(self._content, raw, "fast")])

    def raw_prediction(self, data: Any) -> Any:
        """Return the value before the inverse of the link, which is the sigmoid unless the file names another.

        Returns
        -------
        ndarray of float64, shape (rows,), with classes (rows, classes)
            NaN and errors as in :meth:`probability`. Lazy for Dask rows, too.
        """
        classes = self._content.classes
        if is_dask(data):
            names = self._names("raw_prediction")
            return self._by_blocks(self.raw_prediction, data, names[0] if classes is None else names)
        raw = self._floats(data, "raw_prediction")
        return raw[:, 0] if classes is None else raw

    def points(self, data: Any) -> Any:
        """Return the points of each row, on the scale of ``output.points``.

        Returns
        -------
        ndarray of float64, shape (rows,)
            Whole numbers if the scale rounds them. NaN and errors as in :meth:`probability`.

        Raises
        ------
        ValueError
            The model has no ``output.points``. Others as in :meth:`probability`.
        """
        points = self._decided(data, self.points, "points", "points")
        return points if is_dask(data) else points[:, 0]

    def band(self, data: Any) -> Any:
        """Return the name of the band of each row; ``None`` without a score.

        Returns
        -------
        ndarray of object, shape (rows,)

        Raises
        ------
        ValueError
            The model has no ``output.bands``. Others as in :meth:`probability`.
        """
        if is_dask(data):
            self._check("band")
            return self._by_blocks(self.band, data, "band", np.dtype(object))
        self._check("band")
        return self._texts(data, self.block("band"))[:, 0]

    def predict(self, data: Any) -> Any:
        """Return the decision: the positive class if its probability is at least the threshold.

        The threshold is ``output.threshold`` of the model, or 0.5. With ``classes`` it is the first of those with the
        largest raw prediction.

        Returns
        -------
        ndarray, shape (rows,)
            The values of ``target`` or ``classes``, or booleans without them: bool, int64, float64 or text.

        Raises
        ------
        DataError
            Rows have no decision (policies ``null`` and ``quarantine``, or NaN): these types have no value for that.
            Other errors are those of :meth:`probability`.
        """
        dtype = np.array(self.classes).dtype
        if is_dask(data):
            return self._by_blocks(self.predict, data, "decision", dtype)
        scored = [(array, rejected) for (array,), rejected in self._scored(data, self.block("decision"))]
        if undecided := sum(array.null_count + len(rejected) for array, rejected in scored):
            raise DataError(
                f"{format_count(undecided)} rows have no decision: they have no score, or the score is NaN",
                "leave these rows out, or use probability(), which is NaN there",
            )
        return _joined([array.to_numpy(zero_copy_only=False).astype(dtype) for array, _ in scored], dtype)

    @property
    def _binary(self) -> BinaryMaker:
        return BinaryMaker(self._content, Requested(("decision",), DEFAULT_THRESHOLD, float32=False, precision="fast"))

    @property
    def _threshold(self) -> float:
        threshold = self.output.threshold
        return DEFAULT_THRESHOLD if threshold is None else threshold

    def _by_blocks(
        self, method: Callable[..., Any], data: Any, made: str | Sequence[str], dtype: np.dtype[Any] = _FLOAT64
    ) -> Any:
        """Return lazily what a method makes of Dask rows: one value a row by its name, or columns by theirs."""
        return by_blocks(method, data, self.columns, made, dtype)

    def _decided(self, data: Any, method: Callable[..., Any], column: Column, made: str | Sequence[str]) -> Any:
        self._check(column)
        return self._by_blocks(method, data, made) if is_dask(data) else self._floats(data, column)

    def _names(self, column: Column) -> list[str]:
        """Return the names of the columns of one word."""
        return [field.name for field in self.block(column).fields()]

    def _texts(self, data: Any, block: RowScorer) -> Any:
        """Return the columns of one word as objects, shape (rows, columns)."""
        width = len(block.fields())
        parts = [np.empty((0, width), dtype=object)]
        for arrays, rejected in self._scored(data, block):
            part = np.column_stack([np.array(array.to_pylist(), dtype=object) for array in arrays])
            part[rejected] = None
            parts.append(part)
        return np.concatenate(parts)

    def _check(self, column: Column) -> None:
        if self._content.classes is not None:
            raise ValueError(f'"{column}" is not for models with classes')
        if column != "reasons" and not self.output.has(column):
            raise ValueError(f"the model has no output.{SECTIONS[column]}")

    def _floats(self, data: Any, column: Column) -> Floats:
        """Return the columns of one word, shape (rows, columns)."""
        block = self.block(column)
        width = len(block.fields())
        parts = [
            np.column_stack([_with_nan(array, rejected) for array in arrays])
            for arrays, rejected in self._scored(data, block)
        ]
        return np.concatenate([np.empty((0, width)), *parts])

    def _scored(self, data: Any, block: RowScorer) -> Iterator[tuple[tuple[pa.Array, ...], Rows]]:
        """Yield the scores of each batch, and which of its rows the model sends to the quarantine."""
        first = 0
        for arrays in batches(data, block.accepted()):
            tally = RowTally(len(arrays[0]))
            scores, _ = block.scores(arrays, tally)
            if tally.bad.size:
                raise _bad_cells(tally, first)
            first += tally.rows
            yield scores, tally.rejected


def _joined(parts: list[npt.NDArray[Any]], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    return np.concatenate([np.empty(0, dtype=dtype), *parts])


def _with_nan(scores: pa.Array, rows: Rows) -> Floats:
    cells = numbers(scores)
    values: Floats = np.asarray(cells.values, dtype=np.float64)
    if rows.size or cells.null is not None:
        values = values.copy()
        values[rows] = np.nan
    if cells.null is not None:
        values[cells.null] = np.nan
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
