"""The command with a network: checked, shown, scored, verified; what is not for networks is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import threadpoolctl  # noqa: F401 - its first import sets a variable of the environment

from tests.jobs.conftest import Outcome
from tests.models.network.networks import categorical, drawn, layers, numeric, written


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A model and rows for it."""
    features = [numeric("x", center=1.0, missing={"impute": 0.5}), categorical("c", ["a", "b"], unseen="zero")]
    hidden = [*layers(2, "relu")]
    described = [hidden[0], {"kind": "dropout", "rate": 0.5}, hidden[1]]
    model = written(tmp_path / "models", drawn((3, 4, 1)), features=features, layers=described)
    rows = pa.table({"x": [0.0, None, 2.0], "c": ["a", "b", "q"]})
    pq.write_table(rows, tmp_path / "rows.parquet")
    return model, tmp_path / "rows.parquet"


def test_a_network_is_checked_shown_scored_and_verified(
    files: tuple[Path, Path], cli: Callable[..., Outcome], tmp_path: Path
) -> None:
    model, rows = files
    checked = cli("model", "check", model)
    assert (checked.code, checked.out) == (0, f"{model}: valid, 2 features\n")
    shown = cli("model", "show", model)
    assert shown.code == 0
    assert "layer 1   dropout 0.5: ignored, nothing is dropped when a network scores" in shown.out
    described = json.loads(cli("model", "show", model, "--json").out)["model"]
    assert [each.get("units") for each in described["layers"]] == [4, None, 1]
    plan = cli("plan", rows, "-m", model, "-o", tmp_path / "out")
    assert plan.code == 0
    scored = cli("score", rows, "-m", model, "-o", tmp_path / "out", "--raw-prediction")
    assert scored.code == 0, scored.err
    assert pq.read_table(tmp_path / "out").column_names == ["probability", "raw_prediction"]
    assert "score, a network with 2 features" in cli("inspect", tmp_path / "out").out
    verified = cli("verify", tmp_path / "out", "--sample", "1", "--inputs")
    assert verified.code == 0
    assert "1 chunk scored again: the same bits" in verified.out


def test_what_is_not_for_networks_is_refused_with_its_exit_code(
    files: tuple[Path, Path], cli: Callable[..., Outcome], tmp_path: Path
) -> None:
    model, rows = files
    refusals = {
        ("score", rows, "-m", model, "-o", tmp_path / "out", "--precision", "reproducible"): (
            2,
            "--precision reproducible is not for networks",
        ),
        ("plan", rows, "-m", model, "-o", tmp_path / "out", "--reasons", "2"): (2, "--reasons is not for networks"),
        ("model", "scorecard", model): (65, "is a network: its score is no sum of points"),
        ("model", "export", model, "--to", "sql"): (65, "is a network, and this is for logistic models alone"),
    }
    for words, (code, message) in refusals.items():
        found = cli(*words)
        assert (found.code, message in found.err) == (code, True), found
    assert not (tmp_path / "out").exists()
