"""A program as it would run on other CPUs: with fewer of numpy's dispatch targets, and with an older C library."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

DISPATCHED = """
from numpy._core import _multiarray_umath as umath
print(*(name for name in umath.__cpu_dispatch__ if umath.__cpu_features__.get(name)))
"""


def output(program: str, **environment: str) -> list[str]:
    """The words that a program prints in a process with these variables."""
    inherited = {k: v for k, v in os.environ.items() if k not in ("NPY_DISABLE_CPU_FEATURES", "GLIBC_TUNABLES")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**inherited, "PYTHONPATH": str(Path(__file__).parents[2]), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def outputs(program: str) -> list[list[str]]:
    """What a program prints on each level: the plainest first, then all of this CPU, last the plainest C library."""
    names = output(DISPATCHED)  # what numpy was built for and this CPU has, lowest first
    levels = [output(program, NPY_DISABLE_CPU_FEATURES=" ".join(names[kept:])) for kept in range(len(names) + 1)]
    plain = {"NPY_DISABLE_CPU_FEATURES": " ".join(names), "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-FMA,-AVX2"}
    return [*levels, output(program, **plain)]
