"""What an output is: one protocol for every layout, and the values that it uses."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from pipeline.dataclass import dataclass
from pipeline.disk import Folder
from pipeline.publish.facts import PublishedOutput
from pipeline.publish.layout.proofs import Proven
from pipeline.publish.layout.target import Destination, State
from pipeline.publish.record.manifest import Manifest
from pipeline.publish.record.receipts import Codec, Part


@dataclass(frozen=True, slots=True)
class Version:
    """A published version as it was found under the name of the output.

    ``defects`` says as a clause what is missing or has another size; it is empty if every listed file is there with its
    size. ``state`` changes when another folder or file takes the name, when an entry of the folder is added or removed,
    or when somebody writes to the file. ``proven`` is what proves an output of one file.
    """

    layout: Layout
    manifest: Manifest
    folder_mode: int
    file_mode: int
    state: State
    defects: str
    proven: Proven | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run publishes: the output, the open folders around it, and the version that was there when it began.

    ``reusable`` is the open folder of that version if parts can be carried over from it, else ``None``.
    """

    target: Destination
    parent: Folder
    home: Folder
    version: Version | None
    reusable: Folder | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """What to build from the attempts that count.

    ``parts`` is iterated over once, or twice by a layout that merges them. Modes are permissions.
    """

    job_id: str
    sections: Mapping[str, object]
    parts: Iterable[Part]
    observed: Mapping[str, object]
    codec: Codec
    file_mode: int
    folder_mode: int


class Layout(Protocol):
    """One way to lay out a version: under the name of the output, and out of sight as a previous version.

    ``home`` is always the folder next to the output, ``versions`` the folder of previous versions in it.
    """

    @property
    def noun(self) -> str:
        """What an output is, with its article: ``a folder``."""
        ...

    @property
    def nouns(self) -> str:
        """The plural, without an article: ``folders``."""
        ...

    def fits(self, mode: int, /) -> bool:
        """Return whether an entry with this ``st_mode`` may be an output of this layout."""
        ...

    # Under the name of the output.

    def version_at(self, target: Destination, parent: Folder, codec: Codec, /) -> Version:
        """Return the version under the name of the output; raises :class:`OutputError` if there is none."""
        ...

    def state_at(self, parent: Folder, name: str, /) -> State | None:
        """Return the state of an entry, ``None`` if it does not have this layout."""
        ...

    def reusable_at(self, parent: Folder, name: str, /) -> Folder | None:
        """Open the folder that parts can be carried over from; ``None`` if the parts have no files."""
        ...

    def proof_at(self, parent: Folder, name: str, home: Folder, /) -> str | None:
        """Return the name of the proof of the output in ``files``; ``None`` if there is none."""
        ...

    def sync_at(self, target: Destination, parent: Folder, home: Folder, manifest: Manifest, /) -> None:
        """Make a version survive a power cut: the run that published it may not have done so."""
        ...

    def quarantine(self, target: Destination, manifest: Manifest, /) -> Path:
        """Return where the quarantines of a published version are, relative to the parent of the output."""
        ...

    def manifest_at(self, output: Path, /) -> Manifest:
        """Return the manifest of the output, its digest checked."""
        ...

    def open_published(self, output: Path, codec: Codec, /) -> AbstractContextManager[PublishedOutput]:
        """Open the output to be checked."""
        ...

    # The one step.

    def commit(self, place: Place, staging: Folder, manifest: Manifest, /) -> None:
        """Put what was built in ``staging`` under the name of the output in one step, durable on return."""
        ...

    def let_readers_end(self, place: Place, meanwhile: Callable[[], None], /) -> None:
        """Call ``meanwhile``, and wait until nobody reads the replaced version by names that are about to change."""
        ...

    # Out of sight: in the folder of a previous version, or where an exchange has put it.

    def settle(self, home: Folder, folder: Folder, job_id: str | None, known: Version | None, /) -> None:
        """Name what an exchange put into a folder after the version that it is.

        ``job_id`` is the job that was publishing when it was stopped; ``known`` is the version that it should be.
        """
        ...

    def manifest_of(self, home: Folder, folder: Folder, /) -> Manifest | None:
        """Return the manifest of the version in a folder, ``None`` if there is none or it is damaged."""
        ...

    def hide(self, folder: Folder, /) -> None:
        """Rename the data of a version so that no reader takes it for data."""
        ...

    def proof_of(self, folder: Folder, /) -> str | None:
        """Return the name of the proof of the previous version in a folder; ``None`` if its manifest is with it."""
        ...

    def checked(self, home: Folder, folder: Folder, codec: Codec, /) -> tuple[Manifest, str]:
        """Return the manifest of the previous version in a folder, and what is wrong with it, every byte digested."""
        ...

    def bring_out(self, versions: Folder, folder: Folder, manifest: Manifest, /) -> tuple[Folder, str]:
        """Show a previous version again, durable; return the folder and the name to be exchanged."""
        ...

    def sync_former(self, versions: Folder, name: str, /) -> None:
        """Make durable what an exchange put in the place of a previous version."""
        ...

    def forget(
        self,
        home: Folder,
        unfinished: Iterator[Folder],
        formers: Iterator[Folder],
        published: str | None,
        among: Container[str] | None,
        /,
    ) -> None:
        """Remove the proofs of what is neither the output nor a previous version.

        ``published`` is the name of the proof of the output; ``among`` are those that may be removed, all unless given.
        """
        ...


class Builder(Protocol):
    """Builds, in the staging folder, what a layout then publishes."""

    @property
    def layout(self) -> Layout:
        """Layout of what is built."""
        ...

    def build(self, staging: Folder, order: Order) -> Manifest:
        """Build the version from the attempts, durable except for its entry in ``staging``; return its manifest.

        Raises
        ------
        StorageError
            An attempt is missing or is not what its receipt says; the disk is full.
        """
        ...
