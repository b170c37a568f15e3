"""Rows scored by a fitted estimator or result and by its model: in memory, and once more from a CSV file."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.conversion.agreement import absolute_differences, score_values
from pipeline.conversion.importing import versioned
from pipeline.dataclass import dataclass
from pipeline.errors import DataError, LogitstreamError, UsageError
from pipeline.models.logistic.features import kind_of
from pipeline.models.logistic.file import ModelFile
from pipeline.models.logistic.model import LogisticModel
from pipeline.models.logistic.score import ScoreBlock
from pipeline.models.network.inputs import PlainInput, input_values
from pipeline.models.network.model import NetworkModel
from pipeline.models.rows import batches
from pipeline.types.inputs import Need
from pipeline.types.rows import BadCell
from pipeline.units import escape, format_count

AnyModel = LogisticModel | NetworkModel
Checked = TypeVar("Checked", bound=AnyModel)
Floats = npt.NDArray[np.float64]
# What a column adds to a score, from the arrays of all columns: shape (rows, numbers), NaN where there is nothing.
Added = Callable[[Sequence[pa.Array]], Floats]
# Writes a dataframe as CSV, and yields the needed columns as they are read from it, with the records that are bad.
Reread = Callable[[Any, Sequence[Need]], Iterable[tuple[pa.RecordBatch, Sequence[BadCell]]]]


@dataclass(frozen=True, slots=True)
class Comparison:
    """How much two ways of scoring the same rows differ.

    ``absolute`` and ``relative`` are the largest differences in the probability of the positive class, of several
    classes over all of them, and in the raw prediction of an estimator without probabilities; infinite if one way gives
    a number and the other does not.
    """

    rows: int
    absolute: float
    relative: float

    @property
    def text(self) -> str:
        """The largest difference in words."""
        return f"largest difference {self.absolute:.2g} (relative {self.relative:.2g})"


def compare(model: AnyModel, estimator: Any, rows: Any, *, columns: Sequence[str] | None = None) -> Comparison:
    """Return how much a model and an estimator differ on rows that both take.

    ``columns`` are the names of the columns of rows that have no names themselves, in the order of the estimator's
    input. The model need not use them all.
    """
    theirs = expected(estimator, rows, is_raw=is_raw(model))
    return _difference(scores(model, named(rows, columns)), theirs)


def is_raw(model: AnyModel) -> bool:
    """Return whether a model is for raw predictions and decisions alone."""
    return "probability" not in (model.output.columns or ("probability",))


def scores(model: AnyModel, rows: Any) -> Floats:
    """Return the probabilities of the positive class, with classes of all; of a model without them raw predictions."""
    if is_raw(model):
        found: Floats = model.raw_prediction(rows)
    else:
        found = model.probability(rows) if model.file.classes is None else model.predict_proba(rows)
    return _of_positive(found)


def expected(estimator: Any, rows: Any, *, is_raw: bool = False) -> Floats:
    """Return the probabilities of the positive class by an estimator, of several classes all; or its raw predictions.

    Raises
    ------
    DataError
        It refuses the rows.
    UsageError
        The rows are the path of a file.
    """
    if isinstance(rows, str | os.PathLike):
        remedy = "read the file first, as the estimator takes it: check=pandas.read_csv(...)"
        raise UsageError("check takes rows, not the path of a file", remedy)
    try:
        found: Floats = np.asarray(
            (estimator.decision_function if is_raw else estimator.predict_proba)(rows), np.float64
        )
    except (ValueError, TypeError) as error:
        raise DataError(f"scikit-learn refuses the rows: {escape(str(error), 300)}") from error
    return _of_positive(found)


def _of_positive(found: Floats) -> Floats:
    """Return the second of two columns; other numbers of columns as they are."""
    return found[:, 1] if found.ndim == 2 and found.shape[1] == 2 else found


def checked(model: Checked, theirs: Floats, rows: Any, reread: Reread | None, tool: str) -> Checked:
    """Return the model with the largest difference to the scores of a tool on named rows, and print it.

    A dataframe with ``to_csv`` is also compared after it was written as CSV and read; a column that then adds something
    else to a score is named.

    Raises
    ------
    DataError
        There are no rows.
    """
    if not len(theirs):
        raise DataError("there are no rows to check", "give rows that the model can score")
    # A row that the model refuses has no score, as in a tool that leaves it out.
    ours = _scored(model, list(batches(rows, model.block("probability").columns())), [])
    found = _difference(ours.scores, theirs)
    lines = [f"{format_count(len(theirs))} rows scored both ways: {found.text}"]
    if reread is not None and hasattr(rows, "to_csv"):
        lines += _from_csv(model, theirs, ours, rows, reread)
    # The caller asked for these lines with `check`.
    print("\n".join(lines))  # noqa: T201
    record = _record(found, tool, is_raw=is_raw(model))
    return cast("Checked", model.with_training({"imported": record}))


def _record(found: Comparison, tool: str, *, is_raw: bool) -> Mapping[str, Any]:
    """Return what ``training`` keeps; the difference is null if one way gives a number where the other gives none."""
    largest = found.absolute if math.isfinite(found.absolute) else None
    of_raw = {"compared": "raw_prediction"} if is_raw else {}
    return {"from": tool, "rows": found.rows, "largest_difference": largest, **of_raw, "tool": versioned(tool)}


def named(rows: Any, columns: Sequence[str] | None) -> Any:
    """Return rows with names: an array, or a dataframe whose names are not text, gets those given."""
    if columns is None:
        return rows
    if isinstance(rows, np.ndarray):
        return {name: rows[:, position] for position, name in enumerate(columns)}
    if hasattr(rows, "set_axis") and not all(isinstance(name, str) for name in rows.columns):
        return rows.set_axis(list(columns), axis=1)
    return rows


def column_types(rows: Any, names: Sequence[str]) -> dict[str, pa.DataType]:
    """Return the Arrow types of the values in columns of rows; none if there are no rows."""
    needs = [Need(name, "kept") for name in names]
    types = [array.type for array in next(iter(batches(rows, needs)), [])]
    values = [type_.value_type if pa.types.is_dictionary(type_) else type_ for type_ in types]
    return dict(zip(names, values, strict=False))


def _difference(ours: Floats, theirs: Floats) -> Comparison:
    absolute = absolute_differences(ours, theirs)
    with np.errstate(all="ignore"):
        relative = np.where(np.isfinite(absolute) & (absolute != 0), absolute / np.abs(theirs), absolute)
    return Comparison(len(ours), float(absolute.max(initial=0.0)), float(relative.max(initial=0.0)))


@dataclass(frozen=True, slots=True, eq=False)
class _Scored:
    """Rows that were scored: their scores, and for each column its cells and what they add.

    NaN means that there is no score. A row that could not be read has no cell, and ``cells`` is as long as ``rows``.
    """

    rows: npt.NDArray[np.intp]
    bad: dict[int, BadCell]
    scores: Floats
    contributions: list[Floats]
    cells: list[pa.ChunkedArray]

    def cell(self, column: int, row: int) -> str:
        """Return a cell in words."""
        if row in self.bad:
            return f"'{escape(self.bad[row].text, 40)}', which {self.bad[row].reason},"
        value = self.cells[column][int(np.searchsorted(self.rows, row))].as_py()
        return "null" if value is None else escape(repr(value), 40)


def _from_csv(model: AnyModel, theirs: Floats, before: _Scored, frame: Any, reread: Reread) -> Iterator[str]:
    needs = model.block("probability").columns()
    what = "the same rows from a CSV file, as to_csv writes it"
    try:
        parts = list(reread(frame, needs))
        again = _scored(model, [list(batch.columns) for batch, _ in parts], [cell for _, bad in parts for cell in bad])
    except LogitstreamError as error:
        yield f"{what}: {error.message}"
        return
    if len(again.scores) != len(theirs):
        yield f"{what}: {format_count(len(again.scores))} rows are read from it"
        return
    yield f"{what}: {_difference(again.scores, theirs).text}"
    for number, need in enumerate(needs):
        one, other = before.contributions[number], again.contributions[number]
        differs = ~((one == other) | (np.isnan(one) & np.isnan(other)))
        rows = np.flatnonzero(differs if differs.ndim == 1 else differs.any(axis=1)).tolist()
        rows = [row for row in rows if row not in again.bad or again.bad[row].column == need.name]
        if rows:
            count = f"{format_count(len(rows))} row{'' if len(rows) == 1 else 's'}"
            cells = f"{before.cell(number, rows[0])} is {again.cell(number, rows[0])} in the file"
            yield f'  column "{escape(need.name)}" differs in {count}: in row {format_count(rows[0])}, {cells}'


def _scored(model: AnyModel, parts: Sequence[list[pa.Array]], bad: Sequence[BadCell]) -> _Scored:
    """Score the arrays of batches, between whose rows there are bad ones."""
    read = sum(len(arrays[0]) for arrays in parts if arrays)
    rows = np.delete(np.arange(read + len(bad)), [cell.record for cell in bad])
    whole = model.block("raw_prediction" if is_raw(model) else "probability")
    places = {need.name: place for place, need in enumerate(whole.columns())}
    parts = [arrays for arrays in parts if arrays]

    def spread(added: Added) -> Floats:
        return _spread(rows, len(bad), [added(arrays) for arrays in parts])

    return _Scored(
        rows=rows,
        bad={cell.record: cell for cell in bad},
        scores=spread(partial(score_values, whole)),
        contributions=[spread(added) for added in _added(model, places)],
        cells=[pa.chunked_array([arrays[place] for arrays in parts]) for place in places.values() if parts],
    )


def _added(model: AnyModel, places: Mapping[str, int]) -> list[Added]:
    """Return what each column adds: of a logistic model a term, of a network what it gives to the layers."""
    if isinstance(model, NetworkModel):
        offset = model.file.offset
        plain = (*model.file.plain, *(() if offset is None else (offset.number,)))
        read = dict.fromkeys(feature.column for feature in plain)
        return [partial(_inputs, [each for each in plain if each.column == name], places[name]) for name in read]
    return [partial(_term, _alone(model.file, name), places) for name in places]


def _term(block: ScoreBlock, places: Mapping[str, int], arrays: Sequence[pa.Array]) -> Floats:
    return score_values(block, [arrays[places[need.name]] for need in block.columns()])


def _inputs(features: Sequence[PlainInput], place: int, arrays: Sequence[pa.Array]) -> Floats:
    return np.concatenate([input_values(feature, arrays[place]) for feature in features], axis=1)


def _alone(file: ModelFile, name: str) -> ScoreBlock:
    """Return the block of a model with the features of a column, whose raw prediction is what that column adds.

    Those are the features of this column alone; where there are none, the products that it is in.
    """
    used = [(feature, {use.column for use in kind_of(feature).uses(feature)}) for feature in file.features]
    own = [feature for feature, columns in used if columns == {name}]
    model = ModelFile.model_construct(
        format=file.format,
        version=file.version,
        kind=file.kind,
        classes=file.classes,
        intercept=0.0 if file.classes is None else (0.0,) * len(file.classes),
        offset=file.offset if file.offset is not None and file.offset.column == name else None,
        features=tuple(own or [feature for feature, columns in used if name in columns]),
    )
    return ScoreBlock(model, ("raw_prediction",))


def _spread(rows: npt.NDArray[np.intp], bad: int, parts: Sequence[Floats]) -> Floats:
    """Return values at their rows, NaN where a row is bad; of one column without that axis."""
    width = parts[0].shape[1] if parts else 1
    values = np.full((len(rows) + bad, width), np.nan)
    values[rows] = np.concatenate([np.empty((0, width)), *parts])
    return values[:, 0] if width == 1 else values
