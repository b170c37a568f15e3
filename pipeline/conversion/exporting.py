"""A model written for another tool: the table of targets."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pipeline.choices import DIALECT, TO
from pipeline.errors import UsageError
from pipeline.models.logistic.file import ModelFile
from pipeline.models.store import write_file

Write = Callable[[ModelFile], bytes]


@dataclass(frozen=True, slots=True)
class Exporter:
    """A target of ``logitstream model export``.

    Attributes
    ----------
    kind : str
        Its name.
    write : callable
        Returns the content of the file. Raises ``ModelError`` that names what the target cannot express.
    is_text : bool
        Whether the file is text in UTF-8.
    dialects : mapping of str to callable
        ``write`` for each dialect; the first one is the default. Empty where there are none.
    """

    kind: str
    write: Write
    is_text: bool = True
    dialects: Mapping[str, Write] = field(default_factory=dict)


def _in_dialect(name: str) -> Write:
    def write(model: ModelFile) -> bytes:
        from pipeline.conversion.sql.dialects import DIALECTS  # noqa: PLC0415 - only this target needs it
        from pipeline.conversion.sql.writing import write as write_sql  # noqa: PLC0415 - as above

        return write_sql(model, DIALECTS[name])

    return write


def _python(model: ModelFile) -> bytes:
    from pipeline.conversion.python.writing import write  # noqa: PLC0415 - only this target needs it

    return write(model)


def _onnx(model: ModelFile) -> bytes:
    from pipeline.conversion.onnx.writing import write  # noqa: PLC0415 - only this target needs it

    return write(model)


def _pmml(model: ModelFile) -> bytes:
    from pipeline.conversion.pmml.writing import write  # noqa: PLC0415 - only this target needs it

    return write(model)


_SQL: Mapping[str, Write] = {name: _in_dialect(name) for name in DIALECT.words}

EXPORTERS: Mapping[str, Exporter] = {
    exporter.kind: exporter
    for exporter in (
        Exporter("sql", _SQL[DIALECT.words[0]], dialects=_SQL),
        Exporter("onnx", _onnx, is_text=False),
        Exporter("pmml", _pmml),
        Exporter("python", _python),
    )
}


def export(
    model: ModelFile, kind: str, path: str | os.PathLike[str] | None = None, dialect: str | None = None
) -> str | bytes:
    """Return a model as another tool takes it, and write it to a file if one is named.

    Parameters, result and errors are those of :meth:`pipeline.models.LogisticModel.export`.
    """
    exporter = EXPORTERS[TO.check(kind)]
    write = exporter.write
    if dialect is not None:
        if not exporter.dialects:
            raise UsageError(f"{kind} has no dialects", "leave the dialect out")
        write = exporter.dialects[DIALECT.check(dialect)]
    data = write(model)
    if path is not None:
        write_file(path, data)
    return data.decode() if exporter.is_text else data
