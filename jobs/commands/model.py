"""``logitstream model``: look at a model file."""

from __future__ import annotations

import click

from jobs.options import values
from jobs.options.command import JobArgument, JobCommand
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
def show(model: str) -> None:
    """Show the coefficients of MODEL as a table, with its policies for missing and unseen values."""
    from jobs.show.tables import emit_model  # noqa: PLC0415 - --help stays light
    from pipeline.interface import shown_model  # noqa: PLC0415 - likewise

    emit_model(shown_model(model))


@command.command(
    "check",
    cls=JobCommand,
    example="logitstream model check logitstream-demo/delay_model.json",
    short_help="Report every error of the file at once.",
)
@click.argument("model", type=values.PATH, cls=JobArgument)
def check(model: str) -> None:
    """Check MODEL, and report every error of the file at once with its place (exit code 65)."""
    from pipeline.interface import shown_model  # noqa: PLC0415 - --help stays light

    features = shown_model(model).features
    console.emit(f"{escape(model)}: valid, {format_count(features)} feature{'' if features == 1 else 's'}")


if __name__ == "__main__":
    import sys

    from jobs.cli import main

    main(["model", *sys.argv[1:]])
