"""``logitstream transform``: functions of columns, without a model."""

from __future__ import annotations

from typing import Any

import click

from jobs import options
from jobs.loading import uncollected
from jobs.options.command import JobCommand, add
from pipeline.grammar import parse_application

EXAMPLE = """\
logitstream transform logitstream-demo/flights.csv \\
    --apply "p=sigmoid(dep_delay)" --keep flight_id --output transformed"""


@click.command("transform", cls=JobCommand, example=EXAMPLE)
@add(options.TRANSFORM)
def command(**params: Any) -> None:
    """Apply functions to columns of INPUT and publish the results in one step.

    INPUT is a Parquet or CSV file, a folder of them, or a pattern in quotes ('data/*.parquet'). Row i of the output is
    row i of the inputs, taken in the order of their paths.

    A run that fails or is stopped publishes nothing; run the same command again to resume it. 'logitstream runs list'
    shows unfinished runs. 'logitstream rollback' publishes the previous version of an output again.
    """
    made = (name for text in params["apply"] for name in parse_application(text).outputs)
    options.refuse_taken(params["keep"], made, params["rename"])
    with uncollected():
        from jobs.running import carry_out, transform_job  # noqa: PLC0415 - --help stays light

    carry_out(transform_job(params), params)


if __name__ == "__main__":
    import sys

    from jobs.cli import main

    main(["transform", *sys.argv[1:]])
