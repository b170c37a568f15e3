"""What can be wrong with the file of a network or with its weights: one clear error each, with its place."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import disk
from pipeline.errors import ConfigurationError, InputMissingError, LogitstreamError, ModelError, PermissionDeniedError
from pipeline.modelling import checked_model, scorecard_of, upgraded_model
from pipeline.models import LogisticModel, load_model
from pipeline.models.network.weights import weights_file
from tests.models.network.networks import Tensors, categorical, content_of, dense, drawn, layers, numeric, written

Document = dict[str, Any]
Change = Callable[[Document], object]


def tensors() -> Tensors:
    return drawn((4, 6, 1), np.float32)


def model(
    folder: Path, held: Tensors | bytes | None = None, change: Callable[[Document], object] | None = None
) -> Path:
    """Write a network of two features with four inputs, changed."""
    features = [numeric("a", center=1.0), categorical("c", ["x", "y", "z"], unseen="zero")]
    path = written(folder, tensors() if held is None else held, features=features, layers=layers(2, "gelu"))
    if change is not None:
        document = json.loads(path.read_text())
        change(document)
        path.write_text(json.dumps(document, indent=1))
    return path


def refused(path: Path) -> list[str]:
    """Return what is said of a model that must be refused with exit code 65, a line for each problem."""
    with pytest.raises(ModelError) as caught:
        load_model(path)
    assert caught.value.exit_code == 65
    found = checked_model(path)
    assert found.error is not None
    assert str(found.error) == str(caught.value)
    head, *lines = str(caught.value).splitlines()
    assert "is not a valid model" in head
    assert all(" at line " in line and len(line) < 400 for line in lines)
    return [line.strip() for line in lines]


def said(lines: list[str]) -> list[str]:
    return [f"{line.split(' at line ')[0]}: {line.split(': ', 1)[1]}" for line in lines]


WEIGHTS: dict[str, tuple[Callable[[], Tensors], str]] = {
    "NaN": (
        lambda: tensors() | {"0.bias": np.array([1, np.nan, np.inf, 1, 1, 1], np.float32)},
        'layers[0].bias: 2 of the numbers are NaN or infinite in tensor "0.bias"',
    ),
    "a layer that takes other inputs than there are": (
        lambda: tensors() | {"0.weight": np.ones((6, 3), np.float32)},
        'layers[0].weight: tensor "0.weight" takes 3 inputs, but the features make 4',
    ),
    "a layer that takes other inputs than the one before gives": (
        lambda: tensors() | {"1.weight": np.ones((1, 5), np.float32)},
        'layers[1].weight: tensor "1.weight" takes 5 inputs, but layers[0] gives 6',
    ),
    "a bias of another length": (
        lambda: tensors() | {"0.bias": np.ones(5, np.float32)},
        'layers[0].bias: tensor "0.bias" has shape (5,), but the layer has 6 units',
    ),
    "a weight that is no matrix": (
        lambda: tensors() | {"0.weight": np.ones((6, 4, 1), np.float32)},
        'layers[0].weight: tensor "0.weight" has shape (6, 4, 1); it must have (units, inputs)',
    ),
    "a matrix without numbers": (
        lambda: tensors() | {"0.weight": np.ones((0, 4), np.float32)},
        'layers[0].weight: tensor "0.weight" has shape (0, 4); it must have (units, inputs)',
    ),
    "more outputs than the head takes": (
        lambda: tensors() | {"1.weight": np.ones((2, 6), np.float32), "1.bias": np.ones(2, np.float32)},
        'layers[1].weight: tensor "1.weight" has 2 units, but the head sigmoid needs 1',
    ),
    "two types": (
        lambda: tensors() | {"1.bias": np.ones(1)},
        'layers[1].bias: tensor "1.bias" is F64, but "0.weight" is F32: use one type',
    ),
    "integers": (
        lambda: tensors() | {"1.bias": np.ones(1, np.int64)},
        'layers[1].bias: tensor "1.bias" is I64; weights are float32 (F32) or float64 (F64)',
    ),
    "a tensor that no layer uses": (
        lambda: tensors() | {"2.weight": np.ones((1, 1), np.float32)},
        'weights.file: no layer uses the tensor "2.weight": name it in one, or leave it out of the file',
    ),
    "a tensor that is not there": (
        lambda: {name: tensor for name, tensor in tensors().items() if name != "1.bias"},
        'layers[1].bias: there is no tensor "1.bias" in the weights; did you mean "0.bias"?',
    ),
}


@pytest.mark.parametrize("case", WEIGHTS)
def test_weights_that_do_not_fit_are_named_with_their_layer(case: str, tmp_path: Path) -> None:
    make, message = WEIGHTS[case]
    assert said(refused(model(tmp_path, make()))) == [message]


def bfloat16(content: bytes) -> bytes:
    """Return a weights file whose tensors are called bfloat16: half as many numbers of float32 are as many of it."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    for name, each in header.items():
        if name != "__metadata__":
            each["dtype"] = "BF16"
            each["shape"] = [*each["shape"][:-1], each["shape"][-1] * 2]
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[8 + length :]


