"""The logistic regression on a Dask cluster: the bits of the other schedulers, also where a worker dies."""

from __future__ import annotations

import contextlib
import math
import os
import signal
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest

from tests.contracts.cluster import Cluster, start_cluster

pytest.importorskip("sklearn", reason="scikit-learn is not installed (extra sklearn)")

from distributed import Client
from sklearn.datasets import make_classification

from pipeline.sklearn import LogisticRegression

pytestmark = pytest.mark.slow

ROWS, CLASSES = make_classification(40_000, 6, n_informative=5, n_redundant=1, flip_y=0.2, random_state=3)


def collections(mark: Path | None = None) -> tuple[Any, Any]:
    rows = da.from_array(ROWS, chunks=(3_000, 6))
    if mark is not None:
        rows = rows.map_blocks(_dying_once, str(mark), dtype=float, meta=np.empty((0, 6)))
    return rows, da.from_array(CLASSES, chunks=3_000)


def _dying_once(block: Any, mark: str) -> Any:
    """Return a block; the worker that gets the last one first is killed."""
    if len(block) < 3_000:
        with contextlib.suppress(FileExistsError):
            os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
            os.kill(os.getpid(), signal.SIGKILL)
    return block


def fitted(rows: Any, classes: Any) -> Any:
    return LogisticRegression(C=math.inf).fit(rows, classes)


@pytest.fixture(scope="module")
def expected() -> Any:
    with dask.config.set(scheduler="sync"):
        return fitted(*collections())


def test_a_cluster_gives_the_bits_of_the_other_schedulers(cluster: Cluster, expected: Any) -> None:
    rows, classes = collections()
    with Client(cluster.address):
        found = fitted(rows, classes)
        np.testing.assert_array_equal(found.predict_proba(rows).compute(), expected.predict_proba(ROWS))
    assert found.coef_.tobytes() == expected.coef_.tobytes()
    assert found.covariance_.tobytes() == expected.covariance_.tobytes()


def test_a_worker_that_is_killed_changes_no_bit(tmp_path_factory: pytest.TempPathFactory, expected: Any) -> None:
    folder = tmp_path_factory.mktemp("dying")
    with start_cluster(folder, "--no-nanny") as running, Client(running.address):
        found = fitted(*collections(folder / "killed"))
    assert (folder / "killed").exists()
    assert found.coef_.tobytes() == expected.coef_.tobytes()
