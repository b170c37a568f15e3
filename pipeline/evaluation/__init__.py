"""Measure how good scores are, in one pass over rows, with a stated error, from a state that can be merged.

exact       sums without rounding
keys        rows counted by key
joint       rows of two models counted by pairs of keys
states      what is kept of a group of rows: tiles in, states merged
ranking     areas under curves, from the keys
harmonic    sums of reciprocals
calibration bins, and a regression on the probabilities
deciding    thresholds
measures    all measures of a state
comparing   two models on the same rows
results     what is reported
calibrating/ a calibration of a model, fitted and measured
"""
