"""The accounts of a run: every receipt that counts is booked here, and nothing is published unless they balance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from pipeline.choices import Done
from pipeline.errors import BadCellsError, BalanceError, InputChangedError
from pipeline.flow.features import FeatureBooks, features_of, judge_of, told
from pipeline.flow.preparation import Preparation, empty_error
from pipeline.plan import Plan
from pipeline.scan import BadRows, SliceBytes, allowed_text, exceeds, further, shown_names
from pipeline.types.features import FeatureCounts, FeatureWarning
from pipeline.types.inputs import FileFacts, Integers
from pipeline.types.job import BadLimit
from pipeline.types.outputs import Receipt
from pipeline.types.report import Observer, Progressed, Totals
from pipeline.types.work import Reached


class Ledger:
    """Books receipts, tells the observer, and checks the balance.

    Only some numbers of a receipt are kept in memory; the journal has all of it.

    Parameters
    ----------
    preparation : Preparation
    record : callable
        Is given each new receipt, to append it to the journal.
    observe : Observer
    """

    def __init__(self, preparation: Preparation, record: Callable[[Receipt], None], observe: Observer) -> None:
        self._files = preparation.files
        self._plan: Plan = preparation.plan
        self._allow_empty = preparation.job.allow_empty
        self._max_bad = preparation.job.max_bad
        self._bad = BadRows(self._files, self._plan, self._max_bad)
        self._record = record
        self._observe = observe
        self._input_bytes = 0.0
        self._bytes = SliceBytes(preparation.scan)
        self._under_way: dict[int, Reached] = {}
        self._part_rows = 0
        self._without_part = False
        self._booked = np.full(len(self._plan), False)
        # Rows read of each file; of each chunk of a CSV where its first slice begins and its last one ends.
        self._begins, self._ends = (np.zeros(len(self._plan), dtype=np.int64) for _ in range(2))
        self._file_rows = np.zeros(len(self._files), dtype=np.int64)
        self._judge = judge_of(preparation.job, self._files)
        self._features = FeatureBooks(features_of(preparation.job), shown_names(self._files))
        self.totals = Totals()

    @property
    def failed(self) -> bool:
        """Whether more bad rows were booked than the run may have at all."""
        return self._bad.are_too_many(self.totals.bad)

    def has(self, chunk: int) -> bool:
        """Return whether a receipt was booked for a chunk."""
        return bool(self._booked[chunk])

    def missing(self) -> Integers:
        """Return the chunks without a booked receipt, in order."""
        return np.flatnonzero(~self._booked)

    def book(self, receipt: Receipt, how: Done = "computed") -> None:
        """Add a receipt to the accounts.

        Raises
        ------
        BalanceError
            Its rows do not add up.
        """
        _check(receipt, self._plan, self._files)
        self._note(receipt)
        if receipt.payload is not None and how != "resumed":
            self._record(receipt)
        self._input_bytes += self._bytes.read(receipt.accounts)
        self.totals = self.totals.plus(receipt, how)
        self._under_way.pop(receipt.chunk, None)
        self._tell()

    def reach(self, reached: Reached) -> None:
        """Tell the observer how far a chunk under way is. A chunk that is tried again moves nothing back."""
        if not self.has(reached.chunk):
            before = self._under_way.get(reached.chunk, reached)
            self._under_way[reached.chunk] = further(before, reached)
            self._tell()

    def _tell(self) -> None:
        under_way = self._under_way.values()
        input_bytes = self._input_bytes + sum(map(self._bytes.reached, under_way))
        self._observe(Progressed(self.totals, round(input_bytes), sum(each.rows for each in under_way)))

    def _note(self, receipt: Receipt) -> None:
        chunk, accounts = receipt.chunk, receipt.accounts
        self._booked[chunk] = True
        # For Parquet they stay 0: pages that are never written to take no memory.
        if accounts[-1].end:
            self._begins[chunk], self._ends[chunk] = accounts[0].begin, accounts[-1].end
        self._features.add(accounts, receipt.features)
        for account in accounts:
            self._file_rows[account.file] += account.read
        if receipt.payload is None:
            self._without_part = True
        else:
            self._part_rows += receipt.payload.part.rows
        self._bad.add(chunk, accounts, receipt.bad)

    def close(self, complete: bool) -> None:
        """Check that the run may publish.

        Raises
        ------
        BadCellsError
            More bad rows were found than the job allows.
        BalanceError
            A chunk is missing, or the sums do not agree.
        InputChangedError
            Chunks of a CSV that were carried over do not meet those that were read now.
        DataError
            No row was read, and the job does not allow that.
        """
        totals, chunks = self.totals, int(self._booked.sum())
        if exceeds(self._max_bad, totals.bad, totals.read) or self._without_part:
            raise self._too_many_bad()
        if not complete or chunks != len(self._plan):
            raise BalanceError(f"only {chunks:,} of {len(self._plan):,} chunks have a part")
        if totals.read != totals.written + totals.quarantined or totals.written != self._part_rows:
            raise BalanceError(
                f"{totals.read:,} rows were read, {totals.written:,} written, {totals.quarantined:,} quarantined"
            )
        self._check_footers()
        self._check_joints()
        if not totals.read and not self._allow_empty:
            raise empty_error()
        self.totals = replace(totals, features=self._features.counts.without_spellings())

    @property
    def counts(self) -> FeatureCounts:
        """What was counted of the features, with the most frequent unseen values."""
        return self._features.counts

    def judge_features(self) -> tuple[FeatureWarning, ...]:
        """Return the warnings about the features of the run, after the observer was told of them.

        Raises
        ------
        DataError
            More values of a feature are unseen or missing than the job allows.
        """
        found = self._features.warnings(self._judge)
        return told(found, self._judge, self._observe)

    def _check_footers(self) -> None:
        if self._plan.limit is not None:
            return
        for number, facts in enumerate(self._files):
            if facts.rows is not None and facts.rows != self._file_rows[number]:
                name = shown_names(self._files)[number]
                raise BalanceError(
                    f"{name}: its footer says {facts.rows:,} rows, but {self._file_rows[number]:,} were read"
                )

    def _check_joints(self) -> None:
        # The agenda has made sure of it for chunks that were read in this run.
        apart = self._ends[:-1] != self._begins[1:]
        for chunk in (np.flatnonzero(apart) + 1).tolist():
            if self._plan.continues(chunk):
                end, begin = int(self._ends[chunk - 1]), int(self._begins[chunk])
                raise InputChangedError(
                    f"{shown_names(self._files)[self._plan.chunk(chunk).slices[0].file]}: one chunk ends at byte "
                    f"{end:,}, the next begins at byte {begin:,}, and an earlier run read at least one: the file was "
                    "edited, but its size and time are as before",
                    "run again with --no-resume --no-reuse; --fingerprint full notices such edits",
                )

    def _too_many_bad(self) -> BadCellsError:
        found = self._bad.error(
            self.totals.bad,
            self.totals.read,
            allow="--max-bad N lets up to N bad rows go to a quarantine",
            end="nothing was published",
        )
        if found is not None:
            return found
        # All of them are in parts that were carried over; only their quarantines say more.
        return BadCellsError(
            f"{allowed_text(self._max_bad, self.totals.bad, self.totals.read)}; they are in the quarantine of the "
            "published output",
            "raise --max-bad, or fix the data; nothing was published",
        )


def excess_error(limit: BadLimit, totals: Totals) -> BadCellsError:
    """Return the error for an output that is published, but has more bad rows than are allowed now."""
    return BadCellsError(allowed_text(limit, totals.bad, totals.read), "raise --max-bad, or fix the data")


def _check(receipt: Receipt, plan: Plan, files: tuple[FileFacts, ...]) -> None:
    chunk = plan.chunk(receipt.chunk)
    name = f"chunk {receipt.chunk}"
    if [(a.file, a.start, a.stop) for a in receipt.accounts] != [(s.file, s.start, s.stop) for s in chunk.slices]:
        raise BalanceError(f"{name}: its receipt lists other ranges of the input than the plan")
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
        raise BalanceError(f"{name}: its file does not have as many rows as were written")
    set_aside = receipt.payload.quarantine.rows if receipt.payload.quarantine else 0
    if set_aside != sum(account.quarantined for account in receipt.accounts):
        raise BalanceError(f"{name}: its quarantine does not have as many rows as were quarantined")
