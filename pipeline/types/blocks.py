"""Block functions, which compute on one batch, and what they return."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from pipeline.dataclass import dataclass
from pipeline.types.features import FeatureCount
from pipeline.types.inputs import Need
from pipeline.types.rows import BadCell

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Values:
    """The result of a block function for one batch.

    Attributes
    ----------
    arrays : tuple of pyarrow.Array
        One for each of its fields, all as long as the batch; values in a rejected row have no meaning. Text may be
        encoded as a dictionary of text, if that is the same in all batches.
    null, nan : int
        Rows without a result because a value was missing; rows whose arithmetic ended in NaN. No row counts twice, and
        no rejected row counts.
    events : mapping of str to int
        What a report counts, by name (``"missing dep_delay"``, ``"unseen carrier"``, ``"read as level carrier"``,
        ``"infinite distance"``).
    rejected : tuple of BadCell
        The rows that must not be written, ascending, one cell for each row: the first bad one in the order of the
        columns, else the first that the model sends to the quarantine. Records are counted from the start of the batch.
    features : mapping of str to FeatureCount, or None
        What was counted of the features, by column; ``None`` if the function has no features with policies. Rejected
        rows count.
    null_rows, nan_rows : ndarray of bool or None, shape (rows,)
        Which rows ``null`` and ``nan`` count; ``None`` where there are none, or the function does not say it.
    """

    arrays: tuple[pa.Array, ...]
    null: int = 0
    nan: int = 0
    events: Mapping[str, int] = field(default_factory=dict)
    rejected: tuple[BadCell, ...] = ()
    features: Mapping[str, FeatureCount] | None = None
    null_rows: npt.NDArray[np.bool_] | None = None
    nan_rows: npt.NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True)
class Field:
    """A column that a block function makes."""

    name: str
    type: pa.DataType
    nullable: bool


@runtime_checkable
class BlockFunction(Protocol):
    """A function of named columns, applied block by block.

    It is picklable, has no state that a call changes, and may be called from several threads at once. Equal rows give
    equal bits in any batch, unless ``whole_chunk`` states that it needs all rows of a chunk at once; such a function
    rejects no rows.
    """

    @property
    def whole_chunk(self) -> bool:
        """Whether it needs all rows of a chunk at once."""
        ...

    @property
    def scratch_row_bytes(self) -> int:
        """Bytes of temporary values for each row, without its cells and its results."""
        ...

    @property
    def table_bytes(self) -> int:
        """Bytes of tables that it makes in each process, besides what describes it."""
        ...

    def columns(self) -> Sequence[Need]:
        """Return the features that it reads, no ``kept`` columns."""
        ...

    def fields(self) -> Sequence[Field]:
        """Return the columns that it makes, in order."""
        ...

    def check(self, fields: Sequence[pa.Field]) -> Sequence[str]:
        """Return one sentence for each unfit field among Arrow fields in the order of ``columns()``."""
        ...

    def block(self, columns: Sequence[pa.Array]) -> Values:
        """Return the values for arrays of equal length in the order of ``columns()``."""
        ...

    def describe(self) -> Mapping[str, object] | None:
        """Return a JSON description of the function, or ``None`` where it has no identity."""
        ...


@runtime_checkable
class HasMetadata(Protocol):
    """A block function with numbers that readers of its output need."""

    def metadata(self) -> Mapping[str, str]:
        """Return what the schema of the output says of them, by name; nothing where there is nothing to say."""
        ...


@runtime_checkable
class PerChunk(Protocol):
    """A block function without a description to make it from; the part for each chunk travels with the work."""

    def of_chunk(self, chunk: int) -> BlockFunction:
        """Return the block function of one chunk, with no more than that chunk needs."""
        ...


@runtime_checkable
class ReadsText(Protocol):
    """A block function that reads text by the options for CSV; text of a path or of Parquet has a decimal point."""

    def pointed(self, columns: frozenset[str]) -> BlockFunction:
        """Return the function for a file in which the text of these columns has a decimal point."""
        ...


@runtime_checkable
class HasArithmetic(Protocol):
    """A block function whose bits depend on more than those of the functions do."""

    def arithmetic_tag(self) -> str:
        """Return a name for everything that its bits depend on in this process; it begins with the precision."""
        ...


@runtime_checkable
class ReadsFiles(Protocol):
    """A block function with files beside its model: each process reads them once, by path and SHA-256."""

    def beside(self) -> Mapping[str, str]:
        """Return the absolute path of each file by its SHA-256; its description has the SHA-256 alone."""
        ...


@runtime_checkable
class HasTiles(Protocol):
    """A block function that needs memory for each call, however many rows it gets."""

    @property
    def call_bytes(self) -> int:
        """The bytes of that."""
        ...
