"""Solvers: generators that yield points, receive sums and return a solution.

newton      the exact step, and halving without a pass
drive       any number of solvers over shared passes
"""

from pipeline.fitting.solving.drive import Observer, drive
from pipeline.fitting.solving.newton import newton

__all__ = ["Observer", "drive", "newton"]
