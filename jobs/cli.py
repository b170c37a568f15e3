"""The group of commands, each imported when it is used, and the only place that turns errors into exit codes."""

from __future__ import annotations

import atexit
import gc
import importlib
import os
import resource
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from types import FrameType
from typing import NoReturn

import click
from click.exceptions import NoArgsIsHelpError

from jobs.help import HelpfulGroup
from jobs.hiding import hide_others
from jobs.show import console, document
from jobs.stopping import Terminated, described, exit_code, handle, how_to_go_on
from pipeline import __version__
from pipeline.errors import Abandoned, LogitstreamError, OutputError, PermissionDeniedError, StorageError
from pipeline.units import escape

NAME = "logitstream"
# The commands in the order in which a newcomer needs them, with what the list of them says of each.
JOBS = {
    "score": "Score rows of Parquet or CSV with a logistic model.",
    "transform": "Apply functions to columns, without a model.",
    "plan": "Show what score would do, without doing it.",
    "fit": "Fit a logistic model to Parquet or CSV, to the optimum.",
    "fit-network": "Fit a network of dense layers to Parquet or CSV, by mini-batches.",
    "calibrate": "Make the probabilities of a model agree with outcomes.",
    "evaluate": "Measure how well scores fit what was observed.",
    "inspect": "Look at data, or at the rows of a quarantine.",
    "verify": "Check an output against its manifest.",
    "rollback": "Publish the previous version of an output again.",
    "runs": "List unfinished runs and previous versions, or remove them.",
    "model": "Show, check, upgrade, import or export a model file.",
    "diagnose": "Find where the error signal of a network vanishes.",
    "plot": "Draw functions and their derivatives.",
    "bench": "Measure what functions cost on this machine.",
    "demo": "See it work on real flights.",
    "guide": "Read the guide, here on the terminal.",
}

USAGE, STORAGE, CONFIGURATION, BUG = 2, 74, 78, 1
COMPLETION = "_LOGITSTREAM_COMPLETE"


class LazyGroup(HelpfulGroup):
    """A group that imports ``jobs.commands.<name>`` when that command is used, and none of them to list them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the signature is click's
        """Return the names of the commands, in the order in which a newcomer needs them."""
        return list(JOBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        """Return the command of this name, or ``None`` if there is none."""
        if cmd_name not in JOBS:
            return None
        command: click.Command = importlib.import_module(f"jobs.commands.{cmd_name.replace('-', '_')}").command
        command.short_help = JOBS[cmd_name]
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as above
        """Write the list of the commands."""
        with formatter.section("Commands"):
            formatter.write_dl(list(JOBS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the first argument names, or suggest the nearest one."""
        if args[0] not in JOBS:
            nearest = get_close_matches(args[0], JOBS, 1)
            guess = f" Did you mean '{nearest[0]}'?" if nearest else f" The commands are {', '.join(JOBS)}."
            raise click.UsageError(f"No such command {args[0]!r}.{guess}", ctx)
        return super().resolve_command(ctx, args)


def _show_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        console.emit(f"{NAME} {__version__}")
        ctx.exit()


@click.group(
    NAME,
    cls=LazyGroup,
    example="logitstream demo",
    uses_demo=False,
    context_settings={"auto_envvar_prefix": "LOGITSTREAM", "max_content_width": 100},
    epilog="Try 'logitstream demo' first, then 'logitstream score --help'. Options can also be set in the environment "
    "(LOGITSTREAM_SCORE_CHUNK_SIZE=64MiB) or in a file (--config). The command line overrides the environment, and the "
    "environment overrides the file.",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    allow_from_autoenv=False,
    callback=_show_version,
    help="Show the version.",
)
def group() -> None:
    """Score and fit datasets larger than memory with logistic models.

    Reads Parquet and CSV files chunk by chunk and publishes the result in one step. A run that fails leaves the
    published output unchanged.
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command line and end the process with its exit code, or answer a shell that completes one.

    Parameters
    ----------
    arguments : sequence of str, optional
        ``sys.argv[1:]`` by default.
    """
    console.open_closed_streams()
    _keep_to_itself()
    if sys.platform != "linux":
        console.complain(f"logitstream runs on Linux; this is {sys.platform}", "run it in a Linux container")
        sys.exit(CONFIGURATION)
    _start_and_end_quickly()
    _set_allocator()
    words = sys.argv[1:] if arguments is None else arguments
    if words[:1] != ["bench"] and words[:2] != ["model", "import"]:
        hide_others()
    instruction = os.environ.get(COMPLETION)
    sys.exit(_complete(instruction) if instruction else run(words))


def _complete(instruction: str) -> int:
    """Answer a shell that asks for its script or for completions, and return the exit code."""
    from jobs.options.shells import answer  # noqa: PLC0415 - for shells alone

    try:
        console.emit(answer(group, instruction))
    except LogitstreamError as error:
        return _told(error)
    return 0


def _keep_to_itself() -> None:
    """Keep rows out of core dumps, and keep worker processes from importing modules of the current folder."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    os.environ["PYTHONSAFEPATH"] = "1"


def _start_and_end_quickly() -> None:
    """Save a tenth of a second at the start and at the end.

    At the start OpenBLAS would start threads that nothing here uses, and pydantic would look through all installed
    packages for plugins; at the end the garbage collector would search objects that disappear anyway.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    atexit.register(gc.freeze)


