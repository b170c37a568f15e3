"""Every option of the jobs, once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import click

from jobs.options import completion, values
from jobs.options.command import CSV, HOW, OUTPUT, TALK, WHAT, JobArgument, load_config, option
from pipeline.choices import COMPRESSION, DURABILITY, FINGERPRINT, FORMAT, IF_EXISTS, PRECISION, listed
from pipeline.errors import UsageError
from pipeline.grammar import parse_application, refuse_repeated
from pipeline.registry import FUNCTIONS

SCORE_COLUMNS = ("probability", "raw_prediction", "decision")


def _kept(ctx: click.Context, param: click.Parameter, value: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name for part in value for name in part))
    if "*" in names and len(names) > 1:
        raise click.BadParameter("'*' stands for all columns; leave the others out.", ctx, param)
    return names


def refuse_taken(keep: Iterable[str], made: Iterable[str]) -> None:
    """Refuse a kept column that has the name of a column that the job makes, before anything heavy is loaded."""
    for name in set(made).intersection(keep):
        raise UsageError(
            f"--keep {name}: that is the name of a column that this job makes",
            "rename the input column, or leave it out of --keep",
        )


def _understood(_: click.Context, __: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    refuse_repeated([parse_application(text) for text in value])
    return value


def _column_names(ctx: click.Context, param: click.Parameter, value: tuple[tuple[str, ...], ...]) -> Any:
    names = [name for part in value for name in part]
    _refuse_repeated(ctx, param, names)
    return tuple(names) or None


def _one_type_a_column(
    ctx: click.Context, param: click.Parameter, value: tuple[tuple[str, str], ...]
) -> tuple[tuple[str, str], ...]:
    _refuse_repeated(ctx, param, [name for name, _ in value])
    return value


def _refuse_repeated(ctx: click.Context, param: click.Parameter, names: Sequence[str]) -> None:
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise click.BadParameter(f"{twice!r} is named twice.", ctx, param)


def _functions() -> str:
    return listed(
        f"{name} ({', '.join(entry.defaults)})" if entry.parameters else name for name, entry in FUNCTIONS.items()
    )


inputs = click.argument("inputs", nargs=-1, required=True, metavar="INPUT...", cls=JobArgument)

model = option(
    "--model",
    section=WHAT,
    required=True,
    type=values.PATH,
    metavar="FILE",
    is_path=True,
    help="The model, a JSON file.",
)
apply = option(
    "--apply",
    section=WHAT,
    required=True,
    multiple=True,
    type=values.TEXT,
    callback=_understood,
    shell_complete=completion.applications,
    metavar="TEXT",
    help=f"NAME=FUNCTION(COLUMN, parameter=number), with {_functions()}. Without NAME= the column is called "
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
    help="Columns to copy to the output, separated by commas; '*' for all. Repeatable.  [default: none]",
)
raw_prediction = option(
    "--raw-prediction", section=WHAT, is_flag=True, help="Add the column raw_prediction, the score before the sigmoid."
)
threshold = option(
    "--threshold",
    section=WHAT,
    type=values.SHARE,
    metavar="T",
    help="Add the column decision: positive where the probability is at least T.",
)
float32 = option("--float32", section=WHAT, is_flag=True, help="Write the results as float32 instead of float64.")
limit = option(
    "--limit",
    section=WHAT,
    type=values.COUNT,
    metavar="ROWS",
    help="Read no more than the first ROWS rows: a first try, marked in the manifest.",
)

delimiter = option(
    "--delimiter",
    section=CSV,
    type=values.CHARACTER,
    default=",",
    metavar="CHAR",
    help="What separates two fields; tab for a tabulator.  [default: a comma]",
)
quote = option(
    "--quote",
    section=CSV,
    type=values.CHARACTER,
    default='"',
    metavar="CHAR",
    help="What encloses a field that holds delimiters or line ends.  [default: the double quote]",
)
null = option(
    "--null",
    section=CSV,
    multiple=True,
    type=values.TEXT,
    metavar="TEXT",
    help="An unquoted spelling of null, besides the empty field. Repeatable.",
)
encoding = option(
    "--encoding",
    section=CSV,
    type=values.ENCODING,
    shell_complete=completion.words("utf-8", "latin-1", "cp1252", "utf-16"),
    default="utf-8",
    show_default=True,
    metavar="NAME",
    help="How the text is encoded.",
)
columns = option(
    "--columns",
    section=CSV,
    multiple=True,
    type=values.NAMES,
    callback=_column_names,
    metavar="NAMES",
    help="The names of the columns, separated by commas, of files without a header.",
)
typed = option(
    "--type",
    section=CSV,
    multiple=True,
    type=values.TYPED_NAME,
    callback=_one_type_a_column,
    shell_complete=completion.typed_columns,
    metavar="NAME=TYPE",
    help="The Arrow type of a column or partition (id=int64); a kept one is text otherwise. Repeatable.",
)

max_bad = option(
    "--max-bad",
    section=WHAT,
    type=values.MAX_BAD,
    default="0",
    show_default=True,
    metavar="N|P%",
    help="How many rows, or what share of the rows read, may be too bad to use: they go to the quarantine of the "
    "output instead. More of them fail the run.",
)
fingerprint = option(
    "--fingerprint",
    section=WHAT,
    type=click.Choice(FINGERPRINT.words),
    default="ends",
    show_default=True,
    help="What tells an input from an earlier state of it: size, time and the ends of the file, or all of its bytes.",
)

chunk_size = option(
    "--chunk-size",
    section=HOW,
    type=values.CHUNK_SIZE,
    default="1048576",
    show_default=True,
    metavar="SIZE",
    help="Rows (500000) or bytes (64MiB) of a unit of work and of an output file.",
)
workers = option(
    "--workers",
    section=HOW,
    type=values.COUNT,
    metavar="N",
    help="Chunks worked on at the same time.  [default: one a core]",
)
memory = option(
    "--memory",
    section=HOW,
    type=values.MEMORY,
    metavar="SIZE",
    help="What the run may take (512MiB, 4GiB).  [default: half of what is free]",
)
scheduler = option(
    "--scheduler",
    section=HOW,
    type=values.WHERE,
    shell_complete=completion.words("threads", "processes", "sync", "tcp://"),
    default="threads",
    show_default=True,
    metavar="WHERE",
    help="threads, processes, sync (one chunk after the other) or the address of a Dask scheduler, tcp://HOST:PORT.",
)
insecure = option(
    "--insecure",
    section=HOW,
    is_flag=True,
    help="Use a scheduler that is not on this machine although whoever reaches its port can run code.",
)
precision = option(
    "--precision",
    section=HOW,
    type=click.Choice(PRECISION.words),
    default="fast",
    show_default=True,
    help="fast; accurate, where tiny probabilities matter; reproducible, slower, for the same bits on machines that "
    "differ in CPU, numpy or C library.",
)

retries = option(
    "--retries",
    section=HOW,
    type=values.COUNT_OR_NONE,
    default=3,
    show_default=True,
    metavar="N",
    help="How often a chunk is tried again after an error that may pass.",
)
no_resume = option(
    "--no-resume",
    section=HOW,
    is_flag=True,
    help="Compute every chunk anew, also those that an earlier try of the same job has finished.",
)
no_reuse = option(
    "--no-reuse",
    section=HOW,
    is_flag=True,
    help="Compute every part anew, also those that the published output has already.",
)
if_running = option(
    "--if-running",
    section=HOW,
    type=values.IF_RUNNING,
    shell_complete=completion.words("fail", "skip", "wait", "wait="),
    default="fail",
    show_default=True,
    metavar="DO",
    help="What to do while another run works on OUT: fail (75), skip (0), wait, or wait=10m for no longer than that.",
)
deadline = option(
    "--deadline",
    section=HOW,
    type=values.DURATION,
    metavar="TIME",
    help="Stop in good order after this time (90s, 25m, 3h); the same command again goes on from there.  "
    "[default: none]",
)
grace = option(
    "--grace",
    section=HOW,
    type=values.DURATION,
    default="25s",
    show_default=True,
    metavar="TIME",
    help="How long chunks under way may take to end when the run is told to stop.",
)

output = option(
    "--output",
    section=OUTPUT,
    required=True,
    type=values.PATH,
    metavar="OUT",
    is_path=True,
    help="What to publish, in one step: a folder, or a file where the name ends in .parquet or .csv.",
)
format_ = option(
    "--format",
    section=OUTPUT,
    type=click.Choice(FORMAT.words),
    help="The format of the output.  [default: what the name of a file says, else parquet]",
)
compression = option(
    "--compression",
    section=OUTPUT,
    type=click.Choice(COMPRESSION.words),
    metavar="NAME",
    help="snappy, zstd, lz4, gzip, brotli or none; for CSV none, gzip or zstd.  [default: snappy; for CSV none]",
)
if_exists = option(
    "--if-exists",
    section=OUTPUT,
    type=click.Choice(IF_EXISTS.words),
    default="fail",
    show_default=True,
    help="What to do when OUT is an output that stands there already.",
)
allow_empty = option(
    "--allow-empty", section=OUTPUT, is_flag=True, help="Publish an output of zero rows when no input has any."
)
keep_versions = option(
    "--keep-versions",
    section=OUTPUT,
    type=values.COUNT_OR_NONE,
    default=1,
    show_default=True,
    metavar="N",
    help="How many former versions are kept for 'logitstream rollback'.",
)
durability = option(
    "--durability",
    section=OUTPUT,
    type=click.Choice(DURABILITY.words),
    default="full",
    show_default=True,
    help="full survives a power cut; none leaves it to the system when the bytes reach the disk.",
)

config_file = option(
    "--config",
    section=TALK,
    is_eager=True,
    expose_value=False,
    callback=load_config,
    shell_complete=completion.files,
    metavar="FILE.toml",
    help="Read INPUT and options from the table of this command in a TOML file; its paths start from its folder.",
)
dry_run = option("--dry-run", section=TALK, is_flag=True, help="Show the plan, and do no work.")
json_ = option("--json", section=TALK, is_flag=True, help="Write the outcome to stdout as JSON.")
quiet = option("-q", "--quiet", section=TALK, is_flag=True, help="Say nothing unless something is wrong.")
verbose = option("-v", "--verbose", section=TALK, is_flag=True, help="Say more: the plan, and a table of the inputs.")
progress = option(
    "--progress",
    section=TALK,
    type=click.Choice(["auto", "bar", "log", "none"]),
    default="auto",
    show_default=True,
    help="A bar, a line every 10 seconds, or nothing; auto is a bar on a terminal and lines elsewhere.",
)

READ = (delimiter, quote, null, encoding, columns, typed)
READING = (chunk_size, workers, memory, scheduler, insecure)
RUN = (chunk_size, workers, memory, scheduler, precision, insecure)
CONDUCT = (retries, no_resume, no_reuse, if_running, deadline, grace)
WRITE = (output, format_, compression, if_exists, allow_empty, keep_versions, durability)
SAY = (config_file, dry_run, json_, quiet, verbose, progress)

_ROWS = (limit, max_bad, fingerprint)
_SHARED = (*_ROWS, *READ, *RUN, *CONDUCT, *WRITE, *SAY)

SCORE = (inputs, model, keep, raw_prediction, threshold, float32, *_SHARED)
TRANSFORM = (inputs, apply, keep, float32, *_SHARED)
