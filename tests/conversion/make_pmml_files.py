"""Makes the PMML files of other tools in ``pmml_files``, and what scikit-learn and JPMML give for their rows.

    python tests/conversion/make_pmml_files.py nyoka      # with nyoka, scikit-learn and pandas
    python tests/conversion/make_pmml_files.py sklearn2pmml   # with sklearn2pmml, its scikit-learn, pandas, and Java
    python tests/conversion/make_pmml_files.py jpmml      # with jpmml-evaluator, JPype and Java
    python tests/conversion/make_pmml_files.py exported   # with these and logitstream

The first two write ``NAME.pmml``. ``jpmml`` writes ``expected.json``: for every file there some rows, and what the
evaluator gives for them, ``null`` where it gives nothing. ``exported`` writes ``exported.json``: the same for random
models that logitstream has written as PMML, with the digest of the document. Files that are not made here were written
by hand, after the examples of the standard.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import sys
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("pmml_files")


def _rows_of_iris() -> tuple[Any, Any]:
    from sklearn.datasets import load_iris

    rows, species = load_iris(return_X_y=True, as_frame=True)
    rows.columns = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
    return rows, species


def nyoka() -> None:
    from nyoka import skl_to_pmml
    from sklearn import preprocessing
    from sklearn.decomposition import PCA
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline

    rows, species = _rows_of_iris()
    steps = {
        "plain": [],
        "standard": [("scale", preprocessing.StandardScaler())],
        "minmax": [("scale", preprocessing.MinMaxScaler())],
        "imputed": [("impute", SimpleImputer()), ("scale", preprocessing.RobustScaler())],
        "scaled_imputed": [("scale", preprocessing.StandardScaler()), ("impute", SimpleImputer())],
        "polynomial": [("scale", preprocessing.MaxAbsScaler()), ("powers", preprocessing.PolynomialFeatures(2))],
        "pca": [("pca", PCA(2))],
        "binarized": [("binarize", preprocessing.Binarizer(threshold=2.0))],
    }
    for name, before in steps.items():
        for kind, target in {"binary": species == 1, "classes": species}.items():
            pipeline = Pipeline([*before, ("model", LogisticRegression())]).fit(rows, target.astype(int))
            skl_to_pmml(pipeline, list(rows.columns), "species", str(FOLDER / f"nyoka_{name}_{kind}.pmml"))

    flights, score = _flights()
    one_hot = [("levels", preprocessing.OneHotEncoder()), ("model", LogisticRegression())]
    pipeline = Pipeline(one_hot).fit(flights[["carrier"]].astype(object), (score > 0.3).astype(int))
    skl_to_pmml(pipeline, ["carrier"], "late", str(FOLDER / "nyoka_onehot_binary.pmml"))


def _flights() -> tuple[Any, Any]:
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(0)
    count = 400
    rows = pd.DataFrame(
        {
            "distance": rng.normal(1000, 300, count),
            "hour": rng.integers(0, 24, count).astype(float),
            "carrier": rng.choice(["AA", "UA", "DL"], count),
            "weekend": rng.choice([True, False], count),
        }
    )
    return rows, (rows.distance - 1000) / 300 + 0.1 * rows.hour - 1 + (rows.carrier == "AA") + rng.logistic(size=count)


def sklearn2pmml() -> None:
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import (
        KBinsDiscretizer,
        OneHotEncoder,
        OrdinalEncoder,
        PolynomialFeatures,
        StandardScaler,
    )
    from sklearn2pmml import sklearn2pmml as write
    from sklearn2pmml.pipeline import PMMLPipeline

    rows, score = _flights()
    binary, classes = score > 0.3, ["high" if each > 1.2 else "mid" if each > -0.2 else "low" for each in score]
    numbers, levels = ["distance", "hour"], ["carrier", "weekend"]
    coded = ("levels", OneHotEncoder(handle_unknown="ignore"), levels)
    scaled = ColumnTransformer([("numbers", StandardScaler(), numbers), coded])
    imputed = ColumnTransformer([("numbers", make_pipeline(SimpleImputer(), StandardScaler()), numbers), coded])
    binned = ColumnTransformer(
        [("numbers", KBinsDiscretizer(4, quantile_method="averaged_inverted_cdf"), numbers), coded]
    )
    ordinal = ColumnTransformer([("numbers", StandardScaler(), numbers), ("levels", OrdinalEncoder(), ["carrier"])])
    powers = ColumnTransformer([("numbers", PolynomialFeatures(2), numbers)])
    models = {
        "standard": (scaled, binary, LogisticRegression()),
        "imputed": (imputed, classes, LogisticRegression()),
        "binned": (binned, binary, LogisticRegression()),
        "ordinal": (ordinal, binary, LogisticRegression()),
        "one_vs_rest": (scaled, classes, OneVsRestClassifier(LogisticRegression())),
        "polynomial": (powers, binary, LogisticRegression(max_iter=10_000)),
    }
    for name, (columns, target, model) in models.items():
        pipeline = PMMLPipeline([("columns", columns), ("model", model)])
        pipeline.fit(rows, _named(target))
        pipeline.verify(rows.sample(5, random_state=1))
        write(pipeline, str(FOLDER / f"sklearn2pmml_{name}.pmml"))


def _named(target: Any) -> Any:
    import pandas as pd

    return pd.Series(target, name="late")


def jpmml() -> None:
    from jpmml_evaluator import make_evaluator
    from jpmml_evaluator.jpype import JPypeBackend

    backend = JPypeBackend()
    expected = {}
    for path in sorted(FOLDER.glob("*.pmml")):
        evaluator = make_evaluator(str(path), backend=backend).verify()
        rows = [_row(evaluator, random.Random(f"{path.name} {place}")) for place in range(40)]
        expected[path.name] = {"rows": rows, "results": [_evaluated(evaluator, row) for row in rows]}
    text = ",\n".join(f"{json.dumps(name)}: {json.dumps(found)}" for name, found in expected.items())
    (FOLDER / "expected.json").write_text("{" + text + "}\n")


# Names of columns, and what is drawn for them.
_DRAWN = {
    **dict.fromkeys(("sepal_length", "sepal_width", "petal_length", "petal_width"), lambda rng: rng.uniform(0, 8)),
    "distance": lambda rng: rng.gauss(1000, 300),
    "hour": lambda rng: float(rng.randint(0, 23)),
    "carrier": lambda rng: rng.choice(["AA", "UA", "DL", "ZZ"]),
    "weekend": lambda rng: rng.choice([True, False]),
    "age": lambda rng: float(rng.randint(15, 75)),
    "income": lambda rng: rng.choice([rng.gauss(1500, 900), 1000.0, 2500.0]),
    "department": lambda rng: rng.choice(["marketing", "engineering", "business", "law"]),
    "dose": lambda rng: rng.uniform(0.1, 30),
    "weight": lambda rng: rng.gauss(70, 20),
    "sex": lambda rng: rng.choice(["f", "m"]),
    "minority": lambda rng: rng.choice([0, 1]),
    "exposure": lambda rng: rng.gauss(0, 1),
}


def _row(evaluator: Any, rng: random.Random) -> dict[str, Any]:
    names = sorted(field.getName() for field in evaluator.getInputFields())
    return {name: None if rng.random() < 0.1 else _DRAWN[name](rng) for name in names}


def _evaluated(evaluator: Any, row: Mapping[str, Any]) -> dict[str, Any] | None:
    from jpmml_evaluator import JavaError

    try:
        result = evaluator.evaluate(dict(row))
    except JavaError:
        return None
    return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in result.items()}


SEEDS, ROWS = range(60), 8


def exported() -> None:
    sys.path[:0] = [str(FOLDER.parent), str(FOLDER.parents[2])]
    from jpmml_evaluator.jpype import JPypeBackend
    from pmml_models import Maker, rows

    from pipeline.conversion.pmml.writing import write
    from pipeline.errors import ModelError
    from pipeline.models.logistic.parsing import from_mapping

    backend = JPypeBackend()
    found = {}
    for seed in SEEDS:
        try:
            data = write(from_mapping(Maker(seed).document()))
        except ModelError:
            continue
        results = probabilities(data, rows(seed, ROWS).to_pylist(), backend)
        found[seed] = {"sha256": hashlib.sha256(data).hexdigest(), "probabilities": results}
    text = ",\n".join(f'"{seed}": {json.dumps(each)}' for seed, each in found.items())
    (FOLDER / "exported.json").write_text("{" + text + "}\n")


def probabilities(data: bytes, rows: list[dict[str, Any]], backend: Any) -> list[list[float] | None]:
    """Return the probabilities of a document that logitstream has written, ``None`` for a row without."""
    from jpmml_evaluator import make_evaluator

    with tempfile.NamedTemporaryFile(suffix=".pmml") as file:
        file.write(data)
        file.flush()
        evaluator = make_evaluator(file.name, backend=backend).verify()
    columns = {field.getName() for field in evaluator.getInputFields()}
    wanted = [each.getName() for each in evaluator.getOutputFields() if each.getName().startswith("probability")]
    results = []
    for row in rows:
        result = _evaluated(evaluator, {name: value for name, value in row.items() if name in columns})
        made = None if result is None else [result.get(name) for name in wanted]
        results.append(None if made is None or None in made else made)
    return results


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    FOLDER.mkdir(exist_ok=True)
    {"nyoka": nyoka, "sklearn2pmml": sklearn2pmml, "jpmml": jpmml, "exported": exported}[sys.argv[1]]()
