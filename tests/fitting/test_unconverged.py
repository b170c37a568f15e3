"""A fit that is published though it did not converge says so, and claims nothing that only an optimum has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import ThresholdError
from pipeline.fitting.report import FitReport
from pipeline.fitting.running import run
from tests.fitting.jobs import job_of


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "robust"])
def report(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> FitReport:
    """The report of a fit whose classes a number separates."""
    chance, folder = np.random.default_rng(7), tmp_path_factory.mktemp("separated")
    x, y = chance.normal(size=(2, 400))
    pq.write_table(pa.table({"late": x > 0.2, "x": x, "y": y}), folder / "rows.parquet")
    return run(replace(job_of(folder, "x, y", solve={"robust": request.param}), allow_unconverged=True))


def test_a_note_names_what_separates_the_classes(report: FitReport) -> None:
    assert not report.certificate["converged"]
    assert any(note.startswith("the fit has no optimum: complete separation by x") for note in report.notes)
    assert "converged no" in " ".join(repr(report).split())


def test_it_has_no_errors_tests_or_criteria(report: FitReport) -> None:
    assert {(row.error, row.z, row.p, row.variance_inflation) for row in report.coefficients} == {(None,) * 4}
    measures = report.measures
    assert (measures.aic, measures.bic, measures.likelihood_ratio_p, measures.mcfadden) == (None,) * 4
    assert measures.deviance == pytest.approx(2 * 400 * measures.log_loss)
    assert "there are no standard errors: the coefficients are not those of the optimum" in report.notes


@pytest.mark.parametrize(("feature", "merges"), [("x", False), ("C(c)", True), ("B(x, edges=[0.2])", False)])
def test_only_of_a_level_it_is_said_that_it_can_be_merged(feature: str, merges: bool, tmp_path: Path) -> None:
    chance = np.random.default_rng(8)
    x = chance.normal(size=400)
    rows = {"late": x > 0.2, "x": x, "c": np.where(x > 0.2, "a", "b")}
    pq.write_table(pa.table(rows), tmp_path / "rows.parquet")
    with pytest.raises(ThresholdError, match="no optimum") as caught:
        run(job_of(tmp_path, feature))
    assert "--l2" in caught.value.remedy
    assert ("merge the level" in caught.value.remedy) == merges
