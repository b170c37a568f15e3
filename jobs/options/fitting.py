"""The options of ``fit`` that no other command has, each defined once."""

from __future__ import annotations

import click

from jobs import options
from jobs.options import completion, values
from jobs.options.command import FITTING, HOW, OUTPUT, WHAT, option
from pipeline.choices import BALANCED, MISSING, MISSING_TARGET, SOLVER
from pipeline.options import OF_A_FIT, meaning


def _parsed(ctx: click.Context, _: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    """Return features after parsing them, so that a mistake is shown with the place that it came from."""
    if value and not ctx.resilient_parsing:
        from pipeline.fitting.asking.formula import parse_terms  # noqa: PLC0415 - --help stays light

        parse_terms(*value)
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
features = option(
    "--features",
    section=WHAT,
    required=True,
    multiple=True,
    type=values.FEATURES,
    callback=_parsed,
    shell_complete=completion.features,
    metavar="TEXT",
    help="What to predict it from, separated by commas: columns of numbers; C(x) for levels; a:b for a product, a*b "
    "for a, b and a:b; B(x, bins=20), B(x, edges=[1, 2.5]) or B(x, woe=true, monotone=up) for intervals; M(x) for 1 "
    "where x is missing; log(x), log1p(x), sqrt(x), square(x), clip(x, 0, 9); * for every other numeric column. "
    "Repeatable.",
)
weight = option(
    "--weight", section=WHAT, type=values.PATH, shell_complete=completion.column, metavar="COL", help=meaning("weight")
)
offset = option(
    "--offset", section=WHAT, type=values.PATH, shell_complete=completion.column, metavar="COL", help=meaning("offset")
)
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
missing_target = option(
    "--missing-target",
    section=WHAT,
    type=click.Choice(MISSING_TARGET.words),
    default="error",
    show_default=True,
    help=meaning("missing_target"),
)
missing = option(
    "--missing",
    section=WHAT,
    multiple=True,
    type=values.RULES,
    callback=_joined,
    shell_complete=completion.columns_with(*MISSING.words, alone=MISSING.words),
    metavar="[COL=]DO",
    help=f"{meaning('missing')} Repeatable.  [default: error]",
)
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
holdout = option(
    "--holdout", section=FITTING, shell_complete=completion.column, metavar="P%|TEST", help=meaning("holdout")
)
key = option(
    "--key", section=FITTING, type=values.PATH, shell_complete=completion.column, metavar="COL", help=meaning("key")
)
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
robust_groups = option(
    "--robust-groups",
    section=FITTING,
    type=values.PATH,
    shell_complete=completion.column,
    metavar="COL",
    help=meaning("robust_groups"),
)
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
_RUN = (chunk_size, options.workers, memory, scratch, options.scheduler, options.insecure, options.retries)
_WRITE = (output, plot, if_exists, allow_unconverged)
_SAY = (options.config_file, options.dry_run, options.json_, options.all_digits)

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
