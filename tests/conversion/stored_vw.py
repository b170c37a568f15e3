"""Models and predictions of VW, stored so that tests need no VW.

    python -m tests.conversion.stored_vw

trains each model on rows of its own, and writes the readable text, the rows and VW's predictions for them to
``tests/conversion/data/vw.json``. Needs vowpalwabbit.
"""

from __future__ import annotations

import json
import math
import random
import tempfile
from pathlib import Path
from typing import Any

STORED = Path(__file__).parent / "data" / "vw.json"

LINK = "--loss_function logistic --link logistic"
CASES = {
    "numbers and words": LINK,
    "without the constant": f"{LINK} --noconstant",
    "numbers times words": f"{LINK} -q nc",
    "squares and pairs": f"{LINK} --quadratic nn --quadratic cc",
    "three at once": f"{LINK} --cubic nnc --ignore_linear c",
    "plain gradient steps": f"{LINK} --sgd -l 0.01",
    "follow the leader": f"{LINK} --ftrl",
    "hashed words": f"{LINK} --hash all -b 22",
}
ROWS = 300


def rows() -> dict[str, list[Any]]:
    """Return rows as columns: 20 of them lack a number, 20 a word, and 20 have a word that is not in the model."""
    draw = random.Random(16)
    columns: dict[str, list[Any]] = {
        "age": [round(draw.uniform(18, 80), 3) for _ in range(ROWS)],
        "income": [round(draw.lognormvariate(0.5, 0.8), 4) for _ in range(ROWS)],
        "country": [draw.choice(["NL", "DE", "New_York"]) for _ in range(ROWS)],
        "sex": [draw.choice(["f", "m"]) for _ in range(ROWS)],
    }
    columns["age"][:20] = [None] * 20
    columns["sex"][20:40] = [None] * 20
    columns["country"][40:60] = ["FR"] * 20
    # VW once left out the square of a 1.
    columns["income"][60:80] = [1.0] * 20
    return columns


def lines(columns: dict[str, list[Any]], *, labels: bool) -> list[str]:
    """Return rows as VW reads them; a missing value is a feature that is not there."""
    draw, made = random.Random(61), []
    for age, income, country, sex in zip(*columns.values(), strict=True):
        z = -1.5 + 0.03 * (age or 0) + (0.7 if country == "NL" else 0) - (0.5 if sex == "f" else 0)
        label = "1" if draw.random() < 1 / (1 + math.exp(-z)) else "-1"
        numbers = " ".join(f"{name}:{value}" for name, value in (("age", age), ("income", income)) if value is not None)
        words = " ".join(f"{name}={value}" for name, value in (("country", country), ("sex", sex)) if value is not None)
        made.append(f"{label if labels else ''} |n {numbers} |c {words}".strip())
    return made


def train(options: str, folder: Path) -> tuple[str, list[float]]:
    """Return the readable text of a model with names, and its predictions for the rows."""
    import vowpalwabbit

    known = {name: values[60:] for name, values in rows().items()}
    data, text, model = folder / "data.vw", folder / "text", folder / "model"
    data.write_text("\n".join(lines(known, labels=True) * 3) + "\n")
    workspace = vowpalwabbit.Workspace(f"--quiet {options} -d {data} --invert_hash {text} -f {model}")
    workspace.finish()
    tested = vowpalwabbit.Workspace(f"--quiet -t -i {model}")
    predictions = [float(tested.predict(line)) for line in lines(rows(), labels=False)]
    tested.finish()
    return text.read_text(), predictions


def main() -> None:
    """Write the stored file."""
    stored = {}
    for name, options in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            text, predictions = train(options, Path(folder))
        stored[name] = {"options": options, "text": text, "predictions": predictions}
    STORED.write_text(json.dumps({"rows": rows(), "cases": stored}, indent=0) + "\n")


if __name__ == "__main__":
    main()
