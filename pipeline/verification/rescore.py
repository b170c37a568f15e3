"""The job of a published output, rebuilt from its manifest: its inputs as they are now, its chunks scored again."""

from __future__ import annotations

import os
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from pipeline import models
from pipeline.choices import ABSENT
from pipeline.errors import ConfigurationError, DataError, InputMissingError, UsageError
from pipeline.flow.manifest import beside_in, format_version
from pipeline.flow.preparation import Preparation, prepare
from pipeline.flow.write import digest_again
from pipeline.models.blocks import arithmetic_of
from pipeline.plan import FORMAT_VERSION, identity_of
from pipeline.publish import Manifest, Part
from pipeline.scan import csv_options, discover, gather_facts, open_scan
from pipeline.types.blocks import HasArithmetic
from pipeline.types.job import BadLimit, Job
from pipeline.types.outputs import PartFile, Receipt
from pipeline.types.rows import SliceAccount
from pipeline.units import escape, format_count

Found = tuple[str, str, str, str]


def input_states(output: Path, manifest: Manifest) -> list[list[object]]:
    """Return the inputs as they are now, in the form of the manifest, read where it says that they were.

    An INPUT argument that no longer finds anything has no inputs.

    Raises
    ------
    DataError
        A file is no longer of its kind.
    """
    options = _options(manifest)
    csv = csv_options(options["csv"])
    there = [argument for argument in _arguments(output, manifest) if _is_there(argument)]
    files = discover(there).files
    full = options["fingerprint"] == "full"
    found = gather_facts(files, csv, full=full)
    return [identity_of(facts.file, facts.identity) for facts in found]


def _is_there(argument: str) -> bool:
    try:
        discover((argument,))
    except InputMissingError:
        return False
    return True


def check_version(output: Path, manifest: Manifest) -> None:
    """Refuse an output whose answers are not those that this logitstream gives.

    Raises
    ------
    ConfigurationError
        An older logitstream, or a newer one, made it.
    """
    version = format_version(manifest)
    if version == FORMAT_VERSION:
        return
    is_older = version < FORMAT_VERSION
    raise ConfigurationError(
        f"{escape(str(output), 1000)} was made by {'an older' if is_older else 'a newer'} logitstream, "
        "whose answers may differ: no chunk is scored again",
        f"run verify without --sample, or {'score the inputs anew' if is_older else 'update logitstream'}",
    )


def scored_again(output: Path, manifest: Manifest, parts: Iterable[Part], count: int) -> Iterator[Found]:
    """Score randomly chosen chunks again, and yield (part, what, expected, found) where the bytes differ.

    Nothing is written: the bytes that would be written are digested.

    Raises
    ------
    ConfigurationError
        This machine has another arithmetic than the one that made the output.
    UsageError
        The manifest does not describe the function that made the output.
    DataError
        The inputs are not those of the output.
    """
    preparation = _preparation(output, manifest)
    if preparation.job_id != manifest.job_id:
        raise DataError(
            f"{escape(str(output), 1000)}: the inputs have changed since then, so no chunk can be scored again",
            "run verify --inputs to see what has changed",
        )
    chosen = frozenset(random.SystemRandom().sample(range(manifest.parts), count))
    expected = {chunk: part for chunk, part in enumerate(parts) if chunk in chosen}
    found = _receipts(preparation, expected)
    for chunk, part in expected.items():
        yield from _compared(part, found[chunk])


def _receipts(preparation: Preparation, expected: Mapping[int, Part]) -> dict[int, Receipt]:
    """Score chunks again from where the published receipts say that they begin; return the new receipts."""
    scan = preparation.scan
    for chunk, part in expected.items():
        scan.begins[chunk] = _begin(part) if scan.plan.continues(chunk) else 0
    found: dict[int, Receipt] = {}

    def keep(receipt: Receipt) -> None:
        found[receipt.chunk] = receipt

    others = np.array([chunk for chunk in range(len(scan.plan)) if chunk not in expected], dtype=np.int64)
    with open_scan(scan, preparation.settings().to_json()) as opened:
        agenda = opened.agenda(keep)
        agenda.leave_out(others)
        opened.run(digest_again, agenda)
        agenda.require_complete()
    return found


def _begin(part: Part) -> int:
    accounts = cast("Sequence[Mapping[str, Any]]", part.receipt["accounts"])
    return SliceAccount(**accounts[0]).begin


def _compared(part: Part, receipt: Receipt) -> Iterator[Found]:
    written = receipt.payload
    pairs: list[tuple[str, PartFile | None, PartFile | None]] = [
        ("scored again", part.file, None if written is None else written.part),
        ("set aside again", part.quarantine, None if written is None else written.quarantine),
    ]
    for what, expected, found in pairs:
        if (expected and expected.sha256) != (found and found.sha256):
            yield part.name, what, _shown(expected), _shown(found)


def _shown(file: PartFile | None) -> str:
    return "no file" if file is None else f"{file.sha256[:16]}, {format_count(file.rows)} rows"


def _preparation(output: Path, manifest: Manifest) -> Preparation:
    """Return the job of an output, prepared without looking at the output, which may be damaged."""
    options, plan = _options(manifest), cast("Mapping[str, Any]", manifest.body["plan"])
    description = cast("Mapping[str, Any] | None", manifest.body["block"])
    if description is None or "function" not in description:
        raise UsageError(
            f"{escape(str(output), 1000)} was made by an expression, which its manifest does not describe",
            "run verify without --sample",
        )
    block = models.restore(description, beside_in(manifest, output))
    here = arithmetic_of(block, block.precision)
    if here != options["arithmetic"]:
        others = "" if isinstance(block, HasArithmetic) else ", or score with --precision reproducible from now on"
        raise ConfigurationError(
            f"this machine computes with {here}, but the output was made with {options['arithmetic']}: "
            "the bits would differ",
            f"run verify on such a machine{others}",
        )
    return prepare(
        Job(
            inputs=tuple(_arguments(output, manifest)),
            output=str(output),
            block=block,
            keep=tuple(options["keep"]),
            absent=ABSENT.check(options.get("absent", "error")),
            rename=tuple(options.get("rename", {}).items()),
            csv=csv_options(options["csv"]),
            format=options["format"],
            compression=options["compression"],
            if_exists="replace",
            allow_empty=True,
            chunk_size=plan["chunk_size"],
            limit=plan["limit"],
            arithmetic=here,
            max_bad=BadLimit(rows=None, share=1.0),
            fingerprint=options["fingerprint"],
        ),
        staged=False,
    )


def _options(manifest: Manifest) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", manifest.body["options"])


def _arguments(output: Path, manifest: Manifest) -> list[str]:
    """Return the INPUT arguments, which the manifest notes relative to the folder of the output."""
    observed = cast("Mapping[str, Any]", manifest.body["observed"])
    parent = os.path.realpath(output.parent)
    return [os.path.normpath(f"{parent}/{argument}") for argument in cast("Sequence[str]", observed.get("inputs", ()))]
