"""What jobs log, and that nothing is printed where nobody has asked for logs."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

from pipeline.logs import log_notes, logged
from pipeline.types.report import Event, Noted, Progressed, Totals, log_text

UNCONFIGURED = """
from pipeline.logs import log_notes
log_notes("run", ["a note"], ["a warning"])
"""


def test_warnings_are_logged_as_warnings_and_notes_for_information_and_all_events_are_passed_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, logger="logitstream")
    passed: list[Event] = []
    observe = logged("run", passed.append, log_text)
    events = [Noted("50 % of a is missing", always=True), Noted("resuming", warning=False), Progressed(Totals(), 0)]
    for event in events:
        observe(event)
    assert passed == events
    log_notes("evaluate", ["a note"], ["a warning"])
    assert caplog.record_tuples == [
        ("logitstream.run", logging.WARNING, "50 % of a is missing"),
        ("logitstream.run", logging.INFO, "resuming"),
        ("logitstream.evaluate", logging.INFO, "a note"),
        ("logitstream.evaluate", logging.WARNING, "a warning"),
    ]


def test_nothing_is_printed_where_nobody_has_configured_logging() -> None:
    environment = {"PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run([sys.executable, "-c", UNCONFIGURED], check=True, env=environment, capture_output=True)
    assert (done.stdout, done.stderr) == (b"", b"")
