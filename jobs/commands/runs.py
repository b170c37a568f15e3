"""``logitstream runs``: list and remove unfinished runs and previous versions of outputs."""

from __future__ import annotations

import click

from jobs import options
from jobs.help import HelpfulGroup
from jobs.options import values
from jobs.options.command import WHAT, JobArgument, JobCommand, option

OUT = "logitstream-demo/scores-from-parquet"


@click.group("runs", cls=HelpfulGroup, example="logitstream runs list logitstream-demo")
def command() -> None:
    """List unfinished runs and previous versions, or remove them."""


@command.command(
    "list",
    cls=JobCommand,
    example="logitstream runs list logitstream-demo",
    short_help="List unfinished runs and previous versions.",
)
@click.argument("paths", nargs=-1, metavar="[PATH...]", type=values.PATH, cls=JobArgument)
@options.json_
def list_(paths: tuple[str, ...], json: bool) -> None:
    """List unfinished runs and previous versions: their age and size, the chunks done, and why a run stopped.

    PATH is an output or a folder with outputs; the default is the current folder. Nothing is locked or changed.
    """
    from jobs.show.keeping import show_runs  # noqa: PLC0415 - --help stays light

    show_runs(paths or (".",), as_json=json)


@command.command(
    "show", cls=JobCommand, example=f"logitstream runs show {OUT}", short_help="Show everything about one output."
)
@click.argument("output", metavar="OUT", type=values.PATH, cls=JobArgument)
@options.json_
def show(output: str, json: bool) -> None:
    """Show what is published as OUT, which run is working on it, its unfinished runs and its previous versions."""
    from jobs.show.keeping import show_output  # noqa: PLC0415 - --help stays light

    show_output(output, as_json=json)


@command.command(
    "clean",
    cls=JobCommand,
    example=f"logitstream runs clean {OUT} --stopped --older-than 7d",
    short_help="Remove unfinished runs, previous versions, or both.",
)
@click.argument("output", metavar="OUT", type=values.PATH, cls=JobArgument)
@option("--stopped", section=WHAT, is_flag=True, help="Remove the files of unfinished runs.")
@option(
    "--versions",
    section=WHAT,
    is_flag=True,
    help="Remove previous versions; 'rollback' can then no longer publish them.",
)
@option(
    "--older-than",
    section=WHAT,
    type=values.DURATION,
    metavar="TIME",
    help="Remove only what is older than this (90s, 25m, 3h, 7d).  [default: any age]",
)
@option("--dry-run", section=WHAT, is_flag=True, help="Show what would be removed, and remove nothing.")
@options.json_
def clean(output: str, stopped: bool, versions: bool, older_than: str | None, dry_run: bool, json: bool) -> None:
    """Remove unfinished runs or previous versions of OUT, and show how much space that frees. OUT itself stays.

    Choose --stopped, --versions or both. While a run is working on OUT, nothing is removed (exit code 75).
    """
    if not stopped and not versions:
        raise click.UsageError("Choose --stopped (unfinished runs), --versions (previous versions), or both.")
    from jobs.show.keeping import show_cleaning  # noqa: PLC0415 - --help stays light

    show_cleaning(output, stopped=stopped, versions=versions, older_than=older_than, dry_run=dry_run, as_json=json)


if __name__ == "__main__":
    import sys

    from jobs.cli import main

    main(["runs", *sys.argv[1:]])
