"""A readable text of VW becomes a model with VW's own predictions to its six digits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pipeline as logitstream
from pipeline.errors import ModelError
from tests.conversion import stored_vw

STORED = json.loads(stored_vw.STORED.read_text())
ROWS: dict[str, list[Any]] = STORED["rows"]
HEAD = (
    "Version 9.11.9\nId \nMin label:-50\nMax label:50\nbits:18\nlda:0\n0 ngram:\n0 skip:\n"
    "options: {}\nChecksum: 1\n:0\n"
)


def imported(text: str, folder: Path) -> logitstream.LogisticModel:
    path = folder / "model.txt"
    path.write_text(text)
    return logitstream.import_model(path)


def with_weights(*weights: str, options: str = "--link logistic") -> str:
    return HEAD.format(options) + "".join(f"{weight}\n" for weight in weights)


@pytest.mark.parametrize("case", STORED["cases"])
def test_scores_are_those_of_vw_to_six_digits(case: str, tmp_path: Path) -> None:
    stored = STORED["cases"][case]
    model = imported(stored["text"], tmp_path)
    assert np.abs(model.probability(ROWS) - stored["predictions"]).max() < 1e-5
    facts = (model.training or {})["imported"]
    assert (facts["from"], facts["file"]) == ("vw", "model.txt")
    assert any("six digits" in note for note in facts["notes"])


@pytest.mark.slow
@pytest.mark.parametrize("case", stored_vw.CASES)
def test_scores_are_those_of_vw_here(case: str, tmp_path: Path) -> None:
    pytest.importorskip("vowpalwabbit")
    text, predictions = stored_vw.train(stored_vw.CASES[case], tmp_path)
    model = imported(text, tmp_path)
    largest = float(np.abs(model.probability(stored_vw.rows()) - predictions).max())
    print(f"{case}: largest difference {largest:.2g}")
    assert largest < 1e-5


def test_a_model_without_interactions_is_of_version_1(tmp_path: Path) -> None:
    model = imported(with_weights("n^age:1:0.5", "c^country=NL:2:0.25 1 1", "Constant:3:-1"), tmp_path)
    assert (model.file.version, model.intercept) == (1, -1.0)
    assert [(feature.column, feature.kind) for feature in model.features] == [
        ("age", "numeric"),
        ("country", "categorical"),
    ]
    raw = np.log(1 / model.probability({"age": [2.0, None], "country": ["NL", "??"]}) - 1)
    assert raw == pytest.approx([-0.25, 1.0])


def test_a_name_in_two_namespaces_keeps_them(tmp_path: Path) -> None:
    model = imported(with_weights("a^x:1:0.5", "b^x:2:1.5", "b^z:3:1"), tmp_path)
    assert [feature.column for feature in model.features] == ["a^x", "b^x", "z"]


def test_a_word_that_looks_like_a_number_stays_text(tmp_path: Path) -> None:
    model = imported(with_weights("c^zip=01:1:0.5", "c^zip=1:2:1.5"), tmp_path)
    found = model.probability({"zip": ["01", "1", "1.0"]})
    assert found == pytest.approx(1 / (1 + np.exp([-0.5, -1.5, 0.0])))


def test_a_text_with_a_byte_order_mark_and_windows_line_ends_is_read(tmp_path: Path) -> None:
    text = "\ufeff" + with_weights("x:1:0.5").replace("\n", "\r\n")
    (tmp_path / "model.txt").write_bytes(text.encode())
    assert logitstream.import_model(tmp_path / "model.txt").features[0].column == "x"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (with_weights("x:1:0.5", options=""), "has the link identity, not logistic"),
        (with_weights("x:1:0.5", options="--link glf1"), "has the link glf1"),
        (with_weights("x:1:0.5", options="--link logistic --oaa 3"), "has --oaa"),
        (with_weights("x:1:0.5", options="--link logistic --nn 5"), "has --nn"),
        (with_weights("x:1:0.5", options="--link logistic --lrq ab3"), "has --lrq"),
        (with_weights("x:1:0.5", options="--link logistic --boosting 3"), "has --boosting"),
        (with_weights("x:1:0.5", options="--autolink 1 --link logistic"), "has --autolink"),
        (with_weights("x:1:0.5", options="--binary --link logistic"), "has --binary"),
        (with_weights("x:1:0.5", options="--link logistic --spelling c"), "has --spelling"),
        (with_weights("1234:0.5"), "line 12: the weight 0.5 has no name"),
        (with_weights(":1234:0.5"), "line 12: the weight 0.5 has no name"),
        (with_weights("x:1:0.5", "what is this"), "line 13: what is this is not name:index:weight"),
        (with_weights("x:1:zero"), "has zero where a finite number is expected"),
        (with_weights("x:1:0.5").replace("lda:0", "lda:2"), "has lda 2"),
        (with_weights("x:1:0.5").replace("0 ngram:", "1 ngram:n2"), "has ngram 1"),
        (with_weights("x:1:0.5").replace("Min label:-50", "Min label:-3"), "keeps raw predictions within min label -3"),
        (with_weights("Constant:1:0.5"), "has no weights but the constant"),
        (with_weights("x:1:0.5").replace("Version 9.11.9", "Version 8.2.0"), "not with the version of VW 9"),
        (with_weights("x:1:0.5").partition("Checksum")[0], "has no weights"),
        (with_weights("a^x:1:1", "a^x=1:2:1"), "has x as a number and as a word"),
        (with_weights("a^x=1*a^x=2:2:1", options="--link logistic --quadratic aa"), "has two words of one feature"),
        (with_weights("a^w*v:2:1", options="--link logistic --quadratic aa"), "has a * that is no sign"),
        (with_weights("x:1:1e999"), "has 1e999 where a finite number is expected"),
    ],
)
def test_what_is_no_weighted_sum_with_names_is_refused_by_name(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "model.txt").write_text(text)
    with pytest.raises(ModelError) as caught:
        logitstream.import_model(tmp_path / "model.txt", kind="vw")
    assert told in str(caught.value)
    assert caught.value.remedy
