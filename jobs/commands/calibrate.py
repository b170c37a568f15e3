"""``logitstream calibrate``: a model and rows in, the model with a calibration out."""

from __future__ import annotations

from typing import Any

import click

from jobs.options.calibrating import CALIBRATE
from jobs.options.command import JobCommand, add

EXAMPLE = """\
logitstream calibrate logitstream-demo/flights --model logitstream-demo/delay_model.json \\
    --target late --missing-target drop --method platt --holdout 20% \\
    --output calibrated.json --if-exists replace"""


@click.command("calibrate", cls=JobCommand, example=EXAMPLE)
@add(CALIBRATE)
def command(json: bool, **params: Any) -> None:
    """Fit a calibration of a model to the rows of INPUT, and write the model with it.

    INPUT is a Parquet or CSV file, a folder of them, or a pattern in quotes ('data/*.parquet'). The rows may be larger
    than memory: they are read in a few passes, and scored as 'score' does it.

    The calibration is fitted on the raw prediction, to the optimum, and written into output.calibration of the model
    file; 'score' applies it. Log loss, expected calibration error (ECE) and calibration slope are shown before and
    after, on the rows that --holdout leaves out.
    """
    from jobs.show.calibrations import show_calibration  # noqa: PLC0415 - --help stays light

    show_calibration(params, as_json=json)


if __name__ == "__main__":
    import sys

    from jobs.cli import main

    main(["calibrate", *sys.argv[1:]])
