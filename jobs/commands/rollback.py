"""``logitstream rollback``: the former version of an output, and forward again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from jobs import options
from jobs.options import values
from jobs.options.command import JobArgument, JobCommand

if TYPE_CHECKING:
    from pipeline.choices import Durability

EXAMPLE = """\
logitstream score logitstream-demo/flights --model logitstream-demo/delay_model.json \\
    --output logitstream-demo/scores-from-parquet --if-exists replace
logitstream rollback logitstream-demo/scores-from-parquet"""


@click.command(
    "rollback", cls=JobCommand, example=EXAMPLE, short_help="Put the former version of an output back in one step."
)
@click.argument("output", metavar="OUT", type=values.PATH, cls=JobArgument)
@options.durability
@options.json_
def command(output: str, durability: Durability, json: bool) -> None:
    """Put the former version of OUT back in its place, in one step; once more goes forward again.

    A version is kept when another one replaces it, as many as --keep-versions said then. Every byte of it is checked
    first: one that is damaged stays where it is, and OUT as it was (exit code 73).
    """
    from jobs.show.keeping import show_rollback  # noqa: PLC0415 - --help stays light

    show_rollback(output, durability=durability, as_json=json)


if __name__ == "__main__":
    import sys

    from jobs.cli import main

    main(["rollback", *sys.argv[1:]])
