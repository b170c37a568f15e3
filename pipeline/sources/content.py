"""The digest of all bytes of an input, and what it means that a file is in the state that is known of it."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.errors import DataError, InputChangedError
from pipeline.sources.files import open_planned, show, system_error
from pipeline.units import MIB

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.types.inputs import Identity, InputFile


def content_digest(file: InputFile) -> str:
    """Return the SHA-256, in hexadecimal, of all bytes of a file that was planned, read once.

    Raises
    ------
    InputChangedError
        It is gone.
    PermissionDeniedError, StorageError
        The system refuses it.
    """
    descriptor = open_planned(file.location, file.path)
    try:
        return _digest(descriptor, file.path)
    finally:
        os.close(descriptor)


def with_content(identity: Identity, descriptor: int, path: str, identify: Callable[[int, str], Identity]) -> Identity:
    """Return the identity of an open file with the digest of its content; ``identify`` tells it without.

    Raises
    ------
    InputChangedError
        The file changed meanwhile.
    """
    content = _digest(descriptor, path)
    try:
        same = same_state(identify(descriptor, path), identity)
    except DataError:
        same = False
    if not same:
        message = f"{show(path)} changed while it was digested"
        raise InputChangedError(message, "Run again when nothing writes to it any more.")
    return replace(identity, content=content)


def without_content(identity: Identity) -> Identity:
    """Return the part of an identity that a reader compares, which costs no pass over the file."""
    return replace(identity, content="") if identity.content else identity


def same_state(one: Identity, other: Identity) -> bool:
    """Return whether two identities are the same, whatever is known of the content."""
    return without_content(one) == without_content(other)


def _digest(descriptor: int, path: str) -> str:
    # The bytes that there are now, and no more: of a file that grows all the time there would be no end.
    digest = hashlib.sha256()
    offset = 0
    try:
        left = os.fstat(descriptor).st_size
        while left and (block := os.pread(descriptor, min(MIB, left), offset)):
            digest.update(block)
            offset += len(block)
            left -= len(block)
    except OSError as error:
        raise system_error(error, path) from error
    return digest.hexdigest()
