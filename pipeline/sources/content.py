"""Files that were planned: opened again, digested whole, and compared with the state that is known of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.disk import OpenFile, show
from pipeline.errors import DataError, InputChangedError, InputMissingError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.types.inputs import Identity, InputFile


def open_planned(file: InputFile) -> OpenFile:
    """Open a file that was there when the run was planned.

    Raises
    ------
    InputChangedError
        It is gone, or no file any more.
    PermissionDeniedError, StorageError
        The system refuses it.
    """
    try:
        return OpenFile.open(file.location, file.path)
    except InputMissingError as error:
        raise InputChangedError(f"{show(file.path)} has changed since it was planned: it is gone") from error
    except (DataError, UsageError) as error:
        raise InputChangedError(f"{show(file.path)} has changed since it was planned: {error.message}") from error


def content_digest(file: InputFile) -> str:
    """Return the SHA-256, in hexadecimal, of all bytes of a file that was planned, read once.

    Raises
    ------
    InputChangedError
        It is gone.
    PermissionDeniedError, StorageError
        The system refuses it.
    """
    with open_planned(file) as opened:
        return opened.sha256()


def with_content(identity: Identity, file: OpenFile, identify: Callable[[OpenFile], Identity]) -> Identity:
    """Return the identity of an open file with the digest of its content; ``identify`` tells it without.

    Raises
    ------
    InputChangedError
        The file changed meanwhile.
    """
    content = file.sha256()
    try:
        same = same_state(identify(file), identity)
    except DataError:
        same = False
    if not same:
        message = f"{show(file.path)} changed while it was digested"
        raise InputChangedError(message, "Run again when nothing writes to it any more.")
    return replace(identity, content=content)


def without_content(identity: Identity) -> Identity:
    """Return the part of an identity that a reader compares, which costs no pass over the file."""
    return replace(identity, content="") if identity.content else identity


def same_state(one: Identity, other: Identity) -> bool:
    """Return whether two identities are the same, whatever is known of the content."""
    return without_content(one) == without_content(other)
