"""The DAG of the page on clusters, run by an Airflow that is installed for it, on a cluster of the same page."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.pages import PAGES, ROOT, Reader, blocks, free_port, is_for_airflow, reader_in

pytestmark = pytest.mark.campaign

TRIES = 4
# As a user has it, not as this run of the tests was started.
USUAL = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def done(*words: object, environment: dict[str, str] = USUAL, cwd: Path | None = None) -> tuple[int, str]:
    """Run a command to its end; return its exit code, and what it has said."""
    line = [str(word) for word in words]
    ended = subprocess.run(
        line, env=environment, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600,
        check=False,
    )  # fmt: skip
    return ended.returncode, ended.stdout


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with Airflow and this project."""
    folder = tmp_path_factory.mktemp("airflow") / "environment"
    install = (folder / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check")
    for words in ((sys.executable, "-m", "venv", folder), (*install, "apache-airflow>=3")):
        code, said = done(*words)
        if code:
            pytest.skip(f"Airflow cannot be installed here: {' '.join(said.splitlines()[-1:])}")
    code, said = done(*install, ROOT)
    assert code == 0, said
    return folder


@dataclass
class Nights:
    """A folder as the page has it, with an Airflow whose DAG runs on a cluster at a port."""

    reader: Reader
    port: int

    def write_dag(self, pause: str = "minutes=10") -> None:
        (dag,) = filter(is_for_airflow, blocks(PAGES["cluster"], "python"))
        body = dag.body.replace("/srv/nightly", str(self.reader.folder)).replace("8786", str(self.port))
        assert "minutes=10" in body
        folder = self.reader.folder / "dags"
        folder.mkdir(exist_ok=True)
        (folder / dag.name).write_text(body.replace("minutes=10", pause))

    def airflow(self, *words: str) -> tuple[int, str]:
        folder = self.reader.folder
        settings = {
            "AIRFLOW_HOME": str(folder / "airflow"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(folder / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        }
        return done(folder / ".venv" / "bin" / "airflow", *words, environment=USUAL | settings, cwd=folder)

    def test(self) -> tuple[int, str]:
        """Run the DAG with the command of the page."""
        (block,) = filter(is_for_airflow, blocks(PAGES["cluster"], "sh"))
        return self.airflow(*block.body.split()[1:])


@pytest.fixture
def nights(tmp_path: Path, environment: Path) -> Nights:
    (tmp_path / ".venv").symlink_to(environment)
    (settings,) = (block for block in blocks(PAGES["operations"]) if block.name == "nightly.toml")
    (tmp_path / settings.name).write_text(settings.body)
    made = Nights(reader_in(tmp_path), free_port())
    made.write_dag()
    code, said = made.airflow("db", "migrate")
    assert code == 0, said
    return made


def test_the_dag_publishes_what_the_cluster_scores(nights: Nights) -> None:
    with nights.reader.cluster(PAGES["cluster"], nights.port):
        code, said = nights.test()
    assert code == 0, said
    output = nights.reader.folder / "nightly"
    assert (output / "_manifest.json").exists()
    verify = (nights.reader.folder / ".venv" / "bin" / "logitstream", "verify", output, "--inputs")
    assert done(*verify)[0] == 0


def test_a_cluster_that_is_not_there_is_tried_three_times_more(nights: Nights) -> None:
    nights.write_dag(pause="seconds=1")
    code, said = nights.test()
    assert code != 0
    assert said.count("no Dask scheduler answers at") == TRIES, said


def test_a_model_that_is_not_there_fails_at_once(nights: Nights) -> None:
    settings = nights.reader.folder / "nightly.toml"
    settings.write_text(settings.read_text().replace("delay_model", "no_model"))
    code, said = nights.test()
    assert code != 0
    assert said.count("no_model.json") == 1, said
