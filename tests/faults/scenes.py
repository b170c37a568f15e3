"""Whole small runs that are stopped: what is published before, what is done, and what must be true afterwards.

An old version and a new one share half of their parts, and both have quarantines. A scene makes what is there before it
once, and each try begins with a copy of that.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pipeline
from pipeline.choices import Durability
from pipeline.errors import LogitstreamError
from pipeline.flow.manifest import CODEC
from pipeline.publish.layout import proof
from pipeline.publish.local import journal
from pipeline.publish.local.listing import runs, versions_of
from pipeline.publish.local.published import read_manifest
from pipeline.publish.local.restoring import rollback
from pipeline.scan import task
from tests.faults.children import forked, result_of
from tests.faults.data import write_model, write_rows
from tests.publish.runs import home, snapshot
from tests.publish.steps import watched

CHUNK_ROWS = 100
DONE_ALL_THE_SAME = "is published, but", "is rolled back, but"
# For each step its name, its path, and the path that it renames or links.
Steps = list[tuple[str, str, str]]


@dataclass(frozen=True)
class Scene:
    """``made`` are the acts that come before, ``act`` is the one that is stopped; it turns ``before`` into ``after``.

    ``kept`` is the previous version when everything is done.
    """

    made: tuple[str, ...]
    act: str
    before: str
    after: str
    kept: str = ""


SCENES = {
    "fresh": Scene((), "new", "", "new"),
    "replacing": Scene(("old",), "new", "old", "new", "old"),
    "rolling back": Scene(("old", "new"), "roll", "new", "old", "new"),
    "rolling forward": Scene(("old", "new", "roll"), "roll", "old", "new", "old"),
}


@dataclass(frozen=True)
class Ended:
    """How an act ended: its exit code, or minus the signal, and the message of its error.

    ``allowed`` are the exit codes that it may have, ``None`` for any.
    """

    code: int
    message: str = ""
    allowed: frozenset[int] | None = frozenset({0, 74, -9})


@dataclass
class World:
    """The folder in which scenes are played, and what their versions hold if nothing disturbs them.

    ``versions`` are the files of a version, ``totals`` its accounts and ``jobs`` its job id, each by its name.
    ``begun`` is the version that was published when the last disturbed act began.
    """

    folder: Path
    durability: Durability = "full"
    stage: str = "play"
    begun: str = ""
    versions: dict[str, dict[str, bytes]] = field(default_factory=dict)
    totals: dict[str, Any] = field(default_factory=dict)
    jobs: dict[str, str] = field(default_factory=dict)

    @property
    def play(self) -> Path:
        return self.folder / self.stage

    @property
    def output(self) -> Path:
        return self.play / "out"

    @property
    def model(self) -> Path:
        return self.folder / "model.json"

    def build(self) -> None:
        """Write the inputs, and make each version once."""
        write_model(self.model)
        for name, version in (("old", 1), ("new", 2)):
            (self.folder / name).mkdir()
            write_rows(self.folder / name / "1.parquet", 2 * CHUNK_ROWS, version, 3, CHUNK_ROWS)
        shared = write_rows(self.folder / "old" / "0.parquet", 2 * CHUNK_ROWS, 0, 3, CHUNK_ROWS)
        (self.folder / "new" / "0.parquet").hardlink_to(shared)
        for name in ("old", "new"):
            self._clear()
            self.act(name)
            self.versions[name] = _files(self.output)
            manifest = read_manifest(self.output)
            self.jobs[name], self.totals[name] = manifest.job_id, manifest.body["totals"]

    def act(self, name: str) -> int:
        """Score the inputs of a version, or roll back; return how many chunks were not computed again."""
        if name == "roll":
            rollback(self.output, codec=CODEC, durability=self.durability)
            return 0
        report = pipeline.score(
            self.folder / name,
            self.model,
            self.output,
            chunk_size=CHUNK_ROWS,
            scheduler="sync",
            if_exists="replace",
            keep=["version"],
            durability=self.durability,
        )
        return report.totals.resumed

    def prepare(self, scene: Scene) -> None:
        """Start again with what is published before a scene."""
        self._clear()
        template = self.folder / f"before-{'-'.join(scene.made) or 'nothing'}"
        if not template.exists():
            for act in scene.made:
                result_of(lambda act=act: self.act(act))  # type: ignore[misc]
            _copy(self.play, template)
        self._clear()
        _copy(template, self.play)
        self.begun = scene.before

    def _clear(self) -> None:
        shutil.rmtree(self.play, ignore_errors=True)
        self.play.mkdir()

    def steps(self, scene: Scene) -> Steps:
        """Return the steps of an undisturbed scene."""
        self.prepare(scene)
        return self.steps_of(scene.act)

    def steps_of(self, act: str) -> Steps:
        """Return the steps of an act from the current state of the stage.

        Opening a file that does not exist creates it; making a folder that exists only looks at it.
        """
        steps: Steps = []

        def note(name: str, path: str) -> None:
            kinds = {"open": ("create", "open"), "mkdir": ("mkdir", "stat")}.get(name, (name, name))
            steps.append((kinds[os.path.lexists(path)], path, getattr(path, "source", "")))

        def play() -> Steps:
            with watched(note):
                self.act(act)
            return steps

        return [(name, path, source) for name, path, source in result_of(play)]

    def ended(self, scene: Scene, disturb: Callable[[str, str], object]) -> Ended:
        """Play a scene in a child that is disturbed at its steps, and return how it ended."""
        self.begun = self.stands()

        def play() -> object:
            try:
                with watched(disturb):
                    self.act(scene.act)
            except LogitstreamError as error:
                return error.exit_code, error.message
            return 0, ""

        status, result = forked(play)
        return Ended(*result) if status == 0 else Ended(status, result or "")

    def stands(self) -> str:
        """Return which version is published, byte for byte; empty if none is, and what is wrong with any other."""
        if not os.path.lexists(self.output):
            return ""
        for name, files in self.versions.items():
            if _files(self.output) == files:
                manifest = read_manifest(self.output)
                if (manifest.job_id, manifest.body["totals"]) == (self.jobs[name], self.totals[name]):
                    return name
        return f"neither version: {sorted(str(path) for path in self.output.rglob('*'))}"

    def wrong_after(self, scene: Scene, ended: Ended) -> list[str]:
        """Return what is wrong after a disturbed scene, and after it is then done again undisturbed."""
        result: list[str] = result_of(lambda: [*self._wrong_now(scene, ended), *self._wrong_again(scene)])
        return result

    def _wrong_now(self, scene: Scene, ended: Ended) -> Iterator[str]:
        stands = self.stands()
        if stands not in {scene.before, scene.after}:
            yield stands
        elif stands and (differences := pipeline.verify(self.output).differences):
            yield f"verify: {differences[0]}"
        done = ended.code == 0 or any(text in ended.message for text in DONE_ALL_THE_SAME)
        # What the try before published stays, whatever happens to this one.
        if ended.code >= 0 and stands not in ({scene.after} if done else {scene.before, self.begun}):
            yield f"ended with {ended.code} ({ended.message}), and '{stands}' is published"
        if ended.allowed is not None and ended.code not in ended.allowed:
            yield f"ended with {ended.code}: {ended.message}"
        yield from self._unlisted()

    def _unlisted(self) -> Iterator[str]:
        """Yield what is next to the output but not listed by ``runs`` and ``versions_of``."""
        yield from (f"beside the output: {name}" for name in _names(self.play) - {"out", ".out.logitstream"})
        beside = home(self.output)
        yield from (f"unlisted: {name}" for name in _names(beside) - {"lock", "jobs", "versions", "remembered"})
        listed = {
            "jobs": {run.name for run in runs(self.output)},
            "versions": {version.name for version in versions_of(self.output)},
        }
        for below, names in listed.items():
            yield from (f"unlisted: {below}/{name}" for name in _names(beside / below) - names)

    def _wrong_again(self, scene: Scene) -> Iterator[str]:
        stands = self.stands()
        journalled = sum(run.chunks for run in runs(self.output) if run.job_id == self.jobs["new"] and run.resumable)
        try:
            if scene.act == "roll" and stands == scene.after:
                self.act("roll")
                if self.stands() != scene.before:
                    yield f"a second rollback does not go the other way: '{self.stands()}'"
            resumed = self.act(scene.act)
        except LogitstreamError as error:
            yield f"the next run fails: {error}"
            return
        if scene.act != "roll" and stands != scene.after and resumed != journalled:
            yield f"{journalled} chunks were journalled, {resumed} of them resumed"
        if self.stands() != scene.after:
            yield f"the next run does not complete: '{self.stands()}'"
        yield from self._left_over(scene)

    def _left_over(self, scene: Scene) -> Iterator[str]:
        yield from self._unlisted()
        if runs(self.output):
            yield f"a staging folder is left: {runs(self.output)[0].name}"
        kept = [version.job_id for version in versions_of(self.output)]
        if kept != ([self.jobs[scene.kept]] if scene.kept else []):
            yield f"previous versions: {kept}"
        for version in versions_of(self.output):
            found = _files(home(self.output) / "versions" / version.name)
            if {name.removesuffix(".kept"): content for name, content in found.items()} != self.versions[scene.kept]:
                yield f"the previous version is not what it was: {sorted(found)}"


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def _files(folder: Path) -> dict[str, bytes]:
    """Every file of a version, and what the digest of its manifest covers, since times differ."""
    files = snapshot(folder)
    manifest = json.loads(files.get("_manifest.json", b"{}"))
    manifest.pop("observed", None)
    return files | {"_manifest.json": json.dumps(manifest, sort_keys=True).encode()}


def _copy(source: Path, target: Path) -> None:
    """Copy a tree with its times, its modes, and the second names within it."""
    copies: dict[int, str] = {}

    def copied(path: str, new: str) -> str:
        inode = Path(path).stat().st_ino
        if inode in copies:
            os.link(copies[inode], new)
            return new
        copies[inode] = new
        return str(shutil.copy2(path, new))

    shutil.copytree(source, target, copy_function=copied, dirs_exist_ok=True)


class InTurn(Executor):
    """Does what is submitted at once, in place of a pool of threads, so that every step has its number."""

    def __init__(self, *_: object) -> None:
        return

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001  # it is raised where the result is asked for
            future.set_exception(error)
        return future


@contextmanager
def world(scratch: Path, durability: Durability = "full") -> Iterator[World]:
    """Build the scenes in memory where that is possible, with every step in its turn and no pauses."""
    parent = "/dev/shm" if os.access("/dev/shm", os.W_OK) else scratch
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="faults-", dir=parent))
        stack.enter_context(patch.object(proof, "ThreadPoolExecutor", InTurn))
        # A group of lines ends with the lines then, not with the time that a busy machine takes.
        stack.enter_context(patch.object(journal, "GROUP_SECONDS", float("inf")))
        stack.enter_context(patch.object(task, "_FIRST_PAUSE", 0.0))
        built = World(Path(folder), durability)
        built.build()
        # Children share the memory of this process until they write to it; the collector would.
        gc.collect()
        if not gc.get_freeze_count():
            stack.callback(gc.unfreeze)
        gc.freeze()
        yield built
