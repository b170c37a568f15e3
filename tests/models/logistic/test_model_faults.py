"""What can be wrong with a model, row by row (M-1 to M-6, V-1, V-2), and what a model file may not do."""

from __future__ import annotations

import ast
import gzip
import json
import pickle
import re
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.errors import ModelError, SchemaError
from pipeline.models import LogisticModel, ScoreBlock, restore
from pipeline.models.document import SIZE_LIMIT
from pipeline.models.logistic.file import ModelFile
from pipeline.models.logistic.parsing import examine, parse

ROOT = Path(__file__).resolve().parents[3]

TESTS: Mapping[str, Sequence[str]] = {
    "M-1": (
        "tests/models/logistic/test_model_faults.py::test_m01_features_are_matched_by_name",
        "tests/flow/test_model_faults.py::test_m01_features_are_matched_by_name_in_files",
    ),
    "M-2": (
        "tests/models/logistic/test_model_faults.py::test_m02_numbers_that_are_not_finite_and_repeated_names",
        "tests/models/logistic/test_model_faults.py::test_m02_decisions_that_do_not_fit_together",
        "tests/models/logistic/test_model_faults.py::test_m02_ten_million_features_are_more_than_a_file_may_hold",
    ),
    "M-3": ("tests/models/logistic/test_model_faults.py::test_m03_another_version_is_refused_by_its_number",),
    "M-4": (
        "tests/models/logistic/test_model_faults.py::test_m04_a_pickle_is_never_opened",
        "tests/models/logistic/test_model_faults.py::test_m04_a_pickle_under_another_name_is_not_unpickled",
        "tests/flow/test_model_faults.py::test_m04_a_job_never_opens_a_pickle",
    ),
    "M-5": ("tests/flow/test_model_faults.py::test_m05_a_model_replaced_during_a_run_is_that_of_its_start",),
    "M-6": ("tests/models/logistic/test_model_faults.py::test_m06_an_unknown_key_is_an_error_everywhere",),
    "S-1": (
        "tests/models/logistic/test_model_faults.py::test_s01_nothing_is_unpickled_on_the_way_from_a_file_to_scores",
        "tests/models/logistic/test_model_faults.py::test_s01_only_the_schedulers_know_how_to_unpickle",
    ),
    "S-12": (
        "tests/models/logistic/test_model_faults.py::test_s12_nesting_is_bounded",
        "tests/models/logistic/test_model_faults.py::test_s12_size_is_bounded",
        "tests/models/logistic/test_model_faults.py::test_s12_numbers_of_any_length_are_read_or_refused",
        "tests/models/logistic/test_model_faults.py::test_s12_a_fault_in_every_feature_is_reported_quickly",
        "tests/models/logistic/test_model_faults.py::test_s12_suggestions_are_bounded",
        "tests/models/logistic/test_model_faults.py::test_s12_a_million_features",
    ),
    "V-1": (
        "tests/models/logistic/test_version_2_faults.py::test_v01_each_fault_is_named_once_with_its_place",
        "tests/models/logistic/test_version_2_faults.py::test_v01_numbers_that_are_not_finite_are_named_in_every_kind",
    ),
    "V-2": (
        "tests/models/logistic/test_version_2_faults.py::test_v02_everything_that_is_wrong_is_named_at_once_in_the_order_of_the_text",
    ),
}

NUMERIC = {"column": "x", "kind": "numeric", "coefficient": 1.25}
CATEGORICAL = {"column": "c", "kind": "categorical", "coefficients": {"AA": 0.5, "UA": -0.75}}


def document(*features: object, **other: object) -> dict[str, Any]:
    head = {"format": "logitstream-model", "version": 1, "kind": "logistic", "intercept": -0.5}
    return head | {"features": list(features) or [NUMERIC, CATEGORICAL]} | other


def refused(value: object) -> str:
    """Return what is said of a model that must be refused, with exit code 65."""
    text = value if isinstance(value, str) else json.dumps(value)
    with pytest.raises(ModelError) as caught:
        LogisticModel.from_json(text)
    assert caught.value.exit_code == 65
    return str(caught.value)


