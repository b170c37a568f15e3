"""Sizes, durations and limits as people write them, and text that is safe to show."""

from __future__ import annotations

from fractions import Fraction

import pytest

from pipeline import choices, units
from pipeline.errors import UsageError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("25m", 1500), ("25 min", 1500), ("3h", 10_800), ("7d", 604_800), ("0.5", 0.5),
     ("1,000 s", 1000), ("1.5H", 5400), ("3650d", 315_360_000)],
)  # fmt: skip
def test_a_duration(text, seconds):
    assert units.parse_seconds(text) == seconds


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("", "write 90s, 25m, 3h or 7d"),
        ("soon", "write 90s, 25m, 3h or 7d"),
        ("-5s", "write 90s, 25m, 3h or 7d"),
        ("3 weeks", "write 90s, 25m, 3h or 7d"),
        ("1e3", "write 90s, 25m, 3h or 7d"),
        ("3h30", "write 90s, 25m, 3h or 7d"),
        ("0", "it must be more than 0"),
        ("0.0h", "it must be more than 0"),
        ("3651d", "it must be at most 3650d"),
        ("9" * 400, "it must be at most 3650d"),
    ],
)
def test_what_is_not_a_duration(text, remedy):
    with pytest.raises(UsageError) as refused:
        units.parse_seconds(text)
    assert refused.value.message.endswith("is not a duration")
    assert refused.value.remedy == remedy


@pytest.mark.parametrize(
    ("text", "limit"),
    [("0", (0, None)), ("100", (100, None)), ("1_000", (1000, None)), ("1,000", (1000, None)), ("1%", (None, 0.01)),
     ("0.5 %", (None, 0.005)), ("0%", (None, 0.0)), ("100%", (None, 1.0))],
)  # fmt: skip
def test_a_limit_of_bad_rows(text, limit):
    assert units.parse_bad_limit(text) == limit


@pytest.mark.parametrize("texts", [("NA",), (" NA", "-"), ("a,b", 'say "x"', "n/a "), ("",), ("  ", "x")])
def test_texts_are_joined_so_that_they_split_into_the_same(texts):
    assert units.split_texts(units.join_texts(texts)) == texts


@pytest.mark.parametrize("text", ["", "%", "-1", "0.5", "101%", "100.01%", "1e3", "few", "1%%", "9" * 5000, "inf"])
def test_what_is_not_a_limit_of_bad_rows(text):
    with pytest.raises(UsageError) as refused:
        units.parse_bad_limit(text)
    assert refused.value.message.endswith("is not a number of bad rows")
    assert refused.value.remedy == "write a number of rows (100) or a percentage (0.5%)"
    assert len(refused.value.message) < 200


@pytest.mark.parametrize(
    ("text", "limit"),
    [("20%", (None, Fraction(1, 5))), ("0%", (None, Fraction(0))), ("100%", (None, Fraction(1))),
     ("0.5 %", (None, Fraction(1, 200))), ("29%", (None, Fraction(29, 100))),
     ("carrier=20%", ("carrier", Fraction(1, 5))), ("a=b=1%", ("a=b", Fraction(1, 100)))],
)  # fmt: skip
def test_a_limit_of_a_share(text, limit):
    assert units.parse_share_limit(text) == limit


@pytest.mark.parametrize(
    "text", ["", "%", "20", "0.2", "-1%", "101%", "100.01%", "carrier", "=20%", "carrier=", "c=1e1%", "9" * 5000 + "%",
             "0." + "0" * 5000 + "1%"],
)  # fmt: skip
def test_what_is_not_a_limit_of_a_share(text):
    with pytest.raises(UsageError, match="is not a share") as refused:
        units.parse_share_limit(text)
    assert refused.value.remedy == "write a percentage (20%), or one of a column (carrier=20%)"
    assert len(refused.value.message) < 200


@pytest.mark.parametrize(
    ("count", "of", "text"),
    [(0, 7, "0%"), (7, 7, "100%"), (1, 3, "33.3%"), (9_999_999, 10_000_000, "99.9%"), (1, 10_000_000, "less than 0.1%"),
     (1, 1000, "0.1%"), (1, 2, "50%"), (2, 3, "66.6%")],
)  # fmt: skip
def test_a_share_is_nothing_or_all_only_where_it_is(count, of, text):
    assert units.format_share(count, of) == text


@pytest.mark.parametrize(
    ("text", "meaning"),
    [("fail", ("fail", None)), ("skip", ("skip", None)), ("wait", ("wait", None)), ("wait=10m", ("wait", 600)),
     ("wait=5", ("wait", 5))],
)  # fmt: skip
def test_what_to_do_while_another_run_is_at_work(text, meaning):
    assert choices.parse_if_running(text) == meaning


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is neither fail, skip nor wait"),
        ("Fail", "'Fail' is neither fail, skip nor wait"),
        ("skip=5m", "'skip=5m' is neither fail, skip nor wait"),
        ("wait=", "'' is not a duration"),
        ("wait=long", "'long' is not a duration"),
        ("wait=0", "'0' is not a duration"),
    ],
)
def test_what_if_running_refuses(text, message):
    with pytest.raises(UsageError) as refused:
        choices.parse_if_running(text)
    assert refused.value.message == message
    assert refused.value.remedy


@pytest.mark.parametrize("parse", [units.parse_bytes, units.parse_chunk_size])
def test_a_size_that_no_machine_has_is_refused(parse):
    for text in ("9" * 400 + "GiB", "10000000TiB"):
        with pytest.raises(UsageError, match="it is too large"):
            parse(text)


def test_text_that_acts_on_a_terminal_is_made_visible():
    assert units.escape("a\x1b[2J\r\nb\x9b\u202e\u2028\x00é") == "a\\x1b[2J\\r\\nb\\x9b\\u202e\\u2028\\x00é"
    assert units.escape("x" * 500) == "x" * 119 + "…"


@pytest.mark.parametrize(
    ("bound", "text"),
    [(0.0, "exact"), (1.21e-6, "1.3e-06"), (1.2e-6, "1.2e-06"), (0.0996, "0.1"), (0.5, "0.5"), (5e-324, "4.9e-324")],
)
def test_a_bound_that_is_shown_holds(bound, text):
    assert units.bound_text(bound) == text
    assert text == "exact" or float(text) >= bound
