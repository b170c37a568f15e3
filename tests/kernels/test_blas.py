"""The name of the BLAS that the bits of products depend on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
# SciPy brings a BLAS of its own.
CODE = "import numpy, {other}; from pipeline.kernels.blas import blas_tag; print(numpy.__file__); print(blas_tag())"


def test_it_is_that_of_numpy_whatever_else_is_loaded_and_behind_a_link_too(tmp_path: Path) -> None:
    packages, link = Path(np.__file__).resolve().parent.parent, tmp_path / "packages"
    link.symlink_to(packages)
    found = []
    for other, folder in (("json", packages), ("scipy.linalg", packages), ("scipy.linalg", link)):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(folder), str(ROOT)))}
        command = [sys.executable, "-c", CODE.format(other=other)]
        done = subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE, text=True)
        place, tag = done.stdout.splitlines()
        assert place.startswith(str(folder))
        found.append(tag)
    assert found[0] == found[1] == found[2]
