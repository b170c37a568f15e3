"""What a fit writes as a model file scores rows as the tiles did."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.fitting.design import DesignColumn, FitDesign, NumberSource
from pipeline.fitting.job import DataWishes, FitJob, ModelWishes
from pipeline.fitting.layout import FitLayout
from pipeline.fitting.learnt import FitAccounts, Learnt
from pipeline.fitting.making import model_of
from pipeline.fitting.objective import Certificate, Solution
from pipeline.fitting.points import PassSums
from pipeline.fitting.terms import NumberTerm


def solution_of(coefficients, dropped=()):
    certificate = Certificate(True, "", 0.0, 0.0, 0.0, 1, 1)
    return Solution(np.atleast_2d(coefficients), PassSums(1, 1.0, 0.5), 0.5, certificate, (), dropped)


def test_a_binary_model_of_numbers_has_the_raw_predictions_of_the_tiles() -> None:
    layout = FitLayout(dense=2)
    columns = (
        DesignColumn(NumberTerm("x"), "x", dense=0, center=3.0, scale=7.0),
        DesignColumn(NumberTerm("y"), "y", dense=1, center=-20.0, scale=0.1),
    )
    design = FitDesign(layout, columns, (NumberSource("x", "error"), NumberSource("y", 4.5)), ())
    learnt = Learnt(FitAccounts(used=3), 3.0, (False, True), (1.0, 2.0))
    job = FitJob(DataWishes(()), ModelWishes("late"))
    model = model_of(job, design, learnt, solution_of([0.3, 1.25, -0.7]), {"rows": 3})
    x, y = np.array([1.0, 2.5, 9.0]), np.array([-20.0, -19.9, -21.0])
    wanted = 0.3 + 1.25 * (x - 3.0) / 7.0 - 0.7 * (y + 20.0) / 0.1
    assert model.raw_prediction({"x": x, "y": y}) == pytest.approx(wanted, abs=1e-12)
    assert model.file.version == 1
    assert model.training == {"rows": 3}
    assert model.classes == (False, True)
