"""What a run leaves for the next one: bytes that are never needed, so they are not synced and may be damaged."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import disk
from pipeline.disk import Folder, NewFile
from pipeline.errors import LogitstreamError
from pipeline.publish.layout.lists import blocks
from pipeline.publish.layout.target import resolve
from pipeline.publish.record.names import REMEMBERED

if TYPE_CHECKING:
    import os

_SHA256 = 32
_WRITTEN_BY_OTHERS = 0o022


def remembered(output: Path) -> bytes:
    """See :meth:`pipeline.publish.Store.remembered`."""
    with suppress(LogitstreamError):
        target = resolve(output)
        with Folder.open(target.parent) as parent, parent.enter(target.home_name) as home:
            status = home.look(REMEMBERED)
            # Only what nobody else can have put there, or have written to.
            if status is not None and _is_ours_alone(status) and _is_ours_alone(home.status()):
                content = b"".join(blocks(home, REMEMBERED, status.st_size))
                if hashlib.sha256(content[_SHA256:]).digest() == content[:_SHA256]:
                    return content[_SHA256:]
    return b""


def _is_ours_alone(status: os.stat_result) -> bool:
    return status.st_uid == disk.user() and not status.st_mode & _WRITTEN_BY_OTHERS


def remember(home: Folder, content: bytes) -> None:
    """See :meth:`pipeline.publish.Staging.remember`."""
    if not content:
        return
    with suppress(LogitstreamError), NewFile(home, REMEMBERED) as new:
        new.file.write(hashlib.sha256(content).digest())
        new.file.write(content)


def forget(home: Folder) -> None:
    """Remove what was remembered. Never fails."""
    with suppress(LogitstreamError):
        if home.look(REMEMBERED) is not None:
            home.unlink(REMEMBERED)
