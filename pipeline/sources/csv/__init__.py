"""CSV: bytes cut at record ends, parsed by Arrow, checked cell by cell where something is wrong."""
