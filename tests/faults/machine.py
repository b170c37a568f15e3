"""Random histories of one output: runs, kills, damage, new inputs, rollbacks; the promises hold after every step."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from itertools import count
from pathlib import Path

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.faults.frame import Campaign
from tests.faults.history import History


def run(campaign: Campaign) -> None:
    for number in count(campaign.seed):
        try:
            live(campaign.scratch, campaign.count, number, *((2, 20) if campaign.bounded else (10, 40)))
        except Exception as error:  # noqa: BLE001 - a history of any bad end is one to tell of
            story = "\n".join(getattr(error, "__notes__", []))
            place = traceback.extract_tb(error.__traceback__)[-1]
            campaign.violated(
                "The promises hold in every history",
                f"--seed {number}: {type(error).__name__} in {place.name}, line {place.lineno}: {error}\n{story}",
            )
        if not campaign.has_time or campaign.violations:
            return


def live(scratch: Path, tell: Callable[[str], None], number: int, histories: int, steps: int) -> None:
    """Play some histories with a limited number of steps; raises what the first broken promise raises."""

    class Lived(History):
        """The histories of one call, and their folder."""

        def __init__(self) -> None:
            super().__init__(scratch, tell)

    run_state_machine_as_test(
        seed(number)(Lived),
        settings=settings(
            max_examples=histories,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            derandomize=False,
            report_multiple_bugs=False,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )
