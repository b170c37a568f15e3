"""Mathematics on one block: the functions of the registry and the raw prediction, in tiles that stay in the cache.

Every function here gives an element the same bits in an array of any length, shape or memory layout, cut anywhere.
:func:`arithmetic_tag` names what else the bits depend on. Nothing warns, and nothing keeps state; all may be called
from several threads at once on different outputs.
"""

from pipeline.kernels.activations import KERNELS, evaluate, gradient
from pipeline.kernels.arithmetic import arithmetic_tag
from pipeline.kernels.bins import Guide
from pipeline.kernels.links import LINKS, complement_link, inverse_link
from pipeline.kernels.logistic import check_precision, log_sigmoid, logit, sigmoid, sigmoid_tile
from pipeline.kernels.prediction import (
    Binned,
    Categorical,
    Factor,
    Numeric,
    Product,
    Term,
    Visit,
    contributions,
    raw_prediction,
)
from pipeline.kernels.softmax import softmax, softmax_columns, softmax_gradient
from pipeline.kernels.steps import STEP_FUNCTIONS, Affine, Clip, Step, StepFunction, stepped, tile_steps
from pipeline.kernels.tiles import TILE_ROWS, is_masked

__all__ = [
    "KERNELS",
    "LINKS",
    "STEP_FUNCTIONS",
    "TILE_ROWS",
    "Affine",
    "Binned",
    "Categorical",
    "Clip",
    "Factor",
    "Guide",
    "Numeric",
    "Product",
    "Step",
    "StepFunction",
    "Term",
    "Visit",
    "arithmetic_tag",
    "check_precision",
    "complement_link",
    "contributions",
    "evaluate",
    "gradient",
    "inverse_link",
    "is_masked",
    "log_sigmoid",
    "logit",
    "raw_prediction",
    "sigmoid",
    "sigmoid_tile",
    "softmax",
    "softmax_columns",
    "softmax_gradient",
    "stepped",
    "tile_steps",
]
