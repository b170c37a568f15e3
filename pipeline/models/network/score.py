"""Scoring with a network as a block function."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace
from functools import cached_property
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.choices import Precision
from pipeline.dataclass import dataclass
from pipeline.errors import InputMissingError, UsageError
from pipeline.kernels import arithmetic_tag
from pipeline.models.columns import Mask, unfit_columns
from pipeline.models.logistic.batch import BatchColumns
from pipeline.models.logistic.feature import Use
from pipeline.models.logistic.gathered import GatheredParts
from pipeline.models.logistic.making import Maker, Raw, Requested, maker_of
from pipeline.models.logistic.output import COLUMNS, Column
from pipeline.models.logistic.score import (
    accepted_of,
    asked_of,
    check_threshold,
    facts_of,
    needs_of,
    uses_by_column,
    values_of,
)
from pipeline.models.network.compute import Network, network_of
from pipeline.models.network.file import NetworkFile
from pipeline.models.network.steps import ROW_BYTES, SEQUENCE_ROW_BYTES, PreparedSteps
from pipeline.models.request import ScoreRequest
from pipeline.models.tally import BatchColumn, RowTally
from pipeline.types.blocks import Field, Values
from pipeline.types.features import FeatureFacts
from pipeline.types.inputs import Need
from pipeline.units import escape

Floats = npt.NDArray[np.float64]

# What is odd in a column of a feature, for each row: a place and a number, and a mask while it is looked for.
_ODD_BYTES = 18


@dataclass(frozen=True)
class NetworkBlock:
    """Scores rows with a network.

    Equal rows give equal bits in every batch: see :meth:`pipeline.models.network.compute.Network.raw`. The arithmetic
    is that of the weights, float32 or float64; the raw predictions are float64 from there on, and become columns as
    those of a logistic model do.

    Frozen and picklable; may be called from several threads at once. The weights do not travel with it: each process
    reads them once, at the path and with the SHA-256 that it names.

    Parameters
    ----------
    model : NetworkFile
    path : str
        Where the weights are.
    columns_made : tuple of str
        Which columns to make: words of ``output.columns``.
    threshold : float
        A decision is positive if the probability, in float64, is at least this, and otherwise negative.
    float32 : bool
        Round probability and raw prediction to float32.
    precision : {"fast", "accurate"}
        The precision of the probability.
    decimal : str
        The decimal sign of levels that are text.
    with_point : frozenset of str
        Columns whose text has a decimal point all the same; no part of the description.
    held : bytes or None
        The weights, where they are not yet in a file; no part of the description.
    """

    model: NetworkFile
    path: str
    columns_made: tuple[Column, ...]
    threshold: float
    float32: bool = False
    precision: Precision = "fast"
    decimal: str = "."
    with_point: frozenset[str] = frozenset()
    held: bytes | None = field(default=None, repr=False)

    @classmethod
    def of(cls, model: NetworkFile, path: str, request: ScoreRequest) -> NetworkBlock:
        """Return the block that a network's ``output`` asks for, with what a request adds.

        Raises
        ------
        UsageError
            The request is not for networks, or not for one with classes.
        """
        if request.precision == "reproducible":
            raise UsageError(
                "--precision reproducible is not for networks: the products of their layers depend on the CPU and BLAS",
                "leave it out: scores have the same bits on one kind of CPU with one numpy",
            )
        if request.reasons is not None:
            raise UsageError("--reasons is not for networks, whose score is no sum of contributions", "leave it out")
        made, cut = asked_of(model, request)
        check_threshold(cut)
        located = model.model_copy(update={"weights": model.weights.named(path)})
        return cls(located, path, made, cut, request.float32, request.precision, request.decimal)

    def pointed(self, columns: frozenset[str]) -> NetworkBlock:
        """Return the block for a file in which the text of these columns has a decimal point."""
        return self if self.decimal == "." else replace(self, with_point=columns)

    @property
    def whole_chunk(self) -> bool:
        """Never: rows do not depend on each other."""
        return False

    @property
    def scratch_row_bytes(self) -> int:
        """The bytes of a row of raw predictions, of what is prepared of the features, and of what the results need."""
        return scratch_row_bytes(self.model) + self._maker.scratch_row_bytes

    @property
    def table_bytes(self) -> int:
        """The bytes of the weights in each process."""
        return self._network.table_bytes

    @property
    def call_bytes(self) -> int:
        """The bytes of the tiles of a call, however many rows it has."""
        return self._network.call_bytes

    def beside(self) -> dict[str, str]:
        """Return the path of the weights by their SHA-256."""
        return {self.model.weights.sha256: self.path}

    def arithmetic_tag(self) -> str:
        """Return a name for everything that the bits depend on here: functions, BLAS, and the type of the sums."""
        return f"{arithmetic_tag(self.precision)}-{self._network.tag()}"

    def columns(self) -> tuple[Need, ...]:
        """Return the columns of the features and of the offset, each once, in the order of the model file."""
        return needs_of(self._uses)

    def accepted(self) -> tuple[Need, ...]:
        """Return the columns with the role ``kept`` where any type fits: only whether they are missing is asked."""
        return accepted_of(self._uses)

    def features(self) -> tuple[FeatureFacts, ...]:
        """Return what the model says of its columns, in the order of :meth:`columns`."""
        return tuple(facts_of(name, uses) for name, uses in self._uses.items())

    def fields(self) -> tuple[Field, ...]:
        """Return the columns that are made, in the order of ``COLUMNS``.

        They are nullable if a feature or the offset has the policy ``null``. A decision is also null where the
        arithmetic ends in NaN.
        """
        nullable = any("null" in use.policies for use in self.model.uses)
        return tuple(self._maker.fields(nullable=nullable, may_be_nan=True))

    def check(self, fields: Sequence[pa.Field]) -> list[str]:
        """Return one sentence for each Arrow field, in the order of ``columns()``, whose type does not fit."""
        count = len(self.model.sequences)
        plain = [(need.name, need.role) for need in self.accepted()[count:]]
        return [*self._unfit_sequences(fields[:count]), *unfit_columns(plain, fields[count:])]

    def _unfit_sequences(self, fields: Sequence[pa.Field]) -> Iterator[str]:
        for feature, each in zip(self.model.sequences, fields, strict=True):
            reason = feature.unfit(each.type, self.model.steps)
            if reason is not None:
                yield f'column "{escape(feature.column)}" {reason}'

    def block(self, columns: Sequence[pa.Array]) -> Values:
        """Return the scores of a batch.

        Null results are zero in memory. ``nan`` counts the rows whose raw prediction is NaN; a decision is null there.
        Events include rejected rows.
        """
        tally = RowTally(len(columns[0]))
        arrays, nan = self.scores(columns, tally)
        return values_of(tally, arrays, nan)

    def scores(self, columns: Sequence[pa.Array], tally: RowTally) -> tuple[tuple[pa.Array, ...], Mask]:
        """Return the arrays of a batch and which rows are NaN; ``tally`` gets what else happened to the rows.

        A rejected row has the scores of a raw prediction of 0.
        """
        raw = self._raw(self.batch_of(columns, tally))
        null = tally.null
        for where in (tally.rejected,) if null is None else (null, tally.rejected):
            raw[:, where] = 0.0
        # The sign and payload of a NaN depend on its place in the tile.
        raw[np.isnan(raw)] = np.nan
        nan = self._maker.is_nan(raw)
        return tuple(self._maker.arrays(Raw(raw, null, nan, GatheredParts()))), nan

    def batch_of(self, columns: Sequence[pa.Array], tally: RowTally) -> BatchColumns:
        """Return the columns of a batch, as the features read them."""
        named = {
            name: BatchColumn(position, name, array, "." if name in self.with_point else self.decimal)
            for position, (name, array) in enumerate(zip(self._uses, columns, strict=True))
        }
        return BatchColumns(named, tally, self.precision)

    def _raw(self, batch: BatchColumns) -> Floats:
        """Return the raw predictions of a batch, shape (outputs, rows); of a row without a score any number."""
        raw = self._sums(batch)
        if self.model.offset is not None:
            with np.errstate(all="ignore"):
                raw += self.model.offset.values(batch)
        return raw

    def _sums(self, batch: BatchColumns) -> Floats:
        """Return what the last layer gives."""
        model, network = self.model, self._network
        if model.sequences:
            raw = np.zeros((model.outputs, batch.tally.rows))
            steps = PreparedSteps.read(model.sequences, model.steps, batch)
            network.raw_of_steps(steps, steps.rows, steps.lengths, raw)
            steps.settle(batch.tally)
            return raw
        inputs = [feature.prepare(batch) for feature in model.plain]
        raw = np.empty((model.outputs, batch.tally.rows))
        network.raw(inputs, raw)
        return raw

    def describe(self) -> dict[str, object]:
        """Return JSON from which the block is made again: the model, with the SHA-256 of its weights, and the options.

        The path of the weights is not in it; see :meth:`beside`.
        """
        return {
            "function": "score",
            "model": self.model.identity(),
            "columns": [column for column in COLUMNS if column in self.columns_made],
            "threshold": self.threshold,
            "float32": self.float32,
            "precision": self.precision,
            **({} if self.decimal == "." else {"decimal": self.decimal}),
        }

    @cached_property
    def _network(self) -> Network:
        return network_of(self.model, self.path, self.held)

    @cached_property
    def _uses(self) -> dict[str, list[Use]]:
        return uses_by_column(self.model.uses)

    @cached_property
    def _maker(self) -> Maker:
        made = tuple(column for column in COLUMNS if column in self.columns_made)
        return maker_of(self.model, Requested(made, self.threshold, self.float32, self.precision))

    def __getstate__(self) -> dict[str, Any]:
        """Return the parameters: what is made of them is made again in another process."""
        return {name: self.__dict__[name] for name in self.__dataclass_fields__}


def scratch_row_bytes(model: NetworkFile) -> int:
    """Return the bytes that scoring a row takes in addition to its cells and its results."""
    raw = 8 * model.outputs * (1 if model.classes is None else 2)
    # What is added, and the same while it is read.
    raw += 0 if model.offset is None else 16 + _ODD_BYTES
    if model.sequences:
        return raw + ROW_BYTES + SEQUENCE_ROW_BYTES * len(model.sequences)
    return raw + _ODD_BYTES * len(model.features)


def restore_network(description: Mapping[str, object], beside: Mapping[str, str]) -> NetworkBlock:
    """Make a block again from what ``describe()`` returned; ``beside`` has the paths of weights by their SHA-256.

    Raises
    ------
    InputMissingError
        Nothing says where the weights are.
    """
    options = cast("Mapping[str, Any]", description)
    digest = options["model"]["weights"]["sha256"]
    path = beside.get(digest)
    if path is None:
        raise InputMissingError(
            f"nothing says where the weights with the SHA-256 {digest} are", "score the inputs anew with the model"
        )
    weights = {"file": os.path.basename(path), "sha256": digest}  # noqa: PTH119 - a text
    model = NetworkFile.model_validate({**options["model"], "weights": weights})
    return NetworkBlock(
        model,
        path,
        tuple(options["columns"]),
        options["threshold"],
        options["float32"],
        options["precision"],
        options.get("decimal", "."),
    )
