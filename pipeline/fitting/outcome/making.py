"""The model file of a fit: what was fitted in tiles, as features in units of their columns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.errors import DataError
from pipeline.fitting.asking.job import FitJob
from pipeline.fitting.designs.design import FitDesign
from pipeline.fitting.first_pass.learnt import Learnt
from pipeline.fitting.outcome.featuring import FeatureMaker
from pipeline.fitting.outcome.own_units import OwnUnits, free_of, slice_of
from pipeline.fitting.outcome.tabulating import coefficient_names
from pipeline.fitting.outcome.totals import intercept_shift
from pipeline.fitting.solving.objective import Solution
from pipeline.fitting.tiles.layout import FitLayout, Floats
from pipeline.models import LogisticModel
from pipeline.models.logistic.documents import Feature, default_name, named_apart, version_of
from pipeline.models.logistic.parsing import from_mapping
from pipeline.units import escape


def model_of(
    job: FitJob, design: FitDesign, learnt: Learnt, solution: Solution, training: Mapping[str, Any]
) -> LogisticModel:
    """Return the model that was fitted: a file of version 1 where that can hold it, else of version 2.

    Its raw predictions are those of the tiles but for rounding, plus what ``--prior`` adds; columns under ``--control``
    are set to a reference, which is noted in ``training``.

    Raises
    ------
    DataError
        No feature is left: all columns were dropped, or set to a reference. Or a coefficient is beyond float64 in units
        of its column.
    """
    layout = design.layout
    units, fitted = OwnUnits.of(design), _of_classes(layout, solution.coefficients)
    free, own = free_of(solution, layout), units.coefficients(fitted)
    _check_finite(design, own)
    maker = FeatureMaker(design, learnt, frozenset(job.model.controls), len(fitted))
    features = _features(maker, free, own)
    if not features:
        raise DataError(
            "no feature is left for the model: every column is constant, a combination of others or a control",
            "name other columns under --features",
        )
    features = named_apart([*features, *_that_drop(maker, features)])
    constants = [units.intercepts(fitted), *maker.constants, np.full(len(fitted), intercept_shift(job, learnt))]
    document = {
        **_head(job, layout, learnt),
        "intercept": _number([math.fsum(each) for each in zip(*constants, strict=True)]),
        "features": features,
        "training": {**training, **({"controls": maker.references} if maker.references else {})},
    }
    return LogisticModel(from_mapping({**document, "version": version_of(document)}, "the fitted model"))


def _check_finite(design: FitDesign, own: Floats) -> None:
    """Refuse coefficients that no model file can hold."""
    beyond = np.flatnonzero(~np.isfinite(own).all(axis=0))
    if beyond.size:
        name = coefficient_names(design)[beyond[-1]]
        raise DataError(
            f"the coefficient of {escape(name)} is too large for a float64 in the unit of its column",
            "rescale the column first under --features: scale(NAME, CENTER, SCALE)",
        )


def _features(maker: FeatureMaker, free: npt.NDArray[np.bool_], own: Floats) -> list[Feature]:
    """Return the features of the terms that were fitted, with the name of the term where their usual one is taken."""
    names: set[str] = set()
    made = []
    for column in maker.design.columns:
        place = slice_of(column, maker.design.layout)
        feature = maker.feature(column, own[:, place]) if free[place].any() else None
        if feature is None:
            continue
        name = str(feature.get("name") or default_name(feature))
        made.append(feature if name not in names else {**feature, "name": column.name})
        names |= {name, column.name}
    return made


def _that_drop(maker: FeatureMaker, features: Sequence[Feature]) -> list[Feature]:
    """Return features that change no score: of columns that were left out, whose missing values drop a row."""
    parts = (part for feature in features for part in (feature, *feature.get("terms", ())))
    known = maker.controls | {part["column"] for part in parts if "missing" in part}
    numbers = [each.column for each in maker.design.numbers if each.missing == "drop" and each.column not in known]
    levels = [each.column for each in maker.design.levels if each.missing == "drop" and each.column not in known]
    return [*map(maker.zero_of_number, numbers), *map(maker.zero_of_category, levels)]


def _head(job: FitJob, layout: FitLayout, learnt: Learnt) -> dict[str, Any]:
    target: dict[str, Any] = {"column": job.model.target}
    head: dict[str, Any] = {"format": "logitstream-model", "version": 1, "kind": "logistic"}
    if layout.classes > 2:
        head |= {"classes": list(learnt.classes), "target": target}
    else:
        negative, positive = learnt.classes
        head |= {"target": target | {"negative": negative, "positive": positive}}
    if job.model.offset is not None:
        head["offset"] = {"column": job.model.offset, "missing": "error"}
    return head


def _of_classes(layout: FitLayout, coefficients: Floats) -> Floats:
    """Return coefficients with a row for each class of several; those of a reference class are 0."""
    if layout.classes in {2, layout.outputs}:
        return coefficients
    return np.vstack([np.zeros(layout.width), coefficients])


def _number(values: list[float]) -> float | list[float]:
    return values[0] if len(values) == 1 else values
