"""How a run ends that is told to: by a signal, by a second one, by its deadline, with chunks that end or do not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

import pipeline
from jobs.stopping import Deadline, Terminated, stoppable
from pipeline.errors import TemporaryError
from pipeline.flow import Stop

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "sample_data"
AGAIN = "run the same command again: finished chunks are not computed again"
TERM, INT = signal.SIGTERM, signal.SIGINT
BY = {TERM: "stopped by a request to end (SIGTERM)", INT: "stopped by an interrupt (SIGINT)"}
CODES = {TERM: 143, INT: 130}
# What one signal shows of what is the same for both: the other takes its turn with the slow tests.
EITHER = [TERM, pytest.param(INT, marks=pytest.mark.slow)]

# The door and the handlers as they are, around a run whose one chunk takes as long as the test wants.
PROGRAM = r"""
import importlib.util, os, sys, threading, time
import click
from jobs import cli, stopping
from pipeline.errors import TemporaryError

stopping._PATIENCE_SECONDS = 0.3
AGAIN = "run the same command again: finished chunks are not computed again"
what, stop_file, grace, deadline = sys.argv[1:]
spec = importlib.util.spec_from_file_location("stop", stop_file)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
stop = module.Stop()

def ready():
    # Past sys.stdout, which a bar takes in.
    os.write(1, b"ready\n")

def run(work_begins):
    if what == "plans":
        ready()
        time.sleep(60)
    work_begins()
    chunk = threading.Thread(target=time.sleep, args=[60 if what in ("hangs", "clings") else 0.6])
    chunk.start()
    ready()
    try:
        while stop.error is None and what != "ends":
            time.sleep(0.01)
        chunk.join()
    finally:
        if what == "clings":
            time.sleep(60)
    if what not in ("ends", "ends all the same"):
        print("drained", flush=True)
        raise stop.error

@click.command("model")
def command():
    late = stopping.Deadline(float(deadline), TemporaryError("it is late", "come again")) if deadline else None
    if sys.stderr.isatty():
        from jobs.show import bar
        from jobs.show.pace import Pace
        from tests.jobs.show.test_progress import PLAN
        bar.Bar().start(Pace(PLAN, time.monotonic()))
    with stopping.stoppable(stop, grace=float(grace), deadline=late, again=AGAIN) as work_begins:
        run(work_begins)

