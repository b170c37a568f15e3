"""The steps of a scikit-learn Pipeline, column by column from the table to the classifier.

A step turns a list of signals into a list of signals, one for each column of the matrix that it would make. Steps are
told by the name of their class. What they do is computed from their fitted attributes; scikit-learn is asked for what a
selector keeps, and whether a step refuses missing values.
"""

from __future__ import annotations

import itertools
import warnings
from collections import UserList
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from pipeline.conversion.algebra import (
    Floats,
    Signal,
    UnfoldableError,
    affine,
    combine,
    complete,
    constant,
    guarded,
    impute,
    is_missing,
    multiply,
    times,
    transform,
)
from pipeline.conversion.sklearn.binning import binarize, discretize
from pipeline.conversion.sklearn.categories import Table, encode, is_missing_value, plain
from pipeline.conversion.sklearn.places import StepPlace, class_name, require
from pipeline.kernels import STEP_FUNCTIONS, Clip
from pipeline.units import escape, format_count

Signals = list[Signal]

REMEDY = "leave it out of the Pipeline, or use a step that logitstream guide models lists as converted"
_COLUMNS_LIMIT = 1_000
_PRODUCTS_LIMIT = 20_000


def run(step: Any, place: StepPlace, signals: Signals) -> Signals:
    """Return what a step makes of signals.

    Raises
    ------
    ModelError
        A model file cannot express the step or one of its options; the message has its name and place, and what to do.
    """
    if is_passthrough(step):
        return signals
    if isinstance(step, str) and step == "drop":
        return []
    is_selector = hasattr(step, "get_support") and type(step).__module__.startswith("sklearn.feature_selection.")
    function = _selector if is_selector else _STEPS.get(class_name(step))
    if function is None:
        raise place.fault(step, "is not supported", REMEDY)
    expected = getattr(step, "n_features_in_", len(signals))
    if expected != len(signals):
        raise place.fault(step, f"takes {expected} columns, but gets {len(signals)}", "fit the whole Pipeline again")
    try:
        return function(step, place, signals)
    except UnfoldableError as error:
        raise place.fault(step, f"cannot be folded: {error.message}", error.remedy or REMEDY) from None
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        why = f"has fitted attributes that do not fit together: {escape(str(error), 100)}"
        raise place.fault(step, why, "fit it again with scikit-learn 1.6 or newer") from error


def is_passthrough(step: Any) -> bool:
    """Return whether a step is no estimator, but leaves its columns as they are."""
    return step is None or (isinstance(step, str) and step == "passthrough")


def _pipeline(step: Any, place: StepPlace, signals: Signals) -> Signals:
    for number, (name, inner) in enumerate(step.steps):
        signals = run(inner, place.step(number, name), signals)
    return signals


def _frozen(step: Any, place: StepPlace, signals: Signals) -> Signals:
    return run(step.estimator, place.inner("estimator"), signals)


def _column_transformer(step: Any, place: StepPlace, signals: Signals) -> Signals:
    made: Signals = []
    weights = step.transformer_weights or {}
    # Behind another step its columns have the names that this one was fitted with, if any.
    fitted = getattr(step, "feature_names_in_", None)
    names = [str(each) for each in fitted] if fitted is not None else [""] * len(signals)
    for name, inner, columns in require(step, "transformers_", place):
        try:
            chosen = [signals[position] for position in _positions(columns, names)]
        except (ValueError, IndexError, KeyError):
            why = f'chooses columns for "{escape(name)}" that it does not get'
            raise place.fault(step, why, "fit the whole Pipeline again") from None
        # An encoder that was given no column is left unfitted.
        if chosen:
            made += _weighted(run(inner, place.inner("transformer", name), chosen), weights.get(name))
    return made


def _feature_union(step: Any, place: StepPlace, signals: Signals) -> Signals:
    weights = step.transformer_weights or {}
    return [
        signal
        for name, inner in step.transformer_list
        for signal in _weighted(run(inner, place.inner("transformer", name), signals), weights.get(name))
    ]


