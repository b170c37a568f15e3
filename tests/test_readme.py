"""The README is short, and is run: every command and every line of Python in it, in order, as its reader would."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.pages import PAGES, README, blocks, is_installing, reader_in

TEXT = README.read_text(encoding="utf-8")


def test_it_is_short() -> None:
    assert len(TEXT.splitlines()) <= 130


def test_two_commands_install_and_each_is_one_line() -> None:
    installing = [block.body for block in blocks(README) if is_installing(block)]
    assert len(installing) == 2
    assert all(len(body.splitlines()) == 1 for body in installing)
    assert "logitstream demo" in installing[0]
    assert "pytest" in installing[1]


def test_everything_runs_in_the_order_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    reader = reader_in(tmp_path)
    reader.follow(README, reader.run)
    for published in ("scores", "logits", "python_scores", "expressions", "nightly"):
        assert (tmp_path / published / "_manifest.json").exists()
    assert (tmp_path / "scores.csv").is_file()
    assert (tmp_path / "my_scores.csv").is_file()
    assert json.loads((tmp_path / "model.json").read_text())["kind"] == "logistic"


@pytest.mark.slow
def test_its_cluster_scores(tmp_path: Path) -> None:
    reader_in(tmp_path).score_on_the_cluster(README)
    assert (tmp_path / "cluster_scores" / "_manifest.json").exists()


def test_the_model_is_explained_before_functions_are() -> None:
    assert TEXT.index("`--model` is") < TEXT.index("## Make a model") < TEXT.index("--apply")


def test_it_lists_every_page_of_the_guide_with_its_question() -> None:
    for topic, page in PAGES.items():
        title = page.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
        assert f"| [{topic}](jobs/guide/{topic}.md) | {title} |" in TEXT
