"""Power cuts: the run is stopped at a step, only what had reached the disk is left, and the promises hold.

Every run is a separate process inside a mounted file system. Before each step that changes something, the file below
the file system is copied without a sync: that copy is the disk after a power cut at this step. It is mounted, which
replays the journal of the file system, and examined; then the same command is run on it again.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

import pipeline
from pipeline.choices import Durability
from pipeline.errors import LogitstreamError
from pipeline.flow.manifest import CODEC
from pipeline.publish.local.listing import versions_of
from pipeline.publish.local.restoring import rollback
from pipeline.types.report import Event, Published
from tests.faults.data import write_model, write_rows
from tests.faults.disks import FILE_SYSTEMS, Disk, FileSystem, copied, lacking, made, mounted
from tests.faults.frame import Campaign
from tests.publish.steps import CHANGING, watched

OLD, NEW = 1, 2
ROWS = {OLD: 400, NEW: 500}
PATIENCE = 120.0
Version = int | str | None


@dataclass(frozen=True)
class Bench:
    """Where everything is: the inputs of both versions and the model are not on the disk that loses power."""

    inputs: dict[int, Path]
    model: Path
    folder: Path
    work: Path
    name: str = "out"

    @property
    def output(self) -> Path:
        return self.folder / self.name

    @property
    def jobs(self) -> Path:
        return self.folder / f".{self.name}.logitstream" / "jobs"

    def score(self, version: int, durability: Durability, observe: Callable[[Event], None] = lambda _: None) -> None:
        options: dict[str, Any] = {"if_exists": "replace", "chunk_size": 200, "scheduler": "sync", "keep": "version"}
        conduct: dict[str, Any] = {"durability": durability, "observe": observe}
        pipeline.score(self.inputs[version], self.model, self.output, **options, **conduct)


@dataclass(frozen=True)
class Scene:
    """What is published before, what is cut, and what is published when it is done; how many versions are kept then.

    ``name`` is that of the output: one that ends in ``.parquet`` is a single file.
    """

    prepare: Callable[[Bench], None]
    act: Callable[[Bench, Durability, Callable[[Event], None]], None]
    before: int | None
    after: int
    kept: int
    name: str = "out"


def _publish_old(bench: Bench) -> None:
    bench.score(OLD, "full")


def _publish_both(bench: Bench) -> None:
    bench.score(OLD, "full")
    bench.score(NEW, "full")


def _stop_halfway(bench: Bench) -> None:
    """Publish the old version, and kill a run of the new one when it has one chunk of three and half of the next."""
    bench.score(OLD, "full")
    files = 0

    def kill(name: str, path: str) -> None:
        nonlocal files
        files += path.endswith(".attempt")
        if files == 3:
            os.kill(os.getpid(), signal.SIGKILL)

    with watched(kill, {"fchmod"}):
        bench.score(NEW, "full")


def _score_new(bench: Bench, durability: Durability, observe: Callable[[Event], None]) -> None:
    bench.score(NEW, durability, observe)


def _roll_back(bench: Bench, durability: Durability, observe: Callable[[Event], None]) -> None:
    rollback(bench.output, codec=CODEC, durability=durability)


SCENES = {
    "fresh": Scene(lambda _: None, _score_new, None, NEW, 0),
    "replace": Scene(_publish_old, _score_new, OLD, NEW, 1),
    "resume": Scene(_stop_halfway, _score_new, OLD, NEW, 1),
    "rollback": Scene(_publish_both, _roll_back, NEW, OLD, 1),
    "one file, fresh": Scene(lambda _: None, _score_new, None, NEW, 0, "out.parquet"),
    "one file, replace": Scene(_publish_old, _score_new, OLD, NEW, 1, "out.parquet"),
    "one file, resume": Scene(_stop_halfway, _score_new, OLD, NEW, 1, "out.parquet"),
    "one file, rollback": Scene(_publish_both, _roll_back, NEW, OLD, 1, "out.parquet"),
}


@dataclass
class Cut:
    """A disk after a power cut before some steps, which all left it the same; ``done`` if the run had ended."""

    image: str
    steps: list[str] = field(default_factory=list)
    done: bool = False


def run(campaign: Campaign) -> None:
    systems = FILE_SYSTEMS[:1] if campaign.bounded else FILE_SYSTEMS
    if reason := lacking(systems):
        campaign.skip(reason)
        return
    inputs = {}
    for version, rows in ROWS.items():
        inputs[version] = write_rows(campaign.scratch / f"{version}.parquet", rows, version, 5, row_group_size=200)
    bench = Bench(inputs, write_model(campaign.scratch / "model.json"), campaign.scratch / "disk", campaign.scratch)
    _warm_up(bench)
    for system in systems:
        empty = made(system, campaign.scratch / f"{system.name}.img")
        try:
            with mounted(system, empty, bench.folder):
                pass
        except OSError as error:
            campaign.skip(str(error))
            return
        lost = 0
        for name in campaign.random.sample(sorted(SCENES), len(SCENES)):
            lost += _scene(campaign, bench, system, name)
            if campaign.bounded and not campaign.has_time:
                break
        campaign.count(f"acknowledged results lost without syncs on {system.name}", lost)
        if not lost:
            campaign.violated("The method has teeth", f"on {system.name} nothing is lost without syncs")


def _warm_up(bench: Bench) -> None:
    """Do everything once in this process, so that the processes forked from it need not import anything."""
    beside = replace(bench, folder=bench.work / "warm")
    beside.folder.mkdir()
    _publish_both(beside)
    _roll_back(beside, "full", lambda _: None)
    assert _standing(beside) == OLD


def _scene(campaign: Campaign, bench: Bench, system: FileSystem, name: str) -> int:
    """Cut the power at every step of a scene; return whether a run without syncs lost what it had acknowledged."""
    scene = SCENES[name]
    bench = replace(bench, name=scene.name)
    prepared, live = bench.work / "prepared.img", bench.work / "live.img"
    copied(bench.work / f"{system.name}.img", prepared)
    with mounted(system, prepared, bench.folder):
        _apart(lambda: scene.prepare(bench), killed=scene.prepare is _stop_halfway)
    copied(prepared, live)
    with mounted(system, live, bench.folder) as disk:
        cuts = _cuts(bench, disk, scene, "full")
    chosen = cuts
    if campaign.bounded:
        chosen = sorted(campaign.random.sample(cuts[:-1], min(2, len(cuts) - 1)), key=cuts.index) + cuts[-1:]
    for cut in chosen:
        wrong = _wrong(bench, system, scene, cut)
        campaign.count(f"power cuts on {system.name}", len(cut.steps))
        campaign.count(f"different disks left on {system.name}")
        for what in wrong:
            where = f"{system.name}, {name}, cut ahead of {cut.steps[0]}"
            campaign.violated("Survives a power cut", f"{what} ({where}; seed {campaign.seed})")
    copied(prepared, live)
    with mounted(system, live, bench.folder) as disk:
        last = _cuts(bench, disk, scene, "none")[-1]
    with mounted(system, bench.work / last.image, bench.folder):
        return int(_apart(lambda: _standing(bench)) != scene.after)


def _cuts(bench: Bench, disk: Disk, scene: Scene, durability: Durability) -> list[Cut]:
    """Act once, and keep what each power cut meanwhile would have left.

    All are examined afterwards: the longer a run takes, the more a file system writes without being asked.
    """
    shutil.rmtree(bench.work / "cuts", ignore_errors=True)
    (bench.work / "cuts").mkdir()
    return [Cut(**cut) for cut in _apart(lambda: list(map(asdict, _acted(bench, disk, scene, durability))))]


def _acted(bench: Bench, disk: Disk, scene: Scene, durability: Durability) -> list[Cut]:
    cuts: list[Cut] = []
    written: tuple[str, ...] = ()
    done = False
    step = 0

    def cut(name: str, path: str) -> None:
        nonlocal written, step
        step += 1
        if not cuts or disk.written() != written or done != cuts[-1].done:
            cuts.append(Cut(f"cuts/{step}.img", done=done))
            disk.cut(bench.work / cuts[-1].image)
            written = disk.written()
        cuts[-1].steps.append(f"step {step}, {name} {path.removeprefix(str(bench.folder))[-60:]}")

    def observe(event: Event) -> None:
        nonlocal done
        done = done or isinstance(event, Published)

    with watched(cut, CHANGING):
        scene.act(bench, durability, observe)
    done = True
    cut("the end", "")
    return cuts


def _wrong(bench: Bench, system: FileSystem, scene: Scene, cut: Cut) -> list[str]:
    """Mount what a power cut left; return what is not as promised, there and after the same command again."""
    try:
        with mounted(system, bench.work / cut.image, bench.folder):
            wrong = _apart(lambda: list(_checked(bench, scene, cut.done)))
    except (OSError, RuntimeError) as error:
        return [str(error)]
    return [str(what) for what in wrong]


def _checked(bench: Bench, scene: Scene, done: bool) -> Iterator[str]:
    found = _standing(bench)
    if found != scene.after and (done or found != scene.before):
        yield f"{'what was acknowledged is gone: ' if done else ''}{found} is there, not {scene.after}"
    try:
        if scene.act is _roll_back and found == scene.after:
            # It had happened: a second rollback undoes it.
            _roll_back(bench, "full", lambda _: None)
            if _standing(bench) != scene.before:
                yield f"a second rollback leads to {_standing(bench)}"
        scene.act(bench, "full", lambda _: None)
    except LogitstreamError as error:
        yield f"the same command fails: {error}"
    if _standing(bench) != scene.after:
        yield f"the same command leads to {_standing(bench)}, not {scene.after}"
    if len(versions_of(bench.output)) != scene.kept:
        yield f"previous versions: {versions_of(bench.output)}"
    if left := sorted(path.name for path in bench.jobs.iterdir()):
        yield f"left in staging: {left}"


def _standing(bench: Bench) -> Version:
    """Return the version that is published whole, ``None`` if there is nothing, else what is wrong with it."""
    if not os.path.lexists(bench.output):
        return None
    try:
        if differences := pipeline.verify(bench.output).differences:
            return f"{len(differences)} differences, {differences[0]}"
    except LogitstreamError as error:
        return str(error)
    paths = [bench.output] if bench.output.is_file() else bench.output.glob("*.parquet")
    tables = [pq.read_table(path, columns=["version"]) for path in paths]
    rows = [version for table in tables for version in table["version"].to_pylist()]
    if len(set(rows)) != 1 or len(rows) != ROWS[rows[0]] - 5:
        return f"{len(rows)} rows of {set(rows)}"
    return int(rows[0])


def _apart(work: Callable[[], Any], killed: bool = False) -> Any:
    """Do something in a separate process, which ends with everything it has open; return its result, as JSON."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        with suppress(BaseException):
            os.close(reading)
            try:
                answer = {"answer": work()}
            except BaseException:  # noqa: BLE001 - the parent raises it
                answer = {"error": traceback.format_exc()}
            with open(writing, "w") as pipe:  # noqa: PTH123 - a descriptor
                json.dump(answer, pipe)
            code = 0
        os._exit(code)
    os.close(writing)
    patience = threading.Timer(PATIENCE, os.kill, (child, signal.SIGKILL))
    patience.start()
    with open(reading) as pipe:  # noqa: PTH123 - a descriptor
        text = pipe.read()
    patience.cancel()
    patience.join()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if killed and status == -signal.SIGKILL:
        return None
    if status != 0 or killed:
        raise RuntimeError(f"a process ended with {status}")
    answer = json.loads(text)
    if "error" in answer:
        raise RuntimeError(answer["error"])
    return answer["answer"]