def test_bfloat16_is_refused_by_name(tmp_path: Path) -> None:
    found = said(refused(model(tmp_path, bfloat16(content_of(tensors())))))
    assert found[0] == 'layers[0].weight: tensor "0.weight" is BF16; weights are float32 (F32) or float64 (F64)'
    assert len(found) == 4


def test_a_weights_file_that_was_changed_is_refused_by_its_digest(tmp_path: Path) -> None:
    path = model(tmp_path)
    weights = tmp_path / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    (line,) = refused(path)
    assert "weights.file at line 6, column 3: " in line
    assert "these are not the weights of the model: SHA-256 " in line
    assert line.endswith("put the right file there, or write the new SHA-256 into weights.sha256")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 8,
        b"\xff" * 100,
        pickle.dumps({}),
        b"PK\x03\x04 archive",
        b"\x10" + b"\x00" * 7 + b'{"a": "1234"}   ',
    ],
)
def test_other_bytes_are_no_weights(content: bytes, tmp_path: Path) -> None:
    content_of(tensors())
    (line,) = refused(model(tmp_path, content))
    assert "model.safetensors is not a safetensors file: " in line


def test_weights_cut_anywhere_are_refused(tmp_path: Path) -> None:
    whole = content_of(tensors())
    for length in range(0, len(whole), 7):
        refused(model(tmp_path, whole[:length]))


def test_weights_beyond_the_limit_are_neither_written_nor_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = model(tmp_path)
    monkeypatch.setattr("pipeline.models.network.weights.SIZE_LIMIT", 100)
    with pytest.raises(ModelError, match="the weights are larger than 2 GiB"):
        weights_file(tensors())
    assert "model.safetensors: the weights are larger than 2 GiB; use a smaller network" in " ".join(refused(path))


def test_weights_that_are_not_there_are_an_input_that_is_missing(tmp_path: Path) -> None:
    path = model(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(
        InputMissingError, match=r"model\.safetensors: the weights of the model are not there"
    ) as caught:
        load_model(path)
    assert caught.value.exit_code == 66
    (tmp_path / "model.safetensors").mkdir()
    assert "is a folder, not a safetensors file" in refused(path)[0]


def test_weights_that_may_not_be_read_are_a_matter_of_permission(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, read = model(tmp_path), disk.read_file

    def denied(name: str, limit: int) -> bytes:
        if str(name).endswith(".safetensors"):
            raise PermissionError(13, "Permission denied")
        return read(name, limit)

    monkeypatch.setattr(disk, "read_file", denied)
    with pytest.raises(PermissionDeniedError, match=r"model\.safetensors: Permission denied"):
        load_model(path)


def test_without_the_package_an_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = model(tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "safetensors", None)
    with pytest.raises(ConfigurationError, match="safetensors is not installed, which reads weights") as caught:
        load_model(path)
    assert caught.value.remedy == "pip install 'logitstream[network]'"


def test_weights_are_found_from_the_folder_of_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = model(tmp_path / "models", change=lambda each: each["weights"].update(file="held/weights.st"))
    (path.parent / "held").mkdir()
    (path.parent / "model.safetensors").rename(path.parent / "held" / "weights.st")
    expected = load_model(path).digest()
    monkeypatch.chdir(tmp_path)
    assert load_model("models/model.json").digest() == expected
    monkeypatch.chdir(path.parent)
    assert load_model("model.json").digest() == expected


def layer(number: int, **changed: Any) -> Change:
    return lambda document: document["layers"][number].update(changed)


def member(name: str, value: Any) -> Change:
    return lambda document: document.update({name: value})


def feature(number: int, **changed: Any) -> Change:
    return lambda document: document["features"][number].update(changed)


LAYERS = '"dense", "dropout", "lstm", "gru", "last", "mean" or "max"'
SUM = "is not for networks, whose raw prediction is no sum of contributions"
POINTS = {"pdo": 20, "base_points": 600, "base_odds": 50}
CONTENT: dict[str, tuple[Change, list[str]]] = {
    "a path outside the folder": (
        lambda document: document["weights"].update(file="../model.safetensors"),
        ["weights.file: must be a path below the folder of the model file, such as model.safetensors"],
    ),
    "an absolute path": (
        lambda document: document["weights"].update(file="/model.safetensors"),
        ["weights.file: must be a path below the folder of the model file, such as model.safetensors"],
    ),
    "no digest": (
        lambda document: document["weights"].update(sha256="ABC"),
        ["weights.sha256: must be a SHA-256: 64 digits of 0-9 and a-f"],
    ),
    "no weights": (lambda document: document.pop("weights"), ["weights: is required but missing"]),
    "an unknown function": (
        layer(0, function="geluu"),
        ['layers[0].function: unknown function "geluu"; did you mean "gelu"?'],
    ),
    "a parameter that is not there": (
        layer(0, function="elu", parameters={"beta": 1}),
        ['layers[0].parameters: elu has no parameter "beta"; there are alpha'],
    ),
    "a parameter that is not allowed": (
        layer(0, function="sigmoid", parameters={"temperature": 0}),
        ["layers[0].parameters: temperature must be more than 0, got 0"],
    ),
    "parameters of nothing": (
        layer(1, parameters={"alpha": 1.0}),
        ["layers[1].parameters: are for a layer with a function"],
    ),
    "a function in the last layer": (
        layer(1, function="sigmoid"),
        ['layers[1].function: the last layer has no function: "head" makes probabilities of its sums, not "sigmoid"'],
    ),
    "an unknown layer": (layer(0, kind="lstm2"), [f'layers[0].kind: must be {LAYERS}, not "lstm2"']),
    "a layer without a kind": (
        lambda document: document["layers"][0].pop("kind"),
        [f"layers[0].kind: must be {LAYERS}, but it is missing"],
    ),
    "an unknown key": (layer(0, units=3), ['layers[0].units: unknown key "units"']),
    "no layers": (member("layers", []), ["layers: must not be empty"]),
    "dropout alone": (member("layers", [{"kind": "dropout"}]), ['layers: has no layer of the kind "dense"']),
    "a share that is none": (
        member("layers", [{"kind": "dropout", "rate": 2}, dense("0", "relu"), dense("1")]),
        ["layers[0].rate: must be between 0 and 1, not 2"],
    ),
    "another head": (member("head", "tanh"), ['head: must be "sigmoid" or "softmax", not "tanh"']),
    "softmax of nothing": (
        member("head", "softmax"),
        ['classes: is required for "head": "softmax": the values of the decision, in order'],
    ),
    "classes for a sigmoid": (
        member("classes", ["a", "b"]),
        ['head: must be "softmax" for a network with classes, not "sigmoid"'],
    ),
    "contributions": (member("output", {"columns": ["contributions"]}), [f'output.columns[0]: "contributions" {SUM}']),
    "reasons": (member("output", {"reasons": {}}), [f"output.reasons: {SUM}"]),
    "points of features": (
        member("output", {"points": {**POINTS, "rounding": "features"}}),
        [f'output.points.rounding: "features" {SUM}; use "points"'],
    ),
    "a threshold beyond 1": (member("output", {"threshold": 2}), ["output.threshold: must be between 0 and 1, not 2"]),
    "an unknown level": (feature(1, unseen={"level": "q"}), ['features[1].unseen.level: unknown level "q"']),
    "a category twice": (
        feature(1, categories=["x", "y", "x"]),
        ['features[1].categories[2]: "x" is there twice'],
    ),
    "a category that is not of the type": (
        feature(1, categories=["1", "2", "x"], levels="integer"),
        ['features[1].categories[2]: the level "x" is not an integer, but "levels" is "integer"'],
    ),
    "a column twice": (feature(1, column="a"), ['features[1].column: "a" is already the column of features[0]']),
    "a coefficient": (feature(0, coefficient=1.0), ['features[0].coefficient: unknown key "coefficient"']),
    "a scale of 0": (feature(0, scale=0), ["features[0].scale: must not be 0: values are divided by it"]),
    "a policy that is none": (
        feature(0, missing="drop"),
        ['features[0].missing: must be "null", "error", "quarantine" or {"impute": number}, not "drop"'],
    ),
    "another kind of feature": (
        feature(0, kind="binned"),
        ['features[0].kind: must be "numeric", "categorical", "indicator" or "sequence", not "binned"'],
    ),
    "an intercept": (member("intercept", 1.0), ['intercept: unknown key "intercept"']),
    "another version": (member("version", 2), ["version: is 2; this release reads version 1"]),
    "a version that is no number": (member("version", True), ["version: must be the number 1, not true"]),
    "several things": (
        lambda document: (
            document["features"][0].update(scale=0),
            layer(0, function=3)(document),
            document.pop("head"),
        ),
        [
            "head: is required but missing",
            "features[0].scale: must not be 0: values are divided by it",
            "layers[0].function: must be text, not 3",
        ],
    ),
}


@pytest.mark.parametrize("case", CONTENT)
def test_each_fault_of_the_file_is_named_with_its_place(case: str, tmp_path: Path) -> None:
    change, messages = CONTENT[case]
    assert said(refused(model(tmp_path, change=change))) == messages


def test_a_network_is_no_logistic_model(tmp_path: Path) -> None:
    path = model(tmp_path)
    attempts: list[Callable[[], object]] = [
        lambda: LogisticModel.load(path),
        lambda: scorecard_of(path),
    ]
    for attempt in attempts:
        with pytest.raises(ModelError, match=r"model\.json is a network") as caught:
            attempt()
        assert len(str(caught.value).splitlines()) <= 3
    upgraded = upgraded_model(str(path), str(tmp_path / "again.json"))
    assert (upgraded.before, upgraded.after) == (1, 1)
    assert upgraded.digest_before == upgraded.digest_after


def test_any_change_of_a_byte_gives_a_model_or_a_clean_refusal(tmp_path: Path) -> None:
    path = model(tmp_path)
    content, generator = path.read_bytes(), np.random.default_rng(18)
    for _ in range(300):
        changed = bytearray(content)
        changed[int(generator.integers(len(content)))] = int(generator.integers(256))
        path.write_bytes(changed)
        codes = set()
        try:
            load_model(path)
        except LogitstreamError as error:
            codes.add(error.exit_code)
        assert codes <= {65, 66}


def test_any_change_of_the_weights_gives_a_model_or_a_clean_refusal(tmp_path: Path) -> None:
    """The digest is that of the changed bytes: what reads them must cope with anything."""
    content, generator = content_of(tensors()), np.random.default_rng(19)
    refusals = 0
    for _ in range(300):
        changed = bytearray(content)
        for _ in range(int(generator.integers(1, 4))):
            place = int(generator.integers(len(content) if generator.random() < 0.3 else 300))
            changed[place] = int(generator.choice([0, 34, 44, 48, 57, 91, 93, 123, 125, 127, 255]))
        try:
            load_model(model(tmp_path, bytes(changed)))
        except ModelError:
            refusals += 1
    assert 200 < refusals < 300


def test_a_network_is_shown_with_its_layers_and_inputs(tmp_path: Path) -> None:
    from pipeline.modelling import described_model, shown_model

    path = model(tmp_path, change=lambda each: each["layers"].insert(1, {"kind": "dropout", "rate": 0.25}))
    shown = shown_model(path)
    facts = dict(shown.facts)
    assert facts["weights"] == "model.safetensors: 37 numbers, float32, 412 B"
    assert facts["layer 0"] == "dense, 4 to 6, gelu"
    assert facts["layer 1"] == "dropout 0.25: ignored, nothing is dropped when a network scores"
    assert facts["layer 2"] == "dense, 6 to 1"
    assert shown.rows == (
        ("a", "numeric", "", 1.0, 1.0, "null", ""),
        ("c", "categorical", "x", "", "", "null", "zero"),
        ("", "", "y", "", "", "", ""),
        ("", "", "z", "", "", "", ""),
    )
    described = described_model(path)
    assert described["layers"][0]["units"] == 6  # type: ignore[index]
    assert described["weights"]["dtype"] == "float32"  # type: ignore[index]
    assert described["digest"] == load_model(path).digest()
    found = checked_model(path)
    assert (found.version, found.features, found.error) == (1, 2, None)
