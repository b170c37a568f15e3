from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contracts.cluster import Cluster, start_cluster


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two workers of one thread, started once a session, before the leak check of any test counts processes."""
    with start_cluster(tmp_path_factory.mktemp("cluster"), "--no-nanny") as running:
        yield running
