"""``logitstream diagnose``: find out where the error signal of a network vanishes or explodes."""

from __future__ import annotations

from typing import Any

import click

from jobs.options.command import JobCommand, add
from jobs.options.diagnosing import INITIALISATIONS
from jobs.options.help import HelpfulGroup


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


if __name__ == "__main__":
    import sys

    from jobs.cli import main

    main(["diagnose", *sys.argv[1:]])
