"""Publishing: one commit, and everything that makes a name on disk.

record     bytes and names of manifest, receipts and journal, without a file system
store      the face: what a store, a staging and an attempt are; ``facts`` is what they tell
layout     what an output is: a folder of parts, or one file
local      the store of a local file system

The driver alone holds, lists and publishes (``LOCAL.open_staging``); workers make files that nobody looks at, through
``Staging.attempts``. Standard library only.
"""

from collections.abc import Mapping

from pipeline.publish.facts import Busy, Cleaned, PublishedOutput, Rolled, RunFacts, VersionFacts
from pipeline.publish.layout.proof import checked
from pipeline.publish.local.attempts import STORE_NAME
from pipeline.publish.local.store import LocalStore
from pipeline.publish.record.manifest import Manifest, check_sections
from pipeline.publish.record.names import (
    MANIFEST,
    QUARANTINE,
    QUARANTINE_EXTENSION,
    QUARANTINE_SUFFIX,
    RECEIPTS,
)
from pipeline.publish.record.receipts import Codec, Part
from pipeline.publish.store import Attempt, Attempts, Merge, Staging, Store

LOCAL: Store = LocalStore()


def restored_attempts(described: Mapping[str, object]) -> Attempts:
    """Return the attempts that ``Attempts.describe`` has described, of whatever store.

    Raises
    ------
    ValueError
        There is no such store, or the description is not one of it.
    """
    if described.get("store") != STORE_NAME:
        raise ValueError(f"there is no store {described.get('store')!r}")
    return LOCAL.restored(described)


__all__ = [
    "LOCAL",
    "MANIFEST",
    "QUARANTINE",
    "QUARANTINE_EXTENSION",
    "QUARANTINE_SUFFIX",
    "RECEIPTS",
    "Attempt",
    "Attempts",
    "Busy",
    "Cleaned",
    "Codec",
    "Manifest",
    "Merge",
    "Part",
    "PublishedOutput",
    "Rolled",
    "RunFacts",
    "Staging",
    "Store",
    "VersionFacts",
    "check_sections",
    "checked",
    "restored_attempts",
]
