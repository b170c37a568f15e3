"""``logitstream model``: show or check a model file."""

from __future__ import annotations

import click

from jobs import options
from jobs.options import values
from jobs.options.command import TALK, JobArgument, JobCommand, add, option
from jobs.options.help import HelpfulGroup
from jobs.show import console
from pipeline.units import escape, format_count


@click.group("model", cls=HelpfulGroup, example="logitstream model show logitstream-demo/delay_model.json")
def command() -> None:
    """Show or check a model file."""


@command.command(
    "show",
    cls=JobCommand,
    example="logitstream model show logitstream-demo/delay_model.json",
    short_help="Show the coefficients as a table.",
)
@click.argument("model", type=values.PATH, cls=JobArgument)
@option("-v", "--verbose", section=TALK, is_flag=True, help="Show all digits of each number.")
def show(model: str, verbose: bool) -> None:
    """Show the coefficients of MODEL as a table, with its policies for missing and unseen values.

    Numbers are rounded to six digits; -v shows them as they are in the file.
    """
    from jobs.show.tables import emit_model  # noqa: PLC0415 - --help stays light
    from pipeline.interface import shown_model  # noqa: PLC0415 - as above

    emit_model(shown_model(model), all_digits=verbose)


@command.command(
    "check",
    cls=JobCommand,
    example="logitstream model check logitstream-demo/delay_model.json",
    short_help="Check a model file and report every error in it.",
)
@click.argument("model", type=values.PATH, cls=JobArgument)
def check(model: str) -> None:
    """Check MODEL and report every error in it with its place (exit code 65)."""
    from pipeline.interface import shown_model  # noqa: PLC0415 - --help stays light

    features = shown_model(model).features
    console.confirm(f"{escape(model)}: valid, {format_count(features)} feature{'' if features == 1 else 's'}")


@command.command(
    "scorecard",
    cls=JobCommand,
    example="logitstream model scorecard logitstream-demo/delay_scorecard.json",
    short_help="Show the points of each attribute.",
)
@click.argument("model", type=values.PATH, cls=JobArgument)
@add((options.json_,))
@option("-v", "--verbose", section=TALK, is_flag=True, help="Show all digits of each number.")
def scorecard(model: str, json: bool, verbose: bool) -> None:
    """Show MODEL as a scorecard: the points of each interval, level and missing value.

    The points of a row are the sum over its features. A number has points where it is 0, and for each 1 more.
    The model file states the scale in output.points (exit code 65 without it).
    """
    from jobs.show.scorecards import show_scorecard  # noqa: PLC0415 - --help stays light

    show_scorecard(model, as_json=json, all_digits=verbose)


if __name__ == "__main__":
    import sys

    from jobs.cli import main

    main(["model", *sys.argv[1:]])
