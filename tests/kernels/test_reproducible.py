"""``reproducible`` gives these bits, on this machine and on any other."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline import kernels
from pipeline.kernels import portable
from tests.kernels import exact, scalar
from tests.kernels.exact import bits
from tests.kernels.levels import outputs

sigmoid = partial(kernels.sigmoid, precision="reproducible")
log_sigmoid = partial(kernels.log_sigmoid, precision="reproducible")
logit = partial(kernels.logit, precision="reproducible")
tanh = partial(kernels.evaluate, "tanh", precision="reproducible")

# An input, then the bits of its sigmoid and of the logarithm of that. They change with portable.VERSION or not at all.
GOLDEN = """
                      -inf 0000000000000000 fff0000000000000
     -0x1.74910d52d3053p+9 0000000000000000 c0874910d52d3053
     -0x1.74910d52d3052p+9 0000000000000000 c0874910d52d3052
     -0x1.74385446d71c3p+9 0000000000000001 c0874385446d71c3
     -0x1.6232bdd7abcd2p+9 001000000000007c c086232bdd7abcd2
     -0x1.6203ba985cba6p+9 001719da4038c2cc c086203ba985cba6
                -0x1.5ep+9 00d14f2b0fb9307f c085e00000000000
     -0x1.5a664857a97eap+9 0176a97474b4c0ac c085a664857a97ea
                -0x1.f4p+7 29640f531e1e6723 c06f400000000000
                 -0x1.9p+6 36ea8c1f14e2af5d c059000000000000
              -0x1.25ebp+5 3c9fe7e7e07eea32 c0425eb000000000
                -0x1.2cp+5 3c8dd5c566301ec8 c042c00000000000
     -0x1.4cfe763d98bf5p+4 3e0f70344f3483e6 c034cfe763dd79fc
                 -0x1.4p+3 3f07cd32e41dd95f c0240005f3559328
     -0x1.8f40ae01d50d5p+3 3ecfffffebc20a95 c028f40b601d6084
     -0x1.78f13375d6a88p+2 3f669c5d68bc006f c01791e7c322f3ee
     -0x1.921fb54442d18p+1 3fa5358128dbea34 c009789ffd8ec80e
                   -0x1p+1 3fbe84152bac31ae c00103f2d54301d5
     -0x1.62e42fefa39efp+0 3fc999999999999a bff9c041f7ed8d33
                   -0x1p+0 3fd136561454ba86 bff5031eafefb049
     -0x1.62e42fefa39efp-1 3fd5555555555555 bff193ea7aad030a
                   -0x1p-1 3fd829a0565978df bfef2ba37edae032
     -0x1.62e42fefa39efp-2 3fda827999fcef32 bfec34366179d426
     -0x1.999999999999ap-4 3fde66bdb1aca090 bfe7d218f1c8904f
                  -0x1p-27 3fdffffffe000000 bfe62e4300fa39ef
                  -0x1p-54 3fe0000000000000 bfe62e42fefa39f0
  -0x0.0000000000001p-1022 3fe0000000000000 bfe62e42fefa39ef
                   -0x0p+0 3fe0000000000000 bfe62e42fefa39ef
                    0x0p+0 3fe0000000000000 bfe62e42fefa39ef
   0x0.0000000000001p-1022 3fe0000000000000 bfe62e42fefa39ef
                   0x1p-52 3fe0000000000001 bfe62e42fefa39ee
      0x1.47ae147ae147bp-7 3fe0147ad61865a8 bfe605677346a061
      0x1.999999999999ap-4 3fe0cca12729afb8 bfe49ee5be955d1c
      0x1.c0effdb3a0970p-2 3fe373c3b6da3726 bfdfdb8da08b5740
                    0x1p-1 3fe3eb2fd4d34391 bfde5746fdb5c064
                    0x1p+0 3fe764d4f5d5a2bd bfd40c7abfbec125
      0x1.4302d3a247662p+0 3fe8f043e8dd75ff bfcfe9c5a42cc48c
      0x1.5bf0a8b145769p+1 3fee04e3a60de19c bfb05be35f665120
                  0x1.4p+3 3fefffa0cb346f89 bf07cd564c9e0d18
      0x1.205966f2b4f13p+5 3feffffffffffffe bcafffffffffffd6
      0x1.26bb1bbb55516p+5 3ff0000000000000 bc9cd2b297d889a0
      0x1.7c75a801a87e2p+7 3ff0000000000000 aec7879e4a63584c
      0x1.62e42fefa39efp+9 3ff0000000000000 800400000000001b
      0x1.74910d52d3053p+9 3ff0000000000000 0000000000000000
   0x1.fffffffffffffp+1023 3ff0000000000000 0000000000000000
                       inf 3ff0000000000000 0000000000000000
                       nan 7ff8000000000000 7ff8000000000000
