"""Types of option values: which texts an option takes, and what they become.

Only what the standard library can check is checked here.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from pipeline.choices import parse_class_weight, parse_if_running, parse_missing_rule, parse_sign
from pipeline.errors import UsageError
from pipeline.schedulers import kind_of, parse_maker, parse_range
from pipeline.units import parse_bad_limit, parse_bytes, parse_chunk_size, parse_seconds, parse_share_limit

if TYPE_CHECKING:
    ParamType = click.ParamType[Any]
else:
    ParamType = click.ParamType

_SPELLED = {r"\t": "\t", "tab": "\t"}


def split_list(text: str) -> list[str]:
    """Return the items of a list in one text: commas separate them, except inside parentheses or double quotes."""
    items, item, depth, quoted = [], "", 0, False
    for character in text:
        quoted ^= character == '"'
        if not quoted:
            depth += (character == "(") - (character == ")")
        if character == "," and depth <= 0 and not quoted:
            items.append(item.strip())
            item = ""
        else:
            item += character
    return [*items, item.strip()]


def _checked(
    kind: ParamType,
    parse: Callable[[str], object],
    text: str,
    param: click.Parameter | None,
    ctx: click.Context | None,
) -> str:
    """Return a text that ``parse`` accepts; any other is a mistake in the value of an option."""
    try:
        parse(text)
    except UsageError as error:
        kind.fail(f"{error.message}: {error.remedy}.", param, ctx)
    return text


class Text(ParamType):
    """A text; in an environment variable commas separate several."""

    name = "text"

    def split_envvar_value(self, rv: str) -> Sequence[str]:
        """Return the items of a comma-separated list."""
        return split_list(rv)


class PathText(ParamType):
    """A path: text that is not empty."""

    name = "path"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text."""
        if not value:
            self.fail("it is empty.", param, ctx)
        return value


