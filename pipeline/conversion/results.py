"""What every exporter asks of the columns that a model makes."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.errors import ModelError
from pipeline.models.logistic.file import ModelFile
from pipeline.models.logistic.points import Points
from pipeline.models.logistic.predictor import Predictor
from pipeline.models.logistic.score import asked_of
from pipeline.models.request import ScoreRequest


def columns_made(model: Predictor, known: Iterable[str], target: str) -> tuple[str, ...]:
    """Return the words of ``output.columns`` that a model has, in their order.

    Parameters
    ----------
    model : ModelFile
    known : iterable of str
        The words that the target can make columns of.
    target : str
        What messages call it.

    Raises
    ------
    ModelError
        The target cannot make one of the columns; the message names it.
    """
    wanted, _ = asked_of(model, ScoreRequest())
    if other := next((column for column in wanted if column not in known), None):
        raise ModelError(
            f"{target} cannot make the column {other}",
            f"name the columns that it can make in output.columns: {', '.join(known)}",
        )
    return wanted


def points_of(model: ModelFile) -> Points:
    """Return the scale of points of a model that makes points."""
    points = model.output.points
    assert points is not None
    return points


def shares_of(model: ModelFile) -> tuple[float, ...]:
    """Return what the points of each term have in addition to what it adds: the offset has no share."""
    features = len(model.features)
    share = points_of(model).share(model.base, features)
    return (0.0,) * (len(model.terms) - features) + (share,) * features
