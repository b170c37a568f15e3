"""What happens to one output, step by step, and what must be true of it after each."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import pipeline
from pipeline import flow
from pipeline.errors import LogitstreamError, OutputError, TemporaryError
from pipeline.flow.manifest import CODEC
from pipeline.publish.local.listing import clean, runs, versions_of
from pipeline.publish.local.published import read_manifest
from pipeline.publish.local.restoring import rollback
from pipeline.types.report import Event, Noted, Progressed
from tests.faults.data import write_model
from tests.faults.world import OPTIONS, World, files, names
from tests.publish.steps import ALL, watched

_YEARS = 3 * 365 * 86_400
_HANG_SECONDS = 120
_CONDUCT = {
    "keep_versions": st.integers(0, 2),
    "durability": st.sampled_from(["none", "none", "full"]),
    "if_exists": st.sampled_from(["replace", "replace", "replace", "fail"]),
    "reuse": st.booleans(),
    "resume": st.sampled_from([True, True, True, False]),
}


class _EnoughError(TemporaryError):
    """What a run raises when it was asked to stop, as opposed to refused."""


class _Killer:
    """Ends the process at a step, counted from the beginning or from where the output is renamed."""

    def __init__(self, step: int, late: bool) -> None:
        self._left, self._counts = step, not late

    def __call__(self, name: str, path: str) -> None:
        self._counts = self._counts or (name.startswith("renameat2") and path.endswith("/out"))
        self._left -= self._counts
        if self._left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)


class History(RuleBasedStateMachine):
    """One output, its inputs, and what should be published.

    ``published`` is the job of the published version; ``kept`` are the jobs of the previous ones, the newest first, or
    ``None`` after a kill, until something has healed what it left; ``owed`` is the job that must then be the newest.
    """

    def __init__(self, scratch: Path, tell: Callable[[str], None]) -> None:
        super().__init__()
        self.world = World(scratch)
        self.tell = tell
        self.offset = 0
        self.published: str | None = None
        self.kept: list[str] | None = []
        self.owed: str | None = None
        tell("histories")

    def teardown(self) -> None:
        shutil.rmtree(self.world.folder)

    @rule(stop=st.sampled_from([None, None, 1, 2, 3]), conduct=st.fixed_dictionaries(_CONDUCT))
    def run(self, stop: int | None, conduct: dict[str, Any]) -> None:
        """Run to the end, or stop after some chunks."""
        request = flow.Stop()

        def watch(event: Event) -> None:
            if isinstance(event, Progressed) and stop is not None:
                totals = event.totals
                if totals.chunks - totals.resumed - totals.reused >= stop:
                    request.request(_EnoughError("enough"))

        self._run(conduct, watch, request)

    @rule(conduct=st.fixed_dictionaries(_CONDUCT))
    def run_twice(self, conduct: dict[str, Any]) -> None:
        """Run to the end, and find nothing to do the second time."""
        conduct = conduct | {"if_exists": "replace"}
        self._run(conduct, lambda _: None, flow.Stop())
        self._run(conduct, lambda _: None, flow.Stop())

    @rule(conduct=st.fixed_dictionaries(_CONDUCT))
    def run_beside_others(self, conduct: dict[str, Any]) -> None:
        """Run while a second driver, a rollback and a cleaning try the same output."""
        seen: list[Event] = []

        def watch(event: Event) -> None:
            if isinstance(event, Noted | Progressed) and not seen and self.world.lock_is_held():
                seen.append(event)
                where = self.world.inputs, self.world.model, self.world.out
                other = {**OPTIONS, "if_exists": "replace", "raw_prediction": True}
                for attempt in (
                    lambda: pipeline.score(*where, **other),
                    lambda: rollback(self.world.out, codec=CODEC),
                    lambda: clean(self.world.out, jobs=True, versions=True),
                ):
                    with self._refused(TemporaryError):
                        attempt()
                skipped = pipeline.score(*where, **other, if_running="skip")
                assert skipped.skipped

        self._run(conduct, watch, flow.Stop())

    @rule(late=st.booleans(), step=st.integers(1, 260), conduct=st.fixed_dictionaries(_CONDUCT))
    def kill_run(self, late: bool, step: int, conduct: dict[str, Any]) -> None:
        """Kill a run at one of its steps."""
        job, job_id = self._job(conduct), self.world.job_id()
        killer = _Killer(1 + step % 60, late=True) if late else _Killer(step, late=False)
        self._killed(lambda: flow.run(job), killer, {job_id}, conduct["keep_versions"])

    @precondition(lambda self: self.world.home.exists())
    @rule(late=st.booleans(), step=st.integers(1, 40))
    def kill_rollback(self, late: bool, step: int) -> None:
        """Kill a rollback at one of its steps."""
        possible = {version.job_id for version in versions_of(self.world.out)} | {str(self.owed)}
        if self.kept is None and self.owed is None:
            # A run that was to keep no version may have been killed before it removed the previous one.
            possible |= self.world.results.keys()
        self._killed(lambda: rollback(self.world.out, codec=CODEC), _Killer(1 + step // (1 + 3 * late), late), possible)

    @precondition(lambda self: self.world.home.exists())
    @rule(step=st.integers(1, 30))
    def kill_clean(self, step: int) -> None:
        """Kill a cleaning at one of its steps."""
        self._killed(lambda: clean(self.world.out, jobs=True, versions=True), _Killer(step, late=False), set())

    @rule(durability=st.sampled_from(["full", "none"]))
    def roll_back(self, durability: Any) -> None:
        """Roll back to the previous version, or be told that there is none."""
        before = self.world.standing()
        try:
            with self._at_time():
                rolled = rollback(self.world.out, codec=CODEC, durability=durability)
        except OutputError:
            assert self.world.standing() == before
            if self.world.home.exists():
                self._settled()
            assert not self.kept, "a rollback was refused though there is a previous version"
            return
        assert rolled.from_job_id == self.published
        if self.kept is not None:
            assert rolled.to_job_id == self.kept[0]
            self.kept[0] = str(self.published)
        else:
            assert self.owed in {None, rolled.to_job_id}
            self.owed = self.published
        self.published = rolled.to_job_id
        self._settled()

    @precondition(lambda self: self.world.home.exists())
    @rule(jobs=st.booleans(), versions=st.booleans(), old=st.booleans(), dry=st.booleans())
    def clean(self, jobs: bool, versions: bool, old: bool, dry: bool) -> None:
        """Remove what is next to the output."""
        before = self.world.standing()
        with self._at_time():
            age = 3600.0 if old else None
            clean(self.world.out, jobs=jobs, versions=versions, older_than=age, dry_run=dry)
        assert self.world.standing() == before
        if dry:
            return
        if versions:
            self.kept, self.owed = (None if old else []), None
        self._settled()
        assert not jobs or old or not runs(self.world.out)

    @rule(name=st.sampled_from("abc"), state=st.none() | st.tuples(st.sampled_from([30, 40, 50]), st.integers(0, 2)))
    def change_input(self, name: str, state: tuple[int, int] | None) -> None:
        """Give a file other rows or another time, add it, or remove it."""
        self.world.put(name, state)

    @rule(intercept=st.sampled_from([0.25, -1.0]))
    def change_model(self, intercept: float) -> None:
        """Write the model again."""
        write_model(self.world.model, intercept)

    @precondition(lambda self: self.world.attempts())
    @rule(pick=st.integers(0, 100), at=st.integers(0, 10**4), gone=st.booleans())
    def damage_attempt(self, pick: int, at: int, gone: bool) -> None:
        """Flip a bit of an attempt, or remove it."""
        found = self.world.attempts()
        path = found[pick % len(found)]
        content = path.read_bytes()
        # Never in place: the published version may share the file.
        path.unlink()
        if not gone:
            at %= len(content)
            path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])

    @precondition(lambda self: self.world.journals())
    @rule(pick=st.integers(0, 100), bytes_off=st.integers(1, 3000))
    def tear_journal(self, pick: int, bytes_off: int) -> None:
        """Lose the tail of a journal."""
        found = self.world.journals()
        path = found[pick % len(found)]
        os.truncate(path, max(0, path.stat().st_size - bytes_off))

    @precondition(lambda self: self.world.journals())
    @rule(pick=st.integers(0, 100))
    def duplicate_receipt(self, pick: int) -> None:
        """Journal a second receipt of a chunk, with another file: a task that was carried out twice."""
        self.world.duplicate_receipt(pick)

    @rule(seconds=st.sampled_from([-_YEARS, -3600, 0, 3600, _YEARS]))
    def jump_clock(self, seconds: int) -> None:
        """Let the clock jump, and change the age of what is next to the output."""
        self.offset = seconds
        moment = time.time() - seconds
        for path in self.world.home.glob("*/*"):
            os.utime(path, (moment, moment))
            if (path / "journal").exists():
                os.utime(path / "journal", (moment, moment))

    @invariant()
    def what_stands_is_what_the_last_good_run_made(self) -> None:
        self.tell("steps")
        if self.published is None:
            assert not self.world.out.exists()
            return
        found = pipeline.verify(self.world.out)
        assert not found.differences, found.differences
        assert found.job_id == self.published
        result = self.world.results[self.published]
        assert files(self.world.out) == result.files
        assert read_manifest(self.world.out).body["totals"] == result.totals

    @invariant()
    def nothing_lies_beside_but_what_is_listed(self) -> None:
        assert {path.name for path in self.world.folder.iterdir()} <= {
            "in",
            "model.json",
            "out",
            self.world.home.name,
            "clean",
        }
        if not self.world.home.exists():
            return
        assert names(self.world.home) <= {"lock", "jobs", "versions", "remembered"}
        assert names(self.world.home / "jobs") == {run.name for run in runs(self.world.out)}
        versions = versions_of(self.world.out)
        assert names(self.world.home / "versions") == {version.name for version in versions}
        if self.kept is not None:
            assert [version.job_id for version in versions] == self.kept
            for version in versions:
                shown = names(self.world.home / "versions" / version.name)
                assert all(name.endswith(".kept") for name in shown if name.startswith("part-"))
                assert files(self.world.home / "versions" / version.name) == self.world.results[version.job_id].files

    def _run(self, conduct: dict[str, Any], watch: Callable[[Event], None], stop: flow.Stop) -> None:
        job, job_id, before = self._job(conduct), self.world.job_id(), self.world.standing()
        try:
            with self._at_time():
                report = flow.run(job, watch, stop)
        except _EnoughError:
            assert self.world.standing() == before
        except OutputError:
            assert conduct["if_exists"] == "fail"
            assert self.published not in {None, job_id}
            assert self.world.standing() == before
            # It was refused before it could heal what a kill had left.
            return
        else:
            self._ended_well(report, job_id, before, conduct["keep_versions"])
        self._settled()

    def _job(self, conduct: dict[str, Any]) -> Any:
        """Return the job; nothing is made again if it is already published."""
        stands = self.published == self.world.job_id()
        return self.world.job(conduct | {"reuse": True} if stands else conduct)

    def _ended_well(self, report: pipeline.Report, job_id: str, before: object, keep: int) -> None:
        self.tell("runs to the end")
        assert report.published == (self.published != job_id)
        assert not runs(self.world.out)
        assert len(versions_of(self.world.out)) <= keep
        if not report.published:
            assert self.world.standing() == before
            self.kept = None if self.kept is None else self.kept[:keep]
            self.owed = self.owed if keep else None
            return
        former = [] if self.published is None else [self.published]
        self.kept = None if self.kept is None else (former + self.kept)[:keep]
        self.owed = self.published if keep else None
        self.published = job_id

    def _killed(self, act: Callable[[], object], killer: _Killer, possible: set[str], keep: int = 1) -> None:
        """Carry out something in a process that ends at a step, and find out whether it was done."""
        before = self.world.standing()
        child = os.fork()
        if not child:
            code = 99
            try:
                with suppress(LogitstreamError), self._at_time(), watched(killer, ALL):
                    act()
                code = 0
            finally:
                os._exit(code)
        code = _waited(child)
        assert code in {0, -signal.SIGKILL}, f"ended with {code}"
        self.tell("kills" if code else "ended before their kill")
        now = read_manifest(self.world.out).job_id if self.world.out.exists() else None
        self.kept, self.owed = None, None
        if now == self.published:
            assert self.world.standing() == before
            return
        assert now in possible
        self.owed = self.published if keep else None
        self.published = now

    def _settled(self) -> None:
        """Learn which previous versions there are, if that was unknown, once something has healed them."""
        if self.kept is None:
            self.kept = [version.job_id for version in versions_of(self.world.out)]
            assert set(self.kept) <= self.world.results.keys()
            assert self.owed is None or self.kept[:1] == [self.owed]
        self.owed = None

    @contextmanager
    def _refused(self, kind: type[LogitstreamError]) -> Iterator[None]:
        before = self.world.standing()
        try:
            yield
        except kind:
            assert self.world.standing() == before
            return
        raise AssertionError("what must be refused was done")

    @contextmanager
    def _at_time(self) -> Iterator[None]:
        real, offset = time.time, self.offset

        def shifted() -> float:
            return real() + offset

        with mock.patch("time.time", shifted):
            yield


def _waited(child: int) -> int:
    ends = time.monotonic() + _HANG_SECONDS
    while time.monotonic() < ends:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    raise AssertionError(f"a process hangs after {_HANG_SECONDS} s")
