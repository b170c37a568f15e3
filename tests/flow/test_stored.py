"""Identities, names and bytes of what jobs publish are as stored: after an upgrade nothing is computed again.

``FORMAT_VERSION`` 2 (levels have a type) changed the identities of jobs, the names of parts, which hold a digest, and
the manifests with their lists; ``BYTES`` are the parts and quarantines of before, and none of them has changed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.canonical import digest
from pipeline.kernels import arithmetic_tag
from tests.flow.stored import JOBS, facts_of

STORED: dict[str, Any] = json.loads((Path(__file__).parent / "stored.json").read_text())


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return facts_of(tmp_path_factory.mktemp("stored"))


# The digest of the digests of all parts and quarantines of a job, in ascending order.
BYTES = {
    "expression": "2c5e3af352191f77",
    "flights": "67cadda41cc73abe",
    "flights_csv": "775c1e6d8d49b45f",
    "limited": "dc5a25ca1b905ab3",
    "one_csv": "311f2b369ab882a8",
    "one_file": "ef278e4ce827feb1",
    "quarantine": "6660ebb0104b77d6",
    "small": "96c4eaf8ec5fd99d",
    "transformed": "883539b00d69f2e8",
}


@pytest.mark.parametrize("name", JOBS)
def test_the_bytes_of_parts_are_those_of_format_version_1(name: str) -> None:
    stored = STORED["jobs"][name]["sha256"]
    files = sorted(sha256 for path, sha256 in stored.items() if path != "_manifest.receipts")
    assert digest(files)[:16] == BYTES[name]


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
