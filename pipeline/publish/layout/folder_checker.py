"""A folder of parts for somebody who checks it: what its manifest lists, and what is there besides."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pipeline.disk import Folder
from pipeline.errors import NewerOutputError, OutputError
from pipeline.publish.facts import Defect, PublishedOutput
from pipeline.publish.layout.entries import Listing, quarantine_in
from pipeline.publish.layout.lists import Listed, manifest_in
from pipeline.publish.record.manifest import Manifest, observed_holds
from pipeline.publish.record.names import MANIFEST, QUARANTINE, RECEIPTS
from pipeline.publish.record.receipts import Codec, Part


@contextmanager
def open_folder(output: Path, codec: Codec) -> Iterator[PublishedOutput]:
    """Open a folder of parts; its manifest and receipts are read and nothing else.

    Raises
    ------
    NewerOutputError
        A newer logitstream made it.
    OutputError
        It is no folder, or has no manifest at all.
    """
    with Folder.open(output) as folder:
        yield _published(output, folder, codec)


def _published(output: Path, folder: Folder, codec: Codec) -> PublishedOutput:
    try:
        manifest = manifest_in(folder)
    except NewerOutputError:
        raise
    except OutputError as error:
        if folder.look(MANIFEST) is None:
            raise
        return PublishedOutput(output, None, (), (damaged(MANIFEST, error),))
    parts = Listed(folder, manifest, codec)
    try:
        unlisted = tuple(_unlisted(folder, parts))
    except OutputError as error:
        return PublishedOutput(output, manifest, (), (damaged(RECEIPTS, error),))
    return PublishedOutput(output, manifest, parts, (*unlisted, *edited(manifest)))


def edited(manifest: Manifest) -> Iterator[Defect]:
    """Yield what is wrong with what a manifest only notes."""
    if not observed_holds(manifest):
        yield MANIFEST, "observed", "as it was written", "edited"


def damaged(name: str, error: OutputError) -> Defect:
    """Return the defect of a manifest or of receipts that cannot be read."""
    return name, "content", "as it was written", error.message.partition(": ")[2]


def _unlisted(folder: Folder, parts: Iterable[Part]) -> Iterator[Defect]:
    if _all_are_listed(folder, parts):
        return
    held = {part.quarantine_name for part in parts if part.quarantine is not None}
    listed = {MANIFEST, RECEIPTS, *(part.name for part in parts), *({QUARANTINE} if held else ())}
    names = [name for name in folder.names() if name not in listed]
    if held and folder.look(QUARANTINE) is not None:
        with folder.enter(QUARANTINE) as quarantine:
            names += [f"{QUARANTINE}/{name}" for name in quarantine.names() if name not in held]
    for name in sorted(names):
        yield name, "file", "none of that name", "there, and not listed"


def _all_are_listed(folder: Folder, parts: Iterable[Part]) -> bool:
    """Return whether a folder holds nothing but what is listed, by counting: no name is kept."""
    with ExitStack() as stack:
        quarantine = quarantine_in(folder, stack)
        listing, held = Listing(folder), Listing(quarantine)
        with_quarantine = False
        for part in parts:
            listing.check(part.name, part.file.bytes)
            if part.quarantine is not None:
                with_quarantine = True
                held.check(part.quarantine_name, part.quarantine.bytes)
        # The manifest, the receipts, and the folder of the quarantines.
        plain = 3 if quarantine is not None and with_quarantine else 2
        return listing.others() == plain and not held.others()
