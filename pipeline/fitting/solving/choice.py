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
    kinked = (penalty is not None and penalty.l1 > 0) or (signs is not None and bool(signs.any()))
    if solver == "newton-cg" and kinked:
        raise UsageError(
            "--solver newton-cg cannot fit with --l1 or --sign",
            "use --solver owlqn, or newton up to 2,000 coefficients",
        )
    if solver != "auto":
        return solver
    if layout.size <= NEWTON_SIZE:
        return "newton"
    return "owlqn" if kinked else "newton-cg"
