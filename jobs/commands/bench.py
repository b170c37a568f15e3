"""``logitstream bench``: measure what functions cost on this machine."""

from __future__ import annotations

import click

from jobs import options
from jobs.help import HelpfulGroup
from jobs.options import completion, values
from jobs.options.command import HOW, WHAT, JobCommand, option
from jobs.options.functions import known


def _known(_: click.Context, __: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(known(name) for name in value))


@click.group("bench", cls=HelpfulGroup, example="logitstream bench functions sigmoid --size 100000", uses_demo=False)
def command() -> None:
    """Measure what functions cost on this machine."""


@command.command(
    "functions",
    cls=JobCommand,
    example="logitstream bench functions sigmoid tanh --size 100000",
    uses_demo=False,
    short_help="Measure time, memory and accuracy of functions.",
)
@click.argument(
    "functions",
    metavar="[FUNCTION...]",
    nargs=-1,
    callback=_known,
    type=values.TEXT,
    shell_complete=completion.functions,
)
@option(
    "--size",
    section=WHAT,
    type=values.COUNT,
    default=10_000_000,
    metavar="N",
    help="How many elements an array has.  [default: 10,000,000]",
)
@option(
    "--dtype",
    section=WHAT,
    type=click.Choice(["float64", "float32", "float16"]),
    default="float64",
    show_default=True,
    help="The type of the elements.",
)
@option(
    "--threads",
    section=HOW,
    type=values.COUNT,
    default=1,
    show_default=True,
    metavar="N",
    help="How many threads share the array. One thread is timed in processor time, several in wall time.",
)
@option(
    "--rounds",
    section=HOW,
    type=values.COUNT,
    default=5,
    show_default=True,
    metavar="N",
    help="How often each function is timed; the median counts.",
)
@options.plot_to("Draw the times as a picture (.svg or .png).")
@options.json_
def functions(
    functions: tuple[str, ...], size: int, dtype: str, threads: int, rounds: int, plot: str | None, json: bool
) -> None:
    """Measure each FUNCTION, or all: nanoseconds per element, throughput compared with a copy, and memory.

    logitstream is compared with the NumPy one-liner and, if they are installed, with scipy and PyTorch. For the sigmoid
    a second table shows the largest error of common ways to write it, for each range of x, in units in the last place
    of the exact value.
    """
    from jobs.show.costs import show_functions  # noqa: PLC0415 - --help stays light

    show_functions(functions, size=size, dtype=dtype, threads=threads, rounds=rounds, plot=plot, as_json=json)


if __name__ == "__main__":
    import sys

    from jobs.cli import main

    main(["bench", *sys.argv[1:]])
