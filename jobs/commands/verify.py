"""``logitstream verify``: check that an output is what was published."""

from __future__ import annotations

import click

from jobs import options
from jobs.options import values
from jobs.options.command import WHAT, JobArgument, JobCommand, option


@click.command(
    "verify",
    cls=JobCommand,
    example="logitstream verify logitstream-demo/scores-from-parquet --inputs --sample 1",
)
@click.argument("output", metavar="OUT", type=values.PATH, cls=JobArgument)
@option("--inputs", section=WHAT, is_flag=True, help="Also check that the inputs have not changed.")
@option(
    "--sample",
    section=WHAT,
    type=values.COUNT,
    metavar="N",
    help="Score N random chunks again, and compare the bytes.",
)
@options.json_
def command(output: str, inputs: bool, sample: int | None, json: bool) -> None:
    """Check that OUT is, byte for byte, what was published.

    Every file is read completely: size, digest, page checksums, rows and schema must match the manifest, and the row
    counts must add up. Differences are listed in a table, and the exit code is 3, also if only inputs have changed.
    """
    from jobs.show.findings import show_verification  # noqa: PLC0415 - --help stays light

    show_verification(output, inputs=inputs, sample=sample or 0, as_json=json)


if __name__ == "__main__":
    import sys

    from jobs.cli import main

    main(["verify", *sys.argv[1:]])
