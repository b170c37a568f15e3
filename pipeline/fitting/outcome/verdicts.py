"""What ends a fit, or what a person should know of it: no optimum, columns that others explain."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.errors import DataError, ThresholdError
from pipeline.fitting.asking.job import FitJob
from pipeline.fitting.designs.design import FitDesign
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
        remedy = "add a penalty (--l2 1e-6), merge the level with others (--min-count), or leave the feature out"
        raise ThresholdError(why, remedy)
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
    positions = (position % design.layout.width for position in certificate.separating)
    return (names[position] for position in dict.fromkeys(positions))


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
