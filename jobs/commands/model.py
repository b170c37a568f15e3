"""``logitstream model``: show or check a model file, or make one from the file of another tool."""

from __future__ import annotations

import click

from jobs import options
from jobs.options import values
from jobs.options.command import OUTPUT, TALK, WHAT, JobArgument, JobCommand, option
from jobs.options.help import HelpfulGroup
from jobs.show import console
from pipeline.choices import KIND
from pipeline.units import escape, format_count


@click.group("model", cls=HelpfulGroup, example="logitstream model show logitstream-demo/delay_model.json")
def command() -> None:
    """Show or check a model file, or import one from another tool."""


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
    "import",
    cls=JobCommand,
    example="logitstream model import model.onnx --output model.json --check flights.csv",
    uses_demo=False,
    short_help="Make a model file from the file of another tool.",
)
@click.argument("file", type=values.PATH, cls=JobArgument)
@option(
    "--check",
    section=WHAT,
    type=values.PATH,
    metavar="DATA",
    is_path=True,
    help="Score the first 10,000 rows of Parquet or CSV both ways, and store the largest difference in the model.",
)
@option(
    "--kind",
    section=WHAT,
    type=click.Choice(KIND.words),
    help="What FILE is.  [default: as its first bytes tell]",
)
@option(
    "-o",
    "--output",
    section=OUTPUT,
    type=values.PATH,
    required=True,
    metavar="MODEL",
    is_path=True,
    help="The model file. An existing file is replaced.",
)
@options.json_
def import_(file: str, output: str, kind: str | None, check: str | None, json: bool) -> None:
    """Make a model file from FILE: an ONNX graph, a PMML document, the readable text of VW, or a skops file.

    FILE is never unpickled. What was assumed is printed and stored in the model. If scores differ from those of the
    other tool by more than its precision explains, the exit code is 3 and nothing is written.
    """
    from jobs.show.imported import show_import  # noqa: PLC0415 - --help stays light

    show_import(file, output, kind=kind, check=check, as_json=json)


if __name__ == "__main__":
    import sys

    from jobs.cli import main

    main(["model", *sys.argv[1:]])
