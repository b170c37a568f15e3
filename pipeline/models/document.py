"""JSON that people edit by hand: all mistakes in the text at once, and where each value is in it."""

from __future__ import annotations

import heapq
import json
import math
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from pipeline.dataclass import dataclass
from pipeline.units import MIB, escape

SIZE_LIMIT = 256 * MIB
DEPTH_LIMIT = 100
PROBLEM_LIMIT = 100
# So many problems of one file are put into words; the first 100 in the text are shown.
FOUND_LIMIT = 100 * PROBLEM_LIMIT

Path = tuple[str | int, ...]

_MARK = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],:]|[^\s{}\[\],:"]+')
_PLAIN_KEY = re.compile(r"[^\W\d]\w*")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
# Python refuses int() of a longer text; float64 ends at 309 digits.
_INTEGER_DIGITS = 400


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a file.

    Attributes
    ----------
    path : tuple of str and int
        Keys and positions from the top of the document; empty for the document itself.
    message : str
        What is wrong, as a clause to print after the place; safe to show.
    line, column : int
        Where in the text, from 1; 0 if it has no place in the text.
    """

    path: Path
    message: str
    line: int = 0
    column: int = 0

    @property
    def place(self) -> str:
        """The path as people write it: ``features[2].coefficients["New York"]``."""
        return format_path(self.path)

    def __str__(self) -> str:
        position = f"line {self.line}, column {self.column}" if self.line else ""
        place = " at ".join(part for part in (self.place, position) if part)
        return f"{place}: {self.message}" if place else self.message


@dataclass(frozen=True, slots=True)
class Spot:
    """A key or a value in the text: its path, its text, and the offsets of it and of the container that it is in."""

    path: Path
    text: str
    offset: int
    container: int
    is_key: bool


@dataclass(frozen=True, slots=True, eq=False)
class Document:
    """The value of a JSON text, and what is wrong with the text.

    Attributes
    ----------
    value : object
        ``None`` if the text cannot be parsed.
    text : str
        Empty if the bytes are not text.
    faults : tuple of Problem
        If the text cannot be parsed, one, at the place where parsing ended.
    """

    value: Any
    text: str
    faults: tuple[Problem, ...]

    @property
    def is_readable(self) -> bool:
        """Whether there is a value to check."""
        return self.value is not None or not self.faults

    def member(self, name: str) -> object:
        """Return the member of that name; ``None`` if there is none, or the value is not an object."""
        return self.value.get(name) if isinstance(self.value, dict) else None


def format_path(path: Path) -> str:
    """Return a path such as ``features[2].missing``, safe to show."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _PLAIN_KEY.fullmatch(step) and step.isprintable() and len(step) <= 100:
            text += f".{step}" if text else step
        else:
            text += f'["{escape(step)}"]'
    return text


def read(data: bytes) -> Document:
    """Return the bytes as a document. Never raises, whatever the bytes are.

    The first 100 duplicate keys, NaN and Infinity literals, numbers beyond float64 and unpaired surrogates are among
    the faults.
    """
    if len(data) > SIZE_LIMIT:
        return _unreadable("", Problem((), f"larger than {SIZE_LIMIT // MIB} MiB"))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return _unreadable("", _not_text(data, error))
    decoder = _Decoder(text)
    try:
        value = decoder.decode()
    except json.JSONDecodeError as error:
        return _unreadable(text, _not_json(text, error))
    except RecursionError:
        return _unreadable(text, _too_deep())
    if _depth_exceeds(value, DEPTH_LIMIT):
        return _unreadable(text, _too_deep())
    return Document(value, text, tuple(islice(_faults(text), PROBLEM_LIMIT)) if decoder.is_suspicious else ())


def locate(text: str, problems: Sequence[Problem]) -> list[Problem]:
    """Return the first 100 problems in the order of the text, with line and column.

    What the text does not have (a required key) is placed at the object that should have it.
    """
    placed = [problem for problem in problems if problem.line]
    unplaced = [problem for problem in problems if not problem.line]
    wanted = {problem.path[:length] for problem in unplaced for length in range(len(problem.path) + 1)}
    spots: dict[Path, Spot] = {}
    for spot in walk(text) if wanted else ():
        # The key is the better place for a problem with an object member, so the first spot of a path stays.
        if spot.path in wanted:
            spots.setdefault(spot.path, spot)
            if len(spots) == len(wanted):
                break
    # Finding a line reads the text up to it: only done for the problems that are shown.
    found = ((problem, _nearest_spot(problem.path, spots)) for problem in unplaced)
    first = heapq.nsmallest(PROBLEM_LIMIT, found, key=lambda pair: -1 if pair[1] is None else pair[1].offset)
    placed += [_placed(text, problem, spot) for problem, spot in first]
    return sorted(placed, key=lambda problem: (problem.line, problem.column))[:PROBLEM_LIMIT]


def walk(text: str) -> Iterator[Spot]:
    """Yield every key and every value of a valid JSON text, in order; containers at their opening bracket."""
    path: list[str | int] = []
    in_object: list[bool] = []
    starts = [-1]
    expects_key = False
    for match in _MARK.finditer(text):
        mark, offset = match.group(), match.start()
        if mark in "]}":
            in_object.pop()
            path.pop()
            starts.pop()
        elif mark == ",":
            expects_key = in_object[-1]
            if not expects_key:
                path[-1] += 1  # type: ignore[operator]
        elif mark == ":":
            expects_key = False
        elif expects_key:
            path[-1] = json.loads(mark, strict=False) if "\\" in mark else mark[1:-1]
            yield Spot(tuple(path), mark, offset, starts[-1], is_key=True)
        else:
            yield Spot(tuple(path), mark, offset, starts[-1], is_key=False)
            if mark in "{[":
                in_object.append(mark == "{")
                path.append("" if mark == "{" else 0)
                starts.append(offset)
                expects_key = mark == "{"


class _Decoder:
    """Parses with the standard library, and notes whether there may be something that it does not report."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.is_suspicious = _SURROGATE.search(text) is not None

    def decode(self) -> Any:
        return json.loads(
            self.text,
            object_pairs_hook=self._object,
            parse_constant=self._constant,
            parse_float=self._float,
            parse_int=self._integer,
        )

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        self.is_suspicious |= len(members) < len(pairs)
        return members

    def _constant(self, _: str) -> float:
        self.is_suspicious = True
        return 0.0

    def _float(self, text: str) -> float:
        value = float(text)
        return value if math.isfinite(value) else self._constant(text)

    def _integer(self, text: str) -> int | float:
        if len(text) < 300:
            return int(text)
        value = math.inf if len(text) > _INTEGER_DIGITS else float(text)
        return int(text) if math.isfinite(value) else self._constant(text)


def _faults(text: str) -> Iterator[Problem]:
    """Yield the duplicate keys, the numbers that are not finite and the texts that are not valid Unicode."""
    seen: dict[tuple[int, str | int], int] = {}
    for spot in walk(text):
        if spot.is_key:
            first = seen.setdefault((spot.container, spot.path[-1]), spot.offset)
            if first != spot.offset:
                line, _ = _position(text, first)
                yield _placed(text, Problem(spot.path, f"duplicate key, first on line {line}"), spot)
        if (message := _fault(spot.text)) is not None:
            yield _placed(text, Problem(spot.path, message), spot)


def _fault(mark: str) -> str | None:
    if mark[0] == '"':
        unpaired = _SURROGATE.search(mark) is not None and not _is_unicode(json.loads(mark, strict=False))
        return "contains half of a surrogate pair, which is not a character" if unpaired else None
    if mark in {"NaN", "Infinity", "-Infinity"}:
        return f"{mark} is not a finite number"
    if mark[0] in "-0123456789" and not math.isfinite(float(mark)):
        return f"{escape(mark, 40)} is beyond the range of float64"
    return None


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _placed(text: str, problem: Problem, spot: Spot | None) -> Problem:
    if spot is None or problem.line:
        return problem
    line, column = _position(text, spot.offset)
    return Problem(problem.path, problem.message, line, column)


def _nearest_spot(path: Path, spots: dict[Path, Spot]) -> Spot | None:
    return next((spots[path[:length]] for length in range(len(path), -1, -1) if path[:length] in spots), None)


def _position(text: str, offset: int) -> tuple[int, int]:
    start = text.rfind("\n", 0, offset) + 1
    return text.count("\n", 0, start) + 1, offset - start + 1


def _depth_exceeds(value: Any, limit: int) -> bool:
    level = [value]
    for _ in range(limit):
        level = [
            member
            for container in level
            if isinstance(container, dict | list)
            for member in (container.values() if isinstance(container, dict) else container)
            if isinstance(member, dict | list)
        ]
        if not level:
            return False
    return True


def _unreadable(text: str, problem: Problem) -> Document:
    return Document(None, text, (problem,))


def _too_deep() -> Problem:
    return Problem((), f"nested more than {DEPTH_LIMIT} deep")


def _not_json(text: str, error: json.JSONDecodeError) -> Problem:
    from pipeline.models.syntax import explained  # noqa: PLC0415 - most texts are JSON

    offset, message = explained(text, error.pos, error.msg)
    return Problem((), f"not JSON: {message}", *_position(text, offset))


def _not_text(data: bytes, error: UnicodeDecodeError) -> Problem:
    # Counted in the bytes before the fault, which are valid, so that an editor finds the place.
    before = data[: error.start].decode("utf-8", "replace")
    line, column = _position(before, len(before))
    return Problem((), f"not UTF-8: byte 0x{data[error.start]:02x} at offset {error.start}", line, column)
