"""Scenes of a run or a rollback that is stopped: what was there before, what it does, what must be true afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import LogitstreamError
from pipeline.publish import Part, Staging
from pipeline.publish.local.listing import versions_of
from pipeline.publish.local.restoring import rollback
from pipeline.publish.local.staging import open_staging
from pipeline.types.job import Conduct
from tests.publish.runs import CODEC, adopt, data_of, files_of, home, job_id, names, publish, receipt, snapshot, work

OLDER = {"part-0000000-0a.parquet": b"older"}
OLD = {"part-0000000-aa.parquet": b"old zero", "part-0000001-ab.parquet": b"old one|bad one"}
NEW = {
    "part-0000000-ba.parquet": b"new zero|bad zero",
    "part-0000001-ab.parquet": b"old one|bad one",
    "part-0000002-bc.parquet": b"2",
}
KEEP_TWO = Conduct(keep_versions=2)


@dataclass(frozen=True)
class Scene:
    """``prepare`` makes what is there before; ``act`` is stopped and then done once more.

    ``before`` and ``after`` are what the output holds; ``kept`` the previous versions at the end, the newest first.
    """

    prepare: Callable[[Path], None]
    act: Callable[[Path], object]
    before: Mapping[str, bytes] | None
    after: Mapping[str, bytes]
    kept: tuple[str, ...] = ()
    toggles: bool = False

    def state(self, output: Path) -> object:
        """Return everything under the name of the output."""
        return snapshot(output)

    def shows(self, output: Path, contents: Mapping[str, bytes] | None) -> bool:
        """Return whether that is a version with these contents."""
        return output.exists() and data_of(output) == files_of(contents or {})

    def wrong_afterwards(self, output: Path) -> list[str]:
        """Return what is wrong after the act was done again, undisturbed."""
        wrong = []
        kept = [(job_id(job), content) for job, content in zip(self.kept, map(CONTENTS.get, self.kept), strict=True)]
        if [(version.job_id, version.name.partition("-")[2]) for version in versions_of(output)] != [
            (job, job) for job, _ in kept
        ]:
            wrong.append(f"kept: {versions_of(output)}")
        for version, (_, content) in zip(versions_of(output), kept, strict=False):
            found = data_of(home(output) / "versions" / version.name)
            if found != {f"{n}.kept" if n.startswith("part-") else n: c for n, c in files_of(content or {}).items()}:
                wrong.append(f"{version.name} holds {sorted(found)}")
        if left := names(home(output) / "jobs"):
            wrong.append(f"staging is left: {left}")
        return wrong


CONTENTS = {"older": OLDER, "old": OLD, "new": NEW}


def _nothing(output: Path) -> None:
    return


def _old(output: Path) -> None:
    publish(output, "old", OLD)


def _old_and_older(output: Path) -> None:
    publish(output, "older", OLDER)
    publish(output, "old", OLD, "replace", conduct=KEEP_TWO)


def _stopped(output: Path) -> None:
    """A run of the new job that journalled every chunk, made half of a tree, and ended."""
    publish(output, "old", OLD)

    def stop(_: Staging, parts: list[Part]) -> Iterator[Part]:
        yield parts[0]
        raise KeyboardInterrupt

    with suppress(KeyboardInterrupt):
        publish(output, "new", NEW, "replace", stop)


def _new(output: Path) -> object:
    return publish(output, "new", NEW, "replace")


def _new_keeping_two(output: Path) -> object:
    return publish(output, "new", NEW, "replace", conduct=KEEP_TWO)


def _new_adopting(output: Path) -> object:
    with open_staging(output, job_id("new"), if_exists="replace", codec=CODEC) as staging:
        if not isinstance(staging, Staging):
            return staging
        adopted = {}
        for part in staging.standing():
            chunk = int(part.name.split("-")[1])
            if part.name in NEW and (taken := adopt(staging, chunk, part)):
                staging.append(receipt(chunk, *taken))
                adopted[chunk] = taken
        return staging.publish({}, list(work(staging, NEW, done=adopted)), observed={})


def _rolled(output: Path) -> object:
    return rollback(output, codec=CODEC)


def _old_and_new(output: Path) -> None:
    _old(output)
    _new(output)


SCENES = {
    "fresh": Scene(_nothing, _new, None, NEW),
    "replace": Scene(_old, _new, OLD, NEW, ("old",)),
    "keep": Scene(_old_and_older, _new_keeping_two, OLD, NEW, ("old", "older")),
    "resume": Scene(_stopped, _new, OLD, NEW, ("old",)),
    "adopt": Scene(_old, _new_adopting, OLD, NEW, ("old",)),
    "rollback": Scene(_old_and_new, _rolled, NEW, OLD, ("new",), toggles=True),
}


def act_again(scene: Scene, output: Path, done: bool) -> list[str]:
    """Do the act again after it was stopped; a rollback that had happened is undone and done again."""
    try:
        if scene.toggles and done:
            scene.act(output)
            if not scene.shows(output, scene.before):
                return ["a second rollback does not go forward"]
        scene.act(output)
    except LogitstreamError as error:
        return [f"a rerun fails: {error}"]
    return [] if scene.shows(output, scene.after) else ["a rerun does not complete"]
