"""The README is run: every command and every line of Python in it, in order, in a folder like the reader's."""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.errors import LogitstreamError
from pipeline.models import LogisticModel
from pipeline.registry import FUNCTIONS
from tests import functions_table

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
INSTALLING = [body for kind, body in BLOCKS if kind == "sh" and "venv" in body]
CLUSTER = [body for kind, body in BLOCKS if kind == "sh" and "dask scheduler" in body]
COMMANDS = [
    line for kind, body in BLOCKS if kind == "sh" and body not in INSTALLING + CLUSTER for line in body.splitlines()
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as the README's reader has it: the sample, and the job file that the README shows."""
    path = tmp_path_factory.mktemp("readme")
    (path / "sample_data").symlink_to(ROOT / "sample_data")
    (path / "nightly.toml").write_text(block("toml"))
    return path


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}


def block(kind: str) -> str:
    """Return the first block of a kind."""
    return next(body for found, body in BLOCKS if found == kind)


def run(command: str, folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def test_two_commands_install_and_each_is_one_line() -> None:
    assert len(INSTALLING) == 2
    assert all(len(body.splitlines()) == 1 for body in INSTALLING)
    assert "logitstream demo" in INSTALLING[0]
    assert "pytest" in INSTALLING[1]


def test_every_command_runs_in_the_order_of_the_page(folder: Path, environment: dict[str, str]) -> None:
    assert len(COMMANDS) >= 7
    for command in COMMANDS:
        result = run(command, folder, environment)
        assert result.returncode == 0, f"{command}\n{result.stderr}"
    assert {"scores", "scores_csv", "logits", "nightly"} <= {p.name for p in folder.iterdir()}


def test_the_table_of_functions_is_current() -> None:
    assert functions_table.current(README) == README, "run python -m tests.functions_table"
    assert all(f"| `{name}(" in README for name in FUNCTIONS)
    measured = json.loads(functions_table.MEASURED.read_text())["functions"]
    assert measured.keys() == FUNCTIONS.keys(), "run python -m tests.benchmarks.functions"


def test_every_test_that_the_page_names_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", README)
    assert len(named) >= 15
    for path, test in named:
        assert f"def {test}" in (ROOT / path).read_text(), f"{path}::{test}"


def test_the_model_of_the_page_is_a_model(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_text(block("json"))
    model = LogisticModel.load(path)
    assert 0 < model.probability({"distance": [1000.0], "hour": [5], "carrier": ["AA"]})[0] < 1
    (tmp_path / "broken.json").write_text(block("json").replace('"kind": "logistic"', '"kind": "cubic"'))
    with pytest.raises(LogitstreamError, match="kind"):
        LogisticModel.load(tmp_path / "broken.json")


def test_the_python_of_the_page_runs(folder: Path, environment: dict[str, str]) -> None:
    fit = """
import pandas as pd
from sklearn.linear_model import LogisticRegression
import pyarrow.parquet as pq
flights = pq.read_table("sample_data/flights", columns=["distance", "hour", "late"]).to_pandas().dropna()
fitted = LogisticRegression(max_iter=1000).fit(flights[["distance", "hour"]], flights["late"].astype(bool))
flights = flights[["distance", "hour"]]
"""
    pieces = [body for kind, body in BLOCKS if kind == "python"]
    assert len(pieces) == 3
    for piece in pieces:
        before = fit if "fitted" in piece else ""
        result = run(f"python -c {shlex.quote(before + piece)}", folder, environment)
        assert result.returncode == 0, result.stderr
    assert json.loads((folder / "model.json").read_text())["kind"] == "logistic"
    assert (folder / "expressions" / "_manifest.json").exists()
    assert (folder / "streamed" / "_manifest.json").exists()


def test_the_crontab_line_runs(folder: Path, environment: dict[str, str]) -> None:
    line = block("crontab")
    fields = line.split(maxsplit=5)
    assert all(re.fullmatch(r"[\d*]+", field) for field in fields[:5])
    (folder / ".venv" / "bin").mkdir(parents=True)
    script = folder / ".venv" / "bin" / "logitstream"
    script.write_text(f"#!{sys.executable}\nfrom jobs.logitstream import main\nmain()\n")
    script.chmod(0o755)
    command = fields[5].replace("/srv/nightly", str(folder))
    bare = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
    result = run(command, folder, bare)
    assert result.returncode == 0, result.stderr
    assert result.stdout == result.stderr == ""


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture
def cluster(port: int, folder: Path, environment: dict[str, str]) -> Iterator[str]:
    """The scheduler and the workers of the page, on a free port; yields the third command."""
    scheduler, worker, score = (line.replace("8786", str(port)) for line in CLUSTER[0].splitlines())
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    environment = {**environment, "DASK_DISTRIBUTED__SCHEDULER__DASHBOARD__STATUS__TASK_STREAM_LENGTH": "1"}
    processes = [
        subprocess.Popen([*shlex.split(scheduler), "--no-dashboard"], cwd=folder, env=environment, **quiet),
        subprocess.Popen([*shlex.split(worker), "--no-dashboard"], cwd=folder, env=environment, **quiet),
    ]
    yield score
    for process in reversed(processes):
        process.terminate()
        process.wait(30)


def test_the_cluster_of_the_page_scores(cluster: str, folder: Path, environment: dict[str, str]) -> None:
    time.sleep(1)
    result = run(cluster, folder, environment)
    assert result.returncode == 0, result.stderr
    assert "Traceback" not in result.stderr
    assert (folder / "cluster_scores" / "_manifest.json").exists()


def test_every_exit_code_of_the_page_is_one_of_ours() -> None:
    def codes(cls: type[LogitstreamError]) -> set[int]:
        return {cls.exit_code}.union(*map(codes, cls.__subclasses__()))

    table = README.split("| exit code |")[1].split("\n\n")[0]
    listed = {int(n) for cell in re.findall(r"^\| ([\d, ]+) \|", table, re.MULTILINE) for n in cell.split(",")}
    assert listed == codes(LogitstreamError) | {0, 130, 143}
