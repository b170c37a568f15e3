"""Functions of columns as a block function: the flow of scoring without a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline import kernels
from pipeline.errors import UsageError
from pipeline.grammar import Application, refuse_repeated
from pipeline.models.columns import Mask, numbers, unfit_columns
from pipeline.models.results import float_array
from pipeline.models.tally import Tally
from pipeline.models.terms import INEXACT
from pipeline.types import Field, Need, Precision, Values
from pipeline.units import escape

Floats = npt.NDArray[np.float64]
_Function = Callable[[Floats, Precision], Floats]


def _sigmoid(values: Floats, precision: Precision) -> Floats:
    return kernels.sigmoid(values, precision=precision)


def _logit(values: Floats, precision: Precision) -> Floats:
    return kernels.logit(values, precision=precision)


def _log_sigmoid(values: Floats, precision: Precision) -> Floats:
    return kernels.log_sigmoid(values, precision=precision)


FUNCTIONS: Mapping[str, _Function] = {"sigmoid": _sigmoid, "logit": _logit, "log_sigmoid": _log_sigmoid}


@dataclass(frozen=True)
class TransformBlock:
    """Applies functions to columns, element by element in float64.

    Null gives null and NaN gives NaN, as does a value outside the domain of a function. Equal values give equal bits in
    whatever batch they come. Frozen and picklable; may be called from several threads at once.

    Parameters
    ----------
    applications : tuple of Application
        One for each result, in the order of the results.
    float32 : bool
        Round the results to float32.
    precision : {"fast", "accurate", "reproducible"}
        Of the functions.
    """

    applications: tuple[Application, ...]
    float32: bool = False
    precision: Precision = "fast"

    def __post_init__(self) -> None:
        if not self.applications:
            raise UsageError("nothing to apply", "give NAME=FUNCTION(COLUMN) at least once")
        refuse_repeated(self.applications)
        for application in self.applications:
            if application.function not in FUNCTIONS:
                raise UsageError(f'no function "{escape(application.function)}"')

    @property
    def whole_chunk(self) -> bool:
        """Never: rows do not depend on each other."""
        return False

    def columns(self) -> tuple[Need, ...]:
        """Return the columns that the functions take, each once, in the order of their first use."""
        return tuple(Need(name, "numeric") for name in self._column_names())

    def fields(self) -> tuple[Field, ...]:
        """Return the results, nullable: whether a column has nulls is known only when it is read."""
        number = pa.float32() if self.float32 else pa.float64()
        return tuple(Field(application.name, number, nullable=True) for application in self.applications)

    def check(self, fields: Sequence[pa.Field]) -> list[str]:
        """Return one sentence for each Arrow field, in the order of ``columns()``, whose type is unfit."""
        return unfit_columns([(need.name, need.role) for need in self.columns()], fields)

    def block(self, columns: Sequence[pa.Array]) -> Values:
        """Return the results of a batch; zero in memory where null.

        ``null`` counts the rows with a null result, ``nan`` those with a NaN and no null.
        """
        tally = Tally(len(columns[0]))
        values = {
            name: _values(position, name, array, tally)
            for position, (name, array) in enumerate(zip(self._column_names(), columns, strict=True))
        }
        nan = np.zeros(tally.rows, dtype=np.bool_)
        arrays = [self._result(application, *values[application.column], nan) for application in self.applications]
        if (null := tally.null) is not None:
            nan &= ~null
        nan[tally.rejected] = False
        return Values(
            arrays=tuple(arrays),
            null=tally.null_count,
            nan=int(np.count_nonzero(nan)),
            events=tally.events,
            rejected=tally.cells(tally.rejected),
        )

    def describe(self) -> dict[str, object]:
        """Return JSON from which :func:`restore` makes the block again."""
        return {
            "function": "transform",
            "applications": [[item.name, item.function, item.column] for item in self.applications],
            "float32": self.float32,
            "precision": self.precision,
        }

    def _column_names(self) -> list[str]:
        return list(dict.fromkeys(application.column for application in self.applications))

    def _result(self, application: Application, values: Floats, null: Mask | None, nan: Mask) -> pa.Array:
        result = FUNCTIONS[application.function](values, self.precision)
        if null is not None:
            result[null] = 0.0
        nan |= np.isnan(result)
        return float_array(result, null, float32=self.float32)


def restore_transform(description: Mapping[str, object]) -> TransformBlock:
    """Make a block again from what ``describe()`` returned."""
    options = cast("Mapping[str, Any]", description)
    applications = tuple(Application(*parts) for parts in options["applications"])
    return TransformBlock(applications, options["float32"], options["precision"])


def _values(position: int, name: str, array: pa.Array, tally: Tally) -> tuple[Floats, Mask | None]:
    cells = numbers(array)
    tally.add_bad(cells.inexact, position, name, array, INEXACT)
    values = cells.values.astype(np.float64, copy=False)
    if cells.null is not None:
        tally.set_null(cells.null)
        tally.count(f"missing {name}", int(np.count_nonzero(cells.null)))
    infinite = np.isinf(values)
    tally.count(f"infinite {name}", int(np.count_nonzero(infinite if cells.null is None else infinite & ~cells.null)))
    return values, cells.null
