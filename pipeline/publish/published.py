"""A published output as somebody finds it who wants to check it: what its manifest lists, and what it does not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import OutputError
from pipeline.publish.manifest import MANIFEST, Manifest, manifest_in, observed_holds
from pipeline.publish.receipts import QUARANTINE, RECEIPTS, Codec, Part, parts_in
from pipeline.publish.system import Folder
from pipeline.types import PartFile

# subject, what, expected, found
Defect = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class Published:
    """A version under the name of an output.

    Attributes
    ----------
    folder : Path
    manifest : Manifest or None
        ``None`` where it is damaged: then nothing else is known.
    parts : tuple of Part
    defects : tuple of (subject, what, expected, found)
        What is wrong with the manifest and its receipts, and what lies there without being listed.
    """

    folder: Path
    manifest: Manifest | None
    parts: tuple[Part, ...]
    defects: tuple[Defect, ...]

    def files(self) -> Iterator[tuple[str, PartFile]]:
        """Iterate over the listed files: the parts and the quarantines, by their names in the folder."""
        for part in self.parts:
            yield part.name, part.file
            if part.quarantine is not None:
                yield f"{QUARANTINE}/{part.quarantine_name}", part.quarantine


@contextmanager
def open_published(output: Path, codec: Codec) -> Iterator[Published]:
    """Open an output for checking; nothing is locked, and nothing but its manifest and receipts is read.

    Raises
    ------
    OutputError
        It is no folder, or has no manifest at all.
    """
    with Folder.open(output) as folder:
        try:
            manifest = manifest_in(folder)
        except OutputError as error:
            if folder.look(MANIFEST) is None:
                raise
            yield Published(output, None, (), (_damaged(MANIFEST, error),))
            return
        try:
            parts = tuple(parts_in(folder, manifest, codec))
        except OutputError as error:
            yield Published(output, manifest, (), (_damaged(RECEIPTS, error),))
            return
        noted = () if observed_holds(manifest) else ((MANIFEST, "observed", "as it was written", "something else"),)
        yield Published(output, manifest, parts, (*noted, *_unlisted(folder, parts)))


def _damaged(name: str, error: OutputError) -> Defect:
    return name, "content", "as it was written", error.message.partition(": ")[2]


def _unlisted(folder: Folder, parts: Sequence[Part]) -> Iterator[Defect]:
    held = {part.quarantine_name for part in parts if part.quarantine is not None}
    listed = {MANIFEST, RECEIPTS, *(part.name for part in parts), *({QUARANTINE} if held else ())}
    names = [name for name in folder.names() if name not in listed]
    if held and folder.look(QUARANTINE) is not None:
        with folder.enter(QUARANTINE) as quarantine:
            names += [f"{QUARANTINE}/{name}" for name in quarantine.names() if name not in held]
    for name in sorted(names):
        yield name, "file", "none of that name", "there, and not listed"
