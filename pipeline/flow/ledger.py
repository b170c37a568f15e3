"""The accounts of a run: every receipt that stands is booked here, and nothing is published unless they balance."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict

from pipeline.errors import BadCellsError, BalanceError
from pipeline.flow.preparation import Preparation, empty_error
from pipeline.flow.schema import shown_names
from pipeline.plan import Plan
from pipeline.types import BadCell, Observer, PartFile, Progressed, Receipt, SliceAccount, Totals
from pipeline.units import escape

# How the reasons of cells begin that no spelling of null and no encoding would mend.
_OUT_OF_RANGE = ("is beyond the range", "cannot be held exactly")
_OTHER_TYPE = "is not of type"


class Ledger:
    """Books receipts, tells the observer, and judges the balance.

    Parameters
    ----------
    preparation : Preparation
    record : callable
        Is given each booked receipt, to be kept in the journal.
    observe : Observer
    """

    def __init__(self, preparation: Preparation, record: Callable[[Receipt], None], observe: Observer) -> None:
        self._files = preparation.files
        self._plan: Plan = preparation.plan
        self._allow_empty = preparation.job.allow_empty
        self._record = record
        self._observe = observe
        self._rows = [0] * len(preparation.files)
        self._bad: list[tuple[int, int, BadCell, int]] = []
        self._bad_count = 0
        self._input_bytes = 0.0
        self._group_bytes = [preparation.bytes_of(facts) / max(1, len(facts.group_rows)) for facts in preparation.files]
        self.totals = Totals()
        self.parts: dict[int, PartFile] = {}
        self.accounts: dict[int, Mapping[str, object]] = {}

    @property
    def failed(self) -> bool:
        """Whether a bad cell was booked."""
        return self._bad_count > 0

    def book(self, receipt: Receipt) -> None:
        """Take a receipt that stands into the accounts.

        Raises
        ------
        BalanceError
            Its rows do not add up.
        """
        chunk = self._plan.chunk(receipt.chunk)
        self._check(receipt)
        if receipt.bad_count:
            self._bad_count += receipt.bad_count
            self._bad += ((receipt.chunk, p, cell, self._rows[chunk.slices[p].file]) for p, cell in receipt.bad)
        else:
            self.parts[receipt.chunk] = receipt.files[0]
            self.accounts[receipt.chunk] = {"accounts": [asdict(account) for account in receipt.accounts]}
            self._record(receipt)
        for account in receipt.accounts:
            self._rows[account.file] += account.read
            self._input_bytes += self._bytes(account)
        self.totals = self.totals.plus(receipt)
        self._observe(Progressed(self.totals, int(self._input_bytes)))

    def close(self, complete: bool) -> None:
        """Judge the run.

        Raises
        ------
        BadCellsError
            Cells were found that the contract does not allow.
        BalanceError
            A chunk is missing, or the sums do not agree.
        DataError
            No row was read, and the job does not allow that.
        """
        if self._bad:
            raise self._bad_cells()
        if not complete or len(self.parts) != len(self._plan):
            raise BalanceError(f"{len(self.parts):,} of {len(self._plan):,} chunks have a part")
        totals = self.totals
        if totals.read != totals.written + totals.quarantined or totals.written != sum(
            part.rows for part in self.parts.values()
        ):
            raise BalanceError(f"{totals.read:,} rows were read, {totals.written:,} written")
        for number, (facts, rows) in enumerate(zip(self._files, self._rows, strict=True)):
            if facts.rows is not None and self._plan.limit is None and facts.rows != rows:
                raise BalanceError(f"{self._name(number)}: {facts.rows:,} rows by its footer, {rows:,} were read")
        if not totals.read and not self._allow_empty:
            raise empty_error()

    def _check(self, receipt: Receipt) -> None:
        chunk = self._plan.chunk(receipt.chunk)
        name = f"chunk {receipt.chunk}"
        if [(a.file, a.start, a.stop) for a in receipt.accounts] != [(s.file, s.start, s.stop) for s in chunk.slices]:
            raise BalanceError(f"{name}: the receipt is of other slices than the plan")
        if receipt.bad_count:
            return
        for piece, account in zip(chunk.slices, receipt.accounts, strict=True):
            if account.read != account.written + account.quarantined:
                raise BalanceError(f"{name}: {account.read:,} rows were read, {account.written:,} written")
            if piece.rows is not None and chunk.limit is None and piece.rows != account.read:
                raise BalanceError(f"{name}: {piece.rows:,} rows were planned, {account.read:,} were read")
            facts = self._files[piece.file]
            if facts.cuttable and chunk.limit is None and piece.stop == facts.identity.size != account.end:
                raise BalanceError(f"{name}: reading ended at byte {account.end:,} of {facts.identity.size:,}")
        if [part.rows for part in receipt.files] != [sum(a.written for a in receipt.accounts)]:
            raise BalanceError(f"{name}: the rows of its part are not the rows written")

    def _bytes(self, account: SliceAccount) -> float:
        if len(self._files[account.file].group_rows):
            return (account.stop - account.start) * self._group_bytes[account.file]
        return account.stop - account.start

    def _name(self, file: int) -> str:
        return shown_names(self._files)[file]

    def _bad_cells(self) -> BadCellsError:
        chunk, position, cell, rows_before = min(self._bad, key=lambda bad: (bad[0], bad[1], bad[2].record))
        piece = self._plan.chunk(chunk).slices[position]
        facts = self._files[piece.file]
        record = cell.record + 1
        if facts.file.format == "parquet":
            before = int(facts.group_rows[: piece.start].sum())
            place = f"row {before + record:,}"
        else:
            place = f"record {rows_before + record:,}"
            place += f" (byte {cell.offset:,})" if cell.offset is not None else ""
        column = f", column {escape(cell.column)}" if cell.column else ""
        message = f"{self._name(piece.file)}: {place}{column}: '{escape(cell.text)}' {cell.reason}"
        others = self._bad_count - 1
        if others:
            found = "bad cell was" if others == 1 else "bad cells were"
            message += f"\n{others:,} more {found} found in the chunks that were finished"
        return BadCellsError(message, _remedy(cell))


def _remedy(cell: BadCell) -> str:
    """Return what helps against a cell; what the source of a CSV could not read has an offset, what a model bars not.

    A record at fault as a whole names no column.
    """
    if cell.offset is None:
        remedy = "mend the data; the model file says what becomes of a missing or an unseen value"
    elif "--" in cell.reason:
        remedy = "mend the data, or the command"
    elif cell.reason.startswith(_OUT_OF_RANGE):
        remedy = "mend the data, or leave the column out"
    elif cell.reason.startswith(_OTHER_TYPE):
        remedy = "mend the data, or name another type with --type"
    elif cell.column:
        remedy = "mend the data; a spelling of null is named by --null TEXT, another encoding by --encoding NAME"
    else:
        remedy = "mend the data; --delimiter, --quote and --columns say how it is written"
    return f"{remedy}; nothing was published"
