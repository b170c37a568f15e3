"""The options of ``fit`` and ``fit-network`` that no other command has, each defined once."""

from __future__ import annotations

from functools import partial
from typing import Any

import click

from jobs import options
from jobs.options import completion, values
from jobs.options.cluster import CLUSTER
from jobs.options.command import FITTING, HOW, OUTPUT, WHAT, Decorator, option
from pipeline.choices import BALANCED, INITIALISATION, MISSING, OPTIMIZER, SOLVER, listed
from pipeline.options import DEFAULTS_OF_A_NETWORK, OF_A_FIT, OF_A_NETWORK, OPTIONS, meaning
from pipeline.registry import LAYER_FUNCTIONS


def _parsed(ctx: click.Context, _: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    """Return features after parsing them, so that a mistake is shown with the place that it came from."""
    if value and not ctx.resilient_parsing:
        from pipeline.fitting.asking.formula import parse_terms  # noqa: PLC0415 - --help stays light

        parse_terms(*value)
    return value


def _layers(ctx: click.Context, _: click.Parameter, value: str | None) -> str | None:
    """Return hidden layers after parsing them, so that a mistake is shown with the place that it came from."""
    if value and not ctx.resilient_parsing:
        from pipeline.fitting.network.hidden import parse_hidden  # noqa: PLC0415 - --help stays light

        parse_hidden(value)
    return value


def _joined(_: click.Context, __: click.Parameter, value: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
    return tuple(text for part in value for text in part)


target = option(
    "--target",
    section=WHAT,
    required=True,
    type=values.PATH,
    shell_complete=completion.column,
    metavar="COL",
    help="The column to predict.",
)
positive = option("--positive", section=WHAT, metavar="VALUE", help=meaning("positive"))
_features_with = partial(
    option,
    "--features",
    section=WHAT,
    required=True,
    multiple=True,
    type=values.FEATURES,
    callback=_parsed,
    shell_complete=completion.features,
    metavar="TEXT",
)
_column = partial(option, type=values.PATH, shell_complete=completion.column, metavar="COL")
_holdout_with = partial(option, "--holdout", section=FITTING, shell_complete=completion.column, metavar="P%|TEST")
features = _features_with(
    help="What to predict it from, separated by commas: columns of numbers; C(x) for levels; a:b for a product, a*b "
    "for a, b and a:b; B(x, bins=20), B(x, edges=[1, 2.5]) or B(x, woe=true, monotone=up) for intervals; M(x) for 1 "
    "where x is missing; log(x), log1p(x), sqrt(x), square(x), clip(x, 0, 9); * for every other numeric column. "
    "Repeatable.",
)
weight = _column("--weight", section=WHAT, help=meaning("weight"))
offset = _column("--offset", section=WHAT, help=meaning("offset"))
class_weight = option(
    "--class-weight",
    section=WHAT,
    multiple=True,
    type=values.CLASS_WEIGHTS,
    callback=_joined,
    shell_complete=completion.words(BALANCED),
    metavar="W",
    help=f"{meaning('class_weight')}  [default: none]",
)
prior = option("--prior", section=WHAT, type=values.OPEN_SHARE, metavar="P", help=meaning("prior"))
missing_target = options.missing_target_with(help=meaning("missing_target"))
_missing_with = partial(
    option,
    "--missing",
    section=WHAT,
    multiple=True,
    type=values.RULES,
    callback=_joined,
    shell_complete=completion.columns_with(*MISSING.words, alone=MISSING.words),
    metavar="[COL=]DO",
)
missing = _missing_with(help=f"{meaning('missing')} Repeatable.  [default: error]")
exact_median = option("--exact-median", section=WHAT, is_flag=True, help=meaning("exact_median"))
min_count = option(
    "--min-count",
    section=WHAT,
    type=values.COUNT,
    default=1,
    show_default=True,
    metavar="N",
    help=meaning("min_count"),
)
max_levels = option(
    "--max-levels",
    section=WHAT,
    type=values.COUNT,
    default=1_000,
    show_default=True,
    metavar="N",
    help=meaning("max_levels"),
)
control = option(
    "--control",
    section=WHAT,
    multiple=True,
    type=values.NAMES,
    callback=_joined,
    shell_complete=completion.columns,
    metavar="COLS",
    help=f"{meaning('control')} Repeatable.",
)
sign = option(
    "--sign",
    section=WHAT,
    multiple=True,
    type=values.SIGNS,
    callback=_joined,
    shell_complete=completion.columns_with("+", "-"),
    metavar="COL=+|-",
    help=f"{meaning('sign')} Repeatable.",
)
no_intercept = option("--no-intercept", section=WHAT, is_flag=True, help="Fit no intercept.")
strict = option("--strict", section=WHAT, is_flag=True, help=meaning("strict"))

l1 = option(
    "--l1",
    section=FITTING,
    type=values.NOT_NEGATIVE,
    default=0.0,
    show_default=True,
    metavar="F",
    help=meaning("l1"),
)
l2 = option(
    "--l2",
    section=FITTING,
    type=values.NOT_NEGATIVE,
    default=0.0,
    show_default=True,
    metavar="F",
    help=meaning("l2"),
)
path = option("--path", section=FITTING, type=values.COUNT_OF_SEVERAL, metavar="N", help=meaning("path"))
folds = option("--folds", section=FITTING, type=values.COUNT_OF_SEVERAL, metavar="K", help=meaning("folds"))
holdout = _holdout_with(help=meaning("holdout"))
key = _column("--key", section=FITTING, help=meaning("key"))
one_standard_error = option("--one-standard-error", section=FITTING, is_flag=True, help=meaning("one_standard_error"))
solver = option(
    "--solver",
    section=FITTING,
    type=click.Choice(SOLVER.words),
    default="auto",
    show_default=True,
    help=meaning("solver"),
)
learning_rate = option(
    "--learning-rate",
    section=FITTING,
    type=values.POSITIVE,
    default=0.1,
    show_default=True,
    metavar="F",
    help=meaning("learning_rate"),
)
iterations = option(
    "--iterations",
    section=FITTING,
    type=values.COUNT,
    default=1_000,
    show_default=True,
    metavar="N",
    help=meaning("iterations"),
)
robust = option("--robust", section=FITTING, is_flag=True, help=meaning("robust"))
robust_groups = _column("--robust-groups", section=FITTING, help=meaning("robust_groups"))
effects = option("--effects", section=FITTING, is_flag=True, help=meaning("effects"))

scratch = option(
    "--scratch",
    section=HOW,
    type=values.PATH,
    is_path=True,
    words=("auto", "none"),
    default="auto",
    show_default=True,
    metavar="DIR",
    help=meaning("scratch"),
)
output = options.output_to("FILE", "The model file to write.  [default: none, the fit is only shown]")
allow_unconverged = option("--allow-unconverged", section=OUTPUT, is_flag=True, help=meaning("allow_unconverged"))
plot = options.plot_to("Draw the coefficients with their intervals, or with --path the penalties, as .svg or .png.")
html = options.html_to("what ran, rows, how well the model fits, coefficients with their intervals.")

limit = options.limit_with(help=meaning("limit", OF_A_FIT))
max_bad = options.max_bad_with(help=meaning("max_bad", OF_A_FIT))
chunk_size = options.chunk_size_with(help=meaning("chunk_size", OF_A_FIT))
memory = options.memory_with(help=meaning("memory", OF_A_FIT))
if_exists = options.if_exists_with(help=meaning("if_exists", OF_A_FIT))

_ROWS = (weight, offset, class_weight, prior, missing_target, missing, exact_median)
_COLUMNS = (min_count, max_levels, control, sign, no_intercept, strict)
_PENALTY = (l1, l2, path, folds, holdout, key, one_standard_error)
_SOLVER = (solver, learning_rate, iterations, robust, robust_groups, effects)
_READ = (options.absent, limit, max_bad, options.fingerprint, *options.READ)
_RUN = (chunk_size, options.workers, memory, scratch, options.scheduler, *CLUSTER, options.retries)
_WRITE = (output, plot, html, if_exists, allow_unconverged)
_SAY = (options.config_file, options.dry_run, options.json_, options.all_digits)

# Those of fit-network, where they mean something else or have no counterpart.
hidden = option(
    "--hidden",
    section=FITTING,
    required=True,
    callback=_layers,
    shell_complete=completion.layers,
    metavar="LAYERS",
    help="The units and the function of each hidden layer, separated by commas: '64 sigmoid, 32 sigmoid'. FUNCTION is "
    f"{listed(LAYER_FUNCTIONS)}.",
)
network_features = _features_with(
    help="What to predict it from, separated by commas: columns of numbers, which are standardised; C(x) for levels, "
    "one input each; M(x) for 1 where x is missing; * for every other numeric column. Repeatable.",
)


def _of_network(name: str, type_: Any, metavar: str | None, default: Any = None, section: str = FITTING) -> Decorator:
    """Return an option of the learning of a network, with what it means there."""
    flag = f"--{name.replace('_', '-')}"
    shown = {} if default is None else {"default": default, "show_default": True}
    return option(flag, section=section, type=type_, metavar=metavar, help=meaning(name, OF_A_NETWORK), **shown)


_NETWORK_ROWS = (
    _of_network("positive", None, "VALUE", section=WHAT),
    _column("--weight", section=WHAT, help=meaning("weight", OF_A_NETWORK)),
    _column("--offset", section=WHAT, help=meaning("offset", OF_A_NETWORK)),
    class_weight,
    _of_network("prior", values.OPEN_SHARE, "P", section=WHAT),
    missing_target,
    _missing_with(help=f"{meaning('missing', OF_A_NETWORK)} Repeatable.  [default: error]"),
    exact_median,
    _of_network("min_count", values.COUNT, "N", 1, WHAT),
    _of_network("max_levels", values.COUNT, "N", 1_000, WHAT),
    control,
    option("--strict", section=WHAT, is_flag=True, help=meaning("strict", OF_A_NETWORK)),
)
_NETWORK_LEARNING = (
    _of_network("epochs", values.COUNT, "N", OPTIONS["epochs"].default),
    _of_network("batch_rows", values.COUNT, "ROWS", OPTIONS["batch_rows"].default),
    _of_network("optimizer", click.Choice(OPTIMIZER.words), None, OPTIONS["optimizer"].default),
    _of_network("learning_rate", values.POSITIVE, "F"),
    _of_network("momentum", values.BELOW_ONE, "F"),
    _of_network("clip", values.POSITIVE, "F"),
    _of_network("initialisation", click.Choice(INITIALISATION.words), None, DEFAULTS_OF_A_NETWORK["initialisation"]),
    _of_network("gain", values.POSITIVE, "F"),
    _of_network("l2", values.NOT_NEGATIVE, "F", 0.0),
    _of_network("seed", values.COUNT_OR_NONE, "N", 0),
    _holdout_with(help=meaning("holdout", OF_A_NETWORK)),
    _column("--key", section=FITTING, help=meaning("key", OF_A_NETWORK)),
    _of_network("patience", values.COUNT, "N"),
)
_NETWORK_RUN = (
    options.chunk_size_with(default=str(DEFAULTS_OF_A_NETWORK["chunk_size"]), help=meaning("chunk_size", OF_A_NETWORK)),
    *_RUN[1:],
)
network_output = options.output_to(
    "FILE", "The model file to write; its weights go beside it.  [default: none, the losses are only shown]"
)

FIT_NETWORK = (
    options.inputs,
    *(target, network_features, hidden),
    *_NETWORK_ROWS,
    *_NETWORK_LEARNING,
    *_READ,
    *_NETWORK_RUN,
    *(network_output, if_exists),
    *_SAY,
)

FIT = (
    options.inputs,
    *(target, positive, features),
    *_ROWS,
    *_COLUMNS,
    *_PENALTY,
    *_SOLVER,
    *_READ,
    *_RUN,
    *_WRITE,
    *_SAY,
)
