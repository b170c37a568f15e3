"""Commands and options as the jobs have them: help in groups, and a value that knows the place it came from.

A value comes from the command line, else from the environment (``LOGITSTREAM_SCORE_CHUNK_SIZE``), else from the file
that ``--config`` names, else from its default; a value that cannot be used is reported with that place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from jobs.options import completion, config
from jobs.options.help import Helpful
from pipeline.errors import ConfigurationError, UsageError

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
Decorator = Callable[[Any], Any]

WHAT, CSV, HOW, OUTPUT, TALK = "What", "CSV", "How", "Output", "Talk"
SECTIONS = (WHAT, CSV, HOW, OUTPUT, TALK)

_CONFIG_FILE = "logitstream.config"
_CSV_CODECS = ("none", "gzip", "zstd")


class JobOption(click.Option):
    """An option that knows its group in ``--help`` and the place its value came from."""

    def __init__(self, *args: Any, section: str, is_path: bool = False, **attributes: Any) -> None:
        super().__init__(*args, **({"shell_complete": completion.files} if is_path else {}) | attributes)
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
    """An argument that names paths."""

    is_path = True

    def __init__(self, *args: Any, **attributes: Any) -> None:
        super().__init__(*args, **{"shell_complete": completion.files} | attributes)


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


def given(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the parameters of the current command that were given a value, wherever."""
    ctx = click.get_current_context()
    return {name: value for name, value in params.items() if _strength(ctx, name)}


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
    if _is_csv(given) and given.get("compression") not in {None, *_CSV_CODECS}:
        return f"--compression {given['compression']} is not one of CSV: {', '.join(_CSV_CODECS)}."
    return ""


def _is_csv(given: Mapping[str, Any]) -> bool:
    return given.get("format") == "csv" or str(given.get("output") or "").endswith(".csv")


def load_config(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    """Read the file that an option names: its values are the defaults of the command."""
    if value is not None:
        ctx.meta[_CONFIG_FILE] = value
        ctx.default_map = config.defaults(value, _table(ctx), ctx.command.params)
