"""One pass for average marginal effects: sums of effects and of their gradients, tile by tile.

With probabilities p, the derivative of p_k by z_m is p_k ([k = m] - p_m). Where the raw predictions change by d for
each unit of a column, the effect on p_k is p_k (d_k - D), where D is the sum of p_m d_m. Its gradient by the
coefficients of output m is p_k (([k = m] - p_m) (d_k - D) - p_m (d_m - D)) x + p_k ([k = m] - p_m) dx, where x is the
row and dx its derivative by the column.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from operator import attrgetter
from typing import Any

import numpy as np

from pipeline.dataclass import dataclass
from pipeline.fitting.asking.terms import NumberTerm
from pipeline.fitting.designs.design import DesignColumn, FitDesign, factors_of
from pipeline.fitting.outcome.effects import EffectColumn, EffectPlan, Setting
from pipeline.fitting.outcome.own_units import slice_of
from pipeline.fitting.passes.blocks import TileProducts
from pipeline.fitting.tiles.decoding import DecodedRows, flags_of, numbers_of
from pipeline.fitting.tiles.encoding import TileMaker
from pipeline.fitting.tiles.layout import FitLayout, Floats, Tile
from pipeline.fitting.tiles.recipes import Run, Runs, joined
from pipeline.kernels import Affine, Clip, Step, stepped, tile_steps


@dataclass(eq=False)
class EffectSums:
    """Sums over rows: of K reported classes, M outputs and n effects, those of slopes apart.

    Attributes
    ----------
    weight : float
    slopes : ndarray of float64, shape (K, M)
        Of the derivative of each probability by each raw prediction.
    bent : ndarray of float64, shape (K, M, M, width)
        Of the gradients of an effect where one raw prediction alone changes: class, gradient by output, changed output.
    values : ndarray of float64, shape (n, K)
    gradients : ndarray of float64, shape (n, K, M, width)
    """

    weight: float
    slopes: Floats
    bent: Floats
    values: Floats
    gradients: Floats

    def join(self, other: EffectSums) -> None:
        """Add the sums of rows that come after these."""
        self.weight += other.weight
        for name in ("slopes", "bent", "values", "gradients"):
            array = getattr(self, name)
            array += getattr(other, name)


def join_effects(left: EffectSums, right: EffectSums) -> EffectSums:
    """Return the sums over the rows of both. Changes and returns the left ones."""
    left.join(right)
    return left


def reported(layout: FitLayout) -> tuple[int, ...]:
    """Return the classes whose probabilities have effects: of a binary model the positive one."""
    return (1,) if layout.classes == 2 else tuple(range(layout.classes))


def count_of(plan: EffectPlan) -> int:
    """Return how many effects are summed one by one: slopes are not."""
    return sum(max(1, len(column.changes)) for column in plan.columns if column.kind != "slope")


def effect_bytes(plan: EffectPlan, layout: FitLayout) -> int:
    """Return the bytes of the sums of one chunk, and of the scratch that makes them."""
    classes = len(reported(layout))
    gradients = (count_of(plan) + layout.outputs) * classes * layout.size
    return 8 * (gradients + layout.tile_rows * layout.columns)


class EffectSummer:
    """Sums the effects of the rows of one chunk. For one thread.

    Parameters
    ----------
    design : FitDesign
        Its ``extra`` has :func:`pipeline.fitting.outcome.effects.effect_numbers`.
    plan : EffectPlan
    coefficients : ndarray of float64, shape (outputs, width)
    """

    def __init__(self, design: FitDesign, plan: EffectPlan, coefficients: Floats) -> None:
        layout = design.layout
        self._layout, self._coefficients = layout, coefficients
        self._plan = [column for column in plan.columns if column.kind != "slope"]
        self._has_slopes = len(self._plan) < len(plan.columns)
        self._maker = TileMaker(design)
        self._memory = np.empty(layout.tile_rows * layout.columns)
        self._numbers = {number: place for place, number in enumerate(numbers_of(design))}
        self._flags = {name: place for place, name in enumerate(flags_of(design))}
        self._levels = {source.column: place for place, source in enumerate(design.levels)}
        self._derived = {column.column: _derivatives(column.column, design) for column in self._plan}
        self._touched = {column.column: _touched(column.column, design) for column in self._plan}
        shape = (len(reported(layout)), layout.outputs)
        self._sums = EffectSums(
            0.0,
            np.zeros(shape),
            np.zeros((*shape, layout.outputs, layout.width)),
            np.zeros((count_of(plan), shape[0])),
            np.zeros((count_of(plan), *shape, layout.width)),
        )

    def add(self, runs: Runs) -> None:
        """Add the rows of a tile."""
        rows = whole(runs)
        tile = self._maker.tile([Run(rows, 0, 0, rows.rows)], self._memory)
        place = _Probabilities(self._layout, tile, self._coefficients)
        self._sums.weight += float(place.weights.sum())
        if self._has_slopes:
            self._add_slopes(place)
        first = 0
        for column in self._plan:
            if column.kind == "change":
                self._add_changes(rows, tile, column, first)
            else:
                self._add_derivative(rows, place, column.column, first)
            first += max(1, len(column.changes))

    def done(self) -> EffectSums:
        """Return the sums."""
        return self._sums

    def _add_slopes(self, place: _Probabilities) -> None:
        for number, output in enumerate(reported(self._layout)):
            self._sums.slopes[number] += place.gains(output).sum(axis=1)
            for changed in range(self._layout.outputs):
                unit = np.zeros((self._layout.outputs, 1))
                unit[changed] = 1.0
                self._sums.bent[number, :, changed] += place.products.summed(place.bends(output, unit))

    def _add_changes(self, rows: DecodedRows, tile: Tile, column: EffectColumn, first: int) -> None:
        start = self._changed(rows, tile, column.column, column.start)
        before = [start.products.summed(start.gains(output)) for output in reported(self._layout)]
        for effect, (_, setting) in enumerate(column.changes, first):
            place = self._changed(rows, tile, column.column, setting)
            for number, output in enumerate(reported(self._layout)):
                change = place.shares[output] - start.shares[output]
                self._sums.values[effect, number] += float(change @ place.weights)
                self._sums.gradients[effect, number] += place.products.summed(place.gains(output)) - before[number]
        self._changed(rows, tile, column.column, Setting())

    def _changed(self, rows: DecodedRows, tile: Tile, column: str, setting: Setting) -> _Probabilities:
        """Return the probabilities where all cells of a column are the same; its dense columns change in the tile."""
        set_ = self._set(rows, column, setting)
        made = self._maker.remade(tile, [Run(set_, 0, 0, rows.rows)], *self._touched[column])
        return _Probabilities(self._layout, made, self._coefficients)

    def _add_derivative(self, rows: DecodedRows, place: _Probabilities, name: str, effect: int) -> None:
        parts = [(part, part.values(rows, self._numbers)) for part in self._derived[name]]
        moves = np.zeros((self._layout.outputs, rows.rows))
        for part, values in parts:
            part.add_moves(moves, place.products, self._coefficients, values)
        for number, output in enumerate(reported(self._layout)):
            gains = place.gains(output)
            self._sums.values[effect, number] += float((gains * moves).sum())
            gradient = self._sums.gradients[effect, number]
            gradient += place.products.summed(place.bends(output, moves))
            for part, values in parts:
                part.add_gradient(gradient, place.products, gains * values)

    def _set(self, rows: DecodedRows, column: str, setting: Setting) -> DecodedRows:
        """Return rows in which all cells of a column are the same."""
        numbers, flags, levels = list(rows.numbers), list(rows.flags), list(rows.levels)
        if setting.number is not None:
            for term, place in self._numbers.items():
                if term.column == column:
                    numbers[place] = np.full(rows.rows, stepped(term.steps, setting.number))
        if setting.code is not None:
            levels[self._levels[column]] = np.full(rows.rows, setting.code, dtype=np.intp)
        if setting.missing is not None and column in self._flags:
            flags[self._flags[column]] = np.full(rows.rows, setting.missing)
        return replace(rows, numbers=tuple(numbers), flags=tuple(flags), levels=tuple(levels))


class _Probabilities:
    """The probabilities of the rows of a tile, and their derivatives by the raw predictions, times the weights."""

    def __init__(self, layout: FitLayout, tile: Tile, coefficients: Floats) -> None:
        self.products = TileProducts(layout, tile)
        raw = self.products.raw(coefficients)
        if tile.offset is not None:
            raw += tile.offset
        self._first = layout.classes - layout.outputs
        self.shares = _shares(raw, self._first)
        self.weights: Floats = self.products.weights
        if tile.folds is not None:
            self.weights = self.weights * (tile.folds >= 0)

    def gains(self, output: int) -> Floats:
        """Return the derivative of a probability by each raw prediction, shape (outputs, rows)."""
        gains: Floats = -self.shares[self._first :] * (self.shares[output] * self.weights)
        if output >= self._first:
            gains[output - self._first] += self.shares[output] * self.weights
        return gains

    def bends(self, output: int, moves: Floats) -> Floats:
        """Return the derivative by each raw prediction of the effect of some changes of the raw predictions."""
        own = self.shares[self._first :]
        mean = (own * moves).sum(axis=0)
        place = output - self._first
        of_class = (moves[place] if place >= 0 else 0.0) - mean
        bends: Floats = self.gains(output) * of_class
        bends -= own * (moves - mean) * (self.shares[output] * self.weights)
        return bends


def _shares(raw: Floats, first: int) -> Floats:
    """Return the probabilities of raw predictions; ``first`` is how many classes have none, which counts as 0."""
    if first and len(raw) == 1:
        with np.errstate(over="ignore"):
            positive = 1.0 / (1.0 + np.exp(-raw[0]))
        return np.stack([1.0 - positive, positive])
    shares = np.concatenate([np.zeros((first, raw.shape[1])), raw])
    shares -= shares.max(axis=0)
    np.exp(shares, out=shares)
    shares /= shares.sum(axis=0)
    return shares


@dataclass(frozen=True, eq=False)
class _Derivative:
    """The derivative of the column of a term by one of its factors: that of the factor's steps times the others."""

    column: DesignColumn
    factor: NumberTerm
    others: tuple[NumberTerm, ...]
    layout: FitLayout

    def values(self, rows: DecodedRows, numbers: dict[NumberTerm, int]) -> Floats:
        """Return it for each row; of a term with levels that of the number which multiplies its coefficients."""
        raw = rows.numbers[numbers[NumberTerm(self.factor.column)]].astype(np.float64)
        values = slope_of(self.factor.steps, raw) / self.column.scale
        for other in self.others:
            values *= rows.numbers[numbers[other]]
        return values

    def add_moves(self, moves: Floats, products: TileProducts, coefficients: Floats, values: Floats) -> None:
        """Add by how much raw predictions change, shape (outputs, rows)."""
        place = slice_of(self.column, self.layout)
        if self.column.levels is None:
            moves += coefficients[:, place] * values
            return
        codes = products.codes[self.column.levels]
        for output, own in enumerate(coefficients[:, place]):
            moves[output] += np.concatenate([[0.0], own]).take(codes) * values

    def add_gradient(self, gradient: Floats, products: TileProducts, rows: Floats) -> None:
        """Add numbers of the rows, shape (outputs, rows), at the coefficients that the derivative multiplies."""
        place = slice_of(self.column, self.layout)
        if self.column.levels is None:
            gradient[:, place.start] += rows.sum(axis=1)
            return
        for own, values in zip(gradient, rows, strict=True):
            own[place] += products.by_level(self.column.levels, values)[1:]


