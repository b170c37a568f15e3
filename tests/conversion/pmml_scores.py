"""Scores of a model file, row by row, NaN where a row has none."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.models import ScoreBlock
from pipeline.models.logistic.file import ModelFile
from pipeline.models.rows import batches
from pipeline.models.tally import RowTally

Floats = npt.NDArray[np.float64]


def scores(model: ModelFile, rows: pa.Table, column: str = "probability") -> Floats:
    """Return a column of the scores, shape (rows, classes or 1)."""
    block = ScoreBlock(model, (column,))
    found = []
    for arrays in batches(rows, block.columns()):
        tally = RowTally(len(arrays[0]))
        made, _ = block.scores(list(arrays), tally)
        values = np.column_stack([each.to_numpy(zero_copy_only=False).astype(np.float64) for each in made])
        values[tally.rejected] = np.nan
        found.append(values)
    return np.concatenate(found)
