"""The loss of rows at raw predictions, with its first and second derivatives by them.

Raw predictions have shape (outputs, rows). Binary: the loss is softplus(s), where s is the raw prediction with its sign
turned for positives; its derivatives are +-sigmoid(s) and t / (1 + t)^2 with t = exp(-|s|) (Hosmer, Lemeshow and
Sturdivant, Applied Logistic Regression, chapter 2). Several classes: the loss is log(sum of exp(z)) - z of the class;
its second derivatives by z_k and z_l are p_k ([k = l] - p_l) (Böhning, Multinomial logistic regression algorithm,
1992). Nothing is the logarithm of a probability.
"""

from __future__ import annotations

from functools import cached_property
from typing import Protocol

import numpy as np

from pipeline.dataclass import dataclass
from pipeline.fitting.tiles.layout import Codes, FitLayout, Floats


class RowLosses(Protocol):
    """What is asked of the rows of a tile at their raw predictions."""

    def loss(self) -> Floats:
        """Return the loss of each row."""
        ...

    def residual(self) -> Floats:
        """Return the derivative of the loss by each raw prediction, of shape (outputs, rows)."""
        ...

    def curvature(self, one: int, other: int) -> Floats:
        """Return the absolute second derivative by two raw predictions; it is negative where they differ."""
        ...

    def bent(self, moves: Floats) -> Floats:
        """Return the second derivatives times changes of the raw predictions, of shape (outputs, rows)."""
        ...


class _BinaryLosses:
    """Two classes; ``sign`` is -1 for positives and 1 for others."""

    def __init__(self, raw: Floats, sign: Floats) -> None:
        self._sign = sign
        self._against: Floats = raw[0] * sign
        self._above: Floats = np.maximum(self._against, 0.0)
        # exp(-|s|), as exp(s - 2 max(s, 0)): no branch, and no overflow.
        self._tail: Floats = np.exp(self._against - 2.0 * self._above)

    @cached_property
    def _share(self) -> Floats:
        share: Floats = 1.0 / (1.0 + self._tail)
        return share

    def loss(self) -> Floats:
        loss: Floats = self._above + np.log1p(self._tail)
        return loss

    def residual(self) -> Floats:
        probability: Floats = np.exp(self._against - self._above)
        probability *= self._share
        probability *= self._sign
        return probability[np.newaxis]

    def curvature(self, one: int, other: int) -> Floats:  # noqa: ARG002 - there is one output
        curvature: Floats = self._tail * self._share
        curvature *= self._share
        return curvature

    def bent(self, moves: Floats) -> Floats:
        bent: Floats = moves * self.curvature(0, 0)
        return bent


class _SoftmaxLosses:
    """Several classes. The raw prediction of the first is 0 where there is one output less than classes."""

    def __init__(self, raw: Floats, classes: Codes, reference: bool) -> None:
        self._reference = reference
        self._classes = classes
        self._rows = np.arange(len(classes))
        whole = _whole(raw, reference)
        best = whole.argmax(axis=0)
        whole -= whole[best, self._rows]
        self._of_class: Floats = whole[classes, self._rows]
        np.exp(whole, out=whole)
        # The largest is 1: what the others add to it is kept apart, so that small losses keep their digits.
        whole[best, self._rows] = 0.0
        self._others: Floats = whole.sum(axis=0)
        whole[best, self._rows] = 1.0
        whole /= 1.0 + self._others
        self._shares: Floats = whole

    @property
    def _outputs(self) -> Floats:
        outputs: Floats = self._shares[self._reference :]
        return outputs

    def loss(self) -> Floats:
        loss: Floats = np.log1p(self._others) - self._of_class
        return loss

    def residual(self) -> Floats:
        residual: Floats = self._shares.copy()
        residual[self._classes, self._rows] = 0.0
        residual[self._classes, self._rows] = -residual.sum(axis=0)
        return residual[self._reference :]

    def curvature(self, one: int, other: int) -> Floats:
        shares = self._outputs
        curvature: Floats = shares[one] * ((1.0 - shares[one]) if one == other else shares[other])
        return curvature

    def bent(self, moves: Floats) -> Floats:
        shares = self._outputs
        bent: Floats = shares * (moves - (shares * moves).sum(axis=0))
        return bent


@dataclass(frozen=True, slots=True, eq=False)
class RowLabels:
    """The classes of rows, and what losses of a binary model need of them.

    Attributes
    ----------
    classes : ndarray of intp
    signs : ndarray of float64
        -1 for positives and 1 for others.
    """

    classes: Codes
    signs: Floats

    @classmethod
    def of(cls, classes: Codes) -> RowLabels:
        """Return the labels of rows."""
        return cls(classes, 1.0 - 2.0 * (classes == 1))


def row_losses(layout: FitLayout, raw: Floats, labels: RowLabels) -> RowLosses:
    """Return the losses of rows at raw predictions of shape (outputs, rows), which are left as they are."""
    if layout.outputs == 1:
        return _BinaryLosses(raw, labels.signs)
    return _SoftmaxLosses(raw, labels.classes, layout.outputs < layout.classes)


def margins(layout: FitLayout, moves: Floats, labels: RowLabels) -> tuple[Floats, Floats]:
    """Return the smallest and the largest margin of each row for changes of the raw predictions.

    A margin is by how much the raw prediction of the row's class gains on that of another class.
    """
    if layout.outputs == 1:
        margin = -labels.signs * moves[0]
        return margin, margin
    whole = _whole(moves, layout.outputs < layout.classes)
    classes, rows = labels.classes, np.arange(len(labels.classes))
    own = whole[classes, rows]
    whole[classes, rows] = -np.inf
    smallest = own - whole.max(axis=0)
    whole[classes, rows] = np.inf
    return smallest, own - whole.min(axis=0)


def _whole(raw: Floats, reference: bool) -> Floats:
    """Return a copy of the raw predictions, with a first row of zeros where the reference class has none."""
    return np.concatenate([np.zeros((int(reference), raw.shape[1])), raw])
