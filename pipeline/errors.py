"""Every way a run can fail: one class for each kind of reason, one exit code for each class.

    LogitstreamError                1   a bug of logitstream, unless a class below says otherwise
      UsageError                    2   the request contradicts itself or names something that does not exist
      ThresholdError                3   a limit was exceeded, or a check failed
      DataError                    65   an input or the model breaks the contract
        ModelError                 65   the model file is not a valid model
        SchemaError                65   columns are missing, unfit, or differ between files
        BadCellsError              65   cells that the contract does not allow
        InputChangedError          65   a file is no longer the file that was planned
      InputMissingError            66   no such input
      FunctionError                65   a function of the caller raised an error
      UnavailableError             69   the cluster cannot be reached or used
      BalanceError                 70   the accounts do not balance: nothing is published
      MemoryBudgetError            71   the job does not fit the memory it may use
      OutputError                  73   the output cannot be made, exists, or was not published by logitstream
        NewerOutputError           73   the output was made by a newer logitstream
      StorageError                 74   reading or writing failed, or the disk is full
        TransientError             74   the same, but trying again may work
      TemporaryError               75   locked by another run, or stopped part-way: run it again
      PermissionDeniedError        77   the system denies access
      ConfigurationError           78   the configuration is wrong, or the environment differs

The codes are those of sysexits.h and are stable. Errors from Arrow, Dask and the operating system are turned
into these classes where the foreign call is made; the command line turns these into exit codes in one place.
``Abandoned`` is not part of the tree: it passes every ``except Exception``.
"""

from __future__ import annotations

from typing import ClassVar, Self


class LogitstreamError(Exception):
    """Base class of every error that is raised on purpose.

    Parameters
    ----------
    message : str
        What is wrong, where, and the value found.
    remedy : str, optional
        What to do about it; shown on a separate line.

    Attributes
    ----------
    file, column : str or None
        The file and the column that the message names, for programs; ``None`` where it names none.
    row : int or None
        The row or record in the file, counted from 1.
    byte : int or None
        Where the row begins in the file.
    evaluation : EvaluationReport or None
        What :func:`pipeline.evaluate` had measured, where only its state could not be written.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message, remedy)
        self.message = message
        self.remedy = remedy
        self.file: str | None = None
        self.column: str | None = None
        self.row: int | None = None
        self.byte: int | None = None
        self.evaluation: object | None = None

    def at(
        self, file: str | None = None, *, column: str | None = None, row: int | None = None, byte: int | None = None
    ) -> Self:
        """Return the error itself, with its place noted; what is noted already stays."""
        self.file = self.file if self.file is not None else file
        self.column = self.column if self.column is not None else column
        self.row = self.row if self.row is not None else row
        self.byte = self.byte if self.byte is not None else byte
        return self

    def __str__(self) -> str:
        return f"{self.message}\n{self.remedy}" if self.remedy else self.message


class UsageError(LogitstreamError):
    """The request contradicts itself or names something that does not exist."""

    exit_code = 2


class ThresholdError(LogitstreamError):
    """A limit was exceeded, or a check failed."""

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


class FunctionError(LogitstreamError):
    """A function of the caller raised an error, which is its ``__cause__``, from other processes too."""

    exit_code = 65

    def __reduce__(self) -> tuple[object, ...]:
        """Return what a pickle has: the cause as well, which Python leaves out."""
        return type(self), self.args, {**self.__dict__, "__cause__": self.__cause__}


class UnavailableError(LogitstreamError):
    """The cluster cannot be reached or used."""

    exit_code = 69


class BalanceError(LogitstreamError):
    """The accounts do not balance: nothing is published."""

    exit_code = 70

    def __init__(self, message: str, remedy: str = "report this as a bug in logitstream") -> None:
        super().__init__(message, remedy)


class MemoryBudgetError(LogitstreamError):
    """The job does not fit the memory it may use."""

    exit_code = 71


class OutputError(LogitstreamError):
    """The output cannot be made, exists, or was not published by logitstream."""

    exit_code = 73


class NewerOutputError(OutputError):
    """The output was made by a newer logitstream."""


class StorageError(LogitstreamError):
    """Reading or writing failed, or the disk is full."""

    exit_code = 74


class TransientError(StorageError):
    """Reading or writing failed in a way that may pass: trying again may work."""


class TemporaryError(LogitstreamError):
    """Locked by another run, or stopped part-way: run it again."""

    exit_code = 75


class PermissionDeniedError(LogitstreamError):
    """The system denies access."""

    exit_code = 77


class ConfigurationError(LogitstreamError):
    """The configuration is wrong, or the environment differs."""

    exit_code = 78


class Abandoned(BaseException):
    """The process must end now: a signal handler raises this in the main thread after the grace period.

    Nothing waits for threads or processes that are still running; the command line ends the process with ``os._exit``.
    """
