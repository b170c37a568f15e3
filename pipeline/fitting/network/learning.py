"""The epochs of a network: steps along the gradients of mini-batches, the loss of rows held out, and when to stop."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, field, replace
from typing import Any

import numpy as np

from pipeline.dataclass import dataclass
from pipeline.errors import DataError, ThresholdError
from pipeline.fitting.network.layers import add_penalty, drawn, loss_and_gradient
from pipeline.fitting.network.optimizers import StepMoments, step
from pipeline.fitting.network.passes import NetworkPasses
from pipeline.fitting.network.rows import LearningRows
from pipeline.fitting.network.wishes import LearningWishes
from pipeline.fitting.passes.packing import pack_arrays, unpack_arrays
from pipeline.fitting.report import EpochDone
from pipeline.fitting.tiles.layout import Floats
from pipeline.kernels.layers import clip_gradients


@dataclass(eq=False)
class Progress:
    """How far a network has learnt: all that the epochs that follow depend on.

    Attributes
    ----------
    parameters : ndarray of float64
    moments : StepMoments
    best : ndarray of float64
        The parameters after the epoch with the lowest loss of the rows held out; without such rows after the last one.
    epochs : tuple of EpochDone
    """

    parameters: Floats
    moments: StepMoments
    best: Floats
    epochs: tuple[EpochDone, ...] = ()

    @classmethod
    def begin(cls, parameters: Floats, learning: LearningWishes) -> Progress:
        """Return what there is before the first epoch."""
        return cls(parameters, StepMoments.of(len(parameters), learning.optimizer), parameters.copy())

    @property
    def best_epoch(self) -> int:
        """The number of the epoch whose parameters are kept."""
        held = [(each.held_out_log_loss, each.number) for each in self.epochs if each.held_out_log_loss is not None]
        return min(held)[1] if held else len(self.epochs)

    def is_over(self, learning: LearningWishes) -> bool:
        """Return whether all epochs were made, or too many in a row without a better loss."""
        done = len(self.epochs)
        return done >= learning.epochs or (learning.patience is not None and self.lacking >= learning.patience)

    @property
    def lacking(self) -> int:
        """How many epochs there were since the best one."""
        return len(self.epochs) - self.best_epoch

    def packed(self) -> bytes:
        """Return it as bytes."""
        head = {"steps": self.moments.steps, "epochs": [asdict(each) for each in self.epochs]}
        return pack_arrays(head, [self.parameters, self.moments.first, self.moments.second, self.best])

    @classmethod
    def unpacked(cls, content: bytes) -> Progress:
        """Return what :meth:`packed` has packed; its arrays may be changed."""
        head, arrays = unpack_arrays(content)
        parameters, first, second, best = map(np.array, arrays)
        epochs = tuple(EpochDone(**each) for each in head["epochs"])
        return cls(parameters, StepMoments(head["steps"], first, second), best, epochs)


@dataclass(eq=False)
class Learner:
    """Teaches a network, epoch by epoch.

    Attributes
    ----------
    passes : NetworkPasses
    learning : LearningWishes
    holds_out : bool
        Whether there are rows to measure each epoch by.
    """

    passes: NetworkPasses
    learning: LearningWishes
    holds_out: bool
    _sums: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])

    def begin(self) -> Progress:
        """Return what there is before the first epoch."""
        return Progress.begin(drawn(self.passes.shape, self.learning), self.learning)

    def epoch(self, progress: Progress) -> EpochDone:
        """Carry out the next epoch, and return what it found; how long it took is not known here.

        Raises
        ------
        ThresholdError
            The loss is not finite any more.
        """
        number = len(progress.epochs) + 1
        self._sums = [0.0, 0.0, 0.0]
        with np.errstate(all="ignore"):
            self.passes.batches(self.learning, number, self._learn(progress, number))
        loss, weight, rows = self._sums
        held = self._held_loss(progress, number) if self.holds_out else None
        done = EpochDone(number, int(rows), loss / weight if weight else 0.0, held)
        progress.epochs = (*progress.epochs, done)
        if progress.best_epoch == number:
            progress.best[:] = progress.parameters
        return done

    def _held_loss(self, progress: Progress, number: int) -> float:
        sums = self.passes.losses(progress.parameters, fitted=False)
        if not sums.held_weight:
            raise DataError(
                "none of the rows that are held out can be scored: their levels are in no fitted row, or their weights "
                "are 0",
                "hold out other rows: --holdout 20%",
            )
        self._check(number, sums.held_mean)
        return sums.held_mean

    def _learn(self, progress: Progress, number: int) -> Callable[[LearningRows], Any]:
        shape, learning, layout = self.passes.shape, self.learning, self.passes.design.layout

        def learn(batch: LearningRows) -> None:
            loss, slopes = loss_and_gradient(
                shape, progress.parameters, batch.inputs(layout), batch.classes, batch.weights, batch.offset
            )
            self._check(number, loss + float(slopes.sum()))
            weight = len(batch) if batch.weights is None else float(batch.weights.sum())
            self._sums = [self._sums[0] + loss * weight, self._sums[1] + weight, self._sums[2] + len(batch)]
            if learning.l2:
                add_penalty(shape, progress.parameters, slopes, learning.l2)
            if learning.clip is not None:
                slopes = clip_gradients(slopes, learning.clip)
            step(progress.parameters, slopes, progress.moments, learning)

        return learn

    def _check(self, number: int, value: float) -> None:
        if not math.isfinite(value):
            raise ThresholdError(
                f"the loss is not finite in epoch {number}: the weights have grown beyond all bounds; nothing was "
                "written",
                f"lower --learning-rate ({self.learning.learning_rate:g}), or add --clip 1",
            )


def timed(progress: Progress, seconds: float) -> EpochDone:
    """Enter how long the last epoch took, and return it."""
    done = replace(progress.epochs[-1], seconds=seconds)
    progress.epochs = (*progress.epochs[:-1], done)
    return done
