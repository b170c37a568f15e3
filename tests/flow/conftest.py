"""A folder with inputs, a model and an output, and what is true of every refusal."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pipeline
from pipeline.errors import LogitstreamError, MemoryBudgetError

ROOT = Path(__file__).resolve().parents[2]

# raw_prediction = 0.5 + x + (1 for a, -1 for b)
FEATURES = [
    {"column": "x", "kind": "numeric", "coefficient": 1.0},
    {"column": "c", "kind": "categorical", "coefficients": {"a": 1.0, "b": -1.0}},
]
STRICT = [
    {"column": "x", "kind": "numeric", "coefficient": 1.0, "missing": "error"},
    {"column": "c", "kind": "categorical", "coefficients": {"a": 1.0}, "missing": "error", "unseen": "error"},
]


def sigmoid(raw: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-raw))


def tree(folder: Path) -> dict[str, bytes | None]:
    """Return every name below a folder with its bytes, without what a run prepares next to the output."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if not name.split("/", maxsplit=1)[0].endswith(".logitstream"):
            found[name] = path.read_bytes() if path.is_file() else None
    return found


@dataclass(frozen=True)
class Bench:
    """A folder ``in`` for inputs, a folder ``models`` next to it, and ``out``, which does not exist."""

    folder: Path

    @property
    def inputs(self) -> Path:
        return self.folder / "in"

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def put(self, name: str, content: str | bytes | pa.Table, **options: Any) -> Path:
        """Write an input: text, bytes, or a table as Parquet."""
        path = self.inputs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, pa.Table):
            pq.write_table(content, path, **options)
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def model(self, features: object = FEATURES, **other: object) -> Path:
        """Write a model file."""
        content = {"format": "logitstream-model", "version": 1, "kind": "logistic", "intercept": 0.5}
        path = self.folder / "models" / "model.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content | {"features": features} | other))
        return path

    def _arguments(self, inputs: object, model: object, output: object) -> tuple[Any, Any, Any]:
        return (
            self.inputs if inputs is None else inputs,
            self.model() if model is None else model,
            self.out if output is None else output,
        )

    def score(
        self, inputs: object = None, model: object = None, output: object = None, **options: Any
    ) -> pipeline.Report:
        """Score the inputs, on the calling thread unless asked otherwise."""
        return pipeline.score(*self._arguments(inputs, model, output), **{"scheduler": "sync"} | options)

    def preview(
        self, inputs: object = None, model: object = None, output: object = None, **options: Any
    ) -> pipeline.PlanSummary:
        """Say what scoring would do."""
        return pipeline.preview(*self._arguments(inputs, model, output), **{"scheduler": "sync"} | options)

    def table(self) -> pa.Table:
        """Return the rows published, in order."""
        return pa.concat_tables([pq.read_table(path) for path in sorted(self.out.glob("*.parquet"))])

    def refused(self, kind: type[LogitstreamError], known: bool = True, **arguments: Any) -> str:
        """Return the message of a run that must be refused, after checking that it changed nothing.

        Everything in the folder is there afterwards, byte for byte. If the refusal is ``known`` before work, a dry run
        gives it too, in the same words; else the dry run finds nothing wrong. The dry run writes nothing at all.
        """
        if arguments.get("model") is None:
            self.model()
        before, names = tree(self.folder), sorted(self.folder.rglob("*"))
        if known:
            with pytest.raises(LogitstreamError) as expected:
                self.preview(**arguments)
        else:
            self.preview(**arguments)
        assert sorted(self.folder.rglob("*")) == names
        with pytest.raises(LogitstreamError) as caught:
            self.score(**arguments)
        assert type(caught.value) is kind
        assert tree(self.folder) == before
        if known:
            assert type(expected.value) is kind
            words = [str(error.value) for error in (expected, caught)]
            if kind is MemoryBudgetError:
                # what the process takes by itself is measured each time
                words = [re.sub(r"\d+", "0", text) for text in words]
            assert words[0] == words[1]
        return str(caught.value)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path)
    bench.inputs.mkdir()
    return bench


@pytest.fixture(scope="session")
def _former_version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    bench = Bench(tmp_path_factory.mktemp("former"))
    bench.put("former.csv", "x,c\n7,a\n")
    bench.score(keep=["x"])
    return bench.out


@pytest.fixture
def former(bench: Bench, _former_version: Path) -> Path:
    """Put the version of another job under the name of the output."""
    shutil.copytree(_former_version, bench.out)
    return bench.out


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command line, or other Python code, in a separate process."""

    def call(
        *words: object,
        code: str = "from jobs.cli import main; main()",
        before: tuple[str, ...] = (),
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        environment = {"PYTHONPATH": str(ROOT), "PATH": os.environ.get("PATH", "/usr/bin:/bin")} | dict(env or {})
        line = [*before, sys.executable, "-c", code, *map(str, words)]
        return subprocess.run(
            line, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
        )

    return call
