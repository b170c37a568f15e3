"""Features of a model file: the terms of a design, with what was fitted, in units of their columns.

A column under ``--control`` is set to the mean, or to the most frequent level: its part of the raw prediction is then
the same for every row, and belongs to the intercept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from itertools import product
from typing import Any

import numpy as np

from pipeline.dataclass import dataclass
from pipeline.fitting.asking.formula import term_text
from pipeline.fitting.asking.terms import BinsTerm, CategoryTerm, MissingTerm, NumberTerm, ProductTerm
from pipeline.fitting.designs.design import DesignColumn, FitDesign, factors_of
from pipeline.fitting.first_pass.learnt import Learnt
from pipeline.fitting.first_pass.vocabulary import MISSING
from pipeline.fitting.outcome.policies import LevelPolicies, missing_number
from pipeline.fitting.tiles.layout import Floats
from pipeline.models.logistic.binned import interval_names
from pipeline.models.logistic.documents import Feature, default_name
from pipeline.models.logistic.transforms import step_document

# The coefficients of a term, one for each class, by the levels that choose them; of numbers alone by ().
Table = Mapping[tuple[str, ...], Floats]


@dataclass(eq=False)
class FeatureMaker:
    """Makes the features of terms.

    Attributes
    ----------
    design : FitDesign
    learnt : Learnt
    controls : frozenset of str
        Columns that are set to a reference.
    classes : int
        How many coefficients a term has for each level: 1 for a binary model, else one for each class.
    constants : list of ndarray
        What terms add to the intercepts whose columns are all set to a reference, shape (classes,).
    references : dict of str to float or str
        What columns were set to, by the text of their term.
    """

    design: FitDesign
    learnt: Learnt
    controls: frozenset[str]
    classes: int
    constants: list[Floats] = field(default_factory=list)
    references: dict[str, float | str] = field(default_factory=dict)
    _policies: dict[str, LevelPolicies] = field(default_factory=dict)

    def feature(self, column: DesignColumn, own: Floats) -> Feature | None:
        """Return the feature of a term, ``None`` where it became a constant.

        Parameters
        ----------
        column : DesignColumn
        own : ndarray of float64, shape (classes, coefficients)
            In units of the column.
        """
        term = column.term
        if isinstance(term, MissingTerm):
            return self._of_flags(term, own)
        if isinstance(term, BinsTerm):
            made = self._of_bins(term, column, own)
        else:
            factors = term.factors if isinstance(term, ProductTerm) else (term,)
            made = self._of_factors(factors, self._table(factors, column, own))
        is_named = made is not None and made["kind"] in {"transformed", "binned", "product"}
        if made is None or not is_named or self.controls & {factor.column for factor in factors_of(column)}:
            return made
        return made if column.name == default_name(made) else made | {"name": column.name}

    def zero_of_number(self, column: str) -> Feature:
        """Return a feature of a column of numbers with the coefficient 0: only where it is missing changes a score."""
        return self._of_number(NumberTerm(column), np.zeros(self.classes))

    def zero_of_category(self, column: str) -> Feature:
        """Return the same for a column of levels."""
        return self._of_category(CategoryTerm(column), {})

    def _of_flags(self, term: MissingTerm, own: Floats) -> Feature | None:
        if term.column in self.controls:
            self.references[term_text(term)] = 0.0
            return None
        return self._indicator(term.column, own[:, 0])

    def _indicator(self, column: str, values: Floats) -> Feature:
        return {"column": column, "kind": "indicator", "coefficient": self._number(values)}

    def _of_bins(self, term: BinsTerm, column: DesignColumn, own: Floats) -> Feature | None:
        names = interval_names(term.edges)
        # By the number of the interval; that of missing values comes last.
        table = np.zeros((len(names) + 1, self.classes))
        if column.values:
            table = np.outer(column.values, own[:, 0])
        for place, (number,) in enumerate(column.cells):
            table[number] = own[:, place]
        if term.column in self.controls:
            counts = self.learnt.bins[column.name].counts[: len(names)]
            most = int(np.argmax([sum(row) for row in counts]))
            self.references[column.name] = names[most]
            self.constants.append(table[most])
            return None
        if not term.edges:
            # All values are in one interval: what tells rows apart is whether they are missing.
            self.constants.append(table[0])
            return self._indicator(term.column, table[-1] - table[0])
        policy = missing_number(self.design, term.column)
        if isinstance(policy, dict) and _has_own_interval(column, len(names)):
            policy = {"coefficient": self._number(table[-1])}
        return {
            "column": term.column,
            "kind": "binned",
            "edges": list(term.edges),
            "coefficients": [self._number(values) for values in table[:-1]],
            "missing": policy,
        }

    def _table(self, factors: Sequence[NumberTerm | CategoryTerm], column: DesignColumn, own: Floats) -> Table:
        """Return the coefficients of a term by the levels of its factors."""
        if column.levels is None:
            return {(): own[:, 0]}
        levels = [self._levels(factor.column) for factor in factors if isinstance(factor, CategoryTerm)]
        return {
            tuple(each.called(code) for each, code in zip(levels, codes, strict=True)): own[:, place]
            for place, codes in enumerate(column.cells)
        }

    def _of_factors(self, factors: Sequence[NumberTerm | CategoryTerm], table: Table) -> Feature | None:
        """Return the feature of a product of numbers and levels, or of one of them."""
        numbers = [factor for factor in factors if isinstance(factor, NumberTerm)]
        categories = [factor for factor in factors if isinstance(factor, CategoryTerm)]
        scale = 1.0
        for number in [each for each in numbers if each.column in self.controls]:
            numbers.remove(number)
            scale *= self._mean(number)
        chosen = [self._most_frequent(each) if each.column in self.controls else None for each in categories]
        table = {
            tuple(level for level, fixed in zip(key, chosen, strict=True) if fixed is None): scale * values
            for key, values in table.items()
            if all(fixed in {None, level} for level, fixed in zip(key, chosen, strict=True))
        }
        categories = [each for each, fixed in zip(categories, chosen, strict=True) if fixed is None]
        if not table:
            return None
        if not numbers and not categories:
            self.constants.append(table[()])
            return None
        if len(numbers) + len(categories) == 1:
            return self._of_category(categories[0], table) if categories else self._of_number(numbers[0], table[()])
        return self._of_product([*numbers, *categories], table)

    def _of_number(self, number: NumberTerm, values: Floats) -> Feature:
        made: Feature = {"column": number.column, "kind": "numeric", "coefficient": self._number(values)}
        if number.steps:
            made |= {"kind": "transformed", "transform": _transform(number)}
        return made | {"missing": missing_number(self.design, number.column)}

    def _of_category(self, category: CategoryTerm, table: Table) -> Feature:
        levels = self._levels(category.column)
        zeros = np.zeros(self.classes)
        coefficients = {level: self._number(table.get((level,), zeros)) for level in levels.levels}
        made = {"column": category.column, "kind": "categorical", "coefficients": coefficients}
        return made | levels.members

    def _of_product(self, factors: Sequence[NumberTerm | CategoryTerm], table: Table) -> Feature:
        terms = [self._product_term(factor) for factor in factors]
        vocabularies = [self._levels(each.column).levels for each in factors if isinstance(each, CategoryTerm)]
        if not vocabularies:
            return {"kind": "product", "terms": terms, "coefficient": self._number(table[()])}
        zeros = np.zeros(self.classes)
        coefficients: dict[str, Any] = {}
        # Every level is listed at its depth: one that is not would be unseen.
        for key in product(*vocabularies):
            inner = coefficients
            for level in key[:-1]:
                inner = inner.setdefault(level, {})
            inner[key[-1]] = self._number(table.get(key, zeros))
        return {"kind": "product", "terms": terms, "coefficients": coefficients}

    def _product_term(self, factor: NumberTerm | CategoryTerm) -> Feature:
        if isinstance(factor, CategoryTerm):
            return {"kind": "categorical", "column": factor.column, **self._levels(factor.column).members}
        made: Feature = {"kind": "numeric", "column": factor.column}
        if factor.steps:
            made["transform"] = _transform(factor)
        return made | {"missing": missing_number(self.design, factor.column)}

    def _mean(self, number: NumberTerm) -> float:
        text = term_text(number)
        mean = self.learnt.numbers[text].mean
        self.references[text] = mean
        return mean

    def _most_frequent(self, category: CategoryTerm) -> str:
        level = self._levels(category.column).most_frequent
        self.references[term_text(category)] = level
        return level

    def _levels(self, column: str) -> LevelPolicies:
        if column not in self._policies:
            self._policies[column] = LevelPolicies(self.design, self.learnt, column)
        return self._policies[column]

    def _number(self, values: Floats) -> float | list[float]:
        numbers: list[float] = values.tolist()
        return numbers[0] if self.classes == 1 else numbers


def _has_own_interval(column: DesignColumn, intervals: int) -> bool:
    """Return whether missing values are an interval of their own."""
    return bool(column.values) or (intervals,) in column.cells or column.reference == MISSING


def _transform(number: NumberTerm) -> Any:
    shown = [step_document(step) for step in number.steps]
    return shown[0] if len(shown) == 1 else shown