"""

# A probability, then the bits of its logit.
GOLDEN_LOGITS = """
                   -0x1p+0 7ff8000000000000
                   -0x0p+0 fff0000000000000
                    0x0p+0 fff0000000000000
   0x0.0000000000001p-1022 c0874385446d71c3
   0x0.fffffffffffffp-1022 c086232bdd7abcd2
                   0x1p-53 c0425e4f7b2737fa
     0x1.5798ee2308c3ap-27 c0326bb1bb8a61f8
      0x1.7c7f817bcc76fp-6 c00de9a3b0830f10
      0x1.999999999999ap-4 c00193ea7aad030a
                    0x1p-2 bff193ea7aad030b
      0x1.1459daf3d7e9bp-2 bfefd92f583c05fa
      0x1.3333333333332p-2 bfeb1d10670aae9c
      0x1.3333333333333p-2 bfeb1d10670aae9a
      0x1.5555555555555p-2 bfe62e42fefa39f0
      0x1.fffffffffffffp-2 bcb0000000000000
                    0x1p-1 0000000000000000
      0x1.0000000000001p-1 3cc0000000000000
      0x1.199999999999ap-1 3fc9af93cd234418
      0x1.4cccccccccccdp-1 3fe3cf2b50617c96
      0x1.4cccccccccccep-1 3fe3cf2b50617c9b
      0x1.63833179a5795p-1 3fea42397279a10a
      0x1.ccccccccccccdp-1 400193ea7aad030b
      0x1.fffffffffffffp-1 40425e4f7b2737fa
                    0x1p+0 7ff0000000000000
      0x1.0000000000001p+0 7ff8000000000000
                       inf 7ff8000000000000
                       nan 7ff8000000000000
"""

# The inputs are made of operations that IEEE 754 fixes too.
PROGRAM = """
import hashlib
import numpy as np
from functools import partial
from pipeline.kernels import KERNELS, Categorical, Numeric, arithmetic_tag, evaluate, gradient, log_sigmoid, logit
from pipeline.kernels import raw_prediction, sigmoid, softmax

log_sigmoid, logit, sigmoid = (partial(f, precision="reproducible") for f in (log_sigmoid, logit, sigmoid))
random = np.random.default_rng(5)
columns = [random.random(40_000) * 2 - 1, random.random(40_000).astype(np.float32), random.random(40_000)[::-1]]
columns += [random.integers(0, 2**63, 40_000, dtype=np.int64), random.integers(0, 2**64, 40_000, dtype=np.uint64)]
terms = [Numeric(column, weight) for column, weight in zip(columns, (31.7, -0.1, 1 / 3, 1e-20, 1e-21))]
terms += [Categorical(random.integers(0, 9, 40_000, dtype=np.int32), random.random(9))]
raw = raw_prediction(terms, -0.3, out=np.empty(40_000))
results = [raw, logit(sigmoid(raw)), logit(random.random(40_000))]
results += [call(name, raw, precision="reproducible") for name in KERNELS for call in (evaluate, gradient)]
results += [softmax(raw.reshape(-1, columns), precision="reproducible") for columns in (4, 100)]
for values in (raw, raw * 50, raw.astype(np.float32), raw.astype(np.float16), raw[::-3], np.append(raw, raw)[1:]):
    results += [sigmoid(values), log_sigmoid(values)]
