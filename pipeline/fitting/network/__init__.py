"""Networks of dense layers, fitted by mini-batches that are streamed over the rows."""
