"""A logistic model for people to use: load it, save it, and ask it for probabilities."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Self

import numpy as np

from pipeline.dataclass import dataclass
from pipeline.models.in_memory import RowModel
from pipeline.models.logistic.feature import Coefficient, Feature
from pipeline.models.logistic.file import VERSIONS, ModelFile
from pipeline.models.logistic.output import Column
from pipeline.models.logistic.parsing import parse
from pipeline.models.logistic.score import ScoreBlock
from pipeline.models.store import read_file, write_file
from pipeline.types.lazy import is_dask
from pipeline.types.tabular import Summary


@dataclass(frozen=True, repr=False)
class LogisticModel(RowModel):
    """A logistic model of two classes, or of several: plain JSON that people can read. Nothing is ever unpickled.

    Immutable, picklable, and equal to a model with the same content. All methods may be called from several threads.

    Rows may be an Arrow table or record batch, a dataframe (anything with ``__arrow_c_stream__``), or a mapping from
    column names to arrays: columns are found by their names, and others are ignored. Rows may also be a NumPy array of
    shape (rows, columns) with the columns in the order of ``columns`` (of objects if there are categorical features),
    or a Dask array of that shape, split by rows only, which gives a Dask array. A Dask dataframe gives a lazy series,
    or a frame where there are several columns, with its index.

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

    def upgraded(self) -> LogisticModel:
        """Return the model as a file of the newest version has it: other digest, scores with the same bits."""
        return LogisticModel(self.file.model_copy(update={"version": VERSIONS[-1]}))

    def with_training(self, training: Mapping[str, Any]) -> Self:
        """Return the model with another record of how it was made."""
        return replace(self, file=self.file.model_copy(update={"training": training}))

    @property
    def features(self) -> tuple[Feature, ...]:
        """The features, in the order of the file, which is the order of summation."""
        return self.file.features

    @property
    def intercept(self) -> float | tuple[float, ...]:
        """The raw prediction if every column is at its center; with classes one for each."""
        return self.file.intercept

    def coefficients(self) -> list[Coefficient]:
        """Return the coefficients of the model, one for each column or level, in the order of the file."""
        from pipeline.models.logistic.show import coefficients  # noqa: PLC0415 - scoring needs none of it

        return list(coefficients(self.file))

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
        return self._decided(data, self.contributions, "contributions", self.contribution_names)

    def points_by_feature(self, data: Any) -> Any:
        """Return the points of the offset and each feature, in the order of ``contribution_names``.

        Returns
        -------
        ndarray of float64, shape (rows, terms)
            As in :meth:`points`.
        """
        return self._decided(data, self.points_by_feature, "points_by_feature", self.contribution_names)

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
        if is_dask(data):
            return self._reasons_by_blocks(self.reasons, data, count, 0)
        return self._reason_columns(data, count)[:, :: self._columns_of_a_reason]

    def reason_texts(self, data: Any, count: int | None = None) -> Any:
        """Return the texts of the reasons, as :meth:`reasons` returns their codes; ``None`` for one without a text."""
        if is_dask(data):
            return self._reasons_by_blocks(self.reason_texts, data, count, self._columns_of_a_reason - 1)
        codes = self.reasons(data, count)
        if self._columns_of_a_reason == 1:
            return np.full_like(codes, None)
        return self._reason_columns(data, count)[:, 1::2]

    @property
    def contribution_names(self) -> tuple[str, ...]:
        """The names of what adds to the raw prediction: the offset, then the features."""
        return self.file.terms

    @property
    def base(self) -> float | tuple[float, ...]:
        """The raw prediction if every column is 0; with classes one for each."""
        return self.file.base if self.file.classes is None else self.file.bases

    def _summary(self) -> Summary:
        from pipeline.models.logistic.show import facts  # noqa: PLC0415 - scoring needs none of it

        shown = [(name, value if isinstance(value, str) else f"{value:.6g}") for name, value in facts(self.file)]
        return Summary(shown, ("feature", "kind"), [(feature.label, feature.kind) for feature in self.features])

    @property
    def _content(self) -> ModelFile:
        return self.file

    def block(self, column: Column) -> ScoreBlock:
        """Return what makes the columns of one word of ``output.columns`` from Arrow columns."""
        return ScoreBlock(self.file, (column,), self._threshold)

    def _reasons_by_blocks(self, method: Callable[..., Any], data: Any, count: int | None, first: int) -> Any:
        self._check("reasons")
        names = [field.name for field in replace(self.block("reasons"), reasons=count).fields()]
        made = names[first :: self._columns_of_a_reason]
        return self._by_blocks(partial(method, count=count), data, made, np.dtype(object))

    @property
    def _columns_of_a_reason(self) -> int:
        return 2 if self.output.reasons is not None and self.output.reasons.has_texts else 1

    def _reason_columns(self, data: Any, count: int | None) -> Any:
        self._check("reasons")
        return self._texts(data, replace(self.block("reasons"), reasons=count))
