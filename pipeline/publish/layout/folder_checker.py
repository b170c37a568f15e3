"""A folder of parts, opened to be checked: what its manifest lists, and what else is there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from pipeline.disk import Folder
from pipeline.publish.facts import Defect, PublishedOutput
from pipeline.publish.layout.entries import Listing, quarantine_in
from pipeline.publish.layout.lists import NAME_ANOTHER, Listed, Unproven, foreign, read_manifest, read_parts
from pipeline.publish.record.manifest import Manifest, NewerVersion, newer_output, observed_holds
from pipeline.publish.record.names import MANIFEST, QUARANTINE, RECEIPTS
from pipeline.publish.record.receipts import Codec, Part
from pipeline.units import escape


@contextmanager
def open_folder(output: Path, codec: Codec) -> Iterator[PublishedOutput]:
    """Open a folder of parts; only its manifest and receipts are read.

    Raises
    ------
    NewerOutputError
        A newer logitstream made it.
    OutputError
        It is not a folder, or has no manifest at all.
    """
    with Folder.open(output) as folder:
        yield _published(output, folder, codec)


def _published(output: Path, folder: Folder, codec: Codec) -> PublishedOutput:
    try:
        manifest = read_manifest(folder)
    except NewerVersion as newer:
        raise newer_output(escape(str(folder.path), 1000), newer) from newer
    except Unproven as error:
        if folder.look(MANIFEST) is None:
            raise foreign(folder, error.reason, NAME_ANOTHER) from error
        return PublishedOutput(output, None, (), (damaged(MANIFEST, error),))
    try:
        unlisted = tuple(_unlisted(folder, partial(read_parts, folder, manifest, codec)))
    except Unproven as error:
        return PublishedOutput(output, manifest, (), (damaged(RECEIPTS, error),))
    return PublishedOutput(output, manifest, Listed(folder, manifest, codec), (*unlisted, *edited(manifest)))


def edited(manifest: Manifest) -> Iterator[Defect]:
    """Yield what is wrong with the notes of a manifest."""
    if not observed_holds(manifest):
        yield MANIFEST, "observed", "as it was written", "edited"


def damaged(name: str, error: Unproven) -> Defect:
    """Return the defect of a manifest or of receipts that do not hold."""
    return name, "content", "as it was written", error.reason


def _unlisted(folder: Folder, read: Callable[[], Iterator[Part]]) -> Iterator[Defect]:
    if _all_are_listed(folder, read()):
        return
    held = {part.quarantine_name for part in read() if part.quarantine is not None}
    listed = {MANIFEST, RECEIPTS, *(part.name for part in read()), *({QUARANTINE} if held else ())}
    names = [name for name in folder.names() if name not in listed]
    if held and folder.look(QUARANTINE) is not None:
        with folder.enter(QUARANTINE) as quarantine:
            names += [f"{QUARANTINE}/{name}" for name in quarantine.names() if name not in held]
    for name in sorted(names):
        yield name, "file", "no such file", "there, but not listed"


def _all_are_listed(folder: Folder, parts: Iterable[Part]) -> bool:
    """Return whether everything in a folder is listed, by counting: no name is kept in memory."""
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
