"""One file, opened to be checked together with its manifest and receipts in the folder next to it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from pipeline import disk
from pipeline.disk import Folder, is_folder
from pipeline.errors import OutputError
from pipeline.publish.facts import Defect, PublishedOutput
from pipeline.publish.layout.folder_checker import damaged, edited
from pipeline.publish.layout.formers import formers
from pipeline.publish.layout.lists import NAME_ANOTHER, Listed, Unproven, read_parts
from pipeline.publish.layout.proof import sha256_of
from pipeline.publish.layout.proofs import kept_in, proofs, proven_file
from pipeline.publish.layout.target import Destination, resolve
from pipeline.publish.record.manifest import Manifest, NewerVersion, newer_output
from pipeline.publish.record.names import FILES, QUARANTINE, RECEIPTS, VERSIONS
from pipeline.publish.record.receipts import Codec


@contextmanager
def open_file(output: Path, codec: Codec) -> Iterator[PublishedOutput]:
    """Open an output that is one file; it is digested to find its manifest.

    Raises
    ------
    NewerOutputError
        A newer logitstream made it.
    OutputError
        There is no manifest next to it at all.
    """
    target = resolve(output)
    with ExitStack() as stack:
        parent = stack.enter_context(Folder.open(target.parent))
        home = stack.enter_context(parent.enter(target.home_name)) if is_folder(parent, target.home_name) else None
        known = {} if home is None else dict(proofs(home))
        if home is None or not known:
            reason = "there is no manifest next to it"
            raise OutputError(f"{target.shown} was not published by logitstream: {reason}", NAME_ANOTHER)
        found = proven_file(parent, target.name, home)
        sha256 = _expected(home, known) if found is None else found.sha256
        if sha256 is None:
            yield PublishedOutput(target.parent, None, (), (_unknown(parent, target.name, known),))
            return
        folder = stack.enter_context(stack.enter_context(home.enter(FILES)).enter(sha256))
        proof = known[sha256]
        if isinstance(proof, NewerVersion):
            raise newer_output(target.shown, proof)
        yield _proven_by(target, folder, proof, codec)


def _expected(home: Folder, known: Iterable[str]) -> str | None:
    """Return the digest of the file that should be there: the only one that does not belong to a previous version."""
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
    try:
        deque(read_parts(folder, manifest, codec), maxlen=0)
    except Unproven as error:
        return PublishedOutput(target.parent, manifest, (), (damaged(RECEIPTS, error),), file, quarantine)
    parts = Listed(folder, manifest, codec)
    return PublishedOutput(target.parent, manifest, parts, tuple(edited(manifest)), file, quarantine)
