"""The grammar of ``--apply``: ``[NAME =] FUNCTION ( COLUMN {, COLUMN} {, PARAMETER = NUMBER} )``.

The text is parsed here and never evaluated; neither Arrow nor numpy is loaded. A name is a letter or underscore
followed by letters, digits, underscores and dots, in any script. Any other name is written in double quotes, with a
quote inside it doubled: ``p = sigmoid("score, raw", temperature=2)``. :mod:`pipeline.registry` lists the functions and
their parameters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from pipeline.dataclass import dataclass
from pipeline.errors import UsageError
from pipeline.registry import FUNCTIONS, Function, no_function
from pipeline.units import escape, is_text, pointed

_TOKEN = re.compile(
    r'\s*(?:(?P<name>[^\W\d][\w.]*)|(?P<quoted>"(?:[^"]|"")*")|(?P<sign>[=(),])'
    r"|(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))|(?P<end>\Z))"
)
# A name with blanks or signs that should have been quoted; not where a comma is missing before NAME=.
_UNQUOTED = re.compile(r'[^,()="]+(?![^,()="]*=)')
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Application:
    """A function applied to columns: ``name = function(columns, parameters)``.

    Attributes
    ----------
    name, function : str
    columns : tuple of str
        One, unless the function takes several.
    parameters : tuple of (name, value)
        Only those that differ from their defaults, in the order of the registry.
    """

    name: str
    function: str
    columns: tuple[str, ...]
    parameters: tuple[tuple[str, float], ...] = ()

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the columns that it makes: ``name``, or ``name_column`` for each of several columns."""
        if not FUNCTIONS[self.function].several:
            return (self.name,)
        return tuple(f"{self.name}_{column}" for column in self.columns)


@dataclass(frozen=True, slots=True)
class _Token:
    """A word or a sign, and where it is in the text."""

    kind: str
    text: str
    offset: int


def parse_application(text: str) -> Application:
    """Return the application that a text such as ``p=sigmoid(score, temperature=2)`` describes.

    Without a name the result is called ``FUNCTION_COLUMN``. A function of several columns makes one result for each,
    called ``NAME_COLUMN``, or ``FUNCTION_COLUMN`` without a name.

    Raises
    ------
    UsageError
        The text does not follow the grammar, names a function or a parameter that does not exist, or has a value that
        is not allowed. The message shows the text with a caret under the mistake.
    """
    parser = _Parser(text)
    first = parser.name("a function, as in sigmoid(score)")
    named = parser.accept("=")
    entry = parser.function(parser.name("a function") if named else first)
    parser.expect("(")
    columns = [parser.first_column(entry)]
    given: dict[str, float] = {}
    while parser.accept(","):
        token = parser.next_argument(entry)
        if parser.accept("="):
            parser.parameter(entry, token, given)
        else:
            parser.column(entry, token, columns, is_late=bool(given))
    parser.check_together(entry, columns, given)
    parser.expect_close()
    parser.expect_end()
    name = first.text if named else entry.name if entry.several else f"{entry.name}_{columns[0]}"
    changed = tuple((key, given[key]) for key, default in entry.defaults.items() if given.get(key, default) != default)
    return Application(name, entry.name, tuple(columns), changed)


