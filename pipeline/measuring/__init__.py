"""Measures of scores, and calibrations, as functions: options become a checked job.

calibrations  a calibration of a model, fitted to files
holding_out   rows that a fit held out, as a model file says it
evaluations   how well scores fit what was observed, and months of that added up
"""

from pipeline.measuring.evaluations import evaluate, merge_evaluations

__all__ = ["evaluate", "merge_evaluations"]
