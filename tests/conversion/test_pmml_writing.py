"""Models are written as PMML 4.4: JPMML gives their probabilities, and they are read back with their bits."""

from __future__ import annotations

import copy
import hashlib
import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.conversion.pmml.reading import convert
from pipeline.conversion.pmml.writing import write
from pipeline.errors import ModelError
from pipeline.models.logistic.file import ModelFile
from pipeline.models.logistic.parsing import from_mapping
from tests.conversion.make_pmml_files import ROWS, SEEDS
from tests.conversion.pmml_models import KINDS, LINKS, Maker, rows
from tests.conversion.pmml_scores import scores

STORED = json.loads((Path(__file__).with_name("pmml_files") / "exported.json").read_text())
# Two features that refuse unknown levels and have none in common.
NO_ROW = "so no row has a score"


def made(seed: int) -> tuple[ModelFile, bytes] | None:
    """Return a random model and its document; ``None`` for one that no row fits."""
    model = from_mapping(Maker(seed).document())
    try:
        return model, write(model)
    except ModelError as error:
        if NO_ROW in error.message:
            return None
        raise


def back(data: bytes) -> dict[str, Any]:
    return convert(Path("exported.pmml"), data).document


def check_bits(seeds: range, count: int) -> int:
    """Check that models read back give the same bits in the same rows; return how many rows had a score."""
    scored = 0
    for seed in seeds:
        found = made(seed)
        if found is None:
            continue
        model, data = found
        again = from_mapping(back(data))
        for column in ("raw_prediction", "probability"):
            ours, theirs = scores(model, rows(seed, count), column), scores(again, rows(seed, count), column)
            # Minus zero is zero.
            assert (ours + 0.0).tobytes() == (theirs + 0.0).tobytes(), seed
            scored += int(np.count_nonzero(~np.isnan(ours[:, 0])))
    return scored


def test_a_model_read_back_gives_the_same_bits() -> None:
    assert check_bits(range(60), 30) > 1_000


@pytest.mark.campaign
def test_many_models_read_back_give_the_same_bits() -> None:
    assert check_bits(range(1_000, 7_000), 60) > 300_000


def test_random_models_are_of_every_kind_link_and_form() -> None:
    documents = [Maker(seed).document() for seed in range(150)]
    kinds = {feature["kind"] for document in documents for feature in document["features"]}
    assert kinds == {"numeric", "categorical", "binned", "indicator", "transformed", "product"}
    assert {document.get("link") for document in documents} >= set(LINKS)
    assert {document.get("normalise") for document in documents} >= {"softmax", "one-vs-rest"}
    assert any("offset" in document for document in documents)
    assert len(KINDS) == 8


@pytest.mark.parametrize("seed", STORED)
def test_jpmml_gives_the_same_probabilities(seed: str) -> None:
    """Stored: ``make_pmml_files.py exported`` writes them again when the document changes."""
    found = made(int(seed))
    assert found is not None
    model, data = found
    assert hashlib.sha256(data).hexdigest() == STORED[seed]["sha256"]
    agree(model, int(seed), ROWS, STORED[seed]["probabilities"])


def agree(model: ModelFile, seed: int, count: int, results: list[Any]) -> int:
    """Check probabilities, relative to the larger of 1 and the raw prediction; return how many rows have them."""
    ours = scores(model, rows(seed, count))
    raw = np.abs(scores(model, rows(seed, count), "raw_prediction"))
    theirs = np.array([[np.nan] * ours.shape[1] if each is None else each for each in results], dtype=np.float64)
    # Where every sigmoid is 0, all classes are equally likely here; simplemax divides by 0 there.
    equal = (ours == 1 / ours.shape[1]).all(axis=1) & np.isnan(theirs).all(axis=1)
    theirs[equal] = ours[equal]
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))
    here = ~np.isnan(ours)
    assert (np.abs(ours - theirs)[here] <= 1e-14 * np.maximum(1, raw[here])).all()
    return int(here[:, 0].sum())


@pytest.mark.campaign
@pytest.mark.skipif(
    find_spec("jpmml_evaluator") is None or find_spec("jpype") is None, reason="JPMML is not installed (extra peers)"
)
def test_jpmml_gives_the_same_probabilities_of_many_models() -> None:
    checked, seeds = 0, range(2_000, 2_600)
    models = {seed: found for seed in seeds if (found := made(seed)) is not None}
    given = [[data.decode(), rows(seed, 12).to_pylist()] for seed, (_, data) in models.items()]
    # Java catches what ends a process, and with it the next call of LAPACK in this one.
    command = [sys.executable, "-m", "tests.conversion.jpmml_scores"]
    ran = subprocess.run(command, input=json.dumps(given), capture_output=True, text=True, check=True)
    for (seed, (model, _)), result in zip(models.items(), json.loads(ran.stdout), strict=True):
        checked += agree(model, seed, 12, result)
    print(f"{checked} rows of {len(seeds)} models agree with JPMML")
    assert checked > 3_000


def test_stored_models_are_those_that_the_command_makes() -> None:
    assert len(STORED) >= len(SEEDS) - 5


SIMPLE: dict[str, Any] = {
    "format": "logitstream-model",
    "version": 2,
    "kind": "logistic",
    "target": {"column": "late", "negative": False, "positive": True},
    "intercept": -0.1,
    "features": [
        {
            "kind": "numeric",
            "column": "hour",
            "coefficient": 0.3,
            "center": 7.0,
            "scale": 1.7,
            "missing": {"impute": 12.0},
        },
        {
            "kind": "categorical",
            "column": "carrier",
            "coefficients": {"AA": 0.1, "UA": -0.2},
            "missing": {"level": "AA"},
            "unseen": "zero",
        },
    ],
}


