"""Layers give what PyTorch gives in float64: within 1e-12 in float64, within 1e-6 in float32."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from tests.kernels.layers.drawn import CASES, Case
from tests.kernels.layers.oracle import STORED, by_torch, corner

TYPES = [(np.float64, 1e-12), (np.float32, 1e-6)]
QUICK = [case for case in CASES[:50] if 0 < case.rows * case.steps < 10_000]


@pytest.fixture(scope="module")
def stored() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(STORED.read_text())
    return found


@pytest.mark.parametrize(("dtype", "within"), TYPES, ids=["float64", "float32"])
@pytest.mark.parametrize("case", QUICK, ids=lambda case: f"{case.kind}-{case.number}")
def test_layers_give_what_pytorch_gave_when_it_was_stored(
    case: Case, dtype: Any, within: float, stored: dict[str, Any]
) -> None:
    found = case.outputs(dtype)
    assert found.dtype == dtype
    np.testing.assert_allclose(corner(found), stored[str(case.number)], rtol=0, atol=within)


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "within"), TYPES, ids=["float64", "float32"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.kind}-{case.number}")
def test_a_hundred_drawn_shapes_give_what_pytorch_gives(case: Case, dtype: Any, within: float) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    found = case.outputs(dtype)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, by_torch(case), rtol=0, atol=within)
