"""From a result of statsmodels to a model. Nothing of statsmodels is imported: the caller has the result, and so it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.conversion import algebra
from pipeline.conversion.algebra import Signal
from pipeline.conversion.comparison import Reread, checked, named
from pipeline.conversion.folding import document as folded
from pipeline.conversion.formulas import Design, signals
from pipeline.dataclass import dataclass
from pipeline.errors import DataError, ModelError, UsageError
from pipeline.models import LogisticModel
from pipeline.models.logistic.parsing import from_mapping
from pipeline.units import escape

Floats = npt.NDArray[np.float64]

_SUPPORTED = "use the result of a Logit, Probit, MNLogit, or of a GLM with the family Binomial"
_LINKS: Mapping[str, str] = {
    "Logit": "logit",
    "Probit": "probit",
    "CLogLog": "cloglog",
    "LogLog": "loglog",
    "Cauchy": "cauchit",
}
# As add_constant and the formulas call the column of ones.
_CONSTANTS = frozenset({"const", "Intercept", "intercept", "(Intercept)"})


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the caller says of a result: see :func:`pipeline.from_statsmodels`."""

    columns: Sequence[str] | None = None
    target: str | None = None
    threshold: float | None = None
    offset: str | None = None


@dataclass(frozen=True, slots=True)
class _Matrix:
    """The columns of the design as signals; the columns of the data; and whether a formula made one of the other."""

    signals: Sequence[Signal]
    names: Sequence[str]
    by_formula: bool
    booleans: frozenset[str]


def from_statsmodels(result: Any, wishes: Wishes, check: Any = None, reread: Reread | None = None) -> LogisticModel:
    """Return a model with the scores of a fitted result of statsmodels; see :func:`pipeline.from_statsmodels`.

    ``reread`` writes a dataframe as CSV and yields what is read from it; without it, rows to check are compared in
    memory alone.
    """
    model = getattr(result, "model", None)
    if model is None or not hasattr(result, "params"):
        raise ModelError(f"{type(result).__name__} is not a fitted result of statsmodels", _SUPPORTED)
    link = _link(model)
    _check_offset(model, wishes.offset)
    matrix = _matrix(model, wishes.columns)
    document = _document(result, matrix, wishes) | ({} if link == "logit" else {"link": link, "version": 2})
    made = LogisticModel(from_mapping(document, "the result"))
    if check is None:
        return made
    rows = named(check, matrix.names)
    return checked(made, _Predicting(result, matrix, wishes).on(rows), rows, reread, "statsmodels")


def _link(model: Any) -> str:
    kind = type(model).__name__
    if kind in {"Logit", "MNLogit"}:
        return "logit"
    if kind == "Probit":
        return "probit"
    if kind != "GLM":
        raise ModelError(f"the result is that of {escape(kind)}", _SUPPORTED)
    family, link = type(model.family).__name__, type(model.family.link).__name__
    if family != "Binomial":
        raise ModelError(f"the GLM has the family {escape(family)}, not Binomial", _SUPPORTED)
    if link not in _LINKS:
        raise ModelError(f"the GLM has the link {escape(link)}", "use Logit, Probit, CLogLog, LogLog or Cauchy")
    return _LINKS[link]


def _check_offset(model: Any, column: str | None) -> None:
    """Refuse an offset without a name, and a name without an offset.

    An exposure, and the offset of a MNLogit, have no effect in statsmodels.
    """
    values = None if type(model).__name__ == "MNLogit" else getattr(model, "offset", None)
    is_used = values is not None and bool(np.any(values))
    if is_used and column is None:
        raise UsageError("the result has an offset", 'name its column: offset="COLUMN"')
    if column is not None and not is_used:
        raise UsageError(f"the result has no offset, but offset is {escape(column)}", "leave offset out")


def _matrix(model: Any, columns: Sequence[str] | None) -> _Matrix:
    spec = getattr(model.data, "model_spec", None) or getattr(model.data, "design_info", None)
    names = [str(name) for name in model.exog_names]
    if spec is None:
        return _of_columns(model, names, columns)
    if columns is not None:
        raise UsageError("the result has a formula, which names its columns", "leave columns out")
    frame = getattr(model.data, "frame", None)
    known = None if frame is None else frozenset(map(str, frame.columns))
    design = Design(known)
    found = signals(spec, design)
    if len(found) != len(names):
        raise ModelError(f"the formula has {len(found)} columns, but the result {len(names)}", _SUPPORTED)
    return _Matrix(found, list(design.positions), True, _booleans(frame))


