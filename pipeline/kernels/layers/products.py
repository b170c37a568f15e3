"""Products of weights and a tile whose bits do not depend on where in the tile a row is.

By ``numpy.dot`` throughout: ``@`` keeps the interpreter's lock while BLAS works, and two threads take twice as long.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from pipeline.kernels.blas import one_thread
from pipeline.kernels.layers.tiles import LAYER_ROWS

Shape = tuple[int, int]


class ProductProbe(NamedTuple):
    """What a product of one shape showed.

    Attributes
    ----------
    is_anywhere : bool
        Whether a row has the same bits anywhere in the tile.
    digest : str
        Of the bits of the product: another kernel of BLAS gives another one.
    """

    is_anywhere: bool
    digest: str


def arithmetic_of(dtype: np.dtype[Any], shapes: Sequence[Shape]) -> np.dtype[Any]:
    """Return the type that products of weights of these shapes are computed in.

    It is that of the weights, but float64 for float32 where BLAS gives a row other bits in another place of the tile,
    as OpenBLAS's kernels for Haswell and Zen do.
    """
    single = np.dtype(np.float32)
    is_single = dtype == single and all(probe(shape, single).is_anywhere for shape in shapes)
    return single if is_single else np.dtype(np.float64)


@lru_cache(maxsize=1024)
def probe(shape: Shape, dtype: np.dtype[Any]) -> ProductProbe:
    """Return what a product of weights of a shape, (units, inputs), shows of the BLAS of this process.

    Weights and rows are drawn from a fixed seed, and the product is compared with that of the rows in another order.
    """
    generator = np.random.Generator(np.random.Philox(0))
    weights = generator.uniform(-1, 1, shape).astype(dtype)
    columns = generator.uniform(-1, 1, (shape[1], LAYER_ROWS)).astype(dtype)
    order = generator.permutation(LAYER_ROWS)
    with one_thread():
        product = np.dot(weights, columns)
        other = np.dot(weights, np.ascontiguousarray(columns[:, order]))
    digest = hashlib.sha256(product.astype(product.dtype.newbyteorder("<")).tobytes()).hexdigest()
    return ProductProbe(bool(np.array_equal(product[:, order], other)), digest)
