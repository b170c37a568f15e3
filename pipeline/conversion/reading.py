"""From the file of another tool to a model: read within limits, recognised, converted, and compared."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import disk, formats
from pipeline.canonical import sha256
from pipeline.choices import KIND
from pipeline.conversion.agreement import Gap, Rows, difference, in_memory
from pipeline.conversion.importing import IMPORTERS, Imported, Importer, Score, versioned
from pipeline.conversion.networks.document import ImportedNetwork
from pipeline.dataclass import dataclass
from pipeline.errors import ConfigurationError, ModelError, SchemaError, ThresholdError, UsageError
from pipeline.models import LogisticModel
from pipeline.models.logistic.output import Output
from pipeline.models.logistic.parsing import from_mapping
from pipeline.models.store import system_errors
from pipeline.units import GIB, escape, format_bytes, format_count

if TYPE_CHECKING:
    from pipeline.models.network.model import NetworkModel

# As many bytes as a file may have that is imported: what a message of Protocol Buffers, and so an ONNX graph, may have.
SIZE_LIMIT = 2 * GIB

# What the tool that wrote it can write in another form, which can be imported.
_CONVERTIBLE = (formats.VW_BINARY, formats.HDF5)
# Of a network and PyTorch, by the type of the weights.
_TOLERANCES = {"F32": 1e-5, "F64": 1e-12}
_KINDS = (
    "give an ONNX graph, a PMML document, a readable model of VW, a skops file or a Keras file; --kind says which it is"
)


@dataclass(frozen=True, slots=True)
class _Conversion:
    """A file that was converted: its name, its SHA-256, its kind, and what was made of it."""

    name: str
    digest: str
    importer: Importer
    imported: Imported | ImportedNetwork

    def record(self, gap: Gap | None, rows: Rows | None) -> dict[str, Any]:
        """Return what ``training`` keeps of it; raise ``ThresholdError`` if the two differ by too much."""
        record: dict[str, Any] = {"from": self.importer.kind, "file": Path(self.name).name, "sha256": self.digest}
        if gap is not None:
            instead = "" if rows is None else ", or leave out the rows to check"
            _refuse(gap, self.imported.tolerance, self.importer.title, instead)
            record |= {"rows": gap.rows, "largest_difference": gap.absolute, "tool": _tool(self.importer, rows)}
        return record | ({"notes": list(self.imported.notes)} if self.imported.notes else {})


def import_model(
    path: str | os.PathLike[str], kind: str | None = None, rows: Rows | None = None
) -> LogisticModel | NetworkModel:
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
    found = _converted(os.fspath(path), kind)
    if isinstance(found.imported, ImportedNetwork):
        return _network(found, found.imported, rows)
    return _logistic(found, found.imported, rows)


def _converted(name: str, kind: str | None) -> _Conversion:
    data = read(name)
    importer = _importer(data[: formats.HEAD_BYTES], name, kind)
    return _Conversion(name, sha256(data), importer, importer.convert(Path(name), data))


def _logistic(found: _Conversion, imported: Imported, rows: Rows | None) -> LogisticModel:
    model = LogisticModel(from_mapping(imported.document, found.name))
    record = found.record(_compared(partial(difference, model), found.importer, imported, rows), rows)
    return LogisticModel(from_mapping({**imported.document, "training": {"imported": record}}, found.name))


def _network(found: _Conversion, imported: ImportedNetwork, rows: Rows | None) -> NetworkModel:
    from pipeline.models.network.making import network_in_memory  # noqa: PLC0415 - most models are none

    model = network_in_memory(imported.document, imported.tensors, found.name)
    record = found.record(_compared(partial(difference, model), found.importer, imported, rows), rows)
    return model.with_training({"imported": record})


def checked_by_torch(model: NetworkModel, rows: Rows) -> dict[str, Any]:
    """Return what ``training`` keeps of a comparison of a network with PyTorch, which gets its layers and weights.

    Raises
    ------
    ThresholdError
        The scores differ by more than the type of the weights explains.
    ConfigurationError
        PyTorch is not installed.
    DataError
        There are no rows.
    """
    from pipeline.conversion.networks.pytorch import torch_scorer  # noqa: PLC0415 - most models are no networks
    from pipeline.models.network.weights import parse_weights  # noqa: PLC0415 - as above

    score = torch_scorer(model)
    if score is None:
        raise ConfigurationError(
            "PyTorch is not installed, which scores rows with the layers",
            "install torch, or leave out the rows to check",
        )
    # What the model makes of raw predictions is no part of the layers.
    bare = replace(model, file=model.file.model_copy(update={"output": Output()}))
    gap = difference(bare, rows, score)
    types = {tensor.dtype for tensor in parse_weights(model.weights(), model.path).tensors.values()}
    _refuse(gap, _TOLERANCES[types.pop()], "PyTorch", ", or leave out the rows to check")
    return {"rows": gap.rows, "largest_difference": gap.absolute, "tool": versioned("torch")}


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
    raise ModelError(f"{shown} {what}", found.as_model if found and found in _CONVERTIBLE else _KINDS)


def _refused(found: formats.FileFormat, shown: str) -> ModelError:
    return ModelError(
        f"{shown} is {found.name}, which cannot be imported; it was not opened because a pickle runs code",
        formats.advice(found, shown, model=True),
    )


def _compared(
    compare: Callable[[Rows, Score], Gap], importer: Importer, imported: Imported | ImportedNetwork, rows: Rows | None
) -> Gap | None:
    if rows is not None:
        if imported.score is None and importer.package:
            raise ConfigurationError(
                f"{importer.package} is not installed, which scores rows with {importer.title}",
                f"{importer.install or _install(importer.kind)}, or leave out the rows to check",
            )
        if imported.score is None:
            raise UsageError(
                f"no package scores rows with {importer.title}, so that rows to check cannot be compared",
                f"leave them out; {importer.instead}",
            )
        try:
            return compare(rows, imported.score)
        except SchemaError as error:
            if not imported.unnamed:
                raise
            first, last = escape(imported.unnamed[0]), escape(imported.unnamed[-1])
            names = first if first == last else f"{first} to {last}"
            raise SchemaError(
                error.message, f"the file has no names for its columns: give rows in which they are called {names}"
            ) from error
    if isinstance(imported, ImportedNetwork) or imported.verification is None or imported.expected is None:
        return None
    expected = imported.expected
    return compare(in_memory(imported.verification), lambda _: expected)


def _install(kind: str) -> str:
    return f"pip install 'logitstream[{kind}]'"


def _refuse(found: Gap, tolerance: float, title: str, instead: str = "") -> None:
    if found.relative <= tolerance:
        return
    raise ThresholdError(
        f"row {format_count(found.row + 1)} of the rows to check has probability {found.ours:.12g}, but "
        f"{found.theirs:.12g} by {title}: they may differ by {tolerance:.2g}",
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
