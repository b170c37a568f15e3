"""The accounts of a run: every receipt that counts is booked here, and nothing is published unless they balance."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pipeline.causes import remedy_of
from pipeline.choices import Done
from pipeline.errors import BadCellsError, BalanceError, InputChangedError
from pipeline.flow.preparation import Preparation, empty_error
from pipeline.plan import Plan
from pipeline.scan import shown_names
from pipeline.types.inputs import FileFacts, Integers
from pipeline.types.job import BadLimit
from pipeline.types.outputs import Receipt
from pipeline.types.report import Observer, Progressed, Totals
from pipeline.types.rows import BadCell, SliceAccount
from pipeline.units import escape, format_count


class Ledger:
    """Books receipts, tells the observer, and judges the balance.

    Of a receipt some numbers alone are kept; the journal has the whole of it.

    Parameters
    ----------
    preparation : Preparation
    record : callable
        Is given each receipt that is new, to be kept in the journal.
    observe : Observer
    """

    def __init__(self, preparation: Preparation, record: Callable[[Receipt], None], observe: Observer) -> None:
        self._files = preparation.files
        self._plan: Plan = preparation.plan
        self._allow_empty = preparation.job.allow_empty
        self._max_bad = preparation.job.max_bad
        self._record = record
        self._observe = observe
        self._first_bad: tuple[int, int, BadCell] | None = None
        self._input_bytes = 0.0
        self._group_bytes = _group_bytes(preparation)
        self._part_rows = 0
        self._without_part = False
        self._booked = np.full(len(self._plan), False)
        # Rows read of each file; of each chunk of a CSV its rows, where its first slice begins and its last one ends.
        self._rows, self._begins, self._ends = (np.zeros(len(self._plan), dtype=np.int64) for _ in range(3))
        self._file_rows = np.zeros(len(self._files), dtype=np.int64)
        self.totals = Totals()

    @property
    def failed(self) -> bool:
        """Whether more bad rows were booked than the run may have, whatever is still to come."""
        return self._max_bad.rows is not None and self.totals.bad > self._max_bad.rows

    def has(self, chunk: int) -> bool:
        """Return whether a receipt of a chunk was booked."""
        return bool(self._booked[chunk])

    def missing(self) -> Integers:
        """Return the chunks of which no receipt was booked, in order."""
        return np.flatnonzero(~self._booked)

    def book(self, receipt: Receipt, how: Done = "computed") -> None:
        """Take a receipt that counts into the accounts.

        Raises
        ------
        BalanceError
            Its rows do not add up.
        """
        _check(receipt, self._plan, self._files)
        self._note(receipt)
        if receipt.payload is not None and how != "resumed":
            self._record(receipt)
        self._input_bytes += sum(map(self._bytes, receipt.accounts))
        self.totals = self.totals.plus(receipt, how)
        self._observe(Progressed(self.totals, int(self._input_bytes)))

    def _note(self, receipt: Receipt) -> None:
        chunk, accounts = receipt.chunk, receipt.accounts
        self._booked[chunk] = True
        # Of Parquet they are 0, as they are at first: pages that nobody writes to take no memory.
        if accounts[-1].end:
            self._rows[chunk] = receipt.rows
            self._begins[chunk], self._ends[chunk] = accounts[0].begin, accounts[-1].end
        for account in accounts:
            self._file_rows[account.file] += account.read
        if receipt.payload is None:
            self._without_part = True
        else:
            self._part_rows += receipt.payload.part.rows
        found = ((chunk, position, cell) for position, cell in receipt.bad)
        known = () if self._first_bad is None else (self._first_bad,)
        self._first_bad = min((*known, *found), key=lambda bad: (bad[0], bad[1], bad[2].record), default=None)

    def close(self, complete: bool) -> None:
        """Judge the run.

        Raises
        ------
        BadCellsError
            More bad rows were found than the job allows.
        BalanceError
            A chunk is missing, or the sums do not agree.
        InputChangedError
            Chunks of a CSV that were taken over do not join those that were read now.
        DataError
            No row was read, and the job does not allow that.
        """
        totals, chunks = self.totals, int(self._booked.sum())
        if exceeds(self._max_bad, totals) or self._without_part:
            raise self._too_many_bad()
        if not complete or chunks != len(self._plan):
            raise BalanceError(f"{chunks:,} of {len(self._plan):,} chunks have a part")
        if totals.read != totals.written + totals.quarantined or totals.written != self._part_rows:
            raise BalanceError(
                f"{totals.read:,} rows were read, {totals.written:,} written, {totals.quarantined:,} set aside"
            )
        self._check_footers()
        self._check_joints()
        if not totals.read and not self._allow_empty:
            raise empty_error()

    def _check_footers(self) -> None:
        if self._plan.limit is not None:
            return
        for number, facts in enumerate(self._files):
            if facts.rows is not None and facts.rows != self._file_rows[number]:
                name = shown_names(self._files)[number]
                raise BalanceError(f"{name}: {facts.rows:,} rows by its footer, {self._file_rows[number]:,} were read")

    def _check_joints(self) -> None:
        # Of chunks read in this run the agenda has seen to it.
        apart = self._ends[:-1] != self._begins[1:]
        for chunk in (np.flatnonzero(apart) + 1).tolist():
            if self._plan.continues(chunk):
                end, begin = int(self._ends[chunk - 1]), int(self._begins[chunk])
                raise InputChangedError(
                    f"{shown_names(self._files)[self._plan.chunk(chunk).slices[0].file]}: records end at byte {end:,} "
                    f"where an earlier run began one at byte {begin:,}, or the other way round: the file was edited, "
                    "its size and time as before",
                    "say --no-resume --no-reuse; --fingerprint full notices such an edit",
                )

    def _bytes(self, account: SliceAccount) -> float:
        if len(self._files[account.file].group_rows):
            return (account.stop - account.start) * self._group_bytes[account.file]
        return account.stop - account.start

    def _too_many_bad(self) -> BadCellsError:
        if self._first_bad is None:
            # All of them are in parts that were taken over, whose quarantines alone say more.
            return BadCellsError(
                f"{_allowed(self._max_bad, self.totals)}; the published output has them in its quarantine",
                "raise --max-bad, or mend the data; nothing was published",
            )
        chunk, position, cell = self._first_bad
        piece = self._plan.chunk(chunk).slices[position]
        place = self._place(chunk, position, cell)
        column = f", column {escape(cell.column)}" if cell.column else ""
        message = f"{shown_names(self._files)[piece.file]}: {place}{column}: '{escape(cell.text)}' {cell.reason}"
        if others := self.totals.bad - 1:
            message += (
                f"\n{others:,} more bad row{' was' if others == 1 else 's were'} found in the chunks that were read"
            )
        if self._max_bad != BadLimit():
            message += f"\n{_allowed(self._max_bad, self.totals)}"
        error = BadCellsError(message, _remedy(cell, allowed=self._max_bad != BadLimit()))
        row = self._row(chunk, position, cell)
        return error.at(self._files[piece.file].file.path, column=cell.column or None, row=row, byte=cell.offset)

    def _row(self, chunk: int, position: int, cell: BadCell) -> int | None:
        """Return the number of a bad row in its file, from 1; ``None`` where not everything before it was read."""
        piece = self._plan.chunk(chunk).slices[position]
        facts = self._files[piece.file]
        parquet = facts.file.format == "parquet"
        before = int(facts.group_rows[: piece.start].sum()) if parquet else self._rows_before(chunk)
        return None if before is None else before + cell.record + 1

    def _place(self, chunk: int, position: int, cell: BadCell) -> str:
        """Return where a bad row is in its file; its number where everything before it was read."""
        row = self._row(chunk, position, cell)
        if self._files[self._plan.chunk(chunk).slices[position].file].file.format == "parquet":
            return f"row {row:,}"
        at = f"byte {cell.offset:,}" if cell.offset is not None else ""
        if row is None:
            return f"the record at {at}"
        return f"record {row:,}" + (f" ({at})" if at else "")

    def _rows_before(self, chunk: int) -> int | None:
        """Return the records of a file in front of a chunk that begins inside it, ``None`` where one was not read.

        A file that is cut shares no chunk, and one that shares a chunk is not cut.
        """
        rows = 0
        while self._plan.continues(chunk):
            chunk -= 1
            if not self.has(chunk):
                return None
            rows += int(self._rows[chunk])
        return rows


def _group_bytes(preparation: Preparation) -> list[float]:
    """Return for each file the bytes that are to be read of a row group."""
    return [preparation.scan.bytes_of(facts) / max(1, len(facts.group_rows)) for facts in preparation.files]


def exceeds(limit: BadLimit, totals: Totals) -> bool:
    """Return whether a run that has ended has more bad rows than it may have."""
    if limit.rows is not None:
        return totals.bad > limit.rows
    return totals.bad > (limit.share or 0.0) * totals.read


def excess_error(limit: BadLimit, totals: Totals) -> BadCellsError:
    """Return the error for an output that is published, but has more bad rows than are allowed now."""
    return BadCellsError(_allowed(limit, totals), "raise --max-bad, or mend the data")


def _allowed(limit: BadLimit, totals: Totals) -> str:
    allowed = format_count(limit.rows) if limit.rows is not None else f"{100 * (limit.share or 0.0):g}%"
    return f"{totals.bad:,} of {totals.read:,} rows read are bad, --max-bad allows {allowed}"


def _check(receipt: Receipt, plan: Plan, files: tuple[FileFacts, ...]) -> None:
    chunk = plan.chunk(receipt.chunk)
    name = f"chunk {receipt.chunk}"
    if [(a.file, a.start, a.stop) for a in receipt.accounts] != [(s.file, s.start, s.stop) for s in chunk.slices]:
        raise BalanceError(f"{name}: the receipt is of other slices than the plan")
    if receipt.payload is None:
        return
    for piece, account in zip(chunk.slices, receipt.accounts, strict=True):
        if account.read != account.written + account.quarantined:
            raise BalanceError(f"{name}: {account.read:,} rows were read, {account.written:,} written")
        if piece.rows is not None and chunk.limit is None and piece.rows != account.read:
            raise BalanceError(f"{name}: {piece.rows:,} rows were planned, {account.read:,} were read")
        facts = files[piece.file]
        if facts.cuttable and chunk.limit is None and piece.stop == facts.identity.size != account.end:
            raise BalanceError(f"{name}: reading ended at byte {account.end:,} of {facts.identity.size:,}")
    if receipt.payload.part.rows != sum(account.written for account in receipt.accounts):
        raise BalanceError(f"{name}: the rows of its part are not the rows written")
    set_aside = receipt.payload.quarantine.rows if receipt.payload.quarantine else 0
    if set_aside != sum(account.quarantined for account in receipt.accounts):
        raise BalanceError(f"{name}: the rows of its quarantine are not the rows set aside")


def _remedy(cell: BadCell, *, allowed: bool) -> str:
    """Return what helps against a cell."""
    more = "" if allowed else "; --max-bad N lets so many such rows go to a quarantine"
    return f"{remedy_of(cell.cause, cell.hint)}{more}; nothing was published"
