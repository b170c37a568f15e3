"""A generator of blocks, transformed and published in one step.

blocks     what a generator yields -> blocks of one schema, or an error that names the block
function   a name, a text or a callable -> columns of a block
parts      rows -> parts in staging, with their accounts
run        opens, drives and publishes
"""

from pipeline.stream.run import transform_stream

__all__ = ["transform_stream"]
