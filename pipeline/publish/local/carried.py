"""The receipts of a journal that still count: those whose files are intact."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeGuard

from pipeline.disk import Folder
from pipeline.errors import LogitstreamError
from pipeline.publish.layout.proof import checked, proven
from pipeline.publish.local.places import JournalPlaces
from pipeline.publish.record.names import ATTEMPT_PATH
from pipeline.types.outputs import PartFile

Replayed = tuple[Mapping[str, object], int]


def intact_receipts(receipts: Iterable[Replayed], attempts: Folder) -> Iterator[Replayed]:
    """Iterate over the receipts whose files are all as they were written, one for each chunk.

    Each comes, and is yielded, with its place in the journal. Of several for a chunk the first one counts. A receipt
    without a part, from a task that gave up, does not count, nor does one that names anything but attempts.
    """
    done = JournalPlaces()

    def candidates() -> Iterator[tuple[int, Replayed, tuple[PartFile, ...]]]:
        for receipt, place in receipts:
            chunk, files = _chunk_of(receipt), _files(receipt)
            if chunk is not None and files and chunk not in done:
                yield chunk, (receipt, place), files

    def intact(candidate: tuple[int, Replayed, tuple[PartFile, ...]]) -> bool:
        return all(_is_intact(attempts, file) for file in candidate[2])

    for (chunk, found, _), good in checked(candidates(), intact):
        if good and chunk not in done:
            done.put(chunk, found[1])
            yield found


def _is_intact(attempts: Folder, file: PartFile) -> bool:
    path = ATTEMPT_PATH.fullmatch(file.path)
    if path is None:
        return False
    # What cannot be read or synced is useless: the chunk is computed again, into another file.
    try:
        with attempts.enter(path.group(1)) as bucket:
            return proven(bucket, path.group(2), file) is not None
    except LogitstreamError:
        return False


def _chunk_of(receipt: Mapping[str, object]) -> int | None:
    chunk = receipt.get("chunk")
    return chunk if _is_count(chunk) else None


def _files(receipt: Mapping[str, object]) -> tuple[PartFile, ...]:
    """Return the files of a receipt; none if its chunk was not done."""
    part, quarantine = receipt.get("part"), receipt.get("quarantine")
    files = [_file(facts) for facts in (part, quarantine) if facts is not None]
    if part is None or None in files:
        return ()
    return tuple(file for file in files if file is not None)


def _file(facts: object) -> PartFile | None:
    if not isinstance(facts, Mapping):
        return None
    path, size, sha256, rows = (facts.get(name) for name in ("path", "bytes", "sha256", "rows"))
    if not isinstance(path, str) or not isinstance(sha256, str) or not _is_count(size) or not _is_count(rows):
        return None
    return PartFile(path, size, sha256, rows)


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
