"""LSTM and both kinds of GRU give what onnxruntime gives, which knows float32 alone, and the reference in float64."""

from __future__ import annotations

import json
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from tests.kernels.layers.drawn import Case
from tests.kernels.layers.onnx_oracle import RECURRENT, STORED, WHOLE, by_onnxruntime, by_reference, name_of
from tests.kernels.layers.oracle import corner


@pytest.fixture(scope="module")
def stored() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(STORED.read_text())
    return found


@pytest.mark.parametrize("case", RECURRENT[::2], ids=name_of)
def test_cells_give_what_onnxruntime_gave_when_it_was_stored(case: Case, stored: dict[str, Any]) -> None:
    want = stored[f"float32 {name_of(case)}"]
    np.testing.assert_allclose(corner(case.outputs(np.float32)), want, rtol=0, atol=1e-6)


@pytest.mark.parametrize("case", WHOLE[::2], ids=name_of)
def test_cells_give_what_the_reference_of_onnx_gave_when_it_was_stored(case: Case, stored: dict[str, Any]) -> None:
    want = stored[f"float64 {name_of(case)}"]
    np.testing.assert_allclose(corner(case.outputs(np.float64)), want, rtol=0, atol=1e-12)


# Not importorskip: imported plainly, it opens a file in the home folder that it keeps its telemetry in.
@pytest.mark.slow
@pytest.mark.skipif(find_spec("onnxruntime") is None, reason="onnxruntime is not installed")
@pytest.mark.parametrize("case", RECURRENT, ids=name_of)
def test_cells_give_what_onnxruntime_gives(case: Case) -> None:
    np.testing.assert_allclose(case.outputs(np.float32)[:, -1], by_onnxruntime(case), rtol=0, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("case", WHOLE, ids=name_of)
def test_cells_give_what_the_reference_of_onnx_gives(case: Case) -> None:
    pytest.importorskip("onnx", reason="onnx is not installed")
    np.testing.assert_allclose(case.outputs(np.float64)[:, -1], by_reference(case), rtol=0, atol=1e-12)
