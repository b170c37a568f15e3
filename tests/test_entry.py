"""Where the command starts: it uses the packages that are installed with it, whatever else ``PYTHONPATH`` holds."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.contracts.cluster import start_scheduler, wait_for_workers

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "sample_data"
SCORE = (SAMPLE / "flights.csv", "--model", SAMPLE / "delay_model.json", "--limit", "100", "-q")

SPAWNING = """\
import logitstream
def work():
    import multiprocessing
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(*pool.apply(eval, ["[__import__(name).__file__ for name in ('pipeline', 'jobs')]"]), sep="\\n")
if __name__ == "__main__":
    logitstream.load_packages()
    import click
    from jobs import cli
    cli.LazyGroup.get_command = lambda *_: click.Command("model", callback=work)
    logitstream.main()
"""


def run(*words: object, env: Mapping[str, str], cwd: Path, code: int = 0) -> str:
    command = [str(word) for word in words]
    done = subprocess.run(command, env=dict(env), cwd=cwd, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


def pip(*words: object, python: Path | str = sys.executable) -> None:
    quiet = ("--quiet", "--disable-pip-version-check", "--no-cache-dir")
    # As a user has it, not as this run of the tests was started.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    run(sys.executable, "-m", "pip", "--python", python, *words, *quiet, env=environment, cwd=ROOT)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder into which a wheel of this tree is unpacked, with the command that an installer writes."""
    for tool in ("pip", "hatchling"):
        pytest.importorskip(tool, reason=f"{tool}, which builds the wheel, is not installed")
    folder = tmp_path_factory.mktemp("installed")
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder / "dist", ROOT)
    (wheel,) = (folder / "dist").iterdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "target")
    (folder / "target" / "bin").mkdir()
    command = folder / "target" / "bin" / "logitstream"
    command.write_text(f"#!{sys.executable}\nfrom logitstream import main\nif __name__ == '__main__':\n    main()\n")
    command.chmod(0o755)
    return folder / "target"


@pytest.fixture
def others(tmp_path: Path) -> Path:
    """A folder with packages of the same names that have nothing to do with logitstream."""
    for name in ("jobs", "pipeline"):
        (tmp_path / "others" / name).mkdir(parents=True)
        (tmp_path / "others" / name / "__init__.py").write_text("raise RuntimeError('not logitstream')\n")
    return tmp_path / "others"


@pytest.mark.parametrize("scheduler", ["sync", "threads", "processes"])
@pytest.mark.slow
def test_packages_of_the_same_names_are_not_in_the_way(installed, others, tmp_path, scheduler):
    env = {"PYTHONPATH": f"{others}:{installed}"}
    output = tmp_path / "out"
    run(
        installed / "bin" / "logitstream",
        "score",
        *SCORE,
        "--output",
        output,
        "--scheduler",
        scheduler,
        env=env,
        cwd=tmp_path,
    )
    assert pq.read_table(output).num_rows == 100


