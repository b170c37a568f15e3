"""Small runs of publishing, for tests: from contents of parts to a published folder."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from pipeline.publish import Codec, Manifest, Part, Staging, open_attempt, open_staging
from pipeline.types import IfExists, PartFile

CODEC = Codec(
    lambda stream: gzip.GzipFile(fileobj=stream, mode="wb", mtime=0),
    lambda stream: gzip.GzipFile(fileobj=stream, mode="rb"),
)
OLD = {"part-0000000-aa.parquet": b"old zero", "part-0000001-ab.parquet": b"old one"}
NEW = {"part-0000000-ba.parquet": b"new zero", "part-0000001-ab.parquet": b"old one", "part-0000002-bc.parquet": b"2"}


def job_id(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def attempt(staging: Staging, chunk: int, content: bytes) -> PartFile:
    with open_attempt(staging.directory, chunk, "parquet", staging.file_mode) as opened:
        opened.file.write(content)
        return opened.finish(rows=len(content))


def work(staging: Staging, contents: Mapping[str, bytes], stride: int = 1) -> Iterator[Part]:
    staging.write_job(b'{"job": 1}')
    for chunk, (name, content) in enumerate(contents.items()):
        file = attempt(staging, chunk * stride, content)
        staging.append({"chunk": chunk})
        yield Part(name, file, {"chunk": chunk})


def publish(
    output: Path,
    job: str,
    contents: Mapping[str, bytes],
    if_exists: IfExists = "fail",
    change: Callable[[Staging, list[Part]], Iterable[Part]] = lambda _, parts: parts,
) -> Manifest | str:
    """Run a whole job; the manifest where it already stood published, else the digest."""
    with open_staging(output, job_id(job), if_exists=if_exists, codec=CODEC) as staging:
        if isinstance(staging, Manifest):
            return staging
        parts = list(work(staging, contents))
        return staging.publish({"totals": {"chunks": len(parts)}}, change(staging, parts), observed={"seconds": 1.5})


def home(output: Path) -> Path:
    return output.parent / f".{output.name}.logitstream"


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def parts_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name.startswith("part-")}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
