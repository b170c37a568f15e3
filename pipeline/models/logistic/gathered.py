"""What may be gathered of the contributions to a batch: the parts, and the protocol of a gatherer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from pipeline.dataclass import dataclass
from pipeline.models.columns import Mask, Rows

if TYPE_CHECKING:
    from pipeline.models.logistic.gathering import KeptContributions, PointsOfTerms, ReasonCodes

Floats = npt.NDArray[np.float64]
Where = slice | Rows | Mask
# Returns the contributions of all terms to some rows, shape (terms, rows).
Exact = Callable[[Rows], Floats]


class Gatherer(Protocol):
    """Gathers something of the contributions to the rows of a batch."""

    def put(self, where: slice | Rows, term: int, contributions: Floats) -> None:
        """Take what a term adds to some rows; terms follow each other, the first one replaces what the rows had."""
        ...

    def settle(self, exact: Exact) -> None:
        """Complete the rows that need the exact contributions of all terms."""
        ...

    def blank(self, where: Where) -> None:
        """Forget what rows without a score have."""
        ...


@dataclass(frozen=True, eq=False)
class GatheredParts:
    """What is gathered of a batch; ``None`` where it is not wanted."""

    contributions: KeptContributions | None = None
    points: PointsOfTerms | None = None
    reasons: ReasonCodes | None = None

    @property
    def gatherers(self) -> list[Gatherer]:
        """Those that are wanted."""
        return [each for each in (self.contributions, self.points, self.reasons) if each is not None]
