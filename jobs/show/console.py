"""The three standard streams: results on stdout, everything else on stderr; neither can harm a run."""

from __future__ import annotations

import io
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import TextIO

from pipeline.errors import StorageError
from pipeline.units import escape

_STDIN, _STDOUT, _STDERR = 0, 1, 2
_LINE_LIMIT = 2000

_quiet: ContextVar[bool] = ContextVar("quiet", default=False)


@contextmanager
def quietly(quiet: bool = True) -> Iterator[None]:
    """Show only results and errors inside the ``with`` block, if asked; a command inside a quiet one is quiet too."""
    token = _quiet.set(quiet or is_quiet())
    try:
        yield
    finally:
        _quiet.reset(token)


def is_quiet() -> bool:
    """Return whether only results and errors are shown."""
    return _quiet.get()


def open_closed_streams() -> None:
    """Open the null device for every standard stream that is closed, and make every text writable.

    Otherwise the next file that is opened would get descriptor 1 or 2, and messages would end up in data.
    """
    for descriptor in (_STDIN, _STDOUT, _STDERR):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    sys.stdin = sys.stdin or _stream(_STDIN, "r")
    sys.stdout = _any_text(sys.stdout or _stream(_STDOUT, "w"))
    sys.stderr = _any_text(sys.stderr or _stream(_STDERR, "w"))


def emit(text: str) -> None:
    """Write a result to stdout. If the reader has closed the pipe, it has read what it wanted.

    Raises
    ------
    StorageError
        The text cannot be written (a full disk).
    """
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        silence(_STDOUT)
    except OSError as error:
        silence(_STDOUT)
        raise StorageError(f"standard output cannot be written: {error.strerror}") from error


def confirm(text: str) -> None:
    """Write to stdout that all is well; a quiet command says that with its exit code alone."""
    if not is_quiet():
        emit(text)


def tell(text: str) -> None:
    """Write a message to stderr, unless the command is quiet."""
    if not is_quiet():
        _write_message(text)


def _write_message(text: str) -> None:
    """Write to stderr; where that fails, the message is lost and nothing else."""
    try:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        silence(_STDERR)


def tell_safely(text: str) -> None:
    """Write an error to stderr with every character made visible that could act on a terminal."""
    _write_message("\n".join(escape(line, _LINE_LIMIT) for line in text.rstrip("\n").split("\n")))


def tell_at_once(text: str) -> None:
    """Write a line to stderr from a signal handler: past the stream, which the interrupted code may be writing to.

    On a terminal this also shows the cursor again: the process may end before anything else does.
    """
    wiped = "\r\x1b[2K\x1b[?25h" if os.isatty(_STDERR) and os.environ.get("TERM", "dumb") != "dumb" else ""
    with suppress(OSError):
        os.write(_STDERR, f"{wiped}{escape(text, _LINE_LIMIT)}\n".encode(errors="backslashreplace"))


def complain(message: str, remedy: str = "") -> None:
    """Write an error to stderr, and what to do about it on a separate line."""
    tell_safely(f"error: {message}\n{remedy}")


def warn(text: str) -> None:
    """Write a warning to stderr, even if the command is quiet."""
    tell_safely(f"warning: {text}")


def silence(descriptor: int) -> None:
    """Point a stream at the null device, so that buffered text cannot fail when the process ends."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, descriptor)
    os.close(null)


def reader_is_gone() -> bool:
    """Return whether nobody reads stdout any more."""
    poll = select.poll()
    poll.register(_STDOUT, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


class Forgiving(io.TextIOBase):
    """A text stream that drops what the stream below it does not take, instead of failing."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lost = False

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Encoding of the stream."""
        return self._stream.encoding

    def isatty(self) -> bool:
        """Return whether the stream is a terminal."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """Return the descriptor of the stream."""
        return self._stream.fileno()

    def write(self, text: str) -> int:
        """Write the text, or drop it."""
        if not self._lost:
            try:
                self._stream.write(text)
                self._stream.flush()
            except (OSError, ValueError):
                self._lost = True
                silence(self._stream.fileno())
        return len(text)


def _stream(descriptor: int, mode: str) -> TextIO:
    return open(descriptor, mode, encoding="utf-8", closefd=False)  # type: ignore[return-value]


def _any_text(stream: TextIO) -> TextIO:
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
    return stream
