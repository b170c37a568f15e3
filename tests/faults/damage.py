"""Damages one file after another and reports what happened. A separate process, started by ``flips``.

    python -m tests.faults.damage FOLDER SEED BEGIN EVERY LEAST SECONDS

Works on the round of the case BEGIN, from that case on, then on every n-th round after it (EVERY): on all of them if
SECONDS is 0, else on LEAST rounds and then until the time is over. A round has a case of each scene; the seed and the
number of a case decide everything about it.
Prints a line of JSON for each case: its number, what it counts as, and the promise it broke, if any.
"""

from __future__ import annotations

import json
import random
import resource
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import pipeline
from pipeline import flow
from pipeline.errors import LogitstreamError, OutputError, TemporaryError
from pipeline.interface import score_job
from pipeline.scan.jobfile import read_job_file
from pipeline.types.report import Event, Progressed
from tests.faults.data import write_model

ROWS = 120
USUAL: dict[str, Any] = {
    "scheduler": "sync",
    "workers": 1,
    "memory": "1GiB",
    "durability": "none",
    "keep": ["version"],
    "chunk_size": 60,
}
Outcome = tuple[str, str]


class Scene(Protocol):
    """Files that can be damaged. ``cases`` of them are a full campaign, every ``cut_every``-th one a truncation."""

    cases: int
    cut_every: int

    def case(self, chance: random.Random, damage: Damage) -> Outcome:
        """Damage one file; return what that counts as, and what promise was broken."""
        ...


@dataclass(frozen=True, slots=True)
class Damage:
    """Flips one bit, or cuts off the end."""

    cuts: bool
    chance: random.Random

    def __call__(self, path: Path, content: bytes) -> str:
        """Write the damaged content and return what was done to it."""
        at = self.chance.randrange(len(content))
        bit = self.chance.randrange(8)
        if self.cuts:
            path.write_bytes(content[:at])
            return f"{path.name} cut to {at} of {len(content)} bytes"
        path.write_bytes(content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :])
        return f"bit {bit} of byte {at} of {len(content)} of {path.name} flipped"

    @property
    def name(self) -> str:
        """Its kind, to be counted."""
        return "truncations" if self.cuts else "flips"


def table(rows: int = ROWS) -> pa.Table:
    """Return rows, some of which go to the quarantine."""
    numbers = np.random.default_rng(5)
    return pa.table(
        {
            "version": pa.array(range(rows), pa.int64()),
            "x": pa.array(numbers.normal(size=rows), mask=np.arange(rows) % 50 == 7),
            "c": pa.array(numbers.choice(["a", "b", "z"], size=rows)),
        }
    )


class Outputs:
    """Published outputs: ``verify`` finds any damage to any of their files."""

    cases = 20_000
    cut_every = 2

    def __init__(self, folder: Path, model: Path) -> None:
        pq.write_table(table(), folder / "rows.parquet", row_group_size=60)
        self._outputs: list[tuple[Path, dict[Path, bytes]]] = []
        formats: dict[str, dict[str, Any]] = {
            "parquet": {},
            "csv": {"format": "csv"},
            "packed": {"format": "csv", "compression": "gzip"},
        }
        for name, options in formats.items():
            output = folder / name
            pipeline.score(folder / "rows.parquet", model, output, **USUAL | options)
            assert not pipeline.verify(output).differences
            files = {path: path.read_bytes() for path in sorted(output.rglob("*")) if path.is_file()}
            self._outputs.append((output, files))

    def case(self, chance: random.Random, damage: Damage) -> Outcome:
        """Damage a part, a quarantine, the manifest or the receipts."""
        output, files = chance.choice(self._outputs)
        path = chance.choice(list(files))
        done = damage(path, files[path])
        try:
            found = bool(pipeline.verify(output).differences)
        except OutputError:
            found = True
        finally:
            path.write_bytes(files[path])
        if found:
            return f"{damage.name} of outputs found", ""
        return f"{damage.name} of outputs not found", f"verify passes {output.name} with {done}"


class Inputs:
    """Parquet files that are read: the right rows come out, or the file is refused with its name."""

    cases = 12_500
    cut_every = 5

    def __init__(self, folder: Path, model: Path, checked: bool) -> None:
        self._folder, self._model, self._checked = folder, pipeline.LogisticModel.load(model), checked
        self._path, self._output = folder / "rows.parquet", folder / "out"
        self._files = []
        for compression in ("none", "snappy", "zstd"):
            for dictionary, pages in ((True, "1.0"), (False, "2.0")):
                options = {"compression": compression, "use_dictionary": dictionary, "data_page_version": pages}
                pq.write_table(table(), self._path, row_group_size=60, write_page_checksum=checked, **options)
                self._files.append(self._path.read_bytes())
        self._expected = self._score()

    def case(self, chance: random.Random, damage: Damage) -> Outcome:
        """Damage the input and score it."""
        done = damage(self._path, chance.choice(self._files))
        kind = f"{damage.name} of inputs {'with' if self._checked else 'without'} checksums"
        try:
            found = self._score()
        except LogitstreamError as error:
            wrong = "" if self._path.name in str(error) else f"{done}: refused without its name, {error.message}"
            return f"{kind} refused", wrong
        if found == self._expected:
            return f"{kind} with the right rows", ""
        return f"{kind} silent", f"{done}: other rows" if self._checked else ""

    def _score(self) -> tuple[list[Any], ...]:
        """Score, and return the rows published and those quarantined."""
        try:
            pipeline.score(self._path, self._model, self._output, **USUAL)
            files = [sorted(self._output.glob("*.parquet")), sorted(self._output.glob("_quarantine/*"))]
            return tuple([pq.read_table(path).to_pylist() for path in paths] for paths in files)
        finally:
            _remove(self._output)


