"""The case of the next night: many files, of which one has changed since the last published run."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from tests.benchmarks import contenders, files, tiny, turns
from tests.benchmarks.checking import Work, check
from tests.benchmarks.data import CHUNK_ROWS, Dataset
from tests.benchmarks.figures import MEASURES, SHARE, Figure, Outcome
from tests.benchmarks.models import model, raw_predictions, save_model, truth
from tests.benchmarks.scoring import describe
from tests.benchmarks.tracing import bytes_read, can_trace
from tests.benchmarks.turns import BEFORE, Bench, Entry, say, with_before

WORK = Work()
# Nights are hours apart: what a run has read of a file is recorded only if the file rested for a minute.
REST_SECONDS = 61.0


@dataclass(frozen=True, slots=True)
class Rerun:
    """A rerun against a run from nothing; the most that the shares of wall time and of bytes read should be.

    At a scale below 1 the files, the rows of each and those of a chunk are fewer, by its square root.
    """

    about: str
    wall_share: float
    read_share: float
    files: int = 365
    rows_a_file: int = 100_000
    chunk_rows: int = CHUNK_ROWS
    against: Mapping[str, float | None] = field(default_factory=dict)

    def run(self, bench: Bench) -> Outcome:
        """Run a full run, a rerun and a tiny one in turn."""
        shape = (self.files, self.rows_a_file, self.chunk_rows)
        count, rows, chunk_rows = (max(3, round(most * bench.scale**0.5)) for most in shape)
        dataset = Dataset(count * rows, row_group_rows=rows, files=count)
        data = dataset.make(bench.folder)
        with tempfile.TemporaryDirectory(dir=bench.folder) as temporary:
            nights = _Nights(dataset, data, chunk_rows, Path(temporary), bench)
            rerun = bench.entry("rerun", "", nights.command)
            nights.rehearse(rerun)
            traced = nights.trace(rerun)
            starting = tiny.command(tiny.DATASET.make(bench.folder), nights.scratch)
            entries = [bench.entry("full", "", nights.command), rerun, bench.entry("tiny", "", starting)]
            for number in range(bench.rounds):
                for entry in entries:
                    nights.measure(entry, changing=entry is rerun)
                took = ", ".join(f"{entry.name} {entry.runs[-1].seconds:.2f} s" for entry in with_before(entries))
                say(f"round {number + 1} of {bench.rounds}: {took}")
        return Outcome(describe(dataset, data), self._figures(entries, traced, files.size(data)), entries)

    def _figures(self, entries: Sequence[Entry], traced: int | None, size: int) -> list[Figure]:
        figures = list(_shares(entries, "", self.wall_share))
        figures += _shares([entry.before for entry in entries if entry.before], f", {BEFORE}", None)
        if traced is not None:
            figures.append(Figure("bytes read of the input / its bytes", [traced / size], SHARE, self.read_share))
        # What the tiny run reads, libraries for the most part, is taken off.
        _, again, starting = (entry.runs for entry in entries)
        read = [max(0, run.read_bytes - start.read_bytes) / size for run, start in zip(again, starting, strict=True)]
        target = self.read_share if traced is None else None
        return [*figures, Figure("bytes read of all files / bytes of the input", read, SHARE, target)]


def _shares(entries: Sequence[Entry], whose: str, target: float | None) -> Iterator[Figure]:
    rounds = list(zip(*(entry.runs for entry in entries), strict=True))
    for name in ("wall", "CPU") if rounds else ():
        _, of = MEASURES[name]
        shares = [(of(again) - of(start)) / (of(full) - of(start)) for full, again, start in rounds]
        goal = target if name == "wall" else None
        yield Figure(f"(rerun - TINY) / (full - TINY), {name}{whose}", shares, target=goal)


def rest(folder: Path) -> None:
    """Wait until the files in a folder have rested; a new link to one is a change of its status, too."""
    last = max(path.stat().st_ctime for path in folder.iterdir())
    time.sleep(max(0.0, last + REST_SECONDS - time.time()))


class _Nights:
    """The dataset under names of its own, the file of it that changes, and the outputs of the night before."""

    def __init__(self, dataset: Dataset, data: Path, chunk_rows: int, scratch: Path, bench: Bench) -> None:
        self.dataset, self.scratch, self.bench = dataset, scratch, bench
        self.data = scratch / "data"
        shutil.copytree(data, self.data, copy_function=os.link)
        number = dataset.files // 2
        self.changing = self.data / files.part_name(number)
        other = scratch / "other"
        other.mkdir()
        # The two contents that the file has in turn; the first is what it is changed to next.
        self.contents = deque([replace(dataset, variant=1).write_file(other, number), data / self.changing.name])
        model_path = save_model(model(dataset.mixture), scratch / "model.json")
        self.command = contenders.ours(self.data, model_path, WORK, csv=False)
        self.command += ["--chunk-size", str(chunk_rows)]

    def change(self) -> None:
        """Put the other content in the file's place, under a new inode and time."""
        self.changing.unlink()
        shutil.copyfile(self.contents[0], self.changing)
        self.contents.rotate()

    def published(self, entry: Entry) -> Path:
        """Return where an entry published the night before."""
        return self.scratch / f"published by {entry.name}"

    def rehearse(self, rerun: Entry) -> None:
        """Publish once the files have rested, change, publish again, and check both."""
        rest(self.data)
        raw = np.array(truth(self.dataset, self.bench.folder))
        self._publish(rerun, raw)
        self.change()
        number = self.dataset.files // 2
        start, stop = (place * self.dataset.rows_a_file for place in (number, number + 1))
        changed = replace(self.dataset, variant=1).between(start, min(stop, self.dataset.rows))
        raw[start:stop] = raw_predictions(model(self.dataset.mixture), changed)
        self._publish(rerun, raw)

    def trace(self, rerun: Entry) -> int | None:
        """Return the bytes that a rerun reads of the input, or ``None`` and say that nobody may trace."""
        if not can_trace():
            say("strace is not installed, or may not trace here: bytes read of the input cannot be told from others")
            return None
        self.change()
        command = [part.replace("{out}", str(self.published(rerun))) for part in rerun.command]
        return bytes_read(command, self.data)

    def _publish(self, rerun: Entry, raw: np.ndarray) -> None:
        for entry in with_before([rerun]):
            out = self.published(entry)
            seconds = self.bench.run(entry.command, out).seconds
            say(f"{entry.name}: largest difference {check(out, WORK, raw, self.data):.1e}, {seconds:.2f} s")

    def measure(self, each: Entry, *, changing: bool) -> None:
        """Run an entry once; a rerun finds what the one before has published, all others nothing."""
        if changing:
            self.change()
        for entry in with_before([each]):
            out = self.published(entry) if changing else self.scratch / "out"
            entry.runs.append(self.bench.run(entry.command, out))
            turns.clear(self.scratch / "out")
