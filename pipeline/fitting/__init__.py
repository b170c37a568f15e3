"""Fit logistic models to data larger than memory: to the optimum, with a certificate.

job         what a caller asks for
formula     the text of --features as terms, and back
terms       what is asked for under --features
learnt      what the first pass learns
design      terms and what was learnt, as columns of tiles and features of a model file
layout      the encoded rows, and how coefficients are laid out
points      what one pass answers
arrays      passes over rows that a caller has, in memory or with Dask
objective   what is minimised, and what a solver returns
likelihood  the loss of rows, and its derivatives by their raw predictions
blocks      products with the matrix of a tile, which is never built
summing     what rows add to the sums at some points
tiles_in_memory  passes over tiles in memory
dependence  columns that are combinations of others
solving     solvers, and any number of them over shared passes
selection   a path of penalties, and the one that rows left out choose
describing  the report and the plan as JSON
report      what a fit tells while it runs, before it starts, and at its end
"""
