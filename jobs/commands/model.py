"""``logitstream model``: show or check a model file, or write it for another tool."""

from __future__ import annotations

import click

from jobs import options
from jobs.options import values
from jobs.options.command import OUTPUT, TALK, WHAT, JobArgument, JobCommand, add, option
from jobs.options.help import HelpfulGroup
from jobs.show import console
from pipeline.choices import DIALECT, TARGET
from pipeline.units import escape, format_count


@click.group("model", cls=HelpfulGroup, example="logitstream model show logitstream-demo/delay_model.json")
def command() -> None:
    """Show or check a model file, or write it for another tool."""


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
    "export",
    cls=JobCommand,
    example="logitstream model export logitstream-demo/delay_model.json --to sql --dialect postgresql",
    short_help="Write a model as SQL, ONNX, PMML or Python.",
)
@click.argument("model", type=values.PATH, cls=JobArgument)
@option(
    "--to",
    section=WHAT,
    type=click.Choice(TARGET.words),
    required=True,
    help="SQL expressions for a SELECT, an ONNX graph, PMML, or a Python module without dependencies.",
)
@option(
    "--dialect",
    section=WHAT,
    type=click.Choice(DIALECT.words),
    help="The database that the SQL is for.  [default: duckdb]",
)
@option(
    "-o",
    "--output",
    section=OUTPUT,
    type=values.PATH,
    metavar="FILE",
    is_path=True,
    help="Where to write; an existing file is replaced.  [default: the standard output, for text]",
)
def export(model: str, to: str, dialect: str | None, output: str | None) -> None:
    """Write MODEL for another tool.

    What the tool cannot express is refused by name (exit code 65), and nothing is written.
    """
    from pipeline.interface import export_model  # noqa: PLC0415 - --help stays light

    if to == "onnx" and output is None:
        raise click.UsageError("An ONNX graph is not text: name a file with --output.")
    written = export_model(model, to, output, dialect=dialect)
    if output is not None:
        console.tell(f"{escape(output)}: the model as {to}")
    elif isinstance(written, str):
        console.emit(written.removesuffix("\n"))


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
