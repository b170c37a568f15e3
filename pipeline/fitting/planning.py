"""What a fit will do, from footers and headers alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pipeline.fitting.formula import term_text
from pipeline.fitting.job import FitJob
from pipeline.fitting.layout import FitLayout
from pipeline.fitting.objective import Penalty
from pipeline.fitting.reading import prepare_fit
from pipeline.fitting.report import FitPlan
from pipeline.fitting.resources import plan_of_fit
from pipeline.fitting.solving import choose
from pipeline.fitting.terms import BinsTerm, CategoryTerm, MissingTerm, NumberTerm, ProductTerm, Term

# Passes that each method usually takes after the first.
_USUAL = {"newton": 4, "newton-cg": 40, "owlqn": 100}
_KINDS = {
    NumberTerm: "number",
    CategoryTerm: "levels",
    BinsTerm: "intervals",
    MissingTerm: "missing indicator",
    ProductTerm: "product",
}


def plan(job: FitJob) -> FitPlan:
    """Return what a fit will do.

    Raises
    ------
    LogitstreamError
        Every reason for which the fit cannot start; with exit code 71 where its coefficients do not fit the memory.
    """
    prepared = prepare_fit(job)
    job = prepared.job
    terms = prepared.terms
    layout = FitLayout(
        dense=sum(_has_one(term) for term in terms),
        levels=tuple(_most(job, term) for term in terms if not _has_one(term)),
        intercept=job.model.intercept,
    )
    penalty = None
    if job.solve.l1 > 0 or job.solve.l2 > 0:
        penalty = Penalty(job.solve.l1, job.solve.l2, np.ones(layout.width))
    method = choose(job.solve.solver, layout, penalty)
    models = (job.solve.path or 1) * ((job.solve.folds or 0) + 1)
    return plan_of_fit(
        prepared.scan,
        job,
        layout,
        columns=[(term_text(term), _KINDS[type(term)], _known(job, term)) for term in terms],
        solver=method,
        passes=_USUAL.get(method, job.solve.iterations) + sum(_extra(job)),
        squares=method == "newton",
        models=models,
        notes=prepared.notes,
    )


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
