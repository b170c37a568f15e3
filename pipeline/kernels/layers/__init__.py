"""Mathematics of network layers on one block.

A layer computes tiles of 1,024 rows. The bits of a row do not depend on the other rows, nor on its place, while BLAS
has one thread (:func:`pipeline.kernels.blas.one_thread`). Nothing warns, and nothing keeps state.
"""

from pipeline.kernels.layers.backward import (
    dense_error,
    dense_signal,
    dense_slopes,
    dense_weight_gradient,
    log_loss_signal,
    log_losses,
)
from pipeline.kernels.layers.clipping import clip_gradients
from pipeline.kernels.layers.dense import DenseLayer
from pipeline.kernels.layers.initial import Seed, default_gain, generator, glorot, he, normal
from pipeline.kernels.layers.products import ProductProbe, arithmetic_of, probe
from pipeline.kernels.layers.recurrent import GruLayer, LstmLayer, RecurrentLayer
from pipeline.kernels.layers.through_time import StepGradients, StepRecord, pooled_error, pooled_states, record_steps
from pipeline.kernels.layers.tiles import LAYER_ROWS, by_tiles, padded

__all__ = [
    "LAYER_ROWS",
    "DenseLayer",
    "GruLayer",
    "LstmLayer",
    "ProductProbe",
    "RecurrentLayer",
    "Seed",
    "StepGradients",
    "StepRecord",
    "arithmetic_of",
    "by_tiles",
    "clip_gradients",
    "default_gain",
    "dense_error",
    "dense_signal",
    "dense_slopes",
    "dense_weight_gradient",
    "generator",
    "glorot",
    "he",
    "log_loss_signal",
    "log_losses",
    "normal",
    "padded",
    "pooled_error",
    "pooled_states",
    "probe",
    "record_steps",
]
