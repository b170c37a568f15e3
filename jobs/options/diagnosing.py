"""The options of ``diagnose``, each defined once."""

from __future__ import annotations

import click

from jobs import options
from jobs.options import values
from jobs.options.command import WHAT, option
from pipeline.choices import INITIALISATION
from pipeline.options import meaning
from pipeline.registry import LAYER_FUNCTIONS

width = option(
    "--width",
    section=WHAT,
    type=values.COUNT,
    default=10,
    show_default=True,
    metavar="N",
    help=meaning("width"),
)
depth = option(
    "--depth",
    section=WHAT,
    type=values.COUNT_OF_SEVERAL,
    default=10,
    show_default=True,
    metavar="N",
    help=meaning("depth"),
)
seeds = option(
    "--seeds",
    section=WHAT,
    type=values.COUNT,
    default=25,
    show_default=True,
    metavar="N",
    help=meaning("seeds"),
)
function = option(
    "--function",
    section=WHAT,
    type=click.Choice(LAYER_FUNCTIONS),
    default="sigmoid",
    show_default=True,
    metavar="NAME",
    help=meaning("function"),
)
initialisation = option(
    "--initialisation",
    section=WHAT,
    type=click.Choice(INITIALISATION.words),
    help=meaning("initialisation"),
)
gain = option("--gain", section=WHAT, type=values.POSITIVE, metavar="F", help=meaning("gain"))

INITIALISATIONS = (
    *(width, depth, seeds, function, initialisation, gain),
    options.plot_to("Draw the norms as a picture (.svg or .png)."),
    options.json_,
)
