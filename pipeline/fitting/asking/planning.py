"""What a fit will do, from footers and headers alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import numpy as np

from pipeline.dataclass import dataclass
from pipeline.errors import MemoryBudgetError
from pipeline.fitting.asking.formula import term_text
from pipeline.fitting.asking.job import FitJob
from pipeline.fitting.asking.reading import PreparedFit, prepare_fit
from pipeline.fitting.asking.terms import BinsTerm, CategoryTerm, MissingTerm, NumberTerm, ProductTerm, Term
from pipeline.fitting.asking.wishing import models_of
from pipeline.fitting.passes.resources import FitMemory, divide_memory, lowered_note, most_models, pass_costs
from pipeline.fitting.report import FitPlan
from pipeline.fitting.solving import choose
from pipeline.fitting.solving.objective import Method, Penalty
from pipeline.fitting.tiles.layout import FitLayout
from pipeline.scan import PreparedScan

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


def expected_memory(prepared: PreparedFit) -> FitMemory:
    """Return how a fit divides its memory, as far as is known before the first pass: the levels are not.

    Raises
    ------
    MemoryBudgetError
        The numbers alone have more coefficients than fit the memory. The message has both numbers.
    """
    job, outlook, places = prepared.job, outlook_of(prepared), needs_places(prepared)
    with suppress(MemoryBudgetError):
        return _memory_of(prepared.scan, job, outlook, places)
    least = replace(outlook.layout, levels=(1,) * len(outlook.layout.levels))
    method = _method(job, least, outlook.penalty)
    return _memory_of(prepared.scan, job, replace(outlook, layout=least, method=method), places)


def needs_places(prepared: PreparedFit) -> bool:
    """Return whether the places of rows in their files decide folds or the hold-out."""
    divider = prepared.rules.divider
    return divider is not None and divider.key is None and (divider.folds > 1 or divider.share > 0)


def plan(job: FitJob) -> FitPlan:
    """Return what a fit will do.

    Raises
    ------
    LogitstreamError
        Every reason for which the fit cannot start; with exit code 71 where its coefficients do not fit the memory.
    """
    prepared = prepare_fit(job)
    columns = [(term_text(term), _KINDS[type(term)], _known(prepared.job, term)) for term in prepared.terms]
    found = plan_of(prepared.scan, prepared.job, outlook_of(prepared), places=needs_places(prepared))
    return replace(found, columns=tuple(columns), notes=(*prepared.notes, *found.notes))


def plan_of(scan: PreparedScan, job: FitJob, outlook: FitOutlook, *, places: bool = False) -> FitPlan:
    """Return the plan of a scan, without its columns.

    Raises
    ------
    MemoryBudgetError
        One worker with batches of one row does not fit.
    """
    memory = _memory_of(scan, job, outlook, places)
    resources, held = memory.widest.resources, memory.holding
    lowered = lowered_note(outlook.models, _models_of(scan, outlook), resources.allowed_bytes)
    of_pass = {"memory": 0, "scratch": held.held_bytes, "read again": scan.bytes_to_read}
    return FitPlan(
        files=len(scan.files),
        rows=scan.expected_rows,
        rows_estimated=any(facts.rows is None for facts in scan.files),
        columns=(),
        width=outlook.layout.size,
        bytes_first=scan.bytes_to_read,
        bytes_pass=of_pass[held.where],
        held=held.where,
        held_bytes=0 if held.where == "read again" else held.held_bytes,
        projected_bytes=memory.projected_bytes,
        allowed_bytes=scan.resources.allowed_bytes,
        workers=resources.workers,
        passes=1 + outlook.passes,
        solver=outlook.method,
        notes=(*resources.notes, *([lowered] if lowered else [])),
    )


def _memory_of(scan: PreparedScan, job: FitJob, outlook: FitOutlook, places: bool) -> FitMemory:
    costs = pass_costs(outlook.layout, _models_of(scan, outlook), _squares(outlook))
    return divide_memory(scan, costs, job.means.scratch, output=job.output, passes=outlook.passes, places=places)


def _models_of(scan: PreparedScan, outlook: FitOutlook) -> int:
    return most_models(scan, outlook.layout, outlook.models, _squares(outlook))


def _squares(outlook: FitOutlook) -> int:
    return int(outlook.method == "newton")


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
