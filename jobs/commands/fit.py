"""``logitstream fit``: rows in, a model out."""

from __future__ import annotations

from typing import Any

import click

from jobs.loading import uncollected
from jobs.options.command import JobCommand, add
from jobs.options.fitting import FIT

EXAMPLE = """\
logitstream fit logitstream-demo/flights --target late --missing-target drop \\
    --features "dep_delay, distance, C(carrier)" --missing drop \\
    --min-count 50 --output fitted.json --if-exists replace"""


@click.command("fit", cls=JobCommand, example=EXAMPLE)
@add(FIT)
def command(**params: Any) -> None:
    """Fit a logistic model to the rows of INPUT, and write it as a model file.

    INPUT is a Parquet or CSV file, a folder of them, or a pattern in quotes ('data/*.parquet'). The rows may be larger
    than memory: they are read in several passes.

    The fit ends at the optimum and shows how that is known. If it does not converge, nothing is written and the exit
    code is 3. A fit that is stopped resumes after its last finished pass when you run the same command again.
    """
    with uncollected():
        from jobs.show.fits import show_fit  # noqa: PLC0415 - --help stays light

    show_fit(params)


if __name__ == "__main__":
    import sys

    from jobs.cli import main

    main(["fit", *sys.argv[1:]])
