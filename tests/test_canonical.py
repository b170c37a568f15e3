"""Canonical JSON and the digests made of it."""

from __future__ import annotations

import ast
import hashlib
import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.canonical import canonical, digest, sha256

ROOT = Path(__file__).resolve().parent.parent

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
def test_the_order_of_keys_does_not_matter(value: dict[str, object], chance: random.Random) -> None:
    items = list(value.items())
    chance.shuffle(items)
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


def test_a_digest_is_the_sha256_of_the_spelling() -> None:
    assert digest({"b": 1, "a": []}) == sha256(b'{"a":[],"b":1}') == hashlib.sha256(b'{"a":[],"b":1}').hexdigest()


def test_no_other_module_spells_json_for_a_digest() -> None:
    """Keys are sorted in one place; and nobody digests a text of JSON that was spelled otherwise."""
    found = []
    for path in [*(ROOT / "pipeline").rglob("*.py"), *(ROOT / "jobs").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Call):
                sorts = any(keyword.arg == "sort_keys" for keyword in node.keywords)
                name = ast.unparse(node.func)
                digests = "sha256" in name and any("json" in ast.unparse(given) for given in node.args)
                found += [f"{path.relative_to(ROOT)}:{node.lineno}"] if sorts or digests else []
    assert [place.partition(":")[0] for place in found] == ["pipeline/canonical.py"]
