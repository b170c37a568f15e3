"""The SQL of today is that which databases have run, where no database is."""

from __future__ import annotations

import pytest

from pipeline.models.logistic.file import ModelFile
from tests.conversion.stored_sql import digests, stored


@pytest.mark.parametrize(("model", "expected"), stored())
def test_sql_is_what_databases_have_run(model: ModelFile, expected: dict[str, str]) -> None:
    # After a change: python -m tests.conversion.stored_sql
    assert digests(model) == expected
