"""``logitstream plan``: what ``score`` would do, without doing it."""

from __future__ import annotations

from typing import Any

import click

from jobs import options
from jobs.loading import uncollected
from jobs.options.command import JobCommand, add

EXAMPLE = """\
logitstream plan logitstream-demo/flights \\
    --model logitstream-demo/delay_model.json --output scores --if-exists replace"""


@click.command(
    "plan",
    cls=JobCommand,
    example=EXAMPLE,
    table="score",
    context_settings={"auto_envvar_prefix": "LOGITSTREAM_SCORE"},
)
@add(options.SCORE)
def command(**params: Any) -> None:
    """Show what 'logitstream score' would do with the same options. This is the same as 'score --dry-run'.

    It shows files, rows, chunks, workers, memory, the columns of the output, and what an unfinished run has already
    done. It reads the footers of Parquet files and both ends of CSV files, but no rows, unless --sample-rows asks for
    some. A job that 'score' would refuse
    before it starts is refused here with the same exit code, except that plan does not check whether another run is
    working on the output. plan reads the environment variables of 'score' (LOGITSTREAM_SCORE_...) and the table [score]
    of a --config file.
    """
    with uncollected():
        from jobs.running import carry_out, score_job  # noqa: PLC0415 - --help stays light

    carry_out(score_job(params), params | {"dry_run": True})


if __name__ == "__main__":
    import sys

    from jobs.cli import main

    main(["plan", *sys.argv[1:]])
