"""From the file of another tool to a model: read within limits, recognised, converted, and compared."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline import disk, formats
from pipeline.canonical import sha256
from pipeline.choices import KIND
from pipeline.conversion.agreement import Gap, Rows, difference, in_memory
from pipeline.conversion.importing import IMPORTERS, Imported, Importer, versioned
from pipeline.errors import ConfigurationError, ModelError, SchemaError, ThresholdError, UsageError
from pipeline.models import LogisticModel
from pipeline.models.logistic.parsing import from_mapping
from pipeline.models.store import system_errors
from pipeline.units import GIB, escape, format_bytes, format_count

# As many bytes as a file may have that is imported: what a message of Protocol Buffers, and so an ONNX graph, may have.
SIZE_LIMIT = 2 * GIB

_KINDS = "give an ONNX graph, a PMML document, a readable model of VW or a skops file; --kind says which it is"


def import_model(path: str | os.PathLike[str], kind: str | None = None, rows: Rows | None = None) -> LogisticModel:
    """Return the model in the file of another tool, compared with that tool where this is possible.

    What was compared, and what a person should know, is in ``training["imported"]``.

    Parameters
    ----------
    path : path
    kind : str, optional
        A key of ``IMPORTERS``; by default it is recognised by the first bytes, or else by the name.
    rows : callable, optional
        Takes the columns that a model needs and yields rows to score both ways. Without it the rows that came with the
        file are scored, if there are any.

    Raises
    ------
    ModelError
        The file cannot be converted.
    ThresholdError
        The scores differ by more than the kind of file explains.
    UsageError
        There is no such kind, or nothing can score the rows by the other tool.
    ConfigurationError
        A package that reads the file, or scores the rows to check, is not installed.
    InputMissingError, PermissionDeniedError, StorageError
        The file cannot be read.
    """
    name = os.fspath(path)
    data = read(name)
    importer = _importer(data[: formats.HEAD_BYTES], name, kind)
    imported = importer.convert(Path(name), data)
    model = LogisticModel(from_mapping(imported.document, name))
    record: dict[str, Any] = {"from": importer.kind, "file": Path(name).name, "sha256": sha256(data)}
    found = _compared(model, importer, imported, rows)
    if found is not None:
        _refuse(found, imported, importer, "" if rows is None else ", or leave out the rows to check")
        record |= {"rows": found.rows, "largest_difference": found.absolute, "tool": _tool(importer, rows)}
    if imported.notes:
        record["notes"] = list(imported.notes)
    return LogisticModel(from_mapping({**imported.document, "training": {"imported": record}}, name))


def read(name: str) -> bytes:
    """Return the bytes of a file that is imported.

    Raises
    ------
    ModelError
        It is empty, a folder or larger than 2 GiB; or its name is that of a pickle, which is not opened.
    InputMissingError, PermissionDeniedError, StorageError
        It cannot be read.
    """
    shown = escape(name)
    pickled = formats.foreign_model(b"", name)
    if pickled is not None and pickled.is_pickle:
        raise _refused(pickled, shown)
    facts = disk.facts(name)
    if facts is not None and facts.st_size > SIZE_LIMIT:
        raise ModelError(
            f"{shown} has {format_bytes(facts.st_size)}, but a file to import may have {format_bytes(SIZE_LIMIT)}",
            "give the file of one model",
        )
    with system_errors(name):
        data = disk.read_file(name, SIZE_LIMIT + 1)
    if len(data) > SIZE_LIMIT:
        raise ModelError(f"{shown} has more than {format_bytes(SIZE_LIMIT)}", "give the file of one model")
    if not data:
        raise ModelError(f"{shown} is empty", _KINDS)
    return data


def _importer(head: bytes, name: str, kind: str | None) -> Importer:
    shown = escape(name)
    if kind is not None:
        return IMPORTERS[KIND.check(kind)]
    found = formats.foreign_model(head, name)
    if found is not None and found.is_pickle:
        raise _refused(found, shown)
    # What a file begins with counts more than its name.
    for told in ("", name):
        for importer in IMPORTERS.values():
            if importer.recognises(head, told):
                return importer
    if b'"logitstream-model"' in head:
        raise ModelError(f"{shown} is a model file of logitstream already", "give it to --model as it is")
    # Any text may be called .txt.
    is_named = found is not None and found is not formats.CSV
    what = (
        f"is {found.name}, which cannot be imported" if found and is_named else "is in no format that can be imported"
    )
    raise ModelError(f"{shown} {what}", formats.VW_BINARY.as_model if found is formats.VW_BINARY else _KINDS)


def _refused(found: formats.FileFormat, shown: str) -> ModelError:
    return ModelError(
        f"{shown} is {found.name}, which cannot be imported; it was not opened because a pickle runs code",
        formats.advice(found, shown, model=True),
    )


def _compared(model: LogisticModel, importer: Importer, imported: Imported, rows: Rows | None) -> Gap | None:
    if rows is not None:
        if imported.score is None and importer.package:
            raise ConfigurationError(
                f"{importer.package} is not installed, which scores rows with {importer.title}",
                f"pip install 'logitstream[{importer.kind}]', or leave out the rows to check",
            )
        if imported.score is None:
            raise UsageError(
                f"no package scores rows with {importer.title}, so that rows to check cannot be compared",
                f"leave them out; {importer.instead}",
            )
        try:
            return difference(model, rows, imported.score)
        except SchemaError as error:
            if not imported.unnamed:
                raise
            first, last = escape(imported.unnamed[0]), escape(imported.unnamed[-1])
            names = first if first == last else f"{first} to {last}"
            raise SchemaError(
                error.message, f"the file has no names for its columns: give rows in which they are called {names}"
            ) from error
    if imported.verification is None or imported.expected is None:
        return None
    expected = imported.expected
    return difference(model, in_memory(imported.verification), lambda _: expected)


def _refuse(found: Gap, imported: Imported, importer: Importer, instead: str = "") -> None:
    if found.relative <= imported.tolerance:
        return
    raise ThresholdError(
        f"row {format_count(found.row + 1)} of the rows to check has probability {found.ours:.12g}, but "
        f"{found.theirs:.12g} by {importer.title}: they may differ by {imported.tolerance:.2g}",
        f"nothing was written; report this with the file, or score with the tool that made it{instead}",
    )


def _tool(importer: Importer, rows: Rows | None) -> str:
    """Return the package that scored the rows, and its version."""
    if rows is None or not importer.package:
        return "the rows in the file"
    return versioned(importer.package)


def facts_of(model: LogisticModel) -> Mapping[str, Any]:
    """Return what was recorded when a model was imported; empty where it was not."""
    imported = (model.training or {}).get("imported")
    return imported if isinstance(imported, Mapping) else {}
