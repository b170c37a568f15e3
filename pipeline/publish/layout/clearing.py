"""Removing our folders with what is ours in them. Whatever else somebody put there stays, and the folder too."""

from __future__ import annotations

import stat

from pipeline.disk import Folder
from pipeline.errors import LogitstreamError
from pipeline.publish.record.names import OURS


def remove(parent: Folder, name: str) -> None:
    """Remove one of our folders with what is ours in it; failing that, leave the rest."""
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
