"""The elements of an XML document, each with its line, read within limits and without entities."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import field
from importlib.util import find_spec
from typing import Any

from pipeline.dataclass import dataclass
from pipeline.errors import ConfigurationError, ModelError
from pipeline.units import GIB, escape, format_count

SIZE_LIMIT = 2 * GIB
DEPTH_LIMIT = 200
# One element takes about half a kilobyte of memory.
COUNT_LIMIT = 5_000_000

_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")


@dataclass(slots=True, eq=False)
class Element:
    """An element of a document: its name without namespace, its attributes, children and text, and its line."""

    name: str
    attributes: dict[str, str]
    line: int
    children: list[Element] = field(default_factory=list)
    text: str = ""

    def get(self, name: str, default: str = "") -> str:
        """Return an attribute."""
        return self.attributes.get(name, default)

    def require(self, name: str) -> str:
        """Return an attribute that must be there."""
        if name not in self.attributes:
            raise fault(self, f'has no attribute "{name}"')
        return self.attributes[name]

    def number(self, name: str, default: float | None = None) -> float:
        """Return an attribute that is a finite number, read exactly; it must be there unless there is a default."""
        if default is not None and name not in self.attributes:
            return default
        return number(self, self.require(name), f'the attribute "{name}"')

    def all(self, *names: str) -> list[Element]:
        """Return the children of some names, in their order."""
        return [child for child in self.children if child.name in names]

    def first(self, *names: str) -> Element | None:
        """Return the first child of some names."""
        return next((child for child in self.children if child.name in names), None)

    def one(self, *names: str) -> Element:
        """Return the only child of some names."""
        found = self.all(*names)
        if len(found) != 1:
            raise fault(self, f"must have one child {' or '.join(names)}, not {len(found)}")
        return found[0]

    def only(self, *names: str) -> list[Element]:
        """Return all children, which must be of some names; ``Extension`` is left out, as the standard allows."""
        for child in self.children:
            if child.name not in names and child.name != "Extension":
                raise refused(child, f"is not read in {self.name}")
        return [child for child in self.children if child.name != "Extension"]

    def descendants(self, *names: str) -> Iterator[Element]:
        """Yield the elements of some names below this one."""
        for child in self.children:
            if child.name in names:
                yield child
            yield from child.descendants(*names)


def is_number(text: str) -> bool:
    """Return whether a text is spelled as a number; NaN and infinity are not."""
    return _NUMBER.fullmatch(text.strip()) is not None


def number(element: Element, text: str, what: str = "its text") -> float:
    """Return a text in an element as a finite float64."""
    value = float(text) if is_number(text) else math.nan
    if not math.isfinite(value):
        raise fault(element, f"{what} must be a finite number, not {escape(text, 40)}")
    return value


def fault(element: Element, message: str) -> ModelError:
    """Return the error of an element that the standard does not allow."""
    text = f"line {element.line}, {escape(element.name)}: {message}"
    return ModelError(text, "correct the file, or write it again with the tool that made it")


def refused(element: Element, message: str, remedy: str = "") -> ModelError:
    """Return the error of an element that a model file cannot say."""
    default = "leave it out where the model was made; see: logitstream guide other-tools"
    return ModelError(f"line {element.line}, {escape(element.name)}: {message}", remedy or default)


@contextmanager
def in_range(element: Element) -> Iterator[None]:
    """Refuse an element whose numbers have a result beyond the range of float64."""
    try:
        yield
    except OverflowError as error:
        raise refused(
            element, "a result of its constants is beyond the range of float64", "use numbers of another unit"
        ) from error


def parse(data: bytes) -> Element:
    """Return the root of an XML document.

    Entities, external references and a document type declaration are refused before anything is expanded.

    Raises
    ------
    ModelError
        The bytes are not well-formed XML, or are larger, deeper or more than the limits.
    ConfigurationError
        defusedxml is not installed.
    """
    if find_spec("defusedxml") is None:
        raise ConfigurationError("defusedxml is not installed", "pip install 'logitstream[pmml]'")
    from defusedxml.common import DefusedXmlException  # noqa: PLC0415 - an optional package
    from defusedxml.ElementTree import DefusedXMLParser, ParseError  # noqa: PLC0415 - as above

    if len(data) > SIZE_LIMIT:
        raise ModelError(f"the PMML file is larger than {SIZE_LIMIT // GIB} GiB", "leave out what is not the model")
    builder = _ElementBuilder()
    parser = DefusedXMLParser(target=builder, forbid_dtd=True)
    builder.expat = parser.parser
    try:
        parser.feed(data)
        root: Element = parser.close()
    except DefusedXmlException as error:
        where = f"line {builder.expat.CurrentLineNumber}"
        message = f"{where}: the file declares a document type or an entity, which is not read"
        raise ModelError(message, "remove the <!DOCTYPE ...> declaration") from error
    except ParseError as error:
        line, column = error.position
        raise ModelError(f"line {line}, column {column + 1}: the file is not well-formed XML", _AGAIN) from error
    except (LookupError, ValueError) as error:
        raise ModelError("the encoding of the XML file is not known", "write it again as UTF-8") from error
    return root


_AGAIN = "write it again with the tool that made it"


class _ElementBuilder:
    """Builds elements as the parser meets them."""

    def __init__(self) -> None:
        self.expat: Any = None
        self.count = 0
        self.root: Element | None = None
        self.open: list[Element] = []

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        line = self.expat.CurrentLineNumber
        self.count += 1
        if self.count > COUNT_LIMIT:
            raise ModelError(f"line {line}: more than {format_count(COUNT_LIMIT)} elements", _AGAIN)
        if len(self.open) >= DEPTH_LIMIT:
            raise ModelError(f"line {line}: nested more than {DEPTH_LIMIT} deep", _AGAIN)
        element = Element(_local(tag), {_local(name): value for name, value in attributes.items()}, line)
        if self.open:
            self.open[-1].children.append(element)
        else:
            self.root = element
        self.open.append(element)

    def end(self, _: str) -> None:
        self.open.pop()

    def data(self, text: str) -> None:
        if self.open:
            self.open[-1].text += text

    def close(self) -> Element | None:
        return self.root


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]