def refuse_repeated(applications: Iterable[Application]) -> None:
    """Raise a UsageError where two results have one name."""
    names = [name for application in applications for name in application.outputs]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        listed = ", ".join(f'"{escape(name)}"' for name in repeated)
        raise UsageError(f"two results are called {listed}", "give each result its own name: NAME=FUNCTION(COLUMN)")


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.offset = 0
        self.last = _Token("end", "", 0)
        self.last_column: _Token | None = None

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

    def expect_close(self) -> None:
        token = self._next()
        if token.kind == "sign" and token.text == ")":
            return
        column = self.last_column
        is_name = column is not None and column.kind == "name" and token.kind in {"name", "number"}
        meant = _UNQUOTED.match(self.text, column.offset) if column is not None and is_name else None
        hint = f'; a name like this needs double quotes: "{escape(meant[0].rstrip(), _SHOWN)}"' if meant else ""
        raise self._error(token, f'expected ")"{hint}')

    def expect_end(self) -> None:
        token = self._next("expected nothing more")
        if token.kind != "end":
            raise self._error(token, "expected nothing more")

    def function(self, token: _Token) -> Function:
        if token.text not in FUNCTIONS:
            said, question = no_function(token.text)
            raise self._error(token, escape(said, 300), question)
        return FUNCTIONS[token.text]

    def first_column(self, entry: Function) -> str:
        token = self.last_column = self.name("a column")
        if self.accept("="):
            what = " before the parameters" if entry.parameters else f"; {entry.name} has no parameters"
            raise self._error(token, f"expected a column{what}")
        return token.text

    def next_argument(self, entry: Function) -> _Token:
        token = self._next()
        if token.kind in {"name", "quoted"}:
            return token
        if token.kind == "number" and entry.parameters:
            raise self._error(token, f"expected the name of a parameter, as in {entry.parameters[0].name}=2")
        raise self._error(token, "expected a column or a parameter" if entry.parameters else "expected a column")

    def parameter(self, entry: Function, token: _Token, given: dict[str, float]) -> None:
        if token.text in given:
            raise self._error(token, f"{escape(token.text)} is given twice")
        if token.text not in entry.defaults:
            said, question = entry.no_parameter(token.text)
            raise self._error(token, escape(said, 300), question)
        parameter = entry.parameter(token.text)
        number = self._next(f"expected a number for {parameter.name}")
        self.last_column = None
        if number.kind != "number":
            raise self._error(number, f"expected a number for {parameter.name}")
        try:
            given[parameter.name] = parameter.checked(float(number.text))
            self.last = number
        except ValueError as error:
            raise self._error(number, str(error)) from None

    def column(self, entry: Function, token: _Token, columns: list[str], *, is_late: bool) -> None:
        if not entry.several:
            raise self._error(token, f"{entry.name} takes one column{_parameters_of(entry)}")
        if is_late:
            raise self._error(token, "columns come before parameters")
        if not token.text:
            raise self._error(token, "a name must not be empty")
        if token.text in columns:
            raise self._error(token, f'column "{escape(token.text)}" is named twice')
        columns.append(token.text)
        self.last_column = token

    def check_together(self, entry: Function, columns: list[str], given: dict[str, float]) -> None:
        try:
            entry.arguments(given)
        except ValueError as error:
            raise self._error(self.last, str(error)) from None
        start = self.offset
        token = self._next()
        self.offset = start
        if entry.several and len(columns) == 1 and token.text == ")":
            raise self._error(token, f"{entry.name} takes two columns or more")

    def _next(self, expected: str = "") -> _Token:
        """Return the next token; where there is none, raise what was expected, or that a name needs quotes."""
        match = _TOKEN.match(self.text, self.offset)
        if match is None:
            blank = len(self.text[self.offset :]) - len(self.text[self.offset :].lstrip())
            token = _Token("wrong", "", self.offset + blank)
            message = (
                "a quote is not closed" if self.text[token.offset] == '"' else "a name like this needs double quotes"
            )
            raise self._error(token, expected or message)
        self.offset = match.end()
        kind = str(match.lastgroup)
        found = match.group(kind)
        token = _Token(kind, found[1:-1].replace('""', '"') if kind == "quoted" else found, match.start(kind))
        if not is_text(token.text):
            raise self._error(token, "a name must be valid text")
        return token

    def _error(self, token: _Token, message: str, question: str = "") -> UsageError:
        return UsageError(
            f"{message}, at column {token.offset + 1}{question}\n{pointed(self.text, token.offset)}",
            "write NAME=FUNCTION(COLUMN, parameter=number), with other names in double quotes",
        )


def _parameters_of(entry: Function) -> str:
    if not entry.parameters:
        return ", and has no parameters"
    return f"; parameters are written {', '.join(f'{name}=' for name in entry.defaults)}"
