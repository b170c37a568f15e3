"""Canonical JSON and the digests made of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.canonical import canonical, digest
from pipeline.errors import OutputError
from pipeline.publish import check_sections
from pipeline.publish.local.published import read_manifest
from pipeline.publish.local.staging import open_staging
from tests.publish.runs import CODEC, OLD, job_id, publish

_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec=None, exclude_categories=()))
)
_VALUES = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
)


@given(_VALUES)
def test_reading_back_gives_the_same_digest(value: object) -> None:
    assert canonical(json.loads(canonical(value))) == canonical(value)
    assert digest(json.loads(json.dumps(value, indent=3))) == digest(value)


@given(st.dictionaries(st.text(max_size=5), _SCALARS, min_size=2, max_size=6), st.randoms())
def test_the_order_of_keys_does_not_matter(value: dict[str, object], random) -> None:
    items = list(value.items())
    random.shuffle(items)
    assert digest(dict(items)) == digest(value)


@given(_VALUES, _VALUES)
def test_other_values_have_other_digests(one: object, other: object) -> None:
    assert (digest(one) == digest(other)) == (canonical(one) == canonical(other))


def test_a_spelling_that_must_never_change() -> None:
    value = {"b": [1, 2.5, 1e300, -0.0, True, None], "a": 'é\n"\ud800', "": {}}
    assert canonical(value) == b'{"":{},"a":"\\u00e9\\n\\"\\ud800","b":[1,2.5,1e+300,-0.0,true,null]}'


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_no_value_that_is_not_json(number: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical({"x": number})


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
