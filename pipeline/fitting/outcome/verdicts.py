"""What ends a fit, or what a person should know of it: no optimum, columns that others explain."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.errors import DataError, ThresholdError
from pipeline.fitting.asking.job import FitJob
from pipeline.fitting.designs.design import FitDesign
from pipeline.fitting.outcome.tabulating import coefficient_names, left_out
from pipeline.fitting.report import INTERCEPT
from pipeline.fitting.solving.objective import Certificate, Solution
from pipeline.units import escape

_NAMES_SHOWN = 5


def check_converged(job: FitJob, design: FitDesign, solution: Solution) -> None:
    """Refuse coefficients that are not the optimum, unless that is allowed.

    Raises
    ------
    ThresholdError
        With the features that separate the classes, where they do.
    """
    certificate = solution.certificate
    if certificate.converged or job.allow_unconverged:
        return
    names = list(_separating(certificate, design))
    # The intercept grows along with the features that separate.
    names = [name for name in names if name != INTERCEPT] or names
    if not names:
        raise ThresholdError(
            f"the fit did not converge: {certificate.reason}; nothing was written",
            "see the line of each pass; --allow-unconverged writes the model anyway",
        )
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    shown = ", ".join(map(escape, names[:_NAMES_SHOWN])) + more
    raise ThresholdError(
        f"the fit has no optimum: {certificate.separation} separation by {shown}; nothing was written",
        "add a penalty (--l2 1e-6), merge the level with others (--min-count), or leave the feature out",
    )


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