def _set_allocator() -> None:
    """Set how Arrow's allocator treats memory, which it reads when it is loaded; what is set already stays.

    It asks for huge pages, and each is 2 MiB that the kernel clears whenever the first bytes of it are needed again.
    Scoring many columns takes a quarter less processor time without them, and an eighth less memory. What is freed
    stays for five seconds, not one, so that the next chunk finds it.
    """
    os.environ.setdefault("MIMALLOC_ALLOW_THP", "0")
    os.environ.setdefault("MIMALLOC_PURGE_DELAY", "5000")


def run(arguments: Sequence[str]) -> int:
    """Run a command line and return its exit code. Errors are written to stderr, never raised."""
    document.begin(arguments)
    try:
        with _terminable(), group.make_context(NAME, list(arguments)) as context:
            group.invoke(context)
    except click.exceptions.Exit as done:
        return done.exit_code
    except BaseException as error:  # noqa: BLE001 - every error is shown here, none is hidden
        return _told(error)
    return 0


def _told(error: BaseException) -> int:
    """Write an error to stderr and return its exit code."""
    match error:
        case NoArgsIsHelpError():
            console.tell(error.format_message())
            return USAGE
        case click.ClickException():
            # The message repeats what was typed, line ends included.
            message = escape(_sentence(_on_one_line(error)), 1000)
            return _complain(error, "UsageError", message, _see_help(error), USAGE)
        case LogitstreamError():
            kind = type(error).__name__
            return _complain(error, kind, _noted(error.message, error), error.remedy, error.exit_code)
        case KeyboardInterrupt() | click.Abort() | Terminated() | Abandoned():
            return _stopped(error)
        case OSError() if not (isinstance(error, BrokenPipeError) and console.reader_is_gone()):
            return _told(_translated(error))
        case _:
            return _unexpected(error)


def _complain(error: BaseException, kind: str, message: str, remedy: str, code: int) -> int:
    console.complain(message, remedy)
    document.write_error(error, kind, message, remedy, code)
    return code


def _on_one_line(error: click.ClickException) -> str:
    """Return the message of an error; click lists the choices of a missing option below each other."""
    text = error.format_message()
    return " ".join(text.split()) if isinstance(error, click.MissingParameter) else text


def _sentence(message: str) -> str:
    text = message.strip().removesuffix(".")
    return text[:1].lower() + text[1:]


def _see_help(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    return f"see '{context.command_path if context else NAME} --help'"


def _stopped(error: BaseException) -> int:
    given_up = isinstance(error, Abandoned)
    by = error.__cause__ if given_up else error
    facts = (described(by), *(("unfinished chunks were given up",) if given_up else ()))
    kind = type(by).__name__ if isinstance(by, LogitstreamError) else "Stopped"
    _complain(error, kind, _noted("; ".join(facts), error), how_to_go_on(by), exit_code(by))
    if given_up:
        # The interpreter would wait for the threads of the chunks that were given up.
        os._exit(exit_code(by))
    return exit_code(by)


def _noted(message: str, error: BaseException) -> str:
    return "; ".join((message, *getattr(error, "__notes__", ())))


def _translated(error: OSError) -> LogitstreamError:
    """Return the error for a system call that failed and that no other code has explained."""
    reason = error.strerror or str(error) or type(error).__name__
    if isinstance(error, FileNotFoundError) and _working_folder_is_gone():
        return OutputError("the working folder no longer exists", "give absolute paths")
    place = "" if error.filename is None else f"{escape(os.fsdecode(error.filename), 1000)}: "
    kind = PermissionDeniedError if isinstance(error, PermissionError) else StorageError
    return kind(f"{place}{reason}")


def _working_folder_is_gone() -> bool:
    try:
        os.getcwd()  # noqa: PTH109 - the folder no longer has a path
    except FileNotFoundError:
        return True
    return False


def _unexpected(error: BaseException) -> int:
    if isinstance(error, BrokenPipeError) and console.reader_is_gone():
        console.silence(1)
        return STORAGE
    console.tell_safely("\n".join(_crash_report(error)))
    message = f"this is a bug in logitstream: {type(error).__name__}"
    remedy = "report it with the lines above; the published output is unchanged"
    return _complain(error, "Bug", message, remedy, BUG)


def _crash_report(error: BaseException) -> Iterator[str]:
    """Yield the traceback of an error, causes first, without the texts of errors: they may quote cells.

    Python's development mode (PYTHONDEVMODE=1) shows the texts too.
    """
    if sys.flags.dev_mode:
        yield "".join(traceback.format_exception(error))
        return
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        yield from _crash_report(cause)
    yield "Traceback (most recent call last):"
    yield "".join(traceback.format_tb(error.__traceback__)).rstrip("\n")
    yield f"{type(error).__module__}.{type(error).__qualname__} (its text is not shown: it may quote your data)"


@contextmanager
def _terminable() -> Iterator[None]:
    """Turn SIGTERM into an exception, so that a run ends in good order. A second SIGTERM ends the process at once."""
    before = handle(signal.SIGTERM, _raise_terminated)
    try:
        yield
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)


def _raise_terminated(number: int, _: FrameType | None) -> NoReturn:
    signal.signal(number, signal.SIG_DFL)
    raise Terminated


if __name__ == "__main__":
    main()
