"""What computes on one batch: block functions and what they return."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from pipeline.types.inputs import Need
from pipeline.types.rows import BadCell

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Values:
    """What a block function makes of one batch.

    Attributes
    ----------
    arrays : tuple of pyarrow.Array
        One for each of its fields, all as long as the batch; what is in a rejected row means nothing.
    null, nan : int
        Rows without a result because a value was missing; rows whose arithmetic ended in NaN. No row counts twice, and
        none that is rejected.
    events : mapping of str to int
        What a report counts, by name (``"missing dep_delay"``, ``"unseen carrier"``, ``"infinite distance"``).
    rejected : tuple of BadCell
        The rows that must not be written, ascending, one cell a row: the first bad one in the order of the columns,
        else the first that the model sends to the quarantine. Records are counted from the start of the batch.
    """

    arrays: tuple[pa.Array, ...]
    null: int = 0
    nan: int = 0
    events: Mapping[str, int] = field(default_factory=dict)
    rejected: tuple[BadCell, ...] = ()


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
    equal bits, whatever batch they come in, unless ``whole_chunk`` says that it wants all rows of a chunk at once; such
    a function rejects no rows.
    """

    @property
    def whole_chunk(self) -> bool:
        """Whether it must see a chunk in one piece."""
        ...

    @property
    def scratch_row_bytes(self) -> int:
        """Bytes that a row takes while it is computed, besides its cells and its results."""
        ...

    def columns(self) -> Sequence[Need]:
        """Return the features that it reads; no ``kept`` ones."""
        ...

    def fields(self) -> Sequence[Field]:
        """Return the columns that it makes, in order."""
        ...

    def check(self, fields: Sequence[pa.Field]) -> Sequence[str]:
        """Return, for Arrow fields that take the place of ``columns()``, one sentence for each that is unfit."""
        ...

    def block(self, columns: Sequence[pa.Array]) -> Values:
        """Return the values for arrays that take the place of ``columns()``, each of the same length."""
        ...

    def describe(self) -> Mapping[str, object] | None:
        """Return JSON that says what the function is, or ``None`` where it has no identity."""
        ...


@runtime_checkable
class PerChunk(Protocol):
    """A block function that cannot be made again from its description: a chunk's share of it travels with the work."""

    def of_chunk(self, chunk: int) -> BlockFunction:
        """Return the block function of one chunk, no larger than that chunk needs."""
        ...
