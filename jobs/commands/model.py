"""``logitstream model``: show, check or upgrade a model file, make one from another tool, or write it for one."""

from __future__ import annotations

import click

from jobs import options
from jobs.help import HelpfulGroup
from jobs.options import values
from jobs.options.command import WHAT, JobArgument, JobCommand, option
from jobs.show import console
from pipeline.choices import DIALECT, KIND, TO, IfExists
from pipeline.units import escape

_MODEL = click.argument("model", type=values.PATH, cls=JobArgument)


@click.group("model", cls=HelpfulGroup, example="logitstream model show logitstream-demo/delay_model.json")
def command() -> None:
    """Show, check or upgrade a model file, import one from another tool, or write it for one."""


@command.command(
    "show",
    cls=JobCommand,
    example="logitstream model show logitstream-demo/delay_model.json",
    short_help="Show the coefficients as a table.",
)
@_MODEL
@options.all_digits
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
@_MODEL
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
@_MODEL
@options.output_to("FILE", "Write this file instead.  [default: MODEL itself]")
@options.if_file_exists
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
    help="Score the first 10,000 rows of Parquet or CSV with FILE too (ONNX, skops, Keras; weights by PyTorch), and "
    "store the largest difference. PMML is compared with the rows that it brings.",
)
@option(
    "--kind",
    section=WHAT,
    type=click.Choice(KIND.words),
    help="What FILE is.  [default: as its first bytes tell]",
)
@option(
    "--layers",
    section=WHAT,
    type=values.PATH,
    metavar="FILE.json",
    is_path=True,
    help="The features, layers and head of a network, as a model file has them, where FILE has its weights.",
)
@options.output_to("MODEL", "The model file to write.", required=True)
@options.if_file_exists
@options.json_
def import_(
    file: str,
    output: str,
    kind: str | None,
    check: str | None,
    layers: str | None,
    if_exists: IfExists,
    json: bool,
) -> None:
    """Make a model file from FILE: ONNX, PMML, the readable text of VW, a skops file, a Keras file, or weights.

    Weights are the state of a PyTorch module in a safetensors file, never a .pt; with --layers they become a network.
    An ONNX graph with hidden layers and a Keras file are networks, too; their weights are written beside MODEL.

    FILE is never unpickled. What was assumed is printed and stored in the model. If scores differ from those of the
    other tool by more than its precision explains, the exit code is 3 and nothing is written.
    """
    from jobs.show.imported import show_import  # noqa: PLC0415 - --help stays light

    show_import(file, output, kind=kind, check=check, layers=layers, if_exists=if_exists, as_json=json)


_TARGETS = {"sql": "SQL", "onnx": "ONNX", "pmml": "PMML", "python": "Python"}
_NO_TEXT = {"onnx": "An ONNX graph", "safetensors": "A safetensors file"}


@command.command(
    "export",
    cls=JobCommand,
    example="logitstream model export logitstream-demo/delay_model.json --to sql --dialect postgresql",
    short_help="Write a model as SQL, ONNX, PMML, Python or safetensors.",
)
@_MODEL
@option(
    "--to",
    section=WHAT,
    type=click.Choice(TO.words),
    required=True,
    help="SQL expressions for a SELECT, an ONNX graph, PMML, a Python module without dependencies, or the weights of a "
    "network.",
)
@option(
    "--dialect",
    section=WHAT,
    type=click.Choice(DIALECT.words),
    help="The database that the SQL is for.  [default: duckdb]",
)
@options.output_to("FILE", "The file to write.  [default: the standard output, for text]")
@options.if_file_exists
def export(model: str, to: str, dialect: str | None, output: str | None, if_exists: IfExists) -> None:
    """Write MODEL for another tool.

    A network is written as an ONNX graph, or as its weights in FILE.safetensors and the rest in FILE.layers.json, which
    model import --layers takes.

    What the tool cannot express is refused by name (exit code 65), and nothing is written.
    """
    from pipeline.modelling import export_model  # noqa: PLC0415 - --help stays light

    if to in _NO_TEXT and output is None:
        raise click.UsageError(f"{_NO_TEXT[to]} is not text: name a file with --output.")
    written = export_model(model, to, output, dialect=dialect, if_exists=if_exists)
    if output is not None and to == "safetensors":
        layers = f"{output.removesuffix('.safetensors')}.layers.json"
        console.tell(f"{escape(output)}: the weights; {escape(layers)} says what they are")
    elif output is not None:
        console.tell(f"{escape(output)}: the model as {_TARGETS[to]}")
    elif isinstance(written, str):
        console.emit(written.removesuffix("\n"))


@command.command(
    "scorecard",
    cls=JobCommand,
    example="logitstream model scorecard logitstream-demo/delay_scorecard.json",
    short_help="Show the points of each attribute.",
)
@_MODEL
@options.all_digits
@options.json_
def scorecard(model: str, verbose: bool, json: bool) -> None:
    """Show MODEL as a scorecard: the points of each interval, level and missing value.

    The points of a row are the sum over its features. A number has points where it is 0, and for each 1 more.
    The model file states the scale in output.points (exit code 65 without it).
    """
    from jobs.show.scorecards import show_scorecard  # noqa: PLC0415 - --help stays light

    show_scorecard(model, all_digits=verbose, as_json=json)


if __name__ == "__main__":
    import sys

    from jobs.cli import main

    main(["model", *sys.argv[1:]])
