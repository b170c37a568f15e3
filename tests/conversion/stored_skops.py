"""A skops file, stored as base64 so that its schema can be read without skops.

    python -m tests.conversion.stored_skops

fits pipelines, and writes their skops files and the probabilities of some rows to ``tests/conversion/data/skops.json``.
Needs skops and scikit-learn.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

STORED = Path(__file__).parent / "data" / "skops.json"


def rows() -> pd.DataFrame:
    draw = np.random.default_rng(16)
    frame = pd.DataFrame(
        {
            "age": draw.normal(50, 12, 120).round(2),
            "carrier": pd.Series(draw.choice(["AA", "UA", "B6"], 120), dtype=object),
            "hour": draw.integers(0, 4, 120),
        }
    )
    frame.loc[3, "age"] = np.nan
    return frame


def estimators() -> dict[str, Any]:
    """Return fitted estimators, with names of columns and without."""
    frame = rows()
    target = (frame["hour"] + (frame["carrier"] == "AA") > 1).astype(int)
    numbers = frame[["age", "hour"]].fillna(50.0).to_numpy()
    columns = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), ["age"]),
        (OneHotEncoder(handle_unknown="ignore"), ["carrier", "hour"]),
    )
    return {
        "columns by name": make_pipeline(columns, LogisticRegression()).fit(frame, target),
        "columns by place": make_pipeline(StandardScaler(), LogisticRegression()).fit(numbers, target),
        "levels alone": make_pipeline(
            make_column_transformer((OneHotEncoder(), ["carrier", "hour"])), LogisticRegression()
        ).fit(frame, target),
    }


def main() -> None:
    """Write the stored file."""
    import skops.io

    stored = {
        name: base64.b64encode(skops.io.dumps(made, compression=ZIP_DEFLATED)).decode()
        for name, made in estimators().items()
    }
    STORED.write_text(json.dumps(stored, indent=0) + "\n")


if __name__ == "__main__":
    main()
