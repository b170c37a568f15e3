"""What a person sees of a run, on a terminal and elsewhere."""

from __future__ import annotations

import io
import os
import pty
import re
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from jobs.show import bar, progress
from jobs.show.console import Forgiving
from jobs.show.displays import Log
from jobs.show.pace import Pace
from pipeline.types.report import Noted, Planned, PlanSummary, Progressed, Resources, Totals
from pipeline.units import MIB

PLAN = PlanSummary(
    job_id="ab" * 32, output="scores", files=(), rows=1_000, rows_estimated=False, bytes_to_read=8 * MIB, chunks=4,
    chunk_rows=250, row_group_rows=250, fields=(), resources=Resources(1, 250, 64, MIB, MIB, MIB, ("batch lowered",)),
    scheduler="threads", notes=("no input columns are kept",),
)  # fmt: skip
HALF = Progressed(Totals(chunks=2, read=500, written=500, scored=500), 4 * MIB)


def test_rows_are_the_measure_where_their_number_is_known():
    pace = Pace(PLAN, began=100.0).moved(HALF)
    assert pace.fraction == 0.5
    assert pace.line(105.0, 300 * MIB) == "500 of 1,000 rows (50%), 100 rows/s, 5 s left, memory 300 MiB"


def test_bytes_are_the_measure_where_only_they_are_known():
    pace = Pace(replace(PLAN, rows_estimated=True, rows=900), began=100.0).moved(HALF)
    assert pace.line(104.0, 300 * MIB) == "500 of ~900 rows (50%), 1 MiB/s, 4 s left, memory 300 MiB"


def test_rows_of_chunks_under_way_count():
    under_way = Progressed(Totals(chunks=2, read=500), 5 * MIB, rows_under_way=125)
    assert Pace(PLAN, began=100.0).moved(under_way).fraction == 0.625
    assert Pace(replace(PLAN, rows_estimated=True), began=100.0).moved(under_way).fraction == 0.625


def test_before_the_first_chunk_nothing_is_guessed():
    assert Pace(PLAN, began=100.0).line(100.0, MIB) == "0 of 1,000 rows (0%), memory 1 MiB"


def test_nothing_to_read_and_more_than_expected_are_no_errors():
    assert Pace(replace(PLAN, rows=0), began=0.0).fraction == 0
    assert Pace(replace(PLAN, rows=10), began=0.0).moved(HALF).fraction == 1
    assert "left" not in Pace(replace(PLAN, rows=10), began=0.0).moved(HALF).line(1.0, MIB)


def test_a_line_is_written_at_each_interval_whether_or_not_a_chunk_was_done(capsys):
    log = Log(interval=0.02)
    log.start(Pace(PLAN, time.monotonic()))
    log.start(Pace(PLAN, time.monotonic()))
    time.sleep(0.1)
    log.move(Pace(PLAN, time.monotonic()).moved(HALF))
    time.sleep(0.1)
    log.stop()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) >= 2
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ 0 of 1,000 rows \(0%\), memory .*", lines[0])
    assert " 500 of 1,000 rows (50%)" in lines[-1]


def test_a_short_run_has_no_log_line(capsys):
    with progress.observer("log") as watch:
        watch(Planned(PLAN))
        watch(HALF)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("verbose", [False, True])
def test_what_was_said_is_not_said_again(capsys, verbose):
    with progress.observer("none", verbose=verbose) as watch:
        for _ in range(2):
            watch(Planned(PLAN))
            watch(Noted(PLAN.notes[0], warning=False))
    assert capsys.readouterr().err.count("no input columns") == 1


def test_warnings_and_notes_are_told_and_escaped(capsys):
    with progress.observer("none") as watch:
        watch(Noted("a file \x1b[2J was skipped"))
        watch(Noted("so be it", warning=False))
    assert capsys.readouterr().err == "warning: a file \\x1b[2J was skipped\nnote: so be it\n"


def test_quiet_is_silent(capsys):
    with progress.observer("bar", quiet=True) as watch:
        watch(Planned(PLAN))
        watch(Noted("anything"))
        watch(HALF)
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""


def test_verbose_shows_the_plan_and_the_inputs(capsys):
    shown = []
    with progress.observer("none", verbose=True, show_files=shown.append) as watch:
        watch(Planned(PLAN))
    assert shown == [PLAN]
    assert "chunks      4, chunk size 250 rows" in capsys.readouterr().err


