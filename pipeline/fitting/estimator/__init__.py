"""Fits of rows that a caller has: in memory, or in Dask collections."""
