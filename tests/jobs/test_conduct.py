"""From what a person writes about a run to what the flow is asked for, from the command line and from Python."""

from __future__ import annotations

from pathlib import Path

import pytest

import pipeline
from jobs.running import score_job, transform_job
from pipeline import interface
from pipeline.errors import UsageError
from pipeline.types.job import BadLimit, Conduct, Job
from tests.jobs.conftest import parsed

SAMPLE = Path(__file__).resolve().parents[2] / "sample_data"
GIVEN = (str(SAMPLE / "flights"), "--model", str(SAMPLE / "delay_model.json"), "--output", "o")
EVERYTHING = {
    "--max-bad": "0.5%", "--fingerprint": "full", "--retries": "0", "--if-running": "wait=10m", "--deadline": "3h",
    "--keep-versions": "2", "--durability": "none",
}  # fmt: skip
CONDUCT = Conduct(
    resume=False, reuse=False, if_running="wait", wait_seconds=600, deadline_seconds=10_800, retries=0,
    durability="none", keep_versions=2,
)  # fmt: skip


def job(**options: object) -> Job:
    return interface.score_job(str(SAMPLE / "flights"), SAMPLE / "delay_model.json", "o", **options)


def conduct(**options: object) -> Conduct:
    return job(**options).conduct


def test_unless_something_is_said_a_run_goes_on_where_it_stopped_and_has_no_bad_row():
    for asked in (score_job(parsed("score", *GIVEN)), job()):
        assert asked.conduct == Conduct()
        assert asked.max_bad == BadLimit(0, None)
        assert asked.fingerprint == "ends"


def test_the_command_line_says_how_a_run_goes_about_its_work():
    words = [word for pair in EVERYTHING.items() for word in pair]
    asked = score_job(parsed("score", *GIVEN, *words, "--no-resume", "--no-reuse", "--scheduler", "processes"))
    assert asked.conduct == CONDUCT
    assert (asked.max_bad, asked.fingerprint, asked.scheduler) == (BadLimit(None, 0.005), "full", "processes")


def test_transform_says_it_with_the_same_words():
    words = [word for pair in EVERYTHING.items() for word in pair]
    asked = transform_job(
        parsed("transform", "a.csv", "--apply", "p=sigmoid(x)", "--output", "o", *words, "--no-resume", "--no-reuse")
    )
    assert (asked.conduct, asked.max_bad) == (CONDUCT, BadLimit(None, 0.005))


def test_the_grace_is_for_the_process_and_not_for_the_job():
    assert score_job(parsed("score", *GIVEN, "--grace", "1s")) == score_job(parsed("score", *GIVEN))


def test_python_says_it_under_the_same_names():
    asked = job(
        max_bad="0.5%", fingerprint="full", resume=False, reuse=False, if_running="wait=10m", deadline="3h",
        retries=0, durability="none", keep_versions=2,
    )  # fmt: skip
    assert (asked.conduct, asked.max_bad, asked.fingerprint) == (CONDUCT, BadLimit(None, 0.005), "full")


def test_python_says_numbers_as_numbers():
    assert job(max_bad=100).max_bad == BadLimit(100, None)
    assert conduct(deadline=90).deadline_seconds == 90
    assert conduct(deadline=0.25).deadline_seconds == 0.25
    assert conduct(deadline=None).deadline_seconds is None
    assert conduct(if_running="wait") == Conduct(if_running="wait")
    assert conduct(if_running="skip") == Conduct(if_running="skip")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_bad": -1}, "'-1' is not a number of bad rows"),
        ({"max_bad": 0.01}, "'0.01' is not a number of bad rows"),
        ({"if_running": "queue"}, "'queue' is neither fail, skip nor wait"),
        ({"if_running": "wait=0"}, "'0' is not a duration"),
        ({"deadline": 0}, "'0.000000' is not a duration"),
        ({"deadline": -3.5}, "'-3.500000' is not a duration"),
        ({"deadline": float("nan")}, "'nan' is not a duration"),
        ({"deadline": float("inf")}, "'inf' is not a duration"),
        ({"deadline": "noon"}, "'noon' is not a duration"),
        ({"retries": -1}, "retries is -1: it must be at least 0"),
        ({"keep_versions": -1}, "keep_versions is -1: it must be at least 0"),
        ({"fingerprint": "none"}, "fingerprint none: there is no such choice\nchoose ends or full"),
        ({"durability": "half"}, "durability half: there is no such choice\nchoose full or none"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_before_anything_is_opened(options, message):
    with pytest.raises(UsageError) as refused:
        job(**options)
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize(
    ("output", "asked", "format_"),
    [("o", None, "parquet"), ("o", "csv", "csv"), ("o.csv", None, "csv"), ("o.parquet", None, "parquet"),
     ("o.csv", "csv", "csv"), ("o.csv.d", None, "parquet")],
)  # fmt: skip
def test_the_name_of_a_file_says_its_format(output, asked, format_):
    words = ("--format", asked) if asked else ()
    assert score_job(parsed("score", *GIVEN[:-1], output, *words)).format == format_


def test_a_format_that_contradicts_the_name_is_refused(cli):
    outcome = cli("score", *GIVEN[:-1], "o.parquet", "--format", "csv")
    assert outcome.code == 2
    assert outcome.err == (
        "error: the format csv does not fit the output 'o.parquet', whose name means parquet\n"
        "leave the format out, or give the output another name\n"
    )


def test_a_word_that_is_no_option_is_named():
    with pytest.raises(TypeError, match="there is no option 'wait_seconds'"):
        pipeline.score("a.csv", SAMPLE / "delay_model.json", "o", wait_seconds=5)
