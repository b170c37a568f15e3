"""A caller's own stream of blocks, transformed and published in one step.

blocks     what a caller yields -> blocks of one schema, or a refusal that names the block
function   a name, a text or a callable -> columns of a block
parts      rows -> parts in staging, with their accounts
run        opens, drives and publishes
"""

from pipeline.stream.run import StreamOptions, transform_stream

__all__ = ["StreamOptions", "transform_stream"]
