"""Commands and options of the command line: help in groups, and values that know where they came from.

A value comes from the command line, else from the environment (``LOGITSTREAM_SCORE_CHUNK_SIZE``), else from the file
that ``--config`` names, else from its default. A value that cannot be used is reported with that place, and so is a
variable of the environment that no option reads.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import combinations
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from jobs.help import Helpful
from jobs.options import completion, config
from jobs.show import console, document
from pipeline.choices import listed
from pipeline.errors import ConfigurationError, UsageError
from pipeline.options import ELSEWHERE
from pipeline.units import escape

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
Decorator = Callable[[Any], Any]

WHAT, FITTING, CSV, HOW, CLUSTER, OUTPUT, TALK = "What", "Fitting", "CSV", "How", "Cluster", "Output", "Talk"
SECTIONS = (WHAT, FITTING, CSV, HOW, CLUSTER, OUTPUT, TALK)

_CONFIG_FILE = "logitstream.config"
_REWRITE = " Write the file with another --delimiter first."
# What to do where two of the characters below are the same.
_DIFFERENT = {
    ("escape", "quote"): " Leave --escape out: a doubled quote is read as one.",
    ("delimiter", "decimal"): _REWRITE,
    ("delimiter", "thousands"): _REWRITE,
    ("decimal", "thousands"): " Name the --decimal character, too: the default is a point.",
}
# In a file they must differ; those that may be switched off are empty then.
_CHARACTERS = ("escape", "quote", "delimiter", "comment", "decimal", "thousands")
_CSV_CODECS = ("none", "gzip", "zstd")

# Has no variables: it reads those of score.
_READS_SCORE = {"plan"}
# Container images set the first; Kubernetes sets the others in every pod for a service named "logitstream...".
_OF_OTHERS = re.compile(
    r"\ALOGITSTREAM_VERSION\Z|_SERVICE_(HOST|PORT(_\w+)?)\Z|_PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?\Z"
)


class JobOption(click.Option):
    """An option that knows its group in ``--help`` and where its value came from."""

    def __init__(
        self, *args: Any, section: str, is_path: bool = False, words: Container[str] = (), **attributes: Any
    ) -> None:
        super().__init__(*args, **({"shell_complete": completion.files} if is_path else {}) | attributes)
        self.section = section
        self.is_path = is_path
        # What an option that names paths takes besides them.
        self.words = words

    def get_error_hint(self, ctx: click.Context | None) -> str:  # noqa: ARG002 - click's
        """Return how messages call the option: by its long form."""
        return f"'{max(self.opts, key=len)}'"

    def process_value(self, ctx: click.Context, value: Any) -> Any:
        """Return the converted value; a mistake in the environment or in a file is reported with its place."""
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
            return _variable(ctx, str(self.name))
        if source is ParameterSource.DEFAULT_MAP:
            return f"{ctx.meta[_CONFIG_FILE]}: [{_table(ctx)}] {config.key(self)}"
        return None


class JobArgument(click.Argument):
    """An argument that names paths."""

    is_path = True

    def __init__(self, *args: Any, **attributes: Any) -> None:
        super().__init__(*args, **{"shell_complete": completion.files} | attributes)


class JobCommand(Helpful):
    """A command whose help groups the options, and which takes ``--quiet``."""

    def __init__(self, *args: Any, table: str = "", **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.table = table or str(self.name)
        self.params.append(_quiet())

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse, and refuse options that contradict each other and variables that no option reads."""
        try:
            rest = super().parse_args(ctx, args)
        except click.UsageError as error:
            if _asks_for_json(ctx):
                document.want()
            # What is missing may be in a variable whose name is misspelt.
            _refuse_unknown_variables(ctx)
            raise _with_own_name(error, self.params) from None
        if ctx.params.get("json"):
            document.want()
        _refuse_unknown_variables(ctx)
        _settle_talk(ctx)
        contradiction = _contradiction(ctx.params)
        if contradiction and not ctx.resilient_parsing:
            raise click.UsageError(contradiction, ctx)
        return rest

    def invoke(self, ctx: click.Context) -> Any:
        """Carry out the command, quietly where that was asked for."""
        with console.quietly(ctx.params.pop("quiet", False)):
            return super().invoke(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options in groups."""
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
    """Return a decorator that adds an option to a group."""
    return click.option(*names, cls=JobOption, section=section, **attributes)


def add(decorators: Iterable[Decorator]) -> Callable[[Decorated], Decorated]:
    """Return one decorator that adds several options, in the order in which help shows them."""

    def decorate(function: Decorated) -> Decorated:
        for decorator in reversed(list(decorators)):
            function = decorator(function)
        return function

    return decorate


def given(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of the current command that were given a value, wherever it came from."""
    ctx = click.get_current_context()
    return {name: value for name, value in params.items() if _strength(ctx, name)}


def given_words(params: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the options of the current command that were given, wherever that was: their names and values as text.

    Left out are those that only say how the command talks.
    """
    names = {
        str(param.name): max(param.opts, key=len)
        for param in click.get_current_context().command.params
        if isinstance(param, JobOption) and param.section != TALK
    }
    return [(names[name], _words(value)) for name, value in given(params).items() if name in names]


def _words(value: object) -> str:
    """Return a value as it can be written on a command line; one of a flag is empty."""
    if isinstance(value, tuple):
        return ", ".join("=".join(map(str, each)) if isinstance(each, tuple) else str(each) for each in value)
    return "" if value is True else str(value)


def _quiet() -> JobOption:
    text = "Show only results and errors."
    return JobOption(["-q", "--quiet"], section=TALK, is_flag=True, help=text)


def _variable(ctx: click.Context, name: str) -> str:
    return f"{ctx.auto_envvar_prefix}_{name.upper().replace('-', '_')}"


def _refuse_unknown_variables(ctx: click.Context) -> None:
    """Refuse a variable that names neither an option of this command nor another command."""
    if ctx.resilient_parsing or not ctx.auto_envvar_prefix:
        return
    own, root = _variable(ctx, ""), _variable(ctx.find_root(), "")
    options = (param for param in ctx.command.get_params(ctx) if isinstance(param, click.Option))
    known = [str(param.name).upper() for param in options if param.allow_from_autoenv]
    above = {f"{parent.auto_envvar_prefix}_" for parent in _above(ctx)}
    others = [prefix for prefix in _prefixes(ctx) if prefix != own and prefix not in above]
    for name in sorted(os.environ):
        # The name of one command may begin with that of another: FIT_ and FIT_NETWORK_.
        of_another = any(
            name.startswith(each) and not (name.startswith(own) and own.startswith(each)) for each in others
        )
        if not name.startswith(root) or of_another or _OF_OTHERS.search(name):
            continue
        if not name.startswith(own) or name.removeprefix(own) not in known:
            near = _nearest_variable(name, ctx, known)
            remedy = f"did you mean {escape(near)}?" if near else f"unset it, or see '{ctx.command_path} --help'"
            raise ConfigurationError(f"the environment variable {escape(name)} is not known", remedy)


def _with_own_name(error: click.UsageError, params: Iterable[click.Parameter]) -> click.UsageError:
    """Return the error; where an option is unknown that other libraries have, with its name here (``--delimiter``)."""
    if isinstance(error, click.NoSuchOption):
        meant = ELSEWHERE.get(error.option_name.lstrip("-").replace("-", "_"))
        opts = [opt for param in params for opt in param.opts]
        if meant and (near := difflib.get_close_matches(f"--{meant}", opts, 1, 0.9)):
            return click.UsageError(f"No such option '{error.option_name}'. Did you mean '{near[0]}'?", error.ctx)
    return error


def _prefixes(ctx: click.Context) -> list[str]:
    """Return the beginnings of the variables of the commands that are next to this command or above it."""
    found: list[str] = []
    for above in _above(ctx):
        if isinstance(above.command, click.Group):
            names = above.command.list_commands(above)
            found += (f"{_variable(above, name)}_" for name in names if name not in _READS_SCORE)
    return found


def _above(ctx: click.Context) -> Iterator[click.Context]:
    """Yield the contexts of the commands above this one, from the nearest."""
    above = ctx.parent
    while above is not None:
        yield above
        above = above.parent


def _nearest_variable(name: str, ctx: click.Context, known: Iterable[str]) -> str:
    """Return the variable that was probably meant: one of the command that the name begins with, or of this one."""
    own, root = _variable(ctx, ""), _variable(ctx.find_root(), "")
    word = name.removeprefix(own)
    if word == name:
        word = name.removeprefix(root)
        first, _, rest = word.upper().partition("_")
        commands = [prefix.removeprefix(root).rstrip("_") for prefix in _prefixes(ctx)]
        near = ["SCORE"] if first.lower() in _READS_SCORE else difflib.get_close_matches(first, commands, 1, 0.75)
        if near and rest and not own.startswith(f"{root}{near[0]}_"):
            return f"{root}{near[0]}_{rest}"
        word = rest if near else word
    near = difflib.get_close_matches(word.upper(), known, 1)
    return f"{own}{near[0]}" if near else ""


def _asks_for_json(ctx: click.Context) -> bool:
    """Return whether the environment or a file asks for JSON: what was typed could not be parsed."""
    option = next((param for param in ctx.command.params if param.name == "json"), None)
    if option is None:
        return False
    value, _ = option.consume_value(ctx, {})
    with suppress(click.UsageError):
        return bool(option.type_cast_value(ctx, value))
    return False


def _table(ctx: click.Context) -> str:
    command = ctx.command
    return command.table if isinstance(command, JobCommand) else str(command.name)


_STRENGTH = (ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP, ParameterSource.ENVIRONMENT)


def _settle_talk(ctx: click.Context) -> None:
    """Let the stronger place decide if one says ``quiet`` and another ``verbose``."""
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
    for one, other in combinations(_CHARACTERS, 2):
        if given.get(one) and given[one] == given.get(other) and not _implied(one, other, given):
            remedy = _DIFFERENT.get((one, other), "")
            return f"--{one} and --{other} are the same character {given[one]!r}.{remedy}"
    if _is_csv(given) and given.get("compression") not in {None, *_CSV_CODECS}:
        return f"--compression {given['compression']} cannot be used for CSV: choose {listed(_CSV_CODECS)}."
    return ""


def _implied(one: str, other: str, given: Mapping[str, Any]) -> bool:
    """Return whether the one of two options is the decimal point, which numbers without a fraction do not need."""
    return other == "decimal" and given["decimal"] == "." and one != "thousands"


def _is_csv(given: Mapping[str, Any]) -> bool:
    return given.get("format") == "csv" or str(given.get("output") or "").endswith(".csv")


def load_config(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    """Make the values in the file that an option names the defaults of the command."""
    if value is not None:
        ctx.meta[_CONFIG_FILE] = value
        ctx.default_map = config.defaults(value, _table(ctx), ctx.command.params)
