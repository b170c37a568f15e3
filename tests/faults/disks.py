"""File systems in files, mounted for a test; a copy of the file is what a power cut leaves."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MIB = 2**20


@dataclass(frozen=True)
class FileSystem:
    """How a kind of file system is made, the least size it takes, and with which options it is mounted.

    The options keep it, as far as possible, from writing what was not synced.
    """

    name: str
    size: int
    make: tuple[str, ...]
    options: str


FILE_SYSTEMS = (
    FileSystem("ext4", 32 * MIB, ("mkfs.ext4", "-q", "-F"), "commit=300"),
    FileSystem("xfs", 300 * MIB, ("mkfs.xfs", "-q", "-f"), "nouuid"),
    FileSystem("btrfs", 128 * MIB, ("mkfs.btrfs", "-q", "-f"), "commit=300"),
)


def lacking(systems: tuple[FileSystem, ...]) -> str:
    """Return what is missing to mount such disks, as a clause; empty if nothing is."""
    if os.geteuid() != 0:
        return "mounting wants root"
    tools = ["losetup", "mount", "umount", *(system.make[0] for system in systems)]
    return ", ".join(f"{tool} is not installed" for tool in tools if shutil.which(tool) is None)


def called(*words: object) -> str:
    """Run a tool and return what it prints; raises with its output if it fails."""
    answer = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        raise OSError(f"{' '.join(map(str, words))}: {answer.stderr.strip()}")
    return answer.stdout.strip()


def made(system: FileSystem, image: Path) -> Path:
    """Make an empty file system in a file that takes no more than what is in it."""
    full = image.with_suffix(".full")
    with full.open("wb") as file:
        file.truncate(system.size)
    called(*system.make, full)
    copied(full, image)
    full.unlink()
    return image


def copied(image: Path, copy: Path) -> None:
    """Copy a file, but not its holes."""
    called("cp", "--sparse=always", image, copy)


@dataclass(frozen=True)
class Disk:
    """A mounted file system: where, in which file, through which device."""

    folder: Path
    image: Path
    device: str

    def written(self) -> tuple[str, ...]:
        """Return how much has been written to the device, with requests under way."""
        facts = Path(f"/sys/block/{Path(self.device).name}/stat").read_text().split()
        # Requests, sectors, under way, discards and the sectors of these.
        return tuple(facts[index] for index in (4, 6, 8, 11, 13) if index < len(facts))

    def cut(self, copy: Path) -> None:
        """Copy what has reached the device, and nothing else: what is only in memory is lost, as in a power cut."""
        while True:
            before = self.written()
            copied(self.image, copy)
            if self.written() == before:
                return


@contextmanager
def mounted(system: FileSystem, image: Path, folder: Path) -> Iterator[Disk]:
    """Mount a file system for the length of the block; neither mount nor device is left, whatever happens."""
    folder.mkdir(exist_ok=True)
    device = _attached(image)
    try:
        called("mount", "-t", system.name, "-o", system.options, device, folder)
    except OSError:
        called("losetup", "--detach", device)
        raise
    # The device goes with the mount from here on.
    called("losetup", "--detach", device)
    try:
        yield Disk(folder, image, device)
    finally:
        try:
            called("umount", folder)
        except OSError:
            called("umount", "--lazy", folder)


def _attached(image: Path) -> str:
    try:
        return called("losetup", "--find", "--show", "--direct-io=on", image)
    except OSError:
        # Some file systems below do not know it; the copy reads through the same cache that the device writes to.
        return called("losetup", "--find", "--show", image)
