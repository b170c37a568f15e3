"""The collector of garbage rests while modules are loaded, and works again afterwards."""

from __future__ import annotations

import gc
from importlib import import_module

import pytest

from jobs.loading import uncollected


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_is_as_it_was_whatever_happens(enabled: bool) -> None:
    (gc.enable if enabled else gc.disable)()
    try:
        inside: list[bool] = []
        with pytest.raises(ModuleNotFoundError), uncollected():
            _look(inside)
        assert inside == [False]
        assert gc.isenabled() is enabled
    finally:
        gc.unfreeze()
        gc.enable()


def _look(inside: list[bool]) -> None:
    inside.append(gc.isenabled())
    import_module("no_such_module")
