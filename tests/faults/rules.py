"""The order of syncs that the design asks for, compared with what a run did.

Data, folder, journal, manifest, tree, exchange, parent; a new folder's parent before anything is in it. What a file or
a folder holds is *dirty* from its first change to its next sync. What an ended run left may be dirty too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

_RENAMES = frozenset({"rename", "renameat2 noreplace", "renameat2 exchange"})
_CHANGES = frozenset({"write", "pwrite", "ftruncate", "fchmod"})
_PROBE = re.compile(r".*/probe-[12]")
# What is moved there is digested and synced before it is used again.
_PUT_ASIDE = re.compile(r".*\.kept|.*/versions/[^/]*|.*/jobs/[^/]*")
_BUCKET = re.compile(r".*/attempts/\d+")


@dataclass(frozen=True, slots=True)
class Event:
    """A step: ``create`` for a new file, else its name; its path, and the path before if it has two."""

    name: str
    path: str
    source: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.path}"


@dataclass
class Order:
    """What is known as the events of one act are read.

    Attributes
    ----------
    output : Path
    dirty : set of str
        Files and folders by their paths; at first those that an ended run may have left so.
    folders : set of str
        Paths that are known to be folders.
    """

    output: Path
    dirty: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)
    _nameless: set[str] = field(default_factory=set)
    _pending: set[str] = field(default_factory=set)
    _committed: bool = False
    _parent_synced: bool = False
    _lines: int = 0
    _header_synced: bool = True

    @classmethod
    def beginning(cls, output: Path) -> Order:
        """Return what is known before an act: nothing next to an output counts as synced."""
        order = cls(output)
        jobs = Path(order.home) / "jobs"
        for path in (*Path(order.home).rglob("*"), *output.rglob("*"), Path(order.home)):
            if path.is_dir():
                order.folders.add(str(path))
            # The names in a staging folder count as changed; what else is a folder there was left whole.
            if not path.is_dir() or jobs in path.parents:
                order.dirty.add(str(path))
        return order

    @property
    def parent(self) -> str:
        return str(self.output.parent)

    @property
    def home(self) -> str:
        return f"{self.parent}/.{self.output.name}.logitstream"

    def see(self, event: Event) -> None:
        """Add the next event."""
        if _PROBE.fullmatch(event.path):
            return
        if event.name == "fsync":
            self._synced(event.path)
        elif event.name in _CHANGES:
            self._changed(event)
        elif event.name in {"create", "mkdir"}:
            self._made(event)
        elif event.name == "link" or event.name in _RENAMES:
            self._named(event)
        elif event.name in {"unlink", "rmdir"}:
            self._settled_before(event)
            self.dirty.discard(event.path)
        elif event.name.startswith("created without"):
            self._say(str(event))

    def end(self) -> None:
        """The act is over."""
        if not self._committed:
            self._say("nothing was committed")
        for path in sorted(self._pending):
            self._say(f"{path} was not synced after the commit")

    def _synced(self, path: str) -> None:
        self.dirty.discard(path)
        self._pending.discard(path)
        self._nameless = {folder for folder in self._nameless if _folder_of(folder) != path}
        self._parent_synced = self._parent_synced or path == self.parent
        if path.endswith("/journal"):
            self._header_synced = True

    def _changed(self, event: Event) -> None:
        name = event.path.rpartition("/")[2]
        if name == "lock" or event.path in self.folders:
            return
        if name == "journal" and event.name == "write":
            self._journalled(_folder_of(event.path))
        self.dirty.add(event.path)

    def _journalled(self, staging: str) -> None:
        """A line names files: these, their names and the name of the journal are durable before it."""
        self._lines += 1
        if self._lines == 1:
            # The header, or the note that a run was resumed: neither names a file.
            if self._header_synced:
                self._demand("the note in a journal opened again", f"{staging}/journal")
            return
        if not self._header_synced:
            self._say("a line follows the header of the journal, which was not synced")
        self._demand("a line of the journal", staging, *self._below(f"{staging}/attempts"))

    def _made(self, event: Event) -> None:
        folder, _, name = event.path.rpartition("/")
        self._demand_names(event, folder)
        if event.name == "create" and _BUCKET.fullmatch(folder):
            staging = str(Path(folder).parents[1])
            self._demand(str(event), staging, f"{staging}/attempts")
        if name == "journal":
            self._header_synced = False
        if name == "tree":
            self._demand(str(event), f"{folder}/journal")
        if name == "_manifest.json":
            self._demand(str(event), *(self._below(folder) - self.folders))
        if event.name == "mkdir":
            self.folders.add(event.path)
            self._nameless.add(event.path)
        self.dirty |= {folder} if event.name == "mkdir" else {folder, event.path}

    def _named(self, event: Event) -> None:
        folder = _folder_of(event.path)
        if event.name != "link":
            self._settled_before(event)
        if self._committed:
            return
        self._demand_names(event, folder)
        if not _PUT_ASIDE.fullmatch(event.path):
            self._demand(str(event), *self._below(event.source))
        if event.path == str(self.output):
            self._commit(event)
        # The name of a part that was carried over may be lost: then it is missing when the run is resumed.
        elif not event.source.startswith(f"{self.output}/"):
            self.dirty |= {folder} if event.name == "link" else {folder, _folder_of(event.source)}

    def _commit(self, event: Event) -> None:
        self._committed = True
        staging = _folder_of(event.source)
        self._demand("the commit", self.home, self.parent, staging)
        if event.source.endswith("/tree"):
            self._demand("the commit", f"{self.home}/jobs", f"{staging}/journal", *self._below(f"{staging}/attempts"))
        self._pending = {self.parent, staging}

    def _settled_before(self, event: Event) -> None:
        """Names change only after the exchange of this run, or of an ended one, is durable."""
        if not self._parent_synced:
            self._say(f"{event} before the parent was synced")
        for path in sorted(self._pending):
            self._say(f"{event} before {path} was synced after the commit")

    def _demand_names(self, event: Event, folder: str) -> None:
        if folder in self._nameless:
            self._say(f"{event} before the name of {folder} was synced")

    def _demand(self, what: str, *paths: str) -> None:
        """Report which paths should have been synced before something."""
        for path in sorted({*paths} & self.dirty):
            self._say(f"{what} comes before {path} was synced")

    def _below(self, path: str) -> set[str]:
        return {found for found in self.dirty if found == path or found.startswith(f"{path}/")}

    def _say(self, text: str) -> None:
        self.wrong.append(re.sub(r"[0-9a-f]{20,}", "...", text.replace(f"{self.parent}/", "")))


def _folder_of(path: str) -> str:
    return path.rpartition("/")[0]


def out_of_order(order: Order, events: Iterable[Event]) -> list[str]:
    """Return what is out of order, each once."""
    for event in events:
        order.see(event)
    order.end()
    return list(dict.fromkeys(order.wrong))


# What strace -y writes: a folder by its descriptor and path, then a name in it.
_AT = r"(?:AT_FDCWD|\d+)<([^>]*)>, \"([^\"]*)\""
_CALLS = {
    "openat": re.compile(rf"openat\({_AT}, ([A-Z_|]+).*\) += \d"),
    "mkdirat": re.compile(rf"mkdirat\({_AT}.*\) += 0"),
    "unlinkat": re.compile(rf"unlinkat\({_AT}, (\w+)\) += 0"),
    "linkat": re.compile(rf"linkat\({_AT}, {_AT}.*\) += 0"),
    "renameat2": re.compile(rf"renameat2\({_AT}, {_AT}, (\w+)\) += 0"),
    "file": re.compile(r"(fsync|write|pwrite64|ftruncate|fchmod)\(\d+<([^>]*)>.*\) += \d"),
}
_UNFINISHED = " <unfinished ...>"
_RESUMED = re.compile(r"<\.\.\. \w+ resumed>")
TRACED = "openat,mkdirat,unlinkat,linkat,renameat2,fsync,write,pwrite64,ftruncate,fchmod"


def parsed(log: Iterable[str], play: Path) -> Iterator[Event]:
    """Yield the events in a log of strace that touch a folder, in the order of their ends, without failed ones."""
    begun: dict[str, str] = {}
    for line in log:
        thread, _, call = line.partition(" ")
        if call.endswith(_UNFINISHED):
            begun[thread] = call.removesuffix(_UNFINISHED)
            continue
        if resumed := _RESUMED.search(call):
            call = begun.pop(thread, "") + call[resumed.end() :]
        if str(play) in call:
            for name, pattern in _CALLS.items():
                if found := pattern.search(call):
                    yield from _event(name, found)


def _event(call: str, found: re.Match[str]) -> Iterator[Event]:
    words = found.groups()
    if call == "file":
        yield Event(words[0].removesuffix("64"), words[1])
        return
    path = f"{words[0]}/{words[1]}"
    if call == "mkdirat":
        yield Event("mkdir", path)
    elif call == "unlinkat":
        yield Event("rmdir" if words[2] == "AT_REMOVEDIR" else "unlink", path)
    elif call == "openat" and "O_CREAT" in words[2] and words[1] != "lock":
        missing = {"O_EXCL", "O_NOFOLLOW", "O_CLOEXEC"} - set(words[2].split("|"))
        yield Event("create" if not missing else f"created without {min(missing)}", path)
    elif call == "linkat":
        yield Event("link", f"{words[2]}/{words[3]}", path)
    elif call == "renameat2":
        kind = {"RENAME_NOREPLACE": "noreplace", "RENAME_EXCHANGE": "exchange"}.get(words[4], words[4])
        yield Event(f"renameat2 {kind}", f"{words[2]}/{words[3]}", path)