print(arithmetic_tag("reproducible"), *(hashlib.sha256(result.tobytes()).hexdigest() for result in results))
"""


def _table(text):
    rows = [line.split() for line in text.strip().splitlines()]
    inputs = np.array([float.fromhex(row[0]) for row in rows])
    return inputs, *(np.array([int(row[i], 16) for row in rows], np.uint64) for i in range(1, len(rows[0])))


def test_the_golden_bits():
    x, sigmoids, log_sigmoids = _table(GOLDEN)
    np.testing.assert_array_equal(bits(sigmoid(x)), sigmoids)
    np.testing.assert_array_equal(bits(log_sigmoid(x)), log_sigmoids)
    p, logits = _table(GOLDEN_LOGITS)
    np.testing.assert_array_equal(bits(logit(p)), logits)


@pytest.mark.slow
def test_every_kind_of_cpu_and_c_library_gives_the_same_bits():
    levels = outputs(PROGRAM)
    assert levels[0][0] == "reproducible-1"
    assert len(levels) > 1
    assert all(level == levels[0] for level in levels)


def _by_hand(function, x):
    with np.errstate(all="ignore"):
        return np.array([function(value) for value in x.tolist()], dtype=np.float64)


def _inputs(seed):
    random = np.random.default_rng(seed)
    size = 4000
    return np.concatenate(
        [
            random.uniform(-760, 60, size),
            random.uniform(-745.2, -708, size),
            random.uniform(-4, 4, size),
            np.ldexp(random.uniform(-1, 1, size), random.integers(-1074, 1024, size)),
            np.rint(random.uniform(-1080, 90, size)) * math.log(2) / 2 * (1 + random.integers(-3, 4, size) * 2.0**-52),
        ]
    )


def _probabilities(seed):
    random = np.random.default_rng(seed)
    size = 4000
    return np.concatenate(
        [
            random.random(size),
            random.uniform(0.2999, 0.3001, size),
            random.uniform(0.6499, 0.6501, size),
            np.ldexp(random.uniform(0, 1, size), random.integers(-1074, 1, size)),
            1.0 - np.ldexp(random.uniform(0, 1, size), random.integers(-54, 1, size)),
        ]
    )


@pytest.mark.parametrize("seed", range(3))
def test_the_kernels_are_the_formulas_one_number_at_a_time(seed):
    x, p = _inputs(seed), _probabilities(seed)
    np.testing.assert_array_equal(bits(sigmoid(x)), bits(_by_hand(scalar.sigmoid, x)))
    np.testing.assert_array_equal(bits(log_sigmoid(x)), bits(_by_hand(scalar.log_sigmoid, x)))
    np.testing.assert_array_equal(bits(logit(p)), bits(_by_hand(scalar.logit, p)))
    np.testing.assert_array_equal(bits(tanh(x)), bits(_by_hand(scalar.tanh, x)))


@given(hnp.arrays(np.float64, st.integers(1, 40), elements=st.floats() | st.floats(-750, 50) | st.floats(0, 1)))
def test_units_hold_for_any_number(x):
    np.testing.assert_array_equal(bits(sigmoid(x)), bits(_by_hand(scalar.sigmoid, x)))
    np.testing.assert_array_equal(bits(log_sigmoid(x)), bits(_by_hand(scalar.log_sigmoid, x)))
    np.testing.assert_array_equal(bits(logit(x)), bits(_by_hand(scalar.logit, x)))


def _largest_error(name, x):
    out = np.empty_like(x)
    getattr(portable, name)(x, out)
    return exact.largest_error(out, x, getattr(exact, name))


@pytest.mark.parametrize(("low", "high"), [(-745.2, -708.0), (-708.0, -30.0), (-30.0, 0.0), (-0.7, 0.7), (0.0, 600.0)])
def test_exp_keeps_its_bound(low, high):
    assert _largest_error("exp", np.random.default_rng(12).uniform(low, high, 1500)) <= 1.0


@pytest.mark.parametrize(("low", "high"), [(-50.0, -30.0), (-30.0, 0.0), (-0.7, 0.0), (-1e-15, 0.0)])
def test_expm1_keeps_its_bound(low, high):
    assert _largest_error("expm1", np.random.default_rng(12).uniform(low, high, 1500)) <= 1.0


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.68, 0.74), (1.3, 1.5), (0.0, 1e-307), (1.0, 2.0**60)])
def test_log_keeps_its_bound(low, high):
    assert _largest_error("log", np.random.default_rng(13).uniform(low, high, 1500)) <= 1.0


@pytest.mark.parametrize(("low", "high"), [(-0.5, 0.0), (-0.31, -0.27), (0.38, 0.44), (0.0, 1.0), (-1e-15, 1e-15)])
def test_log1p_keeps_its_bound(low, high):
    assert _largest_error("log1p", np.random.default_rng(14).uniform(low, high, 1500)) <= 1.0
