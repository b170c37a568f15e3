"""Writes what converts from scikit-learn, and how well, into the guide page about models.

    python -m tests.conversion.sklearn_matrix            measure with the scikit-learn that is installed, and write
    python -m tests.conversion.sklearn_matrix --check    measure, and compare with what is written

Each scikit-learn (1.6, 1.9 and so on) has its own figures in ``sklearn_matrix.json``; the page shows the oldest and the
newest of them. ``--check`` prints the version and how many cases converted, and ends with 1 where one differs.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import sklearn

from pipeline.conversion.sklearn import from_sklearn
from pipeline.errors import ModelError
from tests.conversion.scored import difference
from tests.conversion.sklearn_cases import CASES, Case, frame

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "jobs" / "guide" / "models.md"
MEASURED = Path(__file__).with_suffix(".json")
MARKED = re.compile(r"(<!-- scikit-learn: [^>]* -->\n).*?(<!-- end of scikit-learn -->)", re.DOTALL)
# How much larger than the stored figure a difference may be, on another processor.
_MARGIN, _LEAST = 10.0, 1e-15

Figures = Mapping[str, float | str]


def version() -> str:
    return ".".join(sklearn.__version__.split(".")[:2])


def measured(case: Case) -> float | str:
    """Return the largest difference of a case in the probability, or in the raw prediction of one that has none."""
    if not case.is_available:
        return "not there"
    fitted = case.fitted()
    try:
        model = from_sklearn(fitted)
    except ModelError:
        return "refused"
    found = difference(model, fitted, case.input(frame(seed=9, odd=True)), is_float32=case.is_float32)
    if found.share > 1:
        raise SystemExit(f"{case.title} differs by {found.share:.3g} times of what is allowed")
    return found.raw if found.probability != found.probability else found.probability


def differs(stored: float | str | None, now: float | str) -> bool:
    if isinstance(stored, float) and isinstance(now, float):
        return now > max(_MARGIN * stored, _LEAST)
    return stored != now


def stored() -> dict[str, dict[str, float | str]]:
    found: dict[str, dict[str, float | str]] = json.loads(MEASURED.read_text())
    return found


def table(every: Mapping[str, Figures]) -> str:
    """Return the table in Markdown, with the oldest and the newest scikit-learn."""
    versions = sorted(every, key=lambda name: tuple(map(int, name.split("."))))
    shown = list(dict.fromkeys((versions[0], versions[-1])))
    lines = []
    for group in dict.fromkeys(case.group for case in CASES):
        lines += [_row([group, *shown]), _row(["---"] * (1 + len(shown)))]
        for case in CASES:
            if case.group == group:
                lines.append(_row([case.title, *(_shown(every[name].get(case.title, "")) for name in shown)]))
        lines.append("\n")
    return "".join(lines[:-1])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


def _shown(figure: float | str) -> str:
    if isinstance(figure, str):
        return "" if figure == "not there" else figure
    return "0" if figure == 0 else f"{figure:.0e}".replace("e-0", "e-")


def current(text: str) -> str:
    """Return the text of the page with the table that belongs into it."""
    changed, count = MARKED.subn(lambda match: match[1] + table(stored()) + match[2], text)
    if count != 1:
        raise SystemExit("jobs/guide/models.md must have one place for the table of scikit-learn")
    return changed


def main(arguments: Sequence[str]) -> int:
    found = {case.title: measured(case) for case in CASES}
    converted = sum(isinstance(figure, float) for figure in found.values())
    print(f"scikit-learn {sklearn.__version__} {converted} cases converted")
    every = stored() if MEASURED.exists() else {}
    if "--check" in arguments:
        wrong = [title for title, now in found.items() if differs(every.get(version(), {}).get(title), now)]
        print(
            "\n".join(f"{title}: {every.get(version(), {}).get(title)} before, {found[title]} now" for title in wrong)
        )
        return 1 if wrong else 0
    every[version()] = found
    MEASURED.write_text(json.dumps(dict(sorted(every.items())), indent=1, ensure_ascii=False) + "\n")
    PAGE.write_text(current(PAGE.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
