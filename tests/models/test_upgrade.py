"""A file of version 1 becomes one of version 2 with the same layout, and the same bits of scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.errors import ModelError
from pipeline.models import LogisticModel, upgrade_model

ROOT = Path(__file__).resolve().parents[2]
DEMO = (ROOT / "sample_data" / "delay_model.json").read_bytes()
WRITTEN = """{"training": {"version": 1},
  "format":"logitstream-model",   "version" :1, "kind": "logistic", "intercept": -0.50,
  "features": [
    {"column": "x", "kind": "numeric", "coefficient": 0.3, "center": 2.0, "scale": 7.0, "missing": {"impute": 3.0}},
    {"column": "version", "kind": "numeric", "coefficient": 1, "center": 0, "boolean": true, "missing": "null"},
    {"column": "c", "kind": "categorical", "coefficients": {"1": 1.0, "2": -1.0}, "unseen": {"level": "2"}}],
  "output": {"columns": ["probability", "raw_prediction", "decision"], "threshold": 0.25, "beta": 1.5}}
"""


def test_only_the_number_of_the_version_changes() -> None:
    for text in (WRITTEN, WRITTEN.replace("\n", "\r\n")):
        found = upgrade_model(text.encode())
        assert found.data.decode() == text.replace('"version" :1', '"version" :2')
        assert (found.before, found.after) == (1, 2)
        assert found.digest_before == LogisticModel.from_json(text).digest()
        assert found.digest_after == LogisticModel.from_json(found.data).digest() != found.digest_before


def test_a_byte_order_mark_stays() -> None:
    mark = b"\xef\xbb\xbf"
    assert upgrade_model(mark + DEMO).data == mark + upgrade_model(DEMO).data


def test_a_file_of_the_newest_version_stays_as_it_is() -> None:
    newest = upgrade_model(DEMO).data
    found = upgrade_model(newest)
    assert found.data == newest
    assert (found.before, found.after) == (2, 2)
    assert found.digest_before == found.digest_after


@pytest.mark.parametrize("text", [WRITTEN, DEMO.decode()], ids=["written by hand", "demo"])
def test_the_model_in_python_is_that_of_the_upgraded_file(text: str) -> None:
    model = LogisticModel.from_json(text)
    assert model.upgraded() == LogisticModel.from_json(upgrade_model(text.encode()).data)
    assert LogisticModel.from_json(model.upgraded().to_json()) == model.upgraded()
    assert model.upgraded().upgraded() == model.upgraded()
    assert model.file.version == 1


def _rows(count: int) -> dict[str, Any]:
    random = np.random.default_rng(3)
    x = np.where(random.random(count) < 0.1, np.nan, random.standard_normal(count) * 40)
    levels = random.choice(["1", "2", "01", "7"], count)
    return {"x": x, "version": random.random(count) < 0.5, "c": pa.array(levels, mask=random.random(count) < 0.1)}


def test_scores_have_the_same_bits_after_the_upgrade() -> None:
    model, rows = LogisticModel.from_json(WRITTEN), pa.table(_rows(5_000))
    upgraded = LogisticModel.from_json(upgrade_model(WRITTEN.encode()).data)
    assert np.isnan(model.probability(rows)).any()
    for call in ("probability", "raw_prediction", "predict_proba"):
        assert getattr(upgraded, call)(rows).tobytes() == getattr(model, call)(rows).tobytes()
    base, contributions = upgraded.base, upgraded.contributions(rows)
    total = np.full(len(rows), base)
    for column in contributions.T:
        total += column
    np.testing.assert_array_equal(total, model.raw_prediction(rows))


def test_a_file_that_is_not_valid_is_refused() -> None:
    broken = json.dumps(json.loads(DEMO) | {"intercept": "x"})
    with pytest.raises(ModelError, match=r"m\.json is not a valid model: 1 problem\n  intercept"):
        upgrade_model(broken.encode(), "m.json")
