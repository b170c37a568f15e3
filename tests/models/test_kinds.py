"""The table of the kinds of models: a file's ``kind`` selects the entry that every other room uses."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest
import threadpoolctl  # noqa: F401 - its first import sets a variable of the environment

from pipeline.errors import InputMissingError, ModelError
from pipeline.models import (
    KINDS,
    LogisticModel,
    ModelKind,
    ScoreBlock,
    ScoreRequest,
    kinds,
    load_model,
    restore,
    score_block,
    show_model,
)
from pipeline.models.document import Document, Problem, read
from pipeline.types.blocks import BlockFunction

DOCUMENT: dict[str, Any] = {
    "format": "logitstream-model",
    "version": 1,
    "kind": "logistic",
    "target": {"column": "late", "negative": "no", "positive": "yes"},
    "intercept": 0.5,
    "features": [
        {"column": "x", "kind": "numeric", "coefficient": 1.25, "center": 2.0, "missing": {"impute": 3.0}},
        {"column": "c", "kind": "categorical", "coefficients": {"a": 1.0, "b": -1.0}, "unseen": {"level": "b"}},
    ],
    "output": {"threshold": 0.25, "beta": 1.5},
}


def write(tmp_path: Path, **other: object) -> Path:
    path = tmp_path / "model.json"
    path.write_text(json.dumps(DOCUMENT | other))
    return path


def test_every_entry_is_whole() -> None:
    assert list(KINDS) == ["logistic", "network"]
    for name, kind in KINDS.items():
        assert kind.name == name
        assert all(
            callable(getattr(kind, each.name)) for each in fields(ModelKind) if each.name not in {"name", "version"}
        )


def test_a_file_is_loaded_by_its_kind(tmp_path: Path) -> None:
    model = load_model(write(tmp_path))
    assert model == LogisticModel.load(tmp_path / "model.json")
    assert model.kind == "logistic"
    assert pickle.loads(pickle.dumps(model)) == model


def test_an_unknown_kind_is_reported_with_everything_else_that_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        load_model(write(tmp_path, kind="tree", intercept="a"))
    assert "2 problems\n  kind at line 1, column " in str(caught.value)
    assert ': must be "logistic" or "network", not "tree"' in str(caught.value)
    assert ': must be a number, not "a"' in str(caught.value)
    for kind in (None, 5, ["logistic"], {}):
        with pytest.raises(ModelError, match='must be "logistic" or "network", not '):
            load_model(write(tmp_path, kind=kind))
    with pytest.raises(ModelError, match="a model file is a JSON object, not a list"):
        kinds.parse_model(b"[]")
    with pytest.raises(ModelError, match="not JSON"):
        kinds.parse_model(b"{")
    with pytest.raises(ModelError, match="pickled object"):
        kinds.parse_model(pickle.dumps({}), "model.json")
    with pytest.raises(InputMissingError):
        load_model(tmp_path / "none.json")


@dataclass(frozen=True)
class Mean:
    """A model of a kind that a test adds."""

    number: float
    kind: str = "mean"

    def digest(self) -> str:
        return str(self.number)


def parse_mean(document: Document, names: object, path: str) -> Mean | list[Problem]:
    assert names == ("logistic", "network", "mean")
    assert path.endswith("model.json")
    number = document.member("number")
    return Mean(number) if isinstance(number, float) else [Problem(("number",), "must be a number")]


def test_a_kind_is_one_entry_of_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = ScoreBlock.of(LogisticModel.load(write(tmp_path)).file)
    asked: list[object] = []

    def block(model: Mean, request: ScoreRequest) -> ScoreBlock:
        asked.append((model, request))
        return plain

    mean = ModelKind(
        name="mean",
        parse=parse_mean,
        block=block,
        restore=lambda _, beside: plain,
        show=lambda model: model.number,
        scratch_row_bytes=lambda _: 16,
        describe=vars,
        version=1,
        scorecard=lambda model, _: model.number,
    )
    monkeypatch.setattr(kinds, "KINDS", {**KINDS, "mean": mean})
    model = load_model(write(tmp_path, kind="mean", number=2.5))
    assert model == Mean(2.5)
    request = ScoreRequest(threshold=0.5)
    assert score_block(model, request) is plain
    assert asked == [(model, request)]
    assert show_model(model) == 2.5
    assert restore({"function": "score", "model": {"kind": "mean"}}) is plain
    with pytest.raises(ModelError, match=r"model\.json is not a valid model: 1 problem\n  number: must be a number"):
        load_model(write(tmp_path, kind="mean"))
    with pytest.raises(ModelError, match='must be "logistic", "network" or "mean", not "median"'):
        load_model(write(tmp_path, kind="median"))
    assert load_model(write(tmp_path)) == LogisticModel.from_json(json.dumps(DOCUMENT))


def test_a_block_of_the_table_is_made_again_from_its_description() -> None:
    model = LogisticModel.from_json(json.dumps(DOCUMENT))
    request = ScoreRequest(raw_prediction=True, float32=True, precision="accurate")
    block = score_block(model, request)
    assert block == ScoreBlock.of(model.file, request)
    assert isinstance(block, BlockFunction)
    assert restore(json.loads(json.dumps(block.describe()))) == block
    assert block.scratch_row_bytes == KINDS["logistic"].scratch_row_bytes(model) == 8


def test_a_model_is_shown_as_rows() -> None:
    model = LogisticModel.from_json(json.dumps(DOCUMENT))
    shown = show_model(model)
    assert shown.facts == (
        ("kind", "logistic"),
        ("intercept", 0.5),
        ("target", 'late: "no" or "yes"'),
        ("output", "probability, decision"),
        ("threshold", 0.25),
        ("beta", 1.5),
        ("features", "2"),
        ("digest", model.digest()),
    )
    assert shown.headers == ("column", "kind", "level", "coefficient", "center", "scale", "missing", "unseen")
    assert shown.rows == (
        ("x", "numeric", "", 1.25, 2.0, 1.0, ("impute", 3.0), ""),
        ("c", "categorical", "a", 1.0, "", "", "null", "level b"),
        ("", "", "b", -1.0, "", "", "", ""),
    )
    assert [shown.headers[number] for number in shown.numbers] == ["coefficient", "center", "scale"]
    assert shown.features == 2


def test_a_run_with_a_logistic_model_loads_nothing_of_networks(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("x,c\n1,a\n")
    code = (
        "import sys, pipeline\n"
        f"pipeline.score({str(tmp_path / 'rows.csv')!r}, {str(write(tmp_path))!r}, {str(tmp_path / 'out')!r})\n"
        "loaded = {'pipeline.models.network', 'pipeline.kernels.layers', 'threadpoolctl', 'safetensors'}\n"
        "print(sorted(loaded & set(sys.modules)))\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout == "[]\n"


def test_a_document_without_a_value_has_no_members() -> None:
    assert read(b"[1]").member("kind") is None
    assert read(b"{").member("kind") is None
    assert not read(b"{").is_readable
    assert read(b"null").is_readable
