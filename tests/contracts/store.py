"""What every store must do to publish: one function, called by the tests of each implementation.

Rolling back, listing and cleaning are tested where they are implemented.

Nothing here depends on a rename, a folder or a lock of the system: an object store can fulfil it.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from pipeline.choices import IfExists
from pipeline.errors import LogitstreamError, NewerOutputError, OutputError, TemporaryError
from pipeline.publish import Busy, Codec, Manifest, Merge, Part, Staging, Store
from pipeline.types.job import Conduct
from pipeline.types.outputs import PartFile

CODEC = Codec(
    lambda stream: gzip.GzipFile(fileobj=stream, mode="wb", mtime=0),
    lambda stream: gzip.GzipFile(fileobj=stream, mode="rb"),
)
# What belongs in a quarantine comes after a bar; a byte is a row.
OLD = {"part-0000000-aa.parquet": b"old zero", "part-0000001-ab.parquet": b"old one|bad one"}
NEW = {
    "part-0000000-ba.parquet": b"new zero|bad zero",
    "part-0000001-ab.parquet": b"old one|bad one",
    "part-0000002-bc.parquet": b"2",
}

# name, sha256, bytes, rows, sha256 of the quarantine
Shown = tuple[str, list[tuple[str, str, int, int, str | None]]]


@dataclass(frozen=True)
class Bench:
    """A store, the name of an output that does not exist yet, and how the output is laid out.

    ``edit`` changes the bytes of the manifest of the published version without the store.
    """

    store: Store
    output: Path
    edit: Callable[[Callable[[bytes], bytes]], None]
    merge: Merge | None = None

    def shown(self) -> Shown | None:
        """Return the job and the parts that a reader sees now; ``None`` if there is nothing."""
        try:
            with self.store.open_published(self.output, CODEC) as published:
                assert published.manifest is not None
                assert published.defects == ()
                return published.manifest.job_id, [_facts(part) for part in published.parts]
        except NewerOutputError:
            raise
        except LogitstreamError:
            return None

    def open(self, job: str, if_exists: IfExists = "fail", conduct: Conduct | None = None):
        return self.store.open_staging(
            self.output,
            job_id(job),
            if_exists=if_exists,
            codec=CODEC,
            conduct=conduct or Conduct(),
            merge=self.merge,
            chunks=3,
        )

    def run(self, job: str, act: Callable[[Staging], object], if_exists: IfExists = "fail") -> None:
        """Open the staging of a job and act on it."""
        with self.open(job, if_exists) as staging:
            assert not isinstance(staging, Manifest | Busy)
            act(staging)

    def stop(self, job: str, act: Callable[[Staging], object]) -> None:
        """Act on the staging of a job, and be interrupted before anything is published."""

        def stopped(staging: Staging) -> None:
            act(staging)
            staging.sync()
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            self.run(job, stopped)

    def publish(self, job: str, contents: Mapping[str, bytes], if_exists: IfExists = "fail") -> str | Manifest:
        with self.open(job, if_exists) as staging:
            if isinstance(staging, Manifest):
                return staging
            assert not isinstance(staging, Busy)
            parts = list(work(staging, contents))
            return staging.publish({"totals": {"chunks": len(parts)}}, parts, observed={"seconds": 1.5})


def job_id(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def expected(job: str, contents: Mapping[str, bytes]) -> Shown:
    found = []
    for name, content in contents.items():
        good, _, bad = content.partition(b"|")
        digests = [hashlib.sha256(each).hexdigest() if each else None for each in (good, bad)]
        found.append((name, digests[0] or "", len(good), len(good), digests[1]))
    return job_id(job), found


def _facts(part: Part) -> tuple[str, str, int, int, str | None]:
    quarantine = None if part.quarantine is None else part.quarantine.sha256
    return part.name, part.file.sha256, part.file.bytes, part.file.rows, quarantine


def write(staging: Staging, chunk: int, content: bytes, extension: str = "parquet") -> PartFile:
    """Write an attempt as a worker does."""
    with staging.attempts.open(chunk, extension) as attempt:
        attempt.file.write(content)
        return attempt.finish(rows=len(content))


def entry(chunk: int, part: PartFile, quarantine: PartFile | None) -> dict[str, object]:
    return {
        "chunk": chunk,
        "part": asdict(part),
        "quarantine": None if quarantine is None else asdict(quarantine),
    }


def work(staging: Staging, contents: Mapping[str, bytes]) -> Iterator[Part]:
    """Make the parts that no earlier run made, with a receipt each."""
    done = {receipt["chunk"] for receipt in staging.receipts()}
    for chunk, (name, content) in enumerate(contents.items()):
        if chunk not in done:
            do(staging, chunk, content)
        yield part_of(staging, chunk, name)


def do(staging: Staging, chunk: int, content: bytes) -> None:
    good, _, bad = content.partition(b"|")
    quarantine = write(staging, chunk, bad, "quarantine") if bad else None
    staging.append(entry(chunk, write(staging, chunk, good), quarantine))


def part_of(staging: Staging, chunk: int, name: str) -> Part:
    receipt = staging.receipt(chunk)
    part, quarantine = (_file(receipt[key]) for key in ("part", "quarantine"))
    assert part is not None
    return Part(name, part, {"chunk": chunk}, quarantine)


def _file(facts: object) -> PartFile | None:
    return PartFile(**facts) if isinstance(facts, dict) else None


def check_store(make: Callable[[], Bench]) -> None:
    """Check the promises of the protocols, each with a separate bench."""
    checks: Sequence[Callable[[Bench], None]] = (
        _nothing_is_visible_before_publish,
        _all_or_nothing,
        _manifest_and_receipts_are_read_back,
        _the_first_receipt_of_a_chunk_wins,
        _a_failed_run_is_resumed,
        _a_receipt_that_its_file_does_not_bear_out_does_not_count,
        _the_same_job_is_found,
        _another_job_is_refused_or_replaces,
        _busy_while_another_run_holds_it,
        _attempts_come_back_from_json,
        _a_newer_manifest_is_refused,
        _what_is_remembered_lasts_until_the_next_run,
    )
    for check in checks:
        check(make())


def check_reuse(make: Callable[[], Bench]) -> None:
    """Check that parts are carried over by their digests; for layouts that publish the parts themselves."""
    bench = make()
    bench.publish("old", OLD)
    with bench.open("new", "replace") as staging:
        assert not isinstance(staging, Manifest | Busy)
        for part in staging.standing():
            if part.name in NEW:
                [(_, _, files)] = staging.adopted([(1, part)])
                assert files is not None
                assert [file and file.sha256 for file in files] == [part.file.sha256, part.quarantine.sha256]
                staging.append(entry(1, *files))
            forged = Part(part.name, PartFile(part.file.path, part.file.bytes, "0" * 64, part.file.rows), {})
            assert list(staging.adopted([(0, forged)])) == [(0, forged, None)]
        with suppress(LookupError):
            staging.receipt(0)
            raise AssertionError("a part was adopted that has another digest")
        for chunk, content in enumerate(NEW.values()):
            if chunk != 1:
                do(staging, chunk, content)
        parts = [part_of(staging, chunk, name) for chunk, name in enumerate(NEW)]
        staging.publish({}, parts, observed={})
    assert bench.shown() == expected("new", NEW)


def _nothing_is_visible_before_publish(bench: Bench) -> None:
    assert bench.shown() is None
    with bench.open("old") as staging:
        assert not isinstance(staging, Manifest | Busy)
        parts = list(work(staging, OLD))
        staging.sync()
        assert bench.shown() is None
        digest = staging.publish({}, parts, observed={})
        assert bench.shown() == expected("old", OLD)
        assert bench.store.read_manifest(bench.output).digest == digest


def _all_or_nothing(bench: Bench) -> None:
    """Whatever is raised while parts are gathered, what was published before is still published, whole."""
    bench.publish("old", OLD)

    def ends(parts: Sequence[Part]) -> Iterator[Part]:
        yield parts[0]
        raise KeyboardInterrupt

    def interrupted(staging: Staging) -> None:
        staging.publish({}, ends(list(work(staging, NEW))), observed={})

    with pytest.raises(KeyboardInterrupt):
        bench.run("new", interrupted, "replace")
    assert bench.shown() == expected("old", OLD)
    lost = PartFile("attempts/0/0-" + "0" * 32 + ".parquet.attempt", 3, "0" * 64, 3)

    def without_a_file(staging: Staging) -> None:
        staging.publish({}, [*work(staging, NEW), Part("part-0000009-ff.parquet", lost, {})], observed={})

    with pytest.raises(LogitstreamError):
        bench.run("new", without_a_file, "replace")
    assert bench.shown() == expected("old", OLD)
    bench.publish("new", NEW, "replace")
    assert bench.shown() == expected("new", NEW)


def _manifest_and_receipts_are_read_back(bench: Bench) -> None:
    digest = bench.publish("old", OLD)
    manifest = bench.store.read_manifest(bench.output)
    assert (manifest.digest, manifest.job_id, manifest.parts) == (digest, job_id("old"), 2)
    assert (manifest.bytes, manifest.rows, manifest.quarantines) == (15, 15, 1)
    assert manifest.body["totals"] == {"chunks": 2}
    assert manifest.body["observed"]["seconds"] == 1.5
    with bench.store.open_published(bench.output, CODEC) as published:
        assert [part.receipt for part in published.parts] == [{"chunk": 0}, {"chunk": 1}]
        assert [part.receipt for part in published.parts] == [{"chunk": 0}, {"chunk": 1}]


def _the_first_receipt_of_a_chunk_wins(bench: Bench) -> None:
    bench.stop("old", lambda staging: (do(staging, 0, b"old zero"), do(staging, 0, b"too late")))
    bench.publish("old", OLD)
    assert bench.shown() == expected("old", OLD)


def _a_failed_run_is_resumed(bench: Bench) -> None:
    def one_chunk(staging: Staging) -> None:
        do(staging, 1, OLD["part-0000001-ab.parquet"])
        staging.note_end("stopped", 75)

    bench.stop("old", one_chunk)
    assert bench.shown() is None
    assert bench.store.chunks_done(bench.output, job_id("old")) == 1
    with bench.open("another") as staging:
        assert not isinstance(staging, Manifest | Busy)
        assert list(staging.receipts()) == []
        assert staging.others()
    with bench.open("old") as staging:
        assert not isinstance(staging, Manifest | Busy)
        assert [receipt["chunk"] for receipt in staging.receipts()] == [1]
        do(staging, 0, OLD["part-0000000-aa.parquet"])
        staging.publish({}, [part_of(staging, chunk, name) for chunk, name in enumerate(OLD)], observed={})
    assert bench.shown() == expected("old", OLD)
    # What was staged is gone, also that of other jobs.
    assert bench.store.chunks_done(bench.output, job_id("old")) == 0
    with bench.open("third", "replace") as staging:
        assert not isinstance(staging, Manifest | Busy)
        assert not staging.others()


def _a_receipt_that_its_file_does_not_bear_out_does_not_count(bench: Bench) -> None:
    def forge(staging: Staging) -> None:
        file = write(staging, 0, b"old zero")
        staging.append(entry(0, PartFile(file.path, file.bytes, "0" * 64, file.rows), None))
        staging.append({"chunk": 1, "part": None, "quarantine": None})

    bench.stop("old", forge)
    with bench.open("old") as staging:
        assert not isinstance(staging, Manifest | Busy)
        assert list(staging.receipts()) == []
        with pytest.raises(LookupError):
            staging.receipt(0)


def _the_same_job_is_found(bench: Bench) -> None:
    digest = bench.publish("old", OLD)
    for if_exists in ("fail", "replace"):
        again = bench.publish("old", OLD, if_exists)
        assert isinstance(again, Manifest)
        assert again.digest == digest
    found = bench.store.check_output(
        bench.output, job_id("old"), if_exists="fail", codec=CODEC, is_file=bench.merge is not None
    )
    assert found is not None
    assert found.digest == digest


def _another_job_is_refused_or_replaces(bench: Bench) -> None:
    bench.publish("old", OLD)
    is_file = bench.merge is not None
    with pytest.raises(OutputError):
        bench.store.check_output(bench.output, job_id("new"), if_exists="fail", codec=CODEC, is_file=is_file)
    with pytest.raises(OutputError):
        bench.publish("new", NEW)
    assert bench.shown() == expected("old", OLD)
    bench.publish("new", NEW, "replace")
    assert bench.shown() == expected("new", NEW)


def _busy_while_another_run_holds_it(bench: Bench) -> None:
    with bench.open("old") as staging:
        assert not isinstance(staging, Manifest | Busy)
        with pytest.raises(TemporaryError), bench.open("new"):
            pass
        with bench.open("new", conduct=Conduct(if_running="skip")) as busy:
            assert isinstance(busy, Busy)
        under_way = bench.store.under_way(bench.output)
        assert under_way is not None
        assert under_way.job_id == job_id("old")
    assert bench.store.under_way(bench.output) is None
    bench.publish("new", NEW)


def _attempts_come_back_from_json(bench: Bench) -> None:
    with bench.open("old") as staging:
        assert not isinstance(staging, Manifest | Busy)
        assert pickle.dumps(staging.attempts)
        described = json.loads(json.dumps(staging.attempts.describe()))
        attempts = bench.store.restored(described)
        with attempts.open(0, "parquet") as first, attempts.open(0, "parquet") as second:
            first.file.write(b"one")
            second.file.write(b"other")
            files = first.finish(3), second.finish(5)
        assert files[0].path != files[1].path
        assert [file.sha256 for file in files] == [hashlib.sha256(each).hexdigest() for each in (b"one", b"other")]
        assert [(file.bytes, file.rows) for file in files] == [(3, 3), (5, 5)]
        with pytest.raises(ValueError, match="attempts"):
            bench.store.restored({**described, "store": "another"})


def _a_newer_manifest_is_refused(bench: Bench) -> None:
    bench.publish("old", OLD)
    bench.edit(lambda content: content.replace(b'"version":1}', b'"version":2}'))
    is_file = bench.merge is not None
    with pytest.raises(NewerOutputError, match=r"made by a newer logitstream.*version 2.*version 1"):
        bench.store.read_manifest(bench.output)
    with pytest.raises(NewerOutputError), bench.store.open_published(bench.output, CODEC):
        pass
    for if_exists in ("fail", "replace"):
        for job in ("old", "new"):
            with pytest.raises(NewerOutputError):
                bench.store.check_output(bench.output, job_id(job), if_exists=if_exists, codec=CODEC, is_file=is_file)
            with pytest.raises(NewerOutputError), bench.open(job, if_exists):
                pass
    with pytest.raises(NewerOutputError):
        bench.store.read_manifest(bench.output)


def _what_is_remembered_lasts_until_the_next_run(bench: Bench) -> None:
    def publish(staging: Staging) -> None:
        staging.publish({}, list(work(staging, OLD)), observed={})
        staging.remember(b"for the next one")

    assert bench.store.remembered(bench.output) == b""
    bench.run("old", publish)
    assert bench.store.remembered(bench.output) == b"for the next one"
    assert isinstance(bench.publish("old", OLD), Manifest)
    assert bench.store.remembered(bench.output) == b"for the next one"
    with pytest.raises(KeyError):
        bench.run("new", lambda staging: {}["a failure"], "replace")
    assert bench.store.remembered(bench.output) == b""
    bench.run("new", lambda staging: staging.remember(b""), "replace")
    assert bench.store.remembered(bench.output) == b""
