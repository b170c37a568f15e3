"""Where the time of a run goes, as it is shown."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.benchmarks import profile

CHECKOUT = Path("/somewhere/checkout")
PREDICTION = (f"{CHECKOUT}/pipeline/kernels/prediction.py", 3, "add")
MEMORY = (f"{CHECKOUT}/pipeline/memory.py", 3, "budget")
RELEASE = ("~", 0, "<method 'acquire' of 'lock'>")
SYNC = ("~", 0, "<built-in method posix.fsync>")


@pytest.mark.parametrize(
    ("function", "room"),
    [
        (PREDICTION, "kernels/prediction"),
        ((f"{CHECKOUT}/pipeline/sources/csv/parse.py", 3, "_read"), "sources/csv"),
        (MEMORY, "memory"),
        ((f"{CHECKOUT}/pipeline/memory.py", 1, "<module>"), "imports"),
        ((f"{CHECKOUT}/jobs/cli.py", 3, "main"), "jobs"),
        (("/python/site-packages/pyarrow/parquet/core.py", 3, "write_table"), "pyarrow"),
        (("/python/lib/re.py", 3, "compile"), "standard library"),
        (("<frozen importlib._bootstrap>", 3, "_find"), "imports"),
        (("~", 0, "<built-in method marshal.loads>"), "imports"),
        (("~", 0, "<method 'reduce' of 'numpy.ufunc' objects>"), "numpy"),
        (("~", 0, "<method 'update' of '_hashlib.HASH' objects>"), "digests"),
        (SYNC, "system calls"),
        (RELEASE, None),
    ],
)
def test_a_function_counts_for_the_room_that_has_it(function: profile.Function, room: str | None) -> None:
    assert profile.room(function, CHECKOUT) == room


def test_what_is_built_in_counts_for_those_that_call_it() -> None:
    stats = {
        PREDICTION: (1, 1, 5.0, 9.0, {}),
        MEMORY: (1, 1, 2.0, 3.0, {}),
        RELEASE: (3, 3, 1.5, 1.5, {PREDICTION: (1, 1, 0.5, 0.5), MEMORY: (2, 2, 1.0, 1.0)}),
        SYNC: (1, 1, 1.46, 1.46, {MEMORY: (1, 1, 1.46, 1.46)}),
        ("/python/lib/re.py", 3, "compile"): (1, 1, 0.04, 0.04, {}),
    }
    found = profile.by_room(SimpleNamespace(stats=stats), CHECKOUT)
    assert list(profile.shown(found)) == [
        "| room | own CPU time | share | most of it in |",
        "|---|---|---|---|",
        "| kernels/prediction | 5.50 s | 55 % | `prediction.add` 5.50 |",
        "| memory | 3.00 s | 30 % | `memory.budget` 3.00 |",
        "| system calls | 1.46 s | 15 % | `built-in method posix.fsync` 1.46 |",
        "| all others | 0.04 s | 0 % |  |",
        "| together | 10.00 s |  |  |",
    ]


@pytest.mark.slow
def test_a_run_is_profiled_by_room(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profile.main([str(tmp_path), "--case", "csv", "--scale", "0.01"])
    shown = capsys.readouterr().out
    assert shown.startswith("CSV: 4 million rows of it as CSV; scale 0.01, ")
    assert "| sources/csv | " in shown
    assert "| imports | " in shown
    # What is left is the data alone.
    assert [path.suffix for path in tmp_path.iterdir()] == [".csv"]


def test_another_checkout_is_profiled_and_its_failure_told(tmp_path: Path) -> None:
    (tmp_path / "jobs").mkdir()
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "jobs" / "__init__.py").touch()
    (tmp_path / "jobs" / "logitstream.py").write_text("import sys\n\ndef main():\n    sys.exit(' '.join(sys.argv))")
    words = ["--case", "p20", "--scale", "0.00001", "--checkout", str(tmp_path)]
    with pytest.raises(SystemExit, match=r"ended with 1:\nlogitstream score .* --scheduler sync"):
        profile.main([str(tmp_path / "data"), *words])
