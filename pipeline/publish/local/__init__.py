"""Publishing on a local file system: the lock, staging folders, the journal, attempts, former versions.

What an output looks like there, :mod:`pipeline.publish.layout` says; nothing here asks.
"""
