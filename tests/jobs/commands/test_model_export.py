"""``logitstream model export``: a model for another tool, in a file or on the standard output."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

MODEL = {
    "format": "logitstream-model", "version": 1, "kind": "logistic", "intercept": -0.5,
    "features": [{"column": "x", "kind": "numeric", "coefficient": 1.25}],
}  # fmt: skip


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.json"
    path.write_text(json.dumps(MODEL))
    return path


def test_text_goes_to_the_standard_output(cli: Any, model: Path) -> None:
    done = cli("model", "export", model, "--to", "sql")
    assert done.code == 0
    assert done.out.startswith("-- logitstream model ")
    assert done.out.endswith('AS "probability"\n')
    assert done.err == ""


def test_another_file_stays_unless_it_is_to_be_replaced(cli: Any, model: Path, tmp_path: Path) -> None:
    target = tmp_path / "score.py"
    target.write_text("old")
    words = ("model", "export", model, "--to", "python", "-o", target)
    done = cli(*words)
    assert done.code == 73
    assert "score.py exists and is another file" in done.err
    assert target.read_text() == "old"
    done = cli(*words, "--if-exists", "replace")
    assert (done.code, done.out) == (0, "")
    assert cli(*words).code == 0
    assert "score.py: the model as Python" in done.err
    names: dict[str, Any] = {}
    exec(target.read_text(), names)
    assert names["score"](x=0.4) == {"probability": 0.5}
    written = target.stat()
    # The same file again: nothing to do.
    assert cli(*words).code == 0
    assert target.stat().st_ino == written.st_ino


def test_the_model_file_itself_is_never_the_output(cli: Any, model: Path) -> None:
    done = cli("model", "export", model, "--to", "pmml", "-o", model, "--if-exists", "replace")
    assert done.code == 2
    assert "is both the model file and the output" in done.err
    assert json.loads(model.read_text()) == MODEL


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--to", "onnx"), 2, "an ONNX graph is not text: name a file with --output"),
        (("--to", "python", "--dialect", "spark"), 2, "python has no dialects"),
        (("--to", "sqlite"), 2, "'sqlite' is not one of"),
        ((), 2, "missing option '--to'"),
    ],
)
def test_what_cannot_be_asked_for_is_a_usage_error(
    cli: Any, model: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    done = cli("model", "export", model, *words)
    assert done.code == code
    assert said in done.err


def test_a_target_that_is_missing_is_asked_for_on_one_line(cli: Any, model: Path) -> None:
    done = cli("model", "export", model)
    assert (done.code, done.err.splitlines()[0]) == (
        2,
        "error: missing option '--to'. Choose from: sql, onnx, pmml, python, safetensors",
    )


def test_what_sql_cannot_express_is_refused_and_nothing_is_written(cli: Any, model: Path, tmp_path: Path) -> None:
    feature = {"column": "a\0b", "kind": "numeric", "coefficient": 1.0}
    model.write_text(json.dumps(MODEL | {"features": [feature]}))
    target = tmp_path / "score.sql"
    target.write_text("old")
    done = cli("model", "export", model, "--to", "sql", "-o", target)
    assert done.code == 65
    assert 'column "a\\x00b": a name in SQL has no NUL' in done.err
    assert target.read_text() == "old"
