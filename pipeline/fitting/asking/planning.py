"""What a fit will do, from footers and headers alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from pipeline.fitting.asking.formula import term_text
from pipeline.fitting.asking.job import FitJob
from pipeline.fitting.asking.reading import PreparedFit, prepare_fit
from pipeline.fitting.asking.terms import BinsTerm, CategoryTerm, MissingTerm, NumberTerm, ProductTerm, Term
from pipeline.fitting.asking.wishing import models_of
from pipeline.fitting.passes.resources import pass_costs, plan_of_fit
from pipeline.fitting.report import FitPlan
from pipeline.fitting.solving import choose
from pipeline.fitting.solving.objective import Method, Penalty
from pipeline.fitting.tiles.layout import FitLayout
from pipeline.scan import with_costs

# Passes that each method usually takes after the first.
_USUAL = {"newton": 4, "newton-cg": 40, "owlqn": 100}
# Of penalties that are tried one after the other, each from the one before it.
_OF_A_PATH = 40
_KINDS = {
    NumberTerm: "number",
    CategoryTerm: "levels",
    BinsTerm: "intervals",
    MissingTerm: "missing indicator",
    ProductTerm: "product",
}


@dataclass(frozen=True, slots=True, eq=False)
class FitOutlook:
    """What is expected of a fit before any row is read.

    Attributes
    ----------
    layout : FitLayout
        The widest that the model may be.
    method : str
    passes : int
        About how many follow the first.
    models : int
        How many may share a pass.
    penalty : Penalty or None
    """

    layout: FitLayout
    method: str
    passes: int
    models: int
    penalty: Penalty | None


def outlook_of(prepared: PreparedFit) -> FitOutlook:
    """Return what is expected of a fit."""
    job, terms, solve = prepared.job, prepared.terms, prepared.job.solve
    layout = FitLayout(
        dense=sum(_has_one(term) for term in terms),
        levels=tuple(_most(job, term) for term in terms if not _has_one(term)),
        intercept=job.model.intercept,
    )
    penalty = Penalty(solve.l1, solve.l2, np.ones(layout.width)) if solve.l1 > 0 or solve.l2 > 0 else None
    method = _method(job, layout, penalty)
    passes = _USUAL.get(method, solve.iterations)
    if solve.path or solve.folds:
        passes = max(passes, _OF_A_PATH)
    return FitOutlook(layout, method, passes + sum(_extra(job)), models_of(job), penalty)


def check_width(prepared: PreparedFit) -> None:
    """Refuse a fit whose numbers alone have more coefficients than fit the memory; the levels are not known yet.

    Raises
    ------
    MemoryBudgetError
        The message has both numbers.
    """
    outlook = outlook_of(prepared)
    least = replace(outlook.layout, levels=(1,) * len(outlook.layout.levels))
    method = _method(prepared.job, least, outlook.penalty)
    with_costs(prepared.scan, pass_costs(least, squares=int(method == "newton")))


def plan(job: FitJob) -> FitPlan:
    """Return what a fit will do.

    Raises
    ------
    LogitstreamError
        Every reason for which the fit cannot start; with exit code 71 where its coefficients do not fit the memory.
    """
    prepared = prepare_fit(job)
    job, outlook = prepared.job, outlook_of(prepared)
    return plan_of_fit(
        prepared.scan,
        job,
        outlook.layout,
        columns=[(term_text(term), _KINDS[type(term)], _known(job, term)) for term in prepared.terms],
        solver=outlook.method,
        passes=outlook.passes,
        squares=outlook.method == "newton",
        models=outlook.models,
        notes=prepared.notes,
    )


def _method(job: FitJob, layout: FitLayout, penalty: Penalty | None) -> Method:
    signs = np.fromiter(job.model.signs.values(), np.int8)
    return choose(job.solve.solver, layout, penalty, signs)


def _extra(job: FitJob) -> Iterator[int]:
    """Yield passes besides those of the solver."""
    yield job.solve.robust or job.solve.robust_groups is not None
    yield job.solve.effects
    yield job.model.exact_median


def _has_one(term: Term) -> bool:
    """Return whether a term has one dense column."""
    if isinstance(term, ProductTerm):
        return all(isinstance(factor, NumberTerm) for factor in term.factors)
    return isinstance(term, NumberTerm | MissingTerm) or (isinstance(term, BinsTerm) and term.woe)


def _most(job: FitJob, term: Term) -> int:
    """Return the most coefficients that a term of levels can have."""
    if isinstance(term, BinsTerm):
        return (len(term.edges) + 1 if term.edges else term.bins) + 1
    return job.model.max_levels


def _known(job: FitJob, term: Term) -> int | None:
    """Return the coefficients of a term, where the first pass need not tell."""
    if _has_one(term):
        return 1
    return _most(job, term) - 1 if isinstance(term, BinsTerm) and term.edges else None
