"""Solvers: generators that yield points, receive sums and return a solution.

objective   what is minimised, and what a solver returns
selection   a path of penalties, and the one that rows left out choose
dependence  columns that are combinations of others
choice      which method a fit is solved with
starting    solvers by their names, and a start from a sample
newton      the exact step from the Hessian; with an L1 penalty or signs too
conjugate   Newton's method for many coefficients, a pass for each product
orthant     L-BFGS with an L1 penalty, for many coefficients
steepest    gradient descent, for comparison
drive       any number of solvers over shared passes
problem     penalties, bounds and what nothing decides, beside sums
step        one Newton step
curvature   what steps have told of the Hessian
quadratic   a quadratic with kinks and bounds, minimised
line        how far to go along a step
descent     what all solvers keep
ending      when a solver ends, and why
"""

from pipeline.fitting.solving.choice import NEWTON_SIZE, choose
from pipeline.fitting.solving.conjugate import newton_cg
from pipeline.fitting.solving.drive import Observer, drive
from pipeline.fitting.solving.newton import newton
from pipeline.fitting.solving.orthant import owlqn
from pipeline.fitting.solving.starting import begin, warm_start
from pipeline.fitting.solving.steepest import gradient

__all__ = [
    "NEWTON_SIZE",
    "Observer",
    "begin",
    "choose",
    "drive",
    "gradient",
    "newton",
    "newton_cg",
    "owlqn",
    "warm_start",
]
