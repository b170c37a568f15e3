"""Turn the bytes of a file into text: ranges, gzip and zstd, and encodings other than UTF-8."""

from __future__ import annotations

import codecs
import io
import re
import zlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import Literal, Protocol

import pyarrow as pa

from pipeline import formats
from pipeline.canonical import sha256
from pipeline.dataclass import dataclass
from pipeline.disk import OpenFile, show
from pipeline.errors import DataError, LogitstreamError, UsageError
from pipeline.types.inputs import Identity
from pipeline.units import KIB, escape, quoted

ENDS = 64 * KIB

# More than a piece of a CSV: while one piece is parsed, the next one is decompressed whole.
_AHEAD, _AHEAD_BYTES = 10, 512 * KIB

# Behind the text of a window: enough for a record of this many fields.
_ROOM = 4 * KIB

_PADDING = re.compile(rb"\0*")

_ASCII = "\t\n\r" + "".join(map(chr, range(0x20, 0x7F)))

# An undecodable byte becomes a lone surrogate, which is not valid UTF-8: the parser refuses exactly that cell.
_STRICT = "logitstream-undecodable"
codecs.register_error(_STRICT, lambda error: ("\udcff", _end_of(error)))


def _end_of(error: UnicodeError) -> int:
    assert isinstance(error, UnicodeDecodeError)
    return error.end


@dataclass(frozen=True, slots=True)
class TextEncoding:
    """How characters are written as bytes.

    ``kind`` is ``utf-8``; ``bytewise``, where each byte is a character and ASCII keeps its bytes, so that text may be
    cut before it is decoded; or ``stream``, which can only be decoded from the first byte on.
    """

    name: str
    kind: Literal["utf-8", "bytewise", "stream"]

    def utf8(self, raw: bytes) -> bytes:
        """Return bytes of a ``bytewise`` encoding as UTF-8, other bytes unchanged."""
        if self.kind != "bytewise" or raw.isascii():
            return raw
        return raw.decode(self.name, _STRICT).encode("utf-8", "surrogatepass")

    def file_bytes(self, text: bytes | bytearray | memoryview) -> int:
        """Return how many bytes of the file a piece of UTF-8 text came from."""
        if self.kind == "utf-8":
            return len(text)
        characters = bytes(text).decode("utf-8", "surrogatepass")
        return len(characters) if self.kind == "bytewise" else len(characters.encode(self._plain_name, "replace"))

    @property
    def _plain_name(self) -> str:
        return {"utf-16": "utf-16-le", "utf-32": "utf-32-le"}.get(self.name, self.name)


@cache
def find_encoding(name: str) -> TextEncoding:
    """Return the encoding of a name.

    Raises
    ------
    UsageError
        There is no such text encoding, or it cannot be read as a stream.
    """
    remedy = "name another --encoding, such as utf-8, latin-1, cp1252, utf-16 or shift_jis"
    try:
        found = codecs.lookup(name)
        "a".encode(name)
    except (LookupError, ValueError) as error:
        raise UsageError(f"there is no encoding {quoted(name)}", remedy) from error
    if found.name in {"utf-8", "utf-8-sig"}:
        return TextEncoding("utf-8", "utf-8")
    if _bytewise(name):
        return TextEncoding(found.name, "bytewise")
    if found.incrementaldecoder is None or not _keeps_ascii(name):
        raise UsageError(f"the encoding {quoted(name)} cannot be read as a stream", remedy)
    return TextEncoding(found.name, "stream")


def _bytewise(name: str) -> bool:
    pairs = bytes(byte for first in range(256) for second in range(256) for byte in (first, second))
    try:
        same = _ASCII.encode().decode(name) == _ASCII
        return same and len(pairs.decode(name, "replace")) == len(pairs)
    except UnicodeError:
        return False


def _keeps_ascii(name: str) -> bool:
    try:
        return all(character.encode(name).decode(name) == character for character in _ASCII)
    except UnicodeError:
        return False


class Stream(Protocol):
    """Bytes in order."""

    def readinto(self, view: memoryview) -> int:
        """Fill the beginning of a view and return how much of it; 0 at the end alone."""
        ...


class RawFile(io.RawIOBase):
    """An open file read by position; counts the bytes, and leaves closing to its owner."""

    def __init__(self, file: OpenFile, offset: int = 0) -> None:
        self.path = file.path
        self.bytes_read = 0
        self.failure: LogitstreamError | None = None
        self._file = file
        self._offset = offset

    def readable(self) -> bool:
        """Return True."""
        return True

    def move(self, offset: int) -> None:
        """Continue at an offset."""
        self._offset = offset

    def readinto(self, view: memoryview) -> int:  # type: ignore[override]
        """Fill the beginning of a view and return how much of it; 0 at the end alone."""
        try:
            count = self._file.read_into(view, self._offset)
        except LogitstreamError as error:
            self.failure = error
            raise
        self._offset += count
        self.bytes_read += count
        return count


