"""The one step that publishes, and what is asked of the file system before it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.disk import Folder
from pipeline.errors import OutputError, StorageError
from pipeline.publish.layout.base import Place, Version
from pipeline.publish.layout.lists import aside
from pipeline.publish.layout.target import Destination

# Listing 100,000 names takes about that long.
LISTING_SECONDS = 0.1


def can_exchange(folder: Folder) -> bool:
    """Return whether the file system of a folder can exchange two names in one step."""
    names = "probe-1", "probe-2"
    for name in names:
        folder.make(name, exist_ok=True).close()
    able = folder.can_exchange(*names)
    for name in names:
        folder.remove_folder(name)
    return able


def take_name(place: Place, folder: Folder, name: str) -> None:
    """Give what is prepared in a folder the name of the output in one step; the version before takes its place."""
    target, parent = place.target, place.parent
    if place.version is None:
        folder.move(name, parent, target.name)
    else:
        refuse_if_changed(target, parent, place.version)
        folder.exchange(name, parent, target.name)


def refuse_if_changed(target: Destination, parent: Folder, version: Version) -> None:
    """Raise if what has the name of the output is no longer the version that was found there."""
    if version.layout.state_at(parent, target.name) != version.state:
        raise OutputError(f"{target.shown} was changed by somebody else during the run", aside(target.path))


def sync_published(target: Destination, *folders: Folder) -> None:
    """Make the step durable; if that fails, the error says that the step was done."""
    with once_done(target, "published"):
        for folder in folders:
            folder.sync()


@contextmanager
def once_done(target: Destination, what: str) -> Iterator[None]:
    """Let an error of the system say that the step was done already: "is published, but"."""
    try:
        yield
    except StorageError as error:
        raise StorageError(f"{target.shown} is {what}, but {error.message}", error.remedy) from error


def let_listings_end(exchanged: float) -> None:
    """Wait for readers that have just listed the version that was replaced: its names are about to change.

    ``exchanged`` is the time of the exchange, by the monotonic clock.

    A reader that opened the folder before the exchange keeps listing the previous version. If names change meanwhile,
    it sees only some of them, and reads those that the new version has too.
    """
    time.sleep(max(0.0, exchanged + LISTING_SECONDS - time.monotonic()))
