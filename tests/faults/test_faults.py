"""The command of the campaign, and the parts of it that judge: a campaign that cannot fail proves nothing."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults import __main__ as command
from tests.faults import mutants
from tests.faults.children import Child, forked, result_of, shared_out
from tests.faults.data import ROOT
from tests.faults.frame import Campaign
from tests.faults.rules import Event, Order, out_of_order, parsed


def test_help_names_every_part() -> None:
    line = [sys.executable, "-m", "tests.faults", "--help"]
    shown = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert all(part in shown for part in command.PARTS)


def test_an_unknown_part_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        command.main(["stepps"])
    assert "there is no part stepps: choose among steps," in capsys.readouterr().err


def _counts(campaign: Campaign) -> None:
    campaign.count("steps", 1200)
    campaign.count("steps")


def _violates(campaign: Campaign) -> None:
    campaign.count("steps")
    campaign.violated("Complete", f"seed {campaign.seed}")


@pytest.mark.parametrize(
    ("part", "code", "shown"),
    [
        (_counts, 0, "0 violations  1,201 steps"),
        (_violates, 1, "  Complete: seed 7"),
        (lambda campaign: campaign.skip("no root"), 0, "skipped: no root"),
        (lambda campaign: None, 1, "0 violations"),
    ],
)
def test_what_a_part_counts_is_said_and_decides(
    part: Callable[[Campaign], None],
    code: int,
    shown: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    module = types.ModuleType("tests.faults.steps")
    module.run = part  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tests.faults.steps", module)
    assert command.main(["steps", "--seed", "7", "--scratch", str(tmp_path)]) == code
    assert shown in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_children_tell_how_they_ended() -> None:
    assert forked(lambda: ["a", 1]) == (0, ["a", 1])
    code, told = forked(lambda: 1 / 0)
    assert code == 99
    assert "ZeroDivisionError" in told
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        result_of(lambda: 1 / 0)
    assert Child(lambda: time.sleep(60)).end(0.1) == (-signal.SIGALRM, None)
    assert {count for _, count in shared_out(lambda number, count: (number, count))} == {len(shared_out(lambda *_: 0))}


PLAY = "/play"
HOME = f"{PLAY}/.out.logitstream"
JOB = f"{HOME}/jobs/a"
FLAGS = "O_WRONLY|O_CREAT|O_EXCL|O_NOFOLLOW|O_CLOEXEC"
GOOD = f"""\
1 mkdirat(3<{PLAY}>, ".out.logitstream", 0700) = 0
1 fsync(3<{PLAY}>) = 0
1 mkdirat(4<{HOME}>, "jobs", 0700) = 0
1 fsync(4<{HOME}>) = 0
1 mkdirat(5<{HOME}/jobs>, "a", 0700) = 0
1 fsync(5<{HOME}/jobs>) = 0
1 mkdirat(6<{JOB}>, "tree", 0700) = 0
1 fsync(6<{JOB}>) = 0
1 openat(7<{JOB}/tree>, "_manifest.json", {FLAGS}, 0600) = 8<{JOB}/tree/_manifest.json>
1 write(8<{JOB}/tree/_manifest.json>, "{{}}", 2) = 2
2 fsync(8<{JOB}/tree/_manifest.json> <unfinished ...>
1 fsync(9</elsewhere>) = -1 EIO (Input/output error)
2 <... fsync resumed>)                = 0
1 fsync(7<{JOB}/tree>) = 0
1 renameat2(6<{JOB}>, "tree", 3<{PLAY}>, "out", RENAME_NOREPLACE) = 0
1 fsync(3<{PLAY}>) = 0
1 fsync(6<{JOB}>) = 0
1 unlinkat(5<{HOME}/jobs>, "a", AT_REMOVEDIR) = 0
"""


def _wrong(log: str) -> list[str]:
    return out_of_order(Order(Path(PLAY) / "out"), parsed(log.splitlines(), Path(PLAY)))


def test_an_order_that_is_right() -> None:
    assert _wrong(GOOD) == []


SYNCS = [number for number, line in enumerate(GOOD.splitlines()) if re.search("fsync.*= 0$", line)]


@pytest.mark.parametrize("number", SYNCS)
def test_an_order_in_which_any_sync_is_missing(number: int) -> None:
    lines = GOOD.splitlines()
    assert _wrong("\n".join([*lines[:number], *lines[number + 1 :]]))


@pytest.mark.parametrize("flag", ["O_EXCL", "O_NOFOLLOW"])
def test_a_file_made_without_a_flag(flag: str) -> None:
    assert any(f"without {flag}" in wrong for wrong in _wrong(GOOD.replace(f"{flag}|", "")))


def test_without_a_commit_nothing_is_in_order() -> None:
    assert out_of_order(Order(Path(PLAY) / "out"), [Event("fsync", PLAY)]) == ["nothing was committed"]


def test_every_mutant_fits_the_source_and_names_tests_that_are_there() -> None:
    for mutant in mutants.load():
        assert (ROOT / mutant.file).read_text().count(mutant.old) == 1, mutant.name
        for word in mutant.test:
            file, _, test = word.partition("::")
            if file.startswith("tests/"):
                assert f"def {test}" in (ROOT / file).read_text(), mutant.name


def test_a_mutant_is_killed_or_survives(tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "one.py").write_text("ONE = 1\n")
    (tmp_path / "copy" / "check.py").write_text("import one\n\nassert one.ONE < 3\n")

    def outcome(old: str, new: str, test: str = "-m check") -> str:
        mutant = mutants.Mutant("one", "", "one.py", old, new, mutants._words(test))
        return mutants.outcome(mutant, tmp_path / "copy")

    assert outcome("ONE = 1", "ONE = 3") == mutants.KILLED
    assert outcome("ONE = 1", "ONE = 2") == mutants.SURVIVED
    with pytest.raises(mutants.MutantError, match="occurs 0 times in"):
        outcome("TWO", "")
    with pytest.raises(mutants.MutantError, match="its test fails without it"):
        outcome("ONE = 1", "ONE = 3", "-m missing")
    assert (tmp_path / "copy" / "one.py").read_text() == "ONE = 1\n"
