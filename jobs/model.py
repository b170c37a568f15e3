"""``logitstream model``: look at a model file."""

from __future__ import annotations

import click

from jobs import options


@click.group("model")
def command() -> None:
    """Show or check a model file."""


@command.command("show", cls=options.JobCommand, example="logitstream model show logitstream-demo/delay_model.json")
@click.argument("model")
def show(model: str) -> None:
    """Show the coefficients of MODEL as a table, with its policies for missing and unseen values."""
    from jobs.tables import emit_model
    from pipeline import LogisticModel

    emit_model(LogisticModel.load(model).file)


@command.command("check", cls=options.JobCommand, example="logitstream model check logitstream-demo/delay_model.json")
@click.argument("model")
def check(model: str) -> None:
    """Check MODEL, and report every error of the file at once with its place (exit code 65)."""
    from jobs import console
    from pipeline import LogisticModel
    from pipeline.units import escape, format_count

    features = len(LogisticModel.load(model).file.features)
    console.emit(f"{escape(model)}: valid, {format_count(features)} feature{'' if features == 1 else 's'}")


if __name__ == "__main__":
    import sys

    from jobs.cli import main

    main(["model", *sys.argv[1:]])
