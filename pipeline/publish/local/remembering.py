"""What a run leaves for the next one: bytes that are never needed, so they are not synced and may be damaged."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

from pipeline import disk
from pipeline.disk import Folder, NewFile
from pipeline.errors import LogitstreamError
from pipeline.publish.layout.lists import blocks
from pipeline.publish.layout.target import resolve
from pipeline.publish.record.names import REMEMBERED

_SHA256 = 32


def remembered(output: Path) -> bytes:
    """See :meth:`pipeline.publish.Store.remembered`."""
    with suppress(LogitstreamError):
        target = resolve(output)
        with Folder.open(target.parent) as parent, parent.enter(target.home_name) as home:
            status = home.look(REMEMBERED)
            # Only what nobody else can have put there.
            if status is not None and home.status().st_uid == disk.user():
                content = b"".join(blocks(home, REMEMBERED, status.st_size))
                if hashlib.sha256(content[_SHA256:]).digest() == content[:_SHA256]:
                    return content[_SHA256:]
    return b""


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
