"""Layers and cells of networks for NumPy and Dask arrays, and the clipping of gradients."""

from pipeline.kernels.layers import clip_gradients
from pipeline.networks.cells import GRUCell, LSTMCell
from pipeline.networks.dense import Dense

__all__ = ["Dense", "GRUCell", "LSTMCell", "clip_gradients"]
