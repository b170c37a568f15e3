"""The steps of a scikit-learn Pipeline, column by column from the table to the regression.

A step turns a list of signals into a list of signals, one for each column of the matrix that it would make. Steps are
told by the name of their class; nothing of scikit-learn is imported or called.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pipeline.errors import ModelError
from pipeline.models.levels import LevelType, level_value
from pipeline.units import escape

_MISSING_LEVEL = "(missing)"
_BOOLEANS: Mapping[Any, str] = {0.0: "false", 1.0: "true"}


@dataclass(frozen=True, slots=True)
class Cell:
    """A column of the table as it is; its missing values are filled if ``is_filled``."""

    name: str
    position: int
    is_filled: bool = False
    fill: Any = None

    @property
    def cell(self) -> Cell:
        """The column that it comes from."""
        return self

    def numeric_policy(self) -> str | dict[str, float]:
        """Return the policy for missing values in a numeric column."""
        if not self.is_filled:
            return "error"
        if isinstance(self.fill, str):
            raise ModelError(f'column "{escape(self.name)}" is numeric, but the imputer fills in text')
        return {"impute": float(self.fill)}


@dataclass(frozen=True, slots=True)
class Scaled:
    """``(cell - center) / scale``."""

    cell: Cell
    center: float
    scale: float


@dataclass(frozen=True, slots=True, eq=False)
class CategoryEncoding:
    """A column encoded as levels. ``missing`` is the level of missing values, ``None`` if they are refused."""

    cell: Cell
    levels: tuple[str, ...]
    type: LevelType
    missing: str | None
    unseen: str

    def feature(self, coefficients: Mapping[str, float], *, boolean: bool) -> dict[str, Any]:
        """Return the feature of a model file; a level without a coefficient has 0.

        ``boolean`` says that the column is so: 0 and 1 are then what an array of numbers made of it.
        """
        booleans = self._booleans() if boolean else None
        names = {level: level for level in self.levels} if booleans is None else booleans
        return {
            "column": self.cell.name,
            "kind": "categorical",
            "coefficients": {names[level]: coefficients.get(level, 0.0) for level in self.levels},
            "levels": self.type if booleans is None else "boolean",
            "missing": "error" if self.missing is None else {"level": names[self.missing]},
            "unseen": self.unseen,
        }

    def _booleans(self) -> dict[str, str] | None:
        """Return the levels as booleans are spelled, ``None`` where they are not 0 and 1."""
        if self.type not in {"integer", "number"}:
            return None
        values = {level: level_value(level, "number") for level in self.levels}
        if not all(value in {0, 1} or level == self.missing for level, value in values.items()):
            return None
        return {level: _BOOLEANS.get(value, level) for level, value in values.items()}


@dataclass(frozen=True, slots=True)
class Indicator:
    """1 where a column has a level, else 0."""

    encoding: CategoryEncoding
    level: str

    @property
    def cell(self) -> Cell:
        """The column that it comes from."""
        return self.encoding.cell


Signal = Cell | Scaled | Indicator


def class_name(step: Any) -> str:
    """Return the name of a step's class, with its module if it is not one of scikit-learn's."""
    kind = type(step)
    return kind.__name__ if kind.__module__.partition(".")[0] == "sklearn" else f"{kind.__module__}.{kind.__name__}"


def require(step: Any, attribute: str, name: str) -> Any:
    """Return an attribute that fitting sets."""
    if not hasattr(step, attribute):
        where = f'step "{escape(name)}"' if name else "the estimator"
        raise ModelError(f"{where} ({type(step).__name__}) is not fitted", "call fit() first")
    return getattr(step, attribute)


def run(step: Any, name: str, signals: list[Signal], supported: str) -> list[Signal]:
    """Return what a step makes of signals.

    Raises
    ------
    ModelError
        A model file cannot express the step or one of its options; the message has its name and what is supported.
    """
    if is_passthrough(step) or _is_identity(step):
        return signals
    if isinstance(step, str) and step == "drop":
        return []
    function = _STEPS.get(class_name(step))
    if function is None:
        raise _unsupported(step, name, "is not supported", supported)
    return function(step, name, signals, supported)


def is_passthrough(step: Any) -> bool:
    """Return whether a step is no estimator, but leaves its columns as they are."""
    return step is None or (isinstance(step, str) and step == "passthrough")


def _is_identity(step: Any) -> bool:
    # A fitted ColumnTransformer has this instead of "passthrough".
    return class_name(step) == "FunctionTransformer" and step.func is None


def _pipeline(step: Any, _: str, signals: list[Signal], supported: str) -> list[Signal]:
    for name, inner in step.steps:
        signals = run(inner, name, signals, supported)
    return signals


def _column_transformer(step: Any, name: str, signals: list[Signal], supported: str) -> list[Signal]:
    if step.transformer_weights:
        raise _unsupported(step, name, "has transformer_weights, which are not supported", supported)
    made: list[Signal] = []
    # Behind another step its columns have the names that this one was fitted with, if any.
    names = [str(each) for each in getattr(step, "feature_names_in_", [signal.cell.name for signal in signals])]
    for inner_name, inner, columns in require(step, "transformers_", name):
        try:
            chosen = [signals[position] for position in _positions(columns, names)]
        except (ValueError, IndexError):
            raise _unsupported(
                step, name, f'chooses columns for "{inner_name}" that it does not get', supported
            ) from None
        # An encoder that was given no column is left unfitted.
        if chosen:
            made += run(inner, inner_name, chosen, supported)
    return made


def _positions(columns: Any, names: list[str]) -> list[int]:
    if isinstance(columns, slice):
        ends = [names.index(end) if isinstance(end, str) else end for end in (columns.start, columns.stop)]
        # A slice of names has its last name in it.
        stop = ends[1] + 1 if isinstance(columns.stop, str) else ends[1]
        return list(range(len(names)))[slice(ends[0], stop, columns.step)]
    listed = [columns] if isinstance(columns, str | int | np.integer) else list(columns)
    if listed and all(isinstance(column, bool | np.bool_) for column in listed):
        return [position for position, is_chosen in enumerate(listed) if is_chosen]
    return [names.index(column) if isinstance(column, str) else range(len(names))[int(column)] for column in listed]


def _standard_scaler(step: Any, name: str, signals: list[Signal], supported: str) -> list[Signal]:
    cells = _cells(step, name, signals, supported)
    require(step, "n_features_in_", name)
    centers = step.mean_ if step.with_mean else np.zeros(len(cells))
    scales = step.scale_ if step.with_std else np.ones(len(cells))
    return [
        Scaled(cell, float(center), float(scale)) for cell, center, scale in zip(cells, centers, scales, strict=True)
    ]


def _simple_imputer(step: Any, name: str, signals: list[Signal], supported: str) -> list[Signal]:
    cells = _cells(step, name, signals, supported)
    fills = require(step, "statistics_", name)
    if step.add_indicator:
        raise _unsupported(step, name, "has add_indicator, which is not supported", supported)
    if not _is_missing(step.missing_values):
        raise _unsupported(step, name, f"imputes {step.missing_values!r}, not missing values", supported)
    for cell, fill in zip(cells, fills, strict=True):
        if cell.is_filled:
            raise _unsupported(step, name, f'imputes column "{escape(cell.name)}" a second time', supported)
        if _is_missing(fill):
            raise _unsupported(step, name, f'saw no value in column "{escape(cell.name)}"', supported)
    return [replace(cell, is_filled=True, fill=_plain(fill)) for cell, fill in zip(cells, fills, strict=True)]


def _one_hot_encoder(step: Any, name: str, signals: list[Signal], supported: str) -> list[Signal]:
    cells = _cells(step, name, signals, supported)
    categories = require(step, "categories_", name)
    if step.min_frequency is not None or step.max_categories is not None:
        raise _unsupported(step, name, "groups infrequent categories, which is not supported", supported)
    drops = [None] * len(cells) if step.drop_idx_ is None else list(step.drop_idx_)
    made: list[Signal] = []
    for cell, values, drop in zip(cells, categories, drops, strict=True):
        encoding, columns = _encoding(cell, values, is_strict=step.handle_unknown == "error")
        if drop is not None:
            del columns[int(drop)]
        made += [Indicator(encoding, level) for level in columns]
    return made


def _encoding(cell: Cell, categories: Any, *, is_strict: bool) -> tuple[CategoryEncoding, list[str]]:
    """Return how a column is encoded, and the level of each category.

    A missing value is the level that the imputer fills in, or a category itself. Without such a level it is unknown:
    refused, or an extra level that no column has.
    """
    values = list(categories)
    texts = {_text(value, cell) for value in values if not _is_missing(value)}
    absent = _MISSING_LEVEL
    while absent in texts:
        absent += "_"
    columns = [absent if _is_missing(value) else _text(value, cell) for value in values]
    if len(set(columns)) < len(columns):
        raise ModelError(f'two categories of column "{escape(cell.name)}" are the same when written as text')
    # None is no missing value for an imputer, but a category; in a file both are null.
    missing: str | None = _filled(cell, values, columns) if cell.is_filled and absent not in columns else absent
    if missing not in columns:
        missing = None if is_strict else absent
    levels = dict.fromkeys(columns if missing is None else [*columns, missing])
    type_ = _level_type(categories.dtype, [value for value in values if not _is_missing(value)])
    return CategoryEncoding(cell, tuple(levels), type_, missing, "error" if is_strict else "zero"), columns


def _filled(cell: Cell, values: Sequence[Any], columns: Sequence[str]) -> str | None:
    """Return the level of the value that an imputer fills in, ``None`` if the encoder does not know it."""
    for value, column in zip(values, columns, strict=True):
        # The imputer writes it into a column of the type of the categories: 0 is 0.0 there.
        fill = type(value)(cell.fill) if isinstance(value, np.floating) and _is_number(cell.fill) else cell.fill
        if not _is_missing(value) and value == fill and _is_boolean(value) == _is_boolean(fill):
            return column
    return None


def _level_type(dtype: Any, values: Sequence[Any]) -> LevelType:
    """Return the type of categories: that of their array, or that of the values in an array of objects."""
    if dtype.kind == "f":
        return "number"
    if values and all(map(_is_boolean, values)):
        return "boolean"
    if values and all(map(_is_number, values)):
        return "integer" if all(isinstance(value, int | np.integer) for value in values) else "number"
    return "text"


def _is_boolean(value: Any) -> bool:
    return isinstance(value, bool | np.bool_)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not _is_boolean(value)


def _cells(step: Any, name: str, signals: list[Signal], supported: str) -> list[Cell]:
    cells = [signal for signal in signals if isinstance(signal, Cell)]
    if len(cells) < len(signals):
        raise _unsupported(step, name, "comes after a step that scales or encodes, which is not supported", supported)
    return cells


def _unsupported(step: Any, name: str, why: str, supported: str) -> ModelError:
    return ModelError(f'step "{escape(name)}" ({type(step).__name__}) {why}', supported)


def _is_missing(value: Any) -> bool:
    is_float = isinstance(value, float | np.floating)
    return value is None or type(value).__name__ == "NAType" or (is_float and math.isnan(value))


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _text(value: Any, cell: Cell) -> str:
    """Return a category as a model file spells it: a float by the fewest digits of its own width."""
    if _is_boolean(value):
        return "true" if value else "false"
    if isinstance(value, str) or _is_number(value):
        return str(value)
    raise ModelError(
        f'column "{escape(cell.name)}" has {escape(repr(value), 40)} as a category, a {type(value).__name__}',
        "make the column text, numbers or booleans before fitting",
    )


_STEPS: dict[str, Callable[[Any, str, list[Signal], str], list[Signal]]] = {
    "Pipeline": _pipeline,
    "ColumnTransformer": _column_transformer,
    "StandardScaler": _standard_scaler,
    "SimpleImputer": _simple_imputer,
    "OneHotEncoder": _one_hot_encoder,
}