@pytest.mark.parametrize("row", TESTS)
def test_every_row_has_tests_with_its_name(row: str) -> None:
    letter, number = row.split("-")
    assert TESTS[row]
    for test in TESTS[row]:
        file, name = test.split("::")
        assert name.startswith(f"test_{letter.lower()}{int(number):02d}_")
        assert f"\ndef {name}(" in (ROOT / file).read_text()


def test_m01_features_are_matched_by_name() -> None:
    model = LogisticModel.from_json(json.dumps(document()))
    columns: dict[str, Any] = {"x": [1.0, 2.0], "c": ["AA", "UA"]}
    expected = model.probability(columns)
    reordered = pa.table({"other": [object.__name__] * 2, "c": columns["c"], "x": columns["x"]})
    assert model.probability(reordered).tobytes() == expected.tobytes()
    with pytest.raises(SchemaError, match='column "x" is missing') as caught:
        model.probability({"X ": [1.0], "c": ["AA"]})
    assert caught.value.exit_code == 65
    with pytest.raises(SchemaError, match=r'column "x" is missing(.|\n)*column "c" is missing'):
        model.probability(pa.table({"other": [1]}))
    with pytest.raises(ValueError, match=r"with the columns x, c; got \(3, 3\)"):
        model.probability(np.zeros((3, 3)))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "9" * 5000])
@pytest.mark.parametrize(
    "place", ["intercept", "coefficient", "center", "scale", "missing.impute", "coefficients.AA", "output.threshold"]
)
def test_m02_numbers_that_are_not_finite_and_repeated_names(place: str, number: str) -> None:
    numeric = NUMERIC | {"center": 1, "scale": 2, "missing": {"impute": 3}}
    other = {"output": {"threshold": 0.5}}
    text = json.dumps(document(numeric, CATEGORICAL, **other))
    stated = {
        "intercept": '"intercept": -0.5',
        "coefficient": '"coefficient": 1.25',
        "center": '"center": 1',
        "scale": '"scale": 2',
        "missing.impute": '"impute": 3',
        "coefficients.AA": '"AA": 0.5',
        "output.threshold": '"threshold": 0.5',
    }[place]
    assert text.count(stated) == 1
    message = refused(text.replace(stated, stated.split(":")[0] + ": " + number))
    assert "is not a valid model: 1 problem\n" in message
    assert f"{place} at line 1" in message
    assert "is not a finite number" in message or "is beyond the range of float64" in message


@pytest.mark.parametrize(
    ("features", "place", "expected"),
    [
        ([], "features", "must not be empty"),
        ([NUMERIC, NUMERIC], "features[1].column", '"x" is already the column of features[0]'),
        ([CATEGORICAL, NUMERIC | {"column": "c"}], "features[1].column", '"c" is already the column of features[0]'),
        (
            [NUMERIC | {"coefficient": [1.0, 2.0]}],
            "features[0].coefficient",
            "must be one number, because the model has no classes",
        ),
        ([CATEGORICAL | {"coefficients": [0.5]}], "features[0].coefficients", "must be an object, not [0.5]"),
        ([CATEGORICAL | {"coefficients": {}}], "features[0].coefficients", "must not be empty"),
        ([NUMERIC | {"scale": 5e-324}], "features[0].coefficient", "coefficient / scale is beyond float64"),
        ([NUMERIC | {"center": 1e308, "coefficient": 7}], "intercept", "is beyond float64"),
    ],
)
def test_m02_what_does_not_fit_together(features: list[object], place: str, expected: str) -> None:
    message = refused(document() | {"features": features})
    assert re.search(rf"1 problem\n  {re.escape(place)} at line 1, column \d+: .*{re.escape(expected)}", message)


