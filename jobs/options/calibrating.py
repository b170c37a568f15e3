"""The options of ``calibrate``, each defined once."""

from __future__ import annotations

import click

from jobs import options
from jobs.options import completion, values
from jobs.options.cluster import CLUSTER
from jobs.options.command import FITTING, WHAT, option
from pipeline.choices import METHOD
from pipeline.options import OF_A_CALIBRATION, meaning

model = options.model_with(help="The model, a JSON file, with a sigmoid or a softmax at its end.")
target = option(
    "--target",
    section=WHAT,
    required=True,
    type=values.PATH,
    shell_complete=completion.column,
    metavar="COL",
    help="The column of what was observed.",
)
method = option(
    "--method",
    section=FITTING,
    required=True,
    type=click.Choice(METHOD.words),
    help="platt: a slope and an intercept; temperature: a slope alone, also for models of several classes; beta: three "
    "parameters; isotonic: a step function.",
)
holdout = option(
    "--holdout",
    section=FITTING,
    shell_complete=completion.column,
    metavar="P%|TEST",
    help=meaning("holdout", OF_A_CALIBRATION),
)
key = option(
    "--key",
    section=FITTING,
    type=values.PATH,
    shell_complete=completion.column,
    metavar="COL",
    help=meaning("key", OF_A_CALIBRATION),
)
recalibrate = option("--recalibrate", section=FITTING, is_flag=True, help=meaning("recalibrate"))
missing_target = options.missing_target_with(help=meaning("missing_target", OF_A_CALIBRATION))

CALIBRATE = (
    *(options.inputs, model, target, missing_target),
    options.absent,
    options.limit_with(help=meaning("limit", OF_A_CALIBRATION)),
    options.max_bad_with(help=meaning("max_bad", OF_A_CALIBRATION)),
    *(method, holdout, key, recalibrate),
    options.fingerprint,
    *options.READ,
    options.chunk_size_with(help=meaning("chunk_size", OF_A_CALIBRATION)),
    options.workers,
    options.memory_with(help=meaning("memory", OF_A_CALIBRATION)),
    *(options.scheduler, *CLUSTER, options.retries),
    options.output_to("FILE", "The model file to write.  [default: none, the calibration is only shown]"),
    options.if_exists_with(help=meaning("if_exists", OF_A_CALIBRATION)),
    options.html_to("what ran, rows, the calibration, measures and curves before and after."),
    *(options.config_file, options.json_, options.progress),
)
