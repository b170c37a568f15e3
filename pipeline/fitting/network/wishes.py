"""What a caller asks the learning of a network to do: checked words, before any file is opened."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipeline.choices import Initialisation, Optimizer
from pipeline.dataclass import dataclass
from pipeline.errors import UsageError
from pipeline.fitting.asking.formula import term_text
from pipeline.fitting.asking.job import FitJob
from pipeline.fitting.asking.terms import AllTerm, AnyTerm, CategoryTerm, MissingTerm, NumberTerm
from pipeline.fitting.network.hidden import HiddenLayer
from pipeline.units import escape

# What the learning rate is unless it is given, and the momentum of sgd.
RATES: Mapping[Optimizer, float] = {"sgd": 0.1, "adam": 0.001}
MOMENTUM = 0.9
# Epochs without a better loss on the rows that are held out, unless another number is given.
PATIENCE = 5


@dataclass(frozen=True, slots=True)
class LearningWishes:
    """How a network learns.

    Attributes
    ----------
    hidden : tuple of HiddenLayer
    epochs : int
        The most that there are.
    batch_rows : int
    optimizer : {"sgd", "adam"}
    learning_rate : float
    momentum : float
        Of ``sgd``; 0 for ``adam``.
    clip : float or None
        The largest norm of the gradient of all weights.
    initialisation : {"normal", "glorot", "he"}
    gain : float or None
        Of the hidden layers; that of their function unless given.
    l2 : float
        Of half of the squares of all weights besides biases.
    seed : int
    patience : int or None
        ``None`` where no rows are held out.
    """

    hidden: tuple[HiddenLayer, ...]
    epochs: int = 20
    batch_rows: int = 256
    optimizer: Optimizer = "adam"
    learning_rate: float = 0.001
    momentum: float = 0.0
    clip: float | None = None
    initialisation: Initialisation = "glorot"
    gain: float | None = None
    l2: float = 0.0
    seed: int = 0
    patience: int | None = None


@dataclass(frozen=True, slots=True)
class NetworkJob:
    """A whole fit of a network: the rows, the columns and the means are those of a fit."""

    fit: FitJob
    learning: LearningWishes


def check_terms(terms: tuple[AnyTerm, ...]) -> None:
    """Refuse features that a network file cannot have.

    Raises
    ------
    UsageError
        Naming the first of them, with what to write instead.
    """
    for wrong, message, remedy in map(_of_term, terms):
        if wrong:
            raise UsageError(message, remedy)
    for column in _twice(terms):
        raise UsageError(
            f"{escape(column)} is a number and levels among the features", "write it once: NAME or C(NAME)"
        )


def _of_term(term: AnyTerm) -> tuple[bool, str, str]:
    if isinstance(term, AllTerm | CategoryTerm | MissingTerm) or (isinstance(term, NumberTerm) and not term.steps):
        return False, "", ""
    message = f"{escape(term_text(term))}: a network takes columns of numbers, C(NAME) and M(NAME), as they are"
    return True, message, "name the column itself: the layers learn what to make of it"


def _twice(terms: tuple[AnyTerm, ...]) -> Iterator[str]:
    seen = set[str]()
    for term in terms:
        if isinstance(term, NumberTerm | CategoryTerm):
            if term.column in seen:
                yield term.column
            seen.add(term.column)
