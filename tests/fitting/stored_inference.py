"""What statsmodels says of fits, stored so that tests need no statsmodels.

    python -m tests.fitting.stored_inference

fits each case and writes coefficients, errors and measures to ``tests/fitting/data/inference.json``. Needs statsmodels;
the data come with scikit-learn.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from sklearn.datasets import load_breast_cancer, load_wine

from pipeline.fitting.designs.design import DesignColumn, FitDesign, LevelSource, NumberSource
from pipeline.fitting.outcome.inference import Inference
from pipeline.fitting.asking.job import DataWishes, FitJob, ModelWishes, SolveWishes
from pipeline.fitting.tiles.layout import FitLayout, LevelColumn, Tile
from pipeline.fitting.first_pass.learnt import FitAccounts, Learnt, LearntNumber
from pipeline.fitting.asking.terms import CategoryTerm, NumberTerm
from tests.fitting.newton import joined, solved, summed

STORED = Path(__file__).parent / "data" / "inference.json"
MANY_GROUPS = 29
LEVELS = ("a", "b", "c", "d")


@dataclass(frozen=True)
class InferenceCase:
    """A fit of columns of numbers, and perhaps one of levels, to the tumours or to the wines.

    ``weights`` are frequencies from 1 to 3; ``zero_one`` adds a column of 0 and 1. With ``robust`` errors are HC0, with
    ``grouped`` robust within groups.
    """

    columns: tuple[int, ...]
    several: bool = False
    weights: bool = False
    offset: bool = False
    intercept: bool = True
    levels: bool = False
    zero_one: bool = False
    robust: bool = False
    grouped: bool = False

    @cached_property
    def _data(self) -> Any:
        return load_wine() if self.several else load_breast_cancer()

    @property
    def classes(self) -> np.ndarray:
        return self._data.target.astype(np.intp)

    @property
    def matrix(self) -> np.ndarray:
        matrix = self._data.data[:, list(self.columns)]
        return np.column_stack([matrix, self.codes > 1]) if self.zero_one else matrix

    @property
    def names(self) -> list[str]:
        return [f"x{number}" for number in self.columns] + ["f"] * self.zero_one

    @property
    def row_weights(self) -> np.ndarray | None:
        return 1.0 + np.arange(len(self.classes)) % 3 if self.weights else None

    @property
    def row_offsets(self) -> np.ndarray | None:
        return np.sin(np.arange(len(self.classes))) if self.offset else None

    @property
    def groups(self) -> np.ndarray | None:
        return (np.arange(len(self.classes), dtype=np.intp) * 7) % MANY_GROUPS if self.grouped else None

    @property
    def codes(self) -> np.ndarray:
        """The level of each row; the first one is the reference."""
        values = self._data.data[:, 5]
        return np.searchsorted(np.quantile(values, [0.25, 0.5, 0.75]), values)

    @property
    def job(self) -> FitJob:
        model = ModelWishes("y", weight="w" if self.weights else None, offset="o" if self.offset else None)
        return FitJob(
            DataWishes(()), model, SolveWishes(robust=self.robust, robust_groups="g" if self.grouped else None)
        )

    @property
    def design(self) -> FitDesign:
        centers, scales = self.matrix.mean(axis=0) * self.intercept, self.matrix.std(axis=0)
        names = self.names
        columns = [
            DesignColumn(NumberTerm(name), name, number, center=float(centers[number]), scale=float(scales[number]))
            for number, name in enumerate(names)
        ]
        sources = tuple(NumberSource(name, "error") for name in names)
        count = int(self.classes.max()) + 1
        if not self.levels:
            return FitDesign(FitLayout(len(names), (), self.intercept, count, count - 1), (*columns,), sources, ())
        cells = ((0,), (1,), (2,))
        category = DesignColumn(
            CategoryTerm("c"), "C(c)", levels=0, labels=LEVELS[1:], reference=LEVELS[0], cells=cells
        )
        columns.append(category)
        codes = {level: code - 1 for code, level in enumerate(LEVELS)}
        layout = FitLayout(len(names), (len(LEVELS) - 1,), self.intercept, count, count - 1)
        return FitDesign(layout, (*columns,), sources, (LevelSource("c", "text", codes, "error"),))

    @property
    def tile(self) -> Tile:
        columns = self.design.columns[: len(self.names)]
        scaled = [(self.matrix[:, column.dense] - column.center) / column.scale for column in columns]
        ones = [np.ones(len(self.matrix))] if self.intercept else []
        levels = (LevelColumn(self.codes - 1),) if self.levels else ()
        dense = np.asfortranarray(np.column_stack([*ones, *scaled]))
        return Tile(dense, levels, self.classes, self.row_weights, self.row_offsets, groups=self.groups)

    @cached_property
    def inference(self) -> Inference:
        """The case as it is fitted by the Newton's method of the tests."""
        layout = self.design.layout
        solution = solved([self.tile], layout)
        return Inference(self.job, self.design, solution, summed([self.tile], layout, solution.coefficients))

    @property
    def learnt(self) -> Learnt:
        numbers = {
            name: LearntNumber(
                len(values), 0, float(values.mean()), float(values.std()), float(values.min()), float(values.max())
            )
            for name, values in zip(self.names, self.matrix.T, strict=True)
        }
        totals = tuple(self.class_totals)
        accounts = FitAccounts(used=len(self.classes))
        classes = tuple(range(len(totals)))
        ones = (1.0,) * len(totals)
        return Learnt(accounts, sum(totals), classes, ones, numbers, class_totals=totals)

    @property
    def table(self) -> pa.Table:
        """The rows as they are in a file."""
        return pa.table({**dict(zip(self.names, self.matrix.T, strict=True)), "y": self.classes})

    @property
    def class_totals(self) -> list[float]:
        classes, weights, _ = joined([self.tile])
        return np.bincount(classes, weights).tolist()


