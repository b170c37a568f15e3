"""Models that other tools have fitted, and models for other tools."""