def changed(*path: Any, to: Any) -> dict[str, Any]:
    document: Any = copy.deepcopy(SIMPLE)
    inner = document
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = to
    return dict(document)


def test_features_that_are_columns_need_no_derived_field() -> None:
    text = write(from_mapping(SIMPLE)).decode()
    assert "DerivedField" not in text
    # Folded: the coefficient is divided by the scale, and the center is in the intercept.
    assert f'coefficient="{0.3 / 1.7!r}"' in text
    assert f'intercept="{-0.1 - 0.3 * 7 / 1.7!r}"' in text
    assert 'missingValueReplacement="12.0"' in text
    assert 'invalidValueTreatment="asIs"' in text


def test_an_unknown_level_that_is_an_error_is_an_invalid_value() -> None:
    text = write(from_mapping(changed("features", 1, "unseen", to="error"))).decode()
    assert "invalidValueTreatment" not in text
    assert re.findall(r'<Value value="(\w+)"', text)[:2] == ["AA", "UA"]
    text = write(from_mapping(changed("features", 1, "missing", to="error"))).decode()
    assert 'name="carrier" missingValueTreatment="returnInvalid"' in text


def test_the_same_model_gives_the_same_bytes() -> None:
    assert write(from_mapping(SIMPLE)) == write(from_mapping(copy.deepcopy(SIMPLE)))


def test_a_threshold_is_a_decision_that_is_read_back() -> None:
    data = write(from_mapping(changed("output", to={"threshold": 0.3})))
    assert b"greaterOrEqual" in data
    assert back(data)["output"] == {"threshold": 0.3}
    assert back(data)["target"] == SIMPLE["target"]


def test_an_offset_comes_back_as_an_offset_where_pmml_has_a_place_for_it() -> None:
    offset = {"column": "exposure", "missing": {"impute": 0.0}}
    document = {**changed("offset", to=offset), "target": {"negative": "no", "positive": "yes"}}
    data = write(from_mapping(document))
    assert b'offsetVariable="exposure"' in data
    assert back(data)["offset"] == offset


def test_names_of_features_come_back() -> None:
    document = changed("features", 0, "name", to="departure")
    assert [feature.get("name", "carrier") for feature in back(write(from_mapping(document)))["features"]] == [
        "departure",
        "carrier",
    ]


BANDS = {"on": "probability", "thresholds": [0.5], "names": ["low", "high"]}
REFUSED = {
    "missing null": (changed("features", 0, "missing", to="null"), 'the column "hour" has missing "null"'),
    "unseen null": (changed("features", 1, "unseen", to="null"), 'the column "carrier" has unseen "null"'),
    "quarantine": (changed("features", 0, "missing", to="quarantine"), 'the column "hour" has missing "quarantine"'),
    "temperature": (changed("output", to={"temperature": 2.0}), "output.temperature"),
    "alpha": (changed("output", to={"alpha": 2.0}), "output.alpha"),
    "calibration": (
        changed("output", to={"calibration": {"method": "platt", "slope": 1.5, "intercept": 0.0}}),
        "output.calibration",
    ),
    "points": (
        changed("output", to={"points": {"pdo": 20.0, "base_points": 600.0, "base_odds": 50.0}}),
        "output.points",
    ),
    "all that the output has": (
        changed("output", to={"temperature": 2.0, "beta": 1.0, "bands": BANDS}),
        "output.temperature, output.beta, output.bands: a PMML document",
    ),
    "a target that is the empty text": (
        changed("target", to={"negative": "", "positive": "yes"}),
        "a class is the empty text",
    ),
    "a class that is the empty text": (
        {
            **{name: SIMPLE[name] for name in ("format", "version", "kind")},
            "classes": ["a", ""],
            "intercept": [0.0, 1.0],
            "features": [{**SIMPLE["features"][0], "coefficient": [1.0, 2.0]}],
        },
        "a class is the empty text",
    ),
    "raw predictions": (
        changed("output", to={"columns": ["probability", "raw_prediction"]}),
        "PMML cannot make the column raw_prediction",
    ),
    "contributions": (
        changed("output", to={"columns": ["contributions"]}),
        "PMML cannot make the column contributions",
    ),
    "characters": (changed("features", 0, "column", to="ho\x01ur"), "U+0001"),
    "a number and strict levels": (
        {
            **SIMPLE,
            "features": [
                SIMPLE["features"][0],
                {"kind": "categorical", "column": "hour", "coefficients": {"1": 1.0}, "levels": "integer"}
                | {"missing": "error", "unseen": "error", "name": "hour_levels"},
            ],
        },
        'the column "hour" is a number and has levels with unseen "error"',
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_pmml_cannot_say_is_refused_by_name(name: str) -> None:
    document, message = REFUSED[name]
    with pytest.raises(ModelError) as caught:
        write(from_mapping(document))
    assert message in caught.value.message
    assert caught.value.remedy


def test_a_column_of_numbers_may_have_levels_too() -> None:
    levels = {"kind": "categorical", "column": "hour", "coefficients": {"1": 1.0, "2": -1.0}, "levels": "integer"}
    document = {**SIMPLE, "features": [SIMPLE["features"][0], {**levels, "missing": {"level": "2"}, "unseen": "zero"}]}
    document["features"][1]["name"] = "hour_levels"
    model = from_mapping(document)
    again = from_mapping(back(write(model)))
    table = {"hour": [1.0, 2.0, 3.0, None, 1.5, -2.0]}
    assert scores(model, pa.table(table)).tobytes() == scores(again, pa.table(table)).tobytes()
