"""Every way a run can end without its output, one class a reason and one exit code a class.

    LogitstreamError                1   a bug of ours, unless a class below says otherwise
      UsageError                    2   the request contradicts itself or names what is not there
      ThresholdError                3   a threshold was crossed, or what was checked does not hold
      DataError                    65   an input or the model breaks the contract
        ModelError                 65   the model file is not a valid model
        SchemaError                65   columns are missing, unfit, or differ between files
        BadCellsError              65   cells that the contract does not allow
        InputChangedError          65   a file is no longer the file that was planned
      InputMissingError            66   no such input
      UnavailableError             69   the cluster cannot be reached or used
      BalanceError                 70   the accounts do not balance: nothing is published
      MemoryBudgetError            71   the job does not fit the memory it may use
      OutputError                  73   the output cannot be made, exists, or is not ours
        NewerOutputError           73   it was made by a newer logitstream
      StorageError                 74   reading or writing failed, or the disk is full
        TransientError             74   the same once more may go well
      TemporaryError               75   locked by another run, or stopped part-way: run again
      PermissionDeniedError        77   the system refuses access
      ConfigurationError           78   configuration, or an environment that differs

The codes are those of sysexits.h and are stable. Errors from Arrow, Dask and the operating system are turned
into these classes where the foreign call is made; the command line turns these into exit codes in one place.
``Abandoned`` is outside of the tree: it passes every ``except Exception``.
"""

from __future__ import annotations

from typing import ClassVar


class LogitstreamError(Exception):
    """Base of every error raised on purpose.

    Parameters
    ----------
    message : str
        What is wrong, where, and the value found.
    remedy : str, optional
        What to do about it; shown on a line of its own.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message, remedy)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}\n{self.remedy}" if self.remedy else self.message


class UsageError(LogitstreamError):
    """The request contradicts itself or names what is not there."""

    exit_code = 2


class ThresholdError(LogitstreamError):
    """A threshold was crossed, or what was checked does not hold."""

    exit_code = 3


class DataError(LogitstreamError):
    """An input or the model breaks the contract."""

    exit_code = 65


class ModelError(DataError):
    """The model file is not a valid model."""


class SchemaError(DataError):
    """Columns are missing, unfit, or differ between files."""


class BadCellsError(DataError):
    """Cells that the contract does not allow."""


class InputChangedError(DataError):
    """A file is no longer the file that was planned."""


class InputMissingError(LogitstreamError):
    """No such input."""

    exit_code = 66


class UnavailableError(LogitstreamError):
    """The cluster cannot be reached or used."""

    exit_code = 69


class BalanceError(LogitstreamError):
    """The accounts do not balance: nothing is published."""

    exit_code = 70


class MemoryBudgetError(LogitstreamError):
    """The job does not fit the memory it may use."""

    exit_code = 71


class OutputError(LogitstreamError):
    """The output cannot be made, exists, or is not ours."""

    exit_code = 73


class NewerOutputError(OutputError):
    """The output was made by a newer logitstream."""


class StorageError(LogitstreamError):
    """Reading or writing failed, or the disk is full."""

    exit_code = 74


class TransientError(StorageError):
    """Reading or writing failed in a way that may pass: the same once more may go well."""


class TemporaryError(LogitstreamError):
    """Locked by another run, or stopped part-way: run again."""

    exit_code = 75


class PermissionDeniedError(LogitstreamError):
    """The system refuses access."""

    exit_code = 77


class ConfigurationError(LogitstreamError):
    """Configuration, or an environment that differs."""

    exit_code = 78


class Abandoned(BaseException):
    """The process is to end now: raised in the main thread by a signal handler, when patience is over.

    Nobody waits for threads or processes that are under way; who raised it ends the process with ``os._exit``.
    """
