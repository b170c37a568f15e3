"""Checking a published output against its manifest, its inputs against their identities, and its scores once more.

Nothing is written, and nothing is locked.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from pipeline import disk, memory
from pipeline.choices import Format
from pipeline.dataclass import dataclass
from pipeline.errors import (
    InputMissingError,
    LogitstreamError,
    NewerOutputError,
    OutputError,
    TemporaryError,
    UsageError,
)
from pipeline.flow.logical import written_type
from pipeline.flow.manifest import CODEC, COUNTS
from pipeline.publish import (
    LOCAL,
    QUARANTINE_SUFFIX,
    RECEIPTS,
    Manifest,
    Part,
    PublishedOutput,
    checked,
)
from pipeline.scan import batches, gather_facts, whole
from pipeline.types.features import FeatureCounts
from pipeline.types.inputs import CsvOptions, InputFile, Need
from pipeline.types.outputs import PartFile
from pipeline.types.rows import SliceAccount
from pipeline.types.tabular import Summary, Tabular
from pipeline.units import escape, format_bytes, format_count
from pipeline.verification.rescore import check_version, input_states, scored_again

_TRIES = 3
_CHANGED = "time of change"
_STATE = ("size", _CHANGED, "digest of its ends", "digest of all bytes", "partitions")


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as the manifest says. ``subject`` names a file, a chunk or an account.

    ``of_input`` says that an input has changed, while the output itself may be intact.
    """

    subject: str
    what: str
    expected: str
    found: str
    of_input: bool = False


@dataclass(frozen=True, slots=True, repr=False)
class Verification(Tabular):
    """What was checked, and what differs: nothing, where the output is what was published.

    ``inputs`` and ``chunks_scored`` are 0 where they were not asked for.
    """

    output: str
    job_id: str
    manifest_digest: str
    parts: int
    rows: int
    bytes: int
    inputs: int
    chunks_scored: int
    differences: tuple[Difference, ...]

    @property
    def as_published(self) -> bool:
        """Whether the output itself is what was published, even if its inputs have changed."""
        return all(each.of_input for each in self.differences)

    @property
    def inputs_changed(self) -> int:
        """How many inputs are not what they were, gone or new ones among them."""
        return len({each.subject for each in self.differences if each.of_input})

    def _summary(self) -> Summary:
        facts = [
            ("output", self.output),
            ("as published", "yes" if self.as_published else "no"),
            ("rows", f"{format_count(self.rows)}, {format_bytes(self.bytes)}"),
            ("parts", format_count(self.parts)),
            ("inputs", f"{format_count(self.inputs)} compared, {format_count(self.inputs_changed)} changed"),
            ("chunks scored again", format_count(self.chunks_scored)),
        ]
        rows = [(each.subject, each.what, each.expected, each.found) for each in self.differences]
        return Summary(facts, ("subject", "what", "expected", "found"), rows)


def verify(output: str | os.PathLike[str], *, inputs: bool = False, sample: int = 0) -> Verification:
    """Check a published output, byte for byte.

    Every file is read whole: size, SHA-256, page checksums, rows and schema are those that the manifest lists, and the
    accounts balance. A damaged manifest counts as a difference too. If a run replaces the output meanwhile, the new
    version is checked instead.

    Parameters
    ----------
    output : path
        A folder or a file that a run published.
    inputs : bool
        Also compare the inputs, at their places when the output was made, with their identities in the manifest.
    sample : int
        Score this many randomly chosen chunks again and compare the bytes. The inputs must still be there.

    Raises
    ------
    InputMissingError
        There is no such output.
    OutputError
        It was not published by logitstream.
    ConfigurationError
        ``sample`` is given, but the output was made by an older logitstream, whose answers may differ, or this machine
        computes with another arithmetic than the output was made with.
    UsageError
        ``sample`` is given, but the manifest does not describe the function that made the output.
    TemporaryError
        The output was replaced over and over while it was checked.
    """
    path = Path(output)
    if not os.path.lexists(path):
        raise InputMissingError(f"there is no output {escape(str(path), 1000)}", "check the path")
    for _ in range(_TRIES):
        found = _verified(path, inputs, sample)
        if not found.differences or not _was_replaced(path, found.manifest_digest):
            return found
    raise TemporaryError(
        f"{escape(str(path), 1000)} was replaced again and again while it was checked",
        "run verify again when no run is under way",
    )


