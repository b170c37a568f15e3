"""What tests of conversions share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from threadpoolctl import threadpool_limits


@pytest.fixture(scope="module", autouse=True)
def _one_blas_thread() -> Iterator[None]:
    """Fit the estimators of scikit-learn with one thread of BLAS: a second one keeps a core busy while it waits."""
    with threadpool_limits(1, user_api="blas"):
        yield
