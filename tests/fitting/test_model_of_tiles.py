"""The model file of a fit scores the rows of a file as their tiles did, whatever terms and rules it has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.fitting.tiles.decoding import ClassSource, RowSources
from pipeline.fitting.designs.designing import design_of
from pipeline.fitting.outcome.effect_rows import effect_rows
from pipeline.fitting.outcome.effect_sums import EffectSummer
from pipeline.fitting.outcome.effects import effect_numbers, plan_effects
from pipeline.fitting.tiles.encoding import Encoder
from pipeline.fitting.outcome.making import model_of
from pipeline.fitting.first_pass.vocabulary import reference_of
from tests.fitting.jobs import job_of, learnt_by
from tests.fitting.newton import expanded
from tests.fitting.test_effects import Rows
from tests.fitting.test_making import solution_of

COUNT = 3_000
CHANCE = np.random.default_rng(11)


def with_gaps(values, share=0.1) -> pa.Array:
    return pa.array(values, mask=CHANCE.random(COUNT) < share)


TABLE = pa.table(
    {
        "x": with_gaps(CHANCE.gamma(2.0, 3.0, COUNT)),
        "y": pa.array(CHANCE.normal(100.0, 2.0, COUNT)),
        "carrier": with_gaps(
            CHANCE.choice(["AA", "UA", "DL", "B6", "r1", "r2"], COUNT, p=[0.4, 0.3, 0.2, 0.08, 0.01, 0.01])
        ),
        "hour": with_gaps(CHANCE.choice([7, 8, 9, 10], COUNT)),
        "flag": pa.array(CHANCE.random(COUNT) < 0.3),
        "late": pa.array(CHANCE.integers(0, 2, COUNT)),
        "kind": pa.array(CHANCE.choice(["a", "b", "c"], COUNT)),
    }
)

FEATURES = (
    "x, y, flag",
    "log1p(x), square(y), sqrt(clip(x, 1, 9)), scale(y, 100, 2)",
    "C(carrier), C(hour), x",
    "x:y, x, y, x:log1p(x)",
    "C(carrier), C(carrier):x, y",
    "C(carrier):y",
    "C(carrier), C(hour), C(carrier):C(hour)",
    "C(carrier):C(hour)",
    "C(carrier):C(hour):y",
    "B(x, bins=5), y",
    "B(x, edges=[2, 5, 9]), x, M(x)",
    "B(x, bins=8, woe=true), C(hour)",
    "C(flag), M(carrier), x",
)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    pq.write_table(TABLE, path, row_group_size=1_100)
    return path


RULES = ("drop", "impute-mean", "impute-median", "indicator")
WISHES = ({}, {"intercept": False}, {"min_count": 100}, {"solve": {"l2": 0.1}}, {"target": "kind"})


def combined() -> Iterator[Any]:
    """Every combination; each day one in five of them."""
    numbers = product(range(len(FEATURES)), range(len(RULES)), range(len(WISHES)))
    for feature, rule, wish in numbers:
        if "woe" in FEATURES[feature] and "target" in WISHES[wish]:
            continue
        marks = () if (feature + rule + wish) % 5 == 0 else (pytest.mark.slow,)
        yield pytest.param(FEATURES[feature], RULES[rule], WISHES[wish], marks=marks)


@pytest.mark.parametrize(("features", "missing", "wishes"), [*combined()])
def test_a_model_file_scores_rows_as_their_tiles_did(path, features, missing, wishes) -> None:
    prepared, learnt, _ = learnt_by(job_of(path, features, missing=missing, **wishes))
    design, _ = design_of(prepared.job, learnt)
    target = prepared.job.model.target
    codes = {str(value): number for number, value in enumerate(learnt.classes)}
    rows = RowSources(ClassSource(target, "text" if target == "kind" else "integer", codes))
    layout = design.layout
    coefficients = np.random.default_rng(1).normal(0.0, 1.0, (layout.outputs, layout.width))
    tiles = Encoder(design, rows).tiles(map(Rows, TABLE.to_batches(max_chunksize=700)))
    raw = np.vstack([expanded(tile, layout) @ coefficients.T for tile in tiles])
    model = model_of(prepared.job, design, learnt, solution_of(coefficients), {})
    scored = model.raw_prediction(TABLE).reshape(COUNT, -1)[:, -layout.outputs :]
    scored = scored[~np.isnan(scored).any(axis=1)]
    assert len(scored) == len(raw) == learnt.rows.used
    np.testing.assert_allclose(scored, raw, rtol=1e-12, atol=1e-10)


EFFECTS = (
    "x, y, flag",
    "log1p(x), y, x:y",
    "C(carrier), C(carrier):x, x",
    "C(carrier):C(hour):y, x",
    "C(carrier), C(hour), C(carrier):C(hour)",
    "B(x, edges=[2, 5, 9]), y",
    "B(x, bins=4, woe=true), y",
    "B(x, edges=[2, 5, 9]), x, y",
)


@pytest.mark.parametrize(
    "wishes", [{}, pytest.param({"solve": {"l2": 0.1}}, marks=pytest.mark.slow), {"min_count": 100}]
)
@pytest.mark.parametrize("features", EFFECTS)
def test_effects_are_differences_of_what_the_model_file_predicts(path, features, wishes) -> None:
    prepared, learnt, _ = learnt_by(job_of(path, features, missing="drop", **wishes))
    design, _ = design_of(prepared.job, learnt)
    design = replace(design, extra=effect_numbers(design))
    coefficients = np.random.default_rng(1).normal(0.0, 0.5, (1, design.layout.width))
    model = model_of(prepared.job, design, learnt, solution_of(coefficients), {})
    used = TABLE.filter(pa.array(~np.isnan(model.raw_prediction(TABLE))))
    plan = plan_effects(design, learnt)
    rows = RowSources(ClassSource("late", "integer", {"0": 0, "1": 1}))
    summer = EffectSummer(design, plan, coefficients)
    for runs in Encoder(design, rows).runs(map(Rows, TABLE.to_batches(max_chunksize=700))):
        summer.add(runs)
    found = effect_rows(plan, design, coefficients, summer.done(), ("0", "1"), None)

    def at(name, values) -> np.ndarray:
        place = used.schema.get_field_index(name)
        if name == "carrier":
            values = ["r1" if value == "(other)" else value for value in values]
        return model.probability(used.set_column(place, name, pa.array(values)))

    expected = []
    for column in plan.columns:
        name = column.column
        if column.kind != "change":
            values = used[name].to_numpy()
            expected.append((at(name, values + 1e-5) - at(name, values - 1e-5)).mean() / 2e-5)
            continue
        source = next((source for source in design.levels if source.column == name), None)
        start = column.start.number
        if source is not None:
            own = next((each for each in design.columns if each.name == f"C({name})"), None)
            start = (own and own.reference) or reference_of(learnt.levels[name].counts)
        for label, setting in column.changes:
            value = setting.number if source is None else label
            both = (at(name, [int(each) if name == "hour" else each] * len(used)) for each in (value, start))
            expected.append(np.subtract(*both).mean())
    assert [row.value for row in found] == pytest.approx(expected, rel=1e-5, abs=1e-9)
