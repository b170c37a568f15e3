"""The command line: a group of jobs, each imported when it is asked for, and the one door from errors to exit codes."""

from __future__ import annotations

import atexit
import difflib
import gc
import importlib
import os
import resource
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

import click
from click.exceptions import NoArgsIsHelpError

from jobs.options.help import HelpfulGroup
from jobs.show import console, document
from jobs.stopping import Terminated, described, exit_code, handle, how_to_go_on
from pipeline import __version__
from pipeline.errors import Abandoned, LogitstreamError, OutputError, PermissionDeniedError, StorageError
from pipeline.units import escape

NAME = "logitstream"
JOBS = ("score", "transform", "plan", "inspect", "verify", "rollback", "runs", "model", "plot", "bench", "demo")

USAGE, STORAGE, CONFIGURATION, BUG = 2, 74, 78, 1


class LazyGroup(HelpfulGroup):
    """A group that imports ``jobs.<name>`` when the command of that name is looked up."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the signature is click's
        """Return the names of the jobs, in the order in which a newcomer meets them."""
        return list(JOBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        """Return the command of a job, or ``None`` where there is none."""
        if cmd_name not in JOBS:
            return None
        command = importlib.import_module(f"jobs.commands.{cmd_name}").command
        return command if isinstance(command, click.Command) else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the first argument names, or say which one is nearest."""
        if args[0] not in JOBS:
            nearest = difflib.get_close_matches(args[0], JOBS, 1)
            guess = f" Did you mean '{nearest[0]}'?" if nearest else f" There are {', '.join(JOBS)}."
            raise click.UsageError(f"No such command {args[0]!r}.{guess}", ctx)
        return super().resolve_command(ctx, args)


def _show_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        console.emit(f"{NAME} {__version__}")
        ctx.exit()


@click.group(
    NAME,
    cls=LazyGroup,
    example="logitstream demo",
    uses_demo=False,
    context_settings={"auto_envvar_prefix": "LOGITSTREAM", "max_content_width": 100},
    epilog="Try 'logitstream demo' first, then 'logitstream score --help'. An option may also stand in the environment "
    "(LOGITSTREAM_SCORE_CHUNK_SIZE=64MiB) or in a file (--config): the flag beats the environment, the environment the "
    "file.",
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
    """Score datasets larger than memory with logistic models.

    Reads Parquet and CSV in streams, and publishes the result in one step: a run that fails leaves what was published
    before as it was.
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command line and end the process with its exit code.

    Parameters
    ----------
    arguments : sequence of str, optional
        ``sys.argv[1:]`` unless given.
    """
    console.open_closed_streams()
    _keep_to_itself()
    if sys.platform != "linux":
        console.complain(f"logitstream runs on Linux; this is {sys.platform}", "run it in a Linux container")
        sys.exit(CONFIGURATION)
    _start_and_end_quickly()
    words = sys.argv[1:] if arguments is None else arguments
    if words[:1] != ["bench"]:
        sys.meta_path.insert(0, _WithoutOthers)
    sys.exit(run(words))


def _keep_to_itself() -> None:
    """Leave no rows in a core dump, and have worker processes import nothing from the current folder."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    os.environ["PYTHONSAFEPATH"] = "1"


def _start_and_end_quickly() -> None:
    """Leave out what starting and ending would spend more than a tenth of a second on without need.

    The threads of a library for matrices, of which there are none here; and at the end, when everything goes, a search
    for garbage through all there is.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    atexit.register(gc.freeze)


class _WithoutOthers:
    """Finds neither pandas nor scipy: Arrow and Dask load them wherever they are installed, only to be ready for them.

    No command but ``bench`` makes use of either, and together they would cost each one 0.3 s and 50 MB.
    """

    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        if name in {"pandas", "scipy"}:
            raise ModuleNotFoundError(f"the command does without {name}", name=name)


def run(arguments: Sequence[str]) -> int:
    """Run a command line and return its exit code. Every error has been told on stderr; none is raised."""
    document.begin(arguments)
    try:
        with _terminable(), group.make_context(NAME, list(arguments)) as context:
            group.invoke(context)
    except click.exceptions.Exit as done:
        return done.exit_code
    except BaseException as error:  # noqa: BLE001 - the one door: what comes here is told, never hidden
        return _told(error)
    return 0


def _told(error: BaseException) -> int:
    """Tell an error on stderr and return its exit code."""
    match error:
        case NoArgsIsHelpError():
            console.tell(error.format_message())
            return USAGE
        case click.ClickException():
            # The message has what was typed, line ends and all.
            message = escape(_sentence(error.format_message()), 1000)
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


def _sentence(message: str) -> str:
    text = message.strip().removesuffix(".")
    return text[:1].lower() + text[1:]


def _see_help(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    return f"see '{context.command_path if context else NAME} --help'"


def _stopped(error: BaseException) -> int:
    given_up = isinstance(error, Abandoned)
    by = error.__cause__ if given_up else error
    facts = (described(by), *(("chunks under way were given up",) if given_up else ()))
    kind = type(by).__name__ if isinstance(by, LogitstreamError) else "Stopped"
    _complain(error, kind, _noted("; ".join(facts), error), how_to_go_on(by), exit_code(by))
    if given_up:
        # The interpreter would wait for the threads that nobody waits for any more.
        os._exit(exit_code(by))
    return exit_code(by)


def _noted(message: str, error: BaseException) -> str:
    return "; ".join((message, *getattr(error, "__notes__", ())))


def _translated(error: OSError) -> LogitstreamError:
    """Return what the system refused where nothing closer to it has said so."""
    reason = error.strerror or str(error) or type(error).__name__
    if isinstance(error, FileNotFoundError) and _working_folder_is_gone():
        return OutputError("the working folder no longer exists", "give absolute paths")
    place = "" if error.filename is None else f"{escape(os.fsdecode(error.filename), 1000)}: "
    kind = PermissionDeniedError if isinstance(error, PermissionError) else StorageError
    return kind(f"{place}{reason}")


def _working_folder_is_gone() -> bool:
    try:
        os.getcwd()  # noqa: PTH109 - as text: the folder has no path any more
    except FileNotFoundError:
        return True
    return False


def _unexpected(error: BaseException) -> int:
    if isinstance(error, BrokenPipeError) and console.reader_is_gone():
        console.silence(1)
        return STORAGE
    console.tell_safely("\n".join(_crash_report(error)))
    message = f"this is a bug of logitstream: {type(error).__name__}"
    remedy = "please report it with the lines above; what was published before stands as it was"
    return _complain(error, "Bug", message, remedy, BUG)


def _crash_report(error: BaseException) -> Iterator[str]:
    """Yield where an error came from, causes first. The texts of errors may quote cells, and are left out.

    Python's development mode (PYTHONDEVMODE=1) shows them.
    """
    if sys.flags.dev_mode:
        yield "".join(traceback.format_exception(error))
        return
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        yield from _crash_report(cause)
    yield "Traceback (most recent call last):"
    yield "".join(traceback.format_tb(error.__traceback__)).rstrip("\n")
    yield f"{type(error).__module__}.{type(error).__qualname__} (its text is left out: it may quote your data)"


@contextmanager
def _terminable() -> Iterator[None]:
    """Turn SIGTERM into an exception, so that a run ends in good order; a second SIGTERM ends the process at once."""
    before = handle(signal.SIGTERM, _raise_terminated)
    try:
        yield
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)


def _raise_terminated(number: int, _: FrameType | None) -> NoReturn:
    signal.signal(number, signal.SIG_DFL)
    raise Terminated
