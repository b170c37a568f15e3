"""The options of ``diagnose``, each defined once."""

from __future__ import annotations

import click

from jobs import options
from jobs.options import completion, values
from jobs.options.cluster import CLUSTER
from jobs.options.command import WHAT, option
from pipeline.choices import INITIALISATION
from pipeline.options import OF_GRADIENTS, meaning
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

model = options.model_with(help="The network, a JSON file with its weights beside it.")
target = option(
    "--target",
    section=WHAT,
    type=values.PATH,
    shell_complete=completion.column,
    metavar="COL",
    help="The column of the classes: the loss is the log loss. Without it, it is the sum of the raw predictions.",
)
missing_target = options.missing_target_with(help=meaning("missing_target", OF_GRADIENTS))

_ROWS = (
    *(missing_target, options.absent),
    options.limit_with(help=meaning("limit", OF_GRADIENTS)),
    options.max_bad_with(help=meaning("max_bad", OF_GRADIENTS)),
)
_RUN = (
    options.chunk_size_with(help=meaning("chunk_size", OF_GRADIENTS)),
    *(options.workers, options.memory, options.scheduler, *CLUSTER, options.retries),
)

GRADIENTS = (
    *(options.inputs, model, target),
    *_ROWS,
    *options.READ,
    *_RUN,
    options.plot_to("Draw both norms of each layer as a picture (.svg or .png)."),
    *(options.config_file, options.json_),
)
