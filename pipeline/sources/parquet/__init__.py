"""Parquet: footers, row groups, batches."""
