"""Models as Python modules."""
