"""The table of feature kinds: every entry is complete, and messages, schema and tables are made from it."""

from __future__ import annotations

from typing import get_args

import pyarrow as pa
import pytest

from pipeline.models import schema
from pipeline.models.logistic.feature import HEADERS, Feature
from pipeline.models.logistic.features import FEATURE_KINDS, kind_of
from pipeline.models.logistic.file import VOCABULARY
from pipeline.models.tally import BatchColumn, RowTally

EXAMPLES: dict[str, tuple[dict[str, object], pa.Array]] = {
    "numeric": ({"coefficient": 1.5}, pa.array([1.0, None, 2.0])),
    "categorical": ({"coefficients": {"a": 1.0}}, pa.array(["a", None, "z"])),
}


def example(name: str) -> Feature:
    feature = FEATURE_KINDS[name].schema.model_validate({"column": "x", "kind": name, **EXAMPLES[name][0]})
    assert isinstance(feature, Feature)
    return feature


def test_every_kind_is_here() -> None:
    assert list(FEATURE_KINDS) == list(EXAMPLES)
    names = [ref["$ref"].rpartition("/")[2] for ref in schema()["properties"]["features"]["items"]["oneOf"]]
    assert names == [kind.schema.__name__ for kind in FEATURE_KINDS.values()]


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_entry_is_of_the_kind_that_its_file_names(name: str) -> None:
    kind = FEATURE_KINDS[name]
    assert get_args(kind.schema.model_fields["kind"].annotation) == (name,)
    assert list(kind.schema.model_fields)[:2] == ["column", "kind"]
    assert kind_of(example(name)) is kind
    assert set(kind.policies) <= set(kind.schema.model_fields)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_entry_shows_a_row_for_each_coefficient(name: str) -> None:
    feature = example(name)
    rows = list(FEATURE_KINDS[name].show(feature))
    numbers = list(FEATURE_KINDS[name].coefficients(feature))
    assert {len(row) for row in rows} == {len(HEADERS)}
    assert [row[HEADERS.index("coefficient")] for row in rows] == [number.coefficient for number in numbers]


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_entry_makes_a_term_of_a_column(name: str) -> None:
    column = BatchColumn(0, "x", EXAMPLES[name][1])
    tally = RowTally(3)
    prepared = FEATURE_KINDS[name].prepare(example(name), column, tally)
    assert prepared.term is not None
    assert tally.events["missing x"] == 1


def test_messages_know_every_key_and_policy() -> None:
    assert VOCABULARY.keys["<numeric>"] == ("column", "kind", "coefficient", "center", "scale", "boolean", "missing")
    assert VOCABULARY.keys["<categorical>"] == ("column", "kind", "coefficients", "levels", "missing", "unseen")
    assert VOCABULARY.policies == {
        ("<numeric>", "missing"): '"null", "error", "quarantine" or {"impute": number}',
        ("<categorical>", "missing"): '"null", "error", "quarantine" or {"level": text}',
        ("<categorical>", "unseen"): '"null", "zero", "error", "quarantine" or {"level": text}',
    }
    assert VOCABULARY.rules[("<numeric>", "missing")] == ("impute",)
