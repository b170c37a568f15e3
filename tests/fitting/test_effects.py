"""Average marginal effects against statsmodels, and against differences of what the model file predicts."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pytest

from pipeline.fitting.asking.formula import parse_terms, term_text
from pipeline.fitting.asking.job import DataWishes, FitJob, ModelWishes
from pipeline.fitting.designs.design import DesignColumn, FitDesign, LevelSource, NumberSource
from pipeline.fitting.first_pass.learnt import FitAccounts, Learnt, LearntLevels, LearntNumber
from pipeline.fitting.outcome.effect_rows import effect_rows
from pipeline.fitting.outcome.effect_sums import EffectSummer, effect_bytes, join_effects, slope_of
from pipeline.fitting.outcome.effects import effect_numbers, plan_effects
from pipeline.fitting.outcome.making import model_of
from pipeline.fitting.tiles.decoding import ClassSource, RowSources
from pipeline.fitting.tiles.encoding import Encoder
from pipeline.fitting.tiles.layout import FitLayout
from pipeline.kernels import Affine, Clip, stepped
from tests.fitting.stored_inference import CASES, STORED
from tests.fitting.test_making import solution_of

EXPECTED = json.loads(STORED.read_text())
WITH_EFFECTS = [name for name in CASES if "effects" in EXPECTED[name]]


class Rows(NamedTuple):
    """A batch of rows, as a scan has it."""

    data: pa.RecordBatch
    file: int = 0


def sums_over(design, table, plan, coefficients, classes=2, offset=None):
    rows = RowSources(ClassSource("y", "integer", {str(each): each for each in range(classes)}), (), None, offset)
    summer = EffectSummer(design, plan, coefficients)
    for runs in Encoder(design, rows).runs(map(Rows, table.to_batches(max_chunksize=170))):
        summer.add(runs)
    return summer.done()


@pytest.mark.parametrize("name", WITH_EFFECTS)
def test_effects_and_their_errors_are_those_of_statsmodels(name) -> None:
    case = CASES[name]
    count = case.design.layout.classes
    plan = plan_effects(case.design, case.learnt)
    coefficients = case.inference.solution.coefficients
    sums = sums_over(case.design, case.table, plan, coefficients, count)
    classes = tuple(map(str, range(count)))
    rows = effect_rows(plan, case.design, coefficients, sums, classes, case.inference.covariance)
    order = [(row.output, row.feature) for row in rows]
    # statsmodels has a column for each class.
    wanted = [(None if count == 2 else output, feature) for feature in case.names for output in classes[: len(rows)]]
    assert order == (wanted if count > 2 else [(None, feature) for feature in case.names])
    assert [row.value for row in rows] == pytest.approx(EXPECTED[name]["effects"]["value"], rel=1e-7, abs=1e-12)
    assert [row.error for row in rows] == pytest.approx(EXPECTED[name]["effects"]["error"], rel=1e-7, abs=1e-12)


CHANCE = np.random.default_rng(5)
COUNT = 400
TABLE = pa.table(
    {
        "x": CHANCE.gamma(2.0, 1.5, COUNT),
        "y0": CHANCE.normal(1.0, 2.0, COUNT),
        "flag": CHANCE.integers(0, 2, COUNT).astype(float),
        "carrier": CHANCE.choice(["AA", "UA", "DL"], COUNT, p=[0.5, 0.3, 0.2]),
        "shift": CHANCE.normal(0.0, 0.5, COUNT),
        "y": CHANCE.integers(0, 3, COUNT),
    }
)
LEARNT = Learnt(
    FitAccounts(used=COUNT),
    float(COUNT),
    (0, 1),
    (200.0, 200.0),
    {"flag": LearntNumber(COUNT, 0, 0.5, 0.5, 0.0, 1.0), "x": LearntNumber(COUNT, 0, 3.0, 2.0, 0.01, 12.0)},
    {"carrier": LearntLevels("text", {"AA": 200, "UA": 120, "DL": 80}, {})},
)


def design_of(*texts: str, classes=2, outputs=1, extra=True) -> FitDesign:
    columns, dense, counts = [], 0, []
    for text in texts:
        (term,) = parse_terms(text)
        if "C(" in text:
            columns.append(
                DesignColumn(term, term_text(term), None, len(counts), ("UA", "DL"), "AA", cells=((0,), (1,)))
            )
            counts.append(2)
        else:
            columns.append(DesignColumn(term, term_text(term), dense, center=0.5 * dense, scale=1.0 + dense))
            dense += 1
    sources = tuple(NumberSource(name, "drop") for name in ("x", "y0", "flag"))
    levels = (LevelSource("carrier", "text", {"AA": -1, "UA": 0, "DL": 1}, "error"),)
    layout = FitLayout(dense, tuple(counts), True, classes, outputs)
    design = FitDesign(layout, tuple(columns), sources, levels)
    return replace(design, extra=effect_numbers(design)) if extra else design


def probabilities(design, coefficients, table, offset=False):
    learnt = LEARNT if design.layout.classes == 2 else replace(LEARNT, classes=(0, 1, 2), class_weights=(1.0,) * 3)
    job = FitJob(DataWishes(()), ModelWishes("y", offset="shift" if offset else None))
    model = model_of(job, design, learnt, solution_of(coefficients), {})
    found = model.predict_proba(table)
    return found[:, 1:] if design.layout.classes == 2 else found


def averages(design, coefficients, column, offset=False):
    """The effects of a column by differences of predictions: a row for each change, a column for each class."""

    def at(values) -> np.ndarray:
        place = TABLE.schema.get_field_index(column)
        return probabilities(design, coefficients, TABLE.set_column(place, column, pa.array(values)), offset)

    if column == "carrier":
        start = at(["AA"] * COUNT)
        return np.array([(at([level] * COUNT) - start).mean(axis=0) for level in ("UA", "DL")])
    if column == "flag":
        return (at(np.ones(COUNT)) - at(np.zeros(COUNT))).mean(axis=0)[None]
    values, step = TABLE[column].to_numpy(), 1e-5
    return ((at(values + step) - at(values - step)) / (2 * step)).mean(axis=0)[None]


DESIGNS = {
    "one number": ("x", "y0"),
    "steps": ("log1p(x)", "square(y0)", "sqrt(x)"),
    "products": ("x", "y0", "x:y0", "flag", "flag:x", "x:log1p(x)"),
    "levels": ("C(carrier)", "x", "flag"),
}


# Every design and every number of outputs once a day, all of their pairs in a campaign.
DAILY = {*(("one number", outputs) for outputs in (1, 2, 3)), ("steps", 1), ("products", 2), ("levels", 3)}


@pytest.mark.parametrize(
    ("name", "outputs"),
    [
        pytest.param(name, outputs, marks=() if (name, outputs) in DAILY else pytest.mark.campaign)
        for name in DESIGNS
        for outputs in (1, 2, 3)
    ],
)
def test_effects_are_differences_of_what_the_model_predicts(name, outputs) -> None:
    classes = 2 if outputs == 1 else 3
    design = design_of(*DESIGNS[name], classes=classes, outputs=outputs)
    coefficients = np.random.default_rng(1).normal(0.0, 0.4, (outputs, design.layout.width))
    plan = plan_effects(design, LEARNT)
    sums = sums_over(design, TABLE, plan, coefficients, 3)
    covariance = np.eye(design.layout.size)
    rows = effect_rows(plan, design, coefficients, sums, tuple("abc"[:classes]), covariance)
    expected = [averages(design, coefficients, column.column) for column in plan.columns]
    assert [row.value for row in rows] == pytest.approx(np.concatenate(expected).ravel(), rel=1e-6, abs=1e-8)
    gradients = []
    for place in np.ndindex(coefficients.shape):
        step = np.zeros_like(coefficients)
        step[place] = 1e-3
        both = [
            np.concatenate([averages(design, coefficients + sign * step, column.column) for column in plan.columns])
            for sign in (1, -1)
        ]
        gradients.append((both[0] - both[1]).ravel() / 2e-3)
    assert [row.error for row in rows] == pytest.approx(np.linalg.norm(gradients, axis=0), rel=1e-4, abs=1e-7)


def test_an_offset_and_weights_count_in_the_average() -> None:
    design = design_of("x", "C(carrier)", "flag")
    coefficients = np.random.default_rng(2).normal(0.0, 0.4, (1, design.layout.width))
    plan = plan_effects(design, LEARNT)
    weights = np.arange(COUNT) % 4.0
    table = TABLE.append_column("w", pa.array(weights))
    sources = RowSources(
        ClassSource("y", "integer", {"0": 0, "1": 1, "2": 2}),
        (),
        NumberSource("w", "error"),
        NumberSource("shift", "error"),
    )
    summer = EffectSummer(design, plan, coefficients)
    for runs in Encoder(design, sources).runs(map(Rows, table.to_batches())):
        summer.add(runs)
    rows = effect_rows(plan, design, coefficients, summer.done(), ("0", "1"), None)
    start, level = (
        probabilities(design, coefficients, TABLE.set_column(3, "carrier", pa.array([each] * COUNT)), True)[:, 0]
        for each in ("AA", "DL")
    )
    assert rows[2].label == "DL"
    assert rows[2].value == pytest.approx(((level - start) @ weights) / weights.sum(), rel=1e-12)
    assert rows[2].error is None


def test_sums_of_two_parts_are_those_of_the_whole() -> None:
    design = design_of("x", "log1p(x)", "C(carrier)", "y0", classes=3, outputs=2)
    coefficients = np.random.default_rng(3).normal(0.0, 0.4, (2, design.layout.width))
    plan = plan_effects(design, LEARNT)
    parts = (sums_over(design, part, plan, coefficients, 3) for part in (TABLE.slice(0, 150), TABLE.slice(150)))
    joined = join_effects(*parts)
    total = sums_over(design, TABLE, plan, coefficients, 3)
    assert joined.weight == total.weight == COUNT
    for name in ("slopes", "bent", "values", "gradients"):
        np.testing.assert_allclose(getattr(joined, name), getattr(total, name), rtol=1e-10, atol=1e-12)


def test_the_memory_of_the_sums_is_known_before() -> None:
    design = design_of("x", "log1p(x)", "C(carrier)", "y0", classes=3, outputs=2)
    plan = plan_effects(design, LEARNT)
    sums = EffectSummer(design, plan, np.zeros((2, design.layout.width))).done()
    arrays = sums.bent.nbytes + sums.gradients.nbytes
    assert arrays < effect_bytes(plan, design.layout) < arrays + 8 * 32_768 * design.layout.columns + 1


def test_a_plan_says_what_has_effects_and_what_has_none() -> None:
    design = design_of("x", "log1p(x)", "y0", "flag", "C(carrier)")
    (missing,) = parse_terms("M(gap)")
    columns = (*design.columns, DesignColumn(missing, "M(gap)", 4))
    design = replace(design, columns=columns, layout=replace(design.layout, dense=5))
    plan = plan_effects(design, LEARNT)
    found = {column.column: (column.kind, [label for label, _ in column.changes]) for column in plan.columns}
    assert found == {
        "x": ("derivative", []),
        "y0": ("slope", []),
        "flag": ("change", ["0 to 1"]),
        "carrier": ("change", ["UA", "DL"]),
    }
    assert plan.notes == ("gap has no marginal effect: it is only asked whether it is missing",)
    assert effect_numbers(design) == (parse_terms("x")[0],)
    without = plan_effects(design, LEARNT, dropped=(1, 2, 4))
    assert [column.column for column in without.columns] == ["y0", "carrier"]
    # The two levels of the carrier come last.
    some, none = (plan_effects(design, LEARNT, dropped=dropped) for dropped in ((6,), (6, 7)))
    assert [column.column for column in some.columns] == ["x", "y0", "flag", "carrier"]
    assert [column.column for column in none.columns] == ["x", "y0", "flag"]


def test_more_than_a_hundred_levels_have_no_effects_and_a_note() -> None:
    labels = tuple(f"l{number}" for number in range(101))
    design = design_of("C(carrier)")
    column = replace(design.columns[0], labels=labels, cells=tuple((code,) for code in range(101)))
    plan = plan_effects(replace(design, columns=(column,)), LEARNT)
    assert plan.columns == ()
    assert plan.notes == ("carrier has no marginal effects: 101 levels are more than 100",)
    hundred = plan_effects(
        replace(design, columns=(replace(column, labels=labels[1:], cells=column.cells[1:]),)), LEARNT
    )
    assert len(hundred.columns[0].changes) == 100


@pytest.mark.parametrize(
    ("learnt", "kind"),
    [
        (LearntNumber(9, 0, 0.25, 0.1875**0.5, 0.0, 1.0), "change"),
        (LearntNumber(9, 0, 0.25, 0.4, 0.0, 1.0), "slope"),
        (LearntNumber(9, 0, 1.25, 0.1875**0.5, 1.0, 2.0), "slope"),
    ],
)
def test_only_a_column_of_zero_and_one_changes_from_zero_to_one(learnt, kind) -> None:
    plan = plan_effects(design_of("y0"), replace(LEARNT, numbers={"y0": learnt}))
    assert [column.kind for column in plan.columns] == [kind]


@pytest.mark.parametrize(
    ("steps", "value", "slope"),
    [
        (("log",), 4.0, 0.25),
        (("log1p",), 3.0, 0.25),
        (("sqrt",), 4.0, 0.25),
        (("square",), -4.0, -8.0),
        ((Clip(0.0, 1.0),), 1.0, 1.0),
        ((Clip(0.0, 1.0),), 1.5, 0.0),
        ((Affine(3.0, 4.0), "square"), 5.0, 0.25),
        ((Clip(low=2.0), "log", "square"), 4.0, np.log(4.0) / 2.0),
    ],
)
def test_the_slope_of_steps_is_the_derivative_of_their_values(steps, value, slope) -> None:
    assert slope_of(steps, np.array([value]))[0] == pytest.approx(slope, rel=1e-14)
    if steps != (Clip(0.0, 1.0),):
        both = stepped(steps, value + 1e-6), stepped(steps, value - 1e-6)
        assert (both[0] - both[1]) / 2e-6 == pytest.approx(slope, rel=1e-6)
