"""What an evaluation keeps of the rows of one group: integers and exact sums, so that parts can be merged in any order.

Nothing here depends on the order of rows, on how they are cut into tiles, or on the order in which states are merged:
every number of a row is rounded to fixed point by itself, and what is added up then is exact.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.dataclass import dataclass
from pipeline.errors import DataError
from pipeline.evaluation.counting import KeyCounter, KeyedRows
from pipeline.evaluation.exact import BLOCK_ROWS, MOST_FIXED, Counts, ExactSum, FixedCells, Floats
from pipeline.evaluation.joint import JointTable, joined
from pipeline.evaluation.keys import MOST_KEYS, KeyTable

TILE_ROWS = 1 << 20
# Of one class against the rest.
FEWEST_KEYS = 1 << 8
# Sums in fixed point are good to twice as much.
_MOST_WEIGHT = 2.0**42
_SMALLER = "divide all weights by a constant: no measure changes"
Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class StateShape:
    """What a state is of; only states of one shape can be merged.

    Attributes
    ----------
    classes : int
        2 where a probability is that of the second class.
    models : int
        1 or 2.
    weighted : bool
    thresholds : tuple of float
        Probabilities from which rows count as positive; of two classes alone.
    """

    classes: int = 2
    models: int = 1
    weighted: bool = False
    thresholds: tuple[float, ...] = ()

    @property
    def is_paired(self) -> bool:
        """Whether two models are compared row by row."""
        return self.models == 2 and self.classes == 2 and not self.weighted

    @property
    def tables(self) -> int:
        """How many tables of keys each model has."""
        return 1 if self.classes == 2 else self.classes

    @property
    def most_keys(self) -> int:
        """How many keys the table of a class may have."""
        if self.classes == 2:
            return MOST_KEYS
        return max(FEWEST_KEYS, 1 << ((MOST_KEYS // self.classes).bit_length() - 1))


@dataclass(slots=True, eq=False)
class ScoredTile:
    """At most ``TILE_ROWS`` rows, scored.

    Attributes
    ----------
    scores : tuple of ndarray of float64, shape (rows,) or (classes, rows)
        What each model ranks rows by; no NaN. Where it is the probability, the same array as that.
    probabilities : tuple of ndarray of float64, shape (rows,) or (classes, rows)
        A function of the score that never falls.
    losses : tuple of ndarray of float64, shape (rows,)
        The log loss of each row, without its weight.
    codes : ndarray of intp, shape (rows,)
        The class of each row; of two classes 1 is the positive one.
    weights : ndarray of float64, shape (rows,), or None
        Not negative.
    """

    scores: tuple[Floats, ...]
    probabilities: tuple[Floats, ...]
    losses: tuple[Floats, ...]
    codes: npt.NDArray[np.intp]
    weights: Floats | None = None


@dataclass(slots=True, eq=False)
class ModelState:
    """What is kept of one model.

    Attributes
    ----------
    log_loss, brier : ExactSum
        Weighted.
    counters : tuple of KeyCounter
        One, or one of each class against the rest.
    predicted : ndarray of int64
        Rows of each class by what is predicted for them: shape (thresholds, classes) those that count as positive, or
        (classes, classes) by the largest probability.
    weights : FixedCells or None
        The same, weighted.
    """

    log_loss: ExactSum
    brier: ExactSum
    counters: tuple[KeyCounter, ...]
    predicted: Counts
    weights: FixedCells | None

    @classmethod
    def empty(cls, shape: StateShape) -> ModelState:
        """Return the state of a model without rows."""
        binary = shape.classes == 2
        empty = KeyTable.empty(shape.most_keys, weighted=shape.weighted)
        cells = (len(shape.thresholds) if binary else shape.classes, shape.classes)
        return cls(
            ExactSum(),
            ExactSum(),
            tuple(KeyCounter(empty) for _ in range(shape.tables)),
            np.zeros(cells, dtype=np.int64),
            FixedCells.empty(*cells) if shape.weighted else None,
        )

    def merge(self, other: ModelState) -> None:
        """Add other rows."""
        self.log_loss.merge(other.log_loss)
        self.brier.merge(other.brier)
        for counter, its in zip(self.counters, other.counters, strict=True):
            counter.merge(its)
        self.predicted += other.predicted
        if self.weights is not None and other.weights is not None:
            self.weights.merge(other.weights)

    def add(self, tile: ScoredTile, model: int, shape: StateShape) -> None:
        """Add the rows of a tile, scored by this model."""
        self.log_loss.add_rows(_weighted(tile.losses[model], tile.weights))
        if shape.classes == 2:
            self._add_binary(tile, model, shape.thresholds)
        else:
            self._add_multinomial(tile, model, shape.classes)

    def _add_binary(self, tile: ScoredTile, model: int, thresholds: tuple[float, ...]) -> None:
        probabilities, positive = tile.probabilities[model], tile.codes == 1
        for start in range(0, len(positive), BLOCK_ROWS):
            block = np.s_[start : start + BLOCK_ROWS]
            squares = (probabilities[block] - positive[block]) ** 2
            self.brier.add_rows(_weighted(squares, None if tile.weights is None else tile.weights[block]))
        self.counters[0].add(KeyedRows(tile.scores[model], probabilities, positive, tile.weights))
        for number, threshold in enumerate(thresholds):
            is_flagged = probabilities >= threshold
            for code, rows in enumerate((is_flagged & ~positive, is_flagged & positive)):
                self.predicted[number, code] += np.count_nonzero(rows)
                if self.weights is not None and tile.weights is not None:
                    weights = tile.weights[rows]
                    self.weights.add_rows(np.full(len(weights), 2 * number + code), weights)

    def _add_multinomial(self, tile: ScoredTile, model: int, classes: int) -> None:
        probabilities, scores = tile.probabilities[model], tile.scores[model]
        apart = np.zeros(len(tile.codes))
        for code in range(classes):
            is_class = tile.codes == code
            apart += (probabilities[code] - is_class) ** 2
            ranked = scores[code]
            its = ranked if scores is probabilities else probabilities[code]
            self.counters[code].add(KeyedRows(ranked, its, is_class, tile.weights))
        self.brier.add_rows(_weighted(apart, tile.weights))
        cells = tile.codes * classes + probabilities.argmax(axis=0)
        self.predicted += np.bincount(cells, minlength=classes * classes).reshape(classes, classes)
        if self.weights is not None and tile.weights is not None:
            self.weights.add_rows(cells, tile.weights)

    def to_arrays(self) -> Arrays:
        """Return the state as named arrays."""
        sums = [each.to_array() for each in (self.log_loss, self.brier)]
        arrays: Arrays = {"sums": np.stack(sums), "predicted": self.predicted}
        if self.weights is not None:
            arrays["weights"] = np.stack([self.weights.upper, self.weights.lower])
        for number, counter in enumerate(self.counters):
            arrays |= _named(f"table {number}", counter.table().to_arrays())
        return arrays

    @classmethod
    def from_arrays(cls, shape: StateShape, arrays: Mapping[str, npt.NDArray[Any]]) -> ModelState:
        """Return the state of which these are the arrays."""
        log_loss, brier = (ExactSum.from_array(each) for each in arrays["sums"])
        tables = (
            KeyTable.from_arrays(_part(f"table {number}", arrays), weighted=shape.weighted)
            for number in range(shape.tables)
        )
        weights = FixedCells(*arrays["weights"].copy()) if shape.weighted else None
        empty = cls.empty(shape)
        if arrays["predicted"].shape != empty.predicted.shape or (
            weights is not None and weights.upper.shape != empty.predicted.shape
        ):
            raise ValueError("counts by prediction have another shape")
        return cls(log_loss, brier, tuple(map(KeyCounter, tables)), arrays["predicted"].copy(), weights)


@dataclass(slots=True, eq=False)
class EvaluationState:
    """What is kept of all rows of a group.

    Attributes
    ----------
    shape : StateShape
    classes : ndarray of int64, shape (classes,)
        Rows of each class.
    weights : tuple of ExactSum
        Their weights; empty without weights.
    models : tuple of ModelState
    joint : JointTable or None
        Of two models and two classes, without weights.
    """

    shape: StateShape
    classes: Counts
    weights: tuple[ExactSum, ...]
    models: tuple[ModelState, ...]
    joint: JointTable | None

    @classmethod
    def empty(cls, shape: StateShape) -> EvaluationState:
        """Return a state without rows."""
        return cls(
            shape,
            np.zeros(shape.classes, dtype=np.int64),
            tuple(ExactSum() for _ in range(shape.classes if shape.weighted else 0)),
            tuple(ModelState.empty(shape) for _ in range(shape.models)),
            JointTable.empty() if shape.is_paired else None,
        )

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return int(self.classes.sum())

    def add(self, tile: ScoredTile) -> None:
        """Add at most ``TILE_ROWS`` rows.

        Raises
        ------
        DataError
            A weight is 2**23 or more, or weights add up to more than sums by key can be.
        """
        if not len(tile.codes):
            return
        if self.shape.classes == 2:
            positives = np.count_nonzero(tile.codes)
            self.classes += (len(tile.codes) - positives, positives)
        else:
            self.classes += np.bincount(tile.codes, minlength=self.shape.classes)
        if tile.weights is not None:
            self._add_weights(tile.codes, tile.weights)
        for number, model in enumerate(self.models):
            model.add(tile, number, self.shape)
        if self.joint is not None:
            rows = JointTable.of(tile.scores, tile.codes == 1, self.joint.most, self.joint.shift)
            self.joint = joined(self.joint, rows)

    def _add_weights(self, codes: npt.NDArray[np.intp], weights: Floats) -> None:
        if not (largest := float(weights.max())) < MOST_FIXED:
            raise DataError(f"a weight is {largest:,.15g}: weights must be below {MOST_FIXED:,.0f}", _SMALLER)
        for code, total in enumerate(self.weights):
            total.add_rows(weights[codes == code])
        self._check_weights()

    def _check_weights(self) -> None:
        if not (total := sum(weight.value() for weight in self.weights)) < _MOST_WEIGHT:
            raise DataError(f"weights add up to {total:,.15g}: they must stay below {_MOST_WEIGHT:,.0f}", _SMALLER)

    def merge(self, other: EvaluationState) -> None:
        """Add the rows of another state of the same shape; no order changes the result.

        Raises
        ------
        DataError
            Weights add up to more than sums by key can be.
        """
        self.classes += other.classes
        for mine, theirs in zip(self.weights, other.weights, strict=True):
            mine.merge(theirs)
        self._check_weights()
        for model, its in zip(self.models, other.models, strict=True):
            model.merge(its)
        if self.joint is not None and other.joint is not None:
            self.joint = joined(self.joint, other.joint)

    def limit(self, most: int) -> None:
        """Keep at most so many keys in each table, from now on."""
        for model in self.models:
            for counter in model.counters:
                counter.limit(most)
        if self.joint is not None:
            self.joint = self.joint.limited(most)

    def to_arrays(self) -> Arrays:
        """Return the state as named arrays, none of them of objects."""
        arrays: Arrays = {"classes": self.classes}
        if self.weights:
            arrays["weights"] = np.stack([each.to_array() for each in self.weights])
        for number, model in enumerate(self.models):
            arrays |= _named(f"model {number}", model.to_arrays())
        if self.joint is not None:
            arrays |= _named("joint", self.joint.to_arrays())
        return arrays

    @classmethod
    def from_arrays(cls, shape: StateShape, arrays: Mapping[str, npt.NDArray[Any]]) -> EvaluationState:
        """Return the state of which these are the arrays.

        Raises
        ------
        ValueError, KeyError
            They are not those of a state of this shape.
        """
        state = cls(
            shape,
            arrays["classes"].copy(),
            tuple(ExactSum.from_array(each) for each in arrays["weights"]) if shape.weighted else (),
            tuple(ModelState.from_arrays(shape, _part(f"model {number}", arrays)) for number in range(shape.models)),
            JointTable.from_arrays(_part("joint", arrays)) if shape.is_paired else None,
        )
        if not state.has_one_count():
            raise ValueError("the tables of a state have other numbers of rows than the state")
        return state

    def has_one_count(self) -> bool:
        """Return whether every table has as many rows of each class as the state."""
        every = [[int(count), self.rows - int(count)] for count in self.classes]
        expected = every[-self.shape.tables :] * self.shape.models
        tables = (counter.table() for model in self.models for counter in model.counters)
        return [table.totals[:2].sum(axis=1).tolist() for table in tables] == expected


def _weighted(values: Floats, weights: Floats | None) -> Floats:
    """Return values times their weights; one that does not count adds nothing, even if it is infinite."""
    if weights is None:
        return values
    with np.errstate(invalid="ignore"):
        return np.where(weights > 0, values * weights, 0.0)


def _named(prefix: str, arrays: Arrays) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    yield from ((f"{prefix}/{name}", array) for name, array in arrays.items())


def _part(prefix: str, arrays: Mapping[str, npt.NDArray[Any]]) -> Arrays:
    start = f"{prefix}/"
    return {name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)}