def _weighted(signals: Signals, weight: float | None) -> Signals:
    if weight is None:
        return signals
    by = float(weight)
    return [_elementwise(signal, times(signal, by), lambda values: values * by) for signal in signals]


def _positions(columns: Any, names: list[str]) -> list[int]:
    if isinstance(columns, slice):
        ends = [names.index(end) if isinstance(end, str) else end for end in (columns.start, columns.stop)]
        # A slice of names has its last name in it.
        stop = ends[1] + 1 if isinstance(columns.stop, str) else ends[1]
        return list(range(len(names)))[slice(ends[0], stop, columns.step)]
    # The list of the columns that remain warns of its own items.
    columns = columns.data if isinstance(columns, UserList) else columns
    listed = [columns] if isinstance(columns, str | int | np.integer) else list(columns)
    if listed and all(isinstance(column, bool | np.bool_) for column in listed):
        return [position for position, is_chosen in enumerate(listed) if is_chosen]
    # The first of several columns with a name.
    places = {name: place for place, name in reversed(list(enumerate(names)))}
    return [places[column] if isinstance(column, str) else range(len(names))[int(column)] for column in listed]


def _elementwise(signal: Signal, made: Signal, *functions: Callable[[Floats], Floats]) -> Signal:
    """Return what a step makes of a signal value by value, with how scikit-learn computes it."""
    return replace(made, start=signal.start or signal, path=(*signal.path, *functions))


def _standard_scaler(step: Any, place: StepPlace, signals: Signals) -> Signals:
    require(step, "n_features_in_", place)
    centers = step.mean_ if step.with_mean else [None] * len(signals)
    scales = step.scale_ if step.with_std else [None] * len(signals)
    return [_scaled(*each) for each in zip(signals, centers, scales, strict=True)]


def _robust_scaler(step: Any, place: StepPlace, signals: Signals) -> Signals:
    require(step, "n_features_in_", place)
    centers = step.center_ if step.with_centering else [None] * len(signals)
    scales = step.scale_ if step.with_scaling else [None] * len(signals)
    return [_scaled(*each) for each in zip(signals, centers, scales, strict=True)]


def _scaled(signal: Signal, center: float | None, scale: float | None) -> Signal:
    functions: list[Callable[[Floats], Floats]] = []
    if center is not None:
        functions.append(lambda values: values - center)
    if scale is not None:
        functions.append(lambda values: values / scale)
    made = affine(signal, 0.0 if center is None else float(center), 1.0 if scale is None else float(scale))
    return _elementwise(signal, made, *functions)


def _min_max_scaler(step: Any, place: StepPlace, signals: Signals) -> Signals:
    made = []
    for signal, factor, added in zip(signals, require(step, "scale_", place), step.min_, strict=True):
        scaled = times(signal, float(factor), float(added))
        made.append(_elementwise(signal, scaled, partial(_moved, factor, added)))
    return _clipped(made, step.feature_range) if step.clip else made


def _moved(factor: float, added: float, values: Floats) -> Floats:
    return values * factor + added


def _max_abs_scaler(step: Any, place: StepPlace, signals: Signals) -> Signals:
    scales = require(step, "scale_", place)
    made = [_scaled(signal, None, scale) for signal, scale in zip(signals, scales, strict=True)]
    return _clipped(made, (-1.0, 1.0)) if getattr(step, "clip", False) else made


def _clipped(signals: Signals, ends: Sequence[float]) -> Signals:
    low, high = (float(end) for end in ends)
    return [
        _elementwise(signal, transform(signal, Clip(low, high)), lambda values: np.clip(values, low, high))
        for signal in signals
    ]


