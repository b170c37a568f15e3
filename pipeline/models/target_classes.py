"""Which class each row of a target column is of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.choices import MissingTarget
from pipeline.dataclass import dataclass
from pipeline.models.columns import Mask, RecentLevels, levels
from pipeline.models.levels import LevelTable, spelled_type
from pipeline.models.tally import BatchColumn, RowTally

Codes = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class TargetClasses:
    """Finds the classes of a target in the cells of files. May be used from several threads at once.

    Attributes
    ----------
    spelled : tuple of str
        The classes as data spells them.
    decimal : str
        The decimal sign in a CSV.
    """

    spelled: tuple[str, ...]
    decimal: str
    _tables: Mapping[bool, LevelTable] = field(init=False)
    _recent: RecentLevels = field(init=False, default_factory=RecentLevels)

    def __post_init__(self) -> None:
        positions = {spelling: number for number, spelling in enumerate(self.spelled)}
        # The decimal sign of the options is that of a CSV.
        signs, type_ = {True: self.decimal, False: "."}, spelled_type(self.spelled)
        tables = {is_csv: LevelTable(positions, type_, (), sign) for is_csv, sign in signs.items()}
        object.__setattr__(self, "_tables", tables)

    def find(self, array: pa.Array, *, is_csv: bool) -> tuple[Codes, Mask]:
        """Return the number of the class of each row, -1 where it is none of them, and where the target is missing."""
        cells = levels(array)
        found = self._recent.find(self._tables[is_csv], cells.dictionary)
        codes: Codes = found.positions.take(cells.codes, mode="clip")
        missing: Mask = found.is_missing.take(cells.codes, mode="clip")
        return codes, missing if cells.null is None else missing | cells.null

    def judged(
        self, column: BatchColumn, tally: RowTally, missing_target: MissingTarget, *, is_csv: bool
    ) -> tuple[Codes, Mask]:
        """Return what :meth:`find` returns, after rows of no class were noted as bad; without a target only by choice.

        Parameters
        ----------
        column : BatchColumn
        tally : RowTally
            Where bad rows are noted.
        missing_target : {"error", "drop"}
            Whether a row without a target is bad.
        """
        codes, missing = self.find(column.array, is_csv=is_csv)
        tally.add_bad(np.flatnonzero((codes < 0) & ~missing), column, "target unknown")
        if missing_target == "error":
            tally.add_bad(np.flatnonzero(missing), column, "target missing")
        return codes, missing