def _touched(name: str, design: FitDesign) -> tuple[tuple[int, ...], frozenset[int]]:
    """Return the positions of the dense columns and of the level columns that are made of a column."""
    touched = [column for column in design.columns if any(factor.column == name for factor in factors_of(column))]
    dense = tuple(column.dense for column in touched if column.dense is not None)
    return dense, frozenset(column.levels for column in touched if column.levels is not None)


def _derivatives(name: str, design: FitDesign) -> tuple[_Derivative, ...]:
    found = []
    for column in design.columns:
        numbers = [factor for factor in factors_of(column) if isinstance(factor, NumberTerm)]
        for place, factor in enumerate(numbers):
            if factor.column == name:
                others = (*numbers[:place], *numbers[place + 1 :])
                found.append(_Derivative(column, factor, others, design.layout))
    return tuple(found)


def slope_of(steps: Sequence[Step], values: Floats) -> Floats:
    """Return the derivative of some steps, one after the other, at some values. At its ends a clip counts as inside."""
    slope, values = np.ones_like(values), values.copy()
    with np.errstate(all="ignore"):
        for step in steps:
            slope *= _slope_of(step, values)
            for act in tile_steps([step], "fast"):
                act(values)
    return slope


def _slope_of(step: Step, values: Floats) -> Any:
    if isinstance(step, Clip):
        return (values >= step.low) & (values <= step.high)
    if isinstance(step, Affine):
        return 1.0 / step.scale
    slopes = {
        "log": lambda: 1.0 / values,
        "log1p": lambda: 1.0 / (1.0 + values),
        "sqrt": lambda: 0.5 / np.sqrt(values),
        "square": lambda: 2.0 * values,
    }
    return slopes[step]()


def whole(runs: Runs) -> DecodedRows:
    """Return the rows of all runs of a tile as they are in one batch."""
    first = runs[0].rows
    found: dict[str, Any] = {"rows": runs[-1].stop}
    for name in (field.name for field in fields(first) if field.name != "rows"):
        value = getattr(first, name)
        if isinstance(value, tuple):
            found[name] = tuple(_joined(runs, name, place) for place in range(len(value)))
        elif value is not None:
            found[name] = joined(runs, attrgetter(name))
    return replace(first, **found)


def _joined(runs: Runs, name: str, place: int) -> Any:
    return joined(runs, lambda rows: getattr(rows, name)[place])
