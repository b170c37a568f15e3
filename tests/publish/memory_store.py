"""A second store, in memory, without folders and rename: only ``put if absent``, ``get``, ``list`` and ``delete``.

    <output>/holder                     the run that holds the output
    <output>/jobs/<job_id>/...          journal lines and attempts
    <output>/versions/<number>/...      parts, quarantines, receipts; the manifest last

A version is published by one put: that of its manifest. The output is the highest number that has a manifest.
"""

from __future__ import annotations

import hashlib
import io
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from pipeline.errors import OutputError, StorageError, TemporaryError
from pipeline.publish import Busy, Codec, Manifest, Part, PublishedOutput
from pipeline.publish.record.journal import content_of, header, is_header, line_bytes
from pipeline.publish.record.manifest import NewerVersion, manifest_bytes, manifest_from, newer_output
from pipeline.publish.record.names import (
    JOBS,
    MANIFEST,
    QUARANTINE,
    RECEIPTS,
    REMEMBERED,
    VERSIONS,
    attempt_name,
    attempt_path,
    job_file_name,
)
from pipeline.publish.record.receipts import parts_from, write_lines
from pipeline.publish.store import Adopted
from pipeline.types.job import Conduct
from pipeline.types.outputs import PartFile


@dataclass
class Bucket:
    """Objects by key; an object never changes."""

    objects: dict[str, bytes] = field(default_factory=dict)

    def put(self, key: str, content: bytes) -> bool:
        """Put an object if there is none; return whether it was put."""
        if key in self.objects:
            return False
        self.objects[key] = content
        return True

    def get(self, key: str) -> bytes | None:
        return self.objects.get(key)

    def keys(self, prefix: str) -> list[str]:
        return sorted(key for key in self.objects if key.startswith(prefix))

    def delete(self, prefix: str) -> None:
        for key in self.keys(prefix):
            del self.objects[key]


# Workers reach a store by its address.
BUCKETS: dict[str, Bucket] = {}


@dataclass(frozen=True)
class MemoryAttempts:
    bucket: str
    prefix: str

    def open(self, chunk: int, extension: str) -> MemoryAttempt:
        return MemoryAttempt(self, attempt_path(*attempt_name(chunk, extension, uuid.uuid4().hex)))

    def describe(self) -> dict[str, object]:
        return {"store": "memory", "bucket": self.bucket, "prefix": self.prefix}


class MemoryAttempt:
    def __init__(self, attempts: MemoryAttempts, path: str) -> None:
        self._attempts, self._path = attempts, path
        self.file = io.BytesIO()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.abandon()

    def finish(self, rows: int) -> PartFile:
        content = self.file.getvalue()
        if not BUCKETS[self._attempts.bucket].put(f"{self._attempts.prefix}/{self._path}", content):
            raise StorageError("the name of an attempt was used before")
        return PartFile(self._path, len(content), hashlib.sha256(content).hexdigest(), rows)

    def abandon(self) -> None:
        self.file.close()


@dataclass(frozen=True)
class Found:
    """The published version: the prefix of its keys, and its manifest."""

    prefix: str
    manifest: Manifest


