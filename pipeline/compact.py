"""Read the footer of a Parquet file, Thrift in the compact protocol, without Arrow.

Only what is asked for is built: a caller walks over the fields of a structure and skips the others.
"""

from __future__ import annotations

from collections.abc import Iterator

TRUE, FALSE, BYTE, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = 1, 2, 3, 7, 8, 9, 10, 11, 12

_LONG_SIZE = 15
_VARINT_BYTES = 10


class Compact:
    """A position in a text of the compact protocol.

    Whatever the bytes are, every call ends; invalid bytes raise a ``ValueError`` or an ``IndexError``. Memory is that
    of one value.
    """

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._at = 0

    def fields(self) -> Iterator[tuple[int, int]]:
        """Iterate over a structure: number and type of each field, whose value the caller reads or skips."""
        number = 0
        while (header := self._byte()) & 15:
            number = number + (header >> 4) if header >> 4 else self.integer()
            yield number, header & 15

    def items(self) -> Iterator[int]:
        """Iterate over a list: the type of each item, which the caller reads or skips."""
        header = self._byte()
        size = self._varint() if header >> 4 == _LONG_SIZE else header >> 4
        for _ in range(size):
            yield header & 15

    def integer(self) -> int:
        """Read an integer of any width but a byte."""
        value = self._varint()
        return (value >> 1) ^ -(value & 1)

    def binary(self) -> bytes:
        """Read a text of bytes."""
        size = self._varint()
        self._pass(size)
        return self._text[self._at - size : self._at]

    def skip(self, kind: int) -> None:
        """Pass over the value of a field."""
        if kind in {TRUE, FALSE}:
            return
        if kind in {LIST, SET}:
            for item in self.items():
                self._skip_item(item)
        elif kind == STRUCT:
            for _, inner in self.fields():
                self.skip(inner)
        elif kind == MAP:
            self._skip_map()
        elif kind == BINARY:
            self._pass(self._varint())
        else:
            self._skip_number(kind)

    def _skip_number(self, kind: int) -> None:
        if kind == DOUBLE:
            self._pass(8)
        elif kind == BYTE:
            self._pass(1)
        else:
            self._varint()

    def _skip_item(self, kind: int) -> None:
        # In a list a boolean takes a byte; in a field its type is its value.
        self.skip(BYTE if kind in {TRUE, FALSE} else kind)

    def _skip_map(self) -> None:
        size = self._varint()
        if size:
            kinds = self._byte()
            for _ in range(size):
                self._skip_item(kinds >> 4)
                self._skip_item(kinds & 15)

    def _pass(self, size: int) -> None:
        if size > len(self._text) - self._at:
            raise ValueError("a value is longer than the text")
        self._at += size

    def _byte(self) -> int:
        self._at += 1
        return self._text[self._at - 1]

    def _varint(self) -> int:
        value = 0
        for shift in range(0, 7 * _VARINT_BYTES, 7):
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise ValueError("an integer is too long")
