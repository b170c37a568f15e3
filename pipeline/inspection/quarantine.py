"""Look at a quarantine: its reasons, counted, and the first rows of each with the places they come from."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import Any, cast

import pyarrow as pa

from pipeline import disk
from pipeline.dataclass import dataclass
from pipeline.errors import DataError, LogitstreamError, NewerOutputError, OutputError
from pipeline.flow.manifest import CODEC
from pipeline.inspection.findings import Example, FileError, OutputFacts, QuarantineInspection, Reason
from pipeline.inspection.published import is_output, output_facts
from pipeline.publish import LOCAL, QUARANTINE, QUARANTINE_SUFFIX, Manifest, Part
from pipeline.scan import batches, gather_facts, whole
from pipeline.sinks.quarantine import SCHEMA
from pipeline.types.inputs import CsvOptions, FileFacts, InputFile, Need
from pipeline.units import escape

_EXAMPLES = 3
_REASONS = 1_000
_SHOWN_TEXT = 200
# A line may take 64 KiB.
_BATCH_ROWS = 512

_Key = tuple[str, str, bool]


def quarantine_files(path: str) -> list[Path] | None:
    """Return the files of a quarantine, by name; ``None`` if the path is not a quarantine."""
    place = Path(path)
    if place.suffix == QUARANTINE_SUFFIX and not place.is_dir():
        return [place] if os.path.lexists(place) else None
    if not place.is_dir():
        return None
    try:
        return [place / name for name in disk.names_in(place) if name.endswith(QUARANTINE_SUFFIX)] or None
    except OSError:
        # The search for data reports what is wrong.
        return None


@dataclass(slots=True)
class _Group:
    """The rows of one reason. Each example has the name of its quarantine file."""

    rows: int = 0
    examples: list[tuple[str, Example]] = field(default_factory=list)


class _Reasons:
    """Counts rows by reason; keeps a few examples of each."""

    def __init__(self) -> None:
        self.groups: dict[_Key, _Group] = {}
        self.rows = self.bad = self.other = 0

    def add(self, name: str, batch: pa.RecordBatch) -> None:
        """Add rows of the quarantine file of a name."""
        table = pa.Table.from_batches([batch]).append_column("row", pa.array(range(batch.num_rows), pa.int64()))
        by_reason = table.group_by(["reason", "column", "by_policy"], use_threads=False)
        for found in by_reason.aggregate([("row", "list")]).to_pylist():
            rows = found["row_list"]
            self.rows += len(rows)
            self.bad += 0 if found["by_policy"] else len(rows)
            group = self._group((_cut(found["reason"]), _cut(found["column"]), found["by_policy"]))
            if group is None:
                self.other += len(rows)
                continue
            group.rows += len(rows)
            group.examples += ((name, _example(batch, row)) for row in rows[: _EXAMPLES - len(group.examples)])

    def _group(self, key: _Key) -> _Group | None:
        if key not in self.groups and len(self.groups) == _REASONS:
            return None
        return self.groups.setdefault(key, _Group())


def inspect_quarantine(path: str, files: Sequence[Path]) -> QuarantineInspection:
    """Return what is in the files of a quarantine; see :func:`pipeline.inspection.inspect`."""
    reasons, errors, size = _Reasons(), [], 0
    for file in files:
        try:
            facts = _facts(file)
            for batch in _batches(facts):
                reasons.add(file.name, batch)
            size += facts.identity.size
        except LogitstreamError as error:
            errors.append(FileError(file.name, error))
    output, notes = _place(files[0].parent, reasons)
    return QuarantineInspection(
        path=path,
        files=len(files) - len(errors),
        rows=reasons.rows,
        bad=reasons.bad,
        bytes=size,
        reasons=tuple(_sorted(reasons)),
        other_rows=reasons.other,
        notes=tuple(notes),
        errors=tuple(errors),
        output=output,
    )


def _sorted(reasons: _Reasons) -> Iterator[Reason]:
    for (reason, column, by_policy), group in sorted(reasons.groups.items(), key=lambda item: (-item[1].rows, item[0])):
        yield Reason(reason, column, by_policy, group.rows, tuple(example for _, example in group.examples))


def _facts(path: Path) -> FileFacts:
    """Return the facts of a quarantine file.

    Raises
    ------
    DataError
        It is damaged, or not a quarantine.
    """
    (facts,) = gather_facts([InputFile(path.name, str(path), 0, "parquet")], CsvOptions())
    if [(column.field.name, column.field.type) for column in facts.columns] != [
        (each.name, each.type) for each in SCHEMA
    ]:
        message = f"{escape(path.name)} is not a quarantine written by logitstream: it has other columns"
        raise DataError(message, "rename it, or name another file")
    return facts


def _batches(facts: FileFacts) -> Iterator[pa.RecordBatch]:
    needs = [Need(each.name, "kept") for each in SCHEMA]
    for batch in batches(facts.file, facts.identity, whole(facts), needs, most_rows=_BATCH_ROWS):
        yield batch.data


def _example(batch: pa.RecordBatch, row: int) -> Example:
    values = {name: batch.column(name)[row].as_py() for name in batch.schema.names}
    return Example(
        file=values["file"],
        slice=values["slice"],
        record=values["record"],
        record_in_file=False,
        byte=values["byte"],
        cell=_cut(values["cell"]),
        line=None if values["line"] is None else _cut(values["line"]),
    )


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_TEXT else f"{text[: _SHOWN_TEXT - 1]}…"


def _place(folder: Path, reasons: _Reasons) -> tuple[OutputFacts | None, list[str]]:
    """Return the facts of the output, if the folder belongs to one, and notes.

    The records of the examples are numbered from the beginnings of their files, with the receipts of the output.
    """
    if folder.name != QUARANTINE or not is_output(folder.parent):
        return None, []
    try:
        with LOCAL.open_published(folder.parent, CODEC) as published:
            if published.manifest is None:
                return None, [
                    "the manifest of the output is damaged: records are numbered within a range, not within the file"
                ]
            if not published.parts:
                return output_facts(published.manifest), [
                    "the receipts of the output are damaged: records are numbered within a range, not within the file"
                ]
            _count(published.manifest, published.parts, reasons)
            return output_facts(published.manifest), []
    except NewerOutputError:
        raise
    except OutputError as error:
        return None, [error.message]


def _count(manifest: Manifest, parts: Iterable[Part], reasons: _Reasons) -> None:
    wanted = {(name, each.file, each.slice) for group in reasons.groups.values() for name, each in group.examples}
    inputs = cast("Sequence[Sequence[Any]]", manifest.body["inputs"])
    before = {key: count for key, count in _before(parts, inputs) if key in wanted}
    for group in reasons.groups.values():
        group.examples = [
            (name, _placed(each, before.get((name, each.file, each.slice)))) for name, each in group.examples
        ]


def _before(
    parts: Iterable[Part], inputs: Sequence[Sequence[Any]]
) -> Iterator[tuple[tuple[str, str, int], int | None]]:
    """Yield, for each slice that a quarantine file may name, how many records of its file come before it.

    The key is the quarantine file, the input and the start of the slice; the count is ``None`` if the chunk has two
    inputs of one name, which the quarantine does not distinguish.
    """
    read: Counter[int] = Counter()
    for part in parts:
        counts: dict[tuple[str, int], int | None] = {}
        for account in cast("Sequence[Mapping[str, Any]]", part.receipt["accounts"]):
            key = _as_written(inputs[account["file"]][0]), account["start"]
            counts[key] = None if key in counts else read[account["file"]]
            read[account["file"]] += account["read"]
        if part.quarantine is not None:
            yield from (((part.quarantine_name, *key), count) for key, count in counts.items())


def _placed(example: Example, before: int | None) -> Example:
    if before is None:
        return example
    return replace(example, record=example.record + before, record_in_file=True)


def _as_written(path: str) -> str:
    """Return the name of an input as a quarantine spells it."""
    return path.encode("utf-8", "backslashreplace").decode()
