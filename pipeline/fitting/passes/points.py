"""What one pass over the rows answers: sums at some coefficients, for one model or for several that share the pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from pipeline.dataclass import dataclass
from pipeline.fitting.tiles.layout import FitLayout, Floats

# What is summed: the loss alone, also its gradient, also its Hessian.
Order = Literal[0, 1, 2]

# The shares of a step at which the loss is summed as well, so that halving a step costs no pass.
SHARES = (0.5, 0.25, 0.125)


@dataclass(frozen=True, slots=True)
class PassRecord:
    """One pass of a solver, for the line that is printed.

    ``decrement`` is the squared Newton decrement, of the summed loss: the step squared, in standard errors; it and
    ``largest_step`` (the largest step in standard errors, with a penalty relative to ``max(1, |b|)``) are ``None``
    where the method does not have them. ``gradient`` is the largest absolute value of the gradient of the objective.
    ``share`` is how much of the step before was taken.
    """

    objective: float
    gradient: float
    decrement: float | None = None
    largest_step: float | None = None
    share: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """Where a pass sums, and what.

    Attributes
    ----------
    coefficients : ndarray of float64, shape (outputs, width)
    order : {0, 1, 2}
    fold : int or None
        The fold that is left out; its rows are summed apart, as those held out are where it is ``None``.
    step : ndarray of float64, shape (outputs, width), or None
        The step that led here. The loss is summed at the shares of it that are in :data:`SHARES` too, and the smallest
        and largest margin of it are found: ``(2 y - 1) x . step`` for a binary model; with more classes the step of the
        raw prediction of the row's class minus that of each other class.
    direction : ndarray of float64, shape (outputs, width), or None
        The Hessian times it is summed.
    diagonal : bool
        Whether the diagonal of the Hessian is summed.
    scores : bool
        Whether the outer products of the gradients of the rows are summed too, for robust errors; within ``groups``
        first where the tiles have them.
    record : PassRecord or None
        What the solver made of the sums before; for who watches, not for who sums.
    """

    coefficients: Floats
    order: Order = 2
    fold: int | None = None
    step: Floats | None = None
    direction: Floats | None = None
    diagonal: bool = False
    scores: bool = False
    record: PassRecord | None = None


@dataclass(slots=True, eq=False)
class PassSums:
    """The sums at a point, over the rows that are fitted. All are weighted, and of the loss: minus log likelihood.

    Attributes
    ----------
    rows : int
    weight, loss : float
    gradient, product, diagonal : ndarray of float64, shape (outputs, width), or None
        ``product`` is the Hessian times the direction, ``diagonal`` that of the Hessian.
    hessian, outer : ndarray of float64, shape (size * (size + 1) / 2,), or None
        The lower triangle, row by row; coefficient ``(output, j)`` has the position ``output * width + j``.
    shorter : tuple of float
        The loss at each share of the step; empty without a step.
    smallest, largest : float
        The extremes of the margin of the step, over rows with a weight.
    held_rows : int
    held_weight, held_loss : float
        Of the rows that are left out.
    groups : dict of int to ndarray of shape (outputs, width), or None
        The summed gradients of the rows of each group; ``outer`` is ``None`` then.
    """

    rows: int
    weight: float
    loss: float
    gradient: Floats | None = None
    hessian: Floats | None = None
    product: Floats | None = None
    diagonal: Floats | None = None
    outer: Floats | None = None
    shorter: tuple[float, ...] = ()
    smallest: float = float("inf")
    largest: float = float("-inf")
    held_rows: int = 0
    held_weight: float = 0.0
    held_loss: float = 0.0
    groups: dict[int, Floats] | None = None


class Passes(Protocol):
    """Rows that can be summed over again and again: in memory, in files, in a Dask collection.

    The sums have the same bits each time, whatever carries them out.
    """

    @property
    def layout(self) -> FitLayout:
        """What the coefficients are."""
        ...

    def sums(self, points: Sequence[Point]) -> list[PassSums]:
        """Return the sums at some points, in one pass."""
        ...
