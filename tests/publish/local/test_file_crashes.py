"""A run that makes one file, stopped anywhere, leaves the old file or the new one, and a rerun completes it."""

from __future__ import annotations

import pytest

from tests.publish.file_scenes import FILE_SCENES
from tests.publish.local.test_crashes import stop_everywhere


@pytest.mark.parametrize("scene", FILE_SCENES)
def test_stopped_at_many_steps(scene: str) -> None:
    # The campaign stops at every step, also at those that only look.
    stop_everywhere(scene, "kill,EIO,interrupt,ENOSPC,kill", "changing", every=11)


@pytest.mark.campaign
@pytest.mark.parametrize("way", ["kill", "EIO", "ENOSPC", "interrupt"])
@pytest.mark.parametrize("scene", FILE_SCENES)
def test_stopped_at_every_step_in_every_way(scene: str, way: str) -> None:
    stop_everywhere(scene, way, "all")