BINNED = {"column": "y", "kind": "binned", "edges": [0, 1], "coefficients": [-0.5, 0.1, 0.4]}
LOGARITHM = {"column": "l", "kind": "transformed", "transform": "log", "coefficient": 1}
TEMPERATURE = {"method": "temperature", "temperature": 2}
PLATT = {"method": "platt", "slope": 1, "intercept": 0}
SCALE = {"pdo": 20, "base_points": 600, "base_odds": 50}
BANDS = {"on": "points", "thresholds": [500], "names": ["low", "high"]}
OF_CLASSES = {
    "classes": ["a", "b", "c"],
    "intercept": [0, 0, 0],
    "features": [NUMERIC | {"coefficient": [1, 2, 3]}],
}


def steps(thresholds: list[float], probabilities: list[float]) -> dict[str, Any]:
    return {"calibration": {"method": "isotonic", "thresholds": thresholds, "probabilities": probabilities}}


def told(feature: str, **reason: Any) -> dict[str, Any]:
    return {"reasons": {"features": {feature: reason}}}


@pytest.mark.parametrize(
    ("output", "others", "expected"),
    [
        ({"columns": ["points"]}, {}, ["columns: points need a scale: add output.points"]),
        ({"columns": ["points_by_feature"]}, {}, ["columns: points need a scale: add output.points"]),
        ({"columns": ["band"]}, {}, ["columns: a band needs thresholds and names: add output.bands"]),
        ({"columns": ["reasons"]}, {}, ["columns: reasons need their section: add output.reasons"]),
        ({"calibration": {"method": "plat"}}, {}, ['calibration.method: must be "platt", "temperature", "beta" or']),
        ({"calibration": {}}, {}, ["calibration.method: must be"]),
        ({"calibration": [1]}, {}, ["calibration: must be an object, not [1]"]),
        ({"calibration": PLATT | {"slope": 0}}, {}, ["calibration.slope: must not be 0: every row"]),
        ({"calibration": PLATT | {"scale": 2}}, {}, ['calibration.scale: unknown key "scale"']),
        ({"calibration": {"method": "platt"}}, {}, ["calibration.slope: is required", "calibration.intercept: is req"]),
        (
            {"calibration": TEMPERATURE | {"temperature": 0}},
            {},
            ["calibration.temperature: must be more than 0, not 0"],
        ),
        (
            {"calibration": {"method": "beta", "a": 0, "b": 0, "c": 1}},
            {},
            ["calibration.a: must not be 0 where b is 0"],
        ),
        ({"calibration": {"method": "beta", "a": -1, "b": 1, "c": 1}}, {}, ["calibration.a: must not be negative"]),
        (steps([], [0.5]), {}, ["calibration.thresholds: must not be empty"]),
        (steps([1, 1], [0, 0, 1]), {}, ["calibration.thresholds[1]: must be more than the number before it, 1, not 1"]),
        (
            steps([1], [0.5, 0.25]),
            {},
            ["calibration.probabilities[1]: must not be less than the number before it, 0.5"],
        ),
        (steps([1], [0.5]), {}, ["calibration.probabilities: has 1 number, but 1 threshold makes 2 steps"]),
        (steps([1], [0.5, 2]), {}, ["calibration.probabilities[1]: must be between 0 and 1, not 2"]),
        (
            {"calibration": PLATT, "temperature": 2, "alpha": 1, "beta": 0},
            {},
            [f"{key}: cannot be used with output.calibration" for key in ("temperature", "alpha", "beta")],
        ),
        ({"points": SCALE | {"pdo": 0}}, {}, ["points.pdo: must be more than 0, not 0"]),
        ({"points": {"pdo": 20}}, {}, ["points.base_points: is required", "points.base_odds: is required"]),
        ({"points": SCALE | {"rounding": "up"}}, {}, ['points.rounding: must be "none", "points" or "features"']),
        ({"points": SCALE | {"pdo": 1e308, "base_odds": 1e300}}, {}, ["points.pdo: base_points and pdo / ln(2)"]),
        ({"bands": BANDS}, {}, ['bands.on: is "points", but the model has none: add output.points']),
        ({"bands": BANDS | {"on": "raw"}}, {}, ['bands.on: must be "probability" or "points", not "raw"']),
        (
            {"bands": {"on": "probability", "thresholds": [0.5, 0.5, 2], "names": ["a", "", "a"]}},
            {},
            [
                "bands.thresholds[1]: must be more than the number before it, 0.5, not 0.5",
                "bands.thresholds[2]: must be between 0 and 1, not 2",
                "bands.names: has 3 names, but 3 thresholds make 4 bands",
                "bands.names[1]: must not be empty",
                'bands.names[2]: "a" is already the name of another band',
            ],
        ),
        ({"reasons": {"count": 0}}, {}, ["reasons.count: must be more than 0, not 0"]),
        ({"reasons": {"count": 101}}, {}, ["reasons.count: must be at most 100, not 101"]),
        ({"reasons": {"direction": "down"}}, {}, ['reasons.direction: must be "lower" or "raise", not "down"']),
        (told("X"), {}, ['reasons.features.X: unknown feature "X"; did you mean "x"?']),
        (told("x", codes="R"), {}, ['reasons.features.x.codes: unknown key "codes"; did you mean "code"?']),
        (told("x", text=""), {}, ["reasons.features.x.text: must not be empty"]),
        (told("x", reference={}), {}, ['reasons.features.x.reference: must have one of "value", "level" or']),
        (told("x", reference={"value": 1, "level": "a"}), {}, ["reasons.features.x.reference: must have one of"]),
        (told("x", reference={"value": "a"}), {}, ['reasons.features.x.reference.value: must be a number, not "a"']),
        (
            told("x", reference={"level": "AA"}),
            {},
            ["reasons.features.x.reference.level: is not for features of the kind numeric"],
        ),
        (
            told("c", reference={"value": 1}),
            {},
            ["reasons.features.c.reference.value: is not for features of the kind categorical"],
        ),
        (
            told("c", reference={"value": 1}),
            {},
            ['reasons.features.c.reference.value: is not for features of the kind categorical: write {"l'],
        ),
        (
            told("x", reference="mean"),
            {},
            ['reasons.features.x.reference: must be an object, such as {"value": number}'],
        ),
        (told("x", reference={"value": None}), {}, ["reasons.features.x.reference: must have one of"]),
        ({"reasons": {"reference": {"level": "a"}}}, {}, ['reasons.reference: must be "zero", "mean" or "best", not']),
        (
            {"reasons": {"reference": "mean", "features": {"x": {"mean": None}}}},
            {"features": [NUMERIC]},
            ["reasons.features.x.mean: is required but missing"],
        ),
        (told("c", reference={"level": "ZZ"}), {}, ['reasons.features.c.reference.level: unknown level "ZZ"']),
        (
            told("l", reference={"value": 0}),
            {"features": [LOGARITHM]},
            ["reasons.features.l.reference: the contribution of l there is not a finite number"],
        ),
        (
            {"reasons": {"reference": "mean", "features": {"x": {"mean": 1}}}},
            {},
            ["reasons.features.c.mean: is required but missing, because", "reasons.features.y.mean: is required"],
        ),
        (
            {"reasons": {"reference": "best"}},
            {},
            ["reasons.features.x.reference: is required but missing, because a numeric feature has no best"],
        ),
        (
            {"reasons": {"reference": "mean", "features": {name: {"mean": None} for name in "xcy"}}},
            {},
            [f"reasons.features.{name}.mean: is required but missing" for name in "xcy"],
        ),
        (
            {"points": SCALE, "bands": BANDS, "reasons": {}, "calibration": PLATT},
            {"version": 1, "features": [NUMERIC]},
            [f'{key}: needs "version": 2' for key in ("points", "bands", "reasons", "calibration")],
        ),
        (
            {"points": SCALE, "calibration": PLATT},
            {"link": "probit"},
            [f'{key}: is for the link "logit", not "probit"' for key in ("points", "calibration")],
        ),
        (
            {"points": SCALE, "bands": BANDS, "reasons": {}, "calibration": PLATT},
            OF_CLASSES,
            [
                *(f"{key}: is not for models with classes" for key in ("points", "bands", "reasons")),
                'calibration.method: must be "temperature" for models with classes',
            ],
        ),
        (
            {"calibration": TEMPERATURE},
            OF_CLASSES | {"normalise": "one-vs-rest"},
            ['calibration: is not for "normalise": "one-vs-rest"'],
        ),
    ],
)
def test_m02_decisions_that_do_not_fit_together(
    output: dict[str, Any], others: dict[str, Any], expected: list[str]
) -> None:
    message = refused(document(NUMERIC, CATEGORICAL, BINNED, output=output) | {"version": 2} | others)
    found = [re.sub(r" at line 1, column \d+", "", line.strip()) for line in message.splitlines()[1:]]
    assert len(found) == len(expected), found
    for start in expected:
        assert any(line.startswith(f"output.{start}") for line in found), (start, found)


