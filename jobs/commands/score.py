"""``logitstream score``: rows in, probabilities out."""

from __future__ import annotations

from typing import Any

import click

from jobs import options
from jobs.loading import uncollected
from jobs.options.command import JobCommand, add

EXAMPLE = """\
logitstream score logitstream-demo/flights \\
    --model logitstream-demo/delay_model.json --keep flight_id,carrier --output scores"""


@click.command("score", cls=JobCommand, example=EXAMPLE)
@add(options.SCORE)
def command(**params: Any) -> None:
    """Score the rows of INPUT with a logistic model, or a network, and publish the probabilities in one step.

    INPUT is a Parquet or CSV file, a folder of them, or a pattern in quotes ('data/*.parquet'). Row i of the output is
    row i of the inputs, taken in the order of their paths.

    A run that fails or is stopped publishes nothing; run the same command again to resume it. 'logitstream runs list'
    shows unfinished runs. 'logitstream rollback' publishes the previous version of an output again.
    """
    with uncollected():
        from jobs.running import carry_out, score_job  # noqa: PLC0415 - --help stays light

    carry_out(score_job(params), params)


if __name__ == "__main__":
    import sys

    from jobs.cli import main

    main(["score", *sys.argv[1:]])
