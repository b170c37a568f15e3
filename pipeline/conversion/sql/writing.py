"""A model as SQL: one expression for each column that it makes."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.conversion.sql.dialects import SqlDialect
from pipeline.conversion.sql.results import columns_of
from pipeline.conversion.sql.writer import SqlWriter
from pipeline.errors import ModelError
from pipeline.models.logistic.file import ModelFile
from pipeline.units import escape

# What a database reads and plans in a reasonable time.
TEXT_LIMIT = 16 * 2**20


def write(model: ModelFile, dialect: SqlDialect) -> bytes:
    """Return the columns that a model makes as expressions for the list of a SELECT, in UTF-8.

    Raises
    ------
    ModelError
        SQL, or this dialect, cannot express the model; the message names what it cannot.
    """
    used = [use.column for use in model.uses]
    dialect.check_apart(used)
    names, texts, size = [], [], 0
    for name, column in columns_of(model):
        writer = SqlWriter(dialect, used)
        text = f"{writer.with_cells(column(writer))} AS {dialect.name(name)}"
        size += len(text)
        if size > TEXT_LIMIT:
            raise ModelError(
                f"the SQL up to the column {escape(name)} has more than {TEXT_LIMIT:,} characters",
                "export the model to python or onnx, or make fewer columns: output.columns",
            )
        names.append(name)
        texts.append(text)
    dialect.check_apart(names)
    return (_head(model, dialect, names) + ",\n".join(texts) + "\n").encode()


def _head(model: ModelFile, dialect: SqlDialect, names: Sequence[str]) -> str:
    lines = [
        f"logitstream model {model.digest()}, for {dialect.title}.",
        f"Makes {escape(', '.join(names), 1000)}.",
        "Write it between SELECT and FROM. NULL: the row has no score (policies null and quarantine).",
        "A value that the model refuses (policy error, outside a transform's domain) ends the query.",
        "Unlike logitstream: integers beyond 2^53 and decimals are rounded to double precision, and",
        "columns of floats meet levels as the database spells them.",
        *dialect.remarks,
    ]
    return "".join(f"-- {line}\n" for line in lines)
