"""Seeds of drawn cases: the first of them for the slow tests, all others for the campaign."""

from __future__ import annotations

from typing import Any

import pytest


def seeds(count: int, slow: int) -> list[Any]:
    """Return numbers from 0 as parameters of a test, of which so many are marked slow and the others campaign."""
    marks = (pytest.mark.slow if seed < slow else pytest.mark.campaign for seed in range(count))
    return [pytest.param(seed, marks=mark) for seed, mark in enumerate(marks)]