cli.LazyGroup.get_command = lambda *_: command
cli.main(["model"])
"""


def command(what: str, grace: float = 25, deadline: float | str = "") -> list[str]:
    stop = str(ROOT / "pipeline" / "scan" / "stop.py")
    return [sys.executable, "-c", PROGRAM, what, stop, str(grace), str(deadline)]


@contextmanager
def started(what: str, **limits: float) -> Iterator[subprocess.Popen[str]]:
    """Give a process whose chunk is under way."""
    with subprocess.Popen(
        command(what, **limits),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"PYTHONPATH": str(ROOT)},
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()
            process.wait(30)


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    return process.stderr.readline()


@pytest.mark.parametrize("number", [TERM, INT])
def test_the_first_signal_lets_chunks_under_way_end(number):
    with started("drains") as process:
        process.send_signal(number)
        code, out, err = ended(process)
    assert (code, out) == (CODES[number], "drained\n")
    assert err == (
        f"stopping: chunks under way have 25 s to finish; a second signal stops at once\nerror: {BY[number]}\n{AGAIN}\n"
    )


@pytest.mark.parametrize(("first", "second"), [(TERM, TERM), (INT, TERM)])
def test_a_second_signal_ends_the_process_as_that_signal_does(first, second):
    with started("hangs") as process:
        process.send_signal(first)
        assert first_line(process).startswith("stopping: ")
        time.sleep(0.4)
        process.send_signal(second)
        code, out, err = ended(process)
    assert (code, out, err) == (-second, "", "")


def test_a_signal_to_the_process_and_to_its_group_is_one_request():
    with started("drains") as process:
        process.send_signal(TERM)
        assert first_line(process).startswith("stopping: ")
        process.send_signal(TERM)
        code, out, _ = ended(process)
    assert (code, out) == (143, "drained\n")


@pytest.mark.parametrize("number", EITHER)
def test_what_does_not_end_within_the_grace_is_given_up(number):
    with started("hangs", grace=0.2) as process:
        process.send_signal(number)
        code, out, err = ended(process)
    assert (code, out) == (CODES[number], "")
    assert err.splitlines() == [
        "stopping: chunks under way have 0.2 s to finish; a second signal stops at once",
        f"error: {BY[number]}; unfinished chunks were given up",
        AGAIN,
    ]


def test_what_does_not_let_go_even_then_is_not_waited_for():
    with started("clings", grace=0.2) as process:
        process.send_signal(TERM)
        code, _, err = ended(process)
    assert code == 143
    assert err.splitlines()[-1] == "error: stopped while something was still blocking"


def test_the_deadline_stops_a_run_in_good_order():
    with started("drains", deadline=0.3) as process:
        code, out, err = ended(process)
    assert (code, out) == (75, "drained\n")
    assert err == (
        "stopping: it is late; chunks under way have 25 s to finish; a second signal stops at once\n"
        "error: it is late\ncome again\n"
    )


def test_behind_the_deadline_the_grace_holds():
    with started("hangs", deadline=0.3, grace=0.2) as process:
        code, _, err = ended(process)
    assert code == 75
    assert "error: it is late; unfinished chunks were given up" in err


def test_a_run_that_is_done_in_time_knows_no_deadline():
    with started("ends", deadline=30) as process:
        code, _, err = ended(process)
    assert code == 0
    assert "stop" not in err


def test_a_run_that_ends_well_all_the_same_has_ended_well():
    with started("ends all the same") as process:
        process.send_signal(TERM)
        code, _, err = ended(process)
    assert code == 0
    assert err.splitlines() == ["stopping: chunks under way have 25 s to finish; a second signal stops at once"]


@pytest.mark.parametrize("number", EITHER)
def test_before_work_begins_a_signal_ends_the_run_at_once(number):
    with started("plans") as process:
        process.send_signal(number)
        code, _, err = ended(process)
    assert (code, err) == (CODES[number], f"error: {BY[number]}\n{AGAIN}\n")


@pytest.mark.parametrize("number", EITHER)
def test_a_signal_that_the_parent_ignores_stops_nothing(number):
    script = f"trap '' {number.value}; \"$@\" & child=$!; read line; kill -{number.value} $child; wait $child"
    with subprocess.Popen(
        ["/bin/sh", "-c", script, "sh", *command("ends")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"PYTHONPATH": str(ROOT)},
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        _, err = process.communicate("go\n", timeout=30)
    assert process.returncode == 0
    assert "stop" not in err


def test_the_terminal_has_its_cursor_though_a_second_interrupt_ends_the_run():
    main, other = os.openpty()
    environment = {"PYTHONPATH": str(ROOT), "TERM": "xterm"}
    with subprocess.Popen(
        command("hangs"), stdout=subprocess.PIPE, stderr=other, env=environment, text=True
    ) as process:
        os.close(other)
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            process.send_signal(INT)
            time.sleep(0.6)
            process.send_signal(INT)
            assert process.wait(30) == -INT
        finally:
            process.kill()
    text = _all_of(main)
    assert b"\x1b[?25l" in text
    assert text.rindex(b"\x1b[?25h") > text.rindex(b"\x1b[?25l")
    assert b"\r\x1b[2K\x1b[?25hstopping: chunks under way have 25 s to finish" in text


def _all_of(terminal: int) -> bytes:
    text = b""
    try:
        while block := os.read(terminal, 65_536):
            text += block
    except OSError:
        pass  # The terminal is gone with the process.
    finally:
        os.close(terminal)
    return text


def test_behind_a_run_signals_mean_what_they_meant_before():
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)
    before = [signal.getsignal(number) for number in numbers]
    late = Deadline(60, TemporaryError("late"))
    with stoppable(Stop(), grace=1, deadline=late, again=AGAIN) as work_begins:
        work_begins()
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 0
        assert [signal.getsignal(number) for number in numbers] != before
    assert [signal.getsignal(number) for number in numbers] == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_the_first_request_counts(capfd):
    stop = Stop()
    with stoppable(stop, grace=60, deadline=None, again=AGAIN) as work_begins:
        work_begins()
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
    assert isinstance(stop.error, Terminated)
    assert capfd.readouterr().err.count("stopping: ") == 1


def test_a_signal_before_work_begins_is_heard_though_python_drops_what_its_handler_raises(monkeypatch):
    dropped = []
    monkeypatch.setattr(sys, "unraisablehook", lambda what: dropped.append(what.exc_type))
    stop = Stop()
    with stoppable(stop, grace=60, deadline=None, again=AGAIN):
        leaving = Stop()
        watch = weakref.ref(leaving, lambda _: signal.raise_signal(signal.SIGTERM))
        del leaving
    assert watch() is None
    assert dropped == [Terminated]
    assert isinstance(stop.error, Terminated)


def test_in_another_thread_signals_are_left_alone():
    before = signal.getsignal(signal.SIGTERM)

    def run() -> None:
        with stoppable(Stop(), grace=1, deadline=Deadline(60, TemporaryError("late")), again="") as work_begins:
            work_begins()
            assert signal.getsignal(signal.SIGTERM) is before

    with ThreadPoolExecutor(1) as pool:
        pool.submit(run).result()


@pytest.mark.parametrize("call", ["score", "transform"])
def test_python_has_a_deadline_too(tmp_path, call):
    what = SAMPLE / "delay_model.json" if call == "score" else "p=sigmoid(distance)"
    with pytest.raises(TemporaryError) as late:
        getattr(pipeline, call)(SAMPLE / "flights", what, tmp_path / "out", deadline=0.001)
    assert late.value.message == "stopped by its deadline of 0.00 s"
    assert not (tmp_path / "out").exists()
