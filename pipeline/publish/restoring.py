"""Back to the former version in one step, and forward again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import LogitstreamError, OutputError, StorageError
from pipeline.publish import system
from pipeline.publish.lock import locked, open_home
from pipeline.publish.manifest import MANIFEST, Manifest
from pipeline.publish.output import (
    Target,
    Version,
    examine,
    open_parent,
    refuse_if_changed,
    refuse_of_others,
    version_in,
)
from pipeline.publish.proof import checked, proven
from pipeline.publish.receipts import QUARANTINE, RECEIPTS, Codec, Part, parts_in
from pipeline.publish.system import Folder
from pipeline.publish.versions import KEPT, VERSIONS, Former, formers, heal, is_folder, mend, show
from pipeline.types import Conduct, Durability
from pipeline.units import escape


@dataclass(frozen=True, slots=True)
class Rolled:
    """What a rollback did: which job's version stood under the name before, and which one stands there now.

    ``from_job_id`` is ``None`` where nothing stood there. ``parts``, ``rows`` and ``bytes`` are those of the version
    that stands now.
    """

    output: str
    from_job_id: str | None
    to_job_id: str
    parts: int
    rows: int
    bytes: int


def rollback(
    output: Path,
    *,
    codec: Codec,
    durability: Durability = "full",
) -> Rolled:
    """Put the newest former version in place of the published one, in one step and durable on return.

    The version that stood there is then the newest former one, so that a second rollback goes forward again. Every byte
    of the former version is digested first. Whatever is raised, and wherever the process is killed, one of the two
    stands under the name, whole; unless the message says "is rolled back, but", it is the one that stood there before.

    Raises
    ------
    OutputError
        There is no former version, or it is damaged, or what stands under the name is not ours.
    TemporaryError
        A run is under way.
    """
    with ExitStack() as stack:
        target, parent = stack.enter_context(open_parent(output, durable=durability == "full"))
        home = stack.enter_context(_home(target, parent))
        stack.enter_context(locked(home, target, Conduct()))
        heal(parent, home)
        version = examine(target, parent, codec)
        versions = stack.enter_context(home.enter(VERSIONS)) if is_folder(home, VERSIONS) else None
        former = next(iter(formers(versions)), None) if versions is not None else None
        if versions is None or former is None:
            raise _none(target)
        manifest = _checked(versions, former, codec)
        if version is not None:
            refuse_of_others(target, parent)
        _exchange(target, parent, version, versions, former)
        _settle(target, parent, versions)
        _hide(versions, former)
    before = None if version is None else version.manifest.job_id
    return Rolled(str(target.path), before, manifest.job_id, manifest.parts, manifest.rows, manifest.bytes)


@contextmanager
def _home(target: Target, parent: Folder) -> Iterator[Folder]:
    if parent.look(target.home_name) is None:
        raise _none(target)
    with open_home(target, parent) as home:
        yield home


def _none(target: Target) -> OutputError:
    return OutputError(
        f"{target.shown} has no former version",
        "a version is kept when another one replaces it, as many as --keep-versions says",
    )


def _checked(versions: Folder, former: Former, codec: Codec) -> Manifest:
    """Return the manifest of a former version, every byte of whose files was digested; raises for any other."""
    shown = escape(str(versions.path / former.name), 1000)
    remedy = "it was left as it is, and so was what is published; run the job of that version again"
    try:
        with versions.enter(former.name) as folder:
            found = version_in(folder, codec, KEPT)
            defects = found.defects or _defects(folder, parts_in(folder, found.manifest, codec))
            _sync_lists(folder)
    except OutputError as error:
        raise OutputError(f"the former version is damaged: {error.message}", remedy) from error
    if defects:
        raise OutputError(f"the former version in {shown} is damaged: {defects}", remedy)
    return found.manifest


def _defects(folder: Folder, parts: Iterator[Part]) -> str:
    with ExitStack() as stack:
        quarantine = stack.enter_context(folder.enter(QUARANTINE)) if is_folder(folder, QUARANTINE) else None

        def intact(part: Part) -> bool:
            if proven(folder, f"{part.name}{KEPT}", part.file) is None:
                return False
            if part.quarantine is None:
                return True
            return quarantine is not None and proven(quarantine, part.quarantine_name, part.quarantine) is not None

        for part, good in checked(parts, intact):
            if not good:
                return f"the content of {part.name}, or of its quarantine, is not what was published"
        if quarantine is not None:
            quarantine.sync()
    return ""


def _sync_lists(folder: Folder) -> None:
    """Sync what lists the files of a version: the run that published it may not have done so."""
    for name in (MANIFEST, RECEIPTS):
        descriptor = folder.open_file(name, system.READ)
        try:
            folder.sync_file(descriptor, name)
        finally:
            system.release(descriptor)


def _exchange(target: Target, parent: Folder, version: Version | None, versions: Folder, former: Former) -> None:
    try:
        with versions.enter(former.name) as folder:
            show(folder)
        if version is None:
            versions.move(former.name, parent, target.name)
        else:
            refuse_if_changed(target, parent, version)
            versions.exchange(former.name, parent, target.name)
    except BaseException:
        # Interrupted, it may have happened all the same: then it must hold before anything gets another name.
        with suppress(LogitstreamError):
            parent.sync()
            _hide(versions, former)
        raise


def _hide(versions: Folder, former: Former) -> None:
    """Put out of sight what lies in the place of the former version now. What is left over, the next run heals."""
    with suppress(LogitstreamError):
        if is_folder(versions, former.name):
            mend(versions, former)


def _settle(target: Target, parent: Folder, versions: Folder) -> None:
    try:
        parent.sync()
        versions.sync()
    except StorageError as error:
        raise StorageError(f"{target.shown} is rolled back, but {error.message}", error.remedy) from error
