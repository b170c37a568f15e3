"""What an output is: one protocol for every layout, and the values that it speaks in."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pipeline.disk import Folder
from pipeline.publish.facts import PublishedOutput
from pipeline.publish.layout.proofs import Proven
from pipeline.publish.layout.target import Destination, State
from pipeline.publish.record.manifest import Manifest
from pipeline.publish.record.receipts import Codec, Part


@dataclass(frozen=True, slots=True)
class Version:
    """One of our versions as it was found under the name of the output.

    ``defects`` says what is missing or cut, as a clause, and is empty where every listed file is there with its size.
    ``state`` changes when another folder or file takes the name, a name appears in or goes from the folder, or
    somebody writes to the file. ``proven`` is what proves it, where it is one file.
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

    ``reusable`` is the open folder of that version from which parts can be taken over, ``None`` where there is none.
    """

    target: Destination
    parent: Folder
    home: Folder
    version: Version | None
    reusable: Folder | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be made of attempts that won.

    ``parts`` is iterated over once, and by a layout that merges them once more; modes are permissions.
    """

    job_id: str
    sections: Mapping[str, object]
    parts: Iterable[Part]
    observed: Mapping[str, object]
    codec: Codec
    file_mode: int
    folder_mode: int


class Layout(Protocol):
    """One way in which a version is laid out: under the name of the output, and out of sight as a former version.

    ``home`` is always the folder beside the output, ``versions`` that of former versions in it.
    """

    @property
    def noun(self) -> str:
        """What an output is, with its article: ``a folder``."""
        ...

    @property
    def nouns(self) -> str:
        """What several are: ``folders``."""
        ...

    def fits(self, mode: int, /) -> bool:
        """Return whether something of such a mode, as the system tells it, may be an output of this layout."""
        ...

    # Under the name of the output.

    def version_at(self, target: Destination, parent: Folder, codec: Codec, /) -> Version:
        """Return the version under the name of the output; raises an :class:`OutputError` where it is not ours."""
        ...

    def state_at(self, parent: Folder, name: str, /) -> State | None:
        """Return the state of what has a name, ``None`` where it is not of this layout."""
        ...

    def reusable_at(self, parent: Folder, name: str, /) -> Folder | None:
        """Open the folder from which parts can be taken over; ``None`` where there are no files of parts."""
        ...

    def proof_at(self, parent: Folder, name: str, home: Folder, /) -> str | None:
        """Return the name of what proves the output in ``files``; ``None`` where nothing there does."""
        ...

    def sync_at(self, target: Destination, parent: Folder, home: Folder, manifest: Manifest, /) -> None:
        """Make a version survive a power cut: the run that published it may not have done so."""
        ...

    def quarantine(self, target: Destination, manifest: Manifest, /) -> Path:
        """Return where the quarantines of a published version are, from the parent of the output."""
        ...

    def manifest_at(self, output: Path, /) -> Manifest:
        """Return the manifest of the output, its digest checked."""
        ...

    def open_published(self, output: Path, codec: Codec, /) -> AbstractContextManager[PublishedOutput]:
        """Open the output for somebody who checks it."""
        ...

    # The one step.

    def commit(self, place: Place, staging: Folder, manifest: Manifest, /) -> None:
        """Put what was built in ``staging`` under the name of the output in one step, durable on return."""
        ...

    def let_readers_end(self, place: Place, meanwhile: Callable[[], None], /) -> None:
        """Call ``meanwhile``, and wait until nobody reads the replaced version by names that are about to change."""
        ...

    # Out of sight: in the folder of a former version, or where an exchange has put it.

    def settle(self, home: Folder, folder: Folder, job_id: str | None, known: Version | None, /) -> None:
        """Give what an exchange put into a folder the name that says which version it is.

        ``job_id`` is the job that was to publish when it was stopped; ``known`` the version that it should be.
        """
        ...

    def manifest_of(self, home: Folder, folder: Folder, /) -> Manifest | None:
        """Return the manifest of the version in a folder, ``None`` where there is none that holds."""
        ...

    def hide(self, folder: Folder, /) -> None:
        """Put the data of a version out of sight, so that nobody takes it for data."""
        ...

    def proof_of(self, folder: Folder, /) -> str | None:
        """Return the name of what proves the former version in a folder; ``None`` where it proves itself."""
        ...

    def checked(self, home: Folder, folder: Folder, codec: Codec, /) -> tuple[Manifest, str]:
        """Return the manifest of the former version in a folder, and what is wrong with it, every byte digested."""
        ...

    def bring_out(self, versions: Folder, folder: Folder, manifest: Manifest, /) -> tuple[Folder, str]:
        """Show a former version again, durable; return the folder and the name that are to be exchanged."""
        ...

    def sync_former(self, versions: Folder, name: str, /) -> None:
        """Make durable what an exchange put in the place of a former version."""
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
        """Remove what proves neither the output nor a former version.

        ``published`` is the name of what proves the output; ``among`` are those that may go, all unless given.
        """
        ...


class Builder(Protocol):
    """Builds, in the staging folder, what a layout then publishes."""

    @property
    def layout(self) -> Layout:
        """Of what is built."""
        ...

    def build(self, staging: Folder, order: Order) -> Manifest:
        """Build the version of the attempts, durable but for its place in ``staging``; return its manifest.

        Raises
        ------
        StorageError
            An attempt is missing or is not what its receipt says; the disk is full.
        """
        ...