def test_the_display_ends_when_the_run_fails(capsys):
    def fail() -> None:
        with progress.observer("log") as watch:
            watch(Planned(PLAN))
            watch(Noted("under way"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert capsys.readouterr().err == "warning: under way\n"


def test_elsewhere_than_on_a_terminal_auto_is_the_log(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert isinstance(progress.display_for("auto"), Log)


@pytest.mark.parametrize(("terminal", "kind"), [("xterm", bar.Bar), ("dumb", Log)])
def test_on_a_terminal_auto_is_a_bar_if_the_terminal_can_draw(monkeypatch, terminal, kind):
    main, other = pty.openpty()
    monkeypatch.setenv("TERM", terminal)
    with os.fdopen(main, "rb", closefd=True), os.fdopen(other, "w", closefd=True) as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        assert type(progress.display_for("auto")) is kind


def test_the_bar_shows_rows_rate_and_memory_and_vanishes(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("TERM", "xterm")
    with progress.observer("bar") as watch:
        watch(Planned(PLAN))
        watch(HALF)
        watch(Noted("look [bold]here[/bold]"))
        time.sleep(0.3)
    text = stream.getvalue()
    assert "500 of 1,000 rows" in text
    assert " 50 %" in text
    assert "memory" in text
    assert "warning: look [bold]here[/bold]" in text
    assert text.rstrip("\n").endswith(("\x1b[2K", "\x1b[?25h")) or "\x1b[2K" in text


LARGE = replace(PLAN, rows=1_234_567_890, bytes_to_read=100_000 * MIB, chunks=1_200)
FAR = Progressed(Totals(chunks=11, read=12_345_678), 1_000 * MIB, rows_under_way=456_789)


@pytest.mark.parametrize("estimated", [False, True])
@pytest.mark.parametrize("seconds", [9, 90, 9_000])
def test_the_bar_shows_percentage_rows_rate_and_time_left_in_70_columns(monkeypatch, estimated, seconds):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("COLUMNS", "70")
    monkeypatch.setenv("TERM", "xterm")
    display = bar.Bar()
    pace = Pace(replace(LARGE, rows_estimated=estimated), time.monotonic() - seconds)
    display.start(pace)
    display.move(pace.moved(FAR))
    display.stop()
    lines = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line).strip() for line in re.split(r"[\r\n]", stream.getvalue())]
    drawn = next(line for line in lines if "left" in line)
    assert max(map(len, lines)) <= 70
    assert drawn.index(" 1 %") <= 12
    assert re.search(r" 1 % 12\.8M of ~?1\.23G rows, [\d.,]+[kM]? (rows|[KM]iB)/s, [^…]+ left$", drawn)


@pytest.mark.parametrize(
    ("width", "figures"),
    [
        (70, "500 of 1,000 rows, 100 rows/s, 5 s left, memory 300 MiB"),
        (50, "500 of 1,000 rows, 100 rows/s, 5 s left"),
        (30, "500 of 1k rows, 100 rows/s, 5 s left"),
    ],
)
def test_what_does_not_fit_is_left_out_or_shortened(width, figures):
    assert Pace(PLAN, began=100.0).moved(HALF).figures(105.0, 300 * MIB, width) == figures


@pytest.mark.parametrize(
    ("rows", "shown"),
    [(999, "999"), (1_000, "1k"), (12_345, "12.3k"), (999_499, "999k"), (999_500, "1M"), (10**10, "10G")],
)
def test_counts_are_shortened_to_three_digits(rows, shown):
    assert Pace(replace(PLAN, rows=rows), began=0.0).figures(0.0, MIB, 0) == f"0 of {shown} rows"


def test_a_stream_that_breaks_does_not_end_the_run(monkeypatch):
    with Path("/dev/full").open("w") as full:
        stream = Forgiving(full)
        assert stream.write("x" * 10_000) == 10_000
        assert stream.write("more") == 4
    main, other = pty.openpty()
    os.close(main)
    monkeypatch.setenv("TERM", "xterm")
    with os.fdopen(other, "w") as gone:
        monkeypatch.setattr(sys, "stderr", gone)
        with progress.observer("bar") as watch:
            watch(Planned(PLAN))
            watch(HALF)