class Inflated:
    """The content of a compressed file, in bounded memory; several members in a row are one text."""

    def __init__(self, raw: RawFile, codec: str) -> None:
        self._raw = raw
        self._codec = codec
        self._stream = (
            _Members(raw) if codec == "gzip" else pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), codec)
        )

    def readinto(self, view: memoryview) -> int:
        """Fill the beginning of a view and return how much of it; 0 at the end alone."""
        try:
            return int(self._stream.readinto(view))
        except (OSError, pa.ArrowException, zlib.error) as error:
            if self._raw.failure is not None:
                raise self._raw.failure from error
            place = f"near byte {self._raw.bytes_read:,}: {escape(str(error), 300)}"
            message = f"{show(self._raw.path)}: the {self._codec} data is damaged or cut off {place}"
            raise DataError(message, "copy or compress the file again") from error


class _Members:
    """The members of a gzip file, one after the other, and the zeros that blocks of a tape were filled up with.

    Arrow reads as fast, but takes zeros for a member; what it had decompressed by then is lost.
    """

    def __init__(self, raw: RawFile) -> None:
        self._raw = raw
        self._block = bytearray(64 * KIB)
        self._input: bytes | memoryview = b""
        self._member = zlib.decompressobj(zlib.MAX_WBITS | 16)
        self._begun = False
        self._first = True

    def readinto(self, view: memoryview) -> int:
        """Fill the beginning of a view and return how much of it; 0 at the end alone."""
        while len(self._input) or self._fill():
            if not self._begun and not self._first:
                self._input = self._input[_zeros(self._input) :]
                if not len(self._input):
                    continue
            self._begun, self._first = True, False
            text = self._member.decompress(self._input, len(view))
            self._input = self._member.unconsumed_tail
            if self._member.eof:
                self._input = self._member.unused_data
                self._member = zlib.decompressobj(zlib.MAX_WBITS | 16)
                self._begun = False
            if text:
                view[: len(text)] = text
                return len(text)
        if self._begun:
            raise zlib.error("the file ends inside a member")
        return 0

    def _fill(self) -> int:
        count = self._raw.readinto(memoryview(self._block))
        self._input = memoryview(self._block)[:count]
        return count


def _zeros(block: bytes | memoryview) -> int:
    """Return how many zeros a block begins with."""
    found = _PADDING.match(block)
    assert found is not None
    return found.end()


