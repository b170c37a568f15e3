"""The store of a local file system, in both layouts, and what workers get from it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from pipeline.publish import LOCAL, MANIFEST, Attempts, Merge, Staging, restored_attempts
from tests.contracts.store import Bench, check_reuse, check_store
from tests.publish.file_scenes import joined
from tests.publish.runs import home

LAYOUTS = {"folder of parts": None, "one file": joined}


def benches(folder: Path, merge: Merge | None) -> Callable[[], Bench]:
    numbers = count()

    def make() -> Bench:
        output = folder / f"out{next(numbers)}"

        def edit(change: Callable[[bytes], bytes]) -> None:
            lists = output if merge is None else next((home(output) / "files").iterdir())
            (lists / MANIFEST).write_bytes(change((lists / MANIFEST).read_bytes()))

        return Bench(LOCAL, output, edit, merge)

    return make


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_local_store(folder: Path, layout: str) -> None:
    check_store(benches(folder, LAYOUTS[layout]))


def test_the_local_store_takes_parts_over(folder: Path) -> None:
    check_reuse(benches(folder, None))


def test_attempts_in_another_process(tmp_path: Path) -> None:
    """A worker only has the description, as JSON."""
    bench = benches(tmp_path, None)()
    program = (
        "import json, sys\n"
        "from pipeline.publish import restored_attempts\n"
        "with restored_attempts(json.loads(sys.argv[1])).open(3, 'csv.gz') as attempt:\n"
        "    attempt.file.write(b'12')\n"
        "    print(attempt.finish(2).path)\n"
    )
    with bench.open("old") as staging:
        assert isinstance(staging, Staging)
        described = json.dumps(staging.attempts.describe())
        done = subprocess.run([sys.executable, "-c", program, described], capture_output=True, text=True, check=True)
        path = staging.directory / done.stdout.strip()
        assert path.read_bytes() == b"12"
        assert path.stat().st_mode & 0o777 == staging.file_mode
        again: Attempts = restored_attempts(staging.attempts.describe())
        assert again == staging.attempts


@pytest.mark.parametrize(
    "described",
    [
        {},
        {"store": "another"},
        {"store": "local"},
        {"store": "local", "folder": 3, "file_mode": 0o600, "durable": True},
        {"store": "local", "folder": "/tmp/x", "file_mode": "0600", "durable": True},
    ],
)
def test_attempts_of_no_store(described: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="store"):
        restored_attempts(described)
