"""Small runs of publishing, for tests: from contents of parts to a published folder."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pipeline.choices import IfExists
from pipeline.publish import Codec, Manifest, Merge, Part, Staging
from pipeline.publish.layout import commit
from pipeline.publish.local.attempts import open_attempt
from pipeline.publish.local.staging import open_staging
from pipeline.publish.store import Adopted
from pipeline.types.job import Conduct
from pipeline.types.outputs import PartFile

# Nothing reads meanwhile, unless a test does: hundreds of replacements need not wait.
commit.LISTING_SECONDS = 0.0

CODEC = Codec(
    lambda stream: gzip.GzipFile(fileobj=stream, mode="wb", mtime=0),
    lambda stream: gzip.GzipFile(fileobj=stream, mode="rb"),
)
USUAL = Conduct()
OLD = {"part-0000000-aa.parquet": b"old zero", "part-0000001-ab.parquet": b"old one"}
NEW = {"part-0000000-ba.parquet": b"new zero", "part-0000001-ab.parquet": b"old one", "part-0000002-bc.parquet": b"2"}


def job_id(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def attempt(staging: Staging, chunk: int, content: bytes, extension: str = "parquet") -> PartFile:
    with open_attempt(staging.directory, chunk, extension, staging.file_mode, durable=staging.durable) as opened:
        opened.file.write(content)
        return opened.finish(rows=len(content))


def receipt(chunk: int, part: PartFile, quarantine: PartFile | None = None) -> dict[str, object]:
    return {
        "chunk": chunk,
        "part": asdict(part),
        "quarantine": None if quarantine is None else asdict(quarantine),
    }


def work(
    staging: Staging,
    contents: Mapping[str, bytes],
    stride: int = 1,
    done: Mapping[object, Adopted] = MappingProxyType({}),
) -> Iterator[Part]:
    """Make the parts that no earlier run made; what belongs in a quarantine comes after a bar."""
    staging.write_job(b'{"job": 1}')
    done = {**done, **{found["chunk"]: _files(found) for found in staging.receipts()}}
    for number, (name, content) in enumerate(contents.items()):
        chunk = number * stride
        if chunk not in done:
            good, _, bad = content.partition(b"|")
            part = attempt(staging, chunk, good)
            quarantine = attempt(staging, chunk, bad, "quarantine") if bad else None
            staging.append(receipt(chunk, part, quarantine))
            done[chunk] = part, quarantine
        yield Part(name, done[chunk][0], {"chunk": chunk}, done[chunk][1])


def _files(found: Mapping[str, Any]) -> Adopted:
    return PartFile(**found["part"]), PartFile(**found["quarantine"]) if found["quarantine"] else None


def adopt(staging: Staging, chunk: int, part: Part) -> Adopted | None:
    """Carry over one part; return its files as the receipt names them."""
    [(adopted_chunk, adopted_part, files)] = staging.adopted([(chunk, part)])
    assert (adopted_chunk, adopted_part) == (chunk, part)
    return files


def publish(
    output: Path,
    job: str,
    contents: Mapping[str, bytes],
    if_exists: IfExists = "fail",
    change: Callable[[Staging, list[Part]], Iterable[Part]] = lambda _, parts: parts,
    conduct: Conduct = USUAL,
    merge: Merge | None = None,
) -> Manifest | str:
    """Run a whole job; return the manifest if it was already published, else the digest."""
    with open_staging(output, job_id(job), if_exists=if_exists, codec=CODEC, conduct=conduct, merge=merge) as staging:
        if isinstance(staging, Manifest):
            return staging
        assert isinstance(staging, Staging)
        parts = list(work(staging, contents))
        return staging.publish({"totals": {"chunks": len(parts)}}, change(staging, parts), observed={"seconds": 1.5})


def home(output: Path) -> Path:
    return output.parent / f".{output.name}.logitstream"


def snapshot(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder with its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def parts_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name.startswith("part-")}


def files_of(contents: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return what an output of these contents holds, without its manifest."""
    files = {}
    for name, content in contents.items():
        good, _, bad = content.partition(b"|")
        files[name] = good
        if bad:
            files[f"_quarantine/{name.partition('.')[0]}.quarantine"] = bad
    return files


def data_of(folder: Path) -> dict[str, bytes]:
    return {name: content for name, content in snapshot(folder).items() if not name.startswith("_manifest")}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
