"""``logitstream rollback``: publish the previous version of an output again."""

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


@click.command("rollback", cls=JobCommand, example=EXAMPLE)
@click.argument("output", metavar="OUT", type=values.PATH, cls=JobArgument)
@options.durability
@options.json_
def command(output: str, durability: Durability, json: bool) -> None:
    """Publish the previous version of OUT again, in one step. Run it a second time to undo it.

    When a run replaces OUT, it keeps the previous version, or as many as --keep-versions says. Every byte of a version
    is checked before it is published; if it is damaged, OUT stays as it is (exit code 73).
    """
    from jobs.show.keeping import show_rollback  # noqa: PLC0415 - --help stays light

    show_rollback(output, durability=durability, as_json=json)


if __name__ == "__main__":
    import sys

    from jobs.cli import main

    main(["rollback", *sys.argv[1:]])
