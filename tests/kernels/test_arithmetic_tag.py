"""The tag names what the bits depend on: equal tags, equal bits; other bits, another tag."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.kernels import arithmetic_tag

PROGRAM = """
import hashlib
import numpy as np
from pipeline.kernels import Numeric, arithmetic_tag, log_sigmoid, logit, raw_prediction, sigmoid

random = np.random.default_rng(5)
columns = [random.standard_normal(60_000) for _ in range(6)]
raw = raw_prediction([Numeric(c, 1.7) for c in columns], -0.3, out=np.empty(60_000))
print(arithmetic_tag("fast"), hashlib.sha256(raw.tobytes()).hexdigest())
for values in (sigmoid(raw), sigmoid(raw * 50, precision="accurate"), log_sigmoid(raw), logit(random.random(60_000))):
    print(hashlib.sha256(values.tobytes()).hexdigest())
"""


DISPATCHED = """
from numpy._core import _multiarray_umath as umath
print(*(name for name in umath.__cpu_dispatch__ if umath.__cpu_features__.get(name)))
"""


def _output(program, **environment):
    inherited = {k: v for k, v in os.environ.items() if k not in ("NPY_DISABLE_CPU_FEATURES", "GLIBC_TUNABLES")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**inherited, "PYTHONPATH": str(Path(__file__).parents[2]), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def _with(**environment):
    """Run the program in a process with these variables: its tag, the digest of sums alone, the other digests."""
    tag, sums, *rest = _output(PROGRAM, **environment)
    return tag, sums, tuple(rest)


@pytest.fixture(scope="module")
def runs():
    """The same program with every possible number of dispatch targets, and with the plainest exp of the C library."""
    names = _output(DISPATCHED)  # what numpy was built for and this CPU has, lowest first
    levels = [_with(NPY_DISABLE_CPU_FEATURES=" ".join(names[kept:])) for kept in range(len(names) + 1)]
    plain = _with(NPY_DISABLE_CPU_FEATURES=" ".join(names), GLIBC_TUNABLES="glibc.cpu.hwcaps=-FMA,-AVX2")
    return [*levels, plain]


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
