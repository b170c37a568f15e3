"""Publishing on a local file system: the lock, staging folders, the journal, attempts, previous versions.

Nothing here depends on what an output looks like: that is in :mod:`pipeline.publish.layout`.
"""
