"""The immutable file from which a worker learns its job: written once by the driver, read once a worker.

It is JSON, checked against its digest before anything in it is believed, and holds no object that would have to be
unpickled. A block function without a description travels with the task instead.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.errors import BalanceError, StorageError
from pipeline.plan import Plan
from pipeline.types import CsvOptions, Format, Identity, InputFile, Need


@dataclass(frozen=True, slots=True)
class JobFile:
    """What every task of a run shares.

    Attributes
    ----------
    files : tuple of (InputFile, Identity)
        By the file numbers of the plan.
    plan : Plan
    needs : tuple of Need
        The features, then the kept columns.
    features : int
        How many of the needs are features.
    csv : CsvOptions
    schema : pyarrow.Schema
        Of the output: the kept columns, then the fields of the block function.
    format : {"parquet", "csv"}
    compression : str or None
    batch_rows : int
        Most rows decoded at a time.
    batch_bytes : int
        Most bytes that a decoded batch may take.
    row_group_bytes : int
        Most bytes that an output row group may take, decoded.
    staging : str
        The folder in which attempts are written.
    file_mode : int
        Permissions of a part.
    durable : bool
        Whether what a worker writes is synced.
    bad_rows : int or None
        More bad rows than this in one chunk end it, for the run has failed; ``None`` where only the end can tell.
    retries : int
        How often a chunk is tried again after an error that may pass.
    arithmetic : str
        Tag of the arithmetic that every worker must have.
    block : mapping or None
        Description of the block function.
    """

    files: tuple[tuple[InputFile, Identity], ...]
    plan: Plan
    needs: tuple[Need, ...]
    features: int
    csv: CsvOptions
    schema: pa.Schema
    format: Format
    compression: str | None
    batch_rows: int
    batch_bytes: int
    row_group_bytes: int
    staging: str
    file_mode: int
    durable: bool
    bad_rows: int | None
    retries: int
    arithmetic: str
    block: Mapping[str, object] | None

    def to_bytes(self) -> bytes:
        """Return the file's content."""
        plan = {f.name: _plain(getattr(self.plan, f.name)) for f in fields(Plan)}
        content = {
            "files": [[asdict(file), asdict(identity)] for file, identity in self.files],
            "plan": plan,
            "needs": [asdict(need) for need in self.needs],
            "features": self.features,
            "csv": asdict(self.csv),
            "schema": base64.b64encode(self.schema.serialize()).decode(),
            "format": self.format,
            "compression": self.compression,
            "batch_rows": self.batch_rows,
            "batch_bytes": self.batch_bytes,
            "row_group_bytes": self.row_group_bytes,
            "staging": self.staging,
            "file_mode": self.file_mode,
            "durable": self.durable,
            "bad_rows": self.bad_rows,
            "retries": self.retries,
            "arithmetic": self.arithmetic,
            "block": self.block,
        }
        return json.dumps(content, separators=(",", ":")).encode()


@lru_cache(maxsize=4)
def read_job_file(path: str, digest: str) -> JobFile:
    """Return the job file at ``path``, read and checked once a process.

    Raises
    ------
    StorageError
        The file cannot be read.
    BalanceError
        Its content is not what the driver wrote.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise StorageError(f"{path}: the job file cannot be read: {error.strerror}") from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise BalanceError(f"{path}: the job file was changed while the job ran")
    return _restore(json.loads(content))


def csv_options(csv: Mapping[str, Any]) -> CsvOptions:
    """Return the options of CSV files that were written down as JSON."""
    return CsvOptions(
        delimiter=csv["delimiter"],
        quote=csv["quote"],
        nulls=tuple(csv["nulls"]),
        encoding=csv["encoding"],
        columns=None if csv["columns"] is None else tuple(csv["columns"]),
        types=_pairs(csv["types"]),
    )


def _restore(content: Mapping[str, Any]) -> JobFile:
    plan: dict[str, Any] = {name: _array(value) for name, value in content["plan"].items()}
    return JobFile(
        files=tuple(
            (InputFile(**{**file, "partitions": _pairs(file["partitions"])}), Identity(**identity))
            for file, identity in content["files"]
        ),
        plan=Plan(**plan),
        needs=tuple(Need(**need) for need in content["needs"]),
        features=content["features"],
        csv=csv_options(content["csv"]),
        schema=pa.ipc.read_schema(pa.BufferReader(base64.b64decode(content["schema"]))),
        format=content["format"],
        compression=content["compression"],
        batch_rows=content["batch_rows"],
        batch_bytes=content["batch_bytes"],
        row_group_bytes=content["row_group_bytes"],
        staging=content["staging"],
        file_mode=content["file_mode"],
        durable=content["durable"],
        bad_rows=content["bad_rows"],
        retries=content["retries"],
        arithmetic=content["arithmetic"],
        block=content["block"],
    )


def _array(value: object) -> object:
    return np.array(value, dtype=np.int64) if isinstance(value, list) else value


def _plain(value: object) -> object:
    return value.tolist() if isinstance(value, np.ndarray) else value


def _pairs(values: Sequence[Sequence[Any]]) -> tuple[tuple[Any, Any], ...]:
    return tuple((first, second) for first, second in values)
