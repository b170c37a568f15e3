"""``logitstream inspect``: look at data, or at the rows of a quarantine."""

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
)
@click.argument("path", type=values.PATH, cls=JobArgument)
@option("--full", section=WHAT, is_flag=True, help="Read all rows instead of the footers only.")
@add((*options.READ, *options.READING, options.json_))
def command(path: str, full: bool, json: bool, **params: Any) -> None:
    """Look at PATH: data (inputs or an output) or a quarantine.

    For data (a file, a folder or a pattern; Parquet or CSV), inspect shows the schema of all files and where they
    differ, rows, row groups, nulls and ranges. Nulls and ranges come from the footers of Parquet files, or with --full
    from all rows. CSV files are read with the same options as in 'logitstream score'.

    For a quarantine (the folder _quarantine of an output, or a file in it), inspect shows the reasons with their
    counts, and the first rows of each with the places they come from.

    A file that cannot be read does not hide the others: it is named at the end (exit code 65).
    """
    from jobs.show.findings import show_inspection  # noqa: PLC0415 - --help stays light

    how = given(params)
    if "type" in how:
        how["types"] = dict(how.pop("type"))
    show_inspection(path, full=full, as_json=json, how=how)


if __name__ == "__main__":
    import sys

    from jobs.cli import main

    main(["inspect", *sys.argv[1:]])
