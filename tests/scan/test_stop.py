"""When a run must end."""

from __future__ import annotations

import pytest

from jobs.commands.score import command as score
from pipeline.errors import TemporaryError
from pipeline.scan import Clock, Stop
from pipeline.scan.stop import GRACE_SECONDS
from pipeline.units import parse_seconds


def test_a_deadline_leaves_workers_the_grace_period_for_what_they_have() -> None:
    clock = Clock(Stop(grace_seconds=3600), deadline_seconds=-1, again="run again")
    with pytest.raises(TemporaryError, match="stopped by its deadline"):
        clock.check()
    clock.check_grace()


def test_a_run_whose_grace_period_has_passed_ends_with_the_error_of_its_request() -> None:
    stop = Stop(grace_seconds=-1)
    clock = Clock(stop, deadline_seconds=None, again="run again")
    clock.check_grace()
    stop.request(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        clock.check_grace()


def test_the_command_has_the_grace_period_of_the_functions() -> None:
    default = next(option.default for option in score.params if option.name == "grace")
    assert parse_seconds(str(default)) == GRACE_SECONDS
