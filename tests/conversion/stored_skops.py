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
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.feature_selection import RFE, SelectFromModel, SelectKBest, VarianceThreshold
from sklearn.frozen import FrozenEstimator
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV, RidgeClassifier, SGDClassifier
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    RandomizedSearchCV,
    TunedThresholdClassifierCV,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import LinearSVC

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


def every_type() -> dict[str, Any]:
    """Return fitted estimators of the types that the list has, each with a name."""
    frame = rows()[["age", "hour"]].fillna(50.0).astype(float)
    target = (frame["hour"] + frame["age"] / 50 > 2.5).astype(int)
    regression = LogisticRegression()
    steps = {
        "scalers": (MinMaxScaler(clip=True), MaxAbsScaler(), RobustScaler()),
        "best columns": (SelectKBest(k=1),),
        "columns of a model": (SelectFromModel(LogisticRegression()),),
        "eliminated columns": (RFE(LogisticRegression(), n_features_to_select=1),),
        "constant columns": (VarianceThreshold(),),
        "components": (PCA(2),),
        "singular values": (TruncatedSVD(1),),
        "logarithms": (FunctionTransformer(np.log1p),),
        "products": (PolynomialFeatures(),),
        "bins": (KBinsDiscretizer(3, quantile_method="averaged_inverted_cdf"),),
        "indicators": (make_union(SimpleImputer(), MissingIndicator()),),
        "ordinal": (make_column_transformer((OrdinalEncoder(), ["hour"]), remainder="passthrough"),),
    }
    made = {name: make_pipeline(*before, regression) for name, before in steps.items()}
    made |= {
        "cross-validated": LogisticRegressionCV(Cs=3),
        "gradient steps": SGDClassifier(loss="log_loss", random_state=np.random.RandomState(0)),
        "ridge": RidgeClassifier(),
        "support vectors": LinearSVC(),
        "support vectors, three classes": LinearSVC(),
        "one against the rest": OneVsRestClassifier(regression),
        "calibrated": CalibratedClassifierCV(regression, ensemble=False),
        "calibrated afterwards": CalibratedClassifierCV(FrozenEstimator(clone(regression).fit(frame, target))),
        "fixed threshold": FixedThresholdClassifier(regression, threshold=0.3),
        "tuned threshold": TunedThresholdClassifierCV(regression),
        "grid": GridSearchCV(regression, {"C": [1, 2]}),
        "random search": RandomizedSearchCV(regression, {"C": [1, 2]}, n_iter=2),
    }
    three = (frame["hour"] % 3).astype(int)
    other = {"one against the rest": three, "support vectors, three classes": three}
    gaps = {"indicators": rows()[["age", "hour"]].astype(float)}
    return {name: clone(each).fit(gaps.get(name, frame), other.get(name, target)) for name, each in made.items()}


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
