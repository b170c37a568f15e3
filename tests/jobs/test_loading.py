"""Commands load what they need, and collect no garbage meanwhile."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq
import pytest

from jobs.loading import uncollected
from pipeline import compute


@pytest.mark.usefixtures("nothing_set_aside")
@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_is_as_it_was_whatever_happens(enabled: bool) -> None:
    (gc.enable if enabled else gc.disable)()
    try:
        inside: list[bool] = []
        with pytest.raises(ModuleNotFoundError), uncollected():
            _look(inside)
        assert inside == [False]
        assert gc.isenabled() is enabled
        assert gc.get_freeze_count() > 0
    finally:
        gc.enable()


def _look(inside: list[bool]) -> None:
    inside.append(gc.isenabled())
    import_module("no_such_module")


_RUN = """
import sys
from jobs.cli import run
code = run(sys.argv[1:])
print(code, "pandas" in sys.modules)
"""
ROOT = Path(__file__).parents[2]
FLIGHTS, MODEL = "sample_data/flights", "sample_data/delay_model.json"


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ["score", FLIGHTS, "--model", MODEL, "--keep", "flight_id", "--output", "{folder}/scores"],
        ["plan", FLIGHTS, "--model", MODEL, "--output", "{folder}/scores"],
        ["fit", FLIGHTS, "--target", "late", "--features", "distance", "--missing-target", "drop",
         "--missing", "drop", "--output", "{folder}/model.json"],
    ],
    ids=lambda arguments: arguments[0],
)  # fmt: skip
def test_a_run_does_not_load_pandas_where_it_is_installed(tmp_path: Path, arguments: list[str]) -> None:
    pytest.importorskip("pandas")
    given = [argument.format(folder=tmp_path) for argument in arguments]
    command = [sys.executable, "-c", _RUN, *given, "--quiet"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.split()[-2:] == ["0", "False"], done.stderr


_LISTED = """
import sys
before = set(sys.modules)
import atexit, json
from jobs.cli import main
def tell():
    loaded = {name: module for name, module in sys.modules.items() if name not in before}
    files = {name: getattr(module, "__file__", None) or "" for name, module in loaded.items()}
    installed = sorted({name.partition(".")[0] for name, file in files.items() if "-packages" in file})
    print(json.dumps([installed, sorted(files)]))
atexit.register(tell)
main(sys.argv[1:])
"""
PACKAGES = {
    *("annotated_types", "click", "cloudpickle", "dask", "importlib_metadata", "lazy_importer", "numpy"),
    *("packaging", "psutil", "pyarrow", "pydantic", "pydantic_core", "tblib", "tlz", "toolz", "typing_extensions"),
    *("typing_inspection", "yaml", "zipp"),
}
ROOMS = {
    *("arguments", "canonical", "causes", "choices", "compact", "compute", "dataclass", "disk", "errors", "execute"),
    *("flow", "formats", "grammar", "interface", "kernels", "logs", "memory", "models", "options", "plan", "process"),
    *("publish", "registry", "report", "scan", "schedulers", "sinks", "sources", "types", "units", "version"),
}
# Slow to load, and brought along by one careless import.
COSTLY = {"asyncio", "dask.array", "ctypes.util", "http", "jinja2", "tomllib", "unittest", "xml"}


def _loaded(*arguments: object) -> tuple[set[str], list[str]]:
    """Return the packages, and all modules, that ``score`` loads."""
    command = [sys.executable, "-c", _LISTED, "score", *map(str, arguments), "--quiet", "--scheduler", "threads"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    installed, modules = json.loads(done.stdout.splitlines()[-1])
    return set(installed), modules


@pytest.mark.slow
def test_score_on_threads_loads_these_packages_and_rooms_alone(tmp_path: Path) -> None:
    installed, modules = _loaded(FLIGHTS, "--model", MODEL, "--output", tmp_path / "out", "--chunk-size", 500)
    assert installed <= PACKAGES
    assert {name.split(".")[1] for name in modules if name.startswith("pipeline.")} <= ROOMS
    assert COSTLY.isdisjoint(modules)


def test_a_run_over_numbers_loads_no_functions_of_arrow(tmp_path: Path) -> None:
    data, model = tmp_path / "data.parquet", tmp_path / "model.json"
    pq.write_table(pa.table({"x": [1.0, 2.0]}), data)
    feature = {"column": "x", "kind": "numeric", "coefficient": 0.5}
    file = {"format": "logitstream-model", "version": 1, "kind": "logistic", "intercept": 0.1, "features": [feature]}
    model.write_text(json.dumps(file))
    _, modules = _loaded(data, "--model", model, "--keep", "x", "--output", tmp_path / "out")
    assert "pyarrow.parquet" in modules
    assert "pyarrow.compute" not in modules


def test_the_functions_of_arrow_are_those_of_arrow() -> None:
    assert compute.is_null is pyarrow.compute.is_null
    assert "is_null" in vars(compute)
    with pytest.raises(AttributeError, match="no_such_function"):
        _ = compute.no_such_function


_PAGES = """
import atexit, sys
from pathlib import Path
from jobs.cli import main
atexit.register(lambda: print(Path("/proc/self/status").read_text()))
main(sys.argv[1:])
"""


@pytest.mark.skipif("THP_enabled" not in Path("/proc/self/status").read_text(), reason="the kernel does not tell")
@pytest.mark.skipif(pa.default_memory_pool().backend_name != "mimalloc", reason="Arrow uses another allocator")
@pytest.mark.parametrize("said", [None, "1"])
def test_commands_do_without_huge_pages_unless_they_are_asked_for(said: str | None) -> None:
    own = {name: value for name, value in os.environ.items() if name != "MIMALLOC_ALLOW_THP"}
    environment = own if said is None else own | {"MIMALLOC_ALLOW_THP": said}
    command = [sys.executable, "-c", _PAGES, "inspect", FLIGHTS, "--quiet"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert f"THP_enabled:\t{said or 0}\n" in done.stdout
