"""Errors, tests and measures against statsmodels, and against the definitions of what it does not have."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from pipeline.fitting.asking.job import SolveWishes
from pipeline.fitting.outcome.inference import Inference, inverse_of, scores_point, why_no_errors
from pipeline.fitting.outcome.measuring import measures_of, null_solver
from pipeline.fitting.outcome.tabulating import coefficient_rows
from pipeline.fitting.passes.blocks import unpack
from pipeline.fitting.passes.tiles_in_memory import MemoryPasses
from pipeline.fitting.solving import drive
from pipeline.fitting.tiles.layout import FitLayout
from tests.fitting.newton import expanded, solved
from tests.fitting.stored_inference import CASES, STORED, expected_of

EXPECTED = json.loads(STORED.read_text())


@pytest.mark.parametrize("name", CASES)
def test_coefficients_and_errors_are_those_of_statsmodels(name) -> None:
    case = CASES[name]
    rows = coefficient_rows(case.inference, ("0", "1", "2"))
    shown = [row for row in rows if row.note not in {"reference", "reference class"}]
    tolerances = {"value": 1e-8, "error": 1e-8, "z": 1e-7, "p": 1e-6, "low": 1e-7, "high": 1e-7}
    for part, tolerance in tolerances.items():
        found = [getattr(row, part) for row in shown]
        assert found == pytest.approx(EXPECTED[name][part], rel=tolerance, abs=1e-11), part


@pytest.mark.parametrize("name", CASES)
def test_measures_are_those_of_statsmodels(name) -> None:
    case = CASES[name]
    solver = null_solver(case.job, case.design.layout)
    passes = MemoryPasses(case.design.layout, [case.tile])
    null = None if solver is None else drive(passes, [solver])[0]
    made = measures_of(case.inference, case.class_totals, null)
    for part, value in EXPECTED[name]["measures"].items():
        assert getattr(made, part) == pytest.approx(value, rel=1e-9), part


def test_the_null_model_with_an_offset_and_no_intercept_is_the_offset() -> None:
    case = replace(CASES["offset"], intercept=False)
    solver = null_solver(case.job, case.design.layout)
    (null,) = drive(MemoryPasses(case.design.layout, [case.tile]), [solver])
    signs = 2.0 * case.classes - 1.0
    assert null.sums.loss == pytest.approx(np.logaddexp(0.0, -signs * case.row_offsets).sum(), rel=1e-13)
    assert null.certificate.passes == 1


def test_variance_inflation_is_that_of_the_definition() -> None:
    case = CASES["levels"]
    covariance = case.inference.inverse[1:, 1:]
    correlation = covariance / np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
    whole = np.linalg.det(correlation)
    for column, members in zip(case.design.columns, ([0], [1], [2, 3, 4]), strict=True):
        others = [place for place in range(5) if place not in members]
        parts = [np.linalg.det(correlation[np.ix_(each, each)]) for each in (members, others)]
        expected = (parts[0] * parts[1] / whole) ** (1 / len(members))
        assert case.inference.variance_inflation(column) == pytest.approx(expected, rel=1e-9)


def test_variance_inflation_of_levels_does_not_depend_on_the_reference() -> None:
    case = CASES["levels"]
    tile = case.tile
    turned = replace(tile, levels=(replace(tile.levels[0], codes=(case.codes + 1) % 4 - 1),))
    other = Inference(case.job, case.design, solved([turned], case.design.layout))
    column = case.design.columns[-1]
    assert other.variance_inflation(column) == pytest.approx(case.inference.variance_inflation(column), rel=1e-9)


def test_a_column_that_was_dropped_has_no_error_and_the_others_have_theirs() -> None:
    case = CASES["numbers"]
    layout = case.design.layout
    solution = solved([case.tile], layout, dropped=(3,))
    solution = replace(solution, dropped=((3, ((1, 0.5), (0, 2.0))),))
    rows = coefficient_rows(Inference(case.job, case.design, solution), ("0", "1"))
    assert rows[3].note == "a combination of x0 and (intercept), left out"
    assert (rows[3].value, rows[3].error, rows[3].variance_inflation) == (0.0, None, None)
    matrix = expanded(case.tile, layout)[:, [0, 1, 2, 4]]
    shares = 1 / (1 + np.exp(-matrix @ solution.coefficients[0, [0, 1, 2, 4]]))
    covariance = np.linalg.inv((matrix * (shares * (1 - shares))[:, None]).T @ matrix)
    scales = [column.scale for column in case.design.columns]
    assert rows[1].error == pytest.approx(np.sqrt(covariance[1, 1]) / scales[0], rel=1e-9)
    assert rows[4].error == pytest.approx(np.sqrt(covariance[3, 3]) / scales[3], rel=1e-9)


def test_a_coefficient_that_a_sign_holds_at_zero_has_no_error() -> None:
    case = CASES["numbers"]
    job = replace(case.job, model=replace(case.job.model, signs={"x0": 1, "x1": -1}))
    solution = solved([case.tile], case.design.layout, dropped=(1,))
    rows = coefficient_rows(Inference(job, case.design, replace(solution, dropped=())), ("0", "1"))
    assert [row.error is None for row in rows] == [False, True, False, False, False]
    assert [row.note for row in rows[:3]] == ["", "kept at 0 by --sign", ""]


def test_signs_that_hold_every_coefficient_at_zero_are_why_there_are_no_errors() -> None:
    case = CASES["numbers"]
    names = [column.name for column in case.design.columns]
    job = replace(case.job, model=replace(case.job.model, signs=dict.fromkeys(names, 1), intercept=False))
    layout = FitLayout(len(names), intercept=False)
    solution = solved([replace(case.tile, dense=case.tile.dense[:, 1:])], layout, dropped=tuple(range(len(names))))
    found = Inference(job, replace(case.design, layout=layout), replace(solution, dropped=()))
    assert why_no_errors(found) == "there are no standard errors: no coefficient is free"


@pytest.mark.parametrize("penalty", [{"l2": 0.1}, {"l1": 0.1}])
def test_a_penalty_leaves_no_errors_and_no_tests(penalty) -> None:
    case = CASES["numbers"]
    job = replace(case.job, solve=SolveWishes(**penalty))
    found = Inference(job, case.design, case.inference.solution)
    assert all(row.error is None and row.p is None and row.low is None for row in coefficient_rows(found, ("0", "1")))
    made = measures_of(found, case.class_totals)
    assert made.deviance == pytest.approx(EXPECTED["numbers"]["measures"]["deviance"])
    assert (made.likelihood_ratio, made.likelihood_ratio_p, made.aic, made.bic, made.mcfadden) == (None,) * 5


def test_weights_of_a_sample_have_robust_errors_and_no_criteria_that_count_rows() -> None:
    case = replace(CASES["frequencies"], robust=True)
    assert scores_point(case.job, case.inference.solution).scores
    made = measures_of(case.inference, case.class_totals)
    assert (made.likelihood_ratio_p, made.aic, made.bic) == (None, None, None)
    assert made.mcfadden is not None
    twice = replace(case.tile, weights=2.0 * case.row_weights)
    other = Inference(case.job, case.design, solved([twice], case.design.layout))
    assert other.inverse == pytest.approx(case.inference.inverse / 2.0, rel=1e-8)
    scored = MemoryPasses(case.design.layout, [twice]).sums([scores_point(case.job, other.solution)])[0]
    doubled = Inference(case.job, case.design, other.solution, scored)
    assert doubled.covariance == pytest.approx(case.inference.covariance, rel=1e-7)


def test_rows_weighted_by_their_class_have_robust_errors_alone() -> None:
    case = CASES["numbers"]
    model = replace(case.job.model, class_weights="balanced")
    assert Inference(replace(case.job, model=model), case.design, case.inference.solution).covariance is None
    robust = replace(case.job, model=model, solve=SolveWishes(robust=True))
    assert Inference(robust, case.design, case.inference.solution, case.inference.scored).covariance is not None


def test_a_hessian_that_has_no_inverse_leaves_no_errors() -> None:
    case = CASES["numbers"]
    sums = replace(case.inference.solution.sums, hessian=0.0 * case.inference.solution.sums.hessian)
    found = Inference(case.job, case.design, replace(case.inference.solution, sums=sums))
    assert all(row.error is None for row in coefficient_rows(found, ("0", "1")))
    assert why_no_errors(found) == "there are no standard errors: the matrix of second derivatives has no inverse"


def test_a_person_is_told_why_there_are_no_errors() -> None:
    case = CASES["numbers"]
    plain = case.inference
    assert why_no_errors(plain) == ""
    penalised = replace(case.job, solve=SolveWishes(l2=0.1))
    assert "a penalty" in why_no_errors(Inference(penalised, case.design, plain.solution))
    without = replace(plain.solution, sums=replace(plain.solution.sums, hessian=None))
    assert "does not sum" in why_no_errors(Inference(case.job, case.design, without))
    weighted = replace(case.job, model=replace(case.job.model, class_weights="balanced"))
    assert "--robust" in why_no_errors(Inference(weighted, case.design, plain.solution))
    groups = CASES["groups"].inference
    one = replace(groups.scored, groups={0: sum(groups.scored.groups.values())})
    assert "at least two groups" in why_no_errors(Inference(groups.job, groups.design, groups.solution, one))


def test_the_inverse_keeps_its_digits_whatever_the_scales() -> None:
    case = CASES["numbers"]
    hessian = unpack(case.inference.solution.sums.hessian, case.design.layout.size)
    scales = 10.0 ** np.array([-8, 8, 0, 4, -4])
    inverse = inverse_of(hessian * np.outer(scales, scales)) * np.outer(scales, scales)
    assert inverse == pytest.approx(inverse_of(hessian), rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_what_is_stored_is_what_statsmodels_says(name) -> None:
    pytest.importorskip("statsmodels")
    found, stored = expected_of(CASES[name]), EXPECTED[name]
    assert found.keys() == stored.keys()
    for part, values in found.items():
        if isinstance(values, dict):
            assert {key: pytest.approx(value, rel=1e-8) for key, value in stored[part].items()} == values
        else:
            assert values == pytest.approx(stored[part], rel=1e-7, abs=1e-12)


@pytest.mark.parametrize("shift", [0.0, 30.0, -200.0, 5_000.0])
def test_the_null_model_is_found_however_large_the_offset_is(shift) -> None:
    case = CASES["offset"]
    tile = replace(case.tile, offset=case.row_offsets + shift)
    expected = drive(MemoryPasses(case.design.layout, [case.tile]), [null_solver(case.job, case.design.layout)])[0]
    (null,) = drive(MemoryPasses(case.design.layout, [tile]), [null_solver(case.job, case.design.layout)])
    assert null.certificate.converged
    assert null.coefficients[0, 0] + shift == pytest.approx(expected.coefficients[0, 0], rel=1e-9)
    assert null.sums.loss == pytest.approx(expected.sums.loss, rel=1e-9)
