"""Cases in which we alone run: another model, or more to decide, against the probability of the plain model."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds

from tests.benchmarks import contenders, turns
from tests.benchmarks.checking import TOLERANCE, Work, WrongOutputError, check
from tests.benchmarks.contenders import FLOOR
from tests.benchmarks.data import CHUNK_ROWS, Dataset, Mixture
from tests.benchmarks.figures import MEASURES, Figure, Outcome, paired
from tests.benchmarks.models import (
    BAND_NAMES,
    BAND_THRESHOLDS,
    CLASSES,
    REASONS,
    SCALE,
    bins,
    classes,
    contributions,
    decisions,
    model,
    probabilities,
    products,
    raw_predictions,
    save_model,
    truth,
)
from tests.benchmarks.scoring import describe
from tests.benchmarks.turns import Bench, Contender, Entry

ALONE = "probability alone"


@dataclass(frozen=True, slots=True)
class Task:
    """Another model for a dataset, and the check of what comes out.

    Attributes
    ----------
    content : callable
        Returns the content of a model file for a mixture.
    check : callable
        Returns the largest difference of a probability in an output, given its dataset and the raw predictions of the
        plain model; raises a ``WrongOutputError``.
    """

    content: Callable[[Mixture], Mapping[str, Any]]
    check: Callable[[Path, Dataset, np.ndarray], float]


@dataclass(frozen=True, slots=True)
class AgainstPlain:
    """A dataset at a scale, the other task, and the most that it should take of the probability alone."""

    about: str
    dataset: Callable[[Bench], Dataset]
    task: Task
    target: float

    @property
    def against(self) -> Mapping[str, float | None]:
        """Ourselves, with less to do."""
        return {ALONE: self.target}

    def run(self, bench: Bench) -> Outcome:
        """Make the data, check every row of both, and run both in turn."""
        dataset = self.dataset(bench)
        data = dataset.make(bench.folder)
        raw = truth(dataset, bench.folder)
        with tempfile.TemporaryDirectory(dir=bench.folder) as temporary:
            scratch = Path(temporary)
            checks = (
                (self.task.content, lambda out: self.task.check(out, dataset, raw)),
                (model, lambda out: check(out, Work(), raw, data)),
            )
            entries = []
            for name, (content, right) in zip(("ours", ALONE), checks, strict=True):
                path = save_model(content(dataset.mixture), scratch / f"{len(entries)}.json")
                contender = Contender(name, {"": contenders.ours(data, path, Work(), csv=False)})
                entries += turns.rehearse(bench, [contender], scratch, right)
            turns.measure(bench, entries, scratch)
        ours, alone = entries
        return Outcome(describe(dataset, data), paired(ours, alone, self.target), entries)


@dataclass(frozen=True, slots=True)
class WritingDecisions:
    """What it costs to write the columns of decisions, ready-made, beside the least that writing one column costs.

    The figures are the time that five more columns add to a program that only reads and writes, over the time that we
    take for the probability alone: no way to work them out can add less.
    """

    about: str
    dataset: Callable[[Bench], Dataset]

    @property
    def against(self) -> Mapping[str, float | None]:
        """The program that only reads and writes, and ourselves."""
        return {FLOOR: None, ALONE: None}

    def run(self, bench: Bench) -> Outcome:
        """Make the data, check every row of ours, and run the three in turn."""
        dataset = self.dataset(bench)
        data = dataset.make(bench.folder)
        raw = truth(dataset, bench.folder)
        names = dataset.mixture.numeric
        with tempfile.TemporaryDirectory(dir=bench.folder) as temporary:
            scratch = Path(temporary)
            path = save_model(model(dataset.mixture), scratch / "model.json")
            found = [
                Contender(
                    f"{FLOOR} with decisions", {"": contenders.floor(data, ["--decisions", *names])}, scores=False
                ),
                Contender(FLOOR, {"": contenders.floor(data, names)}, scores=False),
                Contender(ALONE, {"": contenders.ours(data, path, Work(), csv=False)}),
            ]
            entries = turns.rehearse(bench, found, scratch, lambda out: check(out, Work(), raw, data))
            turns.measure(bench, entries, scratch)
        return Outcome(describe(dataset, data), _added(*entries), entries)


def _added(more: Entry, less: Entry, alone: Entry) -> list[Figure]:
    rounds = list(zip(more.runs, less.runs, alone.runs, strict=True))
    return [
        Figure(f"{name} that decisions add, written alone / {ALONE}", [(of(a) - of(b)) / of(c) for a, b, c in rounds])
        for name, (_, of) in MEASURES.items()
        if name != "peak"
    ]


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


def check_classes(out: Path, dataset: Dataset, raw: np.ndarray) -> float:
    """Return the largest difference of a class's probability.

    Raises
    ------
    WrongOutputError
        It is more than the tolerance.
    """
    table = ds.dataset(out, format="parquet").to_table().sort_by("id")
    # Each class has the raw prediction of the plain model times its own number.
    powers = np.exp(np.multiply.outer(np.array(CLASSES), raw))
    found = np.array([table[f"probability_{number}"].to_numpy() for number in range(len(CLASSES))])
    return _within(out, float(np.abs(found - powers / powers.sum(axis=0)).max()))


def check_raw(content: Callable[[Mixture], Mapping[str, Any]]) -> Callable[[Path, Dataset, np.ndarray], float]:
    """Return the check of a model whose raw predictions are worked out from the rows."""

    def checked(out: Path, dataset: Dataset, _: np.ndarray) -> float:
        table = ds.dataset(out, format="parquet").to_table().sort_by("id")
        document, found, first, largest = content(dataset.mixture), table["probability"], 0, 0.0
        for rows in dataset.tables(CHUNK_ROWS):
            expected = probabilities(raw_predictions(document, rows))
            ours = found.slice(first, rows.num_rows).to_numpy()
            largest = max(largest, float(np.abs(ours - expected).max()))
            first += rows.num_rows
        return _within(out, largest)

    return checked


def _within(out: Path, difference: float) -> float:
    if not difference <= TOLERANCE:
        raise WrongOutputError(f"{out}: probabilities differ by {difference:.3g}")
    return difference


DECIDE = Task(decisions, check_decisions)
FIVE_CLASSES = Task(classes, check_classes)
TWENTY_BINS = Task(bins, check_raw(bins))
PRODUCTS = Task(products, check_raw(products))
