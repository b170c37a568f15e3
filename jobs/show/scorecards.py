"""What ``model scorecard`` shows, as a table or as JSON."""

from __future__ import annotations

from dataclasses import asdict

from jobs.show import document
from jobs.show.tables import emit_scorecard
from pipeline.interface import scorecard_of


def show_scorecard(model: str, *, as_json: bool, all_digits: bool) -> None:
    """Show the points of each attribute of a model file."""
    card = scorecard_of(model)
    if as_json:
        document.write({"facts": dict(card.facts), "attributes": [asdict(each) for each in card.attributes]})
    else:
        emit_scorecard(card, all_digits=all_digits)
