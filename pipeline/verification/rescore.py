"""The job of a published output, made again from its manifest: its inputs as they are now, its chunks scored again."""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from pipeline import models
from pipeline.canonical import sha256
from pipeline.errors import ConfigurationError, DataError, InputMissingError, UsageError
from pipeline.flow.facts import gather_facts
from pipeline.flow.jobfile import csv_options
from pipeline.flow.preparation import Preparation, prepare
from pipeline.flow.task import ChunkTask
from pipeline.kernels import arithmetic_tag
from pipeline.plan import identity_of
from pipeline.publish import Manifest, Part
from pipeline.sources import discover, source_for
from pipeline.types.job import BadLimit, Job
from pipeline.types.outputs import PartFile
from pipeline.types.rows import SliceAccount
from pipeline.types.work import Work
from pipeline.units import escape, format_count

Found = tuple[str, str, str, str]


def input_states(output: Path, manifest: Manifest) -> list[list[object]]:
    """Return the inputs as they are now, as the manifest states them, where it says that they were.

    An argument under which nothing is found any more has no input.

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
    found = gather_facts(files, lambda file: source_for(file.format, csv), full=full)
    return [identity_of(facts.file, facts.identity) for facts in found]


def _is_there(argument: str) -> bool:
    try:
        discover((argument,))
    except InputMissingError:
        return False
    return True


def scored_again(output: Path, manifest: Manifest, parts: Iterable[Part], count: int) -> Iterator[Found]:
    """Score chunks chosen at random again, and yield (part, what, expected, found) where the bytes differ.

    Raises
    ------
    ConfigurationError
        The arithmetic of this machine is another one.
    UsageError
        The manifest does not describe the function that made the output.
    DataError
        The inputs are not those of the output.
    """
    chosen = frozenset(random.SystemRandom().sample(range(manifest.parts), count))
    with tempfile.TemporaryDirectory(prefix="logitstream-verify-") as scratch:
        staging = Path(scratch)
        preparation = _preparation(output, manifest, staging / "output")
        if preparation.job_id != manifest.job_id:
            raise DataError(
                f"{escape(str(output), 1000)}: the inputs have changed since, so no chunk can be scored again",
                "see what has changed with verify --inputs",
            )
        (staging / "attempts").mkdir()
        job_file = preparation.job_file(staging, 0o600)
        content = replace(job_file, durable=False).to_bytes()
        path = staging / "job.json"
        path.write_bytes(content)
        task = ChunkTask(str(path), sha256(content))
        for chunk, part in enumerate(parts):
            if chunk in chosen:
                yield from _compared(task, chunk, part)


def _compared(task: ChunkTask, chunk: int, part: Part) -> Iterator[Found]:
    accounts = [SliceAccount(**account) for account in cast("Sequence[Any]", part.receipt["accounts"])]
    receipt = task(Work(chunk, accounts[0].begin or None))
    pairs: list[tuple[str, PartFile | None, PartFile | None]] = [
        ("scored again", part.file, receipt.payload.part if receipt.payload else None),
        ("set aside again", part.quarantine, receipt.payload.quarantine if receipt.payload else None),
    ]
    for what, expected, found in pairs:
        if (expected and expected.sha256) != (found and found.sha256):
            yield part.name, what, _shown(expected), _shown(found)


def _shown(file: PartFile | None) -> str:
    return "no file" if file is None else f"{file.sha256[:16]}, {format_count(file.rows)} rows"


def _preparation(output: Path, manifest: Manifest, elsewhere: Path) -> Preparation:
    """Return the job of an output, to be written elsewhere: what stands under its own name may be damaged."""
    options, plan = _options(manifest), cast("Mapping[str, Any]", manifest.body["plan"])
    description = cast("Mapping[str, Any] | None", manifest.body["block"])
    if description is None or "function" not in description:
        raise UsageError(
            f"{escape(str(output), 1000)} was made by an expression, which its manifest does not describe",
            "verify it without --sample",
        )
    block = models.restore(description)
    here = arithmetic_tag(block.precision)
    if here != options["arithmetic"]:
        raise ConfigurationError(
            f"this machine computes with {here}, the output was made with {options['arithmetic']}: bits would differ",
            "score again on such a machine, or make outputs with --precision reproducible",
        )
    return prepare(
        Job(
            inputs=tuple(_arguments(output, manifest)),
            output=str(elsewhere),
            block=block,
            keep=tuple(options["keep"]),
            csv=csv_options(options["csv"]),
            format=options["format"],
            compression=options["compression"],
            if_exists="replace",
            allow_empty=True,
            chunk_size=plan["chunk_size"],
            limit=plan["limit"],
            scheduler="sync",
            arithmetic=here,
            max_bad=BadLimit(rows=None, share=1.0),
            fingerprint=options["fingerprint"],
        )
    )


def _options(manifest: Manifest) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", manifest.body["options"])


def _arguments(output: Path, manifest: Manifest) -> list[str]:
    """Return the INPUT arguments, which the manifest notes as they lie from the folder of the output."""
    observed = cast("Mapping[str, Any]", manifest.body["observed"])
    parent = os.path.realpath(output.parent)
    return [os.path.normpath(f"{parent}/{argument}") for argument in cast("Sequence[str]", observed.get("inputs", ()))]
