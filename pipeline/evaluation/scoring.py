"""From what a model, or a column, says of rows to scores, probabilities and the log loss of each row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol, cast

import numpy as np
import pyarrow as pa

from pipeline.choices import Precision
from pipeline.dataclass import dataclass
from pipeline.evaluation.tiles import Codes, Floats, taken
from pipeline.kernels import log_sigmoid, portable
from pipeline.kernels.logistic import library_of
from pipeline.models.blocks import of_file
from pipeline.models.columns import Mask, numbers
from pipeline.models.kinds import DescribedBlock
from pipeline.models.logistic.making import complement_of, rises_with_raw, sigmoid_argument, temperature_of
from pipeline.models.logistic.predictor import Predictor
from pipeline.models.tally import BatchColumn, RowTally
from pipeline.types.inputs import InputFile, Need

# What scikit-learn takes for a probability of 0 in its log loss.
SMALLEST_SHARE = float(np.finfo(np.float64).eps)
# From here on the logarithm of 1 - p is good to 2e-13 although 1 - p is rounded.
_ROUNDED = 2.0**-10


@dataclass(frozen=True, slots=True, eq=False)
class BatchScores:
    """What is said of the rows of a batch.

    Attributes
    ----------
    raw : ndarray of float64, shape (rows,) or (classes, rows), or None
        The raw predictions, where a model scored the rows.
    probabilities : ndarray of float64, shape (rows,) or (classes, rows)
        NaN in a row without a score.
    missing : ndarray of bool, shape (rows,)
        The rows without a score.
    """

    raw: Floats | None
    probabilities: Floats
    missing: Mask

    def of_rows(self, rows: slice | Codes) -> BatchScores:
        """Return what is said of some rows."""
        raw = None if self.raw is None else taken(self.raw, rows)
        return BatchScores(raw, taken(self.probabilities, rows), self.missing[rows])


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Rows with scores, and how well these fit the classes.

    Attributes
    ----------
    scores : ndarray of float64, or None
        What rows are ranked by; ``None`` where that is the probability.
    probabilities : ndarray of float64
    losses : ndarray of float64, shape (rows,)
        The log loss of each row.
    clipped : int
        In how many rows the class has a probability of 0, or in a column one below :data:`SMALLEST_SHARE`: it counts
        as that.
    """

    scores: Floats | None
    probabilities: Floats
    losses: Floats
    clipped: int


class Scorer(Protocol):
    """Something that scores rows. May be used from several threads at once."""

    def scores(self, columns: Sequence[pa.Array], tally: RowTally) -> BatchScores:
        """Return what is said of the rows of a batch; ``tally`` gets the bad ones."""
        ...

    def judged(self, scores: BatchScores, codes: Codes) -> Judged:
        """Return how well scores fit the classes of their rows."""
        ...


class ScoresColumns(DescribedBlock, Protocol):
    """The block of a model of any kind: it scores the rows of columns."""

    @property
    def model(self) -> Predictor:
        """What the file of the model says."""
        ...

    def scores(self, columns: Sequence[pa.Array], tally: RowTally) -> tuple[tuple[pa.Array, ...], Mask]:
        """Return the columns that are made, and which rows are NaN."""
        ...


def both_columns(block: DescribedBlock) -> ScoresColumns:
    """Return the block of a model that makes probability and raw prediction, and nothing else."""
    made = replace(cast("Any", block), columns_made=("probability", "raw_prediction"), float32=False)
    return cast("ScoresColumns", made)


@dataclass(frozen=True, slots=True)
class ModelScorer:
    """Scores rows with a model.

    Attributes
    ----------
    block : ScoresColumns
        As :func:`both_columns` returns it.
    """

    block: ScoresColumns

    def of_file(self, file: InputFile, needs: Sequence[Need]) -> ModelScorer:
        """Return what scores the rows of a file."""
        return ModelScorer(cast("ScoresColumns", of_file(self.block, file, needs)))

    def scores(self, columns: Sequence[pa.Array], tally: RowTally) -> BatchScores:
        """Return what the model says of the rows of a batch; ``tally`` gets the bad ones and what is counted."""
        arrays, _ = self.block.scores(columns, tally)
        made = [np.asarray(array.to_numpy(zero_copy_only=False)) for array in arrays]
        half = len(made) // 2
        if self.block.model.classes is None:
            probability, raw = made
            return BatchScores(raw, probability, np.isnan(probability))
        probabilities, raws = np.stack(made[:half]), np.stack(made[half:])
        return BatchScores(raws, probabilities, np.isnan(probabilities[0]))

    def judged(self, scores: BatchScores, codes: Codes) -> Judged:
        """Return how well scores fit the classes of their rows."""
        model, raw, probabilities = self.block.model, scores.raw, scores.probabilities
        assert raw is not None
        with np.errstate(all="ignore"):
            if model.classes is not None:
                losses, clipped = _class_losses(model, raw, codes, self.block.precision, probabilities)
                return Judged(None, probabilities, losses, clipped)
            losses, clipped = _binary_losses(model, raw, codes == 1, self.block.precision, probabilities)
        return Judged(raw if rises_with_raw(model) else None, probabilities, losses, clipped)


