"""The grammar of ``--apply``: ``[NAME =] FUNCTION ( COLUMN )``. Read by hand, never evaluated, and without Arrow.

A name is a letter or underscore followed by letters, digits, underscores and dots, in any script; any other name stands
in double quotes, a quote in it doubled: ``p = sigmoid("score, raw")``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.errors import UsageError
from pipeline.units import escape, nearest

_TOKEN = re.compile(r'\s*(?:(?P<name>[^\W\d][\w.]*)|(?P<quoted>"(?:[^"]|"")*")|(?P<sign>[=(),])|(?P<end>\Z))')
_SHOWN = 60

FUNCTIONS = ("sigmoid", "logit", "log_sigmoid")


@dataclass(frozen=True, slots=True)
class Application:
    """A function applied to a column: ``name = function(column)``."""

    name: str
    function: str
    column: str


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    offset: int


def parse_application(text: str) -> Application:
    """Return what a text such as ``p=sigmoid(score)`` asks for; without a name it is ``FUNCTION_COLUMN``.

    Raises
    ------
    UsageError
        The text does not follow the grammar or names a function that does not exist; the message shows the text with a
        caret under the mistake.
    """
    parser = _Parser(text)
    first = parser.name("a function, as in sigmoid(score)")
    named = parser.accept("=")
    function = parser.name("a function") if named else first
    parser.check_function(function)
    parser.expect("(")
    column = parser.name("a column")
    parser.check_single(function.text)
    parser.expect(")")
    parser.expect_end()
    return Application(first.text if named else f"{function.text}_{column.text}", function.text, column.text)


def refuse_repeated(applications: Iterable[Application]) -> None:
    """Raise a UsageError where two results have one name."""
    names = [application.name for application in applications]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        listed = ", ".join(f'"{escape(name)}"' for name in repeated)
        raise UsageError(f"two results are called {listed}", "name them apart: NAME=FUNCTION(COLUMN)")


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.offset = 0

    def name(self, what: str) -> _Token:
        token = self._next()
        if token.kind not in {"name", "quoted"}:
            raise self._error(token, f"expected {what}")
        if not token.text:
            raise self._error(token, "a name must not be empty")
        return token

    def accept(self, sign: str) -> bool:
        start = self.offset
        token = self._next()
        if token.kind != "sign" or token.text != sign:
            self.offset = start
            return False
        return True

    def expect(self, sign: str) -> None:
        token = self._next()
        if token.kind != "sign" or token.text != sign:
            raise self._error(token, f'expected "{sign}"')

    def expect_end(self) -> None:
        token = self._next()
        if token.kind != "end":
            raise self._error(token, "expected nothing more")

    def check_function(self, token: _Token) -> None:
        if token.text not in FUNCTIONS:
            known = nearest(token.text, FUNCTIONS) or f"; there are {', '.join(sorted(FUNCTIONS))}"
            raise self._error(token, f'no function "{escape(token.text)}"{known}')

    def check_single(self, function: str) -> None:
        start = self.offset
        token = self._next()
        self.offset = start
        if token.text == "," and token.kind == "sign":
            raise self._error(token, f"{function} takes one column")

    def _next(self) -> _Token:
        match = _TOKEN.match(self.text, self.offset)
        if match is None:
            blank = len(self.text[self.offset :]) - len(self.text[self.offset :].lstrip())
            token = _Token("wrong", "", self.offset + blank)
            message = (
                "a quote is not closed" if self.text[token.offset] == '"' else "a name like this needs double quotes"
            )
            raise self._error(token, message)
        self.offset = match.end()
        kind = str(match.lastgroup)
        found = match.group(kind)
        return _Token(kind, found[1:-1].replace('""', '"') if kind == "quoted" else found, match.start(kind))

    def _error(self, token: _Token, message: str) -> UsageError:
        start = max(0, token.offset - _SHOWN)
        before = escape(self.text[start : token.offset], limit=_SHOWN + 1)
        after = escape(self.text[token.offset : token.offset + _SHOWN], limit=_SHOWN + 1)
        return UsageError(
            f"{message}, at column {token.offset + 1}\n  {before}{after}\n  {' ' * len(before)}^",
            "write NAME=FUNCTION(COLUMN), odd names in double quotes",
        )