CASES = {
    "numbers": InferenceCase((0, 1, 4, 8)),
    "frequencies": InferenceCase((1, 4, 9), weights=True),
    "offset": InferenceCase((1, 4), offset=True),
    "no intercept": InferenceCase((1, 4), intercept=False),
    "levels": InferenceCase((1, 8), levels=True),
    "zero and one": InferenceCase((1, 8), zero_one=True),
    "robust": InferenceCase((1, 4), robust=True),
    "groups": InferenceCase((1, 4), grouped=True),
    "classes": InferenceCase((2, 3, 4), several=True),
    "classes, robust": InferenceCase((2, 3), several=True, robust=True),
    "classes, groups": InferenceCase((2, 3), several=True, grouped=True),
}


def expected_of(case: InferenceCase) -> dict[str, Any]:
    result = _fitted(case)
    low, high = np.moveaxis(np.array(result.conf_int()).reshape(*result.params.T.shape, 2), -1, 0)
    measures = {"log_loss": -result.llf / np.sum(case.class_totals), "deviance": -2 * result.llf}
    count = result.params.size
    measures |= {
        "null_deviance": _null_deviance(case, result),
        "degrees_of_freedom": count - case.intercept * case.classes.max(),
        "aic": 2 * count - 2 * result.llf,
        "bic": np.log(np.sum(case.class_totals)) * count - 2 * result.llf,
    }
    if hasattr(result, "llr") and case.intercept:
        measures |= {"likelihood_ratio": result.llr, "likelihood_ratio_p": result.llr_pvalue}
        measures |= {"mcfadden": result.prsquared}
    table = {"value": result.params.T, "error": result.bse.T, "z": result.tvalues.T, "p": result.pvalues.T}
    made: dict[str, Any] = {name: np.ravel(values).tolist() for name, values in table.items()}
    made |= {"low": np.ravel(low).tolist(), "high": np.ravel(high).tolist()}
    made["measures"] = {name: float(value) for name, value in measures.items()}
    if not (case.levels or case.weights or case.offset):
        effects = result.get_margeff(dummy=True)
        made["effects"] = {"value": np.ravel(effects.margeff).tolist(), "error": np.ravel(effects.margeff_se).tolist()}
    return made


def _fitted(case: InferenceCase) -> Any:
    import statsmodels.api as sm

    matrix = case.matrix
    if case.levels:
        matrix = np.column_stack([matrix, case.codes[:, None] == np.arange(1, len(LEVELS))])
    matrix = sm.add_constant(matrix) if case.intercept else matrix
    errors: dict[str, Any] = {"cov_type": "HC0"} if case.robust else {}
    if case.grouped:
        errors = {"cov_type": "cluster", "cov_kwds": {"groups": case.groups}}
    options = {"method": "newton", "tol": 1e-12, "maxiter": 100, "disp": 0, **errors}
    if case.weights or case.offset:
        family = sm.families.Binomial()
        model = sm.GLM(case.classes, matrix, family=family, offset=case.row_offsets, freq_weights=case.row_weights)
        return model.fit(tol=1e-14, maxiter=100)
    return (sm.MNLogit if case.several else sm.Logit)(case.classes, matrix).fit(**options)


def _null_deviance(case: InferenceCase, result: Any) -> float:
    """Return what statsmodels says; without an intercept, that of even chances, as R has it."""
    if not case.intercept:
        return 2 * len(case.classes) * np.log(2)
    return result.null_deviance if hasattr(result, "null_deviance") else -2 * result.llnull


if __name__ == "__main__":
    STORED.parent.mkdir(exist_ok=True)
    STORED.write_text(json.dumps({name: expected_of(case) for name, case in CASES.items()}, indent=1) + "\n")
