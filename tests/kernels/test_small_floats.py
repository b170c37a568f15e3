"""float16 and float32 are computed in float64 and rounded once: every input that matters is tried."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import numpy as np
import pytest

from pipeline.kernels import log_sigmoid, logit, sigmoid

pytestmark = pytest.mark.slow

BLOCK = 1 << 17
# Under 2^-25 in magnitude every result is exactly one half; above 17.4 it is 1; below -104 it is 0.
SMALLEST, LARGEST_POSITIVE, LARGEST_NEGATIVE = 2.0**-25, 17.4, 104.0
SIGN = 0x8000_0000
EVERY_FUNCTION = [
    *(partial(sigmoid, precision=precision) for precision in ("fast", "accurate", "reproducible")),
    *(
        partial(function, precision=precision)
        for function in (log_sigmoid, logit)
        for precision in ("fast", "reproducible")
    ),
]


def _bits_of(value: float) -> int:
    return int(np.float32(value).view(np.uint32))


def _pieces():
    for sign, largest in ((0, LARGEST_POSITIVE), (SIGN, LARGEST_NEGATIVE)):
        edges = np.linspace(_bits_of(SMALLEST), _bits_of(largest) + 1, 9).astype(int)
        yield from ((sign, int(a), int(b)) for a, b in pairwise(edges))


def _units(values):
    """The distance between neighbouring float32 numbers at each of some float64 values."""
    exponents = values.view(np.int64) & 0x7FF0_0000_0000_0000
    return np.maximum(exponents.view(np.float64) * 2.0**-23, 2.0**-149)


@pytest.mark.parametrize("piece", list(_pieces()), ids=lambda piece: "{:x}-{:x}-{:x}".format(*piece))
def test_every_float32_is_within_half_a_unit(piece):
    # The float64 reference is itself off by 3 of its units at most: 6e-9 of a float32 unit, within the slack of 1e-7.
    sign, first, last = piece
    worst = 0.0
    for start in range(first, last, BLOCK):
        x = (np.arange(start, min(start + BLOCK, last), dtype=np.uint32) | np.uint32(sign)).view(np.float32)
        reference = sigmoid(x.astype(np.float64), precision="accurate")
        errors = np.abs(sigmoid(x).astype(np.float64) - reference)
        worst = max(worst, (errors / _units(reference)).max())
    assert worst <= 0.5000001


def test_float32_outside_the_scanned_range_saturates():
    magnitudes = np.arange(0, 0x7F80_0001, 4099, dtype=np.uint32).view(np.float32)
    small = magnitudes[magnitudes < SMALLEST]
    assert np.all(sigmoid(np.concatenate([small, -small])) == np.float32(0.5))
    assert np.all(sigmoid(magnitudes[magnitudes > LARGEST_POSITIVE]) == np.float32(1.0))
    assert np.all(sigmoid(-magnitudes[magnitudes > LARGEST_NEGATIVE]) == np.float32(0.0))


@pytest.mark.parametrize("function", EVERY_FUNCTION)
def test_every_float16_is_correctly_rounded(function):
    x = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    result = function(x)
    reference = function(x.astype(np.float64))
    assert result.dtype == np.float16
    np.testing.assert_array_equal(np.isnan(result), np.isnan(reference))
    # No float64 value lies so near the middle between two float16 numbers that its own error could decide.
    for nudge in (1 - 2.0**-50, 1.0, 1 + 2.0**-50):
        with np.errstate(over="ignore", under="ignore"):
            np.testing.assert_array_equal(result, (reference * nudge).astype(np.float16))


@pytest.mark.parametrize("function", EVERY_FUNCTION)
def test_float32_is_the_float64_result_rounded_once(function):
    x = np.random.default_rng(3).uniform(0, 1, 100_003).astype(np.float32)
    np.testing.assert_array_equal(function(x), function(x.astype(np.float64)).astype(np.float32))
