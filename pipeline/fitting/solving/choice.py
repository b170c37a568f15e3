"""Which method a fit is solved with."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipeline.choices import SolverName
from pipeline.errors import UsageError
from pipeline.fitting.solving.objective import Method, Penalty
from pipeline.fitting.tiles.layout import FitLayout

# Coefficients up to which a Hessian is built; classes are counted.
NEWTON_SIZE = 2_000


def choose(
    solver: SolverName, layout: FitLayout, penalty: Penalty | None, signs: npt.NDArray[np.int8] | None = None
) -> Method:
    """Return the method for a solver's name; ``auto`` takes the exact one up to 2,000 coefficients.

    Raises
    ------
    UsageError
        ``newton-cg`` with an L1 penalty or signs.
    """
    has_l1, has_signs = penalty is not None and penalty.l1 > 0, signs is not None and bool(signs.any())
    check_kinks(solver, l1=has_l1, signs=has_signs)
    if solver != "auto":
        return solver
    if layout.size <= NEWTON_SIZE:
        return "newton"
    return "owlqn" if has_l1 or has_signs else "newton-cg"


def check_kinks(solver: SolverName, *, l1: bool, signs: bool) -> None:
    """Refuse a solver that cannot fit with an L1 penalty or with signs.

    Raises
    ------
    UsageError
        ``newton-cg`` with either.
    """
    if solver == "newton-cg" and (l1 or signs):
        raise UsageError(
            f"--solver newton-cg cannot fit with {'--l1' if l1 else '--sign'}",
            "leave out one of the two, or use --solver auto",
        )
