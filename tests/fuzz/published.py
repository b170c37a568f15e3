"""Any bytes as the manifest or the receipts of an output: what was published, or the refusal of what is not ours."""

from __future__ import annotations

import gzip
import hashlib
import json
import tempfile
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from pipeline.canonical import canonical, digest
from pipeline.disk import Folder
from pipeline.errors import OutputError
from pipeline.flow.manifest import CODEC
from pipeline.publish import MANIFEST, QUARANTINE, RECEIPTS, Manifest
from pipeline.publish.layout.lists import parts_in
from pipeline.publish.local.published import read_manifest
from tests.fuzz.target import Check, Target, check_refusal, require
from tests.publish.runs import publish

JOB = "fuzz"
KINDS = (OutputError,)


def make_manifest(folder: Path) -> Check:
    """Return the check of one manifest, as it is and once more with a digest that holds."""

    def check(data: bytes) -> None:
        _read(folder, data)
        sealed = _sealed(data)
        if sealed is not None:
            _read(folder, sealed)

    return check


def _read(folder: Path, content: bytes) -> None:
    (folder / MANIFEST).write_bytes(content)
    try:
        manifest = read_manifest(folder)
    except OutputError as error:
        check_refusal(error, str(folder), KINDS)
        return
    require(canonical(manifest.body) + b"\n" == content, "accepted in another spelling")
    require(manifest.digest == manifest.body["digest"], "another digest than the one that was checked")
    numbers = (manifest.parts, manifest.bytes, manifest.rows, manifest.quarantines)
    require(all(type(number) is int and number >= 0 for number in numbers), f"counts of {numbers}")
    require(isinstance(manifest.receipts_sha256, str), "the digest of the receipts is no text")


def _sealed(data: bytes) -> bytes | None:
    """Return the manifest as somebody would forge it who can compute digests."""
    try:
        body = json.loads(data)
        if not isinstance(body, dict):
            return None
        proven = {name: value for name, value in body.items() if name not in {"observed", "digest"}}
        return canonical({**body, "digest": digest(proven)}) + b"\n"
    except (ValueError, RecursionError):
        return None


def make_receipts(folder: Path) -> Check:
    """Return the check of one list of receipts, as text and as it stands in the file, under a digest that holds."""
    publish(folder / "out", JOB, {})
    manifest = read_manifest(folder / "out")

    def check(data: bytes) -> None:
        _list(folder, manifest, data)
        path = folder / RECEIPTS
        with path.open("wb") as file, CODEC.compressed(file) as stream:
            stream.write(data)
        _list(folder, manifest, path.read_bytes())

    return check


def _list(folder: Path, manifest: Manifest, content: bytes) -> None:
    (folder / RECEIPTS).write_bytes(content)
    true = replace(manifest, receipts_sha256=hashlib.sha256(content).hexdigest())
    with Folder.open(folder) as opened:
        try:
            parts = list(parts_in(opened, true, CODEC))
        except OutputError as error:
            check_refusal(error, str(folder), KINDS)
            return
    require(all(one.name < other.name for one, other in pairwise(parts)), "names do not ascend")
    for part in parts:
        require("/" not in part.name and part.name.startswith("part-"), f"a part {part.name!r}")
        require(part.file.bytes >= 0 and part.file.rows >= 0, f"a part of {part.file.bytes} bytes")
        if part.quarantine is not None:
            folder_name, _, name = part.quarantine.path.partition("/")
            require(folder_name == QUARANTINE and "/" not in name, f"a quarantine {part.quarantine.path!r}")


def _contents(count: int) -> dict[str, bytes]:
    return {
        f"part-{number:07d}-{number:08x}.parquet": b"x" * number + b"|bad" * (number % 2) for number in range(count)
    }


def manifest_seeds() -> list[bytes]:
    """Return the manifests of outputs with no, one and several parts."""
    with tempfile.TemporaryDirectory() as folder:
        outputs = [Path(folder) / str(count) for count in (0, 1, 5)]
        for count, output in zip((0, 1, 5), outputs, strict=True):
            publish(output, JOB, _contents(count))
        return [(output / MANIFEST).read_bytes() for output in outputs] + [b"{}\n", b"[1]\n", b"[" * 5000, b"\xff", b""]


def receipts_seeds() -> list[bytes]:
    """Return the receipts of an output as text, and lists that nobody would write."""
    with tempfile.TemporaryDirectory() as folder:
        publish(Path(folder) / "out", JOB, _contents(5))
        lines = gzip.decompress((Path(folder) / "out" / RECEIPTS).read_bytes())
    first, second, *_ = lines.splitlines(keepends=True)
    return [
        lines,
        second + first,
        first + first,
        first.rstrip(b"\n"),
        first.replace(b"part-", b"../part-"),
        first.replace(b'"bytes":0', b'"bytes":-1'),
        b'{"name":"part-a"}\n',
        b"[" * 5000 + b"\n",
        b"\n\n",
        b"",
    ]


TOKENS = (
    b'"name":', b'"bytes":', b'"sha256":', b'"rows":', b'"receipt":', b'"digest":', b'"job_id":', b'"parts":',
    b'"receipts":', b'"version":1', b"null", b"-1", b"1e400", b"[]", b"{}", b"NaN", b"\\ud800", b"9" * 40,
)  # fmt: skip
TARGETS = [
    Target("manifest", make_manifest, manifest_seeds, TOKENS),
    Target("receipts", make_receipts, receipts_seeds, TOKENS),
]
