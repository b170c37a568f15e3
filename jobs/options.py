"""Every option of the jobs, once, and how ``--help`` shows them: in groups, with an example at the end.

A value comes from the command line, else from the environment (``LOGITSTREAM_SCORE_CHUNK_SIZE``), else from the file
that ``--config`` names, else from its default; a value that cannot be used is reported with the place it came from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from jobs import config, values
from jobs.help import Helpful
from pipeline.errors import ConfigurationError, UsageError
from pipeline.grammar import parse_application, refuse_repeated

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
Decorator = Callable[[Any], Any]

WHAT, CSV, HOW, OUTPUT, TALK = "What", "CSV", "How", "Output", "Talk"
SECTIONS = (WHAT, CSV, HOW, OUTPUT, TALK)

SCORE_COLUMNS = ("probability", "raw_prediction", "decision")


class JobOption(click.Option):
    """An option that knows its group in ``--help`` and the place its value came from."""

    def __init__(self, *args: Any, section: str, is_path: bool = False, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.section = section
        self.is_path = is_path

    def process_value(self, ctx: click.Context, value: Any) -> Any:
        """Return the value as its type; a mistake in the environment or in a file is named by its place."""
        try:
            return super().process_value(ctx, value)
        except click.BadParameter as error:
            place = self._place(ctx)
            if place is None:
                raise
            raise ConfigurationError(f"{place}: {error.message.rstrip('.')}") from None
        except UsageError as error:
            place = self._place(ctx)
            if place is None:
                raise
            raise ConfigurationError(f"{place}: {error.message}", error.remedy) from None

    def _place(self, ctx: click.Context) -> str | None:
        source = ctx.get_parameter_source(str(self.name))
        if source is ParameterSource.ENVIRONMENT:
            return f"{ctx.auto_envvar_prefix}_{str(self.name).upper()}"
        if source is ParameterSource.DEFAULT_MAP:
            return f"{ctx.meta[_CONFIG_FILE]}: [{_table(ctx)}] {config.key(self)}"
        return None


class JobArgument(click.Argument):
    """An argument that stands for paths."""

    is_path = True


class JobCommand(Helpful):
    """A command whose help groups the options."""

    def __init__(self, *args: Any, table: str = "", **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.table = table or str(self.name)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse, and refuse options that contradict each other."""
        rest = super().parse_args(ctx, args)
        _settle_talk(ctx)
        contradiction = _contradiction(ctx.params)
        if contradiction and not ctx.resilient_parsing:
            raise click.UsageError(contradiction, ctx)
        return rest

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, group by group."""
        for section in (*SECTIONS, ""):
            rows = [
                row
                for param in self.get_params(ctx)
                if isinstance(param, click.Option)
                and getattr(param, "section", "") == section
                and (row := param.get_help_record(ctx))
            ]
            if rows:
                with formatter.section(section or "Help"):
                    formatter.write_dl(rows)


def option(*names: str, section: str, **attributes: Any) -> Decorator:
    """Return the decorator that adds an option in a group."""
    return click.option(*names, cls=JobOption, section=section, **attributes)


def add(decorators: Iterable[Decorator]) -> Callable[[Decorated], Decorated]:
    """Return one decorator that adds several options, listed in the order in which help shows them."""

    def decorate(function: Decorated) -> Decorated:
        for decorator in reversed(list(decorators)):
            function = decorator(function)
        return function

    return decorate


_CONFIG_FILE = "logitstream.config"
_CSV_CODECS = ("none", "gzip", "zstd")


def _table(ctx: click.Context) -> str:
    command = ctx.command
    return command.table if isinstance(command, JobCommand) else str(command.name)


_STRENGTH = (ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP, ParameterSource.ENVIRONMENT)


def _settle_talk(ctx: click.Context) -> None:
    """Let the stronger place decide where one says ``quiet`` and another ``verbose``."""
    if ctx.params.get("quiet") and ctx.params.get("verbose"):
        quiet, verbose = _strength(ctx, "quiet"), _strength(ctx, "verbose")
        if quiet != verbose:
            ctx.params["verbose" if quiet > verbose else "quiet"] = False


def _strength(ctx: click.Context, name: str) -> int:
    source = ctx.get_parameter_source(name)
    return _STRENGTH.index(source) if source in _STRENGTH else len(_STRENGTH)


def _contradiction(given: Mapping[str, Any]) -> str:
    if given.get("quiet") and given.get("verbose"):
        return "--quiet and --verbose contradict each other."
    if given.get("quote") is not None and given.get("quote") == given.get("delimiter"):
        return f"--quote and --delimiter are the same character {given['quote']!r}."
    if given.get("format") == "csv" and given.get("compression") not in {None, *_CSV_CODECS}:
        return f"--compression {given['compression']} is not one of CSV: {', '.join(_CSV_CODECS)}."
    return ""


def _load_config(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.meta[_CONFIG_FILE] = value
        ctx.default_map = config.defaults(value, _table(ctx), ctx.command.params)


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
    metavar="TEXT",
    help="NAME=FUNCTION(COLUMN), with sigmoid, logit or log_sigmoid; without NAME= the column is called "
    "FUNCTION_COLUMN. Repeatable.",
)
keep = option(
    "--keep",
    section=WHAT,
    multiple=True,
    type=values.NAMES,
    callback=_kept,
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
    metavar="NAME=TYPE",
    help="The Arrow type of a column or partition (id=int64); a kept one is text otherwise. Repeatable.",
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
    default="threads",
    show_default=True,
    metavar="WHERE",
    help="threads, sync (one chunk after the other) or the address of a Dask scheduler, tcp://HOST:PORT.",
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
    type=click.Choice(["fast", "accurate", "reproducible"]),
    default="fast",
    show_default=True,
    help="fast; accurate, where tiny probabilities matter; reproducible, slower, for the same bits on machines that "
    "differ in CPU, numpy or C library.",
)

output = option(
    "--output",
    section=OUTPUT,
    required=True,
    type=values.PATH,
    metavar="DIR",
    is_path=True,
    help="The folder to publish, in one step.",
)
format_ = option(
    "--format",
    section=OUTPUT,
    type=click.Choice(["parquet", "csv"]),
    default="parquet",
    show_default=True,
    help="The format of the output.",
)
compression = option(
    "--compression",
    section=OUTPUT,
    type=click.Choice(["snappy", "zstd", "lz4", "gzip", "brotli", "none"]),
    metavar="NAME",
    help="snappy, zstd, lz4, gzip, brotli or none; for CSV none, gzip or zstd.  [default: snappy; for CSV none]",
)
if_exists = option(
    "--if-exists",
    section=OUTPUT,
    type=click.Choice(["fail", "replace"]),
    default="fail",
    show_default=True,
    help="What to do when DIR is an output that stands there already.",
)
allow_empty = option(
    "--allow-empty", section=OUTPUT, is_flag=True, help="Publish an output of zero rows when no input has any."
)

config_file = option(
    "--config",
    section=TALK,
    is_eager=True,
    expose_value=False,
    callback=_load_config,
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
RUN = (chunk_size, workers, memory, scheduler, precision, insecure)
WRITE = (output, format_, compression, if_exists, allow_empty)
SAY = (config_file, dry_run, json_, quiet, verbose, progress)

SCORE = (inputs, model, keep, raw_prediction, threshold, float32, limit, *READ, *RUN, *WRITE, *SAY)
TRANSFORM = (inputs, apply, keep, float32, limit, *READ, *RUN, *WRITE, *SAY)
