"""What runs on a cluster change in the process, with two of them at once."""

from __future__ import annotations

import logging
import warnings

import dask.config
from distributed.versions import VersionMismatchWarning

from pipeline.execute.cluster.quiet import DISTRIBUTED_QUIET

RETRIES = "distributed.comm.retry.count"


class UsersWarning(Warning):
    pass


def levels() -> list[int]:
    return [logging.getLogger(name).level for name in ("distributed", "distributed.worker", "tornado.application")]


def test_two_runs_that_overlap_leave_log_levels_configuration_and_warnings_as_they_were() -> None:
    before, filters = levels(), list(warnings.filters)
    with dask.config.set({RETRIES: 7}):
        first, second = DISTRIBUTED_QUIET, DISTRIBUTED_QUIET
        first.__enter__()
        second.__enter__()
        first.__exit__()
        assert dask.config.get(RETRIES) == 0
        assert set(levels()) == {logging.CRITICAL + 1}
        with warnings.catch_warnings(record=True) as told:
            warnings.warn("other versions", VersionMismatchWarning, stacklevel=1)
        assert not told
        second.__exit__()
        assert dask.config.get(RETRIES) == 7
    assert levels() == before
    assert warnings.filters == filters


def test_what_the_user_sets_while_a_run_is_under_way_stays() -> None:
    logger, before = logging.getLogger("distributed.worker"), levels()
    filters = list(warnings.filters)
    with DISTRIBUTED_QUIET:
        logger.setLevel(logging.DEBUG)
        warnings.simplefilter("ignore", UsersWarning)
    try:
        assert logger.level == logging.DEBUG
        assert warnings.filters == [("ignore", None, UsersWarning, None, 0), *filters]
    finally:
        logger.setLevel(before[1])
        warnings.filters[:] = filters
