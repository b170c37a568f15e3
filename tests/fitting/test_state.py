"""The state of a fit: killed at any moment and run again, it ends with the same bits."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pipeline
from pipeline.errors import DataError, OutputError, StorageError, TemporaryError
from pipeline.fitting.first_pass.learnt import FitAccounts, Learnt, LearntBins, LearntLevels, LearntNumber
from pipeline.fitting.passes import state as state_module
from pipeline.fitting.passes.points import PassSums, Point
from pipeline.fitting.passes.state import FitState, open_state, state_name
from pipeline.fitting.passes.tiles_in_memory import MemoryPasses
from pipeline.fitting.report import PassDone
from pipeline.fitting.running import run
from pipeline.fitting.solving import drive, newton
from pipeline.fitting.solving.objective import Objective
from pipeline.fitting.tiles.layout import FitLayout, Tile
from pipeline.training import fit_job
from tests.fitting.scans import numbers_table, write

COLUMNS = 3
LEARNT = Learnt(
    FitAccounts(read=10, used=7, held_out=1, dropped=1, bad=1),
    7.1,
    (False, True),
    (1.0, 0.1 + 0.2),
    {"x": LearntNumber(7, 0, 1 / 3, 1e-300, -0.0, float("inf"), median=2.5)},
    {"c": LearntLevels("text", {"a": 3, "ü\n": 1}, {"a": (1.0, 2.0)}, ("rare",), 2, {"3.0": "3"})},
    {"B(x)": LearntBins((0.1, 0.7), ((1.0, 2.0), (3.0, 4.0)), (0.5, -0.5), None)},
)
SAMPLE = pa.table({"x": [0.1, float("nan")], "c": ["a", None]})


def tiles() -> list[Tile]:
    chance = np.random.default_rng(1)
    dense = np.asfortranarray(np.column_stack([np.ones(500), chance.normal(size=(500, COLUMNS))]))
    classes = (chance.random(500) < 1 / (1 + np.exp(-dense @ [0.3, 1, -2, 0.5]))).astype(np.intp)
    return [Tile(dense, (), classes)]


@dataclass
class Counted:
    """Passes that count themselves, and may be killed."""

    killed_at: int = 1_000
    asked: int = 0
    inner: MemoryPasses = field(default_factory=lambda: MemoryPasses(FitLayout(COLUMNS), tiles()))

    @property
    def layout(self) -> FitLayout:
        return self.inner.layout

    def sums(self, points: Sequence[Point]) -> list[PassSums]:
        self.asked += 1
        if self.asked > self.killed_at:
            raise KeyboardInterrupt
        return self.inner.sums(points)


def fit(output: Path, passes: Counted, digest: str = "a" * 64, note: Callable[[str], Any] = print) -> bytes:
    with open_state(str(output), digest, note) as state:
        begins = np.zeros(3, dtype=np.int64)
        if (kept := state.learnt(begins)) is None:
            state.keep_learnt(LEARNT, SAMPLE, np.array([0, 7, 9]))
        else:
            assert kept[0] == LEARNT
            assert str(kept[0]) == str(LEARNT)
            assert kept[1].equals(SAMPLE) or str(kept[1]) == str(SAMPLE)
            assert begins.tolist() == [0, 7, 9]
        start = np.zeros((1, COLUMNS + 1))
        (found,) = drive(state.passes(passes), [newton(Objective(passes.layout), start)])
        return found.coefficients.tobytes()


@pytest.fixture(scope="module")
def undisturbed() -> tuple[bytes, int]:
    passes = Counted()
    (found,) = drive(passes, [newton(Objective(passes.layout), np.zeros((1, COLUMNS + 1)))])
    return found.coefficients.tobytes(), passes.asked


def test_a_fit_goes_on_after_the_last_finished_pass(tmp_path: Path, undisturbed: tuple[bytes, int]) -> None:
    expected, count = undisturbed
    output = tmp_path / "model.json"
    for done in range(count):
        with pytest.raises(KeyboardInterrupt):
            fit(output, Counted(killed_at=done))
        path = tmp_path / state_name(str(output))
        assert path.stat().st_mode & 0o777 == 0o600
        again = Counted()
        assert fit(output, again) == expected
        assert again.asked == count - done
        assert list(tmp_path.iterdir()) == []


@given(cut=st.floats(0, 1), damage=st.none() | st.floats(0, 1))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_a_state_that_was_cut_or_damaged_anywhere_gives_the_same_bits(
    tmp_path: Path, undisturbed: tuple[bytes, int], cut: float, damage: float | None
) -> None:
    expected, count = undisturbed
    output = tmp_path / "model.json"
    with pytest.raises(KeyboardInterrupt):
        fit(output, Counted(killed_at=count - 1))
    path = tmp_path / state_name(str(output))
    content = bytearray(path.read_bytes())
    del content[int(cut * len(content)) :]
    begin = len(b"logitstream-fit 1\n")
    if damage is not None and len(content) > begin:
        content[begin + int(damage * (len(content) - begin - 1))] ^= 0x40
    path.write_bytes(content)
    again = Counted()
    assert fit(output, again) == expected
    assert 1 <= again.asked <= count
    assert list(tmp_path.iterdir()) == []


def test_the_state_of_another_job_is_replaced_with_a_note(tmp_path: Path, undisturbed: tuple[bytes, int]) -> None:
    output = tmp_path / "model.json"
    with pytest.raises(KeyboardInterrupt):
        fit(output, Counted(killed_at=2))
    notes: list[str] = []
    again = Counted()
    assert fit(output, again, "b" * 64, notes.append) == undisturbed[0]
    assert again.asked == undisturbed[1]
    assert notes == ["inputs, features or options changed since the unfinished fit: starting over"]


def test_what_a_kill_left_of_the_model_file_is_removed(tmp_path: Path) -> None:
    output = tmp_path / "model.json"
    with pytest.raises(KeyboardInterrupt):
        fit(output, Counted(killed_at=2))
    (tmp_path / ".model.json.0123456789ab").write_text("{")
    (tmp_path / f".{state_name(str(output))}.0123456789ab").write_text("logitstream-fit 1")
    others = {".model.json.notes", ".model.json.0123456789abc", "other.json.0123456789ab"}
    for name in others:
        (tmp_path / name).write_text("")
    fit(output, Counted())
    assert {path.name for path in tmp_path.iterdir()} == others


def test_a_fit_killed_after_it_wrote_the_model_ends_well_when_run_again(tmp_path: Path) -> None:
    data, output = write(numbers_table(2_000, 2), tmp_path / "data"), tmp_path / "model.json"
    state = tmp_path / state_name(str(output))
    fits = functools.partial(pipeline.fit, str(data), target="y", features="*", output=output)

    def kept(event: object) -> None:
        # What a kill would leave: the state is there until the end.
        if state.exists():
            content.append(state.read_bytes())

    content: list[bytes] = []
    run(fit_job(str(data), target="y", features="*", output=output), kept)
    model = output.read_bytes()
    state.write_bytes(content[-1])
    fits()
    assert output.read_bytes() == model
    assert not state.exists()
    with pytest.raises(OutputError, match="exists"):
        fits()
    state.write_bytes(content[-1])
    with pytest.raises(OutputError, match="exists"):
        fits(l2=1.0)
    assert output.read_bytes() == model
    assert not state.exists()


def test_two_fits_do_not_share_a_state_and_another_file_is_not_touched(tmp_path: Path) -> None:
    output = tmp_path / "model.json"
    with (
        open_state(str(output), "a" * 64, print),
        pytest.raises(TemporaryError, match="another fit"),
        open_state(str(output), "a" * 64, print),
    ):
        pass
    path = tmp_path / state_name(str(output))
    path.write_text("my notes")
    with pytest.raises(OutputError, match="another file"), open_state(str(output), "a" * 64, print):
        pass
    assert path.read_text() == "my notes"


def test_a_fit_that_would_fail_again_leaves_no_state(tmp_path: Path) -> None:
    def failing(error: Exception) -> None:
        with open_state(str(tmp_path / "model.json"), "a" * 64, print):
            raise error

    with pytest.raises(DataError):
        failing(DataError("one class", "look at it"))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(StorageError):
        failing(StorageError("disk full", "free space"))
    assert len(list(tmp_path.iterdir())) == 1


def refuse(output: Path, digest: str = "a" * 64, note: Callable[[str], Any] = print) -> None:
    with open_state(str(output), digest, note) as state:
        state.keep_learnt(LEARNT, SAMPLE, np.zeros(3, dtype=np.int64))
        raise OutputError("exists", "choose another name")


def test_a_fit_whose_output_has_appeared_goes_on_under_another_name(
    tmp_path: Path, undisturbed: tuple[bytes, int]
) -> None:
    first, other = tmp_path / "model.json", tmp_path / "other.json"
    with pytest.raises(KeyboardInterrupt):
        fit(first, Counted(killed_at=undisturbed[1] - 1))
    notes: list[str] = []
    with pytest.raises(OutputError):
        refuse(first, note=notes.append)
    assert len(notes) == 1
    assert "run it again with another --output in the same folder, or with --if-exists replace" in notes[0]
    (tmp_path / f".link{state_name('x')}").symlink_to(tmp_path / state_name(str(first)))
    (tmp_path / state_name("notes")).write_text("my notes")
    (tmp_path / state_name("folder")).mkdir()
    again = Counted()
    # The state of another job stays where it is.
    assert fit(tmp_path / "third.json", Counted(), "b" * 64) == undisturbed[0]
    assert fit(other, again, note=notes.append) == undisturbed[0]
    assert again.asked == 1
    assert notes[1:] == ["the interrupted fit had the output model.json"]
    left = {state_name("notes"), state_name("folder"), f".link{state_name('x')}"}
    assert {path.name for path in tmp_path.iterdir()} == left


def test_a_fit_that_is_running_keeps_its_state(tmp_path: Path, undisturbed: tuple[bytes, int]) -> None:
    with open_state(str(tmp_path / "model.json"), "a" * 64, print) as state:
        state.keep_learnt(LEARNT, SAMPLE, np.zeros(3, dtype=np.int64))
        again = Counted()
        with open_state(str(tmp_path / "other.json"), "a" * 64, print) as other:
            assert not other.resumed
        assert (tmp_path / state_name("model.json")).exists()
        assert fit(tmp_path / "third.json", again) == undisturbed[0]
    assert again.asked == undisturbed[1]


def test_a_fit_that_has_done_nothing_yet_leaves_no_state_where_its_output_exists(tmp_path: Path) -> None:
    with pytest.raises(OutputError), open_state(str(tmp_path / "model.json"), "a" * 64, print):
        raise OutputError("exists", "choose another name")
    assert list(tmp_path.iterdir()) == []


def test_a_model_file_that_appeared_meanwhile_costs_no_pass(tmp_path: Path) -> None:
    data, output = write(numbers_table(2_000, 2), tmp_path / "data"), tmp_path / "model.json"
    passes: list[PassDone] = []

    def appear(event: object) -> None:
        if isinstance(event, PassDone):
            output.write_text("precious")

    with pytest.raises(OutputError, match="exists and is another file"):
        run(fit_job(str(data), target="y", features="*", output=output), appear)
    assert output.read_text() == "precious"

    def count(event: object) -> None:
        if isinstance(event, PassDone):
            passes.append(event)

    run(fit_job(str(data), target="y", features="*", output=tmp_path / "other.json"), count)
    assert passes == []
    assert (tmp_path / "other.json").exists()
    assert not list(tmp_path.glob(".*"))


def test_a_state_that_grows_too_large_is_given_up_and_the_fit_goes_on(
    tmp_path: Path, undisturbed: tuple[bytes, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_module, "MOST_BYTES", 4_000)
    notes: list[str] = []
    output = tmp_path / "model.json"
    with pytest.raises(KeyboardInterrupt):
        fit(output, Counted(killed_at=undisturbed[1] - 1), note=notes.append)
    assert (tmp_path / state_name(str(output))).stat().st_size <= 4_000
    assert len(notes) == 1
    assert "are not kept" in notes[0]
    again = Counted()
    assert fit(output, again) == undisturbed[0]
    assert again.asked > 1


def renewed(output: Path, contents: Sequence[bytes], note: Callable[[str], Any] = print) -> list[int]:
    """Keep contents one after the other, as epochs do, until a kill; return the sizes that the file had."""
    sizes = []
    with contextlib.suppress(KeyboardInterrupt), open_state(str(output), "a" * 64, note) as state:
        state.keep_learnt(LEARNT, SAMPLE, np.zeros(3, dtype=np.int64))
        for content in contents:
            state.renew(content)
            sizes.append((output.parent / state_name(str(output))).stat().st_size)
        with pytest.raises(TemporaryError, match="another fit"), open_state(str(output), "a" * 64, print):
            pass
        raise KeyboardInterrupt
    return sizes


def latest(output: Path) -> bytes | None:
    found = None
    with contextlib.suppress(KeyboardInterrupt), open_state(str(output), "a" * 64, print) as state:
        found = state.latest()
        raise KeyboardInterrupt
    return found


EPOCHS = [bytes([number]) * 1_000 for number in range(60)]


def test_however_many_epochs_there_were_the_last_is_kept_and_the_state_stays_small(tmp_path: Path) -> None:
    output = tmp_path / "model.json"
    for count in (1, 16, 17, 18, 40, 60):
        sizes = renewed(output, EPOCHS[:count])
        assert latest(output) == EPOCHS[count - 1]
        assert max(sizes) < 22_000
        (state,) = tmp_path.iterdir()
        assert state.stat().st_mode & 0o777 == 0o600
        state.unlink()


@pytest.mark.parametrize("before", [16, 17])
def test_an_epoch_that_the_disk_has_no_room_for_leaves_the_one_before_it(tmp_path: Path, before: int) -> None:
    output = tmp_path / "model.json"
    code = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from tests.fitting.test_state import EPOCHS, renewed\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))\n"
        "renewed(Path(sys.argv[1]), [*EPOCHS[: int(sys.argv[2])], bytes(80_000), b'lost'])\n"
    )
    command = [sys.executable, "-c", code, str(output), str(before)]
    done = subprocess.run(command, check=False, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE)
    assert b"are not kept" in done.stdout
    assert [each.name for each in tmp_path.iterdir()] == [state_name(str(output))]
    assert latest(output) == EPOCHS[before - 1]


def test_epochs_take_the_place_of_older_ones_before_the_state_grows_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_module, "MOST_BYTES", 6_000)
    output = tmp_path / "model.json"
    notes: list[str] = []
    assert max(renewed(output, EPOCHS, notes.append)) <= 6_000
    assert latest(output) == EPOCHS[-1]
    assert notes == []


def test_without_an_output_nothing_is_kept() -> None:
    with open_state(None, "", print) as state:
        assert isinstance(state, FitState)
        assert state.learnt(np.zeros(0, dtype=np.int64)) is None
        state.keep_learnt(LEARNT, SAMPLE, np.zeros(0, dtype=np.int64))
        assert state.answered == 0


_KILLED = """
import os, signal, sys
from pathlib import Path
from tests.fitting import test_state
class Killed(test_state.Counted):
    def sums(self, points):
        found = super().sums(points)
        if self.asked == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
        return found
