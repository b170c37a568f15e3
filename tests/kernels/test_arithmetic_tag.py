"""The tag names what the bits depend on: equal tags, equal bits; other bits, another tag."""

from __future__ import annotations

import re

import numpy as np
import pytest

from pipeline.kernels import arithmetic_tag
from tests.kernels.levels import outputs

PROGRAM = """
import hashlib
import numpy as np
from pipeline.kernels import Numeric, arithmetic_tag, evaluate, log_sigmoid, logit, raw_prediction, sigmoid

random = np.random.default_rng(5)
columns = [random.standard_normal(60_000) for _ in range(6)]
raw = raw_prediction([Numeric(c, 1.7) for c in columns], -0.3, out=np.empty(60_000))
print(arithmetic_tag("fast"), hashlib.sha256(raw.tobytes()).hexdigest())
for values in (sigmoid(raw), sigmoid(raw * 50, precision="accurate"), log_sigmoid(raw), logit(random.random(60_000))):
    print(hashlib.sha256(values.tobytes()).hexdigest())
for name in ("tanh", "elu", "gelu", "softplus"):
    print(hashlib.sha256(evaluate(name, raw).tobytes()).hexdigest())
"""


@pytest.fixture(scope="module")
def runs():
    """For each level the tag, the digest of sums alone, and the other digests."""
    return [(tag, sums, tuple(rest)) for tag, sums, *rest in outputs(PROGRAM)]


def test_equal_tags_give_equal_bits_and_other_bits_have_another_tag(runs):
    bits = {}
    for tag, _, digests in runs:
        assert bits.setdefault(tag, digests) == digests
    assert len(set(bits.values())) == len(bits)


def test_sums_and_products_have_the_same_bits_everywhere(runs):
    assert len({sums for _, sums, _ in runs}) == 1


def test_two_simd_levels_have_two_tags(runs):
    if "-avx512-" not in runs[-2][0]:
        pytest.skip("this CPU has no AVX-512, so that numpy has one exp only")
    lowest, highest = runs[0], runs[-2]
    assert lowest[0] != highest[0]
    assert all(a != b for a, b in zip(lowest[2], highest[2], strict=True))


def test_the_tag_reads_as_documented():
    pattern = rf"accurate-numpy{re.escape(np.__version__)}-(avx512|libm)-[0-9a-f]{{8}}"
    assert re.fullmatch(pattern, arithmetic_tag("accurate"))
    assert arithmetic_tag("fast").split("-")[1:] == arithmetic_tag("accurate").split("-")[1:]


def test_the_tag_of_reproducible_names_its_algorithm_alone():
    assert arithmetic_tag("reproducible") == "reproducible-1"
