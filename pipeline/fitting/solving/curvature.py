"""What steps have told of the curvature: the two loops of L-BFGS (Nocedal and Wright, Numerical Optimization, 7.2)."""

from __future__ import annotations

from collections import deque

import numpy as np

from pipeline.fitting.tiles.layout import Floats


class CurvaturePairs:
    """Directions, with the Hessian times each, the oldest first.

    Parameters
    ----------
    most : int
        How many are kept.
    """

    def __init__(self, most: int) -> None:
        self._pairs: deque[tuple[Floats, Floats]] = deque(maxlen=most)

    @property
    def known(self) -> bool:
        """Whether there are any."""
        return bool(self._pairs)

    def add(self, direction: Floats, bent: Floats) -> None:
        """Keep a direction, if the loss curves upwards along it beyond rounding."""
        if direction @ bent > 1e-12 * float(np.linalg.norm(direction) * np.linalg.norm(bent)):
            self._pairs.append((direction, bent))

    def scale(self, inverse: Floats) -> float:
        """Return by how much the inverse of a diagonal is too small, as the last pair tells."""
        if not self._pairs:
            return 1.0
        direction, bent = self._pairs[-1]
        return float(direction @ bent) / float(bent @ (inverse * bent))

    def divided(self, slope: Floats, inverse: Floats) -> Floats:
        """Return about the inverse Hessian times a slope, given the inverse of its diagonal."""
        rest, shares = slope.copy(), []
        for direction, bent in reversed(self._pairs):
            share = float(direction @ rest) / float(direction @ bent)
            rest -= share * bent
            shares.append(share)
        rest *= inverse
        for (direction, bent), share in zip(self._pairs, reversed(shares), strict=True):
            rest += (share - float(bent @ rest) / float(direction @ bent)) * direction
        return rest