test_state.fit(Path(sys.argv[1]), Killed())
"""


@pytest.mark.slow
def test_a_process_killed_within_a_pass_loses_that_pass_alone(tmp_path: Path, undisturbed: tuple[bytes, int]) -> None:
    for number in (1, 3):
        command = [sys.executable, "-c", _KILLED, str(tmp_path / "model.json"), str(number)]
        done = subprocess.run(command, check=False, cwd=Path(__file__).parents[2], env={**os.environ})
        assert done.returncode == -signal.SIGKILL
        again = Counted()
        assert fit(tmp_path / "model.json", again) == undisturbed[0]
        assert again.asked == undisturbed[1] - (number - 1)


@pytest.mark.parametrize("more", [{}, {"robust": True}, {"missing": "impute-median", "exact_median": True}], ids=str)
def test_a_fit_that_goes_on_tells_only_of_the_passes_that_it_makes(more: dict[str, Any], tmp_path: Path) -> None:
    data, output = write(numbers_table(20_000, 2), tmp_path / "data"), tmp_path / "model.json"
    job = fit_job(str(data), target="y", features="*", output=output, **more)

    reports = []

    def told(killed_after: int | None = None) -> tuple[list[tuple[int, str]], list[str]]:
        passes, notes = [], []

        def observe(event: object) -> None:
            if not isinstance(event, PassDone):
                notes.append(event.text)
                return
            passes.append((event.number, event.what))
            if event.number == killed_after:
                raise KeyboardInterrupt

        with contextlib.suppress(KeyboardInterrupt):
            reports.append(run(job, observe))
        return passes, notes

    whole, _ = told()
    output.unlink()
    assert ("exact_median" in more) == any(what == "medians" for _, what in whole)
    assert [number for number, _ in whole] == list(range(1, len(whole) + 1))
    kept = next(number for number, what in whole if what == "fit") + 1
    assert told(kept)[0] == whole[:kept]
    passes, notes = told()
    assert passes == whole[kept:]
    assert f"resuming after pass {kept} of the interrupted fit" in notes
    undisturbed, resumed = (report.pass_seconds for report in reports)
    assert len(undisturbed) == len(resumed) == reports[0].passes == len(whole)
    assert all(seconds > 0 for seconds in undisturbed)
    assert [seconds is None for seconds in resumed] == [number < kept for number in range(len(whole))]