class MemoryStaging:
    def __init__(self, bucket: Bucket, name: str, output: str, job: str, found: Found | None, codec: Codec) -> None:
        self._bucket, self._output, self._job, self._found, self._codec = bucket, output, job, found, codec
        self._prefix = f"{output}/{JOBS}/{job}"
        self._counted: dict[int, str] = {}
        self._lines = 0
        self.attempts = MemoryAttempts(name, self._prefix)
        self.notes: tuple[str, ...] = ()
        self.published = None if found is None else found.manifest
        self.quarantine = Path(output, VERSIONS, QUARANTINE)
        lines = self._journal()
        if lines and not is_header(lines[0][1], job):
            bucket.delete(f"{self._prefix}/")
            lines = []
        self._replayed = lines[1:]
        if lines:
            self._lines = len(lines)
        else:
            self._put_line(header(job))

    def _journal(self) -> list[tuple[str, Mapping[str, Any]]]:
        found = []
        for key in self._bucket.keys(f"{self._prefix}/journal/"):
            content = content_of((self._bucket.get(key) or b"").rstrip(b"\n"))
            if content is None:
                break
            found.append((key, content))
        return found

    def _put_line(self, content: Mapping[str, object]) -> str:
        key = f"{self._prefix}/journal/{self._lines:09d}"
        if not self._bucket.put(key, line_bytes(content)):
            raise StorageError("another run writes this journal")
        self._lines += 1
        return key

    def write_job(self, content: bytes) -> tuple[Path, str]:
        sha256 = hashlib.sha256(content).hexdigest()
        key = f"{self._prefix}/{job_file_name(sha256)}"
        self._bucket.put(key, content)
        return Path(key), sha256

    def receipts(self) -> Iterator[Mapping[str, object]]:
        for key, line in self._replayed:
            chunk = line.get("chunk")
            files = [line.get("part"), line.get("quarantine")]
            if chunk is None or files[0] is None or chunk in self._counted:
                continue
            if all(facts is None or self._content(PartFile(**facts)) is not None for facts in files):
                self._counted[chunk] = key
                yield line

    def _content(self, file: PartFile) -> bytes | None:
        content = self._bucket.get(f"{self._prefix}/{file.path}")
        return content if content is not None and hashlib.sha256(content).hexdigest() == file.sha256 else None

    def others(self) -> bool:
        own = f"{self._prefix}/"
        return any(not key.startswith(own) for key in self._bucket.keys(f"{self._output}/{JOBS}/"))

    def standing(self) -> Iterator[Part]:
        if self._found is not None:
            yield from parts_of(self._bucket, self._found, self._codec)

    def adopted(self, chosen: Iterable[tuple[int, Part]]) -> Iterator[tuple[int, Part, Adopted | None]]:
        for chunk, part in chosen:
            yield chunk, part, self._adopted(chunk, part)

    def _adopted(self, chunk: int, part: Part) -> Adopted | None:
        assert self._found is not None
        taken = []
        for file in (part.file, part.quarantine):
            content = None if file is None else self._bucket.get(f"{self._found.prefix}/{file.path}")
            if file is None:
                taken.append(None)
                continue
            if content is None or hashlib.sha256(content).hexdigest() != file.sha256:
                return None
            with self.attempts.open(chunk, file.path.partition(".")[2]) as attempt:
                attempt.file.write(content)
                taken.append(attempt.finish(file.rows))
        assert taken[0] is not None
        return taken[0], taken[1]

    def append(self, receipt: Mapping[str, Any]) -> None:
        self._counted[receipt["chunk"]] = self._put_line(receipt)

    def receipt(self, chunk: int) -> Mapping[str, object]:
        line = content_of((self._bucket.get(self._counted[chunk]) or b"").rstrip(b"\n"))
        assert line is not None
        return line

    def sync(self) -> None:
        """Every put is durable."""

    def note_end(self, reason: str, exit_code: int) -> None:
        self._put_line({"ended": reason, "exit_code": exit_code})

    def discard(self) -> None:
        self._bucket.delete(f"{self._prefix}/")

    def remember(self, content: bytes) -> None:
        self._bucket.put(f"{self._output}/{REMEMBERED}", content)

    def publish(self, sections: Mapping[str, object], parts: Iterable[Part], *, observed: Mapping[str, object]) -> str:
        numbers = [int(key.split("/")[-2]) for key in self._bucket.keys(f"{self._output}/{VERSIONS}/")]
        # Above what an unfinished publication has put: a name never has two contents.
        prefix = f"{self._output}/{VERSIONS}/{max(numbers, default=0) + 1:09d}"
        receipts = io.BytesIO()
        with self._codec.compressed(receipts) as stream:
            sums = write_lines(stream, self._copied(prefix, parts))
        content = receipts.getvalue()
        listed = {**sums, "receipts": {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}}
        manifest = manifest_bytes(self._job, sections, observed, listed)
        if not self._bucket.put(f"{prefix}/{RECEIPTS}", content) or not self._bucket.put(
            f"{prefix}/{MANIFEST}", manifest
        ):
            raise OutputError("somebody else published meanwhile")
        self._bucket.delete(f"{self._output}/{JOBS}/")
        return manifest_from(manifest).digest

    def _copied(self, prefix: str, parts: Iterable[Part]) -> Iterator[Part]:
        for part in parts:
            files = ((part.name, part.file), (_flat(part), part.quarantine))
            for name, file in files:
                content = None if file is None else self._content(file)
                if file is not None and (content is None or not self._bucket.put(f"{prefix}/{name}", content)):
                    raise StorageError(f"an attempt is missing: {file.path}")
            yield part


def _flat(part: Part) -> str:
    # The number of a version is the last but one of a key.
    return f"{QUARANTINE}:{part.quarantine_name}"


