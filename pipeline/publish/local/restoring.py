"""Rolling back to the previous version in one step, and forward again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from pipeline.choices import Durability
from pipeline.dataclass import dataclass
from pipeline.disk import Folder, is_folder
from pipeline.errors import LogitstreamError, NewerOutputError, OutputError
from pipeline.publish.facts import Rolled
from pipeline.publish.layout import Layout, Version, examine, layout_in
from pipeline.publish.layout.base import Place
from pipeline.publish.layout.commit import once_done, take_name
from pipeline.publish.layout.formers import Former, formers
from pipeline.publish.layout.lists import aside
from pipeline.publish.layout.target import Destination, open_parent
from pipeline.publish.local.lock import locked, open_home
from pipeline.publish.local.output import refuse_of_others
from pipeline.publish.local.versions import heal, mend
from pipeline.publish.record.manifest import Manifest
from pipeline.publish.record.names import VERSIONS
from pipeline.publish.record.receipts import Codec
from pipeline.types.job import Conduct
from pipeline.units import escape


def rollback(
    output: Path,
    *,
    codec: Codec,
    durability: Durability = "full",
) -> Rolled:
    """Publish the newest previous version in place of the published one, in one step and durable on return.

    The version that was published becomes the newest previous one, so a second rollback undoes the first. Every byte of
    the previous version is digested first. After an error, or if the process is killed, one of the two has the name,
    whole. It is the one from before unless the message says "is rolled back, but".

    Raises
    ------
    OutputError
        There is no previous version, or it is damaged, or the output was not published by logitstream.
    NewerOutputError
        One of the two was made by a newer logitstream.
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
        layout, manifest = _checked(home, versions, former, codec)
        _refuse_other_layout(target, version, layout)
        if version is not None:
            refuse_of_others(target, parent)
        swap = _Swap(Place(target, parent, home, version), versions, former, layout, manifest)
        swap.exchange()
        layout.let_readers_end(swap.place, swap.settle)
        swap.hide()
    before = None if version is None else version.manifest.job_id
    return Rolled(str(target.path), before, manifest.job_id, manifest.parts, manifest.rows, manifest.output_bytes)


@contextmanager
def _home(target: Destination, parent: Folder) -> Iterator[Folder]:
    if parent.look(target.home_name) is None:
        raise _none(target)
    with open_home(target, parent) as home:
        yield home


def _none(target: Destination) -> OutputError:
    return OutputError(
        f"{target.shown} has no previous version: none was replaced, or none was kept",
        "run the job that made the version that you want again",
    )


def _refuse_other_layout(target: Destination, version: Version | None, former: Layout) -> None:
    if version is not None and version.layout != former:
        now, then = version.layout.noun, former.noun
        raise OutputError(f"{target.shown} is {now}, but its previous version is {then}", aside(target.path))


def _checked(home: Folder, versions: Folder, former: Former, codec: Codec) -> tuple[Layout, Manifest]:
    """Return the layout and the manifest of a previous version, after every byte of its files was digested.

    Raises an :class:`OutputError` if it is damaged.
    """
    shown = escape(str(versions.path / former.name), 1000)
    remedy = "run the job of that version again; the published version is unchanged"
    try:
        with versions.enter(former.name) as folder:
            layout = layout_in(folder)
            manifest, defects = layout.checked(home, folder, codec)
    except NewerOutputError:
        raise
    except OutputError as error:
        raise OutputError(f"the previous version is damaged: {error.message}", remedy) from error
    if defects:
        raise OutputError(f"the previous version in {shown} is damaged: {defects}", remedy)
    return layout, manifest


@dataclass(frozen=True, slots=True)
class _Swap:
    """An intact previous version that is to change places with the published version, if any."""

    place: Place
    versions: Folder
    former: Former
    layout: Layout
    manifest: Manifest

    def exchange(self) -> None:
        """Exchange the two in one step."""
        try:
            with self.versions.enter(self.former.name) as folder:
                take_name(self.place, *self.layout.bring_out(self.versions, folder, self.manifest))
        except BaseException:
            # An interrupted exchange may have happened: then it must be durable before anything gets another name.
            with suppress(LogitstreamError):
                self.place.parent.sync()
                self.hide()
            raise

    def settle(self) -> None:
        """Make the exchange durable."""
        with once_done(self.place.target, "rolled back"):
            self.place.parent.sync()
            self.layout.sync_former(self.versions, self.former.name)

    def hide(self) -> None:
        """Hide what is now in the place of the previous version; the next run heals what is left over."""
        with suppress(LogitstreamError):
            if is_folder(self.versions, self.former.name):
                mend(self.place.home, self.versions, self.former, self.place.version)
