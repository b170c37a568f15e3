"""Layers are computed with one thread of BLAS, as everywhere."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pipeline.kernels.blas import one_thread


@pytest.fixture(autouse=True)
def one_blas_thread() -> Iterator[None]:
    with one_thread():
        yield
