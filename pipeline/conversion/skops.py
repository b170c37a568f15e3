"""From a skops file to a model: the estimator in it is made of types of our own list alone, then converted.

A skops file is a zip of arrays and of ``schema.json``, which names the type of every object. skops itself trusts most
of scikit-learn, and asks the caller to trust the rest; here the names in the file are compared with the list below
before anything is made, and no file can add to it. Source of the format: skops 0.16, ``skops.io``.
"""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.conversion.agreement import squashed
from pipeline.conversion.importing import Imported
from pipeline.conversion.sklearn.reading import from_sklearn
from pipeline.errors import ConfigurationError, ModelError
from pipeline.models import LogisticModel
from pipeline.units import GIB, MIB, escape, format_bytes

Floats = npt.NDArray[np.float64]

# scikit-learn's own sums are off by the rounding of centers and scales: a column whose mean is 100,000 times its
# deviation by some 3e-10.
TOLERANCE = 1e-9

_SIZE_LIMIT = 2 * GIB
_SCHEMA, _SCHEMA_LIMIT = "schema.json", 256 * MIB


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# By the package and the last part of the name: private modules move between releases. Functions are among them: they
# are named in the file, never called while it is read.
ALLOWED: Mapping[str, frozenset[str]] = {
    "sklearn": _words("""
        LogisticRegression LogisticRegressionCV SGDClassifier OneVsRestClassifier RidgeClassifier RidgeClassifierCV
        LinearSVC CalibratedClassifierCV _CalibratedClassifier _SigmoidCalibration _TemperatureScaling
        IsotonicRegression FrozenEstimator FixedThresholdClassifier TunedThresholdClassifierCV
        GridSearchCV RandomizedSearchCV HalvingGridSearchCV HalvingRandomSearchCV StratifiedKFold KFold
        Pipeline FeatureUnion ColumnTransformer _RemainderColsList make_column_selector
        StandardScaler MinMaxScaler MaxAbsScaler RobustScaler SimpleImputer MissingIndicator FunctionTransformer
        OneHotEncoder OrdinalEncoder TargetEncoder KBinsDiscretizer PolynomialFeatures LabelEncoder LabelBinarizer
        VarianceThreshold SelectKBest SelectPercentile SelectFpr SelectFdr SelectFwe GenericUnivariateSelect
        SelectFromModel RFE RFECV SequentialFeatureSelector PCA TruncatedSVD Bunch
        _Scorer _CurveScorer _PassthroughScorer MetadataRequest MethodMetadataRequest
        f_classif f_regression chi2 mutual_info_classif balanced_accuracy_score accuracy_score roc_auc_score log_loss
        f1_score CyHalfBinomialLoss Log Hinge SquaredHinge ModifiedHuber
    """),
    "builtins": _words("dict list tuple set str int float bool bytes slice object NoneType type"),
    "collections": _words("OrderedDict defaultdict"),
    "numpy": _words("""
        ndarray dtype MaskedArray RandomState float64 float32 int64 int32 bool bool_ str_ object_
        log log1p sqrt square
    """),
    "scipy": _words("csr_matrix csr_array csc_matrix csc_array"),
}
# The ways of making an object; among those that are not here are methods, partial calls and results of ``__reduce__``.
_LOADERS = _words("""
    BytesNode CachedNode DTypeNode DefaultDictNode DictNode FunctionNode JsonNode ListNode LossNode MaskedArrayNode
    NdArrayNode ObjectNode RandomStateNode SetNode SliceNode SparseMatrixNode TupleNode TypeNode
""")
_REMEDY = "convert it where it was made: logitstream.from_sklearn(estimator).save('model.json')"


def convert(path: Path, data: bytes) -> Imported:
    """Return the model of the estimator in a skops file.

    Raises
    ------
    ModelError
        The file is damaged, has a type that is not on the list, or an estimator that cannot be converted.
    ConfigurationError
        skops or scikit-learn is not installed.
    """
    shown = escape(str(path))
    names = _checked(_schema(data, shown), shown)
    for module in ("skops", "sklearn"):
        if find_spec(module) is None:
            raise ConfigurationError(f"{module} is not installed", "pip install 'logitstream[skops]'")
    estimator, notes = _estimator(data, names, shown)
    columns, named = _columns(estimator)
    if columns:
        notes.append(f"the estimator has no names for its columns: they are x0 to x{len(columns) - 1}, in its order")
    try:
        model = from_sklearn(estimator, columns=columns or None)
    except ModelError as error:
        raise ModelError(f"{shown}: {error.message}", error.remedy) from error
    if not isinstance(model, LogisticModel):
        raise ModelError(f"{shown} holds a network, whose weights need a file of their own", _REMEDY)
    document: dict[str, Any] = json.loads(model.to_json())
    parts = [part for feature in document["features"] for part in feature.get("terms", [feature])]
    types = {part["column"]: part["levels"] for part in parts if "levels" in part}
    score = _EstimatorScores(estimator, columns or named, types, bool(named))
    return Imported(document, tuple(notes), TOLERANCE, score, unnamed=tuple(columns))


def _schema(data: bytes, shown: str) -> Any:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            size = sum(member.file_size for member in file.infolist())
            schema = file.getinfo(_SCHEMA).file_size
            if size > _SIZE_LIMIT or schema > _SCHEMA_LIMIT:
                raise ModelError(f"{shown} has {format_bytes(size)} unpacked, which is too much", _REMEDY)
            return json.loads(file.read(_SCHEMA))
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError, NotImplementedError, RecursionError, OSError) as error:
        raise ModelError(
            f"{shown} is not a skops file, or damaged", "write it again: skops.io.dump(estimator, FILE)"
        ) from error


