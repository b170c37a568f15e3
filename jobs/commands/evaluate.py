"""``logitstream evaluate``: how well scores fit what was observed."""

from __future__ import annotations

from typing import Any

import click

from jobs.loading import uncollected
from jobs.options.command import JobCommand, add
from jobs.options.measuring import EVALUATE

EXAMPLE = """\
logitstream evaluate logitstream-demo/flights --target late \\
    --model logitstream-demo/delay_model.json --missing-target drop --by carrier"""


@click.command("evaluate", cls=JobCommand, example=EXAMPLE)
@add(EVALUATE)
def command(**params: Any) -> None:
    """Measure how well a model, or a column of probabilities, fits what was observed in the rows of INPUT.

    INPUT is a Parquet or CSV file, a folder of them, or a pattern in quotes ('data/*.parquet'). The rows may be larger
    than memory: they are read once. With --merge INPUT are states of earlier evaluations, and no row is read.

    Shown are log loss, Brier score, AUC and average precision with what is known of their errors, rows by decile and at
    thresholds, the calibration, the same by group, and the differences of two models.
    """
    with uncollected():
        from jobs.show.evaluations import show_evaluation  # noqa: PLC0415 - --help stays light
        from pipeline.memory import use_one_arena  # noqa: PLC0415

    # Tables and tiles are large and short-lived in each thread: the peak is a tenth lower.
    use_one_arena()
    show_evaluation(params)


if __name__ == "__main__":
    import sys

    from jobs.cli import main

    main(["evaluate", *sys.argv[1:]])
