"""From a model to a fitted scikit-learn Pipeline."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any, cast

import numpy as np

from pipeline.dataclass import dataclass
from pipeline.errors import ConfigurationError, ModelError
from pipeline.models.levels import LevelType, level_value
from pipeline.models.logistic.categorical import CategoricalFeature
from pipeline.models.logistic.features import kind_of
from pipeline.models.logistic.file import ModelFile
from pipeline.models.logistic.numeric import NumericFeature
from pipeline.models.logistic.policies import Impute, Level
from pipeline.units import escape

_REMEDY = "score with logitstream, or change the model file"


@dataclass(frozen=True, slots=True)
class SklearnPart:
    """A feature as a step: its column with two values that fit it, and a row of coefficients for each class."""

    column: str
    step: Any
    example: Sequence[Any]
    coefficients: Any


def to_sklearn(file: ModelFile) -> Any:
    """Return a fitted Pipeline of a ColumnTransformer and a LogisticRegression that gives the scores of a model.

    A model with a threshold is this Pipeline in a FixedThresholdClassifier.
    It takes a pandas dataframe with the columns of the model. Centers and scales are folded into coefficients and
    intercept. Read back with :func:`pipeline.from_sklearn`, raw predictions have the same bits; its own differ in the
    last places, because scikit-learn adds in another order.

    Raises
    ------
    ModelError
        scikit-learn has no step for a part of the model: a policy that makes a row null or sets it aside, a kind of
        feature other than numeric and categorical, an offset, another link, parameters of the sigmoid, a calibration,
        contributions, points, bands or reasons.
    ConfigurationError
        scikit-learn or pandas is not installed.
    """
    for name, package in (("scikit-learn", "sklearn"), ("pandas", "pandas")):
        if find_spec(package) is None:
            raise ConfigurationError(f"{name} is not installed", f"pip install {name}")
    _check(file)
    made = _pipeline(file)
    return made if file.output.threshold is None else _with_threshold(made, file.output.threshold)


def _pipeline(file: ModelFile) -> Any:
    import pandas as pd  # noqa: PLC0415 - optional
    from sklearn.compose import ColumnTransformer  # noqa: PLC0415 - optional
    from sklearn.pipeline import Pipeline  # noqa: PLC0415 - optional

    parts = [_PARTS[feature.kind](feature, f"features[{place}]") for place, feature in enumerate(file.features)]
    prepare = ColumnTransformer([(f"feature {place}", part.step, [part.column]) for place, part in enumerate(parts)])
    prepare.fit(pd.DataFrame({part.column: part.example for part in parts}))
    return Pipeline(
        [("columns", prepare), ("classifier", _classifier(file, np.hstack([p.coefficients for p in parts])))]
    )


def _with_threshold(fitted: Any, threshold: float) -> Any:
    """Return a fitted Pipeline that decides for the positive class from a probability on."""
    from sklearn.frozen import FrozenEstimator  # noqa: PLC0415 - optional
    from sklearn.model_selection import FixedThresholdClassifier  # noqa: PLC0415 - optional

    frozen = FrozenEstimator(fitted)
    made = FixedThresholdClassifier(frozen, threshold=threshold, response_method="predict_proba")
    made.estimator_ = frozen
    return made


def _classifier(file: ModelFile, coefficients: Any) -> Any:
    """Return a LogisticRegression with coefficients, shape (classes or 1, columns)."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - optional

    target = file.target
    classes: Sequence[Any] = file.classes or (False, True)
    if file.classes is None and target is not None and target.negative is not None:
        classes = (target.negative, target.positive)
    made = LogisticRegression()
    made.classes_ = np.array(classes)
    made.coef_, made.intercept_ = coefficients, np.array(file.bases)
    made.n_features_in_, made.n_iter_ = coefficients.shape[1], np.zeros(1, dtype=np.int32)
    return made


def _check(file: ModelFile) -> None:
    """Refuse what a LogisticRegression cannot say of the raw prediction."""
    odd = {
        f'the link "{file.link}"': file.link != "logit",
        "an offset": file.offset is not None,
        "parameters of the sigmoid, output.temperature, alpha or beta": bool(file.output.changed),
        "a calibration": file.output.calibration is not None,
        **{name: getattr(file.output, name) is not None for name in ("points", "bands", "reasons")},
        "contributions": "contributions" in (file.output.columns or ()),
        'normalise "one-vs-rest"': file.classes is not None and file.normalise != "softmax",
        'two classes in "classes", not in "target",': len(file.classes or ()) == 2,
    }
    for what, is_so in odd.items():
        if is_so:
            raise ModelError(f"the model has {what}, which a LogisticRegression of scikit-learn does not have", _REMEDY)
    seen = set[str]()
    for place, feature in enumerate(file.features):
        where = f'features[{place}] ("{escape(feature.label)}")'
        if feature.kind not in _PARTS:
            raise ModelError(f"{where} is of the kind {feature.kind}, which to_sklearn does not write", _REMEDY)
        column = feature.column  # type: ignore[attr-defined]
        if column in seen:
            raise ModelError(f"{where} has the column of another feature, which to_sklearn does not write", _REMEDY)
        seen.add(column)


