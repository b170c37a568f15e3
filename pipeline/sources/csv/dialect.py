"""What a record of a CSV is, as Arrow's parser reads it.

A field that begins with the quote character is quoted up to the next quote that is not doubled; anywhere else a quote
is text (``12" pipe``). A record ends at CR LF, CR or LF outside quotes. The parser is the authority: this module only
decides where to look, and the tests compare the two on arbitrary bytes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from pipeline.errors import UsageError
from pipeline.units import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.types.inputs import CsvOptions

Bytes = bytes | bytearray | memoryview

_FORBIDDEN = "\r\n\0"


@dataclass(frozen=True)
class Dialect:
    """The delimiter and the quote of a file, each one ASCII character; an empty quote means that there is none."""

    delimiter: str = ","
    quote: str = '"'

    def probe(self, columns: int) -> bytes:
        """Return a record to append to a piece, which shows whether the piece ended between records.

        It has one field too many, so that the parser reports it and makes no row of it. After a whole record it is
        reported alone, because its quote does not begin a field. Inside quotes its quote closes the field, and the
        report begins with the record that was cut.
        """
        letter = next(c for c in "xyz" if c not in {self.delimiter, self.quote})
        return f"{letter}{self.quote}{self.delimiter * columns}\n".encode()

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
            return match.group()
        quote = self.quote.encode()
        return quoted[1:].replace(quote * 2, quote) + match.group("rest")[1:]

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
        open_text = rf"{quoted}{q}[^{q}]*+(?:{q}{q}[^{q}]*+)*+)"
        return rf"(?>{open_text}{rest}{q}[^{d}\r\n]*+|\Z)|[^{d}\r\n]*+)"


def dialect_of(options: CsvOptions) -> Dialect:
    """Return the dialect of the options.

    Raises
    ------
    UsageError
        Delimiter or quote is not one ASCII character, or they are the same.
    """
    _one_character("delimiter", options.delimiter, "give one character, such as ';' or a tab")
    if options.quote:
        _one_character("quote", options.quote, "give one character, such as \"'\", or '' if nothing is quoted")
    if options.delimiter == options.quote:
        raise UsageError(f"delimiter and quote are both {quoted(options.quote)}", "give two different characters")
    return Dialect(options.delimiter, options.quote)


def _one_character(what: str, text: str, remedy: str) -> None:
    if len(text) != 1 or not text.isascii() or text in _FORBIDDEN:
        raise UsageError(f"the {what} must be one ASCII character, not {quoted(text)}", remedy)


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
