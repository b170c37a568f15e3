"""Manifests: what is proven, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import OutputError
from pipeline.publish import check_sections
from pipeline.publish.local.published import read_manifest
from pipeline.publish.local.staging import open_staging
from tests.publish.runs import CODEC, OLD, job_id, publish


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("published") / "out"
    publish(output, "old", OLD)
    return output


@settings(deadline=None)
@given(at=st.integers(0, 10_000), flip=st.integers(1, 255))
def test_a_manifest_with_any_proven_byte_changed_is_not_ours(published: Path, at: int, flip: int) -> None:
    path = published / "_manifest.json"
    content = path.read_bytes()
    at %= len(content)
    changed = bytearray(content)
    changed[at] ^= flip
    only_noted = content.index(b'"observed":') + 11 <= at < content.index(b',"parts"')
    try:
        path.write_bytes(changed)
        if not only_noted:
            with pytest.raises(OutputError):
                read_manifest(published)
    finally:
        path.write_bytes(content)


@pytest.mark.parametrize("name", ["digest", "job_id", "parts", "receipts", "observed", "format", "version"])
def test_a_section_cannot_take_a_name_of_the_manifest(tmp_path: Path, name: str) -> None:
    with (
        pytest.raises(ValueError, match="may not be called"),
        open_staging(tmp_path / "out", job_id("x"), if_exists="fail", codec=CODEC) as staging,
    ):
        staging.publish({name: 1}, [], observed={})
    assert not (tmp_path / "out").exists()


def test_a_manifest_that_could_not_be_read_again_is_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(tmp_path / "out", "old", OLD)
    before = read_manifest(tmp_path / "out")
    monkeypatch.setattr("pipeline.publish.record.manifest.MANIFEST_LIMIT", 2000)
    staged = open_staging(tmp_path / "out", job_id("x"), if_exists="replace", codec=CODEC)
    with pytest.raises(OutputError, match="the manifest would take"), staged as staging:
        staging.publish({"inputs": ["a" * 100] * 20}, [], observed={})
    assert read_manifest(tmp_path / "out").digest == before.digest


def test_sections_that_make_too_long_a_manifest_are_refused_before_work() -> None:
    check_sections({"inputs": ["a" * 1000] * 1000})
    with pytest.raises(OutputError, match="the manifest would take"):
        check_sections({"inputs": ["a" * 2**20] * 64})
