"""The folder of a history: inputs, a model, an output, and what is next to it."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pipeline
from pipeline import flow
from pipeline.canonical import canonical
from pipeline.disk import Folder
from pipeline.interface import score_job
from pipeline.publish.local.journal import lines_in
from pipeline.publish.local.listing import runs
from pipeline.publish.local.published import read_manifest
from pipeline.types.job import Job
from tests.faults.data import write_model, write_rows

OPTIONS: dict[str, Any] = {
    "scheduler": "sync",
    "workers": 1,
    "memory": "4GiB",
    "keep": ["version"],
    "chunk_size": 20,
}


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a clean run of a job: its files without the manifest, and its totals."""

    files: Mapping[str, bytes]
    totals: object


class World:
    """A separate folder with two inputs. ``results`` are those of all jobs so far, in any folder."""

    results: ClassVar[dict[str, Result]] = {}

    def __init__(self, scratch: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=scratch))
        self.inputs, self.model, self.out = (self.folder / name for name in ("in", "model.json", "out"))
        self.home = self.folder / ".out.logitstream"
        self.inputs.mkdir()
        self.put("a", (40, 0))
        self.put("b", (30, 0))
        write_model(self.model)

    def put(self, name: str, state: tuple[int, int] | None) -> None:
        """Write an input with a number of rows and a time; ``None`` removes it, unless it is the only one."""
        path = self.inputs / f"{name}.parquet"
        if state is None:
            if len(names(self.inputs)) > 1:
                path.unlink(missing_ok=True)
            return
        rows, stamp = state
        write_rows(path, rows, rows + ord(name), missing=2, row_group_size=10)
        os.utime(path, (1_700_000_000 + stamp,) * 2)

    def job(self, conduct: Mapping[str, Any]) -> Job:
        """Return the job of the inputs and the model as they are."""
        return score_job(self.inputs, self.model, self.out, **{**OPTIONS, **conduct})

    def job_id(self) -> str:
        """Return the identity of the job, and have the result of a clean run of it."""
        job_id = flow.plan(self.job({"if_exists": "replace"})).job_id
        if job_id not in self.results:
            aside = self.folder / "clean"
            aside.mkdir()
            output = aside / "out"
            pipeline.score(self.inputs, self.model, output, **OPTIONS, durability="none")
            manifest = read_manifest(output)
            assert manifest.job_id == job_id
            self.results[job_id] = Result(files(output), manifest.body["totals"])
            shutil.rmtree(aside)
        return job_id

    def standing(self) -> dict[str, tuple[int, int, bytes]]:
        """Return what is under the name of the output: each file and folder, and its bytes."""
        found = {}
        for path in sorted(self.out.rglob("*")):
            status = path.stat()
            content = path.read_bytes() if path.is_file() else b""
            found[str(path.relative_to(self.out))] = (status.st_ino, status.st_mtime_ns, content)
        return found

    def lock_is_held(self) -> bool:
        """Return whether a run of the output is under way."""
        return any(run.running for run in runs(self.out))

    def attempts(self) -> list[Path]:
        """Return the attempts of all runs that were stopped."""
        return sorted(self.home.glob("jobs/*/attempts/*/*.attempt"))

    def journals(self) -> list[Path]:
        """Return their journals."""
        return sorted(self.home.glob("jobs/*/journal"))

    def duplicate_receipt(self, pick: int) -> None:
        """Journal a second receipt of a chunk, with another file, as if a task was carried out twice."""
        path = self.journals()[pick % len(self.journals())]
        with Folder.open(path.parent) as folder:
            receipts = [dict(line) for line, *_ in lines_in(folder) if line.get("part")]
        if not receipts:
            return
        receipt: dict[str, Any] = receipts[pick % len(receipts)]
        file = path.parent / receipt["part"]["path"]
        if not file.exists():
            return
        second = hashlib.sha256(file.name.encode()).hexdigest()[:32]
        again = file.with_name(f"{receipt['chunk']}-{second}.parquet.attempt")
        again.unlink(missing_ok=True)
        shutil.copy(file, again)
        receipt["part"] |= {"path": str(again.relative_to(path.parent))}
        line = canonical(receipt)
        with path.open("ab") as journal:
            journal.write(line + b" " + hashlib.sha256(line).hexdigest()[:16].encode() + b"\n")


def names(folder: Path) -> set[str]:
    """Return the contents of a folder; empty if it does not exist."""
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def files(folder: Path) -> dict[str, bytes]:
    """Return the files of a version without its manifest, by their published names."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "_manifest.json"]
    return {str(path.relative_to(folder)).removesuffix(".kept"): path.read_bytes() for path in paths}
