"""What every peer is told, by its command line, and the terms of the model that it adds up.

    python PEER.py DATA MODEL OUT FORM RESULTS KEEP

DATA is a Parquet or CSV file or a folder of Parquet files, MODEL a model file; ``id``, the columns KEEP and RESULTS
(names separated by commas) are written to OUT as Parquet with snappy. FORM is a way of putting it that the peer knows.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

THRESHOLD = 0.5


@dataclass(frozen=True)
class Number:
    """A weight for the column in its own unit; what stands for a null, if not null."""

    column: str
    weight: float
    impute: float | None


@dataclass(frozen=True)
class Text:
    """A weight a level; what stands for a null and for any other level, if not null."""

    column: str
    weights: dict[str, float]
    missing: float | None
    unseen: float | None


@dataclass(frozen=True)
class Work:
    """One job of a peer."""

    data: Path
    out: Path
    form: str
    results: list[str]
    keep: list[str]
    intercept: float
    numbers: list[Number]
    texts: list[Text]

    @property
    def csv(self) -> bool:
        """Whether the data is CSV."""
        return self.data.suffix in (".csv", ".gz")

    @property
    def weights(self) -> dict[str, float]:
        """The weights of the numeric columns."""
        return {number.column: number.weight for number in self.numbers}

    @property
    def pattern(self) -> str:
        """The file, or a pattern of the files of the folder."""
        return f"{self.data}/*.parquet" if self.data.is_dir() else str(self.data)


def told() -> Work:
    """Return what the command line says."""
    data, model, out, form, results, keep = sys.argv[1:]
    content = json.loads(Path(model).read_text())
    numbers, texts, intercept = [], [], content["intercept"]
    for feature in content["features"]:
        if feature["kind"] == "categorical":
            texts.append(
                Text(
                    feature["column"], feature["coefficients"], _policy(feature, "missing"), _policy(feature, "unseen")
                )
            )
            continue
        numbers.append(
            Number(
                feature["column"],
                feature["coefficient"] / feature["scale"],
                feature.get("missing", {}).get("impute"),
            )
        )
        intercept -= feature["coefficient"] * feature["center"] / feature["scale"]
    return Work(Path(data), Path(out), form, _names(results), _names(keep), intercept, numbers, texts)


def _policy(feature: dict[str, Any], name: str) -> float | None:
    policy = feature.get(name, "null")
    if isinstance(policy, dict):
        return feature["coefficients"][policy["level"]]
    return 0.0 if policy == "zero" else None


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]
