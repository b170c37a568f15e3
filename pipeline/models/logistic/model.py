"""A logistic model for people to use: load it, save it, and ask it for probabilities."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.errors import BadCellsError, DataError
from pipeline.models.columns import Rows, numbers
from pipeline.models.logistic.feature import Coefficient, Feature
from pipeline.models.logistic.file import VERSIONS, ModelFile, Target
from pipeline.models.logistic.making import BinaryMaker, Requested, complement_of, probability_of
from pipeline.models.logistic.output import SECTIONS, Column, Output
from pipeline.models.logistic.parsing import parse
from pipeline.models.logistic.score import DEFAULT_THRESHOLD, ScoreBlock
from pipeline.models.rows import batches
from pipeline.models.store import read_file, write_file
from pipeline.models.tally import RowTally
from pipeline.types.tabular import Summary, Tabular
from pipeline.units import escape, format_count

Floats = npt.NDArray[np.float64]

_FLOAT64 = np.dtype(np.float64)
_CORRECT = "correct the value, or leave the row out (rows are counted from 0)"
_ROUND = "make the column float64, which rounds it; for files, logitstream score has --type NAME=float64"


@dataclass(frozen=True, repr=False)
class LogisticModel(Tabular):
    """A logistic model of two classes, or of several: plain JSON that people can read. Nothing is ever unpickled.

    Immutable, picklable, and equal to a model with the same content. All methods may be called from several threads.

    Rows may be an Arrow table or record batch, a dataframe (anything with ``__arrow_c_stream__``), or a mapping from
    column names to arrays: columns are found by their names, and others are ignored. Rows may also be a NumPy array of
    shape (rows, columns) with the columns in the order of ``columns`` (of objects if there are categorical features),
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

    def export(
        self, kind: str, path: str | os.PathLike[str] | None = None, *, dialect: str | None = None
    ) -> str | bytes:
        """Return the model as another tool takes it, and write it to a file if one is named.

        Parameters
        ----------
        kind : {"sql", "onnx", "pmml", "python"}
            SQL expressions for a SELECT, an ONNX graph, PMML, or a Python module that imports the standard library
            alone.
        path : path, optional
            The file is written in one step; one that exists is replaced.
        dialect : {"duckdb", "postgresql", "spark"}, optional
            The database that the SQL is for; DuckDB unless given.

        Returns
        -------
        str or bytes
            Text, or bytes for ``onnx``.

        Raises
        ------
        ModelError
            The target cannot express a part of the model; the message names it, and nothing is written.
        UsageError
            There is no such target or dialect.
        ConfigurationError
            A package that the target needs is not installed.
        InputMissingError, PermissionDeniedError, StorageError
            The file cannot be written.
        """
        from pipeline.conversion.exporting import export  # noqa: PLC0415 - no run needs it

        return export(self.file, kind, path, dialect)

    def to_sklearn(self) -> Any:
        """Return a fitted scikit-learn Pipeline with the probabilities of the model.

        It takes a pandas dataframe with the columns of the model. Centers and scales are folded into the coefficients
        and the intercept: read back with :func:`pipeline.from_sklearn`, raw predictions have the same bits. Its own
        differ in the last places, because scikit-learn adds in another order. A model with a threshold is the Pipeline
        in a FixedThresholdClassifier.

        Raises
        ------
        ModelError
            scikit-learn has no step for a part of the model, such as a policy that makes a row null, an offset, another
            link, points, or a feature that is neither numeric nor categorical; the message names it.
        ConfigurationError
            scikit-learn or pandas is not installed.
        """
        from pipeline.conversion.sklearn.writing import to_sklearn  # noqa: PLC0415 - no run needs it

        return to_sklearn(self.file)

    def digest(self) -> str:
        """Return the SHA-256, in hexadecimal, of the content of the model, however its file is laid out."""
        return self.file.digest()

    def upgraded(self) -> LogisticModel:
        """Return the model as a file of the newest version has it: other digest, scores with the same bits."""
        return LogisticModel(self.file.model_copy(update={"version": VERSIONS[-1]}))

    @property
    def kind(self) -> str:
        """The kind of model, as its file names it."""
        return self.file.kind

    @property
    def features(self) -> tuple[Feature, ...]:
        """The features, in the order of the file, which is the order of summation."""
        return self.file.features

    @property
    def intercept(self) -> float | tuple[float, ...]:
        """The raw prediction if every column is at its center; with classes one for each."""
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
        from pipeline.models.logistic.show import coefficients  # noqa: PLC0415 - scoring needs none of it

        return list(coefficients(self.file))

    @property
    def classes(self) -> tuple[Any, ...]:
        """The values that a decision may have, in the order of :meth:`predict_proba`."""
        if self.file.classes is not None:
            return self.file.classes
        return self._binary.classes

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read, each once: the order of the columns of arrays."""
        return tuple(need.name for need in self._block("probability").columns())

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
            The shape or kind of ``data`` is wrong, or the model has classes: see :meth:`predict_proba`.
        """
        if self.file.classes is not None:
            raise ValueError(f"the model has {len(self.file.classes)} classes: use predict_proba()")
        if _is_dask(data):
            return self._by_blocks(self.probability, data)
        return self._floats(data, "probability")[:, 0]

    def predict_proba(self, data: Any) -> Any:
        """Return the probabilities of all classes: of the negative and the positive one, or of ``classes``.

        Returns
        -------
        ndarray of float64, shape (rows, classes)
            Of two classes each column is computed by itself, so that small probabilities keep their digits in both. NaN
            and errors as in :meth:`probability`.
        """
        count = len(self.classes)
        if _is_dask(data):
            return self._by_blocks(self.predict_proba, data, count)
        if self.file.classes is not None:
            return self._floats(data, "probability")
        raw = self._floats(data, "raw_prediction")[:, 0]
        return np.column_stack([complement_of(self.file, raw), probability_of(self.file, raw, "fast")])

    def raw_prediction(self, data: Any) -> Any:
        """Return the value before the inverse of the link, which is the sigmoid unless the file names another.

        Returns
        -------
        ndarray of float64, shape (rows,), with classes (rows, classes)
            NaN and errors as in :meth:`probability`. A Dask array for a Dask array.
        """
        classes = self.file.classes
        if _is_dask(data):
            return self._by_blocks(self.raw_prediction, data, None if classes is None else len(classes))
        raw = self._floats(data, "raw_prediction")
        return raw[:, 0] if classes is None else raw

    def contributions(self, data: Any) -> Any:
        """Return what the offset and each feature add to the raw prediction, in the order of ``contribution_names``.

        ``base``, then these, added one by one, is the raw prediction bit for bit.

        Returns
        -------
        ndarray of float64, shape (rows, terms)
            NaN and errors as in :meth:`probability`.

        Raises
        ------
        ValueError
            The model has classes. Others as in :meth:`probability`.
        """
        return self._decided(data, self.contributions, "contributions", len(self.contribution_names))

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
        points = self._decided(data, self.points, "points")
        return points if _is_dask(data) else points[:, 0]

    def points_by_feature(self, data: Any) -> Any:
        """Return the points of the offset and each feature, in the order of ``contribution_names``.

        Returns
        -------
        ndarray of float64, shape (rows, terms)
            As in :meth:`points`.
        """
        return self._decided(data, self.points_by_feature, "points_by_feature", len(self.contribution_names))

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
        if _is_dask(data):
            self._check("band")
            return self._by_blocks(self.band, data, dtype=np.dtype(object))
        return self._texts(data, "band")[:, 0]

    def reasons(self, data: Any, count: int | None = None) -> Any:
        """Return the codes of the features that lower (or raise) the raw prediction most, the first reason first.

        Parameters
        ----------
        data : rows
        count : int, optional
            How many; as many as ``output.reasons`` says, or 3.

        Returns
        -------
        ndarray of object, shape (rows, count)
            ``None`` where fewer features lower it, and in rows without a score. Errors as in :meth:`probability`.
        """
        if _is_dask(data):
            return self._reasons_by_blocks(self.reasons, data, count)
        texts = self._texts(data, "reasons", count)
        return texts[:, :: self._columns_of_a_reason]

    def reason_texts(self, data: Any, count: int | None = None) -> Any:
        """Return the texts of the reasons, as :meth:`reasons` returns their codes; ``None`` for one without a text."""
        if _is_dask(data):
            return self._reasons_by_blocks(self.reason_texts, data, count)
        codes = self.reasons(data, count)
        if self._columns_of_a_reason == 1:
            return np.full_like(codes, None)
        return self._texts(data, "reasons", count)[:, 1::2]

    @property
    def contribution_names(self) -> tuple[str, ...]:
        """The names of what adds to the raw prediction: the offset, then the features."""
        return self.file.terms

    @property
    def base(self) -> float | tuple[float, ...]:
        """The raw prediction if every column is 0; with classes one for each."""
        return self.file.base if self.file.classes is None else self.file.bases

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
        if _is_dask(data):
            return self._by_blocks(self.predict, data, dtype=dtype)
        scored = [(array, rejected) for (array,), rejected in self._scored(data, self._block("decision"))]
        if undecided := sum(array.null_count + len(rejected) for array, rejected in scored):
            raise DataError(
                f"{format_count(undecided)} rows have no decision: they have no score, or the score is NaN",
                "leave these rows out, or use probability(), which is NaN there",
            )
        return _joined([array.to_numpy(zero_copy_only=False).astype(dtype) for array, _ in scored], dtype)

    @property
    def _binary(self) -> BinaryMaker:
        return BinaryMaker(self.file, Requested(("decision",), DEFAULT_THRESHOLD, float32=False, precision="fast"))

    def _summary(self) -> Summary:
        from pipeline.models.logistic.show import facts  # noqa: PLC0415 - scoring needs none of it

        shown = [(name, value if isinstance(value, str) else f"{value:.6g}") for name, value in facts(self.file)]
        return Summary(shown, ("feature", "kind"), [(feature.label, feature.kind) for feature in self.features])

    def _block(self, column: Column) -> ScoreBlock:
        threshold = self.output.threshold
        return ScoreBlock(self.file, (column,), DEFAULT_THRESHOLD if threshold is None else threshold)

    def _by_blocks(
        self, method: Callable[..., Any], data: Any, width: int | None = None, dtype: np.dtype[Any] = _FLOAT64
    ) -> Any:
        """Return what a method makes of each block of a Dask array, shape (rows,) or (rows, width)."""
        checked = _check_dask(data, len(self.columns))
        if width is None:
            return checked.map_blocks(method, drop_axis=1, dtype=dtype, meta=np.empty(0, dtype=dtype))
        chunks, meta = (data.chunks[0], (width,)), np.empty((0, width), dtype=dtype)
        return checked.map_blocks(method, chunks=chunks, dtype=dtype, meta=meta)

    def _reasons_by_blocks(self, method: Callable[..., Any], data: Any, count: int | None) -> Any:
        self._check("reasons")
        made = len(replace(self._block("reasons"), reasons=count).fields())
        return self._by_blocks(partial(method, count=count), data, made // self._columns_of_a_reason, np.dtype(object))

    @property
    def _columns_of_a_reason(self) -> int:
        return 2 if self.output.reasons is not None and self.output.reasons.has_texts else 1

    def _decided(self, data: Any, method: Callable[..., Any], column: Column, width: int | None = None) -> Any:
        self._check(column)
        return self._by_blocks(method, data, width) if _is_dask(data) else self._floats(data, column)

    def _texts(self, data: Any, column: Column, count: int | None = None) -> Any:
        """Return the columns of one word as objects, shape (rows, columns)."""
        self._check(column)
        block = replace(self._block(column), reasons=count)
        width = len(block.fields())
        parts = [np.empty((0, width), dtype=object)]
        for arrays, rejected in self._scored(data, block):
            part = np.column_stack([np.array(array.to_pylist(), dtype=object) for array in arrays])
            part[rejected] = None
            parts.append(part)
        return np.concatenate(parts)

    def _check(self, column: Column) -> None:
        if self.file.classes is not None:
            raise ValueError(f'"{column}" is not for models with classes')
        if column != "reasons" and not self.output.has(column):
            raise ValueError(f"the model has no output.{SECTIONS[column]}")

    def _floats(self, data: Any, column: Column) -> Floats:
        """Return the columns of one word, shape (rows, columns)."""
        block = self._block(column)
        width = len(block.fields())
        parts = [
            np.column_stack([_with_nan(array, rejected) for array in arrays])
            for arrays, rejected in self._scored(data, block)
        ]
        return np.concatenate([np.empty((0, width)), *parts])

    def _scored(self, data: Any, block: ScoreBlock) -> Iterator[tuple[tuple[pa.Array, ...], Rows]]:
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


def _is_dask(data: Any) -> bool:
    return hasattr(data, "map_blocks") and hasattr(data, "numblocks")


def _check_dask(data: Any, features: int) -> Any:
    if data.ndim != 2 or data.shape[1] != features:
        raise ValueError(f"a Dask array must have shape (rows, {features}), got {data.shape}")
    if data.numblocks[1] != 1:
        raise ValueError("columns of the Dask array are in separate blocks; join them: data.rechunk({1: -1})")
    return data