def test_m02_ten_million_features_are_more_than_a_file_may_hold() -> None:
    shortest = json.dumps(NUMERIC | {"coefficient": 0}, separators=(",", ":"))
    parse(json.dumps(document(json.loads(shortest)), separators=(",", ":")).encode())
    assert 10_000_000 * (len(shortest) + len(",")) > SIZE_LIMIT


@pytest.mark.parametrize("version", [0, 3, -1, 10**30, 1.0, "1", True, None, [1]])
def test_m03_another_version_is_refused_by_its_number(version: object) -> None:
    message = refused(document(version=version))
    assert "1 problem\n  version at line 1, column 33: " in message
    if type(version) is int:
        assert f"is {str(version)[:19]}" in message
        assert "this release reads versions 1 and 2" in message
    else:
        assert f"must be the number 1 or 2, not {json.dumps(version)}" in message


def test_m03_a_file_without_a_version_is_refused() -> None:
    assert "version at line 1, column 1: is required but missing" in refused(
        {key: value for key, value in document().items() if key != "version"}
    )


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return _spring, (str(self.mark),)


def _spring(mark: str) -> None:
    Path(mark).touch()


def numpy_file(path: Path, value: object) -> bytes:
    """Return what NumPy writes for an object under this name."""
    np.save(path, np.array([value], dtype=object), allow_pickle=True)
    return path.with_suffix(path.suffix + ".npy").read_bytes()


