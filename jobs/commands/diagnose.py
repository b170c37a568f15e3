"""``logitstream diagnose``: find out where the error signal of a network vanishes or explodes."""

from __future__ import annotations

from typing import Any

import click

from jobs.help import HelpfulGroup
from jobs.options.command import JobCommand, add
from jobs.options.diagnosing import GRADIENTS, INITIALISATIONS


@click.group("diagnose", cls=HelpfulGroup, example="logitstream diagnose initialisation", uses_demo=False)
def command() -> None:
    """Find out where the error signal of a network vanishes or explodes."""


@command.command(
    "initialisation",
    cls=JobCommand,
    example="logitstream diagnose initialisation --width 10 --depth 10",
    uses_demo=False,
    short_help="Measure what initial weights do to the error signal.",
)
@add(INITIALISATIONS)
def initialisation(plot: str | None, json: bool, **params: Any) -> None:
    """Measure how much of the error signal dL/dz reaches each of several layers with random weights.

    Needs no data: inputs, weights and the error at the output are drawn. For each layer it shows the mean norm of dL/dz
    over the rows, the share of saturated units and the mean activation, and says in a sentence where the signal
    vanishes or explodes, and what helps.
    """
    from jobs.show.signals import show_initialisation  # noqa: PLC0415 - --help stays light

    show_initialisation(params, plot=plot, as_json=json)


@command.command(
    "gradients",
    cls=JobCommand,
    example="logitstream diagnose gradients flights --model network.json --target late",
    uses_demo=False,
    short_help="Measure the error signal in each layer of a network.",
)
@add(GRADIENTS)
def gradients(plot: str | None, json: bool, **params: Any) -> None:
    """Measure how much of the error signal dL/dz reaches each layer of a network, over the rows of INPUT.

    INPUT is a Parquet or CSV file, a folder of them, or a pattern in quotes ('data/*.parquet'). The rows may be larger
    than memory: they are read in one pass.

    For each layer it shows the mean norm of dL/dz over the rows, the norm of the gradient of the weights, the share of
    saturated units and the mean activation, and says in which layer the signal vanishes or explodes, and what helps.
    """
    from jobs.show.gradients import show_gradients  # noqa: PLC0415 - --help stays light

    show_gradients(params, plot=plot, as_json=json)


if __name__ == "__main__":
    import sys

    from jobs.cli import main

    main(["diagnose", *sys.argv[1:]])
