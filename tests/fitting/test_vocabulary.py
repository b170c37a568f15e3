"""Levels that are spelled in several ways."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.fitting.first_pass.vocabulary import spellings_of
from pipeline.fitting.running import run
from tests.fitting.jobs import job_of

ROWS = 2_000


@pytest.mark.parametrize(
    ("levels", "found"),
    [
        (["3", "3.0", "4.0"], {"3": ["3", "3.0"], "4.0": ["4.0"]}),
        (["3", "4"], {"3": ["3"], "4": ["4"]}),
        (["3.0", "4.5"], {"3.0": ["3.0"], "4.5": ["4.5"]}),
        (["3", "3.0", "x"], {"3": ["3"], "3.0": ["3.0"], "x": ["x"]}),
        (["3", "03"], {"3": ["3"], "03": ["03"]}),
        (["True", "true", "False"], {"true": ["True", "true"], "false": ["False"]}),
        (["True", "False"], {"True": ["True"], "False": ["False"]}),
        (["True", "true", "maybe"], {"True": ["True"], "true": ["true"], "maybe": ["maybe"]}),
    ],
)
def test_spellings_of_a_value_are_one_level_where_all_levels_are_of_its_type(
    levels: list[str], found: dict[str, list[str]]
) -> None:
    assert spellings_of(levels) == found


@pytest.mark.parametrize("features", ["C(z)", "C(z):x", "C(z):C(o), C(z)"])
@pytest.mark.parametrize("min_count", [1, 150])
def test_integers_of_a_file_are_levels_of_floats_in_another(tmp_path: Path, features: str, min_count: int) -> None:
    chance = np.random.default_rng(5)
    z = chance.choice([1, 2, 3, 7], ROWS, p=[0.5, 0.3, 0.15, 0.05])
    late, x = chance.random(ROWS) < 0.2 + 0.1 * (z % 3), chance.normal(size=ROWS)
    rows = {"late": late, "x": x, "o": chance.choice(["a", "b"], ROWS)}
    for folder, types in (("alike", "ii"), ("mixed", "if")):
        (tmp_path / folder).mkdir()
        for place, kind in enumerate(types):
            half = pa.table({**rows, "z": z.astype(kind)}).slice(place * ROWS // 2, ROWS // 2)
            pq.write_table(half, tmp_path / folder / f"{place}.parquet")
    alike, mixed = (
        run(job_of(tmp_path / each, features, min_count=min_count, solve={"effects": True}))
        for each in ("alike", "mixed")
    )
    models = (alike.model, mixed.model)
    assert mixed.coefficients == alike.coefficients
    documents = [json.loads(model.to_json())["features"] for model in models]
    assert documents[0] == documents[1]
    assert "z: spellings of one value are one level (1 and 1.0)" in mixed.notes
    assert mixed.effects == alike.effects
    scored = [model.predict_proba(pa.table({**rows, "z": z.astype(kind)})) for model in models for kind in "if"]
    for other in scored[1:]:
        np.testing.assert_array_equal(other, scored[0])
