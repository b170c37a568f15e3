"""The rules of imports and of the one door to files hold in this tree, and each of them can fail."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / ".ci" / "layers.py"


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("layers", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["layers"] = module
    spec.loader.exec_module(module)
    return module


layers = _load()


def _check(root: Path, file: str, text: str) -> list[str]:
    path = root / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return layers.check(root)


def test_this_tree_follows_the_rooms() -> None:
    assert layers.check(ROOT) == []


def test_the_table_itself_goes_down() -> None:
    for name, room in layers.ROOMS.items():
        for target in room.rooms:
            assert layers.ROOMS[target].level < room.level, (name, target)
    assert layers.ROOMS["publish"].packages == ()


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        (
            "pipeline/sinks/csv.py",
            "import os\nimport pyarrow.compute",
            "import pipeline.compute, which loads it when it is",
        ),
        ("pipeline/kernels/tiles.py", "import os\nfrom pipeline import compute", "kernels may use canonical"),
        (
            "pipeline/sinks/parquet.py",
            "import os\nfrom pipeline.sources import find",
            "sinks may use canonical, causes, choices, disk, errors, formats, logs, memory",
        ),
        (
            "pipeline/sinks/parquet.py",
            "import os\nimport pipeline.sources.csv.source",
            "sinks may use canonical, causes, choices, disk, errors, formats, logs, memory",
        ),
        (
            "pipeline/sinks/parquet.py",
            "import os\nfrom pipeline import sources",
            "sinks may use canonical, causes, choices, disk, errors, formats, logs, memory",
        ),
        (
            "pipeline/sinks/parquet.py",
            "import os\nfrom ..sources import find",
            "sinks may use canonical, causes, choices, disk, errors, formats, logs, memory",
        ),
        (
            "pipeline/sinks/parquet.py",
            "import os\nfrom .. import sources",
            "sinks may use canonical, causes, choices, disk, errors, formats, logs, memory",
        ),
        (
            "pipeline/sinks/parquet.py",
            "import os\nfrom pipeline import score",
            "sinks may use canonical, causes, choices, disk, errors, formats, logs, memory",
        ),
        ("pipeline/sinks/parquet.py", "import os\nimport dask.array", "sinks may use numpy, pyarrow"),
        (
            "pipeline/plan.py",
            "import os\nfrom pipeline.flow import run",
            "plan may use canonical, causes, choices, disk, errors, formats, logs, process, schedulers, types, units",
        ),
        ("pipeline/plan.py", "import os\nimport jobs.cli", "pipeline never imports jobs"),
        ("pipeline/types/job.py", "import os\nimport pyarrow as pa", "types may use numpy"),
        ("pipeline/publish/lock.py", "if TYPE_CHECKING:\n    import numpy", "publish may use"),
        ("pipeline/types/job.py", "if TYPE_CHECKING:\n    import dask", "types may use numpy"),
        ("pipeline/types/job.py", "if not typing.TYPE_CHECKING:\n    import pyarrow", "types may use numpy"),
        ("pipeline/publish/lock.py", "import os\nimport numpy", "publish may use the standard library alone"),
        ("pipeline/errors.py", "import os\nimport pipeline.units", "errors may use no other room"),
        ("pipeline/publish/record/x.py", "import re\nimport os", "publish.record may not use os"),
        ("pipeline/publish/record/x.py", "import re\nfrom pathlib import Path", "publish.record may not use pathlib"),
        ("pipeline/publish/record/x.py", "import re\nfrom pipeline import disk", "publish.record may use canonical"),
        (
            "pipeline/publish/record/x.py",
            "import re\nfrom pipeline.publish.store import Busy",
            "publish.record may use canonical",
        ),
        (
            "pipeline/publish/store.py",
            "import re\nfrom pipeline.publish import layout",
            "publish.store may use choices",
        ),
        (
            "pipeline/publish/layout/x.py",
            "import re\nfrom pipeline.publish.local.lock import locked",
            "publish.layout may use canonical",
        ),
        (
            "pipeline/publish/local/x.py",
            "import re\nfrom pipeline.publish import runs",
            "publish.local may use canonical",
        ),
        ("pipeline/flow/x.py", "import re\nfrom pipeline.publish import layout", "import pipeline.publish, the face"),
        (
            "pipeline/flow/x.py",
            "import re\nfrom pipeline.publish.record.names import MANIFEST",
            "import pipeline.publish, the face",
        ),
        ("pipeline/sinks/x.py", "import re\nimport pipeline.publish.record", "import pipeline.publish, the face"),
        ("jobs/x.py", "import re\nimport pipeline.publish.local.lock", "import pipeline.publish, the face"),
        ("pipeline/conversion/sk.py", "import os\nimport sklearn", "import it in the function that needs it"),
        (
            "pipeline/models/logistic/model.py",
            "import os\nfrom pipeline.conversion.exporting import export",
            "models may use",
        ),
        (
            "pipeline/models/logistic/score.py",
            "def f():\n    from pipeline.conversion.exporting import export",
            "models may use",
        ),
        (
            "pipeline/models/logistic/model.py",
            "def f():\n    from pipeline.conversion.reading import import_model",
            "models may use",
        ),
        (
            "pipeline/execute/x.py",
            "import os\nimport pipeline.execute.cluster.opening",
            "import it in the function that needs",
        ),
        ("pipeline/publish/x.py", "import os\nimport _typeshed", "publish may use the standard library alone"),
        ("pipeline/sources/csv.py", "def f():\n    import pyarrow", "imports stand at the top of the file"),
        ("pipeline/sources/csv.py", "async def f():\n    import pyarrow", "imports stand at the top of the file"),
        ("pipeline/plan.py", "def f():\n    from pipeline import errors", "imports stand at the top of the file"),
        ("pipeline/plan.py", "import importlib\nimportlib.import_module('jobs')", "pipeline never imports jobs"),
        ("pipeline/plan.py", "import importlib\nimportlib.import_module(name)", "write an import statement"),
        ("pipeline/plan.py", "import os\n__import__('dask')", "plan may use numpy"),
        ("pipeline/__init__.py", "import os\nfrom pipeline.interface import score", "loaded when asked for"),
        ("pipeline/__init__.py", "import os\nimport numpy", "pipeline may use the standard library alone"),
        (
            "jobs/score.py",
            "import os\nfrom pipeline.sinks import f",
            "jobs may use bench, canonical, causes, choices, compact, diagnosis, disk, drawing, errors",
        ),
        ("pipeline/flow/x.py", "import os\nfrom pipeline.sources import source_for", "flow may use"),
        ("pipeline/inspection/x.py", "import os\nfrom pipeline.sources import source_for", "inspection may use"),
        ("pipeline/arrays/x.py", "import os\nimport pipeline.sources.csv.reader", "arrays may use"),
        ("pipeline/scan/x.py", "import os\nfrom pipeline.models import restore", "scan may use"),
        ("pipeline/scan/x.py", "import os\nfrom pipeline.publish import Part", "scan may use"),
        ("pipeline/stream/x.py", "import os\nfrom pipeline.inspection import inspect", "stream may use"),
        ("jobs/score.py", "def f():\n    import pyarrow", "jobs may use click, rich"),
        ("jobs/logitstream.py", "import os\nfrom jobs.cli import main", "import it in the function that needs it"),
        ("jobs/logitstream.py", "import os\nimport pipeline", "jobs.logitstream may use no other room"),
        ("jobs/logitstream.py", "import os\nimport jobs.options", "jobs.logitstream may use jobs.cli alone"),
        ("jobs/logitstream.py", "import os\nimport click", "may use the standard library alone"),
    ],
)
def test_a_planted_violation_is_named(tmp_path: Path, file: str, text: str, message: str) -> None:
    (line,) = _check(tmp_path, file, text)
    assert line.startswith(f"{file}:2: imports ")
    assert message in line


def test_every_import_that_goes_up_is_made() -> None:
    for file, (modules, why) in layers.UPWARD.items():
        text = (ROOT / file).read_text()
        assert all(f"from {module} import" in text for module in modules)
        assert why


def test_scan_alone_may_use_the_readers() -> None:
    users = {name for name, room in layers.ROOMS.items() if "sources" in room.rooms}
    assert users == {"scan"}


@pytest.mark.parametrize(
    ("file", "call", "named"),
    [
        ("pipeline/sources/csv/x.py", "os.pread(descriptor, 4, 0)", "os.pread"),
        ("pipeline/publish/x.py", "os.fsync(descriptor)", "os.fsync"),
        ("pipeline/publish/x.py", "stack.callback(os.close, descriptor)", "os.close"),
        ("pipeline/publish/x.py", "from os import unlink", "os.unlink"),
        ("pipeline/models/x.py", "open(path)", "open"),
        ("pipeline/models/x.py", "io.open(path)", "io.open"),
        ("pipeline/models/x.py", "Path(path).open('rb')", "Path(path).open"),
        ("pipeline/models/x.py", "path.open()", "path.open"),
        ("pipeline/models/x.py", "path.open(mode='w')", "path.open"),
        ("pipeline/models/x.py", "draft.replace(path)", "draft.replace"),
        ("pipeline/flow/x.py", "path.stat()", "path.stat"),
        ("pipeline/flow/x.py", "path.unlink(missing_ok=True)", "path.unlink"),
        ("pipeline/verification/x.py", "tempfile.mkdtemp()", "tempfile.mkdtemp"),
        ("jobs/show/x.py", "path.read_text()", "path.read_text"),
        ("jobs/show/x.py", "(folder / 'a').mkdir(parents=True)", "(folder / 'a').mkdir"),
        ("jobs/x.py", "list(folder.glob('*'))", "folder.glob"),
        ("jobs/x.py", "shutil.copytree(one, other)", "shutil.copytree"),
    ],
)
def test_a_file_that_is_touched_elsewhere_is_named(tmp_path: Path, file: str, call: str, named: str) -> None:
    (line,) = _check(tmp_path, file, f"import os\n{call}")
    assert line == f"{file}:2: {named}: pipeline.disk alone touches files"


def test_a_file_outside_every_room_is_named(tmp_path: Path) -> None:
    (line,) = _check(tmp_path, "pipeline/helpers.py", "")
    assert line.startswith("pipeline/helpers.py:1: helpers is no room")


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("pipeline/types/job.py", "import numpy\nif TYPE_CHECKING:\n    import pyarrow as pa"),
        ("pipeline/types/job.py", "if typing.TYPE_CHECKING:\n    import pyarrow as pa"),
        ("pipeline/sinks/csv.py", "import pyarrow as pa\nfrom pipeline import compute as pc"),
        ("pipeline/sources/csv.py", "from . import cut\nfrom pipeline.sources.cut import pieces\nimport pyarrow.csv"),
        ("pipeline/execute/x.py", "def f():\n    from pipeline.execute.cluster.opening import g"),
        ("pipeline/publish/x.py", "if TYPE_CHECKING:\n    from _typeshed import ReadableBuffer"),
        ("pipeline/publish/x.py", "from pipeline.publish.local.lock import locked\nimport pipeline.publish.record"),
        ("pipeline/publish/local/x.py", "import os\nfrom pipeline.publish.layout import examine"),
        ("pipeline/flow/x.py", "from pipeline.publish import MANIFEST\nfrom pipeline import publish"),
        ("pipeline/models/logistic/model.py", "def f():\n    from pipeline.conversion.exporting import export"),
        ("pipeline/conversion/sk.py", "def f():\n    from sklearn.pipeline import Pipeline"),
        ("pipeline/__init__.py", "if TYPE_CHECKING:\n    from pipeline.interface import score"),
        ("pipeline/__init__.py", "from importlib import import_module\ndef f(n):\n    return import_module(n)"),
        ("pipeline/disk/x.py", "import os\nos.fsync(descriptor)\nopen(path)"),
        ("pipeline/memory.py", "from pathlib import Path\nPath('/proc/self/status').read_text()"),
        ("pipeline/execute/child.py", "import os\nos.close(descriptor)"),
        ("jobs/show/console.py", "import os\nos.write(2, text)"),
        ("pipeline/publish/x.py", "Folder.open(path)\nfolder.unlink(name)\nfolder.link(a, b, c)\npath.exists()"),
        ("pipeline/units.py", "text.replace(old, new)\nreplace(value, a=1)\nfile.open(location, path)"),
        ("jobs/logitstream.py", "import os\ndef f():\n    from jobs.cli import main"),
        ("jobs/cli.py", "import click\nimport jobs.options\ndef f():\n    from pipeline import score\n    import rich"),
    ],
)
def test_what_is_allowed_passes(tmp_path: Path, file: str, text: str) -> None:
    assert _check(tmp_path, file, text) == []


def test_the_script_ends_with_1_and_says_where(tmp_path: Path) -> None:
    _check(tmp_path, "pipeline/plan.py", "import dask\n")
    run = subprocess.run([sys.executable, SCRIPT, tmp_path], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert run.stdout == "pipeline/plan.py:1: imports dask: plan may use numpy\n"
