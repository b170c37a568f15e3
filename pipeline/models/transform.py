"""Functions of columns as a block function: the flow of scoring without a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline import kernels
from pipeline.choices import Precision
from pipeline.dataclass import dataclass
from pipeline.errors import UsageError
from pipeline.grammar import Application, refuse_repeated
from pipeline.models.columns import Mask, Numbers, levels, numbers, unfit_arguments
from pipeline.models.results import float_array
from pipeline.models.tally import BatchColumn, RowTally
from pipeline.registry import FUNCTIONS, function_named
from pipeline.types.blocks import Field, Values
from pipeline.types.inputs import Need
from pipeline.units import escape

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class _Cells:
    """The cells of a column: values, or the distinct values of a dictionary and for each row which of them it has.

    Attributes
    ----------
    values : ndarray of float64
    codes : ndarray of intp, shape (rows,), or None
    null : ndarray of bool, shape (rows,), or None
    """

    values: Floats
    codes: Codes | None
    null: Mask | None

    def spread(self, results: Floats) -> Floats:
        """Return results for the values as results for the rows."""
        return results if self.codes is None else results[self.codes]


@dataclass(frozen=True)
class TransformBlock:
    """Applies functions to columns, element by element in float64.

    Null gives null. NaN and values outside the domain of a function give NaN. If a function takes several columns, a
    null in one of them makes all of its results null. Equal values give equal bits in every batch; the values of a
    dictionary are computed once. Frozen and picklable; may be called from several threads at once.

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
        for application in self.applications:
            _check(application)
        refuse_repeated(self.applications)

    @property
    def whole_chunk(self) -> bool:
        """Never: rows do not depend on each other."""
        return False

    @property
    def scratch_row_bytes(self) -> int:
        """The float64 cells of a column; results are made in separate arrays."""
        return 8

    @property
    def table_bytes(self) -> int:
        """It has no tables."""
        return 0

    def columns(self) -> tuple[Need, ...]:
        """Return the columns that the functions take, each once, in the order of their first use."""
        return tuple(Need(name, "numeric") for name in self._column_names())

    def fields(self) -> tuple[Field, ...]:
        """Return the results, nullable: whether a column has nulls is known only when it is read."""
        number = pa.float32() if self.float32 else pa.float64()
        return tuple(Field(name, number, nullable=True) for item in self.applications for name in item.outputs)

    def check(self, fields: Sequence[pa.Field]) -> list[str]:
        """Return one sentence for each Arrow field, in the order of ``columns()``, whose type does not fit."""
        return unfit_arguments(self._column_names(), fields)

    def block(self, columns: Sequence[pa.Array]) -> Values:
        """Return the results of a batch; zero in memory where null.

        ``null`` counts the rows with a null result, ``nan`` those with a NaN and no null.
        """
        tally = RowTally(len(columns[0]))
        values = {
            name: _cells(position, name, array, tally)
            for position, (name, array) in enumerate(zip(self._column_names(), columns, strict=True))
        }
        nan = np.zeros(tally.rows, dtype=np.bool_)
        arrays = [
            array for item in self.applications for array in self._results(item, [values[c] for c in item.columns], nan)
        ]
        if (null := tally.null) is not None:
            nan &= ~null
        nan[tally.rejected] = False
        return Values(
            arrays=tuple(arrays),
            null=tally.null_count,
            nan=int(np.count_nonzero(nan)),
            events=tally.events,
            rejected=tally.cells(tally.rejected),
            null_rows=null,
            nan_rows=nan,
        )

    def describe(self) -> dict[str, object]:
        """Return JSON from which :func:`restore` makes the block again."""
        return {
            "function": "transform",
            "applications": [_parts(item) for item in self.applications],
            "float32": self.float32,
            "precision": self.precision,
        }

    def _column_names(self) -> list[str]:
        return list(dict.fromkeys(column for application in self.applications for column in application.columns))

    def _results(self, application: Application, cells: Sequence[_Cells], nan: Mask) -> list[pa.Array]:
        options = dict(application.parameters)
        null: Mask | None = None
        for each in cells:
            if each.null is not None:
                null = each.null if null is None else null | each.null
        if FUNCTIONS[application.function].several:
            columns = [each.spread(each.values) for each in cells]
            results = kernels.softmax_columns(columns, precision=self.precision, **options)
        else:
            (only,) = cells
            results = [only.spread(_evaluate(application.function, only.values, self.precision, options))]
        arrays = []
        for result in results:
            if null is not None:
                result[null] = 0.0
            nan |= np.isnan(result)
            arrays.append(float_array(result, null, float32=self.float32))
        return arrays


def restore_transform(description: Mapping[str, object]) -> TransformBlock:
    """Make a block again from what ``describe()`` returned."""
    options = cast("Mapping[str, Any]", description)
    applications = tuple(_application(*parts) for parts in options["applications"])
    return TransformBlock(applications, options["float32"], options["precision"])


def _check(application: Application) -> None:
    """Raise a ``UsageError`` if an application that did not come from the parser is not valid."""
    try:
        entry = function_named(application.function)
        entry.arguments(dict(application.parameters))
    except (LookupError, TypeError, ValueError) as error:
        raise UsageError(escape(error.args[0], 300)) from None
    if not application.columns or (len(application.columns) > 1) != entry.several:
        raise UsageError(f"{entry.name} takes {'two columns or more' if entry.several else 'one column'}")


def _parts(application: Application) -> list[object]:
    """Return an application as JSON: name, function and column, or columns and parameters if there are several."""
    first = [application.name, application.function]
    if len(application.columns) == 1 and not application.parameters:
        return [*first, application.columns[0]]
    return [*first, list(application.columns), dict(application.parameters)]


def _application(
    name: str, function: str, columns: str | Sequence[str], parameters: Mapping[str, float] = MappingProxyType({})
) -> Application:
    named = (columns,) if isinstance(columns, str) else tuple(columns)
    return Application(name, function, named, tuple(parameters.items()))


def _evaluate(name: str, values: Floats, precision: Precision, options: Mapping[str, Any]) -> Floats:
    return kernels.evaluate(name, values, precision=precision, **options)


def _cells(position: int, name: str, array: pa.Array, tally: RowTally) -> _Cells:
    cells = _distinct_cells(array) if pa.types.is_dictionary(array.type) else None
    codes = None
    if cells is None:
        found = numbers(array)
        values, null, inexact = found.values, found.null, found.inexact
    else:
        found, codes, null = cells
        values, inexact = found.values, np.flatnonzero(np.isin(codes, found.inexact))
        if null is not None:
            inexact = inexact[~null[inexact]]
    tally.add_bad(inexact, BatchColumn(position, name, array), "inexact")
    values = values.astype(np.float64, copy=False)
    if null is not None:
        tally.set_null(null)
        tally.count(f"missing {name}", int(np.count_nonzero(null)))
    infinite = np.isinf(values) if codes is None else np.isinf(values)[codes]
    tally.count(f"infinite {name}", int(np.count_nonzero(infinite if null is None else infinite & ~null)))
    return _Cells(values, codes, null)


def _distinct_cells(array: pa.Array) -> tuple[Numbers, Codes, Mask | None] | None:
    """Return the numbers of a dictionary, the codes of the rows and where they are null; ``None`` if it is long."""
    if not 0 < len(array.dictionary) < len(array):
        return None
    found = numbers(array.dictionary)
    indices = levels(array)
    codes = indices.codes.astype(np.intp)
    null = indices.null
    if null is not None:
        codes[null] = 0
    if found.null is not None:
        null = found.null[codes] if null is None else null | found.null[codes]
    return found, codes, null
