"""What a model file says of its training: profiles against NumPy and PyArrow, and nothing that differs between runs."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pipeline.fitting.asking.job import DataWishes, FitJob, ModelWishes, SolveWishes
from pipeline.fitting.first_pass.learnt import FitAccounts, Learnt, LearntLevels, LearntNumber
from pipeline.fitting.outcome.making import model_of
from pipeline.fitting.outcome.profiles import (
    MOST_LEVELS,
    RowsSeen,
    algorithm_of,
    certificate_document,
    data_digest,
    distribution,
    trained,
    training_of,
)
from pipeline.fitting.solving.objective import Certificate
from pipeline.models import LogisticModel
from pipeline.types.inputs import FileFacts, Identity, InputFile
from tests.fitting.test_effects import TABLE, design_of
from tests.fitting.test_making import solution_of

CERTIFICATE = Certificate(True, "the Newton decrement is at its limit", 1e-20, 1e-12, 1e-16, 5, 400)
FILES = tuple(
    FileFacts(
        InputFile(name, f"/somewhere/{name}", 0, "parquet"), Identity(100, 7, name), (), 200, 10.0, np.array([200])
    )
    for name in ("a.parquet", "b.parquet")
)
SAMPLE = pa.table(
    {
        "x": pa.array([*TABLE["x"].to_pylist()[:-2], None, float("nan")]),
        "y0": TABLE["y0"],
        "flag": TABLE["flag"],
        "carrier": TABLE["carrier"],
        "(fold)": pa.array(np.zeros(len(TABLE), dtype=np.int8)),
    }
)
LEARNT = Learnt(
    FitAccounts(read=500, used=400, dropped=100),
    400.0,
    (False, True),
    (1.0, 3.0),
    {"x": LearntNumber(398, 2, 3.0, 2.0, 0.01, 12.0), "square(y0)": LearntNumber(400, 0, 5.0, 2.0, 0.0, 40.0)},
    {"carrier": LearntLevels("text", {"AA": 200, "UA": 120, "DL": 80}, {}, (), 3)},
    class_totals=(300.0, 100.0),
)
DESIGN = design_of("x", "square(y0)", "C(carrier)")
JOB = FitJob(DataWishes(()), ModelWishes("y"))


def said(sample=SAMPLE, files=FILES, design=DESIGN, learnt=LEARNT, job=JOB) -> tuple[dict, LogisticModel]:
    coefficients = np.random.default_rng(4).normal(size=(design.layout.outputs, design.layout.width))
    model = model_of(JOB, design, learnt, solution_of(coefficients), {})
    return training_of(job, design, RowsSeen(files, learnt, sample), model, CERTIFICATE, "newton"), model


def test_training_says_what_a_model_was_fitted_to_and_how() -> None:
    training, model = said()
    assert training["rows"] == {
        "read": 500,
        "used": 400,
        "held_out": 0,
        "dropped": 100,
        "bad": 0,
        "without_target": 0,
    }
    assert training["classes"] == [{"value": False, "weight": 300.0}, {"value": True, "weight": 100.0}]
    assert training["algorithm"] == {"method": "newton"}
    assert training["certificate"]["decrement"] == 1e-20
    assert training["arithmetic"].startswith("numpy-")
    whole = LogisticModel.from_json(trained(model, training).to_json())
    assert whole.training == training
    assert trained(model, training).raw_prediction(TABLE).tolist() == model.raw_prediction(TABLE).tolist()


def test_numbers_have_their_missing_values_quantiles_and_histogram() -> None:
    columns = said()[0]["profile"]["columns"]
    values = TABLE["x"].to_numpy()[:-2]
    found = columns["x"]
    assert (found["kind"], found["values"], found["missing"], found["mean"]) == ("number", 398, 2, 3.0)
    shares = [float(share) for share in found["quantiles"]]
    assert list(found["quantiles"].values()) == np.quantile(values, shares, method="lower").tolist()
    edges, counts = found["histogram"]["edges"], found["histogram"]["counts"]
    assert counts == np.histogram(values, [-np.inf, *edges, np.inf])[0].tolist()
    assert sum(counts) == 398
    assert max(counts) <= 41


def test_a_column_that_is_fitted_only_after_steps_has_no_mean_of_its_own() -> None:
    found = said()[0]["profile"]["columns"]["y0"]
    assert found["values"] == 400
    assert "mean" not in found
    assert found["quantiles"]["0.5"] == np.quantile(TABLE["y0"].to_numpy(), 0.5, method="lower")


def test_levels_have_their_counts() -> None:
    expected = {"kind": "levels", "type": "text", "missing": 3, "counts": {"AA": 200, "UA": 120, "DL": 80}}
    assert said()[0]["profile"]["columns"]["carrier"] == expected


def test_levels_beyond_the_thousand_most_frequent_are_counted_together() -> None:
    counts = {f"l{number:04}": 5_000 - number for number in range(1_200)} | {"(other)": 3}
    learnt = replace(LEARNT, levels={"carrier": LearntLevels("text", counts, {}, ("rare",))})
    found = said(learnt=replace(learnt, levels={"carrier": replace(learnt.levels["carrier"])}))
    kept = found[0]["profile"]["columns"]["carrier"]["counts"]
    assert len(kept) == MOST_LEVELS + 1
    assert sum(kept.values()) == sum(counts.values())
    assert kept["l0999"] == 4_001
    assert kept["(other)"] == 3 + sum(5_000 - number for number in range(1_000, 1_200))


def test_the_score_is_that_of_the_model_on_the_sample() -> None:
    full = SAMPLE.set_column(0, "x", TABLE["x"])
    training, model = said(full)
    expected = distribution(model.predict_proba(TABLE)[:, 1])
    assert training["profile"]["score"] == expected
    assert training["profile"]["rows"] == 400


def test_each_class_has_a_score() -> None:
    design = design_of("x", "square(y0)", "C(carrier)", classes=3, outputs=2)
    learnt = replace(LEARNT, classes=("a", "b", "c"), class_weights=(1.0,) * 3, class_totals=(100.0, 200.0, 100.0))
    training, model = said(SAMPLE.set_column(0, "x", TABLE["x"]), design=design, learnt=learnt)
    scores = training["profile"]["score"]
    assert [score["class"] for score in scores] == ["a", "b", "c"]
    assert scores[2]["quantiles"] == distribution(model.predict_proba(TABLE)[:, 2])["quantiles"]


def test_a_column_that_is_numbers_and_levels_has_both_profiles() -> None:
    levels = pa.array(["7", "8"] * 200)
    sample = SAMPLE.append_column("x", levels)
    training, _ = said(sample)
    assert training["profile"]["columns"]["x"] == said()[0]["profile"]["columns"]["x"]


def test_a_limit_of_rows_is_recorded() -> None:
    job = replace(JOB, data=replace(JOB.data, limit=50))
    assert said(job=job)[0]["data"]["limit"] == 50
    assert "limit" not in said()[0]["data"]


def test_neither_places_nor_times_of_files_count() -> None:
    moved = tuple(
        replace(
            facts,
            file=replace(facts.file, location=f"/elsewhere/{facts.file.path}"),
            identity=replace(facts.identity, mtime_ns=8),
        )
        for facts in FILES
    )
    assert said(files=moved)[0] == said()[0]
    assert data_digest(moved) == data_digest(FILES)
    assert data_digest(FILES[::-1]) != data_digest(FILES)
    changed = replace(FILES[0], identity=replace(FILES[0].identity, size=101))
    assert data_digest((changed, FILES[1])) != data_digest(FILES)
    assert "somewhere" not in json.dumps(said()[0])


def test_the_algorithm_has_the_options_that_change_the_result() -> None:
    model = ModelWishes("y", weight="w", class_weights={"a": 2.0}, prior=0.1, signs={"x": 1})
    solve = SolveWishes(l1=0.1, l2=0.2, folds=5, learning_rate=0.5)
    job = FitJob(DataWishes(()), model, solve)
    assert algorithm_of(job, "owlqn") == {
        "method": "owlqn",
        "l1": 0.1,
        "l2": 0.2,
        "folds": 5,
        "weight": "w",
        "class_weights": {"a": 2.0},
        "prior": 0.1,
        "signs": {"x": 1},
    }
    assert algorithm_of(job, "gradient")["learning_rate"] == 0.5


def test_a_certificate_names_what_separates() -> None:
    certificate = replace(CERTIFICATE, converged=False, separation="complete", separating=(3, 1), decrement=None)
    found = certificate_document(DESIGN, certificate)
    assert found["separating"] == ["C(carrier)[UA]", "x"]
    assert found["separation"] == "complete"
    assert "decrement" not in found


@given(st.lists(st.floats(width=32), max_size=60))
def test_every_value_is_in_one_interval_of_a_histogram(values) -> None:
    made = distribution(np.array(values))
    known = [value for value in values if value == value]
    json.dumps(made, allow_nan=False)
    if not known:
        assert made == {}
        return
    edges, counts = made["histogram"]["edges"], made["histogram"]["counts"]
    assert sum(counts) == len(known)
    for place, count in enumerate(counts):
        low, high = ([-np.inf, *edges][place], [*edges, np.inf][place])
        assert count == sum(low <= value and (value < high or place == len(edges)) for value in known)
