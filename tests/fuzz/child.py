"""One target in a process of its own; started by :mod:`tests.fuzz.watch`.

    python -m tests.fuzz.child TARGET FOLDER --seconds N --seed N
    python -m tests.fuzz.child TARGET FOLDER --mutations N --seed N

FOLDER holds ``ledger``, ``corpus`` and ``found``; each thing found is an input and a text under one name in ``found``.
"""

from __future__ import annotations

import argparse
import faulthandler
import resource
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import memory
from tests.fuzz.ledger import Ledger
from tests.fuzz.mutations import mutations
from tests.fuzz.targets import load

if TYPE_CHECKING:
    from tests.fuzz.target import Target

MIB = 2**20
# Of data, beyond what the process has once everything is loaded: as much as a task could never be given for so small a
# file. A workspace of Arrow below a hundred and odd MiB makes it spin instead of fail.
GUARD = 1024 * MIB
# Of resident memory, while one input is read.
PEAK = 384 * MIB
SECONDS = 5.0
INSTRUMENTED = ["pipeline.sources", "pipeline.models", "pipeline.publish", "pipeline.units"]
LONGEST = 16_384
FOUND_LIMIT = 20
# How often the guard is set again. pyarrow 26 loses the buffer of a read that fails, 1 MiB where receipts are read; no
# run comes to a hundred of those, a target does.
GUARD_EVERY = 100

_SHM = Path("/dev/shm")


class Trial:
    """Tries inputs: notes each in the ledger, measures it, and writes down what it found, once a place in the code."""

    def __init__(self, target: Target, folder: Path, ledger: Ledger, found: Path) -> None:
        self._check, self._claims, self._ledger, self._found = target.make(folder), target.claims, ledger, found
        self._places: set[str] = set()

    def __call__(self, data: bytes) -> None:
        if self._ledger.begun % GUARD_EVERY == 0:
            _limit()
        self._ledger.begin(data)
        # A sandbox may not have it: then only growth beyond every peak before is seen.
        memory.reset_peak()
        resident, began = _memory("VmRSS"), time.thread_time()
        try:
            self._check(data)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what was looked for
            self._note(data, _place(error), "".join(traceback.format_exception(error)))
        seconds, peak = time.thread_time() - began, _memory("VmHWM") - resident
        if seconds > SECONDS:
            self._note(data, "slow", f"took {seconds:.1f} s of processor, more than {SECONDS:.0f}")
        if peak > PEAK and peak > PEAK + self._claims(data):
            self._note(data, "large", f"took {peak // MIB:,} MiB of memory, more than {PEAK // MIB:,}")
        self._ledger.end()

    def _note(self, data: bytes, place: str, text: str) -> None:
        if place in self._places or len(self._places) >= FOUND_LIMIT:
            return
        self._places.add(place)
        number = len(self._places)
        (self._found / f"{number}.input").write_bytes(data)
        (self._found / f"{number}.txt").write_text(text, errors="backslashreplace")


def _place(error: Exception) -> str:
    """Return what tells one fault from another: the kind of error and the lines that it passed."""
    frames = traceback.extract_tb(error.__traceback__)
    return repr([type(error).__name__, [(frame.filename, frame.lineno) for frame in frames[-3:]]])


def _memory(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return 0


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    resource.setrlimit(resource.RLIMIT_DATA, (_memory("VmData") + GUARD, hard))


def _instrumented(name: str) -> Target:
    import atheris

    with atheris.instrument_imports(include=INSTRUMENTED):
        return load(name)


def _guided(trial: Trial, corpus: Path, seconds: int, number: int, dictionary: Path) -> None:
    import atheris

    options = [
        f"-max_total_time={seconds}", f"-seed={number}", f"-max_len={LONGEST}", f"-dict={dictionary}", "-verbosity=0",
        "-rss_limit_mb=0", "-malloc_limit_mb=0", "-timeout=100000", "-handle_segv=0", "-handle_abrt=0", "-handle_bus=0",
        "-handle_ill=0", "-handle_fpe=0", "-handle_term=0", "-handle_int=0", str(corpus),
    ]  # fmt: skip
    atheris.Setup([sys.argv[0], *options], trial)
    atheris.Fuzz()


def _write_dictionary(path: Path, tokens: Iterable[bytes]) -> None:
    path.write_text("".join('"' + "".join(f"\\x{byte:02x}" for byte in token) + '"\n' for token in tokens))


def main() -> None:
    """Try inputs until the time is over, or as many mutations as were asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("target")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=int, default=0)
    parser.add_argument("--mutations", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    faulthandler.enable()
    target = load(asked.target) if asked.mutations else _instrumented(asked.target)
    seeds = target.seeds()
    with tempfile.TemporaryDirectory(dir=_SHM if _SHM.is_dir() else None) as folder:
        trial = Trial(target, Path(folder), Ledger(asked.folder / "ledger"), asked.folder / "found")
        if asked.mutations:
            for data in (*seeds, *islice(mutations(seeds, target.tokens, asked.seed), asked.mutations)):
                trial(data)
            return
        corpus, dictionary = asked.folder / "corpus", asked.folder / "dictionary"
        for position, seed in enumerate(seeds):
            (corpus / f"seed-{position}").write_bytes(seed)
        _write_dictionary(dictionary, target.tokens)
        _guided(trial, corpus, asked.seconds, asked.seed, dictionary)


if __name__ == "__main__":
    main()
