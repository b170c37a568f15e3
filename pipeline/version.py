"""The release of logitstream."""

__version__ = "0.1.0"
