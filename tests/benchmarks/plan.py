"""What a plan of very many chunks costs by itself: planning, and all that is done for a chunk besides its rows.

    python -m tests.benchmarks.plan [--chunks 1000000] [--files 10000] [--real 4000] [--folder FOLDER] [--json]

``planning`` prepares a job whose files nobody made: facts of files of a thousand row groups, one to a chunk.
``footers`` prepares a job of real files, each of ten row groups, one to a chunk, and 21 columns. ``sync``
and ``threads`` carry the job of ``planning`` out, with the job file, the scheduler, the books, the journal and the
publishing of every run; but a task reads nothing and makes an empty file. ``overhead`` scores real row groups of a
hundred rows on threads, a chunk each, up to the published output, and subtracts what the same reading, arithmetic,
writing and digesting takes in a plain pool of threads; it looks at what is recorded of a chunk.
Nothing is synced, so that the time is the program's. Each runs in a process of its own.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import flow, memory
from pipeline.flow import preparation
from pipeline.flow.write import WriteSettings
from pipeline.interface import JobOptions, score_job
from pipeline.publish import restored_attempts
from pipeline.publish.record.names import MANIFEST, RECEIPTS
from pipeline.scan import ChunkContext
from pipeline.sinks import RowGroups, open_sink
from pipeline.sources import Discovery
from pipeline.types.inputs import ColumnFacts, FileFacts, Identity, InputFile
from pipeline.types.job import Job
from pipeline.types.outputs import Receipt, Written
from pipeline.types.report import Event, Planned, Progressed
from pipeline.types.rows import SliceAccount
from pipeline.types.work import Outcome
from pipeline.units import MIB
from tests.benchmarks import meter
from tests.benchmarks.data import Dataset, Mixture
from tests.benchmarks.models import model, save_model

GROUPS = 1_000
GROUP_ROWS = 100
REAL_GROUPS = 20
MIXTURE = Mixture(2, 1, 1)
FOOTER_GROUPS, FOOTER_MIXTURE = 10, Mixture()
# So many files are planned before the clock starts: what is loaded only once is no cost of a file.
FIRST_FILES = 100
ROUNDS = 5
# When memory is looked at, as shares of the chunks.
POINTS = (0.05, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts of files that nobody made: a thousand row groups each, the columns of the mixture."""

    chunks: int

    def discovered(self, _: Sequence[str]) -> Discovery:
        """Return the files, in place of those that lie under the inputs."""
        count = -(-self.chunks // GROUPS)
        names = (f"month={number // 1000:05d}/part-{number:07d}.parquet" for number in range(count))
        return Discovery(tuple(InputFile(name, f"/nowhere/{name}", 0, "parquet") for name in names), ())

    def gathered(self, files: Sequence[InputFile], *_: object, **__: object) -> tuple[FileFacts, ...]:
        """Return their facts, in place of what their footers say."""
        columns = tuple(ColumnFacts(field, 8 * GROUPS * GROUP_ROWS, 8 * GROUPS * GROUP_ROWS) for field in _fields())
        groups = np.full(GROUPS, GROUP_ROWS, dtype=np.int64)
        facts = []
        for number, file in enumerate(files):
            held = groups[: min(GROUPS, self.chunks - number * GROUPS)]
            identity = Identity(10_000_000, 1_700_000_000_000_000_000 + number, f"{number:064x}")
            facts.append(FileFacts(file, identity, columns, int(held.sum()), 40.0, held))
        return tuple(facts)


def _fields() -> pa.Schema:
    return next(Dataset(1, MIXTURE).tables(1)).schema


def no_work(context: ChunkContext) -> Receipt:
    """Read nothing, make an empty file, and say that all rows were scored: a step without work."""
    settings, chunk = context.once("settings", WriteSettings.of), context.chunk
    accounts = tuple(
        SliceAccount(s.file, s.start, s.stop, s.rows or 0, s.rows or 0, null=0, nan=0) for s in chunk.slices
    )
    with restored_attempts(settings.attempts or {}).open(chunk.index, "parquet") as attempt:
        part = attempt.finish(sum(account.written for account in accounts))
    return Outcome(chunk.index, accounts, Written(part), {}, (), 0, worker="nobody")


def _job(folder: Path, inputs: Path, scheduler: str, mixture: Mixture = MIXTURE) -> Job:
    path = save_model(model(mixture), folder / "model.json")
    options = JobOptions(
        keep=["id"], chunk_size=GROUP_ROWS, scheduler=scheduler, workers=2, memory="2GiB", durability="none"
    )
    return score_job(inputs, path, folder / "out", **options)


def planning(folder: Path, chunks: int) -> dict[str, float]:
    """Prepare a job of so many chunks."""
    job = _job(folder, folder / "in", "threads")
    before, began = memory.current_bytes(), time.perf_counter()
    prepared = preparation.prepare(job)
    seconds = time.perf_counter() - began
    assert len(prepared.plan) == chunks
    peak = memory.peak_bytes()
    return {
        "seconds": seconds,
        "before_bytes": before,
        "peak_bytes": peak,
        "job_file_bytes": len(prepared.scan.job_file({}).to_bytes()),
    }


def footers(folder: Path, files: int) -> dict[str, float]:
    """Prepare a job of so many real files: one file, under many names."""
    one = folder / "one.parquet"
    table = next(Dataset(FOOTER_GROUPS * GROUP_ROWS, FOOTER_MIXTURE).tables(FOOTER_GROUPS * GROUP_ROWS))
    pq.write_table(table, one, row_group_size=GROUP_ROWS)
    for name, count in (("first", FIRST_FILES), ("in", files)):
        (folder / name).mkdir()
        for number in range(count):
            os.link(one, folder / name / f"part-{number:07d}.parquet")
    preparation.prepare(_job(folder, folder / "first", "threads", FOOTER_MIXTURE))
    before, began, worked = memory.current_bytes(), time.perf_counter(), time.process_time()
    prepared = preparation.prepare(_job(folder, folder / "in", "threads", FOOTER_MIXTURE))
    seconds, worked = time.perf_counter() - began, time.process_time() - worked
    assert len(prepared.plan) == FOOTER_GROUPS * files
    peak = memory.peak_bytes()
    return {
        "files": files,
        "file_ms": 1000 * seconds / files,
        "file_cpu_ms": 1000 * worked / files,
        "file_bytes": (peak - before) / files,
        "footer_bytes": pq.read_metadata(one).serialized_size,
        "file_job_bytes": len(prepared.scan.job_file({}).to_bytes()) / files,
    }


@dataclass
class Watch:
    """An observer that notes when the plan stood and the last chunk was booked, and memory at some points between."""

    chunks: int
    output: Path
    planned: float = 0.0
    booked: float = 0.0
    journal_bytes: int = 0

    def __post_init__(self) -> None:
        self.resident: list[int] = []

    def __call__(self, event: Event) -> None:
        """Take an event in."""
        if isinstance(event, Planned):
            self.planned = time.perf_counter()
        elif isinstance(event, Progressed):
            if len(self.resident) < len(POINTS) and event.totals.chunks >= POINTS[len(self.resident)] * self.chunks:
                self.resident.append(memory.current_bytes())
            self.booked = time.perf_counter()
            if event.totals.chunks == self.chunks:
                home = self.output.with_name(f".{self.output.name}.logitstream")
                self.journal_bytes = sum(path.stat().st_size for path in home.glob("jobs/*/journal"))

    @property
    def seconds(self) -> float:
        """From the plan to the last receipt."""
        return self.booked - self.planned


def executing(folder: Path, chunks: int, scheduler: str) -> dict[str, Any]:
    """Carry a job of so many chunks out, and look at the memory on the way."""
    job = _job(folder, folder / "in", scheduler)
    watch = Watch(chunks, Path(job.output))
    with patch("pipeline.flow.run.WriteStep", lambda: no_work):
        flow.run(job, watch)
    return {
        "seconds": watch.seconds,
        "chunk_ms": 1000 * watch.seconds / chunks,
        "publish_seconds": time.perf_counter() - watch.booked,
        "resident_bytes": watch.resident,
        "published_bytes": memory.current_bytes(),
        "peak_bytes": memory.peak_bytes(),
    }


def overhead(folder: Path, chunks: int) -> dict[str, Any]:
    """Return the milliseconds a chunk of scoring, of the floor, and of the difference: medians of rounds in turn."""
    inputs = folder / "in"
    inputs.mkdir()
    files = [inputs / f"{number:06d}.parquet" for number in range(-(-chunks // REAL_GROUPS))]
    file_rows = REAL_GROUPS * GROUP_ROWS
    for file, table in zip(files, Dataset(len(files) * file_rows, MIXTURE).tables(file_rows), strict=True):
        pq.write_table(table, file, row_group_size=GROUP_ROWS)
    made = REAL_GROUPS * len(files)
    ours, floor = [], []
    for number in range(ROUNDS):
        output = folder / f"out-{number}"
        watch = Watch(made, output)
        job = replace(_job(folder, inputs, "threads"), output=str(output))
        flow.run(job, watch)
        # From the plan to the end: publishing is not free either.
        ours.append(1000 * (time.perf_counter() - watch.planned) / made)
        floor.append(1000 * _floor(job, files, folder / f"floor-{number}") / made)
    differences = [mine - theirs for mine, theirs in zip(ours, floor, strict=True)]
    return {
        "chunks": made,
        "chunk_ms": statistics.median(ours),
        "floor_ms": statistics.median(floor),
        "overhead_ms": statistics.median(differences),
        "journal_bytes": watch.journal_bytes / made,
        "receipts_bytes": (output / RECEIPTS).stat().st_size / made,
        "manifest_bytes": (output / MANIFEST).stat().st_size,
    }


def _floor(job: Job, files: Sequence[Path], output: Path) -> float:
    """Return the seconds for the rows alone: each row group read, scored, written and digested on as many threads."""
    output.mkdir()
    schema = pa.schema([("id", pa.int64()), ("probability", pa.float64())])
    features = [need.name for need in job.block.columns()]
    began = time.perf_counter()
    metadata = {file: pq.read_metadata(file) for file in files}

    def one(place: tuple[Path, int]) -> None:
        file, group = place
        with file.open("rb") as stream, pq.ParquetFile(stream, metadata=metadata[file]) as parquet:
            for batch in parquet.iter_batches(row_groups=[group], columns=["id", *features], use_threads=False):
                values = job.block.block([batch[name] for name in features])
                rows = pa.record_batch([batch["id"], *values.arrays], schema=schema)
        written = io.BytesIO()
        sink = open_sink("parquet", written, schema, RowGroups(GROUP_ROWS), "snappy")
        sink.write(rows)
        sink.close()
        hashlib.sha256(written.getbuffer()).hexdigest()
        (output / f"{file.stem}-{group}").write_bytes(written.getbuffer())

    with ThreadPoolExecutor(job.workers) as pool:
        for _ in pool.map(one, product(files, range(REAL_GROUPS))):
            pass
    return time.perf_counter() - began


CASES: Mapping[str, Callable[[Path, int], dict[str, Any]]] = {
    "planning": planning,
    "footers": footers,
    "sync": partial(executing, scheduler="sync"),
    "threads": partial(executing, scheduler="threads"),
    "overhead": overhead,
}


# The cases whose files are there.
REAL = ("footers", "overhead")


def one_case(name: str, chunks: int, folder: Path) -> dict[str, Any]:
    """Measure one case in this process."""
    facts = Facts(chunks)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        if name in REAL:
            return CASES[name](Path(scratch), chunks)
        with (
            patch("pipeline.flow.preparation.discover", facts.discovered),
            patch("pipeline.flow.preparation.gather_facts", facts.gathered),
        ):
            return CASES[name](Path(scratch), chunks)


def in_a_process(name: str, chunks: int, folder: Path) -> dict[str, Any]:
    """Measure one case in a process of its own."""
    words = [sys.executable, "-m", "tests.benchmarks.plan", "--case", name, "--chunks", str(chunks)]
    done = subprocess.run(
        [*words, "--folder", str(folder)], env=meter.environment(), stdout=subprocess.PIPE, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def table(found: Mapping[str, Any]) -> str:
    """Return the results as Markdown."""
    planned, files, real = found["planning"], found["footers"], found["overhead"]
    lines = [
        found["machine"],
        "",
        (
            f"{found['chunks']:,} chunks are planned in {planned['seconds']:.1f} s, at a peak of "
            f"{planned['peak_bytes'] / MIB:.0f} MiB ({planned['before_bytes'] / MIB:.0f} before); their job file has "
            f"{planned['job_file_bytes'] / MIB:.0f} MiB."
        ),
        (
            f"{files['files']:,} files are planned in {files['file_ms']:.2f} ms ({files['file_cpu_ms']:.2f} of CPU), "
            f"{files['file_bytes'] / 1024:.1f} KiB each; a footer has {files['footer_bytes'] / 1024:.1f} KiB, and the "
            f"job file {files['file_job_bytes'] / 1024:.1f} KiB a file."
        ),
        "",
        "| no task, no syncs | s | ms a chunk | publishing, s | resident at "
        + ", ".join(f"{point:.0%}" for point in POINTS)
        + " of the chunks, MiB | published | peak |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in ("sync", "threads"):
        each = found[name]
        seen = ", ".join(f"{size / MIB:.0f}" for size in each["resident_bytes"])
        lines.append(
            f"| {name} | {each['seconds']:.1f} | {each['chunk_ms']:.3f} | {each['publish_seconds']:.1f} | {seen} "
            f"| {each['published_bytes'] / MIB:.0f} | {each['peak_bytes'] / MIB:.0f} |"
        )
    lines += [
        "",
        (
            f"{real['chunks']:,} chunks of {GROUP_ROWS} rows on threads: {real['chunk_ms']:.2f} ms a chunk, "
            f"{real['floor_ms']:.2f} ms for the rows alone, {real['overhead_ms']:.2f} ms of our own."
        ),
        (
            f"The journal has {real['journal_bytes']:.0f} bytes a chunk, the receipts of the manifest "
            f"{real['receipts_bytes']:.0f} a part, the manifest itself {real['manifest_bytes']:,}."
        ),
    ]
    return "\n".join(lines)


def _usual_folder() -> Path:
    """Return a folder in memory, where there is one: what a disk takes to make a file is not ours."""
    folder = Path("/dev/shm")
    return folder if os.access(folder, os.W_OK) else Path(tempfile.gettempdir())


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the parameters."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.plan", description=__doc__.split("\n\n")[0])
    parser.add_argument("--chunks", type=int, default=1_000_000)
    parser.add_argument("--files", type=int, default=10_000, help="files whose footers are read")
    parser.add_argument("--real", type=int, default=4_000, help="chunks that are read and scored")
    parser.add_argument("--folder", type=Path, default=_usual_folder(), help="where files are made [%(default)s]")
    parser.add_argument("--case", choices=tuple(CASES), help="this case alone, in this process, as JSON")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    given = parse(arguments)
    if given.case:
        print(json.dumps(one_case(given.case, given.chunks, given.folder)))
        return
    found: dict[str, Any] = {"machine": meter.machine(), "chunks": given.chunks}
    sizes = {"footers": given.files, "overhead": given.real}
    for name in CASES:
        found[name] = in_a_process(name, sizes.get(name, given.chunks), given.folder)
    print(json.dumps(found, indent=2) if given.json else table(found))


if __name__ == "__main__":
    main()
