"""The folders of previous versions, by their names."""

from __future__ import annotations

from pipeline.dataclass import dataclass
from pipeline.disk import Folder, is_folder
from pipeline.publish.record.names import VERSION_NAME


@dataclass(frozen=True, slots=True, order=True)
class Former:
    """The name of a previous version: the larger the number, the newer it is."""

    number: int
    name: str
    job_id: str


def formers(versions: Folder) -> list[Former]:
    """Return the previous versions in a folder, the newest first."""
    matches = (VERSION_NAME.fullmatch(name) for name in versions.names())
    found = [Former(int(match[1]), match[0], match[2]) for match in matches if match]
    return sorted((former for former in found if is_folder(versions, former.name)), reverse=True)
