"""Any bytes as a journal: the good lines up to the first bad one, and a journal that goes on behind them."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from itertools import accumulate
from pathlib import Path

from pipeline.canonical import canonical
from pipeline.disk import Folder
from pipeline.publish.local.journal import Journal, facts_in, lines_in
from pipeline.publish.record.names import JOURNAL
from pipeline.types.outputs import PartFile
from tests.fuzz.target import Check, Target, require

JOB = "0123456789abcdef"
MORE = {"chunk": 7, "part": None}


def make(folder: Path) -> Check:
    """Return the check of one journal, as it is and once more with checksums that hold."""

    def check(data: bytes) -> None:
        _read(folder, data)
        _read(folder, _sealed(data))

    return check


def _read(folder: Path, content: bytes) -> None:
    (folder / JOURNAL).write_bytes(content)
    with Folder.open(folder) as opened:
        found = list(lines_in(opened))
        ends = [end for *_, end in found]
        lines = content.split(b"\n")[: len(found)]
        require(ends == list(accumulate(len(line) + 1 for line in lines)), f"lines end at {ends}")
        require(all(line + b"\n" == _line(line.rpartition(b" ")[0]) for line in lines), "a line was damaged")
        require(all(isinstance(line, dict) for line, *_ in found), "a line is no object")
        facts = facts_in(opened, JOB)
        require(0 <= facts.chunks <= len(found), f"{facts.chunks} chunks in {len(found)} lines")
        reason, code = facts.ended, facts.exit_code
        require(isinstance(reason, str | None) and isinstance(code, int | None), "a reason that is none")
        _go_on(opened, content, [line for line, *_ in found], ends)


def _go_on(opened: Folder, content: bytes, lines: list[object], ends: list[int]) -> None:
    """Open the journal as a run does that goes on with the job, and add a line."""
    journal = Journal.reopen(opened, JOB)
    path = opened.path / JOURNAL
    if journal is None:
        require(path.read_bytes() == content, "a journal that is not of the job was changed")
        return
    try:
        replayed = [line for line, _ in journal.replayed()]
        require(replayed == [line for line in lines if "chunk" in line], "other receipts than there are lines")
        journal.append(MORE)
        journal.sync()
    finally:
        journal.close()
    require(path.read_bytes().startswith(content[: ends[-1]]), "a good line was changed")
    require([line for line, *_ in lines_in(opened)] == [*lines, MORE], "what was added does not follow the good lines")


def _sealed(data: bytes) -> bytes:
    """Return the lines with checksums, as somebody would write them who can compute checksums."""
    lines = [line.rpartition(b" ")[0] or line for line in data.split(b"\n")]
    return b"".join(_line(line) for line in lines)


def _line(content: bytes) -> bytes:
    return content + b" " + hashlib.sha256(content).hexdigest()[:16].encode() + b"\n"


def seeds() -> list[bytes]:
    """Return journals as runs leave them, and lines that no run would write."""
    header = canonical({"format": "logitstream-journal", "version": 1, "job_id": JOB})
    part = asdict(PartFile("attempts/0/0-00.parquet.attempt", 10, "00" * 32, 3))
    receipts = [canonical({"chunk": chunk, "part": part, "quarantine": None}) for chunk in (0, 1, 1)]
    end = canonical({"ended": "stopped", "exit_code": 75, "unix": 1.5})
    whole = b"".join(map(_line, [header, *receipts, end]))
    strange = [
        b"[1]",
        b"3",
        b"{}",
        b'{"chunk":NaN}',
        b'{"chunk":1e400}',
        b"[" * 5000,
        b'{"chunk":' + b"9" * 5000 + b"}",
        b"\xff",
    ]
    return [
        whole,
        whole[:-5],
        _line(header),
        whole + b"\0" * 50,
        *(_line(header) + _line(line) + _line(receipts[0]) for line in strange),
        whole.replace(JOB.encode(), b"another"),
        b"\n\n",
        b"",
    ]


TOKENS = (
    b'"chunk":',
    b'"part":',
    b'"quarantine":',
    b'"ended":',
    b'"exit_code":',
    b"null",
    b"NaN",
    b"1e400",
    b"\n",
    b" ",
    b"{",
    b"}",
)
TARGETS = [Target("journal", make, seeds, TOKENS)]
