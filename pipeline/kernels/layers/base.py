"""What layers of every kind have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import fields
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.dataclass import dataclass
from pipeline.kernels.layers.products import Shape, arithmetic_of

Weights = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class NetworkLayer(ABC):
    """Weights, and what is made of them once: the type of the arithmetic, and weights in that type.

    What is made stays behind when a layer is pickled, because another process may have another BLAS.
    """

    @property
    @abstractmethod
    def inputs(self) -> int:
        """The features that it takes, of a row or of a step."""

    @property
    @abstractmethod
    def units(self) -> int:
        """The features that it gives, of a row or of a step."""

    @property
    @abstractmethod
    def dtype(self) -> np.dtype[Any]:
        """The type of the weights and of what it gives."""

    @property
    @abstractmethod
    def products(self) -> tuple[Shape, ...]:
        """The shapes of the matrices that the rows of a tile are multiplied by."""

    @cached_property
    def arithmetic(self) -> np.dtype[Any]:
        """The type of sums and states; see :func:`pipeline.kernels.layers.products.arithmetic_of`."""
        return arithmetic_of(self.dtype, self.products)

    def __getstate__(self) -> dict[str, Any]:
        return {each.name: getattr(self, each.name) for each in fields(self)}