def numpy_archive(path: Path, value: object) -> bytes:
    np.savez(path, a=np.array([value], dtype=object))
    return path.with_suffix(path.suffix + ".npz").read_bytes()


Event = tuple[str, tuple[Any, ...]]


class Watch:
    """Gathers, while it is ``on``, what the interpreter reports of files opened and of objects unpickled."""

    def __init__(self) -> None:
        self.on = False
        self.events: list[Event] = []

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.on and (event == "open" or event.startswith("pickle.")):
            self.events.append((event, arguments))


# A hook stays as long as the interpreter.
WATCH = Watch()
sys.addaudithook(WATCH)


@pytest.fixture
def events() -> Iterator[list[Event]]:
    WATCH.on = True
    yield WATCH.events
    WATCH.on = False
    WATCH.events.clear()


def opened(events: Sequence[Event], folder: Path) -> set[str]:
    """Return the names of what was opened in a folder; modules that are imported meanwhile lie elsewhere."""
    paths = [Path(str(arguments[0])) for event, arguments in events if event == "open"]
    return {path.name for path in paths if path.parent == folder}


def unpickled(events: Sequence[Event]) -> list[Event]:
    return [event for event in events if event[0] != "open"]


PICKLES = ("pkl", "pickle", "PKL", "joblib", "sav", "dill", "cloudpickle", "npz", "npy")
TORCH = ("pt", "pth")


