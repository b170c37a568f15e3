"""Shows in which rooms of the project a job spends its time, and how much goes to Arrow, numpy and the system.

    python -m tests.benchmarks.profile FOLDER [--case P20] [--scale 1.0] [--checkout CHECKOUT]

One run of a case with ``--scheduler sync`` is profiled, and a Markdown table of processor seconds is printed: own time
of functions, grouped by where they stand. Python's profiler does not see calls of Arrow's compiled code and of numpy's
arithmetic: they count for the function that makes them, and the last column names those that take longest. Decoding
is therefore found in ``sources``, arithmetic in ``kernels``, encoding in ``pyarrow`` and ``sinks``.
"""

from __future__ import annotations

import argparse
import pstats
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.benchmarks import contenders, meter, table
from tests.benchmarks.cases import CASES
from tests.benchmarks.models import model, save_model
from tests.benchmarks.scoring import Scoring
from tests.benchmarks.turns import Bench

SCRIPT = contenders.SCRIPTS / "profiled.py"
PROFILED = [name for name, case in CASES.items() if isinstance(case, Scoring)]
IMPORTS, SYSTEM, LIBRARY = "imports", "system calls", "standard library"
# Built-in functions by a word of their names; others count for those that call them.
BUILT_IN = {
    "numpy": "numpy",
    "pyarrow": "pyarrow",
    "_hashlib": "digests",
    "zlib": "digests",
    "posix.": SYSTEM,
    "fcntl": SYSTEM,
    "_io.FileIO": SYSTEM,
    "marshal.": IMPORTS,
    "_imp.": IMPORTS,
    "__build_class__": IMPORTS,
    "builtins.compile": IMPORTS,
    "builtins.exec": IMPORTS,
}
SMALLEST_SHARE = 0.01
SHOWN = 3

# How pstats names a function: file, line, name.
Function = tuple[str, int, str]
Rooms = Mapping[str, Counter[str]]


def room(function: Function, checkout: Path) -> str | None:
    """Return where a function stands; ``None`` for one that is built in and counts for those that call it."""
    file, _, name = function
    if file == "~":
        return next((where for word, where in BUILT_IN.items() if word in name), None)
    if file.startswith("<frozen importlib") or name == "<module>":
        return IMPORTS
    path = Path(file)
    if path.is_relative_to(checkout / "pipeline"):
        return "/".join(path.relative_to(checkout / "pipeline").with_suffix("").parts[:2])
    if path.is_relative_to(checkout / "jobs"):
        return "jobs"
    _, packaged, inside = file.rpartition("site-packages/")
    return inside.partition("/")[0] if packaged else LIBRARY


def by_room(stats: pstats.Stats, checkout: Path) -> Rooms:
    """Return own seconds of every function, by where it stands and by name."""
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for function, (_, _, seconds, _, callers) in stats.stats.items():
        where = room(function, checkout)
        if where is not None:
            found[where][label(function)] += seconds
            continue
        for caller, (_, _, own, _) in callers.items():
            found[room(caller, checkout) or LIBRARY][label(caller)] += own
    return found


def label(function: Function) -> str:
    """Return how a table names a function."""
    file, _, name = function
    return name.strip("<>") if file == "~" else f"{Path(file).stem}.{name}"


def shown(found: Rooms) -> Iterator[str]:
    """Yield the lines of a table, most first; what is small stands together in the last."""
    sums = Counter({where: sum(functions.values()) for where, functions in found.items()})
    total = sum(sums.values())
    body, rest = [], 0.0
    for where, seconds in sums.most_common():
        if seconds < SMALLEST_SHARE * total:
            rest += seconds
            continue
        most = ", ".join(f"`{name}` {own:.2f}" for name, own in found[where].most_common(SHOWN))
        body.append((where, f"{seconds:.2f} s", f"{100 * seconds / total:.0f} %", most))
    body.append(("all others", f"{rest:.2f} s", f"{100 * rest / total:.0f} %", ""))
    body.append(("together", f"{total:.2f} s", "", ""))
    yield from table.rows(("room", "own CPU time", "share", "most of it in"), body)


def profiled(bench: Bench, name: str, checkout: Path) -> pstats.Stats:
    """Run a case once under the profiler."""
    case = CASES[name]
    assert isinstance(case, Scoring)
    dataset = case.dataset(bench)
    data = dataset.make(bench.folder)
    with tempfile.TemporaryDirectory(dir=bench.folder) as temporary:
        scratch = Path(temporary)
        path = save_model(model(dataset.mixture), scratch / "model.json")
        words = meter.words_of(contenders.ours(data, path, case.work, csv=dataset.kind != "parquet"))
        target = scratch / "profile"
        command = [sys.executable, "-P", str(SCRIPT), str(checkout), str(target), *words, "--scheduler", "sync"]
        bench.run(command, scratch / "out")
        return pstats.Stats(str(target))


def main(arguments: Sequence[str] | None = None) -> None:
    """Profile and print.

    Raises
    ------
    SystemExit
        The command failed.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.profile", description=__doc__.split("\n\n")[0])
    parser.add_argument("folder", type=Path, help="where data is made and kept")
    parser.add_argument("--case", type=str.upper, choices=PROFILED, default="P20", help="[default: P20]")
    parser.add_argument("--scale", type=float, default=1.0, help="times the rows of the case [default: 1]")
    parser.add_argument("--checkout", type=Path, default=meter.ROOT, help="the folder to run [default: this one]")
    given = parser.parse_args(arguments)
    checkout = given.checkout.resolve()
    meter.compile_bytecode(checkout)
    try:
        stats = profiled(Bench(given.folder.resolve(), given.scale), given.case, checkout)
    except meter.CommandFailedError as error:
        raise SystemExit(f"{error}") from error
    print(f"{given.case}: {CASES[given.case].about}; scale {given.scale:g}, {meter.machine()}\n")
    print("\n".join(shown(by_room(stats, checkout))))


if __name__ == "__main__":
    main()
