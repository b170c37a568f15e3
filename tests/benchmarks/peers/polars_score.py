"""Polars, streaming from scan to sink: reads the features, writes id and probability.

    python polars_score.py DATA MODEL OUT FORM

FORM is ``nested``, one expression in the order of the model file, or ``horizontal``, ``sum_horizontal`` over products.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import polars as pl


def raw_prediction(weights: dict[str, float], intercept: float, form: str) -> pl.Expr:
    """Return the sum of products in one of the two forms."""
    terms = [pl.col(name) * weight for name, weight in weights.items()]
    if form == "horizontal":
        return pl.sum_horizontal(pl.lit(intercept), *terms)
    total = pl.lit(intercept)
    for term in terms:
        total = total + term
    return total


def main(data: str, model: str, out: str, form: str) -> None:
    """Score a file."""
    content = json.loads(Path(model).read_text())
    weights, intercept = {}, content["intercept"]
    for feature in content["features"]:
        weights[feature["column"]] = feature["coefficient"] / feature["scale"]
        intercept -= feature["coefficient"] * feature["center"] / feature["scale"]
    if data.endswith(".csv"):
        rows = pl.scan_csv(data, schema_overrides={"id": pl.Int64} | dict.fromkeys(weights, pl.Float64))
    else:
        rows = pl.scan_parquet(data)
    probability = 1 / (1 + (-raw_prediction(weights, intercept, form)).exp())
    scored = rows.select("id", probability.alias("probability"))
    scored.sink_parquet(out, compression="snappy", engine="streaming")


if __name__ == "__main__":
    main(*sys.argv[1:])