def _simple_imputer(step: Any, place: StepPlace, signals: Signals) -> Signals:
    fills = [plain(fill) for fill in require(step, "statistics_", place)]
    if not is_missing_value(step.missing_values):
        why = f"imputes {escape(repr(step.missing_values), 40)}, not missing values"
        raise place.fault(step, why, "make these values missing (NaN) before fitting, and impute those")
    made = []
    for signal, fill in zip(signals, fills, strict=True):
        # A column in which it saw no value is dropped, unless it is kept.
        if not is_missing_value(fill):
            made.append(_imputed(signal, fill))
    if step.add_indicator:
        made += [is_missing(signals[position]) for position in step.indicator_.features_]
    return made


def _imputed(signal: Signal, fill: Any) -> Signal:
    made = impute(signal, fill)
    if isinstance(fill, str) or made is signal:
        return made
    return _elementwise(signal, made, lambda values: np.where(np.isnan(values), fill, values))


def _missing_indicator(step: Any, place: StepPlace, signals: Signals) -> Signals:
    features = [int(position) for position in require(step, "features_", place)]
    if not is_missing_value(step.missing_values):
        why = f"looks for {escape(repr(step.missing_values), 40)}, not for missing values"
        raise place.fault(step, why, "make these values missing (NaN) before fitting")
    made = [is_missing(signals[position]) for position in features]
    if step.features == "all" or not step.error_on_new:
        return made
    others = [signal for position, signal in enumerate(signals) if position not in features]
    return _with_first_guarded(step, place, made, others)


def _with_first_guarded(step: Any, place: StepPlace, made: Signals, others: Signals) -> Signals:
    """Return signals of which the first refuses what is missing in others."""
    if not made and others:
        why = "keeps no column, but refuses missing values in those that it drops"
        raise place.fault(step, why, "leave it out")
    return [guarded(made[0], others), *made[1:]] if made else made


def _selector(step: Any, place: StepPlace, signals: Signals) -> Signals:
    from sklearn.exceptions import NotFittedError  # noqa: PLC0415 - optional
    from sklearn.utils import get_tags  # noqa: PLC0415 - optional

    try:
        kept = [bool(each) for each in step.get_support()]
    except NotFittedError:
        raise place.fault(step, "is not fitted", "call fit() first") from None
    made = [signal for signal, is_kept in zip(signals, kept, strict=True) if is_kept]
    if get_tags(step).input_tags.allow_nan:
        return made
    dropped = [signal for signal, is_kept in zip(signals, kept, strict=True) if not is_kept]
    return _with_first_guarded(step, place, [complete(signal) for signal in made], dropped)


def _linear_map(step: Any, place: StepPlace, signals: Signals) -> Signals:
    components = np.asarray(require(step, "components_", place), dtype=np.float64)
    if len(signals) > _COLUMNS_LIMIT:
        why = f"takes {format_count(len(signals))} columns; at most {format_count(_COLUMNS_LIMIT)} are converted"
        raise place.fault(step, why, "select columns before it")
    centers = getattr(step, "mean_", None)
    centers = np.zeros(len(signals)) if centers is None else centers
    moved = [affine(complete(signal), float(center)) for signal, center in zip(signals, centers, strict=True)]
    made = [combine(moved, row.tolist()) for row in components]
    if not getattr(step, "whiten", False):
        return made
    deviations = np.sqrt(step.explained_variance_)
    deviations = np.maximum(deviations, np.finfo(deviations.dtype).eps)
    return [affine(signal, 0.0, float(scale)) for signal, scale in zip(made, deviations, strict=True)]


def _function_transformer(step: Any, place: StepPlace, signals: Signals) -> Signals:
    if step.func is None:
        return signals
    name = next((name for name in STEP_FUNCTIONS if step.func is getattr(np, name)), None)
    if name is None or step.kw_args:
        shown = escape(getattr(step.func, "__name__", repr(step.func)), 40)
        why = f"computes {shown}" + (" with kw_args" if step.kw_args else "")
        raise place.fault(
            step, why, f"use one of {', '.join(f'numpy.{each}' for each in STEP_FUNCTIONS)}, without kw_args"
        )
    return [_elementwise(signal, transform(signal, name), step.func) for signal in signals]


