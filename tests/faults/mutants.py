"""Mutants: one line of the source changed, so that a promise breaks; a test must notice.

python -m tests.faults.mutants                every mutant of mutants.toml
python -m tests.faults.mutants --only NAME    one of them

Each is tried on a copy of the tree. The command ends with 1 where one survives.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.faults.data import ROOT

KILLED = "killed"
SURVIVED = "survived"
_LIST = Path(__file__).with_name("mutants.toml")
_COPIED = ("pipeline", "jobs", "tests", "sample_data", "pyproject.toml")
_FAILED = 1
_LIMIT = 600.0


@dataclass(frozen=True, slots=True)
class Mutant:
    """``old``, which is in ``file`` once, becomes ``new``; then ``test``, arguments for Python, must fail."""

    name: str
    promise: str
    file: str
    old: str
    new: str
    test: tuple[str, ...]


class MutantError(Exception):
    """The list does not fit the source, or a test fails without any mutant."""


def load() -> list[Mutant]:
    """Return the mutants of the list, in its order."""
    entries = tomllib.loads(_LIST.read_text())["mutant"]
    found = [Mutant(**{**entry, "test": _words(entry["test"])}) for entry in entries]
    if len({mutant.name for mutant in found}) != len(found):
        raise MutantError("two mutants have one name")
    return found


def _words(test: str) -> tuple[str, ...]:
    """Return a test of the list as arguments for Python: a module of the campaign, or names of tests."""
    if test.startswith("-m "):
        return tuple(test.split())
    return ("-m", "pytest", "-x", "-q", "-n", "0", "-p", "no:cacheprovider", *test.split())


def outcome(mutant: Mutant, copy: Path) -> str:
    """Try a mutant on a copy of the tree, which is made if it does not exist; return the outcome."""
    if not copy.exists():
        _copy(copy)
    file = copy / mutant.file
    source = file.read_text()
    if source.count(mutant.old) != 1:
        raise MutantError(f"{mutant.name}: its text occurs {source.count(mutant.old)} times in {mutant.file}, not once")
    if not _passes(copy, mutant.test):
        raise MutantError(f"{mutant.name}: its test fails without it: {' '.join(mutant.test)}")
    file.write_text(source.replace(mutant.old, mutant.new))
    try:
        compile(file.read_text(), str(file), "exec")
        code = _code(copy, mutant.test)
    finally:
        file.write_text(source)
    return KILLED if code == _FAILED else SURVIVED if code == 0 else f"its test could not be run ({code})"


def _copy(copy: Path) -> None:
    copy.mkdir(parents=True)
    for name in _COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(ROOT / name, copy / name)


@cache
def _passes(copy: Path, test: tuple[str, ...]) -> bool:
    return _code(copy, test) == 0


def _code(copy: Path, test: tuple[str, ...]) -> int:
    # Compiled files of the source before would be used if its size and time agree.
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("PYTEST_ADDOPTS", None)
    line = [sys.executable, *test]
    try:
        done = subprocess.run(line, cwd=copy, env=environment, capture_output=True, check=False, timeout=_LIMIT)
    except subprocess.TimeoutExpired:
        return _FAILED
    return done.returncode


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.mutants", description="Try mutants of the source.")
    parser.add_argument("--only", action="append", metavar="NAME", help="this one; may be given again")
    options = parser.parse_args(arguments)
    chosen = [mutant for mutant in load() if not options.only or mutant.name in options.only]
    if unknown := set(options.only or ()) - {mutant.name for mutant in chosen}:
        parser.error(f"there is no mutant {min(unknown)}")
    survivors = 0
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        for mutant in chosen:
            try:
                what = outcome(mutant, Path(folder) / "copy")
            except MutantError as error:
                what = f"error: {error}"
            survivors += what != KILLED
            print(f"{mutant.name:36} {mutant.promise:24} {what}", flush=True)
    print(f"{len(chosen) - survivors} of {len(chosen)} mutants killed")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