class Staging:
    """What a stopped run left: the run that resumes it computes damaged chunks again, or refuses."""

    cases = 12_500
    cut_every = 5

    def __init__(self, folder: Path, model: Path) -> None:
        self._input, self._output = folder / "rows.parquet", folder / "out"
        self._model = pipeline.LogisticModel.load(model)
        pq.write_table(table(), self._input, row_group_size=30)
        self._options = USUAL | {"chunk_size": 30}
        self._run(None)
        self._whole = self._parts()
        _remove(self._output)
        stop = flow.Stop()

        def enough(event: Event) -> None:
            if isinstance(event, Progressed) and event.totals.chunks == 2:
                stop.request(TemporaryError("enough"))

        with suppress(TemporaryError):
            self._run(enough, stop)
        self._home = _home(self._output)
        self._files = {path: path.read_bytes() for path in sorted(self._home.rglob("*")) if path.is_file()}
        self._left = folder / "left"
        self._home.rename(self._left)

    def case(self, chance: random.Random, damage: Damage) -> Outcome:
        """Damage the journal, the job file or an attempt; the job file also during the run."""
        shutil.copytree(self._left, self._home)
        path = self._chosen(chance)
        read_job_file.cache_clear()
        later = path.suffix == ".json" and chance.random() < 0.5
        said = [] if later else [damage(path, self._files[path])]

        def meanwhile(event: Event) -> None:
            if later and not said and isinstance(event, Progressed) and event.totals.chunks > event.totals.resumed:
                # A run with another budget writes another job file.
                read_job_file.cache_clear()
                used = max(self._home.glob("jobs/*/job-*.json"), key=lambda found: found.stat().st_mtime_ns)
                said.append("meanwhile " + damage(used, used.read_bytes()))

        kind = f"{damage.name} of {_kind(path)}{' under way' if later else ''}"
        try:
            self._run(meanwhile)
            if self._parts() == self._whole:
                return f"{kind} mended", ""
            return f"{kind} silent", f"{said}: other parts"
        except LogitstreamError as error:
            wrong = f"{said}: {error.message}, and there is an output" if self._output.exists() else ""
            return f"{kind} refused", wrong
        finally:
            _remove(self._output)

    def _chosen(self, chance: random.Random) -> Path:
        kinds: dict[str, list[Path]] = {}
        for path in self._files:
            kinds.setdefault(_kind(path), []).append(path)
        return chance.choice(chance.choice([kinds[kind] for kind in sorted(kinds) if kind != "locks"]))

    def _run(self, observe: Callable[[Event], None] | None, stop: flow.Stop | None = None) -> None:
        job = score_job(self._input, self._model, self._output, **self._options)
        flow.run(job, observe or (lambda _: None), stop)

    def _parts(self) -> dict[str, bytes]:
        paths = sorted(self._output.rglob("*"))
        return {path.name: path.read_bytes() for path in paths if path.is_file() and path.name != "_manifest.json"}


def _kind(path: Path) -> str:
    return {".json": "job files", ".attempt": "attempts"}.get(path.suffix, f"{path.name}s")


def _home(output: Path) -> Path:
    return output.parent / f".{output.name}.logitstream"


def _remove(output: Path) -> None:
    for folder in (output, _home(output)):
        shutil.rmtree(folder, ignore_errors=True)


def scenes(folder: Path) -> list[Scene]:
    """Make what is to be damaged, each scene in a separate folder."""
    model = write_model(folder / "model.json")
    folders = [folder / name for name in ("outputs", "checked", "unchecked", "staging")]
    for each in folders:
        each.mkdir()
    return [
        Outputs(folders[0], model),
        Inputs(folders[1], model, checked=True),
        Inputs(folders[2], model, checked=False),
        Staging(folders[3], model),
    ]


def one(scene: Scene, place: int, number: int, seed: int) -> Outcome:
    """Carry out one case; an error that is not a LogitstreamError breaks the promise in every scene."""
    chance = random.Random(f"{seed} {place} {number}")
    try:
        return scene.case(chance, Damage(not number % scene.cut_every, chance))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what was looked for
        return "foreign errors", f"{type(scene).__name__}: {type(error).__name__}: {error}"


def main(folder: Path, seed: int, begin: int, every: int, least: int, seconds: float) -> None:
    """Work on the cases; the scenes take turns."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    made = scenes(folder)
    began = time.monotonic()
    for case in range(begin // len(made), max(scene.cases for scene in made), every):
        if seconds and case >= least and time.monotonic() - began > seconds:
            return
        for place, scene in enumerate(made):
            number = case * len(made) + place
            if number >= begin and case < scene.cases:
                print(json.dumps([number, *one(scene, place, case, seed)]), flush=True)


if __name__ == "__main__":
    _folder, _seed, _begin, _every, _least, _seconds = sys.argv[1:]
    main(Path(_folder), int(_seed), int(_begin), int(_every), int(_least), float(_seconds))
