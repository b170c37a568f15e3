"""Calibrations have the parameters of scikit-learn, the same bits on every scheduler, and measures on rows held out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from sklearn.calibration import CalibratedClassifierCV, _SigmoidCalibration
from sklearn.frozen import FrozenEstimator
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

import pipeline as logitstream
from pipeline.evaluation.calibrating.report import calibration_json, comparison_rows
from pipeline.fitting.first_pass.hashing import hashes_of_places, mixed
from pipeline.fitting.report import PassDone
from pipeline.memory import current_bytes
from pipeline.models import load_model
from pipeline.types.report import PassBegun
from tests.contracts.cluster import Cluster
from tests.evaluation.calibrating.rows import drawn_rows, model_of_raw, rows_file, sigmoid
from tests.seeds import seeds

TINY = 1e-6
HERE: Any = {"scheduler": "sync", "memory": "6GiB"}


def calibrated(folder: Path, z: np.ndarray, y: Any, method: str, **options: Any) -> Any:
    """Return the report of a calibration of raw predictions that are a column."""
    model = model_of_raw(folder, **options.pop("model", {}))
    data = rows_file(folder, z, y)
    return logitstream.calibrate(data, model, target="y", method=method, **{**HERE, **options})


def platt_of(z: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    fitted = _SigmoidCalibration().fit(z, y)
    return -fitted.a_, -fitted.b_


def beta_of(z: np.ndarray, y: np.ndarray) -> list[float]:
    """Return a, b and c as Kull, Silva Filho and Flach fit them: without a feature whose weight would be negative."""
    kept = [np.logaddexp(0.0, -z) * -1.0, np.logaddexp(0.0, z)]
    there = [0, 1]
    while True:
        features = np.stack([kept[place] for place in there], axis=1)
        fitted = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-12, max_iter=1000).fit(features, y)
        weights = dict(zip(there, fitted.coef_[0], strict=True))
        if min(weights.values()) >= 0:
            return [weights.get(0, 0.0), weights.get(1, 0.0), float(fitted.intercept_[0])]
        there = [place for place in there if weights[place] >= 0]


DRAWS = [
    {"slope": 2.0, "intercept": 3.0},
    {"scale": 100.0},
    *(pytest.param(draw, marks=pytest.mark.slow) for draw in ({}, {"scale": 1e-4}, {"slope": -0.7})),
]


@pytest.mark.parametrize("draw", DRAWS, ids=str)
def test_platt_has_the_parameters_of_scikit_learn(draw: dict[str, float], tmp_path: Path) -> None:
    z, y = drawn_rows(1, 4_000, **draw)
    report = calibrated(tmp_path, z, y, "platt")
    slope, intercept = platt_of(z, y)
    scale = np.abs(z).max()
    assert report.calibration["slope"] * scale == pytest.approx(slope * scale, rel=TINY, abs=TINY)
    assert report.calibration["intercept"] == pytest.approx(intercept, rel=TINY, abs=TINY)
    assert report.certificate["decrement"] <= 1e-16
    assert report.certificate["gradient"] < 1e-10
    assert report.passes <= 3


@pytest.mark.parametrize("only", [0, 1])
def test_one_row_of_a_class_is_enough(only: int, tmp_path: Path) -> None:
    z = np.random.default_rng(6).normal(size=300)
    y = np.full(300, 1 - only)
    y[np.argsort(z)[90]] = only
    report = calibrated(tmp_path, z, y, "platt")
    assert tuple(report.calibration[name] for name in ("slope", "intercept")) == pytest.approx(platt_of(z, y), rel=TINY)
    assert report.certificate["decrement"] <= 1e-16


@pytest.mark.slow
@pytest.mark.parametrize("far", [1e3, 1e6])
def test_platt_finds_the_optimum_far_from_zero(far: float, tmp_path: Path) -> None:
    z, y = drawn_rows(2, 3_000)
    moved, plain = calibrated(tmp_path, z + far, y, "platt"), calibrated(tmp_path, z, y, "platt")
    assert moved.calibration["slope"] == pytest.approx(plain.calibration["slope"], rel=1e-9)
    assert moved.after.log_loss == pytest.approx(plain.after.log_loss, rel=1e-9)


@pytest.mark.parametrize("slope", [0.6, pytest.param(3.0, marks=pytest.mark.slow)])
def test_half_of_the_inverse_temperature_is_beta_of_scikit_learn(slope: float, tmp_path: Path) -> None:
    temperature = pytest.importorskip("sklearn.calibration")._TemperatureScaling
    z, y = drawn_rows(3, 4_000, slope=slope, intercept=0.1)
    report = calibrated(tmp_path, z, y, "temperature")
    assert 1.0 / report.calibration["temperature"] == pytest.approx(2.0 * temperature().fit(z, y).beta_, rel=TINY)
    assert report.passes <= 3


@pytest.mark.parametrize("classes", [3, *(pytest.param(each, marks=pytest.mark.slow) for each in (2, 7))])
def test_the_temperature_of_several_classes_is_that_of_scikit_learn(classes: int, tmp_path: Path) -> None:
    temperature = pytest.importorskip("sklearn.calibration")._TemperatureScaling
    generator = np.random.default_rng(classes)
    z = generator.normal(0, 2.0, (classes, 3_000))
    shares = np.exp(0.4 * z) / np.exp(0.4 * z).sum(axis=0)
    y = (generator.random(3_000) > shares.cumsum(axis=0)).sum(axis=0)
    report = calibrated(tmp_path, z, y, "temperature", model={"classes": list(range(classes))})
    expected = temperature().fit(np.ascontiguousarray(z.T), y).beta_
    assert 1.0 / report.calibration["temperature"] == pytest.approx(expected, rel=TINY)
    assert report.passes <= 6
    found = z.T / report.calibration["temperature"]
    shares = np.exp(found) / np.exp(found).sum(axis=1, keepdims=True)
    assert report.after.log_loss == pytest.approx(log_loss(y, shares, labels=range(classes)), rel=1e-12)
    assert report.after.ece < report.before.ece
    assert report.after.calibration_slope is None


@pytest.mark.parametrize(
    ("slope", "bent"),
    [(0.6, 0.0), (0.8, -0.9), *(pytest.param(*each, marks=pytest.mark.slow) for each in ((1.5, 0.5), (0.8, 0.9)))],
)
def test_beta_has_the_parameters_of_a_logistic_regression_within_its_bounds(
    slope: float, bent: float, tmp_path: Path
) -> None:
    generator = np.random.default_rng(4)
    z = generator.normal(0, 2.0, 4_000)
    y = (generator.random(4_000) < sigmoid(slope * z + bent * np.abs(z) - 0.2)).astype(int)
    report = calibrated(tmp_path, z, y, "beta")
    found = [report.calibration[name] for name in ("a", "b", "c")]
    np.testing.assert_allclose(found, beta_of(z, y), rtol=TINY, atol=TINY)
    assert min(found[:2]) >= 0
    assert report.certificate["decrement"] <= 1e-16


@pytest.mark.parametrize("decimals", [1, pytest.param(9, marks=pytest.mark.slow)])
def test_isotonic_is_that_of_scikit_learn_where_no_key_has_two_values(decimals: int, tmp_path: Path) -> None:
    z, y = drawn_rows(5, 4_000)
    z = z.round(decimals)
    report = calibrated(tmp_path, z, y, "isotonic")
    expected = IsotonicRegression(out_of_bounds="clip", y_min=0, y_max=1).fit(z, y).predict(z)
    np.testing.assert_allclose(report.model.probability({"z": z}), expected, rtol=0, atol=1e-12)
    largest = np.unique(z, return_counts=True)[1].max() / len(z)
    assert report.certificate["largest_key"] == pytest.approx(largest)
    assert report.passes == 2


@pytest.mark.slow
def test_isotonic_of_many_values_is_that_of_the_values_rounded_to_keys(tmp_path: Path) -> None:
    z, y = drawn_rows(6, 1_000_000)
    report = calibrated(tmp_path, z, y, "isotonic")
    assert 100_000 < report.certificate["keys"] <= 1 << 18
    expected = IsotonicRegression(out_of_bounds="clip").fit(z, y).predict(z)
    found = report.model.probability({"z": z})
    assert np.abs(found - expected).mean() < 1e-4
    assert np.all(np.diff(found[np.argsort(z)]) >= 0)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["sigmoid", "isotonic", "temperature"])
def test_scores_of_the_calibrated_model_are_those_of_calibrated_classifier_cv(method: str, tmp_path: Path) -> None:
    generator = np.random.default_rng(7)
    x = generator.normal(0, 1, (3_000, 3))
    y = generator.random(3_000) < sigmoid(x[:, 0] - 0.5 * x[:, 1] ** 2)
    fitted = LogisticRegression().fit(x[:1000], y[:1000])
    names = ["x0", "x1", "x2"]
    logitstream.from_sklearn(fitted, columns=names, target="y").save(tmp_path / "model.json")
    data = rows_file(tmp_path, x.T[0], y[1000:][:0].tolist() + y.tolist(), **dict(zip(names, x.T, strict=True)))
    own = {"sigmoid": "platt"}.get(method, method)
    report = logitstream.calibrate(data, tmp_path / "model.json", target="y", method=own, **HERE)
    theirs = CalibratedClassifierCV(FrozenEstimator(fitted), method=method, ensemble=False, cv=2).fit(x, y)
    found = report.model.probability(dict(zip(names, x.T, strict=True)))
    np.testing.assert_allclose(found, theirs.predict_proba(x)[:, 1], rtol=0, atol=1e-6)


METHODS = ("platt", "temperature", "beta", "isotonic")


@pytest.mark.parametrize(
    ("how", "method"),
    [
        ({"workers": 2}, "beta"),
        *(pytest.param({"workers": 2}, method, marks=pytest.mark.slow) for method in METHODS),
        *(pytest.param({"workers": 2, "scheduler": "processes"}, each, marks=pytest.mark.slow) for each in METHODS),
    ],
)
def test_the_bits_do_not_depend_on_workers_or_scheduler(how: dict[str, Any], method: str, tmp_path: Path) -> None:
    z, y = drawn_rows(8, 20_000)
    z[::97], z[::331] = np.nan, np.inf
    data, model = rows_file(tmp_path, z, y, group=3_000), model_of_raw(tmp_path)

    def found(**how: Any) -> dict[str, object]:
        report = logitstream.calibrate(
            data, model, target="y", method=method, holdout="20%", chunk_size=4_000, memory="6GiB", **how
        )
        said = calibration_json(report)
        return {name: value for name, value in said.items() if name not in {"seconds", "peak_bytes"}}

    alone = found(workers=1, scheduler="sync")
    assert alone["rows"]["dropped"] == len({*range(0, 20_000, 97), *range(0, 20_000, 331)})  # type: ignore[index]
    assert found(**how) == alone


@pytest.mark.slow
def test_a_cluster_and_less_memory_change_no_bit(tmp_path: Path, cluster: Cluster) -> None:
    z, y = drawn_rows(16, 450_000)
    data, model = rows_file(tmp_path, z, y, group=20_000), model_of_raw(tmp_path)

    def found(**how: Any) -> list[object]:
        given: Any = {"target": "y", "method": "beta", "holdout": "20%", "chunk_size": 100_000}
        report = logitstream.calibrate(data, model, **given, **how)
        assert report.passes == 3
        return [report.calibration, report.certificate, report.before, report.after, report.rows]

    alone = found(workers=1, scheduler="sync")
    assert found(workers=1, scheduler="sync", memory=current_bytes() + (450 << 20)) == alone
    assert found(scheduler=cluster.address) == alone


@pytest.mark.slow
def test_a_csv_has_the_calibration_of_a_parquet_file(tmp_path: Path) -> None:
    z, y = drawn_rows(9, 3_000)
    model = model_of_raw(tmp_path)
    parquet = rows_file(tmp_path, z, y)
    pyarrow.csv.write_csv(pq.read_table(parquet), tmp_path / "in.csv")
    one, other = (
        logitstream.calibrate(path, model, target="y", method="platt", **HERE)
        for path in (parquet, tmp_path / "in.csv")
    )
    assert one.calibration == other.calibration
    assert (one.before, one.after) == (other.before, other.after)


def test_what_is_held_out_is_measured_and_not_fitted(tmp_path: Path) -> None:
    z, y = drawn_rows(10, 6_000)
    report = calibrated(tmp_path, z, y, "platt", holdout="25%")
    hashes = hashes_of_places("in.parquet", np.arange(6_000))
    held = mixed(hashes ^ np.uint64(0x5DEECE66D)) < np.uint64(int(0.25 * 2.0**64))
    assert report.rows["held_out"] == report.before.rows == report.after.rows == held.sum()
    assert sum(report.rows[name] for name in ("used", "held_out", "dropped", "bad", "without_target")) == 6_000
    slope, intercept = platt_of(z[~held], y[~held])
    assert report.calibration["slope"] == pytest.approx(slope, rel=TINY)
    assert report.calibration["intercept"] == pytest.approx(intercept, rel=TINY)
    for measured, margin in ((report.before, z), (report.after, slope * z + intercept)):
        assert measured.log_loss == pytest.approx(log_loss(y[held], sigmoid(margin[held])), rel=TINY)
    assert report.after.calibration_slope * slope == pytest.approx(report.before.calibration_slope, rel=1e-4)
    assert report.measured_on == "held out"


def test_before_and_after_are_what_evaluate_measures(tmp_path: Path) -> None:
    z, y = drawn_rows(18, 3_000)
    report = calibrated(tmp_path, z, y, "beta", output=tmp_path / "after.json")
    for measured, model in ((report.before, "model.json"), (report.after, "after.json")):
        found = logitstream.evaluate(tmp_path / "in.parquet", target="y", model=tmp_path / model, **HERE).measures
        assert measured.rows == found.rows
        assert measured.log_loss == found.log_loss
        for name in ("ece", "ece_noise_floor", "calibration_slope", "calibration_intercept", "calibration_curve"):
            assert getattr(measured, name) == getattr(found, name)


def test_rows_held_out_of_one_class_have_no_slope(tmp_path: Path) -> None:
    z, y = drawn_rows(19, 1_000)
    data = rows_file(tmp_path, z, y, part=((y == 1) & (z > 1)).astype(int))
    model = model_of_raw(tmp_path)
    report = logitstream.calibrate(data, model, target="y", method="platt", holdout="part == 1", **HERE)
    assert report.after.calibration_slope is None
    assert report.after.log_loss > 0
    assert "slope" not in [row[0] for row in comparison_rows(report)]


def test_each_pass_is_told_when_it_has_ended(tmp_path: Path) -> None:
    z, y = drawn_rows(17, 2_000)
    told: list[Any] = []

    def ended() -> list[PassDone]:
        return [each for each in told if isinstance(each, PassDone)]

    calibrated(tmp_path, z, y, "isotonic", observe=told.append)
    assert [(each.number, each.what, each.rows) for each in ended()] == [(1, "count", 2_000), (2, "measure", 2_000)]
    assert told[0] == PassBegun(2_000, rows_estimated=False, bytes_to_read=told[0].bytes_to_read)
    assert (told[-2].rows, told[-2].input_bytes) == (2_000, told[0].bytes_to_read)
    calibrated(tmp_path, z, y, "platt", observe=told.append)
    assert [each.what for each in ended()[2:]] == ["count", "fit"]


def test_a_calibration_that_nothing_asks_for_is_told(tmp_path: Path) -> None:
    z, y = drawn_rows(15, 3_000, slope=1.0, intercept=0.0)
    report = calibrated(tmp_path, z, y, "isotonic", holdout="25%", model={"output": {"threshold": 0.5}})
    told = " / ".join(report.notes)
    assert "the ECE is not above its noise floor" in told
    assert "rows that were held out, the log loss is higher with the calibration than without" in told
    assert "decisions of the model may change: they are made at a probability of 0.5" in told
    softened = calibrated(tmp_path, z, y, "temperature", model={"output": {"threshold": 0.5}})
    assert "decisions" not in " / ".join(softened.notes)


@pytest.mark.parametrize(("method", "slope"), [("isotonic", 0.6), ("platt", -0.7)])
def test_the_curves_before_and_after_have_the_same_bins_in_the_order_of_their_probability(
    method: str, slope: float, tmp_path: Path
) -> None:
    z, y = drawn_rows(22, 2_000, slope=slope)
    report = calibrated(tmp_path, z, y, method)
    for each in (report.before, report.after):
        assert [place.rows for place in each.calibration_curve] == [100] * 20
        means = [place.mean_probability for place in each.calibration_curve]
        assert means == sorted(means)


def test_bands_of_the_probability_that_may_change_are_told_and_bands_of_points_are_not(tmp_path: Path) -> None:
    z, y = drawn_rows(15, 500)
    bands = {"thresholds": [0.5], "names": ["low", "high"]}
    points = {"pdo": 20, "base_points": 600, "base_odds": 50}
    for output, told in (
        ({"bands": {**bands, "on": "probability"}}, True),
        ({"bands": {**bands, "on": "points"}, "points": points}, False),
        ({}, False),
    ):
        notes = calibrated(tmp_path, z, y, "platt", model={"output": output}).notes
        assert ("bands of the model may change: they are bands of the probability" in notes) == told


def test_rows_with_one_key_stay_together_and_a_comparison_holds_out_rows(tmp_path: Path) -> None:
    z, y = drawn_rows(11, 4_000)
    data = rows_file(tmp_path, z, y, customer=np.arange(4_000) // 40, day=np.arange(4_000) % 10)
    model = model_of_raw(tmp_path)
    keyed = logitstream.calibrate(data, model, target="y", method="platt", holdout="30%", key="customer", **HERE)
    assert keyed.rows["held_out"] % 40 == 0
    assert 0 < keyed.rows["held_out"] < 4_000
    compared = logitstream.calibrate(data, model, target="y", method="platt", holdout="day >= 8", **HERE)
    assert compared.rows["held_out"] == 800


def test_the_model_keeps_its_raw_predictions_and_says_what_it_was_calibrated_on(tmp_path: Path) -> None:
    z, y = drawn_rows(12, 2_000)
    output = tmp_path / "calibrated.json"
    report = calibrated(tmp_path, z, y, "beta", output=output, holdout="20%", model={"training": {"by": "hand"}})
    model = logitstream.LogisticModel.load(output)
    assert model == report.model
    assert np.array_equal(model.raw_prediction({"z": z}), z)
    logitstream.score(tmp_path / "in.parquet", output, tmp_path / "scores")
    scored = pq.read_table(tmp_path / "scores").column("probability").to_numpy()
    assert np.array_equal(scored, model.probability({"z": z}))
    said = model.training or {}
    assert said["by"] == "hand"
    assert said["calibration"]["holdout"] == "20%"
    assert said["calibration"]["rows"]["used"] == report.rows["used"]
    assert said["calibration"]["after"]["log_loss"] == report.after.log_loss


def test_a_calibration_is_replaced_only_if_that_is_asked_for(tmp_path: Path) -> None:
    z, y = drawn_rows(13, 2_000)
    old = {"method": "platt", "slope": -1.0, "intercept": 0.5}
    report = calibrated(
        tmp_path, z, y, "platt", model={"output": {"calibration": old, "threshold": 0.4}}, recalibrate=True
    )
    assert report.calibration["slope"] == pytest.approx(platt_of(z, y)[0], rel=TINY)
    assert report.before.log_loss == pytest.approx(log_loss(y, sigmoid(0.5 - z)), rel=1e-12)
    assert report.model.file.output.threshold == 0.4
    assert any("they are made at a probability of 0.4" in note for note in report.notes)
    again = calibrated(tmp_path, z, y, "platt", model={"output": {"temperature": 2.0}}, recalibrate=True)
    assert again.calibration == report.calibration
    assert again.before.log_loss == pytest.approx(log_loss(y, sigmoid(z / 2)), rel=1e-12)
    assert json.loads(again.model.to_json())["output"].keys() == {"calibration"}


def test_a_row_of_probability_0_that_is_positive_is_clipped_and_counted(tmp_path: Path) -> None:
    z = np.arange(400, dtype=float)
    y = ((z > 200) | (z % 40 == 39)).astype(int)
    held = z % 40 == 39
    data = rows_file(tmp_path, np.where(held, 5.5, z), y, part=held.astype(int))
    report = logitstream.calibrate(
        data, model_of_raw(tmp_path), target="y", method="isotonic", holdout="part == 1", **HERE
    )
    assert report.after.clipped == held.sum()
    assert report.after.log_loss == pytest.approx(-np.log(np.finfo(float).eps))
    assert "a probability of 0 or 1 is on the wrong side in 10 of 10 rows" in " ".join(report.notes)


@pytest.mark.parametrize("seed", seeds(40, slow=10))
def test_drawn_calibrations_are_those_of_scikit_learn(seed: int, tmp_path: Path) -> None:
    generator = np.random.default_rng(seed)
    scale = 10.0 ** generator.uniform(-3, 3)
    z = generator.choice([generator.normal(0, 1, 3_000), generator.standard_t(2, 3_000)]) + generator.normal()
    if seed % 4 == 0:
        z = z.round(1)
    y = (generator.random(3_000) < sigmoid(generator.uniform(0.1, 3) * z + generator.normal())).astype(int)
    report = calibrated(tmp_path, z * scale, y, "platt", chunk_size=700)
    slope, intercept = platt_of(z * scale, y)
    assert report.calibration["slope"] * scale == pytest.approx(slope * scale, rel=1e-5, abs=1e-6)
    assert report.calibration["intercept"] == pytest.approx(intercept, rel=1e-5, abs=1e-6)
    assert report.certificate["decrement"] <= 1e-16
    steps = calibrated(tmp_path, z * scale, y, "isotonic", chunk_size=700)
    expected = IsotonicRegression(out_of_bounds="clip").fit(z * scale, y).predict(z * scale)
    np.testing.assert_allclose(steps.model.probability({"z": z * scale}), expected, rtol=0, atol=1e-12)


def test_a_network_is_calibrated_with_its_weights_beside_it(tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    from tests.models.network.networks import columns, drawn, layers, written

    generator = np.random.default_rng(14)
    x = generator.normal(0, 1, (2, 2_000))
    path = written(tmp_path, drawn((2, 3, 1)), features=columns(2), layers=layers(2, "tanh"))
    network = load_model(path)
    raw = network.raw_prediction({"x0": x[0], "x1": x[1]})  # type: ignore[attr-defined]
    y = generator.random(2_000) < sigmoid(0.5 * raw + 0.3)
    data = rows_file(tmp_path, x[0], y, x0=x[0], x1=x[1])
    output = tmp_path / "out.json"
    report = logitstream.calibrate(data, path, target="y", method="platt", output=output, **HERE)
    assert report.calibration["slope"] == pytest.approx(platt_of(raw, y.astype(int))[0], rel=TINY)
    stored = logitstream.NetworkModel.load(output)
    assert (tmp_path / "out.safetensors").exists()
    found = stored.probability({"x0": x[0], "x1": x[1]})
    expected = sigmoid(report.calibration["slope"] * raw + report.calibration["intercept"])
    np.testing.assert_allclose(found, expected, rtol=1e-12)
