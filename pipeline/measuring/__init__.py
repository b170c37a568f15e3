"""Measures of scores, and calibrations, as functions: options become a checked job.

holding_out   rows that a fit held out, as a model file says it
evaluations   how well scores fit what was observed, and months of that added up
"""

from pipeline.measuring.evaluations import evaluate, merge_evaluations

__all__ = ["evaluate", "merge_evaluations"]
