"""Fitting as functions, one call each: for notebooks, schedulers and the command line.

``fits`` has logistic models, ``networks`` networks.
"""

from pipeline.training.fits import fit, fit_job, preview_fit

__all__ = ["fit", "fit_job", "preview_fit"]
