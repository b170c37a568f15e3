"""``logitstream model``: show, check or upgrade a model file, or make one from the file of another tool."""

from __future__ import annotations

import click

from jobs import options
from jobs.options import values
from jobs.options.command import OUTPUT, TALK, WHAT, JobArgument, JobCommand, option
from jobs.options.help import HelpfulGroup
from pipeline.choices import KIND, IfExists


@click.group("model", cls=HelpfulGroup, example="logitstream model show logitstream-demo/delay_model.json")
def command() -> None:
    """Show, check or upgrade a model file, or import one from another tool."""


@command.command(
    "show",
    cls=JobCommand,
    example="logitstream model show logitstream-demo/delay_model.json",
    short_help="Show the coefficients as a table.",
)
@click.argument("model", type=values.PATH, cls=JobArgument)
@option("-v", "--verbose", section=TALK, is_flag=True, help="Show all digits of each number.")
@options.json_
def show(model: str, verbose: bool, json: bool) -> None:
    """Show the coefficients of MODEL as a table, with its policies for missing and unseen values.

    Numbers are rounded to six digits; -v shows them as they are in the file. --json writes the same facts with all
    digits, and every default of the file.
    """
    from jobs.show.models import show_model  # noqa: PLC0415 - --help stays light

    show_model(model, all_digits=verbose, as_json=json)


@command.command(
    "check",
    cls=JobCommand,
    example="logitstream model check logitstream-demo/delay_model.json",
    short_help="Check a model file and report every error in it.",
)
@click.argument("model", type=values.PATH, cls=JobArgument)
@options.json_
def check(model: str, json: bool) -> None:
    """Check MODEL and report every error in it with its place (exit code 65)."""
    from jobs.show.models import show_check  # noqa: PLC0415 - --help stays light

    show_check(model, as_json=json)


@command.command(
    "upgrade",
    cls=JobCommand,
    example="logitstream model upgrade logitstream-demo/delay_model.json --output model-2.json",
    short_help="Rewrite a model file in the newest version.",
)
@click.argument("model", type=values.PATH, cls=JobArgument)
@option(
    "-o",
    "--output",
    section=OUTPUT,
    type=values.PATH,
    metavar="FILE",
    is_path=True,
    help="Write this file instead.  [default: MODEL itself]",
)
@options.if_exists
@options.json_
def upgrade(model: str, output: str | None, if_exists: IfExists, json: bool) -> None:
    """Rewrite MODEL as a file of version 2, the newest. Scores keep their bits.

    Only the number of the version changes; the layout of the file stays. The digest of the model changes with it, so
    that a run with the new file is another job: outputs and unfinished runs of the old file are not reused.
    """
    from jobs.show.models import show_upgrade  # noqa: PLC0415 - --help stays light

    show_upgrade(model, output or model, if_exists=if_exists, as_json=json)


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
    help="The model file to write.",
)
@options.if_exists
@options.json_
def import_(file: str, output: str, kind: str | None, check: str | None, if_exists: IfExists, json: bool) -> None:
    """Make a model file from FILE: an ONNX graph, a PMML document, the readable text of VW, or a skops file.

    FILE is never unpickled. What was assumed is printed and stored in the model. If scores differ from those of the
    other tool by more than its precision explains, the exit code is 3 and nothing is written.
    """
    from jobs.show.imported import show_import  # noqa: PLC0415 - --help stays light

    show_import(file, output, kind=kind, check=check, if_exists=if_exists, as_json=json)


if __name__ == "__main__":
    import sys

    from jobs.cli import main

    main(["model", *sys.argv[1:]])
