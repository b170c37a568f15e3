"""Whether a run may publish its result under the name of an output."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from pipeline import disk
from pipeline.choices import IfExists
from pipeline.dataclass import dataclass
from pipeline.disk import Folder, is_folder
from pipeline.errors import OutputError, PermissionDeniedError
from pipeline.publish.layout import Layout, Version, asked_layout, examine
from pipeline.publish.layout.target import Destination, open_parent
from pipeline.publish.record.manifest import Manifest
from pipeline.publish.record.receipts import Codec


@dataclass(frozen=True, slots=True)
class Finding:
    """What has the name of the output: nothing or a version; and its manifest if it is this same job, intact."""

    version: Version | None
    same: Manifest | None


def check_output(
    output: Path, job_id: str, *, if_exists: IfExists, codec: Codec, is_file: bool = False, reuse: bool = True
) -> Manifest | None:
    """Refuse an output that a run would refuse, without creating or locking anything.

    ``is_file`` asks for one file instead of a folder of parts. Without ``reuse`` a published version is replaced even
    if it is the result of this same job.

    Returns
    -------
    Manifest or None
        The manifest, if this same job is already published and intact. Then there is nothing to do.

    Raises
    ------
    OutputError
        The parent is missing or unsafe; or the output is a link, a mount point, a file where a folder is asked for
        or the other way round, was not published by logitstream, was made by a newer one, or exists under ``fail``.
    PermissionDeniedError
        The system would refuse it.
    """
    with open_parent(output) as (target, parent):
        layout = asked_layout(is_file=is_file)
        return find(target, parent, job_id, if_exists, codec, layout=layout, reuse=reuse).same


def find(
    target: Destination,
    parent: Folder,
    job_id: str,
    if_exists: IfExists,
    codec: Codec,
    *,
    layout: Layout,
    reuse: bool,
) -> Finding:
    """Examine the output and decide. Raises what :func:`check_output` raises."""
    version = examine(target, parent, codec, layout)
    if version is None:
        return Finding(None, None)
    # Only the sizes of the parts were checked; without reuse they are made again.
    anew = if_exists == "replace" and not reuse
    if version.manifest.job_id == job_id and not version.defects and not anew:
        return Finding(version, version.manifest)
    if if_exists == "fail":
        raise OutputError(_taken(target, job_id, version), "use --if-exists replace to put the new result in its place")
    refuse_of_others(target, parent)
    return Finding(version, None)


def refuse_of_others(target: Destination, parent: Folder) -> None:
    """Raise if the system would not let this user give the output's name to something else."""
    # A folder can be moved to another parent only by a user who may write to it; a file need not be writable.
    writable = not is_folder(parent, target.name) or parent.allows(os.W_OK, target.name)
    if not writable or not _may_rename(target, parent):
        raise PermissionDeniedError(f"cannot replace {target.shown}: it belongs to another user", "check its owner")


def _taken(target: Destination, job_id: str, version: Version) -> str:
    found = version.manifest.job_id
    if found == job_id:
        return f"{target.shown} holds the result of this job, but {version.defects}"
    return f"{target.shown} holds the result of another job ({found[:12]}, {version.manifest.rows:,} rows)"


def _may_rename(target: Destination, parent: Folder) -> bool:
    facts, output, user = parent.status(), parent.look(target.name), disk.user()
    if output is None or not facts.st_mode & stat.S_ISVTX:
        return True
    return user in {0, facts.st_uid, output.st_uid}