@pytest.mark.parametrize("suffix", [*PICKLES, *TORCH, "pkl.gz", "joblib.xz", "pickle.bz2", "npy.zst"])
def test_m04_a_pickle_is_never_opened(suffix: str, tmp_path: Path, events: list[Event]) -> None:
    path = tmp_path / f"model.{suffix}"
    path.write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    events.clear()
    with pytest.raises(ModelError, match="it was not opened because a pickle runs code") as caught:
        LogisticModel.load(path)
    assert caught.value.exit_code == 65
    convert = "torch.onnx.export" if suffix in TORCH else "logitstream.from_sklearn(estimator).save('model.json')"
    assert convert in caught.value.remedy
    assert opened(events, tmp_path) == set()
    assert unpickled(events) == []
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("write", "names_it"),
    [
        *[(lambda path, trap, p=p: pickle.dumps(trap, protocol=p), p >= 2) for p in range(pickle.HIGHEST_PROTOCOL + 1)],
        (numpy_file, True),
        (numpy_archive, True),
        (lambda path, trap: zlib.compress(pickle.dumps(trap)), True),
        (lambda path, trap: gzip.compress(pickle.dumps(trap)), True),
    ],
)
def test_m04_a_pickle_under_another_name_is_not_unpickled(
    write: Callable[[Path, object], bytes], names_it: bool, tmp_path: Path, events: list[Event]
) -> None:
    data = write(tmp_path / "draft", Trap(tmp_path / "sprung"))
    path = tmp_path / "model.json"
    path.write_bytes(data)
    events.clear()
    with pytest.raises(ModelError) as caught:
        LogisticModel.load(path)
    assert opened(events, tmp_path) == {"model.json"}
    assert unpickled(events) == []
    assert ("a pickle runs code" in str(caught.value)) is names_it
    assert not (tmp_path / "sprung").exists()


def test_m04_the_trap_would_have_sprung(tmp_path: Path, events: list[Event]) -> None:
    pickle.loads(pickle.dumps(Trap(tmp_path / "sprung")))
    assert (tmp_path / "sprung").exists()
    assert [event for event, _ in unpickled(events)] == ["pickle.find_class"]
    assert opened(events, tmp_path) == {"sprung"}


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ('"intercept"', '"weights": [], "intercept"', "weights"),
        ('"kind": "numeric"', '"kind": "numeric", "Scale": 2', "features[0].Scale"),
        ('"kind": "categorical"', '"kind": "categorical", "center": 0', "features[1].center"),
        ('"impute": 3', '"impute": 3, "level": "a"', "features[0].missing.level"),
        ('"level": "AA"', '"level": "AA", "impute": 1', "features[1].missing.impute"),
        ('"negative"', '"Negative": 1, "negative"', "target.Negative"),
        ('"threshold"', '"treshold": 1, "threshold"', "output.treshold"),
    ],
)
def test_m06_an_unknown_key_is_an_error_everywhere(old: str, new: str, place: str) -> None:
    features = NUMERIC | {"missing": {"impute": 3}}, CATEGORICAL | {"missing": {"level": "AA"}}
    text = json.dumps(document(*features, target={"negative": 0, "positive": 1}, output={"threshold": 0.5}))
    assert text.count(old) == 1
    parse(text.encode())
    message = refused(text.replace(old, new))
    key = place.rpartition(".")[2]
    column = text.replace(old, new).index(f'"{key}"', text.index(old)) + 1
    assert f'1 problem\n  {place} at line 1, column {column}: unknown key "{key}"' in message


def test_s01_nothing_is_unpickled_on_the_way_from_a_file_to_scores(tmp_path: Path, events: list[Event]) -> None:
    path = tmp_path / "model.json"
    path.write_text(
        json.dumps(document(training={"estimator": "cos\nsystem\n(S'id'\ntR.", "code": "__import__('os')"}))
    )
    events.clear()
    model = LogisticModel.load(path)
    block = restore(json.loads(json.dumps(ScoreBlock.of(model.file).describe())))
    block.block([pa.array([1.0]), pa.array(["AA"])])
    model.probability({"x": [1.0], "c": ["AA"]})
    assert unpickled(events) == []
    assert opened(events, tmp_path) == {"model.json"}


