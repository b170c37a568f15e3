"""Fit models to data larger than memory: logistic ones to the optimum, with a certificate, and networks.

asking      what is asked for: the job, its terms, what they are in the files, what the fit will do
first_pass  what the first pass learns: classes, vocabularies, moments, histograms, a sample
designs     terms, with what was learnt, as columns of tiles and as features of a model file
tiles       from batches to tiles
passes      points, their sums over all rows, what is held between passes, the state of a fit
solving     what is minimised, the solvers, paths of penalties
network     networks of dense layers: another job on the same rows, by mini-batches
outcome     the model file, errors, measures, marginal effects, profiles
estimator   fits of rows that a caller has, in memory or with Dask
beginning   between the first pass and the next
finding     the passes behind the first
telling     what a fit tells while it runs
running     a whole fit
report      what is reported
describing  the report and the plan as JSON
"""
