"""``logitstream plot``: draw functions and their derivatives."""

from __future__ import annotations

import math
from typing import Any

import click

from jobs import options
from jobs.options import completion, values
from jobs.options.command import WHAT, JobCommand, option
from jobs.options.functions import Asked, as_asked, told_apart

_NARROWEST = 1e-9


def _range(ctx: click.Context, param: click.Parameter, value: tuple[float, float] | None) -> tuple[float, float] | None:
    if value is None:
        return None
    width = value[1] - value[0]
    # Between two numbers that are almost equal there is no room for points.
    if not (math.isfinite(width) and width > _NARROWEST * max(map(abs, value))):
        raise click.BadParameter(f"{value[0]:g} to {value[1]:g} is not a range; write --range -6 6.", ctx, param)
    return value


def _asked(_: click.Context, __: click.Parameter, value: tuple[str, ...]) -> tuple[Asked, ...]:
    return told_apart(as_asked(text) for text in value)


@click.command(
    "plot",
    cls=JobCommand,
    example="logitstream plot sigmoid tanh relu --output functions.svg",
    uses_demo=False,
)
@click.argument(
    "functions",
    metavar="FUNCTION...",
    nargs=-1,
    required=True,
    callback=_asked,
    type=values.TEXT,
    shell_complete=completion.functions,
)
@option(
    "--range",
    section=WHAT,
    type=float,
    nargs=2,
    callback=_range,
    metavar="LOW HIGH",
    help="The range of x.  [default: -6 6]",
)
@options.output_to("FILE", "The picture; its name ends in .svg or .png. An existing file is replaced.", required=True)
def command(**params: Any) -> None:
    """Draw each FUNCTION and its derivative as a picture.

    FUNCTION is a name (sigmoid), or a name with parameters: 'sigmoid(x, temperature=2)'. NAME= gives the curve a name:
    'flat=sigmoid(x, temperature=2)'. Curves of one function share a panel. Needs matplotlib: pip install
    'logitstream[plot]'.
    """
    from jobs.show.curves import draw_functions  # noqa: PLC0415 - --help stays light

    draw_functions(params["functions"], params["range"], params["output"])


if __name__ == "__main__":
    import sys

    from jobs.cli import main

    main(["plot", *sys.argv[1:]])
