"""Effects over a scan: the same bits on every scheduler, and those of the rows in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest

import pipeline
from pipeline.fitting.outcome.effect_pass import effects_over
from pipeline.fitting.outcome.effects import plan_effects
from pipeline.fitting.first_pass.learnt import FitAccounts, Learnt
from pipeline.fitting.passes.scanning import open_passes
from tests.fitting.scans import ROWS, needs_of, numbers_design, numbers_table, prepared, write
from tests.fitting.test_effects import sums_over

COLUMNS = 3
TOTAL = 30_000


@pytest.mark.parametrize(
    "schedulers",
    [(("sync", 1), ("threads", 2)), pytest.param((("threads", 3), ("processes", 2)), marks=pytest.mark.slow)],
)
def test_effects_have_the_same_bits_on_every_scheduler(tmp_path: Path, schedulers) -> None:
    table, design = numbers_table(TOTAL, COLUMNS), numbers_design(COLUMNS)
    write(table, tmp_path / "data", files=2)
    plan = plan_effects(design, Learnt(FitAccounts(), float(TOTAL), (0, 1), (1.0, 1.0)))
    coefficients = np.random.default_rng(3).normal(size=(1, COLUMNS + 1))
    found = set()
    for scheduler, workers in schedulers:
        scan = prepared(tmp_path / "data", needs_of(COLUMNS), chunk_size="10000", scheduler=scheduler, workers=workers)
        with open_passes(scan, design, ROWS) as passes:
            sums = effects_over(passes, plan, coefficients)
        found.add((sums.weight, sums.slopes.tobytes(), sums.bent.tobytes(), sums.values.tobytes()))
    assert len(found) == 1
    whole = sums_over(design, table, plan, coefficients)
    assert sums.slopes == pytest.approx(whole.slopes, rel=1e-11)
    assert sums.bent == pytest.approx(whole.bent, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("holdout", ["x1 >= 1.5", None])
def test_rows_that_are_held_out_do_not_count(tmp_path: Path, holdout) -> None:
    table = numbers_table(4_000, 2)
    write(table, tmp_path / "data")
    report = pipeline.fit(
        tmp_path / "data", target="y", features="x0, x1", holdout=holdout, solver="newton", effects=True, robust=True
    )
    used = table if holdout is None else table.filter(pc.less(table["x1"], 1.5))
    assert report.rows["used"] == used.num_rows
    shares = report.model.probability(used)
    slope = report.coefficients[1].value
    assert report.effects[0].value == pytest.approx((shares * (1 - shares)).mean() * slope, rel=1e-12)
