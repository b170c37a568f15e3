"""``logitstream fit-network``: rows in, a network out."""

from __future__ import annotations

from typing import Any

import click

from jobs.loading import uncollected
from jobs.options.command import JobCommand, add
from jobs.options.fitting import FIT_NETWORK

EXAMPLE = """\
logitstream fit-network logitstream-demo/flights --target late --missing-target drop \\
    --features "dep_delay, distance, C(carrier)" --missing drop --hidden "32 sigmoid, 16 sigmoid" \\
    --holdout 20% --epochs 3 --output network.json --if-exists replace"""


@click.command(
    "fit-network",
    cls=JobCommand,
    example=EXAMPLE,
)
@add(FIT_NETWORK)
def command(**params: Any) -> None:
    """Fit a network of dense layers to the rows of INPUT, and write it as a model file with its weights beside it.

    INPUT is a Parquet or CSV file, a folder of them, or a pattern in quotes ('data/*.parquet'). The rows may be larger
    than memory: they are streamed in an order that the seed decides, once for each epoch. A target of two values gets
    a sigmoid, one of several a softmax.

    The weights are the same for any number of workers. A fit that is stopped resumes after its last finished epoch
    when you run the same command again.

    Recurrent layers are imported (model import), not fitted: PyTorch is the better tool for that.
    """
    with uncollected():
        from jobs.show.network_fits import show_network_fit  # noqa: PLC0415 - --help stays light

    show_network_fit(params)


if __name__ == "__main__":
    import sys

    from jobs.cli import main

    main(["fit-network", *sys.argv[1:]])
