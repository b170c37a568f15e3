"""One name, one thing: no two classes of the project are called alike."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def classes(root: Path) -> dict[str, list[str]]:
    """Return where each class is defined, by its name without leading underscores."""
    found: dict[str, list[str]] = defaultdict(list)
    for folder in ("pipeline", "jobs"):
        for path in sorted((root / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_bytes())):
                if isinstance(node, ast.ClassDef):
                    found[node.name.lstrip("_")].append(f"{path.relative_to(root)}:{node.lineno}")
    return found


def twice(root: Path) -> dict[str, list[str]]:
    return {name: places for name, places in classes(root).items() if len(places) > 1}


def test_no_class_name_exists_twice() -> None:
    assert twice(ROOT) == {}


def test_a_name_that_exists_twice_is_found(tmp_path: Path) -> None:
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "jobs").mkdir()
    (tmp_path / "pipeline" / "one.py").write_text("class Target: ...\n")
    (tmp_path / "jobs" / "two.py").write_text("def f():\n    class _Target: ...\n")
    assert twice(tmp_path) == {"Target": ["pipeline/one.py:1", "jobs/two.py:2"]}
