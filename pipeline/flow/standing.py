"""What need not be computed: chunks that an earlier try has done, and parts that the published version already has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import chain
from typing import Any

from pipeline import memory
from pipeline.flow.preparation import Preparation
from pipeline.plan import Plan, digest_in_name
from pipeline.publish import Part, Staging
from pipeline.types import BadCell, PartFile, Receipt, SliceAccount


def resumed(entries: Iterable[Mapping[str, object]], plan: Plan) -> Iterator[Receipt]:
    """Yield the receipts of a journal that stand for chunks of the plan; others are passed over."""
    for entry in entries:
        receipt = _receipt(entry)
        if receipt is not None and receipt.part is not None and _is_of(receipt, plan):
            yield receipt


def reused(preparation: Preparation, staging: Staging, missing: Sequence[int]) -> Iterator[Receipt]:
    """Take over the parts of the published version that stand for missing chunks; yield their receipts in order.

    A part is one of ours if its name holds the digest of the chunk, and intact if its bytes have the digest that the
    manifest lists; what is not is left for the workers.
    """
    wanted: dict[str, list[int]] = {}
    parts = iter(staging.standing())
    first = next(parts, None)
    if first is None:
        return
    for chunk in missing:
        wanted.setdefault(preparation.part_digest(chunk), []).append(chunk)
    found: dict[int, Part] = {}
    for part in chain((first,), parts):
        # Files that nothing tells apart have parts of the same digest: one for each chunk, whichever it is.
        for chunk in wanted.get(digest_in_name(part.name), ()) if part.receipt.get("accounts") else ():
            found.setdefault(chunk, part)
    pairs = sorted(found.items())
    with ThreadPoolExecutor(max(1, memory.usable_cores()), "logitstream-reuse") as pool:
        adopted = pool.map(lambda pair: staging.adopt(*pair), pairs)
        for (chunk, part), files in zip(pairs, adopted, strict=True):
            receipt = None if files is None else _of_part(chunk, part, files, preparation.plan)
            if receipt is not None:
                yield receipt


def _of_part(chunk: int, part: Part, files: tuple[PartFile, PartFile | None], plan: Plan) -> Receipt | None:
    try:
        slices = plan.chunk(chunk).slices
        accounts: Any = part.receipt["accounts"]
        events: Any = part.receipt.get("events", {})
        return Receipt(
            chunk=chunk,
            accounts=tuple(
                replace(SliceAccount(**account), file=piece.file, start=piece.start, stop=piece.stop)
                for account, piece in zip(accounts, slices, strict=True)
            ),
            part=files[0],
            quarantine=files[1],
            events={str(name): int(count) for name, count in events.items()},
            bad=(),
            bytes_read=0,
            peak_bytes=0,
            seconds=0.0,
            worker="",
        )
    except (TypeError, ValueError, AttributeError):
        return None


def _receipt(entry: Mapping[str, Any]) -> Receipt | None:
    try:
        return Receipt(
            chunk=int(entry["chunk"]),
            accounts=tuple(SliceAccount(**account) for account in entry["accounts"]),
            part=_file(entry["part"]),
            quarantine=_file(entry["quarantine"]),
            events=dict(entry["events"]),
            bad=tuple((int(position), BadCell(**cell)) for position, cell in entry["bad"]),
            bytes_read=int(entry["bytes_read"]),
            peak_bytes=int(entry["peak_bytes"]),
            seconds=float(entry["seconds"]),
            worker=str(entry["worker"]),
        )
    except (TypeError, ValueError, LookupError):
        return None


def _file(value: Mapping[str, Any] | None) -> PartFile | None:
    return None if value is None else PartFile(**value)


def _is_of(receipt: Receipt, plan: Plan) -> bool:
    if not 0 <= receipt.chunk < len(plan):
        return False
    slices = [(piece.file, piece.start, piece.stop) for piece in plan.chunk(receipt.chunk).slices]
    return slices == [(account.file, account.start, account.stop) for account in receipt.accounts]
