"""What a record of a CSV is, as Arrow's parser reads it.

A field that begins with the quote character is quoted up to the next quote that is not doubled; anywhere else a quote
is text (``12" pipe``). Where there is an escape character, a quote behind it is text; see
:mod:`~pipeline.sources.csv.escapes`. A record ends at CR LF, CR or LF outside quotes. The parser is the authority: this
module only decides where to look, and the tests compare the two on arbitrary bytes.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING

from pipeline.dataclass import dataclass
from pipeline.errors import UsageError
from pipeline.units import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.types.inputs import CsvOptions

Bytes = bytes | bytearray | memoryview

_FORBIDDEN = "\r\n\0"
_REMEDIES = {
    "delimiter": "give one character, such as ';' or a tab",
    "quote": 'give one character, such as "\'", or none if nothing is quoted',
    "escape": "give one character, such as a backslash",
    "comment": "give one character, such as '#'",
}


@dataclass(frozen=True)
class Dialect:
    """The characters of a file that have a meaning, each one ASCII character; an empty text means that there is none.

    A record that begins with the comment character is bad; before the header such a line is skipped.
    """

    delimiter: str = ","
    quote: str = '"'
    escape: str = ""
    comment: str = ""

    @property
    def letter(self) -> str:
        """A letter that has no meaning."""
        return next(letter for letter in "vwxyz" if letter not in self._special)

    @property
    def plain(self) -> Dialect:
        """The same without an escape character."""
        return replace(self, escape="")

    @property
    def _special(self) -> str:
        return self.delimiter + self.quote + self.escape + self.comment

    def probe(self, columns: int) -> bytes:
        """Return a record to append to a piece, which shows whether the piece ended between records.

        It has one field too many, so that the parser reports it and makes no row of it. After a whole record it is
        reported alone, because its quote does not begin a field. Inside quotes its quote closes the field, and the
        report begins with the record that was cut.
        """
        return f"{self.letter}{self.quote}{self.delimiter * columns}\n".encode()

    def mask(self) -> bytes:
        """Return a table of bytes in which one without meaning replaces NUL and those that are not ASCII."""
        plain = next(byte for byte in b"?.!~^" if chr(byte) not in self._special)
        return bytes([plain, *range(1, 0x80), *[plain] * 0x80])

    def record_end(self, text: Bytes, start: int, stop: int, *, final: bool) -> int | None:
        """Return where the record that begins at ``start`` ends, or ``None`` where that is after ``stop``.

        ``final`` says that nothing follows ``stop``: the record ends there at the latest.
        """
        match = self._record.match(text, start, stop)
        assert match is not None
        ends_line = match.group("end") is not None and (match.end() < stop or match.group("end") != b"\r")
        return match.end() if final or ends_line else None

    def record_end_behind(self, text: Bytes, place: int) -> int:
        """Return the end of a record, given a place in it outside quotes, or at the quote that closes a field."""
        match = self._rest_of_record.match(text, place)
        assert match is not None
        return match.end()

    def records(self, text: bytes, *, blank: bool) -> Iterator[tuple[int, int]]:
        """Yield begin and end of each record of a text, with its line end; blank lines only if they are records."""
        start = 0
        while start < len(text):
            end = self.record_end(text, start, len(text), final=True)
            assert end is not None
            if blank or text[start] not in b"\r\n":
                yield start, end
            start = end

    def fields(self, record: bytes) -> tuple[list[bytes], bool]:
        """Return the fields of one record unquoted, and whether the last one is closed."""
        matches = list(self._fields(record))
        last = matches[-1]
        return [self._unquoted(match) for match in matches], last.group("quoted") is None or last.group("rest") != b""

    def behind_quote(self, record: bytes) -> int | None:
        """Return the number of the first field that has text behind its closing quote, ``None`` where none has.

        The record may have its line end.
        """
        fields = enumerate(self._fields(record))
        return next((number for number, match in fields if len(match.group("rest") or b"") > 1), None)

    def _fields(self, record: bytes) -> Iterator[re.Match[bytes]]:
        position = 0
        while True:
            match = self._field.match(record, position)
            assert match is not None
            yield match
            position = match.end()
            if record[position : position + 1] != self.delimiter.encode():
                return
            position += 1

    def _unquoted(self, match: re.Match[bytes]) -> bytes:
        quoted = match.group("quoted")
        if quoted is None:
            return self._without_escapes(match.group())
        if self.escape:
            text = self._doubled_or_escaped.sub(rb"\1\2", quoted[1:])
        else:
            text = quoted[1:].replace(self.quote.encode() * 2, self.quote.encode())
        return text + self._without_escapes(match.group("rest")[1:])

    def _without_escapes(self, text: bytes) -> bytes:
        return self._escaped.sub(rb"\1", text) if self.escape else text

    @cached_property
    def _escaped(self) -> re.Pattern[bytes]:
        return re.compile(f"{re.escape(self.escape)}([{re.escape(self.quote + self.escape)}])".encode())

    @cached_property
    def _doubled_or_escaped(self) -> re.Pattern[bytes]:
        quote = re.escape(self.quote)
        return re.compile(rb"%b|%b(%b)" % (self._escaped.pattern, quote.encode(), quote.encode()))

    @cached_property
    def _field(self) -> re.Pattern[bytes]:
        return re.compile(self._field_pattern("(?P<quoted>", "(?P<rest>").encode())

    @cached_property
    def _record(self) -> re.Pattern[bytes]:
        return re.compile(f"{self._field_pattern('(?:', '(?:')}{self._more_fields}".encode())

    @cached_property
    def _rest_of_record(self) -> re.Pattern[bytes]:
        return re.compile(rf"[^{re.escape(self.delimiter)}\r\n]*+{self._more_fields}".encode())

    @property
    def _more_fields(self) -> str:
        return rf"(?:{re.escape(self.delimiter)}{self._field_pattern('(?:', '(?:')})*+(?P<end>\r\n?|\n)?+"

    def _field_pattern(self, quoted: str, rest: str) -> str:
        d, q = re.escape(self.delimiter), re.escape(self.quote)
        if not q:
            return rf"(?>{quoted}(?!)){rest})|[^{d}\r\n]*+)"
        e = re.escape(self.escape)
        escaped = rf"|{e}[{q}{e}]?+" if e else ""
        open_text = rf"{quoted}{q}[^{q}{e}]*+(?:(?:{q}{q}{escaped})[^{q}{e}]*+)*+)"
        return rf"(?>{open_text}{rest}{q}[^{d}\r\n]*+|\Z)|[^{d}\r\n]*+)"


def dialect_of(options: CsvOptions) -> Dialect:
    """Return the dialect of the options.

    Raises
    ------
    UsageError
        A character is not one ASCII character, two of them are the same, or fewer than 0 lines are skipped.
    """
    if options.skip_lines < 0:
        raise UsageError(f"skip_lines is {options.skip_lines}: it must be at least 0")
    characters = {
        "delimiter": options.delimiter,
        "quote": options.quote,
        "escape": options.escape,
        "comment": options.comment,
    }
    given = {what: text for what, text in characters.items() if text or what == "delimiter"}
    for what, text in given.items():
        if len(text) != 1 or not text.isascii() or text in _FORBIDDEN:
            raise UsageError(f"the {what} must be one ASCII character, not {quoted(text)}", _REMEDIES[what])
    for what, other in combinations(given, 2):
        if given[what] == given[other]:
            raise UsageError(f"{what} and {other} are both {quoted(given[what])}", _remedy(what, other))
    return Dialect(**characters)


def _remedy(what: str, other: str) -> str:
    if (what, other) == ("quote", "escape"):
        return "leave --escape out: a doubled quote is read as one"
    return "give two different characters"


def last_line_end(text: bytearray, stop: int, *, final: bool) -> int:
    """Return the offset after the last line end in ``text[:stop]``, 0 where there is none.

    A CR right before ``stop`` counts only where ``final`` says that nothing follows; there the text itself is a line.
    """
    if final:
        return stop
    line_feed = text.rfind(b"\n", 0, stop)
    return max(line_feed, text.rfind(b"\r", line_feed + 1, max(stop - 1, line_feed + 1))) + 1


def next_line_start(text: bytearray, at: int, stop: int, *, final: bool) -> int | None:
    """Return the first offset from ``at`` (1 or more) that follows a line end, or ``None`` if that is after ``stop``.

    CR LF is one line end. Where ``final`` says that nothing follows ``stop``, the end of the text counts as one.
    """
    line_feed = text.find(b"\n", at - 1, stop)
    carriage_return = text.find(b"\r", at - 1, stop if line_feed < 0 else line_feed)
    if carriage_return < 0:
        found = line_feed + 1
    elif carriage_return + 1 < stop:
        found = carriage_return + (2 if text[carriage_return + 1] == 0x0A else 1)
    else:
        found = 0
    if found:
        return found
    return stop if final else None