def test_s01_only_the_schedulers_know_how_to_unpickle() -> None:
    """Only ``execute`` pickles, between the processes of a run; nothing on a disk is a pickle.

    A skops file holds none: its types are compared with a list of ours before skops makes anything.
    """
    unsafe = {"pickle", "cloudpickle", "joblib", "marshal", "shelve", "dill", "yaml", "skops", "jsonpickle"}
    found = set()
    for path in sorted([*(ROOT / "pipeline").rglob("*.py"), *(ROOT / "jobs").rglob("*.py")]):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            names += [node.func.id] if is_call and node.func.id in {"eval", "exec", "compile"} else []
            found |= {
                (str(path.relative_to(ROOT).parent), name)
                for name in names
                if name.split(".")[0] in unsafe | {"eval", "exec", "compile"}
            }
    execute = {("pipeline/execute", "pickle"), ("pipeline/execute/cluster", "pickle")}
    assert found <= execute | {("pipeline/conversion", "skops.io")}


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_s12_nesting_is_bounded(opening: str, closing: str) -> None:
    def nested(depth: int) -> str:
        return json.dumps(document(training={"a": 0})).replace(
            '{"a": 0}', f'{{"a": {opening * depth}0{closing * depth}}}'
        )

    parse(nested(98).encode())
    for depth in (99, 10_000, 500_000):
        assert "nested more than 100 deep" in refused(nested(depth))
    assert "nested more than 100 deep" in refused(opening * 500_000)


def test_s12_size_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    with path.open("wb") as stream:
        stream.truncate(64 * SIZE_LIMIT)
    with pytest.raises(ModelError, match="larger than 256 MiB") as caught:
        LogisticModel.load(path)
    assert caught.value.exit_code == 65


@pytest.mark.parametrize(
    ("number", "value"),
    [
        ("9" * 1_000_000, None),
        ("-" + "9" * 310, None),
        ("1e" + "9" * 1_000_000, None),
        ("1e400", None),
        ("0." + "3" * 1_000_000, 1 / 3),
        ("1e-" + "9" * 1_000_000, 0.0),
        ("1" + "0" * 308, 1e308),
        ("2e-324", 0.0),
    ],
    ids=lambda value: str(value)[:8],
)
def test_s12_numbers_of_any_length_are_read_or_refused(number: str, value: float | None) -> None:
    text = json.dumps(document(CATEGORICAL)).replace("-0.5", number)
    if value is not None:
        assert LogisticModel.from_json(text).intercept == value
        return
    message = refused(text)
    assert "intercept at line 1, column 80: " in message
    assert "is beyond the range of float64" in message
    assert len(message) < 300


def test_s12_a_fault_in_every_feature_is_reported_quickly() -> None:
    """Looking up the line of each of them would read the text, all of it one line, as often as there are features."""
    feature = '{"column":"%s%d","kind":"numeric","coefficient":"a"}'
    text = json.dumps(document()).split("[")[0] + "["
    text += ",".join(feature % ("x" * 2_000, position) for position in range(15_000)) + "]}"
    started = time.process_time()
    found = examine(text.encode())
    assert time.process_time() - started < 15
    assert isinstance(found, list)
    assert [problem.place for problem in found] == [f"features[{position}].coefficient" for position in range(100)]
    assert text[found[99].column - 1 :].startswith('"coefficient":"a"')


def test_s12_suggestions_are_bounded() -> None:
    levels = {f"level {position}": 0.0 for position in range(5_000)}
    features = [
        {"column": f"c{n}", "kind": "categorical", "coefficients": levels, "unseen": {"level": "levle 1"}}
        for n in range(6)
    ]
    found = examine(json.dumps(document(*features)).encode())
    assert isinstance(found, list)
    assert ['unknown level "levle 1"; did you mean "level 1' in str(problem) for problem in found] == [True] * 4 + [
        False
    ] * 2


@pytest.mark.campaign
@pytest.mark.parametrize("coefficient", ["1", '"a"'])
def test_s12_a_million_features(coefficient: str) -> None:
    feature = '{"column":"x%d","kind":"numeric","coefficient":%s}'
    text = json.dumps(document()).split("[")[0] + "["
    text += ",".join(feature % (position, coefficient) for position in range(1_000_000)) + "]}"
    started = time.process_time()
    found = examine(text.encode())
    assert time.process_time() - started < 120
    if coefficient == "1":
        assert isinstance(found, ModelFile)
        assert len(found.features) == 1_000_000
    else:
        assert isinstance(found, list)
        assert len(found) == 100
