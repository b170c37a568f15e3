"""A name for everything that the bits of a result depend on."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.introspect import opt_func_info

from pipeline.kernels import portable

if TYPE_CHECKING:
    from pipeline.choices import Precision

_PROBE_POINTS = 4096


def arithmetic_tag(precision: Precision) -> str:
    """Return a name for the arithmetic of this process: ``fast-numpy2.4.6-avx512-5d41402a``, ``reproducible-1``.

    Processes with the same tag get the same bits from the kernels. With ``fast`` and ``accurate`` its parts are the
    precision, the version of numpy, the implementation of exp that numpy chose for this CPU (``avx512`` is numpy's own,
    ``libm`` that of the C library, as on every CPU without AVX-512), and eight digits of a digest of exp, expm1, log,
    log1p and tanh at fixed points. The last part distinguishes C libraries, and the variants that one library has for
    CPUs with and without a fused multiply-add. ``NPY_DISABLE_CPU_FEATURES`` and ``GLIBC_TUNABLES`` change the bits, and
    so the tag.

    With ``reproducible`` the bits depend only on :data:`pipeline.kernels.portable.VERSION`, the number in the tag.

    Sums, products and quotients are the same everywhere by IEEE 754, so the tag does not need them.
    """
    if precision == "reproducible":
        return f"{precision}-{portable.VERSION}"
    return f"{precision}-numpy{np.__version__}-{_exp_path()}-{_probe_digest()}"


@cache
def _exp_path() -> str:
    # numpy has its own vector loop for exp of float64 only with AVX-512; every other dispatch target calls libm.
    loops = opt_func_info(func_name="^exp$", signature="float64").get("exp", {})
    current = [loop["current"] for loop in loops.values()]
    return "avx512" if any(name.startswith(("X86_V4", "AVX512")) for name in current) else "libm"


@cache
def _probe_digest() -> str:
    steps = np.arange(_PROBE_POINTS, dtype=np.float64)
    shares = (steps + 0.5) / _PROBE_POINTS
    exponents = np.concatenate([steps * 0.011 - 38.0, steps * 0.34 - 745.0])
    with np.errstate(all="ignore"):
        logarithms = (np.log(shares), np.log1p(shares), np.log1p(-shares))
        values = (np.exp(exponents), *logarithms, np.expm1(exponents), np.tanh(exponents * 0.01))
    digest = hashlib.sha256()
    for array in values:
        digest.update(array.astype("<f8").tobytes())
    return digest.hexdigest()[:8]
