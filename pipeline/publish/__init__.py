"""Publishing: staging, journal, lock, manifest, and the one step that puts a result in its place.

Everything that makes a name on disk is here. Workers make files that nobody looks at (:func:`open_attempt`); the driver
alone locks, lists and publishes (:func:`open_staging`). Standard library only.
"""

from pipeline.disk import free_bytes
from pipeline.publish.files import Attempt, open_attempt
from pipeline.publish.listing import (
    Cleaned,
    RunFacts,
    VersionFacts,
    chunks_done,
    clean,
    home_of,
    outputs_in,
    runs,
    under_way,
    versions_of,
)
from pipeline.publish.lock import Busy
from pipeline.publish.manifest import Manifest, check_sections
from pipeline.publish.merging import Merge
from pipeline.publish.output import check_output
from pipeline.publish.proof import checked
from pipeline.publish.published import PublishedOutput, open_published, read_manifest
from pipeline.publish.receipts import Codec, Part
from pipeline.publish.restoring import Rolled, rollback
from pipeline.publish.staging import Staging, open_staging

__all__ = [
    "Attempt",
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
    "VersionFacts",
    "check_output",
    "check_sections",
    "checked",
    "chunks_done",
    "clean",
    "free_bytes",
    "home_of",
    "open_attempt",
    "open_published",
    "open_staging",
    "outputs_in",
    "read_manifest",
    "rollback",
    "runs",
    "under_way",
    "versions_of",
]
