"""Every option of the commands, each defined once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import click

from jobs.options import completion, values
from jobs.options.cluster import CLUSTER
from jobs.options.command import CSV, HOW, OUTPUT, TALK, WHAT, Decorator, JobArgument, load_config, option
from pipeline.choices import (
    ABSENT,
    COMPRESSION,
    DURABILITY,
    FINGERPRINT,
    FORMAT,
    IF_EXISTS,
    MISSING_TARGET,
    PRECISION,
    listed,
)
from pipeline.errors import UsageError
from pipeline.grammar import parse_application, refuse_repeated
from pipeline.options import meaning
from pipeline.registry import FUNCTIONS


def _kept(ctx: click.Context, param: click.Parameter, value: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name for part in value for name in part))
    if "*" in names and len(names) > 1:
        raise click.BadParameter("'*' means all columns; leave the other names out.", ctx, param)
    return names


def output_to(metavar: str, help_: str, **attributes: Any) -> Decorator:
    """Return ``--output`` of a command, with what it names."""
    return option(
        "-o",
        "--output",
        section=OUTPUT,
        type=values.PATH,
        is_path=True,
        metavar=metavar,
        help=help_,
        **attributes,
    )


def plot_to(help_: str) -> Decorator:
    """Return ``--plot`` of a command, with what it draws."""
    return option(
        "--plot",
        section=OUTPUT,
        type=values.PATH,
        is_path=True,
        metavar="FILE",
        help=f"{help_} Needs matplotlib: pip install 'logitstream[plot]'.",
    )


def html_to(help_: str) -> Decorator:
    """Return ``--html`` of a command, with what the report has."""
    return option(
        "--html",
        section=OUTPUT,
        type=values.PATH,
        is_path=True,
        metavar="FILE",
        help=f"Also write a report that opens in a browser, without a network: {help_} A former report is replaced. "
        "Needs the extra report: pip install 'logitstream[report]'.",
    )


# Options whose meaning differs from command to command.
model_with = partial(
    option, "-m", "--model", section=WHAT, required=True, type=values.PATH, metavar="FILE", is_path=True
)
missing_target_with = partial(
    option,
    "--missing-target",
    section=WHAT,
    type=click.Choice(MISSING_TARGET.words),
    default="error",
    show_default=True,
)
limit_with = partial(option, "--limit", section=WHAT, type=values.COUNT, metavar="ROWS")
max_bad_with = partial(
    option, "--max-bad", section=WHAT, type=values.MAX_BAD, default="0", show_default=True, metavar="N|P%"
)
chunk_size_with = partial(
    option,
    "--chunk-size",
    section=HOW,
    type=values.CHUNK_SIZE,
    default="1048576",
    show_default=True,
    metavar="SIZE",
)
memory_with = partial(option, "--memory", section=HOW, type=values.MEMORY, metavar="SIZE")
if_exists_with = partial(
    option, "--if-exists", section=OUTPUT, type=click.Choice(IF_EXISTS.words), default="fail", show_default=True
)


def refuse_taken(keep: Iterable[str], made: Iterable[str], rename: Iterable[tuple[str, str]]) -> None:
    """Refuse a kept column with the name of a column that the job makes, before anything heavy is loaded."""
    for name in sorted(set(made).intersection(keep) - {old for old, _ in rename}):
        raise UsageError(
            f"--keep {name}: this job makes a column of that name",
            f"add --rename {name}=NEW, which renames the kept column, or leave it out of --keep",
        )


def _understood(_: click.Context, __: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    refuse_repeated([parse_application(text) for text in value])
    return value


def _column_names(ctx: click.Context, param: click.Parameter, value: tuple[tuple[str, ...], ...]) -> Any:
    names = [name for part in value for name in part]
    _refuse_repeated(ctx, param, names)
    return tuple(names) or None


def _spellings(_: click.Context, __: click.Parameter, value: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for part in value for text in part))


def _once(
    ctx: click.Context, param: click.Parameter, value: tuple[tuple[str, str], ...]
) -> tuple[tuple[str, str], ...]:
    _refuse_repeated(ctx, param, [name for name, _ in value])
    return value


def _refuse_repeated(ctx: click.Context, param: click.Parameter, names: Sequence[str]) -> None:
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise click.BadParameter(f"{twice!r} is given twice.", ctx, param)


def _functions() -> str:
    return listed(
        f"{name} ({', '.join(entry.defaults)})" if entry.parameters else name for name, entry in FUNCTIONS.items()
    )


inputs = click.argument("inputs", nargs=-1, required=True, metavar="INPUT...", cls=JobArgument)

model = model_with(help="The model, a JSON file.")
apply = option(
    "--apply",
    section=WHAT,
    required=True,
    multiple=True,
    type=values.TEXT,
    callback=_understood,
    shell_complete=completion.applications,
    metavar="TEXT",
    help=f"NAME=FUNCTION(COLUMN, parameter=number). FUNCTION is {_functions()}. Without NAME= the column is called "
    "FUNCTION_COLUMN; softmax(A, B, ...) makes NAME_A, NAME_B, ... Repeatable.",
)
keep = option(
    "--keep",
    section=WHAT,
    multiple=True,
    type=values.NAMES,
    callback=_kept,
    shell_complete=completion.columns,
    metavar="COLS",
    help=f"{meaning('keep')} Repeatable.  [default: none]",
)
rename = option(
    "--rename",
    section=WHAT,
    multiple=True,
    type=values.NEW_NAME,
    callback=_once,
    shell_complete=completion.renamed_columns,
    metavar="OLD=NEW",
    help=f"{meaning('rename')} Repeatable.",
)
absent = option(
    "--absent",
    section=WHAT,
    type=click.Choice(ABSENT.words),
    default="error",
    show_default=True,
    help=meaning("absent"),
)
raw_prediction = option("--raw-prediction", section=WHAT, is_flag=True, help=meaning("raw_prediction"))
threshold = option(
    "--threshold",
    section=WHAT,
    type=values.SHARE,
    metavar="T",
    help=meaning("threshold"),
)
reasons = option("--reasons", section=WHAT, type=values.COUNT, metavar="N", help=meaning("reasons"))
float32 = option("--float32", section=WHAT, is_flag=True, help=meaning("float32"))
limit = limit_with(help=meaning("limit"))

delimiter = option(
    "--delimiter",
    section=CSV,
    type=values.CHARACTER,
    default=",",
    metavar="CHAR",
    help=f"{meaning('delimiter')} Write tab for the tab character.  [default: a comma]",
)
quote = option(
    "--quote",
    section=CSV,
    type=values.CHARACTER_OR_NONE,
    shell_complete=completion.words("none"),
    default='"',
    metavar="CHAR",
    help=f"{meaning('quote')}  [default: the double quote]",
)
escape = option(
    "--escape",
    section=CSV,
    type=values.CHARACTER_OR_NONE,
    shell_complete=completion.words("\\", "none"),
    metavar="CHAR",
    help=f"{meaning('escape')}  [default: none]",
)
null = option(
    "--null",
    section=CSV,
    multiple=True,
    type=values.SPELLINGS,
    callback=_spellings,
    shell_complete=completion.words("pandas"),
    metavar="TEXTS",
    help=f"{meaning('null')} Write a spelling with a comma in double quotes. Repeatable.",
)
quoted_null = option("--quoted-null", section=CSV, is_flag=True, help=meaning("quoted_null"))
decimal = option(
    "--decimal",
    section=CSV,
    type=values.CHARACTER,
    shell_complete=completion.words(".", ","),
    default=".",
    metavar="CHAR",
    help=f"{meaning('decimal')}  [default: a point]",
)
thousands = option(
    "--thousands",
    section=CSV,
    type=values.SEPARATOR_OR_NONE,
    shell_complete=completion.words(",", "."),
    metavar="CHAR",
    help=f"{meaning('thousands')}  [default: none]",
)
encoding = option(
    "--encoding",
    section=CSV,
    type=values.ENCODING,
    shell_complete=completion.words("utf-8", "latin-1", "cp1252", "utf-16"),
    default="utf-8",
    show_default=True,
    metavar="NAME",
    help=meaning("encoding"),
)
columns = option(
    "--columns",
    section=CSV,
    multiple=True,
    type=values.NAMES,
    callback=_column_names,
    metavar="NAMES",
    help=meaning("columns"),
)
skip_lines = option(
    "--skip-lines",
    section=CSV,
    type=values.COUNT_OR_NONE,
    default=0,
    show_default=True,
    metavar="N",
    help=meaning("skip_lines"),
)
comment = option(
    "--comment",
    section=CSV,
    type=values.CHARACTER_OR_NONE,
    shell_complete=completion.words("#", "none"),
    metavar="CHAR",
    help=f"{meaning('comment')}  [default: none]",
)
typed = option(
    "--type",
    section=CSV,
    multiple=True,
    type=values.TYPED_NAME,
    callback=_once,
    shell_complete=completion.typed_columns,
    metavar="NAME=TYPE",
    help="The Arrow type of a column or partition (id=int64); without it a kept column is text. Repeatable.",
)

max_bad = max_bad_with(help=meaning("max_bad"))
max_unseen = option(
    "--max-unseen",
    section=WHAT,
    multiple=True,
    type=values.SHARE_LIMIT,
    shell_complete=completion.column_limits,
    metavar="[COL=]P%",
    help=f"{meaning('max_unseen')} Repeatable.",
)
max_missing = option(
    "--max-missing",
    section=WHAT,
    multiple=True,
    type=values.SHARE_LIMIT,
    shell_complete=completion.column_limits,
    metavar="[COL=]P%",
    help=f"{meaning('max_missing')} Repeatable.",
)
sample_rows = option(
    "--sample-rows",
    section=WHAT,
    type=values.COUNT,
    metavar="ROWS",
    help=meaning("sample_rows"),
)
fingerprint = option(
    "--fingerprint",
    section=WHAT,
    type=click.Choice(FINGERPRINT.words),
    default="ends",
    show_default=True,
    help=meaning("fingerprint"),
)

chunk_size = chunk_size_with(help=meaning("chunk_size"))
workers = option(
    "--workers",
    section=HOW,
    type=values.COUNT,
    metavar="N",
    help=meaning("workers"),
)
memory = memory_with(help=meaning("memory"))
scheduler = option(
    "--scheduler",
    section=HOW,
    type=values.WHERE,
    shell_complete=completion.words(
        *("threads", "processes", "sync", "local", "local:processes=", "client", "tcp://", "tls://")
    ),
    is_path=True,
    words=values.SchedulerNames(),
    metavar="WHERE",
    help=meaning("scheduler"),
)
precision = option(
    "--precision",
    section=HOW,
    type=click.Choice(PRECISION.words),
    default="fast",
    show_default=True,
    help=meaning("precision"),
)

retries = option(
    "--retries",
    section=HOW,
    type=values.COUNT_OR_NONE,
    default=3,
    show_default=True,
    metavar="N",
    help=meaning("retries"),
)
no_resume = option(
    "--no-resume",
    section=HOW,
    is_flag=True,
    help="Compute every chunk again, even if an unfinished run of the same job has done it.",
)
no_reuse = option(
    "--no-reuse",
    section=HOW,
    is_flag=True,
    help="Compute every part again, even if the published output already has it.",
)
if_running = option(
    "--if-running",
    section=HOW,
    type=values.IF_RUNNING,
    shell_complete=completion.words("fail", "skip", "wait", "wait="),
    default="fail",
    show_default=True,
    metavar="DO",
    help=f"{meaning('if_running')} fail ends with exit code 75, skip with 0.",
)
deadline = option(
    "--deadline",
    section=HOW,
    type=values.DURATION,
    metavar="TIME",
    help=f"{meaning('deadline')}  [default: none]",
)
grace = option(
    "--grace",
    section=HOW,
    type=values.DURATION,
    default="25s",
    show_default=True,
    metavar="TIME",
    help="How long started chunks may take to finish when the run is told to stop.",
)

output = output_to(
    "OUT",
    "The output: a folder, or one file if the name ends in .parquet or .csv. It is published in one step.",
    required=True,
)
format_ = option(
    "--format",
    section=OUTPUT,
    type=click.Choice(FORMAT.words),
    help=meaning("format"),
)
compression = option(
    "--compression",
    section=OUTPUT,
    type=click.Choice(COMPRESSION.words),
    metavar="NAME",
    help=meaning("compression"),
)
if_exists = if_exists_with(help=meaning("if_exists"))
if_file_exists = if_exists_with(help="What to do if there is another file. One with the same content stays as it is.")
allow_empty = option("--allow-empty", section=OUTPUT, is_flag=True, help=meaning("allow_empty"))
keep_versions = option(
    "--keep-versions",
    section=OUTPUT,
    type=values.COUNT_OR_NONE,
    default=1,
    show_default=True,
    metavar="N",
    help=meaning("keep_versions"),
)
durability = option(
    "--durability",
    section=OUTPUT,
    type=click.Choice(DURABILITY.words),
    default="full",
    show_default=True,
    help=meaning("durability"),
)

html = html_to("what ran, what became of the rows, warnings.")

config_file = option(
    "--config",
    section=TALK,
    is_eager=True,
    expose_value=False,
    callback=load_config,
    shell_complete=completion.files,
    metavar="FILE.toml",
    help="Read INPUT and options from this command's table in a TOML file. Paths in it are relative to its folder.",
)
dry_run = option("--dry-run", section=TALK, is_flag=True, help="Show the plan, and do nothing.")
json_ = option("--json", section=TALK, is_flag=True, help="Write the outcome, or the error, to stdout as JSON.")
verbose = option("-v", "--verbose", section=TALK, is_flag=True, help="Show the plan and the list of inputs, too.")
all_digits = option("-v", "--verbose", section=TALK, is_flag=True, help="Show all digits of each number.")
progress = option(
    "--progress",
    section=TALK,
    type=click.Choice(["auto", "bar", "log", "none"]),
    default="auto",
    show_default=True,
    help="A bar, a line every 10 seconds (log), or nothing; auto is a bar on a terminal and lines elsewhere.",
)

READ = (delimiter, quote, escape, null, quoted_null, decimal, thousands, encoding, columns, skip_lines, comment, typed)
READING = (chunk_size, workers, memory, scheduler, *CLUSTER)
RUN = (chunk_size, workers, memory, scheduler, precision, *CLUSTER)
CONDUCT = (retries, no_resume, no_reuse, if_running, deadline, grace)
WRITE = (output, format_, compression, if_exists, allow_empty, keep_versions, durability)
SAY = (config_file, dry_run, json_, verbose, progress)

_ROWS = (absent, limit, max_bad, fingerprint)
_SHARED = (*_ROWS, *READ, *RUN, *CONDUCT, *WRITE)

_FEATURES = (max_unseen, max_missing, sample_rows)

SCORE = (inputs, model, keep, rename, raw_prediction, threshold, reasons, float32, *_FEATURES, *_SHARED, html, *SAY)
TRANSFORM = (inputs, apply, keep, rename, float32, *_SHARED, *SAY)
