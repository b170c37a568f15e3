"""What ``model scorecard`` shows, as a table or as JSON."""

from __future__ import annotations

from jobs.show import document
from jobs.show.tables import emit_scorecard
from pipeline.modelling import scorecard_of
from pipeline.report.models import scorecard_json


def show_scorecard(model: str, *, all_digits: bool, as_json: bool) -> None:
    """Show the points of each attribute of a model file."""
    card = scorecard_of(model)
    if as_json:
        document.write(scorecard_json(model, card))
    else:
        emit_scorecard(card, all_digits=all_digits)