def parts_of(bucket: Bucket, found: Found, codec: Codec) -> Iterator[Part]:
    content = bucket.get(f"{found.prefix}/{RECEIPTS}") or b""
    assert hashlib.sha256(content).hexdigest() == found.manifest.receipts_sha256
    with codec.decompressed(io.BytesIO(content)) as stream:
        for part in parts_from(stream):
            held = None if part.quarantine is None else PartFile(_flat(part), *_values(part.quarantine))
            yield Part(part.name, part.file, part.receipt, held)


def _values(file: PartFile) -> tuple[int, str, int]:
    return file.bytes, file.sha256, file.rows


@dataclass
class MemoryStore:
    """As much of a store as publishing needs; it keeps every version and rolls back none."""

    name: str = field(default_factory=lambda: uuid.uuid4().hex)

    def __post_init__(self) -> None:
        self.bucket = BUCKETS.setdefault(self.name, Bucket())

    def free_bytes(self, path: Path) -> int | None:
        return None

    def remembered(self, output: Path) -> bytes:
        return self.bucket.get(f"{output}/{REMEMBERED}") or b""

    def found(self, output: Path) -> Found | None:
        keys = [key for key in self.bucket.keys(f"{output}/{VERSIONS}/") if key.endswith(f"/{MANIFEST}")]
        if not keys:
            return None
        content = self.bucket.get(keys[-1]) or b""
        try:
            return Found(keys[-1].removesuffix(f"/{MANIFEST}"), manifest_from(content))
        except NewerVersion as newer:
            raise newer_output(str(output), newer) from newer
        except (ValueError, LookupError, TypeError) as error:
            raise OutputError(f"{output} was not published by logitstream: {error}") from error

    def check_output(
        self, output: Path, job_id: str, *, if_exists: str, codec: Codec, is_file: bool = False, reuse: bool = True
    ) -> Manifest | None:
        found = self.found(output)
        if found is None:
            return None
        if found.manifest.job_id == job_id and (reuse or if_exists == "fail"):
            return found.manifest
        if if_exists == "fail":
            raise OutputError(f"{output} holds the result of another job")
        return None

    @contextmanager
    def open_staging(
        self,
        output: Path,
        job_id: str,
        *,
        if_exists: str,
        codec: Codec,
        conduct: Conduct = Conduct(),  # noqa: B008 - frozen
        while_waiting: Callable[[], None] = lambda: None,
        merge: object = None,
        chunks: int = 0,
    ) -> Iterator[MemoryStaging | Manifest | Busy]:
        self.check_output(output, job_id, if_exists=if_exists, codec=codec, reuse=conduct.reuse)
        if not self.bucket.put(f"{output}/holder", job_id.encode()):
            busy = Busy(f"{output} is being published by another run")
            if conduct.if_running != "skip":
                raise TemporaryError(busy.text, "run again when it has ended")
            yield busy
            return
        try:
            same = self.check_output(output, job_id, if_exists=if_exists, codec=codec, reuse=conduct.reuse)
            if same is not None:
                yield same
                return
            self.bucket.delete(f"{output}/{REMEMBERED}")
            yield MemoryStaging(self.bucket, self.name, str(output), job_id, self.found(output), codec)
        finally:
            self.bucket.delete(f"{output}/holder")

    def read_manifest(self, output: Path) -> Manifest:
        found = self.found(output)
        if found is None:
            raise OutputError(f"{output} was not published by logitstream: it has no manifest")
        return found.manifest

    @contextmanager
    def open_published(self, output: Path, codec: Codec) -> Iterator[PublishedOutput]:
        manifest = self.read_manifest(output)
        found = self.found(output)
        assert found is not None
        yield PublishedOutput(Path(found.prefix), manifest, list(parts_of(self.bucket, found, codec)), ())

    def under_way(self, output: Path) -> Busy | None:
        holder = self.bucket.get(f"{output}/holder")
        return None if holder is None else Busy("a run is under way", job_id=holder.decode())

    def chunks_done(self, output: Path, job_id: str) -> int:
        keys = self.bucket.keys(f"{output}/{JOBS}/{job_id}/journal/")
        lines = [content_of((self.bucket.get(key) or b"").rstrip(b"\n")) or {} for key in keys]
        return len({line["chunk"] for line in lines if line.get("part") is not None})

    def restored(self, described: Mapping[str, object]) -> MemoryAttempts:
        if described.get("store") != "memory":
            raise ValueError("these are not attempts of this store")
        return MemoryAttempts(str(described["bucket"]), str(described["prefix"]))