def _checked(schema: Any, shown: str) -> list[str]:
    """Return the names of all types in a schema.

    Raises
    ------
    ModelError
        A type is not on the list.
    """
    found = list(dict.fromkeys(_types(schema)))
    unknown = [module + "." + name for module, name, loader in found if not _is_allowed(module, name, loader)]
    if unknown:
        more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
        raise ModelError(f"{shown} has types that are not read: {escape(', '.join(unknown[:5]), 300)}{more}", _REMEDY)
    if not found:
        raise ModelError(f"{shown} has no estimator", "write it again: skops.io.dump(estimator, FILE)")
    return [module + "." + name for module, name, _ in found]


def _types(schema: Any) -> Iterator[tuple[str, str, str]]:
    """Yield module, name and loader of every object of a schema, however it is nested."""
    waiting = [schema]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            if "__loader__" in value:
                yield tuple(str(value.get(key)) for key in ("__module__", "__class__", "__loader__"))  # type: ignore[misc]
            waiting += value.values()


def _is_allowed(module: str, name: str, loader: str) -> bool:
    return loader in _LOADERS and name in ALLOWED.get(module.partition(".")[0], frozenset())


def _estimator(data: bytes, names: Sequence[str], shown: str) -> tuple[Any, list[str]]:
    """Return the estimator of a file whose types were checked, and what scikit-learn warns of."""
    import skops.io as files  # noqa: PLC0415 - an extra

    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            # Each name was found on our list; skops wants those beyond its own.
            estimator = files.loads(data, trusted=list(names))
    except (TypeError, ValueError, KeyError, AttributeError, ImportError, OSError, EOFError, RecursionError) as error:
        raise ModelError(f"{shown} cannot be read: {escape(str(error), 300)}", _REMEDY) from error
    versions = [str(each.message) for each in warned if type(each.message).__name__ == "InconsistentVersionWarning"]
    if not hasattr(estimator, "get_params"):
        raise ModelError(f"{shown} holds a {escape(type(estimator).__name__)}, not an estimator", _REMEDY)
    return estimator, [f"scikit-learn warns: {escape(text, 300)}" for text in versions[:1]]


def _columns(estimator: Any) -> tuple[list[str], list[str]]:
    """Return names for the columns of an estimator that has none, and the names of one that has; one is empty."""
    named = getattr(estimator, "feature_names_in_", None)
    if named is not None:
        return [], [str(name) for name in named]
    return [f"x{position}" for position in range(int(getattr(estimator, "n_features_in_", 0)))], []


_READ: Mapping[str, Callable[[str], Any]] = {
    "integer": int,
    "number": float,
    "boolean": {"true": True, "false": False}.get,
}


class _EstimatorScores:
    """Scores named columns with an estimator; rows that it refuses get NaN."""

    def __init__(self, estimator: Any, names: Sequence[str], types: Mapping[str, str], is_named: bool) -> None:
        self._estimator = estimator
        self._names = names
        self._types = types
        self._is_named = is_named

    def __call__(self, columns: Mapping[str, Any]) -> Floats:
        """Return the probability of the positive class, or of every class."""
        rows = len(next(iter(columns.values())))
        # A column that adds nothing to any score is not asked for.
        cells = {name: self._cells(name, columns.get(name, np.zeros(rows))) for name in self._names}
        return self._scores(self._frame(cells), 0, rows)

    def _cells(self, name: str, values: Any) -> Any:
        """Return cells as the estimator was fitted with them: text of a CSV has the type of the levels."""
        if isinstance(values, np.ndarray):
            return values
        if any(isinstance(value, str) for value in values):
            read = _READ.get(self._types.get(name, ""), str)
            return np.array([None if value is None else _read(value, read) for value in values], dtype=object)
        return np.array([np.nan if value is None else value for value in values])

    def _frame(self, cells: Mapping[str, Any]) -> Any:
        if not self._is_named:
            return np.column_stack(list(cells.values())) if len(cells) > 1 else next(iter(cells.values()))[:, None]
        if find_spec("pandas") is None:
            raise ConfigurationError(
                "pandas is not installed, which scikit-learn needs for names", "pip install pandas"
            )
        from pandas import DataFrame  # noqa: PLC0415 - an extra

        return DataFrame(dict(cells))

    def _scores(self, frame: Any, first: int, last: int) -> Floats:
        piece = frame.iloc[first:last] if self._is_named else frame[first:last]
        try:
            return self._probabilities(piece)
        except (ValueError, TypeError):
            if last - first <= 1:
                return np.full(self._shape(last - first), np.nan)
        middle = (first + last) // 2
        return np.concatenate([self._scores(frame, first, middle), self._scores(frame, middle, last)])

    def _shape(self, rows: int) -> tuple[int, ...]:
        count = len(self._estimator.classes_)
        return (rows,) if count == 2 else (rows, count)

    def _probabilities(self, piece: Any) -> Floats:
        if not len(piece):
            return np.empty(self._shape(0))
        if hasattr(self._estimator, "predict_proba"):
            found: Floats = np.asarray(self._estimator.predict_proba(piece), dtype=np.float64)
            return found[:, 1] if found.shape[1] == 2 else found
        return squashed(np.asarray(self._estimator.decision_function(piece), dtype=np.float64))


def _read(text: str, read: Callable[[str], Any]) -> Any:
    """Return text as another type; what is not so spelled stays text, which no level is."""
    try:
        return read(text)
    except ValueError:
        return text