def _polynomial_features(step: Any, place: StepPlace, signals: Signals) -> Signals:
    require(step, "n_output_features_", place)
    least, most = (0, step.degree) if isinstance(step.degree, int | np.integer) else step.degree
    # Each summand of a column is multiplied by each of another.
    summands = sum(len(signal.terms) for signal in signals)
    products = max(step.n_output_features_, summands**most // 2)
    if products > _PRODUCTS_LIMIT:
        why = f"makes {format_count(products)} products, more than a model file should hold"
        raise place.fault(step, why, "select columns before it")
    choose = itertools.combinations if step.interaction_only else itertools.combinations_with_replacement
    signals = [complete(signal) for signal in signals]
    made = [constant(1.0)] if step.include_bias else []
    for degree in range(max(1, least), most + 1):
        for first, *others in choose(signals, degree):
            product = first
            for other in others:
                product = multiply(product, other)
            made.append(product)
    return made


def _one_hot_encoder(step: Any, place: StepPlace, signals: Signals) -> Signals:
    categories = require(step, "categories_", place)
    infrequent = getattr(step, "infrequent_categories_", None) or [None] * len(signals)
    drops = [None] * len(signals) if step.drop_idx_ is None else list(step.drop_idx_)
    unknown = step.handle_unknown
    if unknown == "warn":
        unknown = "infrequent_if_exist" if _warns_and_counts() else "ignore"
    made: Signals = []
    dropped: Signals = []
    for signal, values, rare, drop in zip(signals, categories, infrequent, drops, strict=True):
        tables = _columns_of_levels(values, rare, drop, unknown)
        made += encode(signal, values, tables)
        if not tables and step.handle_unknown == "error":
            dropped += encode(signal, values, [Table({}, "refused")])
    return _with_first_guarded(step, place, made, dropped)


def _warns_and_counts() -> bool:
    """Return whether an encoder that warns of an unseen level counts it as infrequent: scikit-learn 1.6 does not."""
    from sklearn.preprocessing import OneHotEncoder  # noqa: PLC0415 - optional

    encoder = OneHotEncoder(handle_unknown="warn", max_categories=2, sparse_output=False)
    encoder.fit(np.array([["a"], ["a"], ["b"], ["c"]]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return bool(encoder.transform(np.array([["d"]])).any())


def _columns_of_levels(values: Any, rare: Any, drop: Any, unknown: str) -> list[Table]:
    """Return the columns that an encoder makes of categories: one each, and a last one for the infrequent ones."""
    infrequent = _places_of(values, rare)
    groups: list[list[int]] = [[place] for place in range(len(values)) if place not in infrequent]
    groups += [sorted(infrequent)] if infrequent else []
    if drop is not None:
        groups = [group for group in groups if int(drop) not in group]
    unseen: list[Any] = [0.0] * len(groups)
    if unknown == "error":
        unseen = ["refused"] * len(groups)
    elif unknown == "infrequent_if_exist":
        unseen = [1.0 if infrequent and group == sorted(infrequent) else 0.0 for group in groups]
    return [Table(dict.fromkeys(group, 1.0), value) for group, value in zip(groups, unseen, strict=True)]


def _places_of(values: Any, some: Any) -> set[int]:
    """Return the places of some of the categories."""
    if some is None:
        return set()
    listed = [plain(value) for value in some]
    has_missing = any(is_missing_value(value) for value in listed)
    known = {(type(value), value) for value in listed if not is_missing_value(value)}
    found = ((place, plain(value)) for place, value in enumerate(values))
    return {
        place
        for place, value in found
        if ((type(value), value) in known if not is_missing_value(value) else has_missing)
    }


def _ordinal_encoder(step: Any, place: StepPlace, signals: Signals) -> Signals:
    categories = require(step, "categories_", place)
    infrequent = getattr(step, "infrequent_categories_", None) or [None] * len(signals)
    unseen: Any = "refused"
    if step.handle_unknown == "use_encoded_value":
        unseen = _value_or_missing(step.unknown_value)
    made: Signals = []
    for signal, values, rare in zip(signals, categories, infrequent, strict=True):
        codes: dict[int, Any] = dict(_codes(values, _places_of(values, rare)))
        for position, value in enumerate(values):
            if _is_nan(value):
                codes[position] = _value_or_missing(step.encoded_missing_value)
        made += encode(signal, values, [Table(codes, unseen)])
    return made


def _is_nan(value: Any) -> bool:
    """Return whether an OrdinalEncoder takes a category as missing: None has a code of its own."""
    return isinstance(value, float | np.floating) and is_missing_value(value)


def _codes(values: Any, infrequent: set[int]) -> Mapping[int, float]:
    """Return the codes of categories that are not NaN: of the frequent ones in order, then one for all others."""
    frequent = [place for place, value in enumerate(values) if place not in infrequent and not _is_nan(value)]
    codes = {place: float(code) for code, place in enumerate(frequent)}
    return codes | dict.fromkeys(infrequent, float(len(frequent)))


def _value_or_missing(value: Any) -> Any:
    return "missing" if is_missing_value(value) else float(value)


def _target_encoder(step: Any, place: StepPlace, signals: Signals) -> Signals:
    categories = require(step, "categories_", place)
    each = len(step.classes_) if step.target_type_ == "multiclass" else 1
    means = np.atleast_1d(np.asarray(step.target_mean_, dtype=np.float64)).tolist()
    made: Signals = []
    for position, (signal, values) in enumerate(zip(signals, categories, strict=True)):
        own = step.encodings_[position * each : (position + 1) * each]
        tables = [
            Table(dict(enumerate(np.asarray(numbers, dtype=np.float64).tolist())), mean)
            for numbers, mean in zip(own, means, strict=True)
        ]
        made += encode(signal, values, tables)
    return made


def _k_bins_discretizer(step: Any, place: StepPlace, signals: Signals) -> Signals:
    made: Signals = []
    for signal, edges in zip(signals, require(step, "bin_edges_", place), strict=True):
        inner = np.asarray(edges, dtype=np.float64)[1:-1]
        count = len(inner) + 1
        codes = [[float(code) for code in range(count)]]
        ones = [[float(code == place_) for code in range(count)] for place_ in range(count)]
        made += discretize(signal, inner, codes if step.encode == "ordinal" else ones, step.dtype)
    return made


def _binarizer(step: Any, _: StepPlace, signals: Signals) -> Signals:
    return [binarize(signal, float(step.threshold)) for signal in signals]


_STEPS: dict[str, Callable[[Any, StepPlace, Signals], Signals]] = {
    "Pipeline": _pipeline,
    "ColumnTransformer": _column_transformer,
    "FeatureUnion": _feature_union,
    "FrozenEstimator": _frozen,
    "StandardScaler": _standard_scaler,
    "RobustScaler": _robust_scaler,
    "MinMaxScaler": _min_max_scaler,
    "MaxAbsScaler": _max_abs_scaler,
    "SimpleImputer": _simple_imputer,
    "MissingIndicator": _missing_indicator,
    "PCA": _linear_map,
    "IncrementalPCA": _linear_map,
    "TruncatedSVD": _linear_map,
    "FunctionTransformer": _function_transformer,
    "PolynomialFeatures": _polynomial_features,
    "OneHotEncoder": _one_hot_encoder,
    "OrdinalEncoder": _ordinal_encoder,
    "TargetEncoder": _target_encoder,
    "KBinsDiscretizer": _k_bins_discretizer,
    "Binarizer": _binarizer,
}
