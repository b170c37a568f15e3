"""What is wrong with a text that is not JSON, in the words of a person who edits it by hand."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from pipeline.dataclass import dataclass
from pipeline.units import escape

_BLANK = re.compile(r"\s*")
_LAST_COMMA = re.compile(r",\s*(?=[}\]])")
_WORD = re.compile(r"[^\s,:{}\[\]]{1,20}")
_CLOSING, _COMMENTS = frozenset("}]"), frozenset("/#")
_OTHER_QUOTES = frozenset("'`\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb")


@dataclass(frozen=True, slots=True)
class BrokenText:
    """Where parsing of a text ended.

    Attributes
    ----------
    text : str
    offset : int
        Of the first character that is not blank from where parsing ended; the length of the text at its end.
    before : str
        The last character before the place that is not blank; empty if there is none.
    reason : str
        What the standard library says; its first words are the same in all versions of Python.
    """

    text: str
    offset: int
    before: str
    reason: str

    @property
    def here(self) -> str:
        """The character at the place; empty at the end of the text."""
        return self.text[self.offset : self.offset + 1]

    @property
    def word(self) -> str:
        """What is at the place, up to the next blank or mark."""
        found = _WORD.match(self.text, self.offset)
        return escape(found.group() if found else self.here)

    @property
    def is_in_text(self) -> bool:
        """Whether parsing ended in a text between quotes."""
        return self.wants("invalid") or self.wants("unterminated")

    @property
    def has_last_comma(self) -> bool:
        """Whether a comma is before a closing bracket."""
        return self.before == "," and self.here in _CLOSING

    def wants(self, reason: str) -> bool:
        """Return whether parsing ended for this reason."""
        return self.reason.lower().startswith(reason)


def explained(text: str, offset: int, reason: str) -> tuple[int, str]:
    """Return the place of the mistake and what it is, from where and why parsing ended."""
    at = _end(_BLANK, text, offset)
    # At a comma that is the last of an object or a list, newer versions of Python end at it and older ones behind it.
    at = _end(_LAST_COMMA, text, at)
    last = at - 1
    while last >= 0 and text[last].isspace():
        last -= 1
    stop = BrokenText(text, at, text[last] if last >= 0 else "", reason)
    message = next(message for applies, message in _MISTAKES if applies(stop))
    if stop.is_in_text:
        return offset, message(stop)
    return (last if stop.has_last_comma else at), message(stop)


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at


_MISTAKES: Sequence[tuple[Callable[[BrokenText], bool], Callable[[BrokenText], str]]] = (
    (lambda stop: stop.wants("unterminated"), lambda _: "the text that begins here has no closing quote"),
    (
        lambda stop: stop.wants("invalid control"),
        lambda _: r"a text ends in another line: close its quote, or write \n",
    ),
    (lambda stop: stop.is_in_text, lambda _: r"a backslash in a text is written twice: \\"),
    (lambda stop: not stop.here and not stop.before, lambda _: "it is empty"),
    (lambda stop: not stop.here, lambda _: "it ends too early: a bracket is not closed"),
    (lambda stop: stop.wants("extra"), lambda stop: f"it should end before {stop.word}"),
    (lambda stop: not stop.before, lambda stop: f"it begins with {stop.word}, but should begin with {{"),
    (lambda stop: stop.has_last_comma, lambda stop: f"remove the comma before {stop.here}"),
    (lambda stop: stop.here in _OTHER_QUOTES, lambda stop: f'text is in straight double quotes ("), not {stop.here}'),
    (lambda stop: stop.here in _COMMENTS, lambda _: "comments are not allowed: remove it"),
    (
        lambda stop: stop.wants("expecting property") and stop.before == "," and stop.here.isdigit(),
        lambda _: "a number has a decimal point, not a comma",
    ),
    (
        lambda stop: stop.here in _CLOSING,
        lambda stop: f"a value is missing before {stop.here}, or a bracket is not closed",
    ),
    (
        lambda stop: stop.wants("expecting property"),
        lambda stop: f"a key in double quotes belongs here, not {stop.word}",
    ),
    (lambda stop: stop.wants("expecting ':'"), lambda stop: f"a colon belongs before {stop.word}"),
    (lambda stop: stop.wants("expecting ','"), lambda stop: f"a comma belongs before {stop.word}"),
    (
        lambda _: True,
        lambda stop: f"{stop.word} is not a value: write a number, text in double quotes, true, false or null",
    ),
)
