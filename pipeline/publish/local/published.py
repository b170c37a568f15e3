"""The published version, read without a lock."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from pipeline.publish.facts import PublishedOutput
from pipeline.publish.layout import layout_of
from pipeline.publish.record.manifest import Manifest
from pipeline.publish.record.receipts import Codec


def read_manifest(output: Path) -> Manifest:
    """Return the manifest of a published version, its digest checked; an output of one file is digested to find it.

    Raises
    ------
    NewerOutputError
        A newer logitstream made it.
    OutputError
        There is no manifest, or it was damaged or edited.
    """
    return layout_of(output).manifest_at(output)


def open_published(output: Path, codec: Codec) -> AbstractContextManager[PublishedOutput]:
    """Open an output for checking; nothing is locked.

    In a folder only the manifest and the receipts are read. An output of one file is digested to find its manifest.

    Raises
    ------
    NewerOutputError
        A newer logitstream made it.
    OutputError
        It is neither a folder nor a file, or has no manifest at all.
    """
    return layout_of(output).open_published(output, codec)
