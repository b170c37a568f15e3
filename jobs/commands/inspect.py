"""``logitstream inspect``: what is in data or in a quarantine."""

from __future__ import annotations

from typing import Any

import click

from jobs import options
from jobs.options import values
from jobs.options.command import WHAT, JobArgument, JobCommand, add, given, option


@click.command(
    "inspect",
    cls=JobCommand,
    example="logitstream inspect logitstream-demo/flights",
    short_help="Look at data, or at the rows of a quarantine.",
)
@click.argument("path", type=values.PATH, cls=JobArgument)
@option("--full", section=WHAT, is_flag=True, help="Read all data, rather than what the footers say of it.")
@add((*options.READING, options.json_))
def command(path: str, full: bool, json: bool, **params: Any) -> None:
    """Look at PATH: data, whether inputs or an output, or a quarantine.

    Of data (a file, a folder or a pattern; Parquet or CSV) it shows the schema over all files and what differs between
    them, rows, row groups, nulls and ranges: those that the footers of Parquet files state, or with --full those of
    every value, which all workers read together. Of a quarantine (the folder _quarantine of an output, or a file of
    it) it shows the reasons with their counts, and the first rows of each with the places that they come from.

    A file that cannot be read does not hide the others: it is named at the end (exit code 65).
    """
    from jobs.show.findings import show_inspection  # noqa: PLC0415 - --help stays light

    show_inspection(path, full=full, as_json=json, how=given(params))


if __name__ == "__main__":
    import sys

    from jobs.cli import main

    main(["inspect", *sys.argv[1:]])
