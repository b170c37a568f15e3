"""A case in which we alone run: the probability with points, band and reasons against the probability alone."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds

from tests.benchmarks import contenders, turns
from tests.benchmarks.checking import TOLERANCE, Work, WrongOutputError, check
from tests.benchmarks.data import CHUNK_ROWS, Dataset
from tests.benchmarks.figures import Outcome, paired
from tests.benchmarks.models import (
    BAND_NAMES,
    BAND_THRESHOLDS,
    REASONS,
    SCALE,
    contributions,
    decisions,
    model,
    probabilities,
    save_model,
    truth,
)
from tests.benchmarks.scoring import describe
from tests.benchmarks.turns import Bench, Contender

ALONE = "probability alone"


@dataclass(frozen=True, slots=True)
class Deciding:
    """A dataset at a scale, and the most that all of it should take of the probability alone."""

    about: str
    dataset: Callable[[Bench], Dataset]
    target: float

    @property
    def against(self) -> Mapping[str, float | None]:
        """Ourselves, with less to do."""
        return {ALONE: self.target}

    def run(self, bench: Bench) -> Outcome:
        """Make the data, check the decisions of every row, and run both in turn."""
        dataset = self.dataset(bench)
        data = dataset.make(bench.folder)
        raw = truth(dataset, bench.folder)
        with tempfile.TemporaryDirectory(dir=bench.folder) as temporary:
            scratch = Path(temporary)
            every = []
            for name, content in (("decisions", decisions(dataset.mixture)), (ALONE, model(dataset.mixture))):
                path = save_model(content, scratch / f"{len(every)}.json")
                every.append(Contender(name, {"": contenders.ours(data, path, Work(), csv=False)}))

            def right(out: Path) -> float:
                names = ds.dataset(out, format="parquet").schema.names if out.is_dir() else []
                return check_decisions(out, dataset, raw) if "band" in names else check(out, Work(), raw, data)

            entries = turns.rehearse(bench, every, scratch, right)
            turns.measure(bench, entries, scratch)
        ours, alone = entries
        return Outcome(describe(dataset, data), paired(ours, alone, self.target), entries)


def check_decisions(out: Path, dataset: Dataset, raw: np.ndarray) -> float:
    """Return the largest difference of a probability; every row must have its points, its band and its reasons.

    Raises
    ------
    WrongOutputError
        A row does not. Within the tolerance of a threshold, or of another reason, both answers are right.
    """
    table = ds.dataset(out, format="parquet").to_table().sort_by("id")
    difference = float(np.abs(table["probability"].to_numpy() - probabilities(raw)).max())
    factor = SCALE["pdo"] / np.log(2)
    points = SCALE["base_points"] - factor * (raw + np.log(SCALE["base_odds"]))
    clear = np.abs(points[:, None] - BAND_THRESHOLDS).min(axis=1) > 1e-9
    bands = np.array(BAND_NAMES)[np.searchsorted(BAND_THRESHOLDS, points, side="right")]
    if not difference <= TOLERANCE or not np.allclose(table["points"].to_numpy(), points, rtol=0, atol=1e-9):
        raise WrongOutputError(f"{out}: probabilities or points differ")
    if not (table["band"].to_numpy()[clear] == bands[clear]).all():
        raise WrongOutputError(f"{out}: bands differ")
    _check_reasons(out, dataset, table)
    return difference


def _check_reasons(out: Path, dataset: Dataset, table: pa.Table) -> None:
    content = model(dataset.mixture)
    codes = np.array([*(f"R-{feature['column']}" for feature in content["features"]), None], dtype=object)
    first = 0
    for rows in dataset.tables(CHUNK_ROWS):
        effects = contributions(content, rows)
        order = np.argsort(effects, axis=0, kind="stable")[:REASONS]
        order[np.take_along_axis(effects, order, axis=0) >= 0] = len(codes) - 1
        for place, features in enumerate(order, start=1):
            found = table[f"reason_{place}"].slice(first, rows.num_rows).to_numpy()
            if not (found == codes[features]).all():
                raise WrongOutputError(f"{out}: reasons differ")
        first += rows.num_rows
