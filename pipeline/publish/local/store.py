"""The store of a local file system: folders, links, one rename."""

from __future__ import annotations

from pipeline.disk import free_bytes
from pipeline.publish.local.attempts import restored
from pipeline.publish.local.listing import chunks_done, clean, home_of, outputs_in, runs, under_way, versions_of
from pipeline.publish.local.output import check_output
from pipeline.publish.local.published import open_published, read_manifest
from pipeline.publish.local.remembering import remembered
from pipeline.publish.local.restoring import rollback
from pipeline.publish.local.staging import open_staging


class LocalStore:
    """Publishes on a POSIX file system; :class:`~pipeline.publish.store.Store` documents each method."""

    free_bytes = staticmethod(free_bytes)
    check_output = staticmethod(check_output)
    open_staging = staticmethod(open_staging)
    remembered = staticmethod(remembered)
    read_manifest = staticmethod(read_manifest)
    open_published = staticmethod(open_published)
    rollback = staticmethod(rollback)
    runs = staticmethod(runs)
    versions_of = staticmethod(versions_of)
    under_way = staticmethod(under_way)
    chunks_done = staticmethod(chunks_done)
    home_of = staticmethod(home_of)
    outputs_in = staticmethod(outputs_in)
    clean = staticmethod(clean)
    restored = staticmethod(restored)
