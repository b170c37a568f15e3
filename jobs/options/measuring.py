"""The options of ``evaluate`` that no other command has, each defined once."""

from __future__ import annotations

from functools import partial

import click

from jobs import options
from jobs.options import completion, values
from jobs.options.cluster import CLUSTER
from jobs.options.command import OUTPUT, WHAT, option
from pipeline.choices import ROWS, parse_costs, parse_limits
from pipeline.options import OF_AN_EVALUATION, OPTIONS, meaning


def _parsed(ctx: click.Context, _: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    """Return groups after parsing them, so that a mistake is shown with the place that it came from."""
    if value and not ctx.resilient_parsing:
        from pipeline.evaluation.terms import parse_by  # noqa: PLC0415 - --help stays light

        for text in value:
            parse_by(text)
    return value


def _two_at_most(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    if len(value) > 2:
        raise click.BadParameter("at most two models are compared.", ctx, param)
    return value


_column = partial(option, type=values.PATH, shell_complete=completion.column, metavar="COL")
target = _column(
    "--target",
    section=WHAT,
    help="The column of what was observed: the classes of the model, or with --probability 0 and 1, or false and true.",
)
model = option(
    "-m",
    "--model",
    section=WHAT,
    multiple=True,
    type=values.PATH,
    callback=_two_at_most,
    metavar="FILE",
    is_path=True,
    help="The model that scores the rows, a JSON file. A second --model is compared with the first.",
)
probability = _column(
    "--probability",
    section=WHAT,
    help="In place of a model, the column that has the probability of the positive class.",
)
by = option(
    "--by",
    section=WHAT,
    multiple=True,
    type=values.TEXT,
    callback=_parsed,
    shell_complete=completion.column,
    metavar="COL[:COL]",
    help=f"{meaning('by')} Repeatable.",
)
max_groups = option(
    "--max-groups",
    section=WHAT,
    type=values.COUNT,
    default=OPTIONS["max_groups"].default,
    show_default=True,
    metavar="N",
    help=meaning("max_groups"),
)
weight = _column("--weight", section=WHAT, help=meaning("weight", OF_AN_EVALUATION))
missing_target = options.missing_target_with(help=meaning("missing_target"))
rows = option(
    "--rows",
    section=WHAT,
    type=click.Choice(ROWS.words),
    default="all",
    show_default=True,
    help=meaning("rows"),
)
threshold = option(
    "--threshold",
    section=WHAT,
    multiple=True,
    type=values.SHARE,
    metavar="T",
    help=f"{meaning('threshold', OF_AN_EVALUATION)} Repeatable.",
)
cost = option("--cost", section=WHAT, type=values.Behaviour(parse_costs), metavar="fp=F,fn=F", help=meaning("costs"))
bins = option(
    "--bins",
    section=WHAT,
    type=values.COUNT_OF_SEVERAL,
    default=OPTIONS["bins"].default,
    show_default=True,
    metavar="N",
    help=meaning("bins"),
)
merge = option(
    "--merge",
    section=WHAT,
    is_flag=True,
    help="INPUT are states that --state wrote: show the measures of all of them together. No row is read.",
)
fail_under = option(
    "--fail-under",
    section=OUTPUT,
    type=values.Behaviour(parse_limits),
    metavar="NAME=F,...",
    help="End with exit code 3 if a measure is below a limit (auc=0.7,ks=0.3). Of two models the first is checked.",
)
state = option("--state", section=OUTPUT, type=values.PATH, is_path=True, metavar="FILE", help=meaning("state"))
html = options.html_to("what ran, rows, measures, their curves, groups.")

_ROWS = (
    options.max_unseen,
    options.max_missing,
    options.absent,
    options.limit_with(help=meaning("limit", OF_AN_EVALUATION)),
    options.max_bad_with(help=meaning("max_bad", OF_AN_EVALUATION)),
    options.fingerprint,
)
_RUN = (
    options.chunk_size_with(help=meaning("chunk_size", OF_AN_EVALUATION)),
    *(options.workers, options.memory, options.scheduler, options.precision, *CLUSTER, options.retries),
)

EVALUATE = (
    options.inputs,
    *(target, model, probability, merge),
    *(by, max_groups, weight, missing_target, rows, threshold, cost, bins),
    *_ROWS,
    *options.READ,
    *_RUN,
    *(state, options.if_exists_with(help=meaning("if_exists", OF_AN_EVALUATION)), html, fail_under),
    *(options.config_file, options.json_, options.progress),
)
