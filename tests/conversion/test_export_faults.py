"""What a target cannot express is refused by name before anything is written: rows of the table of model faults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline.conversion.exporting import EXPORTERS, export
from pipeline.conversion.sql import writing
from pipeline.errors import LogitstreamError, ModelError, UsageError
from pipeline.models import LogisticModel
from pipeline.models.logistic.parsing import from_mapping

ROOT = Path(__file__).resolve().parents[2]
TESTS: Mapping[str, Sequence[str]] = {
    "X-1": ("test_x01_what_a_target_cannot_express_is_refused_by_name",),
    "X-2": ("test_x02_a_refusal_leaves_the_file_that_was_there",),
    "X-3": ("test_x03_a_target_or_dialect_that_does_not_exist_is_a_usage_error",),
    "X-4": ("test_x04_text_that_no_database_would_read_is_refused",),
}

NUMERIC = {"column": "x", "kind": "numeric", "coefficient": 1.25}


def document(*features: object, **other: object) -> dict[str, Any]:
    head = {"format": "logitstream-model", "version": 2, "kind": "logistic", "intercept": -0.5}
    return head | {"features": list(features) or [NUMERIC]} | other


def named(*columns: str) -> dict[str, Any]:
    return document(*(NUMERIC | {"column": column} for column in columns))


def of_classes(*names: str) -> dict[str, Any]:
    return document(NUMERIC | {"coefficient": [1.0, 2.0]}, intercept=[0.0, 0.5], classes=list(names))


LONG = "n" * 62
REASONS = document(output={"columns": ["probability", "reasons"], "reasons": {"count": 1}})
ROWS = (
    ("sql", "duckdb", REASONS, "SQL cannot make the column reasons"),
    ("sql", "postgresql", REASONS, "SQL cannot make the column reasons"),
    ("python", None, REASONS, "the Python module cannot make the column reasons"),
    ("sql", "spark", document(NUMERIC | {"column": "a\0b"}), 'column "a\\\\x00b": a name in SQL has no NUL'),
    (
        "sql",
        "duckdb",
        document(
            target={"negative": "a", "positive": "\0"}, output={"columns": ["decision"], "threshold": 0.5}
        ),
        '"\\\\x00" cannot be text in SQL',
    ),
    ("sql", "duckdb", named("Age", "b", "aGe"), 'DuckDB cannot tell the columns "Age" and "aGe" apart'),
    ("sql", "spark", named("Ü", "ü"), 'Spark cannot tell the columns "Ü" and "ü" apart'),
    ("sql", "postgresql", named(LONG + "é", LONG + "ü"), f'PostgreSQL cannot tell the columns "{LONG}é" and'),
    ("sql", "duckdb", of_classes("a", "A"), '"probability_a" and "probability_A" apart'),
)  # fmt: skip


@pytest.mark.parametrize("row", TESTS)
def test_every_row_has_tests_with_its_name(row: str) -> None:
    letter, number = row.split("-")
    for name in TESTS[row]:
        assert name.startswith(f"test_{letter.lower()}{int(number):02d}_")
        assert name in globals()


@pytest.mark.parametrize(("kind", "dialect", "whole", "said"), ROWS)
def test_x01_what_a_target_cannot_express_is_refused_by_name(
    kind: str, dialect: str | None, whole: dict[str, Any], said: str
) -> None:
    with pytest.raises(ModelError, match=said) as caught:
        export(from_mapping(whole), kind, dialect=dialect)
    assert caught.value.exit_code == 65
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("dialect", "columns"),
    [("postgresql", ["Age", "age"]), ("duckdb", ["Ü", "ü"]), ("spark", [LONG + "12", LONG + "13"])],
)
def test_columns_that_a_database_tells_apart_are_not_refused(dialect: str, columns: list[str]) -> None:
    text = str(export(from_mapping(named(*columns)), "sql", dialect=dialect))
    assert all(column in text for column in columns)


@pytest.mark.parametrize("names", [("a\n", "a\\n"), ("n" * 120 + "1", "n" * 120 + "2")])
def test_classes_that_differ_have_columns_that_differ(names: tuple[str, str]) -> None:
    made: dict[str, Any] = {}
    exec(export(from_mapping(of_classes(*names)), "python"), made)
    columns = [column for column in made["score"](x=0.5) if column.startswith("probability_")]
    assert len(set(columns)) == 2
    text = str(export(from_mapping(of_classes(*names)), "sql"))
    assert all(f'AS "{column}"' in text for column in columns)


def test_x02_a_refusal_leaves_the_file_that_was_there(tmp_path: Path) -> None:
    target = tmp_path / "model.sql"
    target.write_text("old")
    with pytest.raises(ModelError):
        LogisticModel(from_mapping(REASONS)).export("sql", target)
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["model.sql"]


@pytest.mark.parametrize(("kind", "dialect"), [("sqlite", None), ("sql", "oracle"), ("python", "duckdb")])
def test_x03_a_target_or_dialect_that_does_not_exist_is_a_usage_error(kind: str, dialect: str | None) -> None:
    with pytest.raises(UsageError) as caught:
        export(from_mapping(document()), kind, dialect=dialect)
    assert caught.value.remedy


def test_x04_text_that_no_database_would_read_is_refused() -> None:
    levels = {f"level {place} {'x' * 100_000}": 0.1 for place in range(writing.TEXT_LIMIT // 100_000 + 1)}
    feature = {"column": "c", "kind": "categorical", "coefficients": levels}
    with pytest.raises(ModelError, match="the SQL up to the column probability has more than 16,777,216 characters"):
        export(from_mapping(document(feature)), "sql")


def test_the_table_of_targets_has_those_that_can_be_asked_for() -> None:
    assert all(kind == exporter.kind for kind, exporter in EXPORTERS.items())
    assert issubclass(ModelError, LogitstreamError)