@pytest.mark.parametrize("start", [("bin/logitstream",), ("-m", "logitstream")], ids=" ".join)
def test_the_command_uses_what_is_installed_with_it(installed, others, tmp_path, start):
    words = [sys.executable, *(installed / word if "/" in word else word for word in start), "--version"]
    env = {"PYTHONPATH": f"{others}:{installed}", "PYTHONVERBOSE": "1"}
    done = subprocess.run(list(map(str, words)), env=env, cwd=others, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("logitstream ")
    assert f"{installed}/jobs/cli.py" in done.stderr
    assert str(ROOT) not in done.stderr.replace(str(installed), "").replace(sys.prefix, "")


def test_processes_that_python_spawns_use_it_too(installed, others, tmp_path):
    script = tmp_path / "bin" / "logitstream"
    script.parent.mkdir()
    script.write_text(SPAWNING)
    env = {"PYTHONPATH": f"{others}:{installed}"}
    found = run(sys.executable, script, "model", env=env, cwd=tmp_path)
    assert found.splitlines() == [f"{installed}/pipeline/__init__.py", f"{installed}/jobs/__init__.py"]


def test_a_package_that_was_imported_before_gives_way(installed, others, tmp_path):
    (others / "jobs" / "__init__.py").write_text("")
    (others / "jobs" / "cli.py").write_text("raise RuntimeError('not logitstream')\n")
    code = "import jobs, logitstream; logitstream.main()"
    env = {"PYTHONPATH": f"{others}:{installed}"}
    assert run(sys.executable, "-c", code, "--version", env=env, cwd=tmp_path).startswith("logitstream ")


def test_python_is_told_what_to_import(installed, others, tmp_path):
    code = "import logitstream, sys; assert 'jobs' not in sys.modules; logitstream.score"
    env = {"PYTHONPATH": f"{others}:{installed}"}
    told = run(sys.executable, "-c", code, env=env, cwd=tmp_path, code=1).splitlines()[-1]
    assert told == (
        "AttributeError: module 'logitstream' has no attribute 'score': write import pipeline as logitstream"
    )


def test_programs_that_look_for_an_attribute_still_get_an_answer(tmp_path):
    env = {"PYTHONPATH": str(ROOT / "jobs")}
    asked = "import logitstream; print(hasattr(logitstream, 'score'), getattr(logitstream, 'dask_teardown', None))"
    assert run(sys.executable, "-c", asked, env=env, cwd=tmp_path).split() == ["False", "None"]


def test_an_installation_without_its_packages_says_so(tmp_path):
    (tmp_path / "logitstream.py").write_text((ROOT / "jobs" / "logitstream.py").read_text())
    told = run(sys.executable, "-S", "-m", "logitstream", env={}, cwd=tmp_path, code=78)
    assert told == f"error: the packages pipeline and jobs are not in {str(tmp_path)!r}\ninstall logitstream again\n"


@pytest.mark.parametrize("module", ["jobs.cli", "jobs.logitstream"])
def test_modules_of_a_checkout_run_as_the_command(tmp_path, module):
    env = {"PYTHONPATH": str(ROOT)}
    assert run(sys.executable, "-m", module, "--version", env=env, cwd=tmp_path).startswith("logitstream ")


@pytest.mark.slow
def test_dask_workers_that_preload_the_command_use_it_too(installed, others, tmp_path):
    env = {"PYTHONPATH": f"{others}:{installed}"}
    preload = {"DASK_DISTRIBUTED__SCHEDULER__PRELOAD": "['logitstream']"}
    output = tmp_path / "out"
    with (
        start_scheduler(tmp_path, env | preload) as cluster,
        cluster.worker("--preload", "logitstream", environment=env),
    ):
        wait_for_workers(cluster, 1)
        words = ("score", *SCORE, "--output", output, "--scheduler", cluster.address)
        run(installed / "bin" / "logitstream", *words, env=env, cwd=tmp_path)
    assert pq.read_table(output).num_rows == 100


@pytest.mark.slow
@pytest.mark.parametrize("scheduler", ["threads", "processes"])
def test_an_editable_installation_uses_the_checkout(others, tmp_path, scheduler):
    pytest.importorskip("editables", reason="editables, which an editable installation needs, is not installed")
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv", env=os.environ, cwd=tmp_path)
    (packages,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    pip("install", "--no-build-isolation", "--no-deps", "--editable", ROOT, python=tmp_path / "venv" / "bin" / "python")
    command, output = tmp_path / "venv" / "bin" / "logitstream", tmp_path / "out"
    words = ("score", *SCORE, "--output", output, "--scheduler", scheduler)
    run(command, *words, env={"PYTHONPATH": str(others)}, cwd=tmp_path)
    assert pq.read_table(output).num_rows == 100
    found = run(tmp_path / "venv" / "bin" / "python", "-c", "import jobs; print(jobs.__file__)", env={}, cwd=tmp_path)
    assert found == f"{ROOT}/jobs/__init__.py\n"
