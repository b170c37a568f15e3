"""What is shipped: versions, pins, the README's two lines, the sample data, and nothing else at the top."""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from sklearn.metrics import roc_auc_score

import pipeline

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "sample_data"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCKS = {
    "runtime.txt": PROJECT["dependencies"],
    "dev.txt": PROJECT["dependencies"]
    + [text for extra in ("bench", "plot", "report", "test") for text in PROJECT["optional-dependencies"][extra]],
}


def _pins(name: str) -> dict[str, str]:
    found = re.findall(r"^([A-Za-z0-9._-]+)==(\S+) \\$", (ROOT / ".ci" / name).read_text(), re.MULTILINE)
    return {canonicalize_name(package): version for package, version in found}


def test_the_version_is_one() -> None:
    assert pipeline.__version__ == version("logitstream")


def test_the_top_level_holds_what_it_should() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    allowed = {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "pipeline", "jobs", "tests", "sample_data"}
    found = {name for line in tracked.splitlines() if not (name := line.split("/")[0]).startswith(".")}
    assert found <= allowed
    assert all((ROOT / name).exists() for name in allowed)


def test_the_command_starts_in_a_module_of_its_own_name() -> None:
    assert PROJECT["scripts"] == {"logitstream": "logitstream:main"}


@pytest.mark.parametrize("package", ["pipeline", "jobs"])
def test_types_are_shipped(package: str) -> None:
    assert (ROOT / package / "py.typed").exists()


def test_the_readme_states_two_lines_to_paste() -> None:
    lines = re.findall(r"^python3 -m venv \.venv .*$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert [("demo" in line, "pytest" in line) for line in lines] == [(True, False), (False, True)]


@pytest.mark.parametrize("name", LOCKS)
def test_every_dependency_is_pinned_within_its_bounds(name: str) -> None:
    pins = _pins(name)
    for requirement in map(Requirement, LOCKS[name]):
        assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)]), requirement


@pytest.mark.parametrize("name", LOCKS)
def test_pins_have_hashes_and_name_no_registry(name: str) -> None:
    text = (ROOT / ".ci" / name).read_text()
    assert "bash .ci/lock" in text.splitlines()[4]
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+(\[\w+\])?==\S+ \\|    --hash=sha256:[0-9a-f]{64}( \\)?", line) for line in lines)


def test_the_command_is_tested_with_the_versions_it_is_installed_with() -> None:
    assert _pins("runtime.txt").items() <= _pins("dev.txt").items()


@pytest.mark.parametrize("name", ["run", "lock"])
def test_scripts_are_strict_and_executable(name: str) -> None:
    path = ROOT / ".ci" / name
    assert os.access(path, os.X_OK)
    assert "\nset -euo pipefail\n" in path.read_text()


def test_the_sample_is_the_same_as_parquet_and_as_csv() -> None:
    parquet = pq.read_table(SAMPLE / "flights")
    options = pyarrow.csv.ConvertOptions(strings_can_be_null=True)
    csv = pyarrow.csv.read_csv(SAMPLE / "flights.csv", convert_options=options)
    assert csv.cast(parquet.schema).equals(parquet)
    assert 19_000 < parquet.num_rows < 21_000
    assert parquet["dep_delay"].null_count > 300
    ids = parquet["flight_id"]
    assert pc.all(pc.less(ids.slice(0, len(ids) - 1), ids.slice(1))).as_py()
    assert parquet.schema.field("dep_delay").type == pa.int16()


def test_the_sample_has_several_files_and_row_groups() -> None:
    files = sorted((SAMPLE / "flights").iterdir())
    assert [file.name for file in files] == [f"2013-q{number}.parquet" for number in (1, 2, 3, 4)]
    assert all(pq.read_metadata(file).num_row_groups > 1 for file in files)
    assert (SAMPLE / "flights.csv").stat().st_size < 2_500_000


def test_the_sample_model_separates_late_flights() -> None:
    flights = pq.read_table(SAMPLE / "flights")
    model = pipeline.LogisticModel.load(SAMPLE / "delay_model.json")
    known = flights.filter(pc.is_valid(flights["late"])).combine_chunks()
    area = roc_auc_score(known["late"].to_numpy(), model.probability(known))
    assert area == pytest.approx(model.training["auc"], abs=1e-9)
    assert model.training["rows"] == known.num_rows


def _rounded(value: Any) -> Any:
    """Return plain values with the digits that every library of linear algebra agrees on."""
    if isinstance(value, dict):
        return {key: _rounded(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_rounded(member) for member in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value


@pytest.mark.parametrize(("function", "name"), [("fit", "delay_model.json"), ("scorecard", "delay_scorecard.json")])
def test_the_script_of_the_sample_makes_its_models(function: str, name: str) -> None:
    make = runpy.run_path(str(SAMPLE / "make.py"))
    made, stored = make[function](pq.read_table(SAMPLE / "flights")), json.loads((SAMPLE / name).read_text())
    for document in (made, stored):
        # Has the version of scikit-learn.
        document.pop("training", None)
    assert _rounded(made) == _rounded(stored)
