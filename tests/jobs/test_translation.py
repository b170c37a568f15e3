"""Errors become messages and exit codes at one door, and the standard streams cannot hurt."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from jobs import cli as door
from jobs import stopping
from pipeline import errors

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def raising(monkeypatch, cli):
    """Run a command that raises what is given."""

    def call(error: BaseException):
        @click.command("model")
        def command() -> None:
            raise error

        monkeypatch.setattr(door.LazyGroup, "get_command", lambda *_: command)
        return cli("model")

    return call


CODES = {
    errors.LogitstreamError: 1, errors.UsageError: 2, errors.DataError: 65, errors.ModelError: 65,
    errors.SchemaError: 65, errors.BadCellsError: 65, errors.InputChangedError: 65, errors.InputMissingError: 66,
    errors.FunctionError: 65,
    errors.UnavailableError: 69, errors.BalanceError: 70, errors.MemoryBudgetError: 71, errors.OutputError: 73,
    errors.NewerOutputError: 73, errors.StorageError: 74, errors.TransientError: 74, errors.TemporaryError: 75,
    errors.PermissionDeniedError: 77, errors.ConfigurationError: 78, errors.ThresholdError: 3,
}  # fmt: skip


@pytest.mark.parametrize("kind", CODES, ids=lambda kind: kind.__name__)
def test_every_error_has_its_code_and_its_remedy_on_a_line_of_its_own(raising, kind):
    outcome = raising(kind("it is wrong", "mend it"))
    assert (outcome.code, outcome.out, outcome.err) == (CODES[kind], "", "error: it is wrong\nmend it\n")


def test_no_error_class_is_forgotten():
    def below(kind: type) -> set[type]:
        return {kind}.union(*(below(child) for child in kind.__subclasses__()))

    assert {kind for kind in below(errors.LogitstreamError) if kind.__module__ == "pipeline.errors"} == set(CODES)


def test_an_error_without_a_remedy_is_one_line(raising):
    assert raising(errors.DataError("it is wrong")).err == "error: it is wrong\n"


def test_lines_stay_lines_and_control_characters_do_not(raising):
    outcome = raising(errors.ModelError("two faults\n  a\x1b[2Jb\n  \udcff", "mend\tthem"))
    assert outcome.err == "error: two faults\n  a\\x1b[2Jb\n  \\udcff\nmend\\tthem\n"


def _of_secret_cells() -> BaseException:
    try:
        try:
            float("secret\x1b one")
        except ValueError as error:
            raise ZeroDivisionError("secret two") from error
    except ZeroDivisionError as error:
        return error


def test_anything_else_is_a_bug_with_a_traceback_that_holds_no_cells(raising):
    outcome = raising(_of_secret_cells())
    assert outcome.code == 1
    assert outcome.err.startswith("Traceback (most recent call last):\n")
    assert "builtins.ValueError (its text is not shown: it may quote your data)\n" in outcome.err
    assert outcome.err.count("test_translation.py") == 3
    assert outcome.err.count("in _of_secret_cells") == 2
    assert "\nerror: this is a bug in logitstream: ZeroDivisionError\n" in outcome.err
    values = outcome.err.replace('float("secret\\x1b one")', "").replace('ZeroDivisionError("secret two")', "")
    assert "secret one" not in values
    assert ": secret" not in values
    assert "\x1b" not in outcome.err


@pytest.mark.parametrize(
    ("error", "code", "signal_name"),
    [(KeyboardInterrupt(), 130, "SIGINT"), (click.Abort(), 130, "SIGINT"), (stopping.Terminated(), 143, "SIGTERM")],
)
def test_a_signal_has_its_code_and_no_traceback(raising, error, code, signal_name):
    outcome = raising(error)
    assert outcome.code == code
    by = {"SIGINT": "an interrupt", "SIGTERM": "a request to end"}[signal_name]
    assert outcome.err == f"error: stopped by {by} ({signal_name})\n"


def _refused(number: int, name: str | None = None) -> OSError:
    return OSError(number, os.strerror(number), *(() if name is None else (name,)))


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (_refused(errno.EACCES, "/a\x1b"), 77, "/a\\x1b: Permission denied"),
        (_refused(errno.EPERM), 77, "Operation not permitted"),
        (_refused(errno.EIO, "/a"), 74, "/a: Input/output error"),
        (_refused(errno.ENOSPC), 74, "No space left on device"),
        (_refused(errno.ENOENT, "/a"), 74, "/a: No such file or directory"),
        (TimeoutError(), 74, "TimeoutError"),
    ],
)
def test_what_the_system_refuses_is_no_bug(raising, error, code, message):
    outcome = raising(error)
    assert (outcome.code, outcome.err) == (code, f"error: {message}\n")


def test_a_working_folder_that_is_gone_is_said(raising, tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    outcome = raising(_refused(errno.ENOENT))
    assert (outcome.code, outcome.err) == (73, "error: the working folder no longer exists\ngive absolute paths\n")


WAITING = """
import sys, time
import click
from jobs import cli
@click.command("model")
def command():
    try:
        print("ready", flush=True)
        # In short sleeps: a signal that comes just before one begins is seen when it ends.
        for _ in range(600):
            time.sleep(0.1)
    finally:
        print("tidied", flush=True)