def _was_replaced(path: Path, digest: str) -> bool:
    """Return whether another version is there now: then the differences say nothing about either version."""
    try:
        return LOCAL.read_manifest(path).digest != digest
    except NewerOutputError:
        return True
    except LogitstreamError:
        return False


def _verified(path: Path, inputs: bool, sample: int) -> Verification:
    with LOCAL.open_published(path, CODEC) as published:
        manifest, parts = published.manifest, published.parts
        found = [Difference(*defect) for defect in published.defects]
        if manifest is None:
            return Verification(str(path), "", "", 0, 0, 0, 0, 0, tuple(found))
        if (inputs or sample) and not manifest.body["inputs"]:
            raise UsageError(
                f"{escape(str(path), 1000)} was made from a stream: there are no inputs to compare or score again",
                "run verify without --inputs and --sample",
            )
        if sample:
            check_version(path, manifest)
        if parts or not manifest.parts:
            try:
                found += _files(published, manifest)
                found += _balance(manifest, parts)
            except OutputError as error:
                # They were whole a moment ago.
                found.append(Difference(RECEIPTS, "content", "as it was written", error.message))
        changed = list(_inputs(path, manifest)) if inputs else []
        found += changed
        # Nothing can be scored again from changed inputs, but the change itself is reported.
        sample = min(sample, manifest.parts) if parts and not changed else 0
        if sample:
            found += [Difference(*each) for each in scored_again(path, manifest, parts, sample)]
    return Verification(
        output=str(path),
        job_id=manifest.job_id,
        manifest_digest=manifest.digest,
        parts=manifest.parts,
        rows=manifest.rows,
        bytes=manifest.output_bytes,
        inputs=len(cast("Sequence[Any]", manifest.body["inputs"])) if inputs else 0,
        chunks_scored=sample,
        differences=tuple(found),
    )


def _files(published: PublishedOutput, manifest: Manifest) -> Iterator[Difference]:
    """Yield what differs in the files, each read whole, several at a time."""
    options = cast("Mapping[str, Any]", manifest.body["options"])
    schema = cast("Sequence[Mapping[str, Any]]", manifest.body["schema"])
    check = _FileCheck(published, options["format"], tuple((f["name"], f["type"], f["nullable"]) for f in schema))
    for _, differences in checked(published.files(), check, max(1, memory.usable_cores())):
        yield from differences


@dataclass(frozen=True, slots=True)
class _FileCheck:
    """Compares a listed file with what the manifest says of it."""

    published: PublishedOutput
    format: Format
    schema: tuple[tuple[str, str, bool], ...]

    def __call__(self, listed: tuple[str, PartFile]) -> list[Difference]:
        """Return what differs in one listed file; a quarantine is Parquet whatever the parts are."""
        name, file = listed
        path = self.published.folder / name
        status = disk.facts(path, follow_links=False)
        if status is None:
            return [Difference(name, "file", "there", "missing")]
        if not stat.S_ISREG(status.st_mode):
            return [Difference(name, "file", "a regular file", "something else")]
        differences = []
        if status.st_size != file.bytes:
            differences.append(Difference(name, "size", f"{file.bytes:,} bytes", f"{status.st_size:,} bytes"))
        try:
            digest = disk.file_sha256(path)
        except OSError as error:
            return [*differences, Difference(name, "content", "readable", error.strerror or "unreadable")]
        if digest != file.sha256:
            differences.append(Difference(name, "sha256", file.sha256[:16], digest[:16]))
        is_part = not name.endswith(QUARANTINE_SUFFIX)
        try:
            rows, schema = _read(name, path, self.format if is_part else "parquet")
        except LogitstreamError as error:
            return [*differences, Difference(name, "content", "readable", error.message)]
        if rows != file.rows:
            differences.append(Difference(name, "rows", format_count(file.rows), format_count(rows)))
        if is_part:
            differences += self._schema_differences(name, schema)
        return differences

    def _schema_differences(self, name: str, found: Sequence[tuple[str, str, bool]]) -> Iterator[Difference]:
        # A CSV file only tells the names.
        expected = [field if self.format == "parquet" else (field[0], "", False) for field in self.schema]
        actual = [field if self.format == "parquet" else (field[0], "", False) for field in found]
        if expected != actual:
            yield Difference(name, "schema", _shown_schema(expected), _shown_schema(actual))


