"""CSV: bytes cut at record ends, parsed by Arrow, judged cell by cell where something is wrong."""
