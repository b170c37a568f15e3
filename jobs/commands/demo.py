"""``logitstream demo``: from files to scores in one command, on real flights."""

from __future__ import annotations

import click

from jobs import options
from jobs.options.command import JobCommand

EXAMPLE = "logitstream demo --output logitstream-demo"


@click.command("demo", cls=JobCommand, example=EXAMPLE, uses_demo=False)
@options.output_to("DIR", "The folder for the sample and its scores.", default="logitstream-demo", show_default=True)
def command(output: str) -> None:
    """Score a sample of real flights, show what the scores mean, and compare Parquet with CSV.

    The sample (some 20,000 flights from New York in 2013, public domain) is copied into a folder, and its scores are
    published there too. You can run it again: it never overwrites a file that is not part of the sample.
    """
    from jobs.demonstration import show  # noqa: PLC0415 - --help stays light

    show(output)


if __name__ == "__main__":
    import sys

    from jobs.cli import main

    main(["demo", *sys.argv[1:]])