class Recoded:
    """Text of a ``stream`` encoding as UTF-8."""

    def __init__(self, inner: Stream, encoding: TextEncoding, path: str) -> None:
        self._inner = inner
        self._name = encoding.name
        self._path = path
        self._decoder = codecs.getincrementaldecoder(encoding.name)(_STRICT)
        self._block = bytearray(256 * KIB)
        self._ready = memoryview(b"")

    def readinto(self, view: memoryview) -> int:
        """Fill the beginning of a view and return how much of it; 0 at the end alone."""
        while not self._ready:
            count = self._inner.readinto(memoryview(self._block))
            text = self._decode(bytes(self._block[:count]))
            self._ready = memoryview(text.encode("utf-8", "surrogatepass"))
            if count == 0:
                break
        count = min(len(view), len(self._ready))
        view[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def _decode(self, block: bytes) -> str:
        try:
            return self._decoder.decode(block, final=not block)
        except UnicodeError as error:
            message = f"{show(self._path)} is not text in {self._name}: {escape(str(error), 300)}"
            raise DataError(message, "name the encoding of the file with --encoding") from error


class Ahead:
    """A stream that a separate thread reads ahead, so that reading does not wait for it.

    Blocks, and the error that ended the reading, come in the order of the stream. Holds ten blocks. Its maker closes
    it, before what the inner stream reads from is closed.

    Parameters
    ----------
    inner : Stream
    raw : RawFile
        The file that the inner stream reads from.
    """

    def __init__(self, inner: Stream, raw: RawFile) -> None:
        self.bytes_read = raw.bytes_read
        self._inner, self._raw = inner, raw
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="logitstream-ahead")
        self._blocks: deque[Future[_AheadBlock]] = deque()
        self._current = _AheadBlock(bytearray(0), memoryview(b""), raw.bytes_read)
        self._ready = memoryview(b"")
        self._failure: Exception | None = None

    def readinto(self, view: memoryview) -> int:
        """Fill the beginning of a view and return how much of it; 0 at the end alone."""
        if not self._blocks:
            for _ in range(_AHEAD):
                self._send(bytearray(_AHEAD_BYTES))
        if not self._ready:
            self._current = self._blocks.popleft().result()
            self._ready = self._current.filled
            self.bytes_read = self._current.bytes_read
        count = min(len(view), len(self._ready))
        view[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        if not self._ready:
            self._send(self._current.memory)
        return count

    def close(self) -> None:
        """End the thread, which may be reading a block."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _send(self, memory: bytearray) -> None:
        self._blocks.append(self._thread.submit(self._fill, memory))

    def _fill(self, memory: bytearray) -> _AheadBlock:
        view = memoryview(memory)
        filled = 0
        while filled < len(view) and (count := self._read(view[filled:], filled)):
            filled += count
        return _AheadBlock(memory, view[:filled], self._raw.bytes_read)

    def _read(self, view: memoryview, filled: int) -> int:
        """Read into a view; an error is raised after what was read before it."""
        if self._failure is None:
            try:
                return self._inner.readinto(view)
            except Exception as error:  # noqa: BLE001 - raised in its turn, whatever it is
                self._failure = error
        if filled:
            return 0
        raise self._failure


@dataclass(frozen=True, slots=True)
class _AheadBlock:
    """A block that was read ahead, and how far the file had been read by then."""

    memory: bytearray
    filled: memoryview
    bytes_read: int


class Window:
    """The current part of a stream: ``text[:length]``, which begins at ``offset`` of the stream.

    ``ended`` says that nothing follows. The text is overwritten by ``fill`` and ``drop``. Behind it there is room, so
    that a record can be put there for a moment.
    """

    def __init__(self, stream: Stream, offset: int = 0) -> None:
        self.offset = offset
        self.text = bytearray(0)
        self.length = 0
        self.ended = False
        self._stream = stream

    def read_ahead(self, raw: RawFile) -> Ahead:
        """Continue reading in a separate thread, which the caller has to end."""
        self._stream = ahead = Ahead(self._stream, raw)
        return ahead

    def fill(self, wanted: int) -> None:
        """Read until at least ``wanted`` bytes are there, or the stream has ended."""
        if wanted + _ROOM > len(self.text):
            grown = bytearray(wanted + _ROOM)
            grown[: self.length] = memoryview(self.text)[: self.length]
            self.text = grown
        while self.length < wanted and not self.ended:
            count = self._stream.readinto(memoryview(self.text)[self.length : wanted])
            self.length += count
            self.ended = count == 0

    def drop(self, count: int) -> None:
        """Move forward by ``count`` bytes."""
        rest = bytes(memoryview(self.text)[count : self.length])
        self.text[: len(rest)] = rest
        self.length = len(rest)
        self.offset += count


def identify(file: OpenFile) -> Identity:
    """Return the identity of an open file: size, time of change, SHA-256 of the first and the last 64 KiB."""
    state = file.status()
    ends = file.read_range(ENDS, 0), file.read_range(ENDS, max(0, state.st_size - ENDS))
    return Identity(state.st_size, state.st_mtime_ns, sha256(b"".join(ends)))


def compression_of(head: bytes, path: str, *, named: bool = True) -> str | None:
    """Return ``gzip`` or ``zstd`` by the first bytes of a file, ``None`` where it is not compressed.

    With ``named=False`` the header does not have to be text: the names of the columns are given.

    Raises
    ------
    DataError
        It has another compression, is in another format, or is not what its name says.
    """
    for codec, packed in formats.CODECS.items():
        if packed.begins(head):
            return codec
    refuse_foreign(head, path, text=named)
    stated = next((codec for codec in formats.CODECS if formats.ends_in(path, formats.CODECS[codec])), None)
    if stated:
        message = f"{show(path)} is not {stated}, although its name says so"
        raise DataError(message, "rename the file, or copy it again")
    return None


def refuse_foreign(head: bytes, path: str, *, text: bool = True) -> None:
    """Raise a :class:`~pipeline.errors.DataError` where a text begins as a file in another format.

    Without ``text`` only for what no text begins with.
    """
    found = formats.by_start(head, text=text)
    if found is None:
        return
    shown = show(path)
    remedy = "give it a name that ends in .parquet" if found is formats.PARQUET else formats.advice(found, shown)
    raise DataError(f"{shown} is {found.name}, not CSV", remedy)
