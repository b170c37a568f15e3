"""What scoring needs to know of a model to make columns of its raw predictions, whatever they are computed with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.choices import Link
    from pipeline.models.logistic.feature import Feature
    from pipeline.models.logistic.file import ClassName, Normalise, Target
    from pipeline.models.logistic.output import Output


class Predictor(Protocol):
    """A model file whose raw predictions become columns."""

    @property
    def link(self) -> Link:
        """The link of a binary model."""
        ...

    @property
    def classes(self) -> tuple[ClassName, ...] | None:
        """The values of a decision; ``None`` for a binary model."""
        ...

    @property
    def normalise(self) -> Normalise:
        """How the raw predictions of classes become probabilities."""
        ...

    @property
    def target(self) -> Target | None:
        """What is predicted."""
        ...

    @property
    def output(self) -> Output:
        """What is made of the raw prediction."""
        ...

    @property
    def training(self) -> Mapping[str, Any] | None:
        """What its fit says of itself, as JSON."""
        ...

    @property
    def adding(self) -> tuple[Feature, ...]:
        """The features that each add a term to the raw prediction; empty where it is no such sum."""
        ...

    @property
    def terms(self) -> tuple[str, ...]:
        """The names of the terms."""
        ...

    @property
    def base(self) -> float:
        """The raw prediction without its terms."""
        ...

    @property
    def largest(self) -> float:
        """What the raw prediction of a binary model cannot exceed; infinite where that is not known."""
        ...