def _shown_schema(fields: Sequence[tuple[str, str, bool]]) -> str:
    return ", ".join(f"{escape(name)}{f': {kind}' if kind else ''}{'?' if null else ''}" for name, kind, null in fields)


def _read(name: str, path: Path, format_: Format) -> tuple[int, list[tuple[str, str, bool]]]:
    """Return the rows of a file, every page of it read and its checksum compared, and its fields."""
    (facts,) = gather_facts([InputFile(name, str(path), 0, format_)], CsvOptions())
    needs = [Need(column.field.name, "kept") for column in facts.columns]
    rows = sum(
        batch.data.num_rows + len(batch.bad) for batch in batches(facts.file, facts.identity, whole(facts), needs)
    )
    return rows, [(each.field.name, str(written_type(each)), each.field.nullable) for each in facts.columns]


def _balance(manifest: Manifest, parts: Iterable[Part]) -> Iterator[Difference]:
    """Yield the accounts that do not balance: slice by slice, chunk by chunk, and in all."""
    sums: Counter[str] = Counter()
    features = FeatureCounts()
    for part in parts:
        accounts = [SliceAccount(**account) for account in cast("Sequence[Any]", part.receipt["accounts"])]
        counts = cast("Any", part.receipt.get("features"))
        features = features.plus(FeatureCounts.from_json(counts, len(accounts)))
        for account in accounts:
            if account.read != account.written + account.quarantined or account.scored < 0:
                balance = f"{account.written:,} written + {account.quarantined:,} quarantined"
                yield Difference(part.name, "balance", f"{account.read:,} rows read", balance)
            for name in COUNTS:
                sums[name] += getattr(account, name)
        set_aside = part.quarantine.rows if part.quarantine else 0
        files = (("rows written", part.file.rows, "written"), ("rows set aside", set_aside, "quarantined"))
        for what, file_rows, name in files:
            booked = sum(getattr(account, name) for account in accounts)
            if booked != file_rows:
                yield Difference(part.name, what, format_count(booked), format_count(file_rows))
    totals = cast("Mapping[str, Any]", manifest.body["totals"])
    for name in COUNTS:
        if sums[name] != totals[name]:
            yield Difference("totals", name, format_count(totals[name]), format_count(sums[name]))
    if "features" in totals and FeatureCounts.from_json(totals["features"]) != features.without_spellings():
        yield Difference("totals", "features", "the sum of the receipts", "another number")


def _inputs(path: Path, manifest: Manifest) -> Iterator[Difference]:
    """Yield the inputs that have changed."""
    listed = _numbered(cast("Sequence[Any]", manifest.body["inputs"]))
    found = _numbered(input_states(path, manifest))
    for key, state in listed.items():
        name = escape(key[0], 1000)
        if key not in found:
            yield Difference(name, "input", "there", "missing", of_input=True)
            continue
        for what, expected, actual in zip(_STATE, state, found[key], strict=True):
            if expected != actual:
                shown = _time if what == _CHANGED else _shown
                yield Difference(name, what, shown(expected), shown(actual), of_input=True)
    for key in found.keys() - listed.keys():
        yield Difference(escape(key[0], 1000), "input", "not among the inputs", "there", of_input=True)


def _numbered(states: Sequence[Sequence[Any]]) -> dict[tuple[str, int], Sequence[Any]]:
    """Return the states by path and how many of the same path came before: two arguments may hold like names."""
    seen: Counter[str] = Counter()
    numbered: dict[tuple[str, int], Sequence[Any]] = {}
    for path, *state in states:
        numbered[path, seen[path]] = state
        seen[path] += 1
    return numbered


def _time(nanoseconds: int) -> str:
    """Return a time since 1970 as a date in UTC with all digits, or as the number where no calendar has it."""
    seconds, rest = divmod(nanoseconds, 10**9)
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
    except (ValueError, OverflowError, OSError):
        return str(nanoseconds)


def _shown(value: object) -> str:
    text = value[:16] if isinstance(value, str) else str(value)
    return escape(text) or "none"
