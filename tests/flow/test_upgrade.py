"""Nothing that an older logitstream made is taken as done, reused or scored again, and a run says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import pipeline
from pipeline import flow, plan
from pipeline.canonical import canonical, digest
from pipeline.errors import ConfigurationError, OutputError, TemporaryError
from pipeline.flow.manifest import CODEC
from pipeline.interface import score_job
from pipeline.publish import LOCAL
from pipeline.publish.record.manifest import manifest_from
from pipeline.types.report import Event, Noted, Progressed
from tests.flow.conftest import Bench

LINES = "x,c\n" + "".join(f"{row / 8},{'ab'[row % 2]}\n" for row in range(600))
OPTIONS: dict[str, Any] = {"chunk_size": "1kB", "scheduler": "sync"}


def forge(path: Path, **more: object) -> None:
    """Make a manifest state other things, and its digest right again; ``None`` takes a section away."""
    body = {**json.loads(path.read_bytes()), **more}
    body = {name: value for name, value in body.items() if value is not None}
    body["digest"] = digest({name: value for name, value in body.items() if name not in {"observed", "digest"}})
    content = canonical(body) + b"\n"
    manifest_from(content)
    path.write_bytes(content)


@pytest.fixture
def older(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """An output as the logitstream before made it: other identities, other names of parts, no version in it."""
    bench.put("a.csv", LINES)
    with monkeypatch.context() as before:
        before.setattr(plan, "FORMAT_VERSION", 1)
        pipeline.score(bench.inputs, bench.model(), bench.out, **OPTIONS)
    forge(bench.out / "_manifest.json", format_version=None)
    return bench


def test_verify_sample_of_an_older_output_says_exactly_that_and_never_that_inputs_changed(older: Bench) -> None:
    for options in ({"sample": 1}, {"sample": 3, "inputs": True}):
        with pytest.raises(ConfigurationError) as caught:
            pipeline.verify(older.out, **options)
        assert caught.value.exit_code == 78
        assert caught.value.message.endswith(
            "out was made by an older logitstream, whose answers may differ: no chunk is scored again"
        )
        assert caught.value.remedy == "run verify without --sample, or score the inputs anew"
    assert pipeline.verify(older.out, inputs=True).differences == ()


def test_verify_sample_of_a_newer_output_says_that(older: Bench) -> None:
    forge(older.out / "_manifest.json", format_version=99)
    with pytest.raises(ConfigurationError, match=r"was made by a newer logitstream, .*\n.*or update logitstream"):
        pipeline.verify(older.out, sample=1)


def test_an_older_output_is_not_taken_as_done(older: Bench) -> None:
    with pytest.raises(OutputError, match="an older logitstream made it, whose answers may differ") as caught:
        pipeline.score(older.inputs, older.model(), older.out, **OPTIONS)
    assert caught.value.exit_code == 73
    assert caught.value.remedy == "use --if-exists replace to put the new result in its place"


def test_nothing_of_an_older_output_is_reused_and_the_notes_say_so(older: Bench) -> None:
    before = {path.read_bytes() for path in older.out.glob("part-*")}
    report = pipeline.score(older.inputs, older.model(), older.out, if_exists="replace", **OPTIONS)
    assert (report.published, report.totals.reused) == (True, 0)
    assert report.notes[0] == (
        "the previous version was made by an older logitstream, whose answers may differ: nothing of it was reused"
    )
    assert {path.read_bytes() for path in older.out.glob("part-*")} == before
    with LOCAL.open_published(older.out, CODEC) as published:
        assert published.manifest is not None
        assert published.manifest.body["format_version"] == plan.FORMAT_VERSION
    assert pipeline.verify(older.out, inputs=True, sample=2).differences == ()
    again = pipeline.score(older.inputs, older.model(), older.out, if_exists="replace", **OPTIONS)
    assert not again.published
    older.put("b.csv", LINES)
    more = pipeline.score(older.inputs, older.model(), older.out, if_exists="replace", **OPTIONS)
    assert more.totals.reused > 0
    assert not any("older logitstream" in note for note in more.notes)


def test_no_receipt_of_an_older_run_is_taken_as_done_and_the_notes_say_so(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.put("a.csv", LINES)
    notes: list[str] = []
    stop = flow.Stop()

    def observe(event: Event) -> None:
        if isinstance(event, Noted):
            notes.append(event.text)
        if isinstance(event, Progressed) and event.totals.chunks >= 2:
            stop.request(TemporaryError("enough"))

    with monkeypatch.context() as before:
        before.setattr(plan, "FORMAT_VERSION", 1)
        with pytest.raises(TemporaryError):
            flow.run(score_job(bench.inputs, bench.model(), bench.out, **OPTIONS), observe, stop)
    notes.clear()
    stop = flow.Stop()
    report = flow.run(score_job(bench.inputs, bench.model(), bench.out, **OPTIONS), notes_in(notes))
    assert report.totals.resumed == 0
    assert "inputs, model, options or logitstream changed since the unfinished run: starting over" in notes


def notes_in(notes: list[str]) -> Any:
    return lambda event: notes.append(event.text) if isinstance(event, Noted) else None
