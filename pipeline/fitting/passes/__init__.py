"""Passes over the rows: points, their sums, where decoded columns are between passes, and the state of a fit."""
