"""Measure how good scores are, in one pass over rows, with a stated error, from a state that can be merged.

exact       sums without rounding
keys        tables of rows by key, merged
counting    rows into tables
joint       rows of two models counted by pairs of keys
states      what is kept of a group of rows: tiles in, states merged
ranking     areas under curves, from the keys
harmonic    sums of reciprocals
calibration bins, and a regression on the probabilities
deciding    thresholds
measures    all measures of a state
comparing   two models on the same rows
curves      what a report draws
results     what is reported
terms       what an evaluation is of: two can be added up if they agree on it
job         what is read, and how
scoring     from models, or a column, to scores, probabilities and losses
reading     the rows of a batch: which are evaluated, which are left out and why
tiles       used rows gathered, whatever the batches are
names       how much memory the names of groups may take
groups      states by the values of columns
totals      what the rows of a chunk, and all chunks, add up to
features    what makes scores meaningless
passing     one pass over files
statefile   what was added up, in a file
merging     several such files together
report      what an evaluation returns
limits      measures that must not be below a number
json        the report as JSON
calibrating/ a calibration of a model, fitted and measured
"""
