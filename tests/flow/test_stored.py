"""Identities, names and bytes of what jobs publish are as stored: after an upgrade nothing is computed again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.kernels import arithmetic_tag
from tests.flow.stored import JOBS, facts_of

STORED: dict[str, Any] = json.loads((Path(__file__).parent / "stored.json").read_text())


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return facts_of(tmp_path_factory.mktemp("stored"))


@pytest.mark.parametrize("name", JOBS)
def test_a_job_is_the_one_that_was_stored(name: str, found: dict[str, Any]) -> None:
    stored, now = STORED["jobs"][name], found["jobs"][name]
    if name == "expression" and stored["arithmetic"] != arithmetic_tag("fast"):
        pytest.skip("its bits, and so its identity, are those of another kind of CPU or another numpy")
    assert now["job_id"] == stored["job_id"]
    assert now["parts"] == stored["parts"]
    if pa.__version__ == STORED["pyarrow"]:
        # Another version of Arrow writes its own name into files.
        assert now["sha256"] == stored["sha256"]
        assert now["digest"] == stored["digest"]