def _numeric(feature: NumericFeature, where: str) -> SklearnPart:
    step: Any = "passthrough"
    if isinstance(feature.missing, Impute):
        step = _imputer(np.nan, feature.missing.impute)
    elif feature.missing != "error":
        raise _policy(where, feature.column, "missing", feature.missing)
    weights = [value / feature.scale for value in _each(feature.coefficient)]
    return SklearnPart(feature.column, step, [0.0, 1.0], np.array(weights).reshape(-1, 1))


def _imputer(missing: Any, value: Any) -> Any:
    from sklearn.impute import SimpleImputer  # noqa: PLC0415 - optional

    return SimpleImputer(missing_values=missing, strategy="constant", fill_value=value)


def _categorical(feature: CategoricalFeature, where: str) -> SklearnPart:
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415 - optional
    from sklearn.preprocessing import OneHotEncoder  # noqa: PLC0415 - optional

    if feature.unseen not in {"zero", "error"}:
        raise _policy(where, feature.column, "unseen", feature.unseen)
    # An encoder that ignores unknown levels ignores missing ones, too.
    if not isinstance(feature.missing, Level) and (feature.missing, feature.unseen) != ("error", "error"):
        raise _policy(where, feature.column, "missing", feature.missing)
    filled = feature.missing.level if isinstance(feature.missing, Level) else None
    (use,) = kind_of(feature).uses(feature)
    values = {level: _value(level, use.level_type) for level in feature.coefficients}
    categories, order = _categories(values, filled)
    if categories is None:
        raise _policy(where, feature.column, "missing", feature.missing)
    known = "error" if feature.unseen == "error" else "ignore"
    step: Any = OneHotEncoder(categories=[categories], handle_unknown=known, sparse_output=False)
    fill = None if filled is None else values[filled]
    if fill is not None:
        # In a column of texts null may be None or NaN.
        lacks = [np.nan, None] if isinstance(fill, str) else [np.nan]
        step = make_pipeline(*(_imputer(lack, fill) for lack in lacks), step)
    example = [categories[0]] * 2
    return SklearnPart(
        feature.column, step, example, np.array([_each(feature.coefficients[level]) for level in order]).T
    )


def _categories(values: Mapping[str, Any], filled: str | None) -> tuple[Any, list[str]]:
    """Return the categories of an encoder, in its order, and their levels; ``None`` where it cannot have them.

    A level that is no value of its type is that of missing values: NaN, after the numbers.
    """
    texts = [level for level, value in values.items() if isinstance(value, str)]
    if len(texts) == len(values):
        return np.array(texts, dtype=object), texts
    order = sorted((level for level, value in values.items() if value is not None), key=values.__getitem__)
    lacks = [level for level, value in values.items() if value is None]
    kinds = {type(values[level]) for level in order}
    if (kinds == {bool} and filled is not None) or any(level != filled for level in lacks):
        return None, order
    numbers = [values[level] for level in order] + [np.nan] * len(lacks)
    return np.array(numbers, dtype=None if lacks or len(kinds) == 1 else np.float64), order + lacks


def _value(level: str, type_: str) -> Any:
    """Return a level as a value of its type; ``None`` if it is none."""
    if type_ == "text":
        return level
    value = level_value(level, cast("LevelType", type_))
    return int(value) if type_ == "integer" and value is not None else value


def _each(coefficient: Any) -> list[float]:
    return list(coefficient) if isinstance(coefficient, tuple) else [coefficient]


def _policy(where: str, column: str, name: str, policy: object) -> ModelError:
    shown = policy if isinstance(policy, str) else "a level"
    return ModelError(
        f'{where}: column "{escape(column)}" has the policy "{name}": {shown}, which scikit-learn does not have',
        f'use "error", or for "{name}" a value that it counts as',
    )


_PARTS: Mapping[str, Callable[[Any, str], SklearnPart]] = {"numeric": _numeric, "categorical": _categorical}
