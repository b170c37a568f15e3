"""What need not be computed: chunks that an earlier run has done, and parts that the published version already has."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from itertools import chain
from typing import Any, cast

import numpy as np

from pipeline.causes import reason_of
from pipeline.flow.preparation import Preparation
from pipeline.plan import Plan, digest_in_name
from pipeline.publish import Part, Staging
from pipeline.types.features import NO_COUNTS, FeatureCounts
from pipeline.types.inputs import Integers
from pipeline.types.outputs import PartFile, Receipt, Written
from pipeline.types.rows import BadCell, SliceAccount
from pipeline.types.work import Outcome

_DIGEST = re.compile(r"[0-9a-f]{16}")
_ACCOUNT, _FILE, _CELL = (tuple(field.name for field in fields(kind)) for kind in (SliceAccount, PartFile, BadCell))


def entry_of(receipt: Receipt) -> dict[str, object]:
    """Return a receipt as it is written to the journal."""
    written = receipt.payload
    return {
        "chunk": receipt.chunk,
        "accounts": [_values(account, _ACCOUNT) for account in receipt.accounts],
        "part": None if written is None else _values(written.part, _FILE),
        "quarantine": None if written is None or written.quarantine is None else _values(written.quarantine, _FILE),
        "events": dict(receipt.events),
        "bad": [[position, _values(cell, _CELL)] for position, cell in receipt.bad],
        "bytes_read": receipt.bytes_read,
        "peak_bytes": receipt.peak_bytes,
        "seconds": receipt.seconds,
        "worker": receipt.worker,
        **_features(receipt.features),
    }


def _features(counts: FeatureCounts) -> dict[str, object]:
    """Return what was counted of the features, nothing where the job has none."""
    return {"features": counts.to_json()} if counts != NO_COUNTS else {}


def part_of(entry: Mapping[str, Any], name: str) -> Part:
    """Return the part to publish under a name, from a receipt of the journal."""
    return Part(name, PartFile(**entry["part"]), _accounts_of(entry), _file(entry["quarantine"]))


def _accounts_of(entry: Mapping[str, Any]) -> dict[str, object]:
    """Return what is published of a receipt and enters the digest of the version: accounts, no times."""
    return {name: entry[name] for name in ("accounts", "events", "features") if name in entry}


def _values(value: object, names: Sequence[str]) -> dict[str, object]:
    return {name: getattr(value, name) for name in names}


def resumed(entries: Iterable[Mapping[str, object]], plan: Plan) -> Iterator[Receipt]:
    """Yield the receipts of a journal that belong to chunks of the plan; skip the others."""
    for entry in entries:
        receipt = _receipt(entry)
        if receipt is not None and receipt.payload is not None and _is_of(receipt, plan):
            yield receipt


def reused(preparation: Preparation, staging: Staging, missing: Integers) -> Iterator[Receipt]:
    """Carry over the published parts that belong to missing chunks; yield their receipts.

    A part belongs to a chunk if its name holds the digest of the chunk, and is intact if its bytes have the digest that
    the manifest lists. All other chunks are left to the workers. Only a few parts and receipts are in memory at a time.
    """
    parts = iter(staging.standing())
    first = next(parts, None)
    if first is None:
        return
    wanted = _Wanted(preparation, missing)
    pairs = ((chunk, part) for part in chain((first,), parts) for chunk in wanted.take(part))
    for chunk, part, files in staging.adopted(pairs):
        receipt = None if files is None else _of_part(chunk, part, files, preparation.plan)
        if receipt is not None:
            yield receipt


class _Wanted:
    """The chunks that are not done, by the digests of their parts: a few bytes for each chunk."""

    def __init__(self, preparation: Preparation, missing: Integers) -> None:
        digests = (int(preparation.part_digest(chunk), 16) for chunk in missing.data)
        found = np.fromiter(digests, np.uint64, len(missing))
        order = np.argsort(found, kind="stable")
        # A view of the numbers is searched in a tenth of the time that numpy takes for a single one.
        self._chunks, self._digests = missing[order], found[order].data
        self._taken = np.zeros(len(missing), dtype=np.bool_)

    def take(self, part: Part) -> Sequence[int]:
        """Return the chunks that a part serves for, each once.

        Files that cannot be told apart have parts of the same digest: one of these parts serves for all their chunks.
        """
        digest = digest_in_name(part.name)
        if not _DIGEST.fullmatch(digest) or not part.receipt.get("accounts"):
            return ()
        wanted = int(digest, 16)
        first, last = bisect_left(self._digests, wanted), bisect_right(self._digests, wanted)
        if first == last or self._taken[first]:
            return ()
        self._taken[first] = True
        return cast("list[int]", self._chunks[first:last].tolist())


def _of_part(chunk: int, part: Part, files: tuple[PartFile, PartFile | None], plan: Plan) -> Receipt | None:
    try:
        slices = plan.chunk(chunk).slices
        accounts: Any = part.receipt["accounts"]
        events: Any = part.receipt.get("events", {})
        counts: Any = part.receipt.get("features")
        return Outcome(
            chunk=chunk,
            accounts=tuple(
                replace(SliceAccount(**account), file=piece.file, start=piece.start, stop=piece.stop)
                for account, piece in zip(accounts, slices, strict=True)
            ),
            payload=Written(*files),
            events={str(name): int(count) for name, count in events.items()},
            bad=(),
            bytes_read=0,
            peak_bytes=0,
            seconds=0.0,
            worker="",
            features=FeatureCounts.from_json(counts, len(slices)),
        )
    except (TypeError, ValueError, AttributeError, LookupError):
        return None


def _receipt(entry: Mapping[str, Any]) -> Receipt | None:
    try:
        part = _file(entry["part"])
        return Outcome(
            chunk=int(entry["chunk"]),
            accounts=tuple(SliceAccount(**account) for account in entry["accounts"]),
            payload=None if part is None else Written(part, _file(entry["quarantine"])),
            events=dict(entry["events"]),
            bad=tuple((int(position), _cell(cell)) for position, cell in entry["bad"]),
            bytes_read=int(entry["bytes_read"]),
            peak_bytes=int(entry["peak_bytes"]),
            seconds=float(entry["seconds"]),
            worker=str(entry["worker"]),
            features=FeatureCounts.from_json(entry.get("features"), len(entry["accounts"])),
        )
    except (TypeError, ValueError, LookupError, AttributeError):
        return None


def _cell(value: Mapping[str, Any]) -> BadCell:
    """Return a cell of an entry; raises an error that :func:`_receipt` catches if another release wrote the entry."""
    cell = BadCell(**{**value, "values": tuple(value["values"])})
    reason_of(cell.cause, cell.values, cell.hint)
    return cell


def _file(value: Mapping[str, Any] | None) -> PartFile | None:
    return None if value is None else PartFile(**value)


def _is_of(receipt: Receipt, plan: Plan) -> bool:
    if not 0 <= receipt.chunk < len(plan):
        return False
    slices = [(piece.file, piece.start, piece.stop) for piece in plan.chunk(receipt.chunk).slices]
    return slices == [(account.file, account.start, account.stop) for account in receipt.accounts]
