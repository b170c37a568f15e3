"""How parameters move along gradients: stochastic gradient descent with momentum, and Adam, as PyTorch states them."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from pipeline.choices import Optimizer
from pipeline.dataclass import dataclass
from pipeline.fitting.network.wishes import LearningWishes
from pipeline.fitting.tiles.layout import Floats

_FIRST, _SECOND, _EPSILON = 0.9, 0.999, 1e-8


@dataclass(eq=False, slots=True)
class StepMoments:
    """What an optimiser remembers.

    Attributes
    ----------
    steps : int
        How many there were.
    first, second : ndarray of float64
        The velocity of ``sgd``; the running means of gradients and of their squares of ``adam``.
    """

    steps: int
    first: Floats
    second: Floats

    @classmethod
    def of(cls, size: int, optimizer: Optimizer) -> StepMoments:
        """Return the moments before the first step."""
        return cls(0, np.zeros(size), np.zeros(size if optimizer == "adam" else 0))


Stepper = Callable[[Floats, Floats, StepMoments, LearningWishes], None]


def step(parameters: Floats, slopes: Floats, moments: StepMoments, learning: LearningWishes) -> None:
    """Move parameters by one step, in place; the moments change too."""
    moments.steps += 1
    _STEPS[learning.optimizer](parameters, slopes, moments, learning)


def _sgd(parameters: Floats, slopes: Floats, moments: StepMoments, learning: LearningWishes) -> None:
    """Heavy-ball momentum: B. Polyak, Some methods of speeding up the convergence of iteration methods, 1964."""
    moments.first *= learning.momentum
    moments.first += slopes
    parameters -= learning.learning_rate * moments.first


def _adam(parameters: Floats, slopes: Floats, moments: StepMoments, learning: LearningWishes) -> None:
    """D. Kingma, J. Ba, Adam: a method for stochastic optimization, 2015, algorithm 1."""
    moments.first *= _FIRST
    moments.first += (1.0 - _FIRST) * slopes
    moments.second *= _SECOND
    moments.second += (1.0 - _SECOND) * slopes * slopes
    roots = np.sqrt(moments.second)
    roots /= math.sqrt(1.0 - _SECOND**moments.steps)
    roots += _EPSILON
    parameters -= learning.learning_rate / (1.0 - _FIRST**moments.steps) * moments.first / roots


_STEPS: dict[Optimizer, Stepper] = {"sgd": _sgd, "adam": _adam}
