"""Opens a scheduler on a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.execute.access import ClusterAccess
from pipeline.execute.cluster.connecting import open_link
from pipeline.execute.cluster.scheduler import ClusterScheduler
from pipeline.execute.terms import ClusterTerms
from pipeline.types.work import Scheduler


@contextmanager
def open_cluster(access: ClusterAccess, *, wave: int, terms: ClusterTerms) -> Iterator[Scheduler]:
    """Connect to a scheduler and yield it; the connection ends with the block.

    There need not be a worker yet: the first task that is submitted lets an adaptive cluster start one. Raises as
    :func:`open_link` does.
    """
    with open_link(access, terms) as link:
        yield ClusterScheduler(link, wave)
