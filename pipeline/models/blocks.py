"""A block function in a process and for a file: what its bits depend on, and the decimal sign of the file."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.choices import Precision
from pipeline.kernels import arithmetic_tag
from pipeline.types.blocks import BlockFunction, HasArithmetic, ReadsText
from pipeline.types.inputs import InputFile, Need


def arithmetic_of(block: BlockFunction, precision: Precision) -> str:
    """Return the tag of the arithmetic that decides the bits of a block function in this process."""
    return block.arithmetic_tag() if isinstance(block, HasArithmetic) else arithmetic_tag(precision)


def of_file(block: BlockFunction, file: InputFile, features: Sequence[Need]) -> BlockFunction:
    """Return a block function for the features of a file: the decimal sign of the options is that of cells of a CSV."""
    if not isinstance(block, ReadsText):
        return block
    if file.format == "csv":
        stated = {name for name, _ in file.partitions}
        features = [need for need in features if need.name in stated and not need.stated]
    return block.pointed(frozenset(need.name for need in features))
