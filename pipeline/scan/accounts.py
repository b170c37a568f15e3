"""What became of the rows of a pass that learns or measures, and whether bad ones end it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from pipeline.errors import BadCellsError
from pipeline.scan.bad_rows import BadRows, exceeds
from pipeline.scan.context import Step
from pipeline.scan.prepared import PreparedScan
from pipeline.scan.progress import PassProgress
from pipeline.scan.session import Scan
from pipeline.types.job import BadLimit
from pipeline.types.report import Observer
from pipeline.types.work import Outcome

Payload = TypeVar("Payload")

_ALLOW = "--max-bad N leaves out up to N bad rows"


class PassAccounts:
    """Counts the rows of the chunks of one pass. For one thread.

    Parameters
    ----------
    prepared : PreparedScan
    limit : BadLimit
        How many rows may be bad.

    Attributes
    ----------
    read, bad, set_aside : int
        How many rows were read, how many of them are bad, and how many a model sets aside.
    bytes_read : int
    bad_rows : BadRows
    """

    def __init__(self, prepared: PreparedScan, limit: BadLimit) -> None:
        self.read = self.bad = self.set_aside = self.bytes_read = 0
        self.bad_rows = BadRows(prepared.files, prepared.plan, limit)
        self._limit, self._given_up = limit, False

    def book(self, outcome: Outcome[Any]) -> None:
        """Add a chunk; one without a payload was given up for its bad rows."""
        self.bad_rows.add(outcome.chunk, outcome.accounts, outcome.bad)
        self.read += outcome.rows
        self.bad += outcome.bad_rows
        self.bytes_read += outcome.bytes_read
        self.set_aside += sum(account.quarantined - account.bad for account in outcome.accounts)
        self._given_up |= outcome.payload is None

    @property
    def has_failed(self) -> bool:
        """Whether what was read so far has more bad rows than a pass may have at all."""
        return self._given_up or self.bad_rows.are_too_many(self.bad)

    @property
    def has_too_many(self) -> bool:
        """Whether the rows of a pass that has ended have too many bad ones among them."""
        return self.has_failed or exceeds(self._limit, self.bad, self.read)

    def error(self, end: str) -> BadCellsError:
        """Return the error for too many bad rows, which names the first; ``end`` says what was not done."""
        found = self.bad_rows.error(self.bad, self.read, allow=_ALLOW, end=end)
        # Nothing is carried over from an earlier pass, so that the first bad row is known.
        assert found is not None
        return found


def read_rows(
    scan: Scan,
    step: Step[Payload],
    accounts: PassAccounts,
    confirmed: Callable[[Outcome[Payload]], None],
    *,
    end: str,
    parameters: bytes = b"",
    observe: Observer | None = None,
) -> None:
    """Carry out a step on all chunks, once; too many bad rows end the pass.

    Chunks are handed out in their order, so that the error names the first bad row whatever chunk comes first.

    Parameters
    ----------
    scan : Scan
    step : Step
    accounts : PassAccounts
        New ones, to which each chunk is added.
    confirmed : callable
        Receives each confirmed outcome, of which a payload may be ``None``.
    end : str
        What is not done where the pass ends early, as a clause.
    parameters : bytes
        What the step gets.
    observe : Observer, optional
        Is told how far the pass is, on the calling thread.

    Raises
    ------
    BadCellsError
        There are more bad rows than may be.
    LogitstreamError
        A file cannot be read.
    """

    def confirm(outcome: Outcome[Payload]) -> None:
        accounts.book(outcome)
        if progress is not None:
            progress.book(outcome)
        confirmed(outcome)
        if accounts.has_failed:
            agenda.stop()

    progress = None if observe is None else PassProgress(scan.prepared, observe)
    agenda = scan.agenda(confirm, bounded=True)
    scan.run(step, agenda, told=None if progress is None else progress.reach, parameters=parameters)
    if accounts.has_too_many:
        raise accounts.error(end)
    agenda.require_complete()
