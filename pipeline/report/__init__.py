"""A plan and a run as plain text and as plain values."""
