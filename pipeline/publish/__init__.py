"""Publishing: one commit, and every name that is made on disk.

record     bytes and names of manifest, receipts and journal, without a file system
store      the protocols: store, staging and attempt; ``facts`` holds the values that they return
layout     what an output is: a folder of parts, or one file
local      the store of a local file system

Only the driver locks, lists and publishes (``LOCAL.open_staging``). Workers create files through ``Staging.attempts``;
nobody reads them until a receipt names them. Standard library only.
"""

from collections.abc import Mapping

from pipeline.publish.facts import Busy, Cleaned, PublishedOutput, Rolled, RunFacts, VersionFacts
from pipeline.publish.layout.proof import checked
from pipeline.publish.layout.target import resolve
from pipeline.publish.local.attempts import STORE_NAME
from pipeline.publish.local.store import LocalStore
from pipeline.publish.record.manifest import Manifest, check_sections, observed_holds
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
    """Return the attempts that ``Attempts.describe`` described, for any store.

    Raises
    ------
    ValueError
        There is no such store, or the description does not fit it.
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
    "observed_holds",
    "resolve",
    "restored_attempts",
]
