"""What cannot be calibrated is refused with a reason and a remedy, and nothing is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pipeline as logitstream
from pipeline.errors import DataError, LogitstreamError, ModelError, OutputError, ThresholdError, UsageError
from tests.evaluation.calibrating.rows import drawn_rows, model_of_raw, rows_file

HERE: Any = {"scheduler": "sync", "memory": "2GiB"}
Z = np.linspace(-3, 3, 300)
ONES, NONE = np.ones(300, dtype=int), np.full(300, np.nan)
MIXED = (np.arange(300) * 7 % 10 < 5).astype(int)
ABOVE = (Z > 0.5).astype(int)


def of_classes(count: int, **more: Any) -> dict[str, Any]:
    return {"classes": list(range(count)), **more}


ROWS: list[tuple[Any, Any, str, dict[str, Any], str, str]] = [
    (Z, ONES, "platt", {}, "all 300 rows to fit are of the class 1: a calibration needs others, too", "other class"),
    (NONE, MIXED, "platt", {}, "no row is left to fit: 300 were read, 300 lack a value", "check the inputs"),
    (Z * np.inf, MIXED, "platt", {}, "no row is left to fit: 300 were read, 300 have a raw prediction that", "check"),
    (Z, ABOVE, "beta", {}, "raw predictions separate the classes: the log loss falls for ever", "--method platt"),
    (Z - 0.5, ABOVE, "temperature", {}, "raw predictions separate the classes", "--method platt or isotonic"),
    (
        Z,
        1 - ABOVE,
        "temperature",
        {},
        "raw predictions of the rows to fit do not rise with the target",
        "--method platt",
    ),
    (Z, 1 - ABOVE, "beta", {}, "do not rise with the target, or fewer than three of them differ", "--method platt"),
    (
        np.sign(Z),
        MIXED,
        "beta",
        {},
        "do not rise with the target, or fewer than three of them differ",
        "--method platt",
    ),
    (Z, 1 - ABOVE, "isotonic", {}, "do not rise with the target: all would have one probability", "check the target"),
    (Z * 0 + 2, MIXED, "platt", {}, "raw predictions of the rows to fit are all equal", "check the target"),
    (Z * 0 + 2, MIXED, "isotonic", {}, "all would have one probability", "check the target"),
    (Z, MIXED, "platt", {"holdout": "z > 100"}, "no row is held out: 300 were read", "leave --holdout out"),
    (Z, MIXED + 1, "platt", {}, "in.parquet: row 1, column y: '2' is not a class of the model", "name the column"),
    (
        Z,
        np.where(Z > 0, np.nan, 1),
        "platt",
        {},
        "is a missing value, but every row needs a target",
        "--missing-target drop",
    ),
]


@pytest.mark.parametrize(
    ("z", "y", "method", "options", "message", "remedy"), ROWS, ids=[f"{row[2]}: {row[4]}" for row in ROWS]
)
def test_rows_without_a_calibration_are_an_error_of_the_data(
    z: Any, y: Any, method: str, options: dict[str, Any], message: str, remedy: str, tmp_path: Path
) -> None:
    data, model, output = rows_file(tmp_path, z, y), model_of_raw(tmp_path), tmp_path / "out.json"
    with np.errstate(all="ignore"), pytest.raises(DataError) as caught:
        logitstream.calibrate(data, model, target="y", method=method, output=output, **{**HERE, **options})
    assert message in caught.value.message
    assert remedy in caught.value.remedy
    assert not output.exists()


def test_classes_that_are_never_confused_have_no_temperature(tmp_path: Path) -> None:
    z = np.eye(3).repeat(50, axis=1)
    data, model = rows_file(tmp_path, z, np.arange(3).repeat(50)), model_of_raw(tmp_path, **of_classes(3))
    with pytest.raises(DataError, match="separate the classes") as caught:
        logitstream.calibrate(data, model, target="y", method="temperature", **HERE)
    assert caught.value.remedy == "add rows that the model gets wrong"


MODELS: list[tuple[dict[str, Any], str, str, str]] = [
    (of_classes(3), "platt", "has 3 classes, but --method platt is for models of two", "use --method temperature"),
    (of_classes(3), "isotonic", "has 3 classes, but --method isotonic", "use --method temperature"),
    (
        of_classes(2, normalise="one-vs-rest"),
        "temperature",
        '"one-vs-rest", for which a model file has no',
        '"softmax"',
    ),
    ({"link": "probit"}, "platt", "has the link 'probit'", "with the link logit"),
    ({"output": {"temperature": 2.0}}, "platt", "a calibration already: output.temperature 2", "use --recalibrate"),
    ({"output": {"alpha": 2.0, "beta": 1.0}}, "beta", "already: output.alpha 2, output.beta 1", "use --recalibrate"),
    (
        {"output": {"calibration": {"method": "temperature", "temperature": 1.5}}},
        "platt",
        "already: output.calibration, temperature",
        "use --recalibrate",
    ),
]


@pytest.mark.parametrize(("model", "method", "message", "remedy"), MODELS, ids=[row[2] for row in MODELS])
def test_models_that_can_have_no_calibration_are_refused_by_name(
    model: dict[str, Any], method: str, message: str, remedy: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelError) as caught:
        logitstream.calibrate("none.csv", model_of_raw(tmp_path, **model), target="y", method=method, **HERE)
    assert (
        f"{tmp_path / 'model.json'} {message.split(maxsplit=1)[0]}" in caught.value.message
        or message in caught.value.message
    )
    assert message in caught.value.message
    assert remedy in caught.value.remedy


USES: list[tuple[dict[str, Any], type[LogitstreamError], str]] = [
    ({"target": "z"}, UsageError, "the target z is a feature of the model"),
    ({"method": "plat"}, UsageError, 'method plat: there is no such choice; did you mean "platt"?'),
    ({"key": "z"}, UsageError, "--key decides which rows are held out, but no --holdout is given"),
    ({"holdout": "120%"}, UsageError, "--holdout 120%: the share is not between 0% and 100%"),
    ({"holdout": "z >= 'a'"}, UsageError, "column z is double, but --holdout compares it with a text, a"),
    ({"target": ""}, UsageError, "target is '': it must be valid text"),
    ({"output": "out.csv"}, UsageError, "'out.csv' cannot be the output: a model file is JSON"),
    ({"workers": 0}, UsageError, "workers is 0: it must be at least 1"),
    ({"output": "no/such/folder/m.json"}, OutputError, "no/such/folder"),
    ({"output": "."}, OutputError, "cannot be used as an output name"),
    ({"target": "w"}, LogitstreamError, "w"),
]


@pytest.mark.parametrize(("options", "kind", "message"), USES, ids=[row[2] for row in USES])
def test_options_that_cannot_be_are_refused_before_rows_are_read(
    options: dict[str, Any], kind: type[LogitstreamError], message: str, tmp_path: Path, monkeypatch: Any
) -> None:
    data, model = rows_file(tmp_path, Z, MIXED), model_of_raw(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(kind) as caught:
        logitstream.calibrate(data, model, **{"target": "y", "method": "platt", **HERE, **options})
    assert message in caught.value.message
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.parquet", "model.json"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda data, model: logitstream.calibrate(data, model, target=1, method="platt"), "target is the int 1"),  # type: ignore[arg-type]
        (lambda data, _: logitstream.calibrate(data, 3, target="y", method="platt"), "model is a int"),  # type: ignore[arg-type]
        (
            lambda data, model: logitstream.calibrate(data, model, target="y", method="platt", recalibrate=1),  # type: ignore[arg-type]
            "recalibrate is the int 1; write True or False",
        ),
        (
            lambda data, model: logitstream.calibrate(data, model, target="y", method="platt", weight="w"),  # type: ignore[call-arg]
            "there is no option 'weight'",
        ),
    ],
)
def test_arguments_of_another_type_say_what_to_write(call: Callable[..., Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=message):
        call(rows_file(tmp_path, Z, MIXED), model_of_raw(tmp_path))


def test_an_output_that_exists_stays_unless_it_is_to_be_replaced(tmp_path: Path) -> None:
    z, y = drawn_rows(1, 500)
    data, model, output = rows_file(tmp_path, z, y), model_of_raw(tmp_path), tmp_path / "out.json"
    output.write_text("mine")
    given: Any = {"target": "y", "method": "platt", "output": output, **HERE}
    with pytest.raises(OutputError, match="exists") as caught:
        logitstream.calibrate(data, model, **given)
    assert "--if-exists replace" in caught.value.remedy
    assert output.read_text() == "mine"
    logitstream.calibrate(data, model, **given, if_exists="replace")
    assert logitstream.LogisticModel.load(output).output.calibration is not None
    logitstream.calibrate(data, model, **{**given, "output": model}, if_exists="replace")
    assert logitstream.LogisticModel.load(model) == logitstream.LogisticModel.load(output)


@pytest.mark.parametrize("classes", [None, 3])
def test_an_optimum_that_is_not_reached_is_an_error_and_nothing_is_written(
    classes: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.evaluation.calibrating.finding.CONVERGED", -1.0)
    monkeypatch.setattr("pipeline.evaluation.calibrating.softening.CONVERGED", -1.0)
    monkeypatch.setattr("pipeline.evaluation.calibrating.finding.MOST_PASSES", 3)
    z = np.stack([Z, Z * 0, -Z]) if classes else Z
    output = tmp_path / "out.json"
    model = model_of_raw(tmp_path, **(of_classes(classes) if classes else {}))
    y = np.where(np.arange(300) % 3 == 0, MIXED, (Z < 0) if classes else (Z > 0))
    data = rows_file(tmp_path, z, y.astype(int))
    with pytest.raises(ThresholdError, match="did not converge in 3 passes") as caught:
        logitstream.calibrate(data, model, target="y", method="temperature", output=output, **HERE)
    assert caught.value.exit_code == 3
    assert not output.exists()


def test_bad_rows_are_counted_and_too_many_of_them_end_it(tmp_path: Path) -> None:
    z, y = drawn_rows(2, 400)
    lines = [f"{number},{target}" for number, target in zip(z, y, strict=True)]
    lines[5], lines[9] = "x,1", "1.5,2"
    (tmp_path / "in.csv").write_text("\n".join(["z,y", *lines]) + "\n")
    given: Any = {"target": "y", "method": "platt", **HERE}
    with pytest.raises(DataError, match="record 6") as caught:
        logitstream.calibrate(tmp_path / "in.csv", model_of_raw(tmp_path), **given)
    assert "nothing was written" in caught.value.remedy
    report = logitstream.calibrate(tmp_path / "in.csv", model_of_raw(tmp_path), **given, max_bad=2)
    assert (report.rows["read"], report.rows["used"], report.rows["bad"]) == (400, 398, 2)


def test_rows_without_a_target_or_a_score_are_counted_apart(tmp_path: Path) -> None:
    z, y = drawn_rows(3, 400)
    z[:10], z[10:13] = np.nan, np.inf
    target = y.astype(float)
    target[5:20] = np.nan
    model = model_of_raw(tmp_path)
    report = logitstream.calibrate(
        rows_file(tmp_path, z, target), model, target="y", method="platt", missing_target="drop", **HERE
    )
    assert report.rows == {
        "read": 400, "used": 380, "held_out": 0, "dropped": 5, "bad": 0, "without_target": 15, "set_aside": 0,
        "not_finite": 0,
    }  # fmt: skip
