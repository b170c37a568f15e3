"""What ends a fit, or what a person should know of it: no optimum, columns that others explain."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pipeline.errors import DataError, ThresholdError
from pipeline.fitting.asking.job import FitJob
from pipeline.fitting.asking.terms import CategoryTerm
from pipeline.fitting.designs.design import FitDesign, factors_of
from pipeline.fitting.outcome.own_units import slice_of
from pipeline.fitting.outcome.tabulating import coefficient_names, left_out
from pipeline.fitting.report import INTERCEPT
from pipeline.fitting.solving.objective import Certificate, Solution
from pipeline.units import escape, format_count

_NAMES_SHOWN = 5


def check_converged(job: FitJob, design: FitDesign, solution: Solution) -> None:
    """Refuse coefficients that are not the optimum, unless that is allowed.

    Raises
    ------
    ThresholdError
        With the features that separate the classes, where they do.
    """
    if solution.certificate.converged or job.allow_unconverged:
        return
    why = f"{_without_optimum(design, solution)}; nothing was written"
    if solution.certificate.separating:
        merge = "merge the level with others (--min-count), " if _levels_separate(solution.certificate, design) else ""
        raise ThresholdError(why, f"add a penalty (--l2 1e-6), {merge}or leave the feature out")
    raise ThresholdError(
        why, "see what the lines of the passes tell; --allow-unconverged writes the model all the same"
    )


def unconverged_notes(design: FitDesign, solution: Solution) -> Iterator[str]:
    """Yield a note if the coefficients are not the optimum, with the features that separate the classes."""
    if not solution.certificate.converged:
        yield f"{_without_optimum(design, solution)}: the coefficients are those of the last pass"


def _without_optimum(design: FitDesign, solution: Solution) -> str:
    """Return that there is no optimum, or that it was not reached, and why."""
    certificate = solution.certificate
    names = list(_separating(certificate, design))
    # The intercept grows along with the features that separate.
    names = [name for name in names if name != INTERCEPT] or names
    if not names:
        return f"the fit did not converge: {certificate.reason}"
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    shown = ", ".join(map(escape, names[:_NAMES_SHOWN])) + more
    return f"the fit has no optimum: {certificate.separation} separation by {shown}"


def _separating(certificate: Certificate, design: FitDesign) -> Iterator[str]:
    names = coefficient_names(design)
    return (names[position] for position in _positions(certificate, design))


def _levels_separate(certificate: Certificate, design: FitDesign) -> bool:
    """Return whether a level is among what separates; intervals cannot be merged by their counts."""
    positions = set(_positions(certificate, design))
    return any(
        not positions.isdisjoint(range(place.start, place.stop))
        for column in design.columns
        for place in [slice_of(column, design.layout)]
        if any(isinstance(factor, CategoryTerm) for factor in factors_of(column))
    )


def _positions(certificate: Certificate, design: FitDesign) -> Iterable[int]:
    """Return the positions of the coefficients that separate, in the width of the design, each once."""
    return dict.fromkeys(position % design.layout.width for position in certificate.separating)


def dependent_notes(job: FitJob, design: FitDesign, solution: Solution) -> Iterator[str]:
    """Yield a note for each column that was left out because others explain it.

    Raises
    ------
    DataError
        With ``--strict``.
    """
    names = coefficient_names(design)
    for position, why in left_out(solution, design).items():
        text = f"{escape(names[position])} is {escape(why)}"
        if job.model.strict:
            raise DataError(
                f"{text}: it has no coefficient of its own", "leave one of them out, or fit without --strict"
            )
        yield f"{text}: left out"


def unscored_notes(rows: int) -> Iterator[str]:
    """Yield a note if some of the rows that are held out have a level that no fitted row has."""
    if rows:
        what = "row has a level" if rows == 1 else "rows have a level"
        yield (
            f"{format_count(rows)} held-out {what} that no fitted row has, for which the model has no score: left out "
            "of the held-out log loss"
        )
