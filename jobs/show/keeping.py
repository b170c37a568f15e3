"""What ``rollback`` and ``runs`` do and find, as text or as JSON."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from jobs.show import console, document
from jobs.show.tables import emit_kept
from pipeline.choices import Durability
from pipeline.errors import LogitstreamError
from pipeline.report.text import aligned
from pipeline.units import escape, format_bytes, format_count, format_seconds, parse_seconds
from pipeline.upkeep import RunFacts, Standing, State, VersionFacts, clean, freed_bytes, outputs, rollback, state_of
from pipeline.upkeep.json import cleaning_json, output_json, rollback_json, runs_json

_PATH = 1000
_REASON = 1000
_LISTED_REASON = 100
_ID = 12
_DAY = 86_400
_NEWER = "made by a newer logitstream"
# In a table the name of a file is enough; "show" has the whole path.
_FOLDERS = re.compile(r"(/[^\s/:]+){2,}/")


def show_rollback(output: str, *, durability: Durability, as_json: bool) -> None:
    """Publish the previous version again, and report what is published now and what it replaced."""
    done = rollback(output, durability=durability)
    now, before = done.standing, done.replaced
    console.tell(f"{escape(done.output, _PATH)} is now {_version(now.job_id, now.rows, now.finished_unix)}")
    if before is None:
        console.tell("nothing was published there before")
    else:
        shown = _version(before.job_id, before.rows, before.finished_unix)
        console.tell(f"it replaced {shown}; run the same command again to undo this")
    if as_json:
        document.write(rollback_json(done))


def show_runs(paths: Sequence[str], *, as_json: bool) -> None:
    """List the unfinished runs and previous versions of outputs.

    Raises
    ------
    LogitstreamError
        An output cannot be read; the others have been shown.
    """
    states: list[State] = []
    failed: list[LogitstreamError] = []
    for output in dict.fromkeys(found for path in paths for found in outputs(path)):
        try:
            states.append(state_of(output))
        except LogitstreamError as error:
            failed.append(error)
    for one in failed[:-1]:
        console.complain(one.message, one.remedy)
    if as_json:
        document.write(runs_json(states, failed))
    else:
        _list(states)
    if failed:
        raise failed[-1]


def show_output(output: str, *, as_json: bool) -> None:
    """Show everything about one output."""
    state = state_of(output)
    if as_json:
        document.write(output_json(state))
        return
    console.emit("\n".join(aligned(_pairs(state))))
    home = Path(state.home or "")
    for run in state.runs:
        console.emit("\n" + "\n".join(aligned(_run_pairs(run, home / "jobs" / run.name))))
    for version in state.versions:
        console.emit("\n" + "\n".join(aligned(_version_pairs(version, home / "versions" / version.name))))


def show_cleaning(
    output: str, *, stopped: bool, versions: bool, older_than: str | None, dry_run: bool, as_json: bool
) -> None:
    """Remove unfinished runs or previous versions, and report what was removed and how much space that frees."""
    age = None if older_than is None else parse_seconds(older_than)
    gone = clean(output, stopped=stopped, versions=versions, older_than=age, dry_run=dry_run)
    facts: tuple[RunFacts | VersionFacts, ...] = (*gone.runs, *gone.versions)
    if as_json:
        document.write(cleaning_json(output, gone, dry_run=dry_run))
        return
    # What would be removed was asked for; what has been removed is only confirmed.
    say = console.emit if dry_run else console.confirm
    for each in facts:
        say(f"{'would remove' if dry_run else 'removed'} {_removed(each)}")
    if not facts:
        say("there is nothing to remove")
        return
    say(f"{format_bytes(freed_bytes(facts))} {'would be freed' if dry_run else 'freed'}")


def _list(states: Iterable[State]) -> None:
    shown = [state for state in states if state.runs or state.versions or state.under_way]
    for number, state in enumerate(shown):
        console.emit(f"{'' if not number else chr(10)}{escape(state.output, _PATH)}")
        if state.under_way is not None and not any(run.running for run in state.runs):
            console.emit(f"running: {escape(state.under_way.text, _PATH)}")
        rows = [(*_common("run", run), format_count(run.chunks), _why(run, _first_line(run))) for run in state.runs]
        rows += [(*_common("version", one), "", _holds(one)) for one in state.versions]
        if rows:
            emit_kept(rows)
    if not shown:
        console.emit("no unfinished runs and no previous versions")


def _common(kind: str, facts: RunFacts | VersionFacts) -> tuple[str, str, str, str]:
    return kind, facts.job_id[:_ID], age(facts.age_seconds), format_bytes(facts.bytes)


def _first_line(run: RunFacts) -> str:
    """Return the first line of the error that ended a run, shortened; ``runs show`` has all of it."""
    first, _, more = (run.ended or "").partition("\n")
    first = _FOLDERS.sub("…/", first)
    return escape(f"{first.rstrip(':')} …" if more else first, _LISTED_REASON)


def _why(run: RunFacts, ended: str) -> str:
    """Return the state of a run; ``ended`` is what to show of the error that ended it."""
    if run.running:
        return "running now"
    if run.newer:
        return _NEWER
    if not run.resumable:
        return "being removed"
    if run.ended is None:
        return "killed, or power lost"
    code = "" if run.exit_code is None else f" ({run.exit_code})"
    return f"{ended}{code}"


def _holds(version: VersionFacts) -> str:
    if version.newer:
        return _NEWER
    if version.rows is None:
        return "its manifest is damaged"
    made = "" if version.finished_unix is None else f", made {when(version.finished_unix)}"
    return f"{_rows(version.rows)}{made}"


def _pairs(state: State) -> Iterator[tuple[str, str]]:
    yield "output", escape(state.output, _PATH)
    if state.standing is None:
        yield "published", escape(state.problem, _PATH) or "nothing"
    else:
        yield from _published_pairs(state.standing)
    if state.under_way is not None:
        yield "running", escape(state.under_way.text, _PATH)
    yield "state", "no folder next to it" if state.home is None else escape(state.home, _PATH)
    yield "left", f"{_many(len(state.runs), 'unfinished run')}, {_many(len(state.versions), 'previous version')}"


def _published_pairs(standing: Standing) -> Iterator[tuple[str, str]]:
    parts = _many(standing.parts, "part")
    yield "published", f"{_rows(standing.rows)} in {parts}, {format_bytes(standing.bytes)}"
    yield "job", standing.job_id
    yield "manifest", standing.manifest_digest
    if standing.finished_unix is not None:
        yield "finished", when(standing.finished_unix)


def _run_pairs(run: RunFacts, folder: Path) -> Iterator[tuple[str, str]]:
    yield "run", run.job_id
    for line in _why(run, run.ended or "").split("\n"):
        yield "state", escape(line, _REASON)
    yield "chunks", f"{format_count(run.chunks)} done"
    yield from _sizes(run)
    yield "folder", escape(str(folder), _PATH)


def _version_pairs(version: VersionFacts, folder: Path) -> Iterator[tuple[str, str]]:
    yield "version", f"{version.number}, of job {version.job_id}"
    yield "holds", _holds(version)
    yield from _sizes(version)
    yield "folder", escape(str(folder), _PATH)


def _sizes(facts: RunFacts | VersionFacts) -> Iterator[tuple[str, str]]:
    yield "age", age(facts.age_seconds)
    shared = facts.bytes - facts.own_bytes
    yield "size", format_bytes(facts.bytes) + (f", {format_bytes(shared)} of it shared" if shared else "")


def _removed(facts: RunFacts | VersionFacts) -> str:
    size = f"{age(facts.age_seconds)} old, {format_bytes(facts.bytes)}"
    if isinstance(facts, VersionFacts):
        return f"version {facts.number} (job {facts.job_id[:_ID]}), {size}: {_holds(facts)}"
    return f"run {facts.job_id[:_ID]}, {size}, {_many(facts.chunks, 'chunk')} done: {_why(facts, _first_line(facts))}"


def _version(job_id: str, rows: int | None, finished_unix: float | None) -> str:
    parts = [f"the version of job {job_id[:_ID]}"]
    parts += [] if rows is None else [_rows(rows)]
    parts += [] if finished_unix is None else [f"made {when(finished_unix)}"]
    return ", ".join(parts)


def when(unix: float) -> str:
    """Return a time for people: ``2013-01-01 05:15:00 UTC``."""
    return f"{datetime.fromtimestamp(unix, UTC):%Y-%m-%d %H:%M:%S} UTC"


def age(seconds: float) -> str:
    """Return an age in a readable unit: ``42 s``, ``3 min 05 s``, ``2 h 14 min``, ``12 days``."""
    if seconds < 60:
        return f"{int(seconds)} s"
    return format_seconds(seconds) if seconds < 2 * _DAY else f"{format_count(int(seconds // _DAY))} days"


def _rows(count: int) -> str:
    return _many(count, "row")


def _many(count: int, noun: str) -> str:
    return f"{format_count(count)} {noun}{'' if count == 1 else 's'}"
