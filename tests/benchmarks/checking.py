"""Whether what a contender wrote is right: every row, by ``id``, against what the models module works out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds

from tests.benchmarks.models import THRESHOLD, probabilities

TOLERANCE = 1e-12


class WrongOutputError(Exception):
    """What was written is not what the others write."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a contender is to make: result columns, and input columns kept beside ``id``."""

    results: tuple[str, ...] = ("probability",)
    keep: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column of the output but ``id``."""
        return self.keep + self.results


def check(out: Path, work: Work, raw: np.ndarray, data: Path) -> float:
    """Return the largest difference between results written and the true ones.

    Parameters
    ----------
    raw
        The true raw predictions by ``id``, NaN where null.
    data
        The input, Parquet where columns of it are kept.

    Raises
    ------
    WrongOutputError
        It is more than the tolerance, or a row, a column, a decision or a kept value is not what it should be.
    """
    found = read_columns(out, len(raw), work.columns)
    true = {"probability": probabilities(raw), "raw_prediction": raw}
    differences = {name: largest_difference(found[name], true[name]) for name in work.results if name in true}
    for name, difference in differences.items():
        if not difference <= TOLERANCE:
            raise WrongOutputError(f"{out}: {name} differs by {difference:.1e}, more than {TOLERANCE:.0e}")
    if "decision" in work.results:
        # Within the tolerance of the threshold both answers are right.
        clear = np.abs(true["probability"] - THRESHOLD) > TOLERANCE
        if not np.array_equal(found["decision"][clear], true["probability"][clear] >= THRESHOLD):
            raise WrongOutputError(f"{out}: decisions differ")
    if work.keep:
        kept = read_columns(data, len(raw), work.keep, alone=False)
        for name in work.keep:
            if not np.array_equal(found[name], kept[name]):
                raise WrongOutputError(f"{out}: {name} is not what the input has")
    return max(differences.values(), default=0.0)


def largest_difference(left: np.ndarray, right: np.ndarray) -> float:
    """Return the largest absolute difference, infinite where one side alone is null or NaN."""
    one_sided = np.isnan(left) != np.isnan(right)
    return float("inf") if one_sided.any() else float(np.nanmax(np.abs(left - right), initial=0.0))


def read_columns(data: Path, rows: int, names: Sequence[str], *, alone: bool = True) -> dict[str, np.ndarray]:
    """Return columns of a Parquet file or folder by ``id``: NaN for null, 0 and 1 for false and true.

    Raises
    ------
    WrongOutputError
        Not every id from 0 to rows - 1 stands there exactly once, or these columns do not stand ``alone`` beside it.
    """
    paths = sorted(data.glob("*.parquet")) if data.is_dir() else [data]
    dataset = ds.dataset([str(path) for path in paths], format="parquet")
    if alone and sorted(dataset.schema.names) != sorted(["id", *names]):
        raise WrongOutputError(f"{data} has the columns {', '.join(dataset.schema.names)}")
    found: dict[str, np.ndarray] = {}
    seen = np.zeros(rows, dtype=np.int64)
    for batch in dataset.to_batches(columns=["id", *names], use_threads=False):
        ids = batch["id"].to_numpy()
        if len(ids) and not 0 <= ids.min() <= ids.max() < rows:
            raise WrongOutputError(f"{data}: ids are not from 0 to {rows - 1:,}")
        np.add.at(seen, ids, 1)
        for name in names:
            column = batch[name]
            values = column.cast(pa.int8()) if pa.types.is_boolean(column.type) else column
            values = values.to_numpy(zero_copy_only=False)
            found.setdefault(name, np.full(rows, 0, values.dtype))[ids] = values
    if not (seen == 1).all():
        raise WrongOutputError(f"{data}: {int((seen != 1).sum()):,} of {rows:,} ids do not stand there exactly once")
    return found
