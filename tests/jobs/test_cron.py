"""Runs from cron: no environment, odd folders, and other users who can write there."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "sample_data"
PLAN = (SAMPLE / "flights", "--model", SAMPLE / "delay_model.json", "--output")
SCRIPT = "from jobs.logitstream import main\nif __name__ == '__main__':\n    main()\n"


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """A folder with modules that nobody wants to run."""
    folder = tmp_path / "writable"
    folder.mkdir()
    for name in ("numpy", "pyarrow", "click", "dask", "pydantic", "rich", "psutil", "json", "pickle", "pipeline"):
        (folder / f"{name}.py").write_text("raise SystemExit('planted')\n")
    return folder


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """The command as an installation writes it."""
    path = tmp_path / "bin" / "logitstream"
    path.parent.mkdir()
    path.write_text(SCRIPT)
    return path


def test_the_command_runs_nothing_that_is_planted_where_it_is_started(process, planted, script, tmp_path):
    (planted / "jobs.py").write_text("raise SystemExit('planted')\n")
    outcome = process("plan", *PLAN, tmp_path / "out", start=(script,), cwd=planted)
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith("inputs      4 files")


def test_a_module_of_an_installation_runs_nothing_that_is_planted_either(process, planted, tmp_path):
    outcome = process(*PLAN, tmp_path / "out", start=("-m", "jobs.commands.plan"), cwd=planted)
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith("inputs      4 files")


def test_worker_processes_do_not_look_there_either(process, planted, script):
    code = (
        "import sys\nfrom jobs import cli\nimport click, multiprocessing, operator\n"
        "def work():\n"
        "    with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
        '        print(pool.apply(eval, [\'[__import__("sys").path, __import__("json").__file__]\']))\n'
        "if __name__ == '__main__':\n"
        "    cli.LazyGroup.get_command = lambda *_: click.Command('model', callback=work)\n"
        "    cli.main(['model'])\n"
    )
    script.write_text(code)
    outcome = process(start=(script,), cwd=planted)
    assert outcome.code == 0, outcome.err
    assert str(planted) not in outcome.out
    assert "json/__init__.py" in outcome.out


def test_a_checkout_that_is_run_in_place_goes_on_working(process, tmp_path):
    outcome = process(*PLAN, tmp_path / "out", start=("-m", "jobs.commands.plan"), cwd=ROOT, env={"PYTHONPATH": ""})
    assert outcome.code == 0, outcome.err


def test_an_entry_that_the_user_has_written_stays(process, planted):
    (planted / "mine.py").write_text("")
    code = "import sys; import jobs, mine; print(mine.__file__)"
    outcome = process(start=("-P", "-c", code), cwd=planted, env={"PYTHONPATH": f"{ROOT}:{planted}"})
    assert (outcome.code, outcome.out) == (0, f"{planted}/mine.py\n")


@pytest.mark.parametrize("mask", [0o000, 0o777])
def test_any_umask(process, tmp_path, mask):
    before = sorted(tmp_path.iterdir())
    words = ("score", *PLAN, tmp_path / "out", "--keep", "flight_id", "--limit", "10", "-q")
    outcome = process(*words, preexec_fn=lambda: os.umask(mask))
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")
    state = tmp_path / ".out.logitstream"
    assert sorted(tmp_path.iterdir()) == [*before, state, tmp_path / "out"]
    assert state.stat().st_mode & 0o777 == 0o700
    assert all(path.stat().st_mode & 0o777 == 0o666 & ~mask for path in (tmp_path / "out").iterdir())


@pytest.mark.parametrize("folder", ["gone", "unreadable"])
def test_a_current_folder_that_is_gone_or_may_not_be_read(script, tmp_path, folder):
    place = tmp_path / folder
    place.mkdir()
    last = 'rmdir "$PWD"' if folder == "gone" else 'chmod 000 "$PWD"'
    done = subprocess.run(
        ["/bin/sh", "-c", f'{last}; exec "$0" "$@"', sys.executable, script, "plan", *PLAN, tmp_path / "out"],
        cwd=place,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("inputs      4 files")


def test_no_home_no_locale_and_no_streams_at_all(script, tmp_path):
    words = ["score", *PLAN, str(tmp_path / "out"), "--limit", "10"]
    done = subprocess.run(
        ["/usr/bin/env", "-i", f"PYTHONPATH={ROOT}", "/bin/sh", "-c", 'exec "$0" "$@" <&- >&- 2>&-', sys.executable]
        + [str(word) for word in (script, *words)],
        cwd="/",
        check=False,
        timeout=60,
    )
    assert done.returncode == 0
    assert (tmp_path / "out" / "_manifest.json").exists()


def test_a_crash_leaves_no_core_behind(process):
    code = (
        "import click, resource\nfrom jobs import cli\n"
        "show = lambda: print(resource.getrlimit(resource.RLIMIT_CORE)[0])\n"
        "cli.LazyGroup.get_command = lambda *_: click.Command('model', callback=show)\ncli.main(['model'])"
    )
    limit = resource.getrlimit(resource.RLIMIT_CORE)[1]
    outcome = process(start=("-c", code), preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (limit, limit)))
    assert (outcome.code, outcome.out) == (0, "0\n")


NAUGHTY = "a\x1b[31m\r\nerror: forged\x9b\u202e\x07"


def _harmless(*texts: str) -> None:
    for text in texts:
        assert all(c.isprintable() or c == "\n" for c in text), text
        assert not any(line.startswith("error: forged") for line in text.splitlines()), text


@pytest.mark.parametrize(
    "words",
    [
        ("plan", NAUGHTY, "--model", "m.json", "--output", "o"),
        ("plan", "in.csv", "--model", NAUGHTY, "--output", "o"),
        ("plan", "in.csv", "--model", "m.json", "--output", f"{NAUGHTY}/o"),
        ("plan", "in.csv", "--model", "m.json", "--output", "o", "--keep", NAUGHTY),
        ("plan", "in.csv", "--model", "m.json", "--output", "o", "--config", NAUGHTY),
        ("transform", "in.csv", "--apply", NAUGHTY, "--output", "o"),
        ("transform", "in.csv", "--apply", f'"{NAUGHTY}"=sigmoid(y)', "--output", "o"),
        ("model", "check", NAUGHTY),
        ("demo", NAUGHTY),
        ("score", f"--{NAUGHTY}"),
        (NAUGHTY,),
    ],
    ids=lambda words: " ".join(words).split("\r")[0][:40],
)
def test_what_is_typed_cannot_act_on_a_terminal_or_forge_a_line(cli, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    shutil.copy(SAMPLE / "delay_model.json", "m.json")
    Path("in.csv").write_text("x\n1\n")
    outcome = cli(*words)
    assert outcome.code != 0
    _harmless(outcome.out, outcome.err)


def test_what_files_and_columns_are_called_cannot_either(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = NAUGHTY.replace("/", "")
    quoted = name.replace('"', '""')
    Path(f"{name}.csv").write_text(f'x,"{quoted}"\n1,2\n', newline="")
    words = ("--apply", "p=sigmoid(x)", "--keep", "*", "--output", "o", "--dry-run", "-v")
    plan = cli("transform", f"{name}.csv", *words)
    assert plan.code == 0, plan.err
    _harmless(plan.out, plan.err)
    assert "\\x1b[31m" in plan.out