cli.LazyGroup.get_command = lambda *_: command
cli.main(["model"])
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_real_signal_ends_a_real_process_in_good_order(number, code):
    with subprocess.Popen(
        [sys.executable, "-c", WAITING],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"PYTHONPATH": str(ROOT)},
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert out == "tidied\n"
    assert err.startswith("error: stopped by ")


def test_a_signal_that_the_parent_ignores_stays_ignored(monkeypatch):
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with door._terminable():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


def test_elsewhere_than_on_linux_it_says_so(monkeypatch, capsys):
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setenv("PYTHONSAFEPATH", "")
    with pytest.raises(SystemExit) as ended:
        door.main(["--version"])
    assert ended.value.code == 78
    assert capsys.readouterr().err == "error: logitstream runs on Linux; this is darwin\nrun it in a Linux container\n"


@pytest.mark.parametrize(
    "locale", [{}, {"LC_ALL": "C"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}]
)
def test_it_runs_with_an_empty_environment_and_the_locale_of_cron(process, locale):
    outcome = process("score", "--h\u00e9lp", env=locale)
    assert outcome.code == 2
    assert outcome.err.startswith("error: no such option '--h")
    assert process("score", "--help", env=locale).code == 0


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_a_closed_stream_is_the_null_device(closed, tmp_path):
    code = (
        "import os, sys\nfrom jobs.show import console\nconsole.open_closed_streams()\n"
        "descriptor = os.open('data', os.O_CREAT | os.O_WRONLY)\n"
        "console.emit('result')\nconsole.tell('message')\nsys.stdin.read()\n"
        "os.write(descriptor, str(descriptor).encode())"
    )
    redirections = " ".join(f"{descriptor}{'<' if descriptor == 0 else '>'}&-" for descriptor in closed)
    done = subprocess.run(
        ["/bin/sh", "-c", f'exec "$0" -c "$1" {redirections}', sys.executable, code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        stdin=subprocess.DEVNULL,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert int((tmp_path / "data").read_text()) > 2
    assert done.stdout == (b"" if 1 in closed else b"result\n")
    assert done.stderr == (b"" if 2 in closed else b"message\n")


@pytest.mark.parametrize("words", [("--help",), ("score",)])
def test_all_streams_closed_does_not_change_the_exit_code(words, tmp_path):
    code = "from jobs.cli import main; main()"
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$0" -c "$@" <&- >&- 2>&-', sys.executable, code, *words],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        check=False,
        timeout=60,
    )
    assert done.returncode == (0 if words == ("--help",) else 2)


def run_into(stdout: int, code: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(ROOT)},
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stderr


def emitting(text: str) -> str:
    return (
        "import click\nfrom jobs import cli\nfrom jobs.show import console\n"
        f"command = click.Command('model', callback=lambda: console.emit({text!r}))\n"
        "cli.LazyGroup.get_command = lambda *_: command\ncli.main(['model'])"
    )


def test_a_reader_that_has_gone_away_is_no_error():
    read, write = os.pipe()
    os.close(read)
    try:
        assert run_into(write, emitting("x")) == (0, "")
        assert run_into(write, "from jobs.cli import main; main(['--help'])") == (0, "")
    finally:
        os.close(write)


def test_a_full_disk_under_stdout_is_an_error():
    _full_disk(emitting("x"))


@pytest.mark.parametrize("words", [["--help"], ["score", "-h"], ["--version"]])
def test_a_full_disk_under_the_help_is_an_error(words):
    _full_disk(f"from jobs.cli import main; main({words})")


def _full_disk(program: str) -> None:
    with Path("/dev/full").open("w") as full:
        code, err = run_into(full.fileno(), program)
    assert code == 74
    assert err == "error: standard output cannot be written: No space left on device\n"


def test_a_message_that_nobody_can_read_is_lost_and_nothing_else(tmp_path):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", "from jobs.cli import main; main()", "score"],
            env={"PYTHONPATH": str(ROOT)},
            stderr=full,
            check=False,
            timeout=60,
        )
    assert done.returncode == 2


def test_the_command_does_not_import_from_the_current_folder(tmp_path):
    (tmp_path / "json.py").write_text("raise SystemExit('planted')")
    (tmp_path / "click.py").write_text("raise SystemExit('planted')")
    script = tmp_path / "bin" / "logitstream"
    script.parent.mkdir()
    script.write_text("from jobs.logitstream import main\nif __name__ == '__main__':\n    main()\n")
    done = subprocess.run(
        [sys.executable, script, "model", "check", "none.json"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 66, done.stderr
    assert "planted" not in done.stderr