class Names(ParamType):
    """Column names separated by commas; a name with a comma is in double quotes. A list stays as it is."""

    name = "names"

    def convert(
        self, value: str | Sequence[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Return the names."""
        names = tuple(value) if not isinstance(value, str) else tuple(map(str.strip, self.split(value, param, ctx)))
        if not all(names):
            self.fail("a column name is empty.", param, ctx)
        return names

    def split_envvar_value(self, rv: str) -> Sequence[str]:
        """Return the whole text; conversion splits it."""
        return [rv]

    def split(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Return the items of a comma-separated list."""
        try:
            rows = list(csv.reader([value], skipinitialspace=True, strict=True))
        except csv.Error:
            self.fail(f"{value!r} is not a list of {self.name} separated by commas.", param, ctx)
        return tuple(name for row in rows for name in row) if value else ("",)


class Spellings(Names):
    """Texts separated by commas; one with a comma is in double quotes. A list stays as it is."""

    name = "texts"

    def convert(
        self, value: str | Sequence[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Return the texts, which may be empty and may end with blanks."""
        return tuple(value) if not isinstance(value, str) else self.split(value, param, ctx)


class Pairs(Names):
    """Texts separated by commas that ``parse`` accepts (``late=3,early=1``). They stay text."""

    name = "texts"

    def __init__(self, parse: Callable[[str], object]) -> None:
        self._parse = parse

    def convert(
        self, value: str | Sequence[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Return the texts after checking them."""
        texts = super().convert(value, param, ctx)
        return tuple(_checked(self, self._parse, text, param, ctx) for text in texts)


class FeatureText(Text):
    """Features, separated by commas. A list has features in each text."""

    name = "features"

    def split_envvar_value(self, rv: str) -> Sequence[str]:
        """Return the whole text; the grammar splits it."""
        return [rv]


class TypedName(Text):
    """``NAME=TYPE``: a column name and the name of an Arrow type."""

    name = "name=type"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Return the name and the type. A name may contain ``=``, a type does not."""
        name, equals, kind = value.rpartition("=")
        if not (name and equals and kind.strip()):
            self.fail(f"{value!r} is not NAME=TYPE, such as id=int64.", param, ctx)
        return name, kind.strip()


class NewName(Text):
    """``OLD=NEW``: a column name and its new one."""

    name = "old=new"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Return both names. The old name may contain ``=``, the new one does not."""
        old, _, new = value.rpartition("=")
        if not (old and new):
            self.fail(f"{value!r} is not OLD=NEW, such as probability=p.", param, ctx)
        return old, new


class ShareLimit(Text):
    """A percentage, of all features or of one: ``20%``, ``carrier=20%``. It stays text."""

    name = "share"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text after checking it."""
        return _checked(self, parse_share_limit, value, param, ctx)


class Character(ParamType):
    """One ASCII character; ``tab`` and a backslash with a t mean the tabulator."""

    name = "char"
    ascii = True

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the character."""
        character = _SPELLED.get(value, value)
        if len(character) != 1 or (self.ascii and not character.isascii()) or character in "\r\n\0":
            kind = "one ASCII character" if self.ascii else "one character"
            self.fail(f"{value!r} is not {kind} (write tab for the tab character).", param, ctx)
        return character


class CharacterOrNone(Character):
    """One ASCII character; ``none``, or an empty text, means that there is none."""

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the character, or an empty text."""
        return "" if value in {"", "none"} else super().convert(value, param, ctx)


class SeparatorOrNone(CharacterOrNone):
    """One character, which may be a blank that is not ASCII; ``none``, or an empty text, means that there is none."""

    ascii = False


class EncodingName(ParamType):
    """The name of a text encoding of Python."""

    name = "encoding"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name as it was given."""
        try:
            "".encode(value)
        except (LookupError, UnicodeError, ValueError):
            self.fail(f"{value!r} is not a known encoding (utf-8, latin-1, cp1252, utf-16 ...).", param, ctx)
        return value


class Quantity(ParamType):
    """A size, a time or a share that ``parse`` accepts. It stays text, because a plan keeps the request as written."""

    name = "quantity"

    def __init__(self, parse: Callable[[str], object]) -> None:
        self._parse = parse

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text after checking it."""
        return _checked(self, self._parse, str(value), param, ctx)


class Behaviour(ParamType):
    """A choice that may include more (``wait=10m``, ``local:processes=4``), which ``parse`` accepts. It stays text."""

    name = "choice"

    def __init__(self, parse: Callable[[str], object]) -> None:
        self._parse = parse

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text after checking it."""
        return _checked(self, self._parse, value, param, ctx)


class Count(ParamType):
    """A whole number of at least ``least``."""

    name = "number"

    def __init__(self, least: int = 1) -> None:
        self._least = least

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number; digits may be grouped by ``_`` or ``,``."""
        digits = str(value).replace(",", "")
        try:
            number = int(digits)
        except ValueError:
            number = self._least - 1
        if number < self._least:
            self.fail(f"{str(value)!r} is not a whole number of at least {self._least}.", param, ctx)
        return number


class Share(ParamType):
    """A finite number from 0 to 1."""

    name = "number"

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number."""
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not 0 <= number <= 1:
            self.fail(f"{value!r} is not a number from 0 to 1.", param, ctx)
        return number


class Real(ParamType):
    """A finite number from ``least`` on, or ``above`` it, and below ``below``."""

    name = "number"

    def __init__(self, *, least: float = -math.inf, above: float = -math.inf, below: float = math.inf) -> None:
        self._least, self._above, self._below = least, above, below

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number."""
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not (self._least <= number < self._below and number > self._above):
            self.fail(f"{value!r} is not a number {self._wanted()}.", param, ctx)
        return number

    def _wanted(self) -> str:
        ends = [f"of at least {self._least:g}"] if self._least > -math.inf else []
        ends += [f"above {self._above:g}"] if self._above > -math.inf else []
        return " and ".join([*ends, *([f"below {self._below:g}"] if self._below < math.inf else [])])


class SchedulerNames:
    """Every value of ``--scheduler`` but the path of a file."""

    def __contains__(self, text: object) -> bool:
        try:
            return kind_of(str(text)) != "file"
        except UsageError:
            return True


TEXT = Text()
PATH = PathText()
NAMES = Names()
SPELLINGS = Spellings()
TYPED_NAME = TypedName()
NEW_NAME = NewName()
CHARACTER = Character()
CHARACTER_OR_NONE = CharacterOrNone()
SEPARATOR_OR_NONE = SeparatorOrNone()
ENCODING = EncodingName()
MEMORY = Quantity(parse_bytes)
CHUNK_SIZE = Quantity(parse_chunk_size)
DURATION = Quantity(parse_seconds)
SHARE_LIMIT = ShareLimit()
MAX_BAD = Quantity(parse_bad_limit)
IF_RUNNING = Behaviour(parse_if_running)
COUNT = Count()
COUNT_OR_NONE = Count(0)
COUNT_OF_SEVERAL = Count(2)
SHARE = Share()
OPEN_SHARE = Real(above=0, below=1)
POSITIVE = Real(above=0)
BELOW_ONE = Real(least=0, below=1)
NOT_NEGATIVE = Real(least=0)
FEATURES = FeatureText()
RULES = Pairs(parse_missing_rule)
SIGNS = Pairs(parse_sign)
CLASS_WEIGHTS = Pairs(parse_class_weight)
WHERE = Behaviour(kind_of)
ADAPT = Behaviour(parse_range)
CLUSTER_CLASS = Behaviour(parse_maker)
