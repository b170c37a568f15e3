"""Effects and robust errors of whole fits against the figures of Stata that come with statsmodels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import threadpoolctl  # noqa: F401 - sets a variable of the environment, which a test must not

import pipeline

pytestmark = pytest.mark.slow

sm = pytest.importorskip("statsmodels.api")
discrete = pytest.importorskip("statsmodels.discrete.tests.results.results_discrete")
robust = pytest.importorskip("statsmodels.discrete.tests.results.results_glm_logit_constrained")


def fitted(folder: Path, frame: Any, target: str, features: str, **options: Any) -> Any:
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), folder / "rows.parquet", row_group_size=20)
    return pipeline.fit(folder / "rows.parquet", target=target, features=features, **options)


def test_effects_of_spector_are_those_of_stata(tmp_path: Path) -> None:
    frame, expected = sm.datasets.spector.load_pandas().data, discrete.Spector.logit
    effects = fitted(tmp_path, frame, "GRADE", "GPA, TUCE, PSI", effects=True).effects
    assert [(row.feature, row.label) for row in effects] == [("GPA", None), ("TUCE", None), ("PSI", "0 to 1")]
    assert [row.value for row in effects] == pytest.approx(expected.margeff_dummy_dydx, rel=1e-7)
    assert [row.error for row in effects] == pytest.approx(expected.margeff_dummy_dydx_se, rel=1e-5)


def test_effects_of_anes_are_those_of_stata(tmp_path: Path) -> None:
    frame, expected = sm.datasets.anes96.load_pandas().data, discrete.Anes.mnlogit_basezero
    names = ["logpopul", "selfLR", "age", "educ", "income"]
    frame = frame.assign(PID=frame["PID"].astype(int))
    effects = fitted(tmp_path, frame, "PID", ", ".join(names), effects=True).effects
    assert [row.feature for row in effects] == [name for name in names for _ in range(7)]
    found = np.array([[row.value, row.error] for row in effects]).reshape(5, 7, 2)
    np.testing.assert_allclose(found[:, :, 0], expected.margeff_dydx_overall, atol=5e-7)
    np.testing.assert_allclose(found[:, :, 1], expected.margeff_dydx_overall_se, atol=5e-7)


def test_robust_errors_of_spector_are_those_of_stata_but_for_its_factor(tmp_path: Path) -> None:
    frame = sm.datasets.spector.load_pandas().data
    rows = fitted(tmp_path, frame, "GRADE", "GPA, TUCE, PSI", robust=True).coefficients
    # In the order of Stata the intercept is last; its variances have the factor n / (n - 1).
    found = [row.error * np.sqrt(32 / 31) for row in (*rows[1:], rows[0])]
    assert found == pytest.approx(robust.results_noconstraint_robust.params_table[:, 1].tolist(), rel=1e-5)
