"""The table of files that can be imported: how each kind is recognised, and what a conversion gives."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pipeline.dataclass import dataclass

if TYPE_CHECKING:
    from pipeline.conversion.networks.document import ImportedNetwork

Floats = npt.NDArray[np.float64]
# Scores named columns: an array or a list for each, None where a cell is null.
Score = Callable[[Mapping[str, Any]], Floats]

_ONNX = re.compile(rb"\x08[\x01-\x1f][\x12\x1a\x22\x3a\x42]", re.DOTALL)
_PMML = re.compile(
    rb"\s*(\xef\xbb\xbf)?(<\?xml.{0,400}?\?>)?(\s|<!--.{0,3000}?-->|<!DOCTYPE[^>]{0,1000}>)*<(\w+:)?PMML\b", re.DOTALL
)
_VW = re.compile(rb"(\xef\xbb\xbf)?Version \d+\.\d+[^\r\n]*\r?\nId ?[^\r\n]*\r?\nMin label:")
# skops names its members by numbers, and numpy by the names of arrays.
_SKOPS = re.compile(rb"PK\x03\x04.{26}(schema\.json|\d{6,}\.npy)", re.DOTALL)


_KERAS = re.compile(rb"PK\x03\x04.{26}(metadata|config)\.json", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Imported:
    """A model file made from the file of another tool, and how that tool scores.

    Attributes
    ----------
    document : dict
        The model file as JSON, version 1 or 2, without ``training``.
    notes : tuple of str
        What a person should know: what was lost or assumed, a sentence each.
    tolerance : float
        How far a probability may be from that of the other tool, relative to the larger of 1 and the raw prediction.
    score : callable, optional
        Takes named columns (arrays or lists, ``None`` where a cell is null) and returns the other tool's probabilities
        of the positive class, shape (rows,), or of every class, shape (rows, classes); NaN where it gives none.
        ``None`` where the other tool cannot be asked.
    verification : mapping, optional
        Rows that came with the file, as columns.
    expected : array, optional
        Their probabilities, as ``score`` would return them.
    unnamed : tuple of str
        The columns that the file has no names for, as they are called here.
    """

    document: dict[str, Any]
    notes: tuple[str, ...] = ()
    tolerance: float = 1e-12
    score: Score | None = None
    verification: Mapping[str, Any] | None = None
    expected: Floats | None = None
    unnamed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Importer:
    """One kind of file that can be imported.

    Attributes
    ----------
    kind : str
        Its name for ``--kind``.
    title : str
        To print after ``is``: ``an ONNX graph``.
    recognises : callable
        Takes the first bytes of a file and its name, and returns whether the file is of this kind.
    convert : callable
        Takes the path and the bytes of a file. Raises ``ModelError`` for what cannot be converted, and
        ``ConfigurationError`` if a package is not installed.
    package : str
        The package that scores rows with the file; empty where none does.
    instead : str
        What to do where no package scores rows.
    install : str
        How to get the package that scores rows; by default with the extra of this kind.
    """

    kind: str
    title: str
    recognises: Callable[[bytes, str], bool]
    convert: Callable[[Path, bytes], Imported | ImportedNetwork]
    package: str = ""
    instead: str = ""
    install: str = ""


def versioned(package: str) -> str:
    """Return the name of a package with its version, if it is installed."""
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return package


def _converted_by(module: str) -> Callable[[Path, bytes], Imported | ImportedNetwork]:
    """Return ``convert`` of a module of this room, which is loaded when a file of its kind is converted."""

    def convert(path: Path, data: bytes) -> Imported | ImportedNetwork:
        imported: Imported | ImportedNetwork = import_module(f"pipeline.conversion.{module}").convert(path, data)
        return imported

    return convert


def _begins(pattern: re.Pattern[bytes], ending: str = "") -> Callable[[bytes, str], bool]:
    """Return whether a file begins with a pattern, and its name ends in a text if one is given."""

    def recognises(head: bytes, name: str) -> bool:
        return pattern.match(head) is not None or bool(ending and head and name.lower().endswith(ending))

    return recognises


IMPORTERS: Mapping[str, Importer] = {
    each.kind: each
    for each in (
        Importer("onnx", "an ONNX graph", _begins(_ONNX, ".onnx"), _converted_by("onnx.reading"), "onnxruntime"),
        Importer(
            "pmml",
            "a PMML document",
            _begins(_PMML, ".pmml"),
            _converted_by("pmml.reading"),
            instead="the rows that the document brings for its verification are always compared",
        ),
        Importer(
            "vw",
            "a readable model of VW",
            _begins(_VW),
            _converted_by("vw"),
            instead="score them with the model, and compare with what vw --testonly --predictions writes",
        ),
        Importer("skops", "a skops file", _begins(_SKOPS, ".skops"), _converted_by("skops"), "scikit-learn"),
        Importer(
            "keras",
            "a Keras file",
            _begins(_KERAS, ".keras"),
            _converted_by("networks.keras.reading"),
            "keras",
            install="install keras and one of its backends",
        ),
    )
}
