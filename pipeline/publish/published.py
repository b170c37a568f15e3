"""A published output as somebody finds it who wants to check it: what its manifest lists, and what it does not."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline import disk
from pipeline.disk import Folder, is_folder
from pipeline.errors import OutputError
from pipeline.publish.manifest import MANIFEST, Manifest, aside, manifest_in, observed_holds
from pipeline.publish.onefile import FILES, kept_in, proofs, proven_file
from pipeline.publish.output import Listing, found_file
from pipeline.publish.proof import sha256_of
from pipeline.publish.receipts import QUARANTINE, RECEIPTS, Codec, Listed, Part
from pipeline.publish.target import Destination, resolve
from pipeline.publish.versions import VERSIONS, formers
from pipeline.types.outputs import PartFile

# subject, what, expected, found
Defect = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class PublishedOutput:
    """A version under the name of an output.

    Attributes
    ----------
    folder : Path
        From where the files have their names: the output; of one that is a file, the folder that it stands in.
    manifest : Manifest or None
        ``None`` where it is damaged: then nothing else is known.
    parts : iterable of Part
        Read from the receipts whenever it is iterated over, inside the block that opened them; empty, and false, where
        the receipts are damaged.
    defects : tuple of (subject, what, expected, found)
        What is wrong with the manifest and its receipts, and what lies there without being listed.
    file : PartFile or None
        The output where it is one file, its path from ``folder``; the parts then stand in the receipts alone.
    quarantine : str
        Where the quarantines are, from ``folder``.
    """

    folder: Path
    manifest: Manifest | None
    parts: Iterable[Part]
    defects: tuple[Defect, ...]
    file: PartFile | None = None
    quarantine: str = QUARANTINE

    def files(self) -> Iterator[tuple[str, PartFile]]:
        """Iterate over the listed files, by their names from the folder: parts or the one file, and quarantines."""
        if self.file is not None:
            yield self.file.path, self.file
        for part in self.parts:
            if self.file is None:
                yield part.name, part.file
            if part.quarantine is not None:
                yield f"{self.quarantine}/{part.quarantine_name}", part.quarantine


def read_manifest(output: Path) -> Manifest:
    """Return the manifest of a published version, its digest checked; a file is digested to find it.

    Raises
    ------
    OutputError
        There is no manifest, or it was damaged or edited.
    """
    if not _is_file(output):
        with Folder.open(output) as folder:
            return manifest_in(folder)
    target = resolve(output)
    with Folder.open(target.parent) as parent:
        return found_file(target, parent).manifest


@contextmanager
def open_published(output: Path, codec: Codec) -> Iterator[PublishedOutput]:
    """Open an output for checking; nothing is locked.

    Of a folder its manifest and receipts are read and nothing else; a file is digested, to find its manifest.

    Raises
    ------
    OutputError
        It is neither a folder nor a file, or has no manifest at all.
    """
    if _is_file(output):
        with _published_file(output, codec) as published:
            yield published
        return
    with Folder.open(output) as folder:
        yield _published_folder(output, folder, codec)


def _is_file(output: Path) -> bool:
    return output.is_file() and not output.is_symlink()


def _published_folder(output: Path, folder: Folder, codec: Codec) -> PublishedOutput:
    try:
        manifest = manifest_in(folder)
    except OutputError as error:
        if folder.look(MANIFEST) is None:
            raise
        return PublishedOutput(output, None, (), (_damaged(MANIFEST, error),))
    parts = Listed(folder, manifest, codec)
    try:
        unlisted = tuple(_unlisted(folder, parts))
    except OutputError as error:
        return PublishedOutput(output, manifest, (), (_damaged(RECEIPTS, error),))
    return PublishedOutput(output, manifest, parts, (*unlisted, *_edited(manifest)))


@contextmanager
def _published_file(output: Path, codec: Codec) -> Iterator[PublishedOutput]:
    target = resolve(output)
    with ExitStack() as stack:
        parent = stack.enter_context(Folder.open(target.parent))
        home = stack.enter_context(parent.enter(target.home_name)) if is_folder(parent, target.home_name) else None
        known = {} if home is None else dict(proofs(home))
        if home is None or not known:
            reason = "there is no manifest beside it"
            raise OutputError(f"{target.shown} was not published by logitstream: {reason}", aside(target.path))
        found = proven_file(parent, target.name, home)
        sha256 = _expected(home, known) if found is None else found.sha256
        if sha256 is None:
            yield PublishedOutput(target.parent, None, (), (_unknown(parent, target.name, known),))
            return
        folder = stack.enter_context(stack.enter_context(home.enter(FILES)).enter(sha256))
        yield _proven_by(target, folder, known[sha256], codec)


def _expected(home: Folder, known: Iterable[str]) -> str | None:
    """Return the digest of the file that should stand there: the only one that is not of a former version."""
    former = set()
    if is_folder(home, VERSIONS):
        with home.enter(VERSIONS) as versions:
            for one in formers(versions):
                with versions.enter(one.name) as folder:
                    former.add(kept_in(folder))
    left = [sha256 for sha256 in known if sha256 not in former]
    return left[0] if len(left) == 1 else None


def _unknown(parent: Folder, name: str, known: Iterable[str]) -> Defect:
    descriptor = parent.open_file(name, disk.READ)
    try:
        found = sha256_of(parent, descriptor, name)
    finally:
        disk.release(descriptor)
    return name, "sha256", " or ".join(sha256[:16] for sha256 in sorted(known)), found[:16]


def _proven_by(target: Destination, folder: Folder, manifest: Manifest, codec: Codec) -> PublishedOutput:
    quarantine = f"{target.home_name}/{FILES}/{folder.path.name}/{QUARANTINE}"
    file = None if manifest.file is None else replace(manifest.file, path=target.name)
    parts = Listed(folder, manifest, codec)
    try:
        deque(parts, maxlen=0)
    except OutputError as error:
        return PublishedOutput(target.parent, manifest, (), (_damaged(RECEIPTS, error),), file, quarantine)
    return PublishedOutput(target.parent, manifest, parts, tuple(_edited(manifest)), file, quarantine)


def _edited(manifest: Manifest) -> Iterator[Defect]:
    if not observed_holds(manifest):
        yield MANIFEST, "observed", "as it was written", "edited"


def _damaged(name: str, error: OutputError) -> Defect:
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
        quarantine = stack.enter_context(folder.enter(QUARANTINE)) if is_folder(folder, QUARANTINE) else None
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
