"""What a fitted scikit-learn classifier makes of the columns that it gets: coefficients, classes, and what follows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from typing import Any

import numpy as np

from pipeline.conversion.algebra import Signal
from pipeline.conversion.sklearn.perceptrons import PerceptronLayer, layers_of
from pipeline.conversion.sklearn.places import StepPlace, class_name, require
from pipeline.conversion.sklearn.steps import is_passthrough, run
from pipeline.dataclass import dataclass
from pipeline.errors import ModelError
from pipeline.units import escape

Floats = Sequence[float]

SUPPORTED = (
    "use a linear classifier, such as LogisticRegression, or MLPClassifier, alone, as the last step of a Pipeline, or "
    "in a search, a threshold or a calibration; logitstream guide models lists all"
)

# Above it neighbouring probabilities are those of raw predictions that differ by more than 1e-6.
_GREATEST_CUT = 23.0
_SEVERAL_LABELS = "predicts several labels at once"
# What an estimator without probabilities gives.
_DECIDED: Mapping[str, Any] = {"columns": ["raw_prediction", "decision"]}


@dataclass(frozen=True, slots=True)
class Linear:
    """A classifier that begins with sums: the columns of its matrix, K rows of weights and K intercepts.

    Attributes
    ----------
    signals : sequence of Signal
    weights : sequence of K sequences of float
        One row for two classes: that of the positive one. With ``layers`` a row for each unit of the first layer.
    intercepts : sequence of K floats
    classes : sequence
        The values of the classes, two or more.
    normalise : str, optional
        How raw predictions of several classes become probabilities; ``None``: there are none.
    output : mapping
        The section ``output`` of the model file.
    doubled : bool
        Whether raw predictions are twice what ``decision_function`` gives: a softmax of ``-z`` and ``z``.
    layers : sequence of PerceptronLayer
        What makes raw predictions of the sums; empty where they are the raw predictions.
    """

    signals: Sequence[Signal]
    weights: Sequence[Floats]
    intercepts: Floats
    classes: Sequence[Any]
    normalise: str | None
    output: Mapping[str, Any] = field(default_factory=dict)
    doubled: bool = False
    layers: Sequence[PerceptronLayer] = ()

    @property
    def is_binary(self) -> bool:
        """Whether it has two classes."""
        return len(self.classes) == 2

    @property
    def has_probabilities(self) -> bool:
        """Whether it gives probabilities, not only raw predictions."""
        return self.normalise is not None


def read(estimator: Any, place: StepPlace, signals: list[Signal]) -> Linear:
    """Return a fitted classifier.

    Raises
    ------
    ModelError
        It is not fitted, or a model file cannot express it; the message has its name and place, and what to do.
    """
    name = class_name(estimator)
    is_search = name.endswith("SearchCV") or hasattr(estimator, "best_estimator_")
    function = _search if is_search else _OTHERS.get(name)
    if function is None and name not in _LINEAR:
        raise ModelError(f"{place} is a {type(estimator).__name__}, which cannot be converted", SUPPORTED)
    try:
        if function is not None:
            return function(estimator, place, signals)
        return _linear(estimator, place, signals, _LINEAR[name])
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        why = f"has fitted attributes that do not fit together: {escape(str(error), 100)}"
        raise place.fault(estimator, why, "fit it again with scikit-learn 1.6 or newer") from error


def _search(estimator: Any, place: StepPlace, signals: list[Signal]) -> Linear:
    return read(best(estimator, place), place, signals)


def best(estimator: Any, place: StepPlace) -> Any:
    """Return the estimator that a search has found."""
    if hasattr(estimator, "best_estimator_"):
        return estimator.best_estimator_
    raise place.fault(estimator, "has no best_estimator_", "call fit() first, and leave refit as it is")


def inner_estimators(estimator: Any) -> Iterator[Any]:
    """Yield an estimator and those in it that get the same columns, from outside to inside."""
    yield estimator
    if class_name(estimator) == "Pipeline":
        first = next((step for _, step in estimator.steps if not is_passthrough(step)), None)
        if first is not None:
            yield from inner_estimators(first)
        return
    for attribute in ("best_estimator_", "estimator_", "estimators_", "calibrated_classifiers_", "estimator"):
        inner = getattr(estimator, attribute, None)
        inner = inner[0] if isinstance(inner, list) and inner else inner
        if inner is not None and not isinstance(inner, list):
            yield from inner_estimators(inner)
            return


def _pipeline(estimator: Any, place: StepPlace, signals: list[Signal]) -> Linear:
    *steps, (last_name, last) = estimator.steps
    for number, (name, step) in enumerate(steps):
        signals = run(step, place.step(number, name), signals)
    return read(last, place.step(len(steps), last_name), signals)


def _linear(estimator: Any, place: StepPlace, signals: list[Signal], normalise: Callable[[Any], str | None]) -> Linear:
    classes = plain_classes(require(estimator, "classes_", place), estimator, place)
    coefficients = estimator.coef_
    # After sparsify() it is a sparse matrix.
    weights = np.asarray(coefficients.toarray() if hasattr(coefficients, "toarray") else coefficients, dtype=np.float64)
    weights = np.atleast_2d(weights)
    _check_shape(estimator, place, weights.shape, (1 if len(classes) == 2 else len(classes), len(signals)))
    intercepts = np.broadcast_to(np.ravel(np.asarray(estimator.intercept_, dtype=np.float64)), (len(weights),))
    found = normalise(estimator)
    # In versions of scikit-learn that had multi_class.
    is_doubled = len(classes) == 2 and getattr(estimator, "multi_class", None) == "multinomial"
    if is_doubled:
        weights, intercepts = weights * 2, intercepts * 2
    output = {} if found is not None else {**_DECIDED, **({"threshold": 0.5} if len(classes) == 2 else {})}
    return Linear(signals, weights.tolist(), intercepts.tolist(), classes, found, output, is_doubled)


def _check_shape(estimator: Any, place: StepPlace, found: tuple[int, ...], expected: tuple[int, int]) -> None:
    rows, columns = expected
    labels = getattr(estimator, "_label_binarizer", None)
    if labels is not None and labels.y_type_.startswith("multilabel"):
        raise place.fault(estimator, _SEVERAL_LABELS, "fit one estimator for each label")
    if found[1] != columns:
        why = f"has {found[1]} coefficients for {columns} columns"
        raise place.fault(estimator, why, "fit the whole Pipeline again")
    if found[0] != rows:
        raise place.fault(estimator, f"has {found[0]} rows of coefficients instead of {rows}", "fit it again")


def plain_classes(values: Any, estimator: Any, place: StepPlace) -> list[Any]:
    """Return classes as JSON has them; refuse several outputs, and a single class."""
    if isinstance(values, list) or np.ndim(values) != 1:
        raise place.fault(estimator, "predicts several outputs", "fit one estimator for each output")
    classes = [value.item() if isinstance(value, np.generic) else value for value in values]
    if len(classes) < 2:
        raise place.fault(estimator, "has one class", "fit it on rows of two classes or more")
    for value in classes:
        if not isinstance(value, bool | int | float | str):
            why = f"has the class {escape(repr(value), 40)}, a {type(value).__name__}"
            raise place.fault(estimator, why, "make the classes text, numbers or booleans before fitting")
    return classes


def _softmax(_: Any) -> str:
    return "softmax"


def _logistic(estimator: Any) -> str:
    is_rest = getattr(estimator, "multi_class", None) in {"ovr", "warn"} or estimator.solver == "liblinear"
    return "one-vs-rest" if is_rest else "softmax"


def _stochastic(estimator: Any) -> str | None:
    return "one-vs-rest" if estimator.loss == "log_loss" else None


def _none(_: Any) -> None:
    return None


_LINEAR: Mapping[str, Callable[[Any], str | None]] = {
    "LogisticRegression": _logistic,
    "LogisticRegressionCV": _logistic,
    "pipeline.sklearn.logistic.LogisticRegression": _softmax,
    "SGDClassifier": _stochastic,
    "LinearDiscriminantAnalysis": _softmax,
    "RidgeClassifier": _none,
    "RidgeClassifierCV": _none,
    "LinearSVC": _none,
    "Perceptron": _none,
}


def _frozen(estimator: Any, place: StepPlace, signals: list[Signal]) -> Linear:
    return read(estimator.estimator, place.inner("estimator"), signals)


def _fixed_threshold(estimator: Any, place: StepPlace, signals: list[Signal]) -> Linear:
    inner = getattr(estimator, "estimator_", estimator.estimator)
    found = read(inner, place.inner("estimator"), signals)
    threshold = estimator.threshold
    if threshold == "auto":
        threshold = 0.0 if _uses_raw(estimator, found) else 0.5
    return _with_threshold(estimator, place, found, float(threshold), estimator.pos_label)


def _tuned_threshold(estimator: Any, place: StepPlace, signals: list[Signal]) -> Linear:
    threshold = require(estimator, "best_threshold_", place)
    found = read(estimator.estimator_, place.inner("estimator_"), signals)
    label = estimator._curve_scorer._get_pos_label()  # noqa: SLF001 - as predict() does
    return _with_threshold(estimator, place, found, float(threshold), label)


def _uses_raw(estimator: Any, found: Linear) -> bool:
    method = estimator.response_method
    return method == "decision_function" or (method == "auto" and not found.has_probabilities)


def _with_threshold(estimator: Any, place: StepPlace, found: Linear, threshold: float, label: Any) -> Linear:
    """Return a classifier that decides at a threshold on what it gives for the class ``label``."""
    if not found.is_binary:
        raise place.fault(estimator, f"has {len(found.classes)} classes", "use it for two classes alone")
    if label is not None and label not in found.classes:
        why = f"has pos_label={escape(repr(label), 40)}, which is none of its classes"
        raise place.fault(estimator, why, f"use pos_label={found.classes[1]!r}")
    is_first = label is not None and label == found.classes[0]
    if _uses_raw(estimator, found):
        cut = _sigmoid_of(estimator, place, (-threshold if is_first else threshold) * (2 if found.doubled else 1))
    else:
        cut = 1 - threshold if is_first else threshold
    if is_first:
        # The first class is predicted up to the cut, with the cut itself.
        cut = math.nextafter(cut, math.inf)
    if not 0 <= cut <= 1:
        why = f"has the threshold {threshold!r}, which every or no probability reaches"
        raise place.fault(estimator, why, "use a threshold between 0 and 1")
    return replace(found, output={**found.output, "threshold": cut})


def _sigmoid_of(estimator: Any, place: StepPlace, raw: float) -> float:
    """Return the probability at a raw prediction; refuse what is too close to 1 to be told from it."""
    if raw > _GREATEST_CUT:
        why = f"decides at the raw prediction {raw!r}, where probabilities are too close to 1 to be told apart"
        raise place.fault(estimator, why, f"use a threshold below {_GREATEST_CUT:g}, or of probabilities")
    return 1 / (1 + math.exp(-raw)) if raw > -700 else 0.0


def _one_vs_rest(estimator: Any, place: StepPlace, signals: list[Signal]) -> Linear:
    estimators = require(estimator, "estimators_", place)
    if estimator.multilabel_:
        raise place.fault(estimator, _SEVERAL_LABELS, "fit one estimator for each label")
    classes = plain_classes(estimator.classes_, estimator, place)
    found = []
    for number, inner in enumerate(estimators):
        if class_name(inner) == "_ConstantPredictor":
            why = f"never or always saw the class {escape(repr(classes[number]), 40)}"
            raise place.fault(estimator, why, "leave that class out")
        found.append(read(inner, place.inner(f"estimators_[{number}]"), signals))
    if len(found) > 1 and any(one.layers for one in found):
        raise place.fault(estimator, "has a network for each class", "fit one MLPClassifier, which takes all classes")
    if any(one.output and one.has_probabilities for one in found):
        raise place.fault(estimator, "has calibrations or thresholds in it", "put the OneVsRestClassifier inside them")
    return _joined(found, classes)


def _joined(found: Sequence[Linear], classes: list[Any]) -> Linear:
    """Return binary classifiers, one for each class, as one; their columns are side by side."""
    if len(found) == 1:
        return replace(found[0], classes=classes)
    signals, weights = list[Signal](), list[list[float]]()
    if all(one.signals == found[0].signals for one in found):
        signals, weights = list(found[0].signals), [list(one.weights[0]) for one in found]
    else:
        total = sum(len(one.signals) for one in found)
        for one in found:
            before = len(signals)
            signals += one.signals
            weights.append([0.0] * before + list(one.weights[0]) + [0.0] * (total - before - len(one.signals)))
    normalise = "one-vs-rest" if all(one.has_probabilities for one in found) else None
    output = {} if normalise else _DECIDED
    return Linear(signals, weights, [one.intercepts[0] for one in found], classes, normalise, output)


def _calibrated(estimator: Any, place: StepPlace, signals: list[Signal]) -> Linear:
    calibrated = require(estimator, "calibrated_classifiers_", place)
    if len(calibrated) != 1:
        why = f"holds {len(calibrated)} calibrated classifiers, whose probabilities it averages"
        remedy = "fit it with ensemble=False, or on a FrozenEstimator"
        raise place.fault(estimator, why, remedy)
    (only,) = calibrated
    inner = place.inner("calibrated_classifiers_[0]")
    if only.method not in _CALIBRATIONS:
        remedy = "fit it with method='sigmoid'; a model file has isotonic steps, but no interpolation"
        raise inner.fault(estimator, f"is {only.method}, and interpolates between its points", remedy)
    found = read(only.estimator, inner.inner("estimator"), signals)
    if found.output.keys() - {"columns", "threshold"}:
        raise inner.fault(estimator, "calibrates what is calibrated already", "calibrate once")
    if not hasattr(only.estimator, "decision_function"):
        raise inner.fault(estimator, "calibrates probabilities", "calibrate an estimator with a decision_function")
    classes = plain_classes(only.classes, estimator, place)
    return _CALIBRATIONS[only.method](replace(_as_decided(found), classes=classes, output={}), only.calibrators)


def _as_decided(found: Linear) -> Linear:
    """Return a classifier whose raw predictions are those of ``decision_function``."""
    if not found.doubled:
        return found
    halves = [[weight / 2 for weight in row] for row in found.weights]
    return replace(found, weights=halves, intercepts=[value / 2 for value in found.intercepts], doubled=False)


def _sigmoid(found: Linear, calibrators: Sequence[Any]) -> Linear:
    """Return ``1 / (1 + exp(a z + b))`` of raw predictions; of several classes each has its own, then they sum to 1."""
    if found.is_binary:
        output = {"alpha": -float(calibrators[0].a_), "beta": -float(calibrators[0].b_)}
        return replace(found, normalise="softmax", output=output)
    slopes = [-float(each.a_) for each in calibrators]
    weights = [[slope * weight for weight in row] for slope, row in zip(slopes, found.weights, strict=True)]
    intercepts = [
        slope * intercept - float(each.b_)
        for slope, intercept, each in zip(slopes, found.intercepts, calibrators, strict=True)
    ]
    return replace(found, weights=weights, intercepts=intercepts, normalise="one-vs-rest")


def _temperature(found: Linear, calibrators: Sequence[Any]) -> Linear:
    """Return the softmax of beta times raw predictions; of two classes that of ``-z`` and ``z``."""
    beta = float(calibrators[0].beta_)
    if found.is_binary:
        return replace(found, normalise="softmax", output={"alpha": 2 * beta})
    return replace(found, normalise="softmax", output={"temperature": 1 / beta})


_CALIBRATIONS: Mapping[str, Callable[[Linear, Sequence[Any]], Linear]] = {
    "sigmoid": _sigmoid,
    "temperature": _temperature,
}


def _network(estimator: Any, place: StepPlace, signals: list[Signal]) -> Linear:
    if getattr(require(estimator, "_label_binarizer", place), "y_type_", "").startswith("multilabel"):
        raise place.fault(estimator, _SEVERAL_LABELS, "fit one estimator for each label")
    classes = plain_classes(require(estimator, "classes_", place), estimator, place)
    first, *others = layers_of(estimator, place, len(signals), 1 if len(classes) == 2 else len(classes))
    return Linear(signals, first.weights, first.intercepts, classes, "softmax", layers=others)


_OTHERS: Mapping[str, Callable[[Any, StepPlace, list[Signal]], Linear]] = {
    "MLPClassifier": _network,
    "Pipeline": _pipeline,
    "FrozenEstimator": _frozen,
    "FixedThresholdClassifier": _fixed_threshold,
    "TunedThresholdClassifierCV": _tuned_threshold,
    "OneVsRestClassifier": _one_vs_rest,
    "CalibratedClassifierCV": _calibrated,
}
