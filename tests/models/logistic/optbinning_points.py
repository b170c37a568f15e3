"""Writes the scorecards in ``optbinning.json``: made by optbinning, with the points that it gives to rows.

    python tests/models/logistic/optbinning_points.py

needs optbinning and pandas, and nothing of this project. Each scorecard is stated as the binned and categorical
features of a model file, with rows (null for a missing value) and what optbinning says of them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

PATH = Path(__file__).with_name("optbinning.json")
SCALES = {
    "usual": {"pdo": 20, "odds": 50, "scorecard_points": 600},
    "steep": {"pdo": 45.5, "odds": 1.25, "scorecard_points": 30},
}
ROWS, STORED = 3000, 60


def scorecards() -> dict[str, Any]:
    """Return the scorecards by name."""
    return {name: _scorecard(scale, seed) for seed, (name, scale) in enumerate(SCALES.items())}


def _scorecard(scale: dict[str, float], seed: int) -> dict[str, Any]:
    import numpy as np
    import pandas as pd
    from optbinning import BinningProcess, Scorecard
    from sklearn.linear_model import LogisticRegression

    random = np.random.default_rng(seed)
    rows = pd.DataFrame(
        {
            "age": random.normal(40, 12, ROWS),
            "income": random.lognormal(10, 1, ROWS),
            "state": random.choice(list("ABCD"), ROWS),
        }
    )
    log_odds = (rows["age"] - 40) / 10 - (rows["state"] == "A") + np.log(rows["income"]) / 4 - 2.5
    bad = (random.random(ROWS) < 1 / (1 + np.exp(-log_odds))).astype(int)
    rows.loc[::17, "income"] = np.nan
    process = BinningProcess(list(rows.columns), categorical_variables=["state"])
    card = Scorecard(
        binning_process=process,
        estimator=LogisticRegression(),
        scaling_method="pdo_odds",
        scaling_method_params=scale,
        rounding=False,
    ).fit(rows, bad, metric_missing="empirical")
    head = rows.head(STORED)
    return {
        "scale": scale,
        "intercept": float(card.estimator_.intercept_[0]),
        "features": [_feature(card, name) for name in rows.columns],
        "rows": {name: [None if pd.isna(value) else value for value in head[name]] for name in rows.columns},
        "probability": card.predict_proba(head)[:, 1].tolist(),
        "points": card.score(head).tolist(),
        "table": card.table(style="summary").astype({"Bin": str}).values.tolist(),
    }


def _feature(card: Any, name: str) -> dict[str, Any]:
    table = card.table(style="detailed")
    table = table[table["Variable"] == name]
    binning = card.binning_process_.get_binned_variable(name)
    coefficient = float(table["Coefficient"].iloc[0])
    weights = [coefficient * float(weight) for weight in table["WoE"]]
    bins = len(weights) - 2
    if binning.dtype == "categorical":
        levels = {level: weights[bin_] for bin_ in range(bins) for level in binning.splits[bin_]}
        return {"kind": "categorical", "column": name, "coefficients": levels}
    feature = {"kind": "binned", "column": name, "edges": [float(edge) for edge in binning.splits]}
    return feature | {"coefficients": weights[:bins], "missing": {"coefficient": weights[-1]}}


if __name__ == "__main__":
    PATH.write_text(json.dumps(scorecards(), indent=1) + "\n")
