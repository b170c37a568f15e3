"""From raw predictions to probabilities, by the link of a model, and the probabilities of the other class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.kernels.inverses import cauchit_function, falling_function, probit_function, rising_function
from pipeline.kernels.logistic import sigmoid_function
from pipeline.kernels.tiles import Floats, TileFunction, apply_tiles

if TYPE_CHECKING:
    from pipeline.choices import Precision

Builder = Callable[["Precision"], TileFunction]


class _Link(NamedTuple):
    inverse: Builder
    complement: Builder


def inverse_link(
    link: str, raw: npt.ArrayLike, *, out: npt.NDArray[Any] | None = None, precision: Precision = "fast"
) -> npt.NDArray[Any]:
    """Return the probability of the positive class for every raw prediction, accurate in both tails.

    The bits are those of :func:`pipeline.kernels.sigmoid` for ``logit``, and of the function ``inverse_<link>`` of the
    registry for the others; errors in u are those of their entries. Types, ``out`` and errors are those of the sigmoid.

    Parameters
    ----------
    link : {"logit", "probit", "cloglog", "loglog", "cauchit"}
    raw : array_like, any shape
    out : ndarray, optional
    precision : {"fast", "accurate", "reproducible"}

    Raises
    ------
    LookupError
        There is no such link.
    """
    return apply_tiles(_link_named(link).inverse(precision), raw, out)


def complement_link(
    link: str, raw: npt.ArrayLike, *, out: npt.NDArray[Any] | None = None, precision: Precision = "fast"
) -> npt.NDArray[Any]:
    """Return the probability of the negative class for every raw prediction, accurate even where it is tiny.

    It is not computed as 1 minus the other: its error in u is that of the function in its other tail. Parameters and
    errors are those of :func:`inverse_link`.
    """
    return apply_tiles(_link_named(link).complement(precision), raw, out)


def _link_named(link: str) -> _Link:
    if link not in LINKS:
        raise LookupError(f'no link "{link}"; there are {", ".join(LINKS)}')
    return LINKS[link]


def _sigmoid_of_minus(precision: Precision) -> TileFunction:
    function = sigmoid_function(precision)

    def tile(z: Floats, out: Floats, scratch: Floats) -> None:
        np.negative(z, out=out)
        function(out, out, scratch)

    return tile


LINKS: Mapping[str, _Link] = {
    "logit": _Link(sigmoid_function, _sigmoid_of_minus),
    "probit": _Link(partial(probit_function, 1.0), partial(probit_function, -1.0)),
    "cloglog": _Link(partial(rising_function, 1.0), partial(falling_function, 1.0)),
    "loglog": _Link(partial(falling_function, -1.0), partial(rising_function, -1.0)),
    "cauchit": _Link(partial(cauchit_function, 1.0), partial(cauchit_function, -1.0)),
}
