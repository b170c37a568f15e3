"""One calibration: the rows that are read, sums over them pass by pass, the optimum, measures before and after.

curves      the functions of the raw prediction whose weights are fitted, and their sums over rows
softening   the temperature of several classes: log loss and its derivatives, and where to look next
stepping    Newton steps, within bounds where a calibration has them
steps       the step function of an isotonic calibration, from counts by key
reading     the rows of batches: raw predictions, classes, which of them are held out
measuring   log loss and probabilities of rows, with the calibration of the model or with a new one
summing     what the rows of a chunk add up to
passes      passes over a scan
finding     from the first pass to the optimum
preparing   the files, the columns and the chunks
report      what is found, for people and as JSON
"""
