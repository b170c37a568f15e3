"""Closed lists of words: which words they accept, and how they refuse others."""

from __future__ import annotations

import pytest

from pipeline import choices
from pipeline.choices import Choice, listed, parse_if_running
from pipeline.errors import UsageError

EVERY = {name: value for name, value in vars(choices).items() if isinstance(value, Choice)}


@pytest.mark.parametrize("name", EVERY)
def test_every_word_of_a_choice_is_taken_and_stays_what_it_is(name: str) -> None:
    choice = EVERY[name]
    assert choice.option == name.lower()
    assert len(set(choice.words)) == len(choice.words) > 1
    assert [choice.check(word) for word in choice.words] == list(choice.words)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("word", ["", "None", " full", "FULL", None, 0, ["fail"]])
def test_any_other_word_is_a_usage_error_that_lists_them(name: str, word: object) -> None:
    choice = EVERY[name]
    with pytest.raises(UsageError, match="there is no such choice") as caught:
        choice.check(word)
    assert caught.value.message.startswith(choice.option)
    assert all(known in caught.value.remedy for known in choice.words)


def test_the_nearest_word_is_named() -> None:
    with pytest.raises(UsageError, match="parquet"):
        choices.FORMAT.check("parket")


def test_a_word_cannot_act_on_a_terminal() -> None:
    with pytest.raises(UsageError) as caught:
        choices.FORMAT.check("\x1b[2J")
    assert "\x1b" not in caught.value.message


@pytest.mark.parametrize(
    ("words", "text"),
    [(["one"], "one"), (["one", "two"], "one or two"), (["one", "two", "three"], "one, two or three")],
)
def test_words_are_listed_as_a_person_lists_them(words: list[str], text: str) -> None:
    assert listed(words) == text


@pytest.mark.parametrize(
    ("text", "asked"),
    [("fail", ("fail", None)), ("skip", ("skip", None)), ("wait", ("wait", None)), ("wait=10m", ("wait", 600.0))],
)
def test_what_to_do_while_another_run_is_at_work(text: str, asked: tuple[str, float | None]) -> None:
    assert parse_if_running(text) == asked


@pytest.mark.parametrize("text", ["", "go", "skip=1s", "fail=", "wait=", "wait=soon"])
def test_another_wish_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError):
        parse_if_running(text)
