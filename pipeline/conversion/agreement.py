"""How far the scores of a model are from those of the tool that it came from, row by row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.conversion.importing import Score
from pipeline.dataclass import dataclass
from pipeline.errors import DataError
from pipeline.kernels import sigmoid, softmax
from pipeline.models import LogisticModel
from pipeline.models.in_memory import RowScorer
from pipeline.models.rows import batches
from pipeline.models.tally import RowTally
from pipeline.types.inputs import Need

if TYPE_CHECKING:
    from pipeline.models.network.model import NetworkModel

Floats = npt.NDArray[np.float64]
# Takes the columns that a model needs, and yields their arrays batch by batch.
Rows = Callable[[Sequence[Need]], Iterable[Sequence[pa.Array]]]


@dataclass(frozen=True, slots=True)
class Gap:
    """The largest difference between two ways of scoring the same rows.

    Attributes
    ----------
    rows : int
        How many were scored.
    absolute : float
        The largest difference of two probabilities of a row; infinite where one way gives a number and the other none.
    relative : float
        The largest difference divided by the larger of 1 and the raw prediction of its row.
    row : int
        Where that is largest, from 0.
    ours, theirs : float
        The two probabilities there.
    """

    rows: int
    absolute: float = 0.0
    relative: float = 0.0
    row: int = 0
    ours: float = 0.0
    theirs: float = 0.0

    def then(self, other: Gap) -> Gap:
        """Return the larger of two differences, the second that of the rows behind the first."""
        worse = self if self.relative >= other.relative else other
        shift = 0 if worse is self else self.rows
        absolute = max(self.absolute, other.absolute)
        rows = self.rows + other.rows
        return Gap(rows, absolute, worse.relative, worse.row + shift, worse.ours, worse.theirs)


def difference(model: LogisticModel | NetworkModel, rows: Rows, score: Score) -> Gap:
    """Return how far a model is from a way of scoring named columns.

    A row without a score, for whatever reason, must be without one both ways.

    Raises
    ------
    DataError
        There are no rows.
    """
    blocks = model.block("probability"), model.block("raw_prediction")
    needs = blocks[0].columns()
    found = Gap(0)
    for arrays in rows(needs):
        columns = _Given({need.name: _values(array) for need, array in zip(needs, arrays, strict=True)})
        ours, raw = (score_values(block, arrays) for block in blocks)
        found = found.then(_largest(ours, raw, np.asarray(score(columns), dtype=np.float64)))
    if not found.rows:
        raise DataError("there are no rows to check", "give rows that the model can score")
    return found


class _Given(dict[str, Any]):
    """Columns by their names; one that the model does not look at is zero in every row."""

    def __missing__(self, name: str) -> Floats:
        return np.zeros(len(next(iter(self.values()))))


def squashed(raw: Floats) -> Floats:
    """Return the probabilities that a model gives for raw predictions, of one class or of several, shape (rows, K)."""
    return sigmoid(raw) if raw.ndim == 1 or raw.shape[1] == 1 else softmax(raw)


def in_memory(columns: Mapping[str, Any]) -> Rows:
    """Return named columns as rows to score."""
    return lambda needs: batches(dict(columns), needs)


def _values(array: pa.Array) -> Any:
    """Return a column as an array where it holds numbers without nulls, else as a list with ``None``."""
    if array.null_count == 0 and (pa.types.is_integer(array.type) or pa.types.is_floating(array.type)):
        return array.to_numpy(zero_copy_only=False)
    return array.to_pylist()


def score_values(block: RowScorer, arrays: Sequence[pa.Array]) -> Floats:
    """Return the scores of a block, shape (rows, columns made); NaN in a row that it refuses or gives none."""
    tally = RowTally(len(arrays[0]))
    made, _ = block.scores(list(arrays), tally)
    values = np.column_stack([array.to_numpy(zero_copy_only=False).astype(np.float64) for array in made])
    values[tally.rejected] = np.nan
    return values


def absolute_differences(ours: Floats, theirs: Floats) -> Floats:
    """Return absolute differences: 0 where both ways give the same or none, infinite where one alone gives none."""
    with np.errstate(invalid="ignore"):
        found = np.abs(ours - theirs)
    is_same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
    return np.where(is_same, 0.0, np.nan_to_num(found, nan=np.inf, posinf=np.inf))


def _largest(ours: Floats, raw: Floats, theirs: Floats) -> Gap:
    if not len(ours):
        return Gap(0)
    theirs = theirs.reshape(ours.shape)
    absolute = absolute_differences(ours, theirs)
    relative = absolute / np.maximum(1.0, np.nan_to_num(np.abs(raw), nan=1.0, posinf=1.0))
    place = np.unravel_index(int(np.argmax(relative)), relative.shape)
    return Gap(
        rows=len(ours),
        absolute=float(absolute.max()),
        relative=float(relative[place]),
        row=int(place[0]),
        ours=float(ours[place]),
        theirs=float(theirs[place]),
    )
