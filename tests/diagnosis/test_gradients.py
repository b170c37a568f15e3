"""Gradients in networks over the rows of files: the values of autograd, the same bits for any workers, plain words."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

import pipeline as logitstream
from pipeline.diagnosis import GradientReport, LayerGradient, gradients_json, largest_slope
from pipeline.diagnosis.gradient_wording import gradient_advice, gradient_sentence
from pipeline.diagnosis.reading import gradient_layers
from pipeline.diagnosis.summing import GradientSummer, RowSides
from pipeline.errors import BadCellsError, DataError, MemoryBudgetError, ModelError, SchemaError, UsageError
from pipeline.kernels.layers import log_loss_signal, log_losses
from pipeline.models import load_model
from pipeline.models.network.compute import network_of
from pipeline.models.network.model import NetworkModel
from tests.diagnosis.torch_gradients import WIDTHS, by_autograd, stored_rows
from tests.models.network.networks import FUNCTIONS, categorical, columns, drawn, layers, numeric, written
from tests.seeds import seeds

STORED: dict[str, Any] = json.loads((Path(__file__).parent / "stored_gradients.json").read_text())["gradients"]
SAMPLE = Path(__file__).resolve().parents[2] / "sample_data"
MEASURED = ("norm", "weight_gradient", "mean_activation")
needs_torch = pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed")


def table_of(rows: np.ndarray, target: Any = None) -> pa.Table:
    found = {f"x{number}": rows[:, number] for number in range(rows.shape[1])}
    return pa.table(found if target is None else {**found, "y": target})


def network(folder: Path, widths: tuple[int, ...], function: str | None = "sigmoid", **options: Any) -> Path:
    """Write a network with drawn weights: of one output for a sigmoid, else with classes 0, 1, ..."""
    dtype, seed, parameters = options.get("dtype", np.float64), options.get("seed", 0), options.get("parameters", {})
    tensors = {name: options.get("scaled", 1) * each for name, each in drawn(widths, dtype, seed).items()}
    classes = {"head": "softmax", "classes": list(range(widths[-1]))} if widths[-1] > 1 else {}
    described = layers(len(widths) - 1, function, parameters)
    return written(folder, tensors, features=columns(widths[0]), layers=described, **classes)


def assert_near(report: GradientReport, expected: dict[str, Any], limit: float = 1e-9) -> None:
    for name in MEASURED:
        found = [getattr(layer, name) for layer in report.layers]
        np.testing.assert_allclose(found, expected[name], rtol=limit, atol=0, err_msg=name)
    if report.target is not None:
        assert report.loss == pytest.approx(expected["loss"], rel=limit)


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_gradients_are_those_that_autograd_computed(function: str, outputs: int, tmp_path: Path) -> None:
    rows, numbers = stored_rows()
    model = network(tmp_path, (*WIDTHS, outputs), function, parameters=FUNCTIONS[function])
    pq.write_table(table_of(rows, numbers % max(2, outputs)), tmp_path / "in.parquet")
    stored = STORED[function][str(outputs)]
    with_target = logitstream.diagnose_gradients(tmp_path / "in.parquet", model, target="y")
    assert_near(with_target, stored["log"])
    assert (with_target.rows["read"], with_target.rows["used"]) == (40, 40)
    assert_near(logitstream.diagnose_gradients(tmp_path / "in.parquet", model), stored["unit"])


@needs_torch
@pytest.mark.parametrize("seed", seeds(60, slow=12))
def test_gradients_of_drawn_networks_are_those_of_autograd(seed: int, tmp_path: Path) -> None:
    generator = np.random.default_rng(seed)
    outputs = int(generator.choice([1, 2, 5]))
    widths = (*generator.integers(1, 40, int(generator.integers(1, 9))).tolist(), outputs)
    function = str(generator.choice([*FUNCTIONS]))
    count = int(generator.choice([1, 7, 1024, 3000]))
    rows, codes = generator.normal(0, 2, (count, widths[0])), generator.integers(0, max(2, outputs), count)
    dtype = np.float32 if seed % 3 == 0 else np.float64
    model = network(tmp_path, widths, function, dtype=dtype, seed=seed, parameters=FUNCTIONS[function])
    pq.write_table(table_of(rows, codes), tmp_path / "in.parquet")
    tensors = drawn(widths, dtype, seed)
    for target in ("y", None):
        found = logitstream.diagnose_gradients(tmp_path / "in.parquet", model, target=target)
        given = codes if target else None
        assert_near(found, by_autograd(tensors, rows, given, function, FUNCTIONS[function]))


@pytest.mark.parametrize(
    "how", [{"workers": 2}, pytest.param({"workers": 2, "scheduler": "processes"}, marks=pytest.mark.slow)]
)
def test_the_bits_do_not_depend_on_workers_or_scheduler(how: dict[str, Any], tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    rows = generator.normal(0, 2, (30_000, 5))
    rows[::97, 2] = np.nan
    rows[::331, 1] = np.inf
    model = network(tmp_path, (5, 16, 8, 1), "tanh", scaled=2.0)
    pq.write_table(table_of(rows, rows[:, 0] > 0), tmp_path / "in.parquet", row_group_size=5_000)

    def found(**how: Any) -> str:
        report = logitstream.diagnose_gradients(tmp_path / "in.parquet", model, target="y", chunk_size=7_000, **how)
        return json.dumps(gradients_json(report))

    alone = found(workers=1, scheduler="sync")
    assert json.loads(alone)["rows"]["used"] == 30_000 - len({*range(0, 30_000, 97), *range(0, 30_000, 331)})
    assert found(**how) == alone


def test_the_sums_of_a_chunk_have_the_same_bits_whatever_its_batches_are(tmp_path: Path) -> None:
    generator = np.random.default_rng(4)
    rows, codes = generator.normal(size=(5_000, 7)), generator.integers(0, 3, 5_000)
    model = load_model(network(tmp_path, (7, 9, 3), "silu"))
    assert isinstance(model, NetworkModel)
    measured = gradient_layers(model.file, network_of(model.file, model.path))

    def found(*cuts: int) -> bytes:
        summer = GradientSummer(measured)
        for part in np.split(np.arange(5_000), cuts):
            summer.add(rows[part], RowSides(codes[part]))
        sums = summer.done()
        return b"".join(each.tobytes() for each in (sums.norms, sums.activations, sums.saturated, *sums.weights))

    assert found() == found(1) == found(1_024, 1_025, 2_048) == found(*range(0, 5_000, 700))


def test_a_csv_has_the_numbers_of_a_parquet_file(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    table = table_of(generator.normal(0, 1, (3_000, 4)), generator.integers(0, 2, 3_000))
    model = network(tmp_path, (4, 6, 1))
    pq.write_table(table, tmp_path / "in.parquet")
    pa.csv.write_csv(table, tmp_path / "in.csv")
    one, other = (
        logitstream.diagnose_gradients(tmp_path / name, model, target="y") for name in ("in.parquet", "in.csv")
    )
    assert one == other


def test_rows_without_inputs_or_a_class_are_left_out_and_counted(tmp_path: Path) -> None:
    features = [
        numeric("a", missing={"impute": 1.0}),
        numeric("b"),
        categorical("c", ["u", "v"], unseen="error"),
    ]
    tensors = drawn((4, 5, 1))
    model = written(
        tmp_path,
        tensors,
        features=features,
        layers=layers(2, "tanh"),
        target={"column": "late", "negative": "no", "positive": "yes"},
    )
    table = pa.table(
        {
            "a": [None, 2.0, 3.0, 4.0, 5.0, 6.0, math.inf],
            "b": [1.0, None, 3.0, 4.0, 5.0, 6.0, 7.0],
            "c": ["u", "v", "u", "v", "w", "u", "u"],
            "late": ["yes", "no", None, "no", "yes", "perhaps", "no"],
        }
    )
    pq.write_table(table, tmp_path / "in.parquet")
    data = tmp_path / "in.parquet"
    with pytest.raises(BadCellsError, match="row 3, column late: null is a missing value, but every row needs a tar"):
        logitstream.diagnose_gradients(data, model, target="late")
    found = logitstream.diagnose_gradients(data, model, target="late", max_bad=2, missing_target="drop")
    assert found.rows == {
        "read": 7, "used": 2, "bad": 2, "set_aside": 0, "without_score": 1, "without_target": 1, "not_finite": 1,
    }  # fmt: skip
    used = np.array([[1.0, 1.0, 1.0, 0.0], [4.0, 4.0, 0.0, 1.0]])
    z = used @ tensors["0.weight"].T + tensors["0.bias"]
    raw = (np.tanh(z) @ tensors["1.weight"].T + tensors["1.bias"])[:, 0]
    signal = 1 / (1 + np.exp(-raw)) - [1, 0]
    assert found.layers[1].norm == pytest.approx(np.abs(signal).mean(), rel=1e-12)
    below = signal[:, np.newaxis] * tensors["1.weight"] * (1 - np.tanh(z) ** 2)
    assert found.layers[0].norm == pytest.approx(np.linalg.norm(below, axis=1).mean(), rel=1e-12)
    assert found.layers[0].weight_gradient == pytest.approx(np.linalg.norm(below.T @ used / 2), rel=1e-12)
    pq.write_table(table.slice(5), data)
    with pytest.raises(BadCellsError, match="row 1, column late: 'perhaps' is not a class of the model"):
        logitstream.diagnose_gradients(data, model, target="late")


def test_rows_that_the_model_sets_aside_and_files_without_the_target_are_counted(tmp_path: Path) -> None:
    features = [numeric("a"), categorical("c", ["u", "v"], unseen="quarantine")]
    model = written(tmp_path, drawn((3, 4, 1)), features=features, layers=layers(2, "tanh"))
    data = tmp_path / "data"
    data.mkdir()
    pq.write_table(pa.table({"a": [1.0, 2.0, 3.0], "c": ["u", "w", "v"], "y": [True, False, True]}), data / "1.parquet")
    pq.write_table(pa.table({"a": [1.0, 2.0], "c": ["u", "v"]}), data / "2.parquet")
    how = {"target": "y", "absent": "null", "missing_target": "drop"}
    found = logitstream.diagnose_gradients(data, model, **how)
    counts = {name: count for name, count in found.rows.items() if count}
    assert counts == {"read": 5, "used": 2, "set_aside": 1, "without_target": 2}
    assert found.notes == ("y is missing in 1 file of 2 (2.parquet): taken as null (--absent null)",)
    with pytest.raises(SchemaError, match="has no column 'y'"):
        logitstream.diagnose_gradients(data, model, target="y")


def test_the_target_may_be_a_feature_too(tmp_path: Path) -> None:
    model = network(tmp_path, (2, 3, 1))
    rows = np.array([[0, 1], [1, 0], [1, 1]])
    pq.write_table(table_of(rows, rows[:, 1]), tmp_path / "in.parquet")
    one, other = (
        logitstream.diagnose_gradients(tmp_path / "in.parquet", model, target=target) for target in ("x1", "y")
    )
    assert one.layers == other.layers


def test_saturated_units_are_counted_by_the_slope_of_their_function(tmp_path: Path) -> None:
    tensors = {"0.weight": np.eye(2), "0.bias": np.zeros(2), "1.weight": np.ones((1, 2)), "1.bias": np.zeros(1)}
    rows = np.array([[0.0, 5.0], [-5.0, 5.0], [1.0, 1.0], [0.0, -2.0]])
    for function, hidden in (("sigmoid", 3 / 8), ("tanh", 4 / 8), ("relu", 4 / 8), (None, 0.0)):
        model = written(tmp_path, tensors, features=columns(2), layers=layers(2, function))
        pq.write_table(table_of(rows), tmp_path / "in.parquet")
        found = logitstream.diagnose_gradients(tmp_path / "in.parquet", model)
        assert found.layers[0].saturated == pytest.approx(hidden), function
    # The last layer has the slope of the head: sums are 5, 0, 2, -2 without a function.
    assert found.layers[1].saturated == 1 / 4


def test_classes_are_found_by_value_where_they_are_spelled_otherwise(tmp_path: Path) -> None:
    rows = np.random.default_rng(2).normal(size=(6, 3))
    model = network(tmp_path, (3, 4, 1))
    reports = []
    for number, target in enumerate(([True, False] * 3, [1, 0] * 3, ["true", "FALSE"] * 3, [1.0, 0.0] * 3)):
        pq.write_table(table_of(rows, target), tmp_path / f"{number}.parquet")
        reports.append(logitstream.diagnose_gradients(tmp_path / f"{number}.parquet", model, target="y"))
    assert len({repr(report.layers) for report in reports}) == 1


def test_the_log_loss_has_all_its_digits_where_a_probability_is_near_one() -> None:
    raw = np.array([[50.0], [50.0], [-40.0]])
    codes = np.array([1, 0, 1])
    signal, loss = log_loss_signal("sigmoid", raw, codes), log_losses("sigmoid", raw, codes)
    np.testing.assert_allclose(signal[:, 0], [-math.exp(-50), 1.0, -1.0], rtol=1e-14)
    np.testing.assert_allclose(loss, [math.exp(-50), 50.0, 40.0], rtol=1e-14)
    raw, codes = np.array([[0.0, 50.0, 1.0]]), np.array([1])
    signal, loss = log_loss_signal("softmax", raw, codes), log_losses("softmax", raw, codes)
    others = np.array([math.exp(-50), math.exp(-49)])
    np.testing.assert_allclose(signal, [[others[0], -others.sum(), others[1]]], rtol=1e-14)
    np.testing.assert_allclose(loss, 0.0, atol=1e-15)


def test_a_row_that_overflows_is_left_out_and_a_signal_that_does_is_infinite(tmp_path: Path) -> None:
    model = network(tmp_path, (2, 3, 3, 3, 1), "relu", scaled=1e120)
    rows = np.array([[1.0, -1.0], [2.0, 1e-300]])
    pq.write_table(table_of(rows), tmp_path / "in.parquet")
    with pytest.raises(DataError, match="no row is left to measure: 2 were read, 2 are not finite"):
        logitstream.diagnose_gradients(tmp_path / "in.parquet", model)
    tensors = {"0.weight": np.full((1, 1), 1e-300), "0.bias": np.zeros(1)}
    tensors |= {f"{number}.{part}": np.full((1,) * axes, value) for number in (1, 2, 3)
                for part, axes, value in (("weight", 2, 1e150), ("bias", 1, 0.0))}  # fmt: skip
    model = written(tmp_path, tensors, features=columns(1), layers=layers(4, "leaky_relu"))
    pq.write_table(table_of(np.array([[1e-100]])), tmp_path / "in.parquet")
    found = logitstream.diagnose_gradients(tmp_path / "in.parquet", model)
    assert [layer.norm for layer in found.layers] == [math.inf, pytest.approx(1e296), pytest.approx(1e148), 1.0]
    assert found.ratio == math.inf
    assert "explodes: from layer 1 on, numbers grow beyond what float64 can hold" in found.sentences[0]
    assert json.loads(json.dumps(gradients_json(found), allow_nan=False))["layers"][0]["norm"] is None


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"target": 3}, TypeError, "target is the int 3, not the name of a column"),
        ({"target": "nothing"}, SchemaError, "has no column 'nothing'"),
        ({"features": "x"}, TypeError, "there is no option 'features'"),
        ({"workers": 0}, UsageError, "workers is 0"),
        ({"limit": 1.5}, TypeError, r"limit is the float 1\.5"),
        ({"absent": "zero"}, UsageError, "there is no such choice"),
        ({"missing_target": "zero"}, UsageError, "there is no such choice"),
        ({"scheduler": "treads"}, UsageError, "treads"),
        ({"memory": "1MiB"}, MemoryBudgetError, "memory"),
        ({"types": {"none": "int64"}}, UsageError, "the job reads no column of that name"),
    ],
)
def test_an_option_that_cannot_be_is_refused_before_any_row(
    options: dict[str, Any], error: type[Exception], message: str, tmp_path: Path
) -> None:
    model = network(tmp_path, (2, 3, 1))
    pq.write_table(table_of(np.zeros((4, 2))), tmp_path / "in.parquet")
    with pytest.raises(error, match=message):
        logitstream.diagnose_gradients(tmp_path / "in.parquet", model, **options)


def test_a_logistic_model_is_refused_with_a_remedy() -> None:
    with pytest.raises(ModelError, match=r"delay_model\.json is of the kind logistic: it has no layers") as caught:
        logitstream.diagnose_gradients(SAMPLE / "flights", SAMPLE / "delay_model.json")
    assert caught.value.remedy == "name a model file of the kind network"
    with pytest.raises(ModelError, match="the model is of the kind logistic"):
        logitstream.diagnose_gradients(SAMPLE / "flights", logitstream.LogisticModel.load(SAMPLE / "delay_model.json"))
    with pytest.raises(TypeError, match="model is a int, neither a network nor the path of a model file"):
        logitstream.diagnose_gradients(SAMPLE / "flights", 3)  # type: ignore[arg-type]


def test_no_rows_are_an_error_with_the_counts(tmp_path: Path) -> None:
    model = network(tmp_path, (2, 3, 1))
    pq.write_table(table_of(np.full((3, 2), np.nan)), tmp_path / "in.parquet")
    with pytest.raises(DataError, match="no row is left to measure: 3 were read, 3 lack a value"):
        logitstream.diagnose_gradients(tmp_path / "in.parquet", model)


@pytest.mark.parametrize(
    ("function", "parameters", "largest"),
    [
        (None, {}, 1.0),
        ("sigmoid", {"temperature": 2.0, "alpha": 3.0, "beta": 500.0}, 0.375),
        ("sigmoid", {"low": -1.0}, 0.5),
        ("softmax", {"temperature": 2.0}, 0.125),
        ("elu", {"alpha": 3.0}, 3.0),
        ("leaky_relu", {"alpha": 0.2}, 1.0),
    ],
)
def test_the_largest_slope_is_that_of_the_function_with_its_parameters(
    function: str | None, parameters: dict[str, float], largest: float
) -> None:
    assert largest_slope(function, parameters) == pytest.approx(largest, rel=1e-4)


def test_the_logit_has_no_largest_slope() -> None:
    assert math.isnan(largest_slope("logit"))


LAYER = LayerGradient(1, 0, "dense", 8, "sigmoid", 1.0, 1.0, 0.1, 0.5)


def stack(*norms: float, **changes: Any) -> tuple[tuple[LayerGradient, ...], float]:
    found = tuple(replace(LAYER, number=number, norm=norm, **changes) for number, norm in enumerate(norms, start=1))
    return found, norms[0] / norms[-1]


VANISHES = stack(1e-7, 1e-6, 1e-1, 1.0)
EXPLODES = stack(1e5, 1e4, 10.0, 1.0, function="relu")
KEEPS = stack(0.5, 0.7, 1.0)
FLAT = stack(1e-3, 0.1, 1.0, saturated=0.8)
OFF = stack(0.5, 0.7, 1.0, saturated=0.95, function="relu")
LINEAR = stack(1e-6, 1.0, function=None)
NOTHING = stack(0.0, 0.0, 1.0)
RIGHT = (stack(0.0, 0.0, 1.0)[0][:2], 0.0)


@pytest.mark.parametrize(
    ("given", "told", "helps"),
    [
        (
            VANISHES,
            "The error signal vanishes. Layer 1, next to the input, gets 1.0e-07 of what layer 4 has;",
            "gain 4",
        ),
        (VANISHES, "; layers 1 to 2 get less than a thousandth. Most is lost", "for sigmoid; relu with he"),
        (VANISHES, " Most is lost on the way from layer 3 to layer 2: a factor of 1e-05.", "or fewer layers"),
        (EXPLODES, "The error signal explodes. Layer 1, next to the input, gets 1.0e+05 of", "clip_gradients"),
        (EXPLODES, "layers 1 to 2 get more than a thousand times it. Most is gained", "a lower learning rate"),
        (EXPLODES, " Most is gained on the way from layer 3 to layer 2: a factor of 1e+03.", "a limited norm"),
        (KEEPS, "The error signal roughly keeps its size. Layer 1, next to the input,", "Nothing needs to change"),
        (FLAT, "In layer 1, 80.0 % of the units are saturated; in layer 2, 80.0 %", "standardised inputs (center and"),
        (OFF, "95.0 % of the units pass nothing on", "leaky_relu"),
        (LINEAR, "Layer 1, next to the input, gets 1.0e-06", "larger initial weights"),
        (stack(1.0), "The network has one layer: the error signal has no way to go.", "Nothing needs to change"),
        (RIGHT, "There is no error at the output, so nothing goes back.", "all probabilities are right"),
        (NOTHING, "gets nothing of what layer 3 has", "glorot with gain 4"),
    ],
)
def test_a_sentence_names_the_layer_and_the_advice_what_helps(
    given: tuple[tuple[LayerGradient, ...], float], told: str, helps: str
) -> None:
    assert told in gradient_sentence(*given)
    assert helps in gradient_advice(*given)


def test_a_report_is_a_short_table(tmp_path: Path) -> None:
    rows, numbers = stored_rows()
    model = network(tmp_path, (*WIDTHS, 1))
    pq.write_table(table_of(rows, numbers % 2), tmp_path / "in.parquet")
    lines = repr(logitstream.diagnose_gradients(tmp_path / "in.parquet", model, target="y")).splitlines()
    assert lines[0] == "GradientReport"
    assert lines[1].startswith("  loss and rows  log loss of y, ")
    assert lines[1].endswith(" on average; 40 rows")
    assert len(lines) == 1 + 3 + 1 + 1 + 4
