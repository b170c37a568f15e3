"""S-1: nothing is unpickled from disk, nothing that could is imported, and no text is run as code."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.security import unpickling

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(
    path.relative_to(ROOT).as_posix() for room in ("pipeline", "jobs") for path in (ROOT / room).rglob("*.py")
)

UNPICKLING = {
    "pickle",
    "_pickle",
    "cloudpickle",
    "dill",
    "joblib",
    "marshal",
    "shelve",
    "skops",
    "yaml",
    "runpy",
    "code",
}
# logitstream's own processes talk to each other over pipes: they write and read messages, never files.
# A skops file holds no pickle: its types are compared with a list of ours before skops makes anything.
MESSENGERS = {
    "pipeline/execute/child.py": {"pickle"},
    "pipeline/execute/cluster/carrying.py": {"pickle"},
    "pipeline/execute/pickling.py": {"pickle"},
    "pipeline/conversion/skops.py": {"skops"},
}
MESSAGES = {"dumps", "loads"}
CALLS = {"eval", "exec", "compile", "execfile"}
READERS = {"read_pickle", "allow_pickle"}


def _faults(name: str, text: str) -> Iterator[str]:
    allowed = MESSENGERS.get(name, set())
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            modules = [alias.name.split(".")[0] for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [str(node.module).split(".")[0]] if not node.level else []
            if set(modules) & allowed:
                yield f"{name}:{node.lineno} imports names from {modules[0]}; import the module"
        else:
            modules = []
        for module in (set(modules) & UNPICKLING) - allowed:
            yield f"{name}:{node.lineno} imports {module}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CALLS:
            yield f"{name}:{node.lineno} calls {node.func.id}"
        if isinstance(node, ast.Attribute):
            module = node.value.id if isinstance(node.value, ast.Name) else ""
            if node.attr in READERS or (
                module in UNPICKLING and node.attr not in MESSAGES and not node.attr.endswith("Error")
            ):
                yield f"{name}:{node.lineno} uses {module}.{node.attr}"
        if isinstance(node, ast.keyword) and node.arg in READERS:
            yield f"{name}:{node.value.lineno} passes {node.arg}"


def test_no_module_imports_or_calls_what_runs_data_as_code() -> None:
    assert len(FILES) > 50
    assert [fault for name in FILES for fault in _faults(name, (ROOT / name).read_text())] == []


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("pipeline/x.py", "import pickle", "imports pickle"),
        ("pipeline/x.py", "import json, joblib.parallel", "imports joblib"),
        ("jobs/x.py", "def f():\n    from yaml import safe_load", "imports yaml"),
        ("jobs/x.py", "eval('1')", "calls eval"),
        ("jobs/x.py", "numpy.load(path, allow_pickle=True)", "passes allow_pickle"),
        ("jobs/x.py", "pandas.read_pickle(path)", "uses pandas.read_pickle"),
        ("pipeline/execute/child.py", "pickle.load(file)", "uses pickle.load"),
        ("pipeline/execute/child.py", "from pickle import load", "imports names from pickle"),
    ],
)
def test_what_is_planted_is_named(name: str, text: str, fault: str) -> None:
    (found,) = _faults(name, text)
    assert found.startswith(f"{name}:")
    assert found.endswith(fault) or f" {fault}" in found


def _python(folder: Path, code: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": os.environ.get("PATH", os.defpath)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


# Modules under made-up names stand for those of libraries and of this project.
PLANTED = """
import pickle, types
from pathlib import Path
from tests.security import unpickling
unpickling.install()
Path("x").write_bytes(pickle.dumps(Path("a")))

def run(name, code):
    module = types.ModuleType(name)
    try:
        exec("import pickle\\n" + code, module.__dict__)
        print("passed")
    except unpickling.UnpickledError as error:
        print(str(error).rsplit(" at ", 1)[0])

run("pipeline.models.logistic.file", "pickle.loads(open('x', 'rb').read())")
run("joblib.numpy_pickle", "pickle.loads(open('x', 'rb').read())")
run("tests.some", "with open('x', 'rb') as file: pickle.load(file)")
run("tests.some", "with open('x', 'rb') as file: pickle._Unpickler(file).load()")
run("tests.some", "pickle.loads(pickle.dumps(__import__('pathlib').Path('a')))")
run("pipeline.execute.child", "pickle.loads(pickle.dumps(__import__('pathlib').Path('a')))")
print(len(unpickling.seen))
"""


def test_the_watch_tells_who_may_from_who_may_not(tmp_path: Path) -> None:
    done = _python(tmp_path, PLANTED)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    what = lines[0].split(" ")[0]
    assert what.endswith("Path")
    assert lines == [
        f"{what} was unpickled by pipeline.models.logistic.file",
        f"{what} was unpickled by joblib.numpy_pickle",
        f"{what} was unpickled from the file {tmp_path / 'x'}",
        f"{what} was unpickled from the file {tmp_path / 'x'}",
        "passed",
        "passed",
        "4",
    ]


def test_the_suite_is_watched_and_fails_where_something_is_unpickled(tmp_path: Path) -> None:
    assert unpickling._installed
    (tmp_path / "test_planted.py").write_text(
        "import contextlib, pathlib, pickle\n"
        "def test_that_hides_it(tmp_path):\n"
        "    (tmp_path / 'x').write_bytes(pickle.dumps(pathlib.Path('a')))\n"
        "    with contextlib.suppress(Exception), (tmp_path / 'x').open('rb') as file:\n"
        "        pickle.load(file)\n"
    )
    code = "import sys, pytest; sys.exit(pytest.main(sys.argv[1:]))"
    words = ["-q", "-p", "no:cacheprovider", "-p", "tests.conftest", "-c", os.devnull, "--rootdir", str(tmp_path)]
    done = _python(tmp_path, code, *words, str(tmp_path / "test_planted.py"))
    assert done.returncode == 1, done.stdout
    assert "Path was unpickled by test_planted" in done.stdout


@pytest.mark.parametrize("scheduler", ["threads", "processes"])
def test_a_run_unpickles_nothing_from_disk(tmp_path: Path, scheduler: str) -> None:
    code = "from tests.security import unpickling; unpickling.install(); from jobs.cli import main; main()"
    sample = ROOT / "sample_data"
    words = ["score", sample / "flights", "--model", sample / "delay_model.json", "--output", tmp_path / "out"]
    done = _python(tmp_path, code, *map(str, words), "--scheduler", scheduler, "--chunk-size", "4000", "-q")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
