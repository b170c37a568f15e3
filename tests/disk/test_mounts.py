"""What is mounted, as the kernel states it."""

from __future__ import annotations

import os
from pathlib import Path

from pipeline import disk

STATED = """\
27 1 254:1 / / rw,relatime shared:1 master:2 - ext4 /dev/vda rw,discard
30 27 0:24 /below /mnt/a\\040b rw - nfs4 server:/path\\040of rw,vers=4.2
31 27 0:300000 / /mnt/\u2028\x0b rw unbindable - fuse.sshfs  rw,user_id=0
"""


def test_each_mount_is_told(tmp_path: Path) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/mountinfo").write_text(STATED)
    assert disk.mounts(tmp_path) == [
        (os.makedev(254, 1), "/", "/", "ext4", "rw,discard"),
        (os.makedev(0, 24), "/below", "/mnt/a\\040b", "nfs4", "rw,vers=4.2"),
        (os.makedev(0, 300_000), "/", "/mnt/\u2028\x0b", "fuse.sshfs", "rw,user_id=0"),
    ]


def test_a_kernel_that_tells_nothing_has_none(tmp_path: Path) -> None:
    assert disk.mounts(tmp_path) == []


def test_the_mounts_of_this_system_have_the_devices_of_their_files() -> None:
    found = {mount.place: mount for mount in disk.mounts()}
    assert found["/proc"].kind == "proc"
    assert found["/proc"].device == Path("/proc/self").stat().st_dev


def test_a_place_is_known_as_one_where_something_is_mounted(tmp_path: Path) -> None:
    assert disk.is_mount_point(Path("/proc"))
    assert not disk.is_mount_point(tmp_path)
