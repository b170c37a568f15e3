"""The offset: a column that is added to the raw prediction as it is."""

from __future__ import annotations

from typing import ClassVar

from pipeline.kernels import Numeric
from pipeline.models.columns import Rows
from pipeline.models.logistic.batch import BatchColumns
from pipeline.models.logistic.feature import Use
from pipeline.models.logistic.numbers import NumberCells
from pipeline.models.logistic.policies import MissingNumber
from pipeline.models.logistic.sections import GrownSection, Name
from pipeline.models.tally import RowTally


class Offset(GrownSection):
    """A column that is added to the raw prediction (of every class) before the features, without a coefficient."""

    later: ClassVar[frozenset[str]] = frozenset({"name"})

    column: Name
    name: Name | None = None
    missing: MissingNumber = "null"

    @property
    def label(self) -> str:
        """The name by which its contribution goes."""
        return self.name or self.column

    @property
    def use(self) -> Use:
        """What it wants of its column."""
        return Use(self.column, "numeric", (self.missing,))

    def prepare(self, batch: BatchColumns) -> PreparedOffset:
        """Read the column of a batch."""
        return PreparedOffset(NumberCells.read(self.column, self.missing, batch))


class PreparedOffset:
    """The offset and a batch."""

    def __init__(self, cells: NumberCells) -> None:
        self._cells = cells

    @property
    def term(self) -> Numeric:
        """The term of the raw prediction."""
        return Numeric(self._cells.values, 1.0, self._cells.filled, self._cells.filler)

    def settle(self, rows: Rows, tally: RowTally) -> Numeric:
        """Return the term of only these rows, with all policies applied."""
        return Numeric(self._cells.settled(rows, tally), 1.0)
