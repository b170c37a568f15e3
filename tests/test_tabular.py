"""What ``repr`` and notebooks show of results: a short table of facts, safe on a terminal and in a page."""

from __future__ import annotations

import json
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import pipeline as logitstream
from pipeline.diagnosis import GradientReport, LayerGradient

NAUGHTY = "<script>alert(1)</script>\x1b[31m"
MODEL = {
    "format": "logitstream-model",
    "version": 1,
    "kind": "logistic",
    "intercept": 0.5,
    "features": [{"column": "x", "kind": "numeric", "coefficient": 1.0}],
}


class Cells(HTMLParser):
    """Collects the elements and the texts of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One of each result, of 100 rows with one bad one and 60 columns that are kept, one with a naughty name."""
    folder = tmp_path_factory.mktemp("shown")
    names = [f"kept{number}" for number in range(59)]
    rows = [",".join([*(["1"] * 59), "v", str(number) if number != 7 else "seven"]) for number in range(100)]
    (folder / "in.csv").write_text("\n".join([",".join([*names, NAUGHTY, "x"]), *rows]) + "\n")
    (folder / "model.json").write_text(json.dumps(MODEL))
    given: tuple[Path, ...] = (folder / "in.csv", folder / "model.json", folder / "out")
    options: dict[str, Any] = {"keep": "*", "max_bad": 5, "scheduler": "sync"}
    found: dict[str, Any] = {"plan": logitstream.preview(*given, **options)}
    found["report"] = logitstream.score(*given, **options)
    found["again"] = logitstream.score(*given, **options, if_exists="replace")
    found["verification"] = logitstream.verify(folder / "out", inputs=True)
    found["data"] = logitstream.inspect(folder / "in.csv")
    found["quarantine"] = logitstream.inspect(folder / "out" / "_quarantine")
    damaged = Path(shutil.copytree(folder / "out", folder / "damaged"))
    (part,) = damaged.glob("part-*.parquet")
    part.write_bytes(part.read_bytes() + b"x")
    found["damaged"] = logitstream.verify(damaged)
    found["model"] = logitstream.LogisticModel.load(folder / "model.json")
    logitstream.score(*given, **options, if_exists="replace", threshold=0.5)
    found["diagnosis"] = logitstream.diagnose_initialisation(seeds=2)
    first = LayerGradient(1, 0, "dense", 8, "tanh", 0.1, 0.2, 0.3, 0.4)
    layers = (first, LayerGradient(2, 1, "dense", 1, "sigmoid", 1.0, 0.5, 0.0, 0.5))
    found["gradients"] = GradientReport(NAUGHTY, 0.6, {"used": 9, "read": 10}, layers, 0.1, ("It fades.",), "Nothing.")
    (folder / "rows.csv").write_text("\n".join([f"x,{NAUGHTY}", *(f"{each},{each * 7 % 4 < 2}" for each in range(99))]))
    found["calibration"] = logitstream.calibrate(
        folder / "rows.csv", folder / "model.json", target=NAUGHTY, method="platt", scheduler="sync"
    )
    found["rollback"] = logitstream.rollback(folder / "out")
    return found


KINDS = [
    "plan",
    "report",
    "again",
    "verification",
    "data",
    "quarantine",
    "damaged",
    "rollback",
    "model",
    "diagnosis",
    "gradients",
    "calibration",
]


@pytest.mark.parametrize("kind", KINDS)
def test_a_result_is_a_short_table(results: dict[str, Any], kind: str) -> None:
    lines = repr(results[kind]).splitlines()
    assert lines[0] == type(results[kind]).__name__
    assert 3 <= len(lines) <= 36
    assert "\x1b" not in repr(results[kind])
    assert str(results[kind]) == repr(results[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_a_notebook_shows_the_same_escaped(results: dict[str, Any], kind: str) -> None:
    page = Cells(results[kind]._repr_html_())
    assert page.tags <= {"strong", "table", "tr", "td", "th", "p"}
    words = " ".join(repr(results[kind]).split())
    assert all(" ".join(text.split()) in words for text in page.texts)


def test_a_report_counts_its_rows(results: dict[str, Any]) -> None:
    text = repr(results["report"])
    assert "rows         100 read: 99 scored, 0 null, 0 NaN, 1 quarantined\n" in text
    assert "published    yes\n" in text
    assert "published    no: the same job is published already\n" in repr(results["again"])


def test_a_model_names_its_kind_its_output_and_its_columns(results: dict[str, Any]) -> None:
    lines = [line.split() for line in repr(results["model"]).splitlines()]
    for line in (["kind", "logistic"], ["intercept", "0.5"], ["output", "probability"], ["features", "1"]):
        assert line in lines
    assert lines[-2:] == [["feature", "kind"], ["x", "numeric"]]


def test_long_tables_end_with_how_many_rows_are_left_out(results: dict[str, Any]) -> None:
    assert repr(results["data"]).endswith("\n  ... 41 more")
    assert "... 42 more" in repr(results["plan"])


def test_a_verification_lists_what_differs(results: dict[str, Any]) -> None:
    assert "as published         yes\n" in repr(results["verification"])
    assert "as published         no\n" in repr(results["damaged"])
    assert "\n  subject " in repr(results["damaged"])
    assert "bytes" in repr(results["damaged"])


def test_the_range_of_a_column_is_shown_where_it_is_known(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("x,note\n1.5,a\n0.5,b\n")
    (tmp_path / "empty.csv").write_text("x,note\n")
    assert repr(logitstream.inspect(tmp_path / "in.csv", full=True)).splitlines()[-2].split()[-3:] == [
        "0",
        "0.5",
        "1.5",
    ]
    assert "None" not in repr(logitstream.inspect(tmp_path / "empty.csv", full=True))


def test_a_quarantine_lists_its_reasons(results: dict[str, Any]) -> None:
    assert "rows   1, 1 of them bad\n" in repr(results["quarantine"])
    assert repr(results["quarantine"]).splitlines()[-1].split()[:2] == ["1", "x"]


def test_markup_in_a_name_is_text(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(f"{NAUGHTY},x\nv,1\n")
    found = logitstream.inspect(tmp_path / "in.csv")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\\x1b[31m" in found._repr_html_()
    assert "<script>alert(1)</script>\\x1b[31m" in repr(found)
