"""Any bytes as a model file: a model that its own text states again, or every problem in words that can be shown."""

from __future__ import annotations

import json
from pathlib import Path

from pipeline.errors import ModelError
from pipeline.models import LogisticModel, describe_model, show_model, upgrade_model
from pipeline.models.logistic.parsing import parse
from tests.fuzz.target import Check, Target, check_refusal, require

NAME = "model.json"
SAMPLE = Path(__file__).resolve().parents[2] / "sample_data" / "delay_model.json"


def make(_: Path) -> Check:
    """Return the check of one file."""
    return _check


def _check(data: bytes) -> None:
    try:
        model = parse(data, NAME)
    except ModelError as error:
        check_refusal(error, NAME, (ModelError,))
        return
    again = parse(model.to_json().encode(), NAME)
    require(again == model, "the model's own text states another model")
    require(again.digest() == model.digest(), "equal models have different digests")
    upgraded = LogisticModel.from_json(upgrade_model(data, NAME).data)
    require(upgraded == LogisticModel(model).upgraded(), "the upgraded file states another model")
    show_model(upgraded)
    json.dumps(describe_model(upgraded), allow_nan=False)


def seeds() -> list[bytes]:
    """Return models with every rule that a file can state, and files that state none."""
    numeric = {"column": "x", "kind": "numeric", "coefficient": 0.5}
    levels = {"column": "c", "kind": "categorical", "coefficients": {"a": 1.0, "b": -2, "": 0}}
    model = {"format": "logitstream-model", "version": 1, "kind": "logistic", "intercept": -1.5}
    full = {
        **model,
        "target": {"column": "y", "negative": 0, "positive": 1},
        "features": [
            {**numeric, "center": 3, "scale": 2.0, "missing": {"impute": 1e-300}},
            {**levels, "missing": {"level": "a"}, "unseen": {"level": "b"}},
            {**levels, "column": "é", "missing": "error", "unseen": "zero"},
        ],
        "output": {"columns": ["probability", "decision"], "threshold": 0.5},
        "training": {"rows": 10, "of": [None, True, {"deep": []}]},
    }
    wrong = {**model, "version": True, "features": [{**numeric, "scale": 0}, numeric, {**levels, "kind": "text"}, 3]}
    texts = [json.dumps(full, indent=1), json.dumps({**model, "features": [numeric]}), json.dumps(wrong)]
    texts += [json.dumps(each) for each in _of_version_2()]
    strange = [
        b'{"format": "logitstream-model", "version": 1, "version": 2, "features": [NaN, 1e999, "\\ud800"]}',
        b"\xef\xbb\xbf{}",
        b"[" * 200,
        b'{"a": ' * 99 + b"1" + b"}" * 99,
        b"\x80\x04K\x01.",
        b"9" * 500,
        b"\xff\xfe{\0}\0",
        b"",
    ]
    return [SAMPLE.read_bytes(), *(text.encode() for text in texts), *strange]


def _of_version_2() -> list[dict[str, object]]:
    """Return a model with every kind of feature, and one with classes."""
    term = {"column": "x", "center": 1, "transform": [{"clip": [0, None]}, "log1p"], "missing": {"impute": 2}}
    level = {"kind": "categorical", "column": "c", "levels": "text", "missing": {"level": "a"}, "unseen": "zero"}
    binned = {"kind": "binned", "column": "b", "edges": [0, 1.5], "missing": {"coefficient": 0.5}}
    model = {"format": "logitstream-model", "version": 2, "kind": "logistic"}
    every = {
        **model,
        "link": "cloglog",
        "intercept": 0.5,
        "offset": {"column": "o", "name": "log_o", "missing": {"impute": 0}},
        "features": [
            {**binned, "coefficients": [1, 2, 3]},
            {"kind": "indicator", "column": "x", "coefficient": 1},
            {"kind": "transformed", "column": "x", "transform": "sqrt", "coefficient": 1, "scale": 2},
            {"kind": "product", "terms": [term, {**term, "column": "y"}], "coefficient": 0.1},
            {"kind": "product", "terms": [term, level], "coefficients": {"a": 1, "b": 2}, "name": "p"},
            {"kind": "product", "terms": [level, {**level, "column": "d"}], "coefficients": {"a": {"a": 1}}},
        ],
        "output": {"columns": ["probability", "contributions"]},
    }
    classes = {
        **model,
        "classes": ["a", "b"],
        "normalise": "one-vs-rest",
        "intercept": [0, 1],
        "features": [{**binned, "coefficients": [[1, 2], [3, 4], [5, 6]], "missing": {"coefficient": [7, 8]}}],
    }
    return [every, classes]


TOKENS = (
    b'"features"', b'"missing"', b'"unseen"', b'"level"', b'"impute"', b'"coefficients"', b'"scale"', b'"quarantine"',
    b'"target"', b'"output"', b'"classes"', b'"edges"', b'"terms"', b'"transform"', b'"name"', b'"offset"', b'"link"',
    b"NaN", b"-Infinity", b"1e999", b"null", b"{}", b"[]", b"\\ud800", b"\\u0000",
)  # fmt: skip
TARGETS = [Target("model", make, seeds, TOKENS)]
