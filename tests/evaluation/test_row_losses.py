"""The log loss of each row: that of scikit-learn, and with ``reproducible`` from functions with the bits of any CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import metrics

from pipeline.evaluation.scoring import BatchScores, ColumnScorer, ModelScorer, both_columns
from pipeline.kernels import portable
from pipeline.models import ScoreRequest, load_model, score_block
from tests.measuring.observed import model_file

ROWS = 4_000
PRECISIONS = ("fast", "accurate", "reproducible")


def portable_log(values: Any) -> Any:
    found = np.empty_like(values)
    portable.log(values, found)
    return found


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_column_has_the_losses_of_scikit_learn(precision: Any) -> None:
    generator = np.random.default_rng(0)
    p = np.concatenate([generator.random(ROWS), [0.5, 1e-17, 1 - 2**-53, 0.0, 1.0]])
    codes = (generator.random(p.size) < p).astype(np.intp)
    judged = ColumnScorer("p", 0, precision).judged(BatchScores(None, p, np.zeros(p.size, dtype=bool)), codes)
    assert judged.losses.mean() == pytest.approx(metrics.log_loss(codes, p), rel=1e-12)
    small = np.array([1e-9, 1e-15, 1e-17, 1e-300])
    rows = BatchScores(None, small, np.zeros(small.size, dtype=bool))
    of_small = ColumnScorer("p", 0, precision).judged(rows, np.zeros(small.size, dtype=np.intp))
    assert of_small.losses.tolist() == (-np.log1p(-np.maximum(small, 2.0**-52))).tolist()


def test_reproducible_losses_of_a_column_have_the_bits_of_any_cpu() -> None:
    p = np.random.default_rng(1).random(ROWS)
    rows = BatchScores(None, p, np.zeros(ROWS, dtype=bool))
    losses = ColumnScorer("p", 0, "reproducible").judged(rows, np.ones(ROWS, dtype=np.intp)).losses
    assert losses.tobytes() == (-portable_log(p)).tobytes()


@pytest.mark.parametrize("normalise", ["softmax", "one-vs-rest"])
def test_reproducible_losses_of_several_classes_have_the_bits_of_any_cpu(tmp_path: Path, normalise: str) -> None:
    features = [{"column": "x0", "kind": "numeric", "coefficient": [1.0, 0.2, -0.7]}]
    changes = {"classes": ["a", "b", "c"], "normalise": normalise, "intercept": [0.0, 0.0, 0.0], "features": features}
    block = score_block(load_model(model_file(tmp_path, **changes)), ScoreRequest(precision="reproducible"))
    generator = np.random.default_rng(2)
    raw, codes = generator.normal(size=(3, ROWS)) * 5, generator.integers(0, 3, ROWS)
    p = generator.random((3, ROWS))
    rows = BatchScores(raw, p, np.zeros(ROWS, dtype=bool))
    losses = ModelScorer(both_columns(block)).judged(rows, codes).losses
    places = np.arange(ROWS)
    if normalise == "one-vs-rest":
        expected = -portable_log(p[codes, places])
    else:
        above, powers = raw - raw.max(axis=0), np.empty((3, ROWS))
        for one, power in zip(above, powers, strict=True):
            portable.exp(one, power)
        expected = portable_log(powers[0] + powers[1] + powers[2]) - above[codes, places]
    assert losses.tobytes() == expected.tobytes()
