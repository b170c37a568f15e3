"""Removing logitstream's folders with logitstream's files in them. Other files stay, and then the folder stays too."""

from __future__ import annotations

import stat

from pipeline.disk import Folder
from pipeline.errors import LogitstreamError
from pipeline.publish.record.names import OURS


def remove(parent: Folder, name: str) -> None:
    """Remove one of logitstream's folders with logitstream's files in it; leave what cannot be removed."""
    try:
        with parent.enter(name) as folder:
            for entry in folder.names():
                status = folder.look(entry)
                if status is not None and stat.S_ISDIR(status.st_mode):
                    remove(folder, entry)
                elif OURS.fullmatch(entry):
                    folder.unlink(entry)
        parent.remove_folder(name)
    except LogitstreamError:
        return
