"""The table of feature kinds: every entry is complete, and messages, schema and tables are made from it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import get_args

import pyarrow as pa
import pytest

from pipeline.models import schema
from pipeline.models.logistic.batch import BatchColumns
from pipeline.models.logistic.contents import vocabulary
from pipeline.models.logistic.feature import Feature
from pipeline.models.logistic.features import FEATURE_KINDS, kind_of
from pipeline.models.tally import BatchColumn, RowTally

SAMPLE = Path(__file__).parents[3] / "sample_data" / "delay_model.json"
VOCABULARY = vocabulary()
EXAMPLES: dict[str, tuple[dict[str, object], pa.Array]] = {
    "numeric": ({"column": "x", "coefficient": 1.5}, pa.array([1.0, None, 2.0])),
    "categorical": ({"column": "x", "coefficients": {"a": 1.0, "b": 2.0}}, pa.array(["a", None, "z"])),
    "binned": ({"column": "x", "edges": [1.5], "coefficients": [1.0, 2.0]}, pa.array([1.0, None, 2.0])),
    "indicator": ({"column": "x", "coefficient": 1.5}, pa.array([1.0, None, 2.0])),
    "transformed": ({"column": "x", "coefficient": 1.5, "transform": "log"}, pa.array([1.0, None, 2.0])),
    "product": ({"terms": [{"column": "x"}, {"column": "x"}], "coefficient": 2.0}, pa.array([1.0, None, 2.0])),
}


def example(name: str) -> Feature:
    feature = FEATURE_KINDS[name].schema.model_validate({"kind": name, **EXAMPLES[name][0]})
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
    assert list(kind.schema.model_fields)[:2] in (["column", "kind"], ["kind", "name"])
    assert kind_of(example(name)) is kind
    assert set(kind.policies) <= set(kind.schema.model_fields)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_entry_yields_its_coefficients_as_they_are_in_the_file(name: str) -> None:
    stated = EXAMPLES[name][0]
    numbers = [number for _, number in FEATURE_KINDS[name].coefficients(stated)]
    words, entries = FEATURE_KINDS[name].describe(example(name))
    assert words.startswith(name)
    assert [entry.coefficient for entry in entries] == numbers


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_entry_makes_a_term_of_a_column(name: str) -> None:
    tally = RowTally(3)
    batch = BatchColumns({"x": BatchColumn(0, "x", EXAMPLES[name][1])}, tally)
    prepared = FEATURE_KINDS[name].prepare(example(name), batch)
    assert prepared.term is not None
    assert tally.events["missing x"] == 1


def test_messages_know_every_key_and_policy() -> None:
    numeric = ("column", "kind", "name", "coefficient", "center", "scale", "boolean", "missing")
    assert VOCABULARY.keys["<numeric>"] == numeric
    assert VOCABULARY.keys["<categorical>"] == (
        "column",
        "kind",
        "name",
        "coefficients",
        "levels",
        "missing",
        "unseen",
    )
    number, level = (
        '"null", "error", "quarantine" or {"impute": number}',
        '"null", "error", "quarantine" or {"level": text}',
    )
    unseen = '"null", "zero", "error", "quarantine" or {"level": text}'
    assert VOCABULARY.policies[("<numeric>", "missing")] == number
    assert VOCABULARY.policies[("<transformed>", "missing")] == number
    assert VOCABULARY.policies[("<numeric term>", "missing")] == number
    assert VOCABULARY.policies[("offset", "missing")] == number
    assert VOCABULARY.policies[("<categorical>", "missing")] == level
    assert VOCABULARY.policies[("<categorical>", "unseen")] == unseen
    assert VOCABULARY.policies[("<categorical term>", "unseen")] == unseen
    assert VOCABULARY.rules[("<numeric>", "missing")] == ("impute",)
    assert VOCABULARY.rules[("<binned>", "missing")] == ("impute", "coefficient")


def test_a_model_without_later_kinds_and_sections_does_not_load_them() -> None:
    code = (
        "import sys\nfrom pipeline.models import ScoreRequest, load_model, score_block\n"
        f"score_block(load_model({str(SAMPLE)!r}), ScoreRequest()).fields()\n"
        "inner = [name for name in sys.modules if name.startswith('pipeline.models.logistic.')]\n"
        "print(*(name.rpartition('.')[2] for name in inner))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    later = {"binned", "indicator", "transformed", "transforms", "product", "offset", "calibration", "points", "bands"}
    later |= {"reasons", "references", "decisions", "gathering", "scorecard", "show", "described", "contents"}
    assert not later & set(found.stdout.split())
