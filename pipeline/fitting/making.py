"""The model file of a fit: what was fitted in tiles, as features in units of their columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.errors import DataError
from pipeline.fitting.design import DesignColumn, FitDesign
from pipeline.fitting.job import FitJob
from pipeline.fitting.layout import Floats
from pipeline.fitting.learnt import Learnt
from pipeline.fitting.objective import Solution
from pipeline.fitting.own_units import OwnUnits, free_of, slice_of
from pipeline.fitting.terms import NumberTerm
from pipeline.models import LogisticModel
from pipeline.models.logistic.documents import Feature, named_apart, version_of
from pipeline.models.logistic.parsing import from_mapping

Training = Mapping[str, Any]


def model_of(job: FitJob, design: FitDesign, learnt: Learnt, solution: Solution, training: Training) -> LogisticModel:
    """Return the model that was fitted: a file of version 1 where that can hold it, else of version 2.

    Its raw predictions are those of the tiles, but for rounding.

    Raises
    ------
    DataError
        No feature is left: all columns were dropped.
    ModelError
        A number is beyond float64 in units of its column.
    """
    made = _ModelParts(job, design, learnt, solution)
    features = named_apart(list(made.features()))
    if not features:
        raise DataError(
            "no feature is left for a model: every column is constant or a combination of others",
            "name other columns under --features",
        )
    document = {**made.head(), "features": features, "training": dict(training)}
    return LogisticModel(from_mapping({"version": version_of(document), **document}, "the fitted model"))


@dataclass(frozen=True, eq=False)
class _ModelParts:
    """The parts of a model file."""

    job: FitJob
    design: FitDesign
    learnt: Learnt
    solution: Solution

    def head(self) -> dict[str, Any]:
        """Return all but the features."""
        intercepts = OwnUnits.of(self.design).intercepts(self._all_outputs(self.solution.coefficients))
        return {
            "format": "logitstream-model",
            "kind": "logistic",
            **self._target(),
            "intercept": self._number(intercepts),
        }

    def features(self) -> Iterator[Feature]:
        """Yield the features whose columns were fitted, in the order of the terms."""
        free = free_of(self.solution, self.design.layout)
        own = OwnUnits.of(self.design).coefficients(self._all_outputs(self.solution.coefficients))
        for column in self.design.columns:
            place = slice_of(column, self.design.layout)
            if free[place].any():
                yield self._feature(column, own[:, place])

    def _feature(self, column: DesignColumn, own: Floats) -> Feature:
        term = column.term
        assert isinstance(term, NumberTerm)
        feature = {"column": term.column, "kind": "numeric", "coefficient": self._number(own[:, 0])}
        return feature | {"missing": self._missing_number(term.column)}

    def _target(self) -> dict[str, Any]:
        target: dict[str, Any] = {"column": self.job.model.target}
        if self.design.layout.classes > 2:
            return {"classes": list(self.learnt.classes), "target": target}
        negative, positive = self.learnt.classes
        return {"target": target | {"negative": negative, "positive": positive}}

    def _all_outputs(self, coefficients: Floats) -> Floats:
        """Return coefficients with a row for each class; those of a reference class are 0."""
        layout = self.design.layout
        if layout.classes in {2, layout.outputs}:
            return coefficients
        return np.vstack([np.zeros(layout.width), coefficients])

    def _number(self, values: Floats) -> float | list[float]:
        numbers: list[float] = values.tolist()
        return numbers[0] if self.design.layout.classes == 2 else numbers

    def _missing_number(self, column: str) -> Any:
        source = next(source for source in self.design.numbers if source.column == column)
        if isinstance(source.missing, str):
            return "null" if source.missing == "drop" else "error"
        return {"impute": source.missing}