def _of_columns(model: Any, names: Sequence[str], columns: Sequence[str] | None) -> _Matrix:
    """Return the columns of an array or a dataframe; a column of ones is the intercept."""
    is_constant = [place for place, name in enumerate(names) if name in _CONSTANTS and _is_one(model, place)]
    others = [place for place in range(len(names)) if place not in is_constant]
    if columns is not None and len(columns) != len(others):
        raise UsageError(
            f"columns has {len(columns)} names, but the result has {len(others)} columns beside the constant"
        )
    chosen = dict(
        zip(others, [names[place] for place in others] if columns is None else map(str, columns), strict=True)
    )
    made = [
        algebra.column(chosen[place], others.index(place)) if place in chosen else algebra.constant(1.0)
        for place in range(len(names))
    ]
    return _Matrix(made, list(chosen.values()), False, _booleans(getattr(model.data, "orig_exog", None)))


def _is_one(model: Any, place: int) -> bool:
    # A result may have been stripped of its data.
    exog = getattr(model, "exog", None)
    return exog is None or bool(np.all(np.asarray(exog)[:, place] == 1))


def _booleans(frame: Any) -> frozenset[str]:
    types = getattr(frame, "dtypes", None)
    if types is None or not hasattr(types, "items"):
        return frozenset()
    return frozenset(str(name) for name, dtype in types.items() if str(dtype) in {"bool", "boolean"})


def _document(result: Any, matrix: _Matrix, wishes: Wishes) -> dict[str, Any]:
    model = result.model
    params = np.asarray(result.params, dtype=np.float64)
    is_multinomial = type(model).__name__ == "MNLogit"
    # The first class of statsmodels is the one that the others are compared with.
    weights = np.vstack([np.zeros(len(params)), params.T]) if is_multinomial else params.reshape(1, -1)
    if weights.shape[1] != len(matrix.signals):
        raise ModelError(
            f"the result has {weights.shape[1]} coefficients for {len(matrix.signals)} columns", _SUPPORTED
        )
    made = folded(matrix.signals, weights.tolist(), [0.0] * len(weights), booleans=matrix.booleans)
    if not made["features"]:
        raise ModelError("the result has no columns beside the constant", "fit with one column at least")
    made["features"] = [_without_errors(feature) for feature in made["features"]]
    if wishes.offset is not None:
        made |= {"version": 2, "offset": {"column": wishes.offset, "missing": "null"}}
    if wishes.threshold is not None:
        made["output"] = {"threshold": wishes.threshold}
    return made | _target(model, wishes.target, is_multinomial=is_multinomial)


def _without_errors(feature: dict[str, Any]) -> dict[str, Any]:
    """Return a feature that does with missing values what a fit does by default: the row has no score."""
    if feature["kind"] == "product":
        return feature | {"terms": [_without_errors({"kind": "numeric", **term}) for term in feature["terms"]]}
    return feature | ({"missing": "null"} if feature.get("missing") == "error" else {})


def _target(model: Any, target: str | None, *, is_multinomial: bool) -> dict[str, Any]:
    name = model.endog_names
    column = target if target is not None or not isinstance(name, str) or name == "y" else name
    said = {} if column is None else {"column": column}
    if is_multinomial:
        return {"classes": _classes(model), "version": 2} | ({"target": said} if said else {})
    return {"target": {**said, "negative": 0, "positive": 1}}


def _classes(model: Any) -> list[Any]:
    """Return the classes as they are in the data, or else as statsmodels spells them."""
    named = model._ynames_map  # noqa: SLF001 - the only place of the names
    labels = [str(named[place]) for place in sorted(named)]
    frame = getattr(model.data, "frame", None)
    values = getattr(model.data, "orig_endog", None) if frame is None else frame.get(model.endog_names)
    if values is None or np.ndim(values) != 1:
        return labels
    found = {
        str(value): value.item() if isinstance(value, np.generic) else value for value in np.unique(np.asarray(values))
    }
    typed = [found.get(label) for label in labels]
    return labels if any(value is None for value in typed) else typed


@dataclass(frozen=True, slots=True)
class _Predicting:
    """Scores named columns with a result."""

    result: Any
    matrix: _Matrix
    wishes: Wishes

    def on(self, rows: Any) -> Floats:
        """Return the probabilities of rows, in the form of a dataframe or of named columns."""
        given: dict[str, Any] = {}
        try:
            if self.wishes.offset is not None:
                given["offset"] = np.asarray(rows[self.wishes.offset], dtype=np.float64)
            if self.matrix.by_formula:
                return np.asarray(self.result.predict(rows, **given), dtype=np.float64)
            return np.asarray(self.result.predict(self._exog(rows), **given), dtype=np.float64)
        except KeyError as error:
            raise DataError(f"the rows to check have no column {escape(str(error.args[0]))}") from error
        except Exception as error:
            raise DataError(f"statsmodels refuses the rows: {escape(str(error), 300)}") from error

    def _exog(self, rows: Any) -> Floats:
        names = iter(self.matrix.names)
        columns = [
            np.asarray(rows[next(names)], dtype=np.float64) if signal.terms else np.ones(_length(rows))
            for signal in self.matrix.signals
        ]
        return np.column_stack(columns)


def _length(rows: Any) -> int:
    return len(rows) if not isinstance(rows, Mapping) else len(next(iter(rows.values())))
