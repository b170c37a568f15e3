"""Small inputs and what was published from them, and the command line in this process."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pipeline
from jobs.cli import run

# raw_prediction = 0.5 + x + (1 for a, -1 for b); a row without x, or with a level that is not known, is set aside
FEATURES = [
    {"column": "x", "kind": "numeric", "coefficient": 1.0, "missing": "quarantine"},
    {"column": "c", "kind": "categorical", "coefficients": {"a": 1.0, "b": -1.0}, "unseen": "quarantine"},
]


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run a command line in this process."""

    def call(*words: object) -> Outcome:
        capsys.readouterr()
        code = run([str(word) for word in words])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call


@dataclass(frozen=True)
class Bench:
    """A folder ``in`` for inputs, a model, and ``out``, which does not exist."""

    folder: Path

    @property
    def inputs(self) -> Path:
        return self.folder / "in"

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def put(self, name: str, content: str | pa.Table, **options: Any) -> Path:
        """Write an input: text, or a table as Parquet."""
        path = self.inputs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, pa.Table):
            pq.write_table(content, path, **options)
        else:
            path.write_text(content)
        return path

    def score(self, **options: Any) -> pipeline.Report:
        """Score the inputs on the calling thread, the number of bad rows left open."""
        model = {"format": "logitstream-model", "version": 1, "kind": "logistic", "intercept": 0.5}
        path = self.folder / "model.json"
        path.write_text(json.dumps(model | {"features": FEATURES}))
        return pipeline.score(self.inputs, path, self.out, **{"scheduler": "sync", "max_bad": "100%"} | options)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    (tmp_path / "in").mkdir()
    return Bench(tmp_path)


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """An output of several parts with quarantines, from a CSV and a Parquet file; not to be changed."""
    bench = Bench(tmp_path_factory.mktemp("published"))
    lines = [f"{number},{'ab'[number % 2]}" for number in range(200)]
    for number in (3, 77, 150):
        lines[number] = f"bad{number},a"
    lines[180] = "1,a,one too many"
    bench.put("a.csv", "x,c\n" + "\n".join(lines) + "\n")
    table = pa.table(
        {
            "x": [None if n in {7, 61} else float(n) for n in range(100)],
            "c": ["z" if n == 42 else "a" for n in range(100)],
        }
    )
    bench.put("b.parquet", table, row_group_size=20)
    bench.score(chunk_size=60, keep=["c"])
    return bench


@pytest.fixture
def copy(published: Bench, tmp_path: Path) -> Path:
    """A copy of the published output, to be damaged, with its inputs beside it as they were."""
    shutil.copytree(published.inputs, tmp_path / published.inputs.name)
    return Path(shutil.copytree(published.out, tmp_path / "copy"))