@dataclass(frozen=True, slots=True)
class ColumnScorer:
    """Takes a column as the probability of the positive class.

    Attributes
    ----------
    name : str
    position : int
        Of the column in a batch.
    precision : {"fast", "accurate", "reproducible"}
        Of the logarithms.
    """

    name: str
    position: int
    precision: Precision = "fast"

    def scores(self, columns: Sequence[pa.Array], tally: RowTally) -> BatchScores:
        """Return the probabilities of a batch; one outside [0, 1], or NaN, makes a bad row."""
        cells = numbers(columns[0])
        values: Floats = cells.values.astype(np.float64, copy=cells.null is not None)
        if cells.null is not None:
            values[cells.null] = 0.0
        if values.size and not (values.min() >= 0 and values.max() <= 1):
            column = BatchColumn(self.position, self.name, columns[0])
            tally.add_bad(np.flatnonzero(~((values >= 0) & (values <= 1))), column, "probability refused")
        missing = np.zeros(values.size, dtype=np.bool_) if cells.null is None else cells.null
        return BatchScores(None, values, missing)

    def judged(self, scores: BatchScores, codes: Codes) -> Judged:
        """Return how well the probabilities fit the classes of their rows."""
        probability, positive = scores.probabilities, codes == 1
        with np.errstate(all="ignore"):
            losses = _column_losses(probability, positive, self.precision)
        # As scikit-learn does, which keeps p and 1 - p at or above the smallest share.
        most = -np.log(SMALLEST_SHARE)
        clipped = int(np.count_nonzero(losses > most))
        return Judged(None, probability, np.clip(losses, -np.log1p(-SMALLEST_SHARE), most, out=losses), clipped)


def _negative_log(shares: Floats, precision: Precision) -> Floats:
    """Return minus the logarithms of numbers from 0 to 1, in place; with ``reproducible`` they are those of any CPU."""
    library_of(precision).log(shares, out=shares)
    return np.negative(shares, out=shares)


def _column_losses(probability: Floats, positive: Mask, precision: Precision) -> Floats:
    """Return the log loss of each row; of small probabilities of negatives by log1p, where 1 - p is rounded."""
    losses = _negative_log(np.where(positive, probability, 1.0 - probability), precision)
    is_small = np.flatnonzero(~positive & (probability < _ROUNDED))
    if is_small.size:
        small = -probability[is_small]
        (portable.log1p if precision == "reproducible" else np.log1p)(small, small)
        losses[is_small] = -small
    return losses


def _clipped(losses: Floats) -> tuple[Floats, int]:
    """Return losses in which a probability of 0 counts as the smallest share, and how often that is so."""
    lost = np.isposinf(losses)
    count = int(np.count_nonzero(lost))
    if count:
        losses[lost] = -np.log(SMALLEST_SHARE)
    return losses, count


def _binary_losses(
    model: Predictor, raw: Floats, positive: Mask, precision: Precision, probability: Floats
) -> tuple[Floats, int]:
    """Return the log loss of each row: from the raw prediction where the probability is a sigmoid of it."""
    argument = sigmoid_argument(model, raw, precision)
    if argument is None:
        shares = np.where(positive, probability, complement_of(model, raw, precision))
        return _clipped(_negative_log(shares, precision))
    np.negative(argument, out=argument, where=~positive)
    losses: Floats = log_sigmoid(argument, out=argument, precision=precision)
    return np.negative(losses, out=losses), 0


def _class_losses(
    model: Predictor, raw: Floats, codes: Codes, precision: Precision, probabilities: Floats
) -> tuple[Floats, int]:
    """Return the log loss of each row of a model with classes; with softmax from the raw predictions."""
    rows = np.arange(codes.size)
    if model.normalise != "softmax":
        return _clipped(_negative_log(probabilities[codes, rows], precision))
    library, above = library_of(precision), (raw - np.maximum.reduce(raw, axis=0)) / temperature_of(model)
    # Class by class, so that the bits of a row do not depend on how many rows there are.
    total, power = np.zeros(codes.size), np.empty(codes.size)
    for one in above:
        library.exp(one, out=power)
        np.add(total, power, out=total)
    library.log(total, out=total)
    return total - above[codes, rows], 0
