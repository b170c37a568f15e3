"""The scenes of an output that is one file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pipeline.choices import IfExists
from pipeline.errors import OutputError
from pipeline.publish import Manifest, Part, Staging
from pipeline.publish.local.listing import versions_of
from pipeline.publish.local.published import open_published
from pipeline.publish.local.restoring import rollback
from pipeline.types.job import Conduct
from tests.publish.runs import CODEC, data_of, files_of, home, job_id, names, publish
from tests.publish.scenes import KEEP_TWO, NEW, OLD, OLDER, Scene

USUAL = Conduct()
# As the old version in every row that is not quarantined.
ALIKE = {"part-0000000-ca.parquet": b"old zero|bad zero", "part-0000001-cb.parquet": b"old one"}
CONTENTS = {"older": OLDER, "old": OLD, "new": NEW, "alike": ALIKE}


def joined(parts: Iterable[BinaryIO], file: BinaryIO, rows: int) -> None:
    """Merge parts in which a byte is a row."""
    found = 0
    for part in parts:
        content = part.read()
        found += file.write(content)
    assert found == rows


def merged(contents: Mapping[str, bytes]) -> bytes:
    """Return the file that is made from parts with these contents."""
    return b"".join(content.partition(b"|")[0] for content in contents.values())


def sha256(contents: Mapping[str, bytes]) -> str:
    return hashlib.sha256(merged(contents)).hexdigest()


def publish_file(output: Path, job: str, if_exists: IfExists = "fail", conduct: Conduct = USUAL) -> Manifest | str:
    return publish(output, job, CONTENTS[job], if_exists, conduct=conduct, merge=joined)


def quarantines(contents: Mapping[str, bytes]) -> dict[str, bytes]:
    return {name: content for name, content in files_of(contents).items() if name.startswith("_quarantine")}


@dataclass(frozen=True)
class FileScene(Scene):
    """``after`` and ``before`` are the contents of the parts that the file is made from."""

    def state(self, output: Path) -> object:
        """Return the bytes of the file, and the job that made them."""
        if not output.exists():
            return None
        with open_published(output, CODEC) as published:
            assert published.manifest is not None, published.defects
            return output.read_bytes(), published.manifest.job_id

    def shows(self, output: Path, contents: Mapping[str, bytes] | None) -> bool:
        job = next(name for name, known in CONTENTS.items() if known is contents)
        with suppress(OutputError):
            return self.state(output) == (merged(contents or {}), job_id(job))
        return False

    def wrong_afterwards(self, output: Path) -> list[str]:
        wrong = []
        kept = [CONTENTS[job] for job in self.kept]
        versions = versions_of(output)
        if [(version.job_id, version.name.partition("-")[2]) for version in versions] != [
            (job_id(job), job_id(job)) for job in self.kept
        ]:
            wrong.append(f"kept: {versions}")
        for version, content in zip(versions, kept, strict=False):
            if data_of(home(output) / "versions" / version.name) != {f"{sha256(content)}.kept": merged(content)}:
                wrong.append(f"{version.name} does not hold its file alone")
        proven = {sha256(content): content for content in (self.after, *kept)}
        if names(home(output) / "files") != sorted(proven):
            wrong.append(f"proofs: {names(home(output) / 'files')}")
        for digest, content in proven.items():
            if data_of(home(output) / "files" / digest) != quarantines(content):
                wrong.append(f"{digest} holds {names(home(output) / 'files' / digest)}")
        if left := names(home(output) / "jobs"):
            wrong.append(f"staging is left: {left}")
        return wrong


def _nothing(output: Path) -> None:
    return


def _old(output: Path) -> None:
    publish_file(output, "old")


def _old_and_older(output: Path) -> None:
    publish_file(output, "older")
    publish_file(output, "old", "replace", KEEP_TWO)


def _alike_and_new(output: Path) -> None:
    publish_file(output, "alike")
    publish_file(output, "new", "replace")


def _stopped(output: Path) -> None:
    """A run of the new job that journalled every chunk, merged nothing, and ended."""
    publish_file(output, "old")

    def stop(_: Staging, parts: list[Part]) -> Iterator[Part]:
        yield parts[0]
        raise KeyboardInterrupt

    with suppress(KeyboardInterrupt):
        publish(output, "new", NEW, "replace", stop, merge=joined)


def _new(output: Path) -> object:
    return publish_file(output, "new", "replace")


def _new_keeping_two(output: Path) -> object:
    return publish_file(output, "new", "replace", KEEP_TWO)


def _alike(output: Path) -> object:
    return publish_file(output, "alike", "replace")


def _old_replacing(output: Path) -> object:
    return publish_file(output, "old", "replace", KEEP_TWO)


def _old_and_new(output: Path) -> None:
    _old(output)
    _new(output)


def _removed(output: Path) -> None:
    _old_and_new(output)
    output.unlink()


def _rolled(output: Path) -> object:
    return rollback(output, codec=CODEC)


def _restored(output: Path) -> object:
    """Roll back if nothing is published; else find that the job is published."""
    return _old_replacing(output) if output.exists() else rollback(output, codec=CODEC)


FILE_SCENES: dict[str, Scene] = {
    "file, fresh": FileScene(_nothing, _new, None, NEW),
    "file, replace": FileScene(_old, _new, OLD, NEW, ("old",)),
    "file, keep": FileScene(_old_and_older, _new_keeping_two, OLD, NEW, ("old", "older")),
    "file, resume": FileScene(_stopped, _new, OLD, NEW, ("old",)),
    "file, alike": FileScene(_old, _alike, OLD, ALIKE),
    "file, again": FileScene(_alike_and_new, _old_replacing, NEW, OLD, ("new", "old")),
    "file, removed": FileScene(_removed, _restored, None, OLD),
    "file, rollback": FileScene(_old_and_new, _rolled, NEW, OLD, ("new",), toggles=True),
}
