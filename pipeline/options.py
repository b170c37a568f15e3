"""The options of the functions: their names and types, their defaults, and what each of them means.

Signatures and docstrings are made from here, so that ``help`` and ``inspect.signature`` show every option. The command
line has the same options under the same names.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from textwrap import fill
from types import NoneType, UnionType
from typing import Any, Literal, TypedDict, TypeVar, Union, get_args, get_origin, get_type_hints

from pipeline.choices import Durability, Fingerprint, Format, IfExists, Precision
from pipeline.plan import DEFAULT_CHUNK_ROWS
from pipeline.types.report import Observer
from pipeline.units import nearest

Function = TypeVar("Function", bound=Callable[..., Any])
Given = TypeVar("Given", bound=Mapping[str, Any])

_WIDTH = 100


class ConductOptions(TypedDict, total=False):
    """Options that say how a run goes about its work; they never change a byte of what it writes."""

    resume: bool
    reuse: bool
    if_running: str
    deadline: float | str | None
    retries: int
    durability: Durability
    keep_versions: int


class JobOptions(ConductOptions, total=False):
    """Options of every job."""

    keep: str | Sequence[str]
    float32: bool
    limit: int | None
    max_bad: int | str
    fingerprint: Fingerprint
    delimiter: str
    quote: str
    null: str | Sequence[str]
    encoding: str
    columns: str | Sequence[str] | None
    types: Mapping[str, str]
    chunk_size: int | str
    workers: int | None
    memory: int | str | None
    scheduler: str
    insecure: bool
    precision: Precision
    format: Format | None
    compression: str | None
    if_exists: IfExists
    allow_empty: bool
    observe: Observer | None


class ScoreOptions(JobOptions, total=False):
    """Options of a scoring job."""

    raw_prediction: bool
    threshold: float | None


class WriteOptions(ConductOptions, total=False):
    """Options of :meth:`pipeline.Dataset.write`: how the inputs are read and cut was decided when they were opened."""

    keep: str | Sequence[str]
    workers: int | None
    memory: int | str | None
    scheduler: str
    insecure: bool
    format: Format | None
    compression: str | None
    if_exists: IfExists
    allow_empty: bool
    observe: Observer | None


class StreamOptions(TypedDict, total=False):
    """Options of :func:`pipeline.transform_stream`."""

    names: str | Sequence[str] | None
    keep: str | Sequence[str]
    float32: bool
    precision: Precision
    chunk_size: int
    format: Format | None
    compression: str | None
    if_exists: IfExists
    if_running: str
    deadline: float | str | None
    durability: Durability
    keep_versions: int
    observe: Observer | None


@dataclass(frozen=True, slots=True)
class Option:
    """The default of an option, and what it means."""

    default: Any
    meaning: str


OPTIONS: Mapping[str, Option] = {
    "names": Option(None, "Names for the columns of arrays; ``x``, or ``x0``, ``x1`` ... unless given."),
    "keep": Option(
        (), 'Columns to copy to the output: a list, or one text with commas between the names; ``"*"`` for all.'
    ),
    "raw_prediction": Option(False, "Add the column ``raw_prediction``, the value before the sigmoid."),
    "threshold": Option(None, "Add the column ``decision``: positive where the probability is at least this."),
    "float32": Option(False, "Write results as float32 instead of float64."),
    "limit": Option(None, "Read at most this many rows, from the first one on."),
    "max_bad": Option(
        0,
        'How many rows may be bad, as a number or a percentage (``"0.5%"``): they go to the quarantine. With more, '
        "the run fails.",
    ),
    "fingerprint": Option(
        "ends", "How a changed input is noticed: by its size, time and first and last bytes, or by all of its bytes."
    ),
    "delimiter": Option(",", "What separates two fields of a CSV."),
    "quote": Option('"', "What encloses a CSV field that contains delimiters or line ends."),
    "null": Option((), "Unquoted texts that mean null in a CSV. The empty field always does."),
    "encoding": Option("utf-8", "The text encoding of a CSV."),
    "columns": Option(None, "The column names, for CSV files without a header."),
    "types": Option(
        {}, 'Arrow types of CSV columns or partitions, such as ``{"id": "int64"}``; kept ones are text otherwise.'
    ),
    "chunk_size": Option(
        DEFAULT_CHUNK_ROWS,
        'The size of a chunk, and so of an output file: rows (``500_000``) or bytes (``"64MiB"``).',
    ),
    "workers": Option(None, "How many chunks are processed at the same time; one a core unless given."),
    "memory": Option(
        None,
        'The most memory that the run may use: bytes, or text (``"2GiB"``); half of what is free unless given.',
    ),
    "scheduler": Option(
        "threads",
        "``threads``, ``processes``, ``sync`` (one chunk after the other), or the address of a Dask scheduler "
        "(``tcp://HOST:PORT``).",
    ),
    "insecure": Option(
        False, "Use a scheduler on another machine, although anyone who can reach its port can run code there."
    ),
    "precision": Option(
        "fast",
        "``accurate`` is for tiny probabilities; ``reproducible`` gives the same bits on every CPU and numpy version, "
        "more slowly.",
    ),
    "resume": Option(True, "Take over the chunks that an earlier attempt at the same job has finished."),
    "reuse": Option(True, "Take over the parts of the published output that would come out the same."),
    "if_running": Option(
        "fail",
        "What to do while another run works on the output: ``fail``, ``skip``, ``wait``, or ``wait=10m`` to wait no "
        "longer than that.",
    ),
    "deadline": Option(
        None, 'Stop cleanly after this time, in seconds or as text (``"3h"``); the same call later resumes the work.'
    ),
    "retries": Option(3, "How often a chunk is tried again after an error that may pass."),
    "format": Option(None, "The format of the output; unless given, that of the file name, for a folder Parquet."),
    "compression": Option(
        None,
        "``snappy``, ``zstd``, ``lz4``, ``gzip``, ``brotli`` or ``none``; for CSV ``none``, ``gzip`` or ``zstd``. "
        "Unless given, ``snappy``, and ``none`` for CSV.",
    ),
    "if_exists": Option("fail", "What to do if the output exists: ``replace`` publishes a new version in one step."),
    "allow_empty": Option(False, "Publish an output without rows if no input has any."),
    "keep_versions": Option(1, "How many previous versions are kept for ``rollback``."),
    "durability": Option(
        "full", "``full`` survives a power cut; ``none`` lets the system decide when the bytes reach the disk."
    ),
    "observe": Option(None, "A function that is called with each event of the run."),
}


def check_names(given: Iterable[str], options: type) -> None:
    """Refuse a name that is not among the options of a function.

    Raises
    ------
    TypeError
        There is no such option; the message has the nearest one, or all that there are.
    """
    known = _names(options)
    for name in given:
        if name not in known:
            there = nearest(name, known) or f"; there are {', '.join(known)}"
            raise TypeError(f"there is no option {name!r}{there}")


def completed(given: Given) -> Given:
    """Return options with the defaults of those that were not given."""
    return {name: option.default for name, option in OPTIONS.items()} | dict(given)  # type: ignore[return-value]


def documented(options: type, **meanings: str) -> Callable[[Function], Function]:
    """Return a decorator that puts the options of a function into its signature and its docstring.

    Parameters
    ----------
    options : type
        The ``TypedDict`` of the options; in the docstring they replace the line ``**options : NAME``.
    **meanings : str
        What an option means, where that differs from what it means elsewhere.
    """
    hints = get_type_hints(options)
    names = _names(options)

    def decorate(function: Function) -> Function:
        signature = inspect.signature(function)
        shown = [
            parameter.replace(annotation=parameter.empty)
            for parameter in signature.parameters.values()
            if parameter.kind is not parameter.VAR_KEYWORD
        ]
        keyword = inspect.Parameter.KEYWORD_ONLY
        shown += [inspect.Parameter(name, keyword, default=OPTIONS[name].default) for name in names]
        function.__signature__ = signature.replace(parameters=shown)  # type: ignore[attr-defined]
        if function.__doc__:
            described = "\n".join(_described(name, hints[name], meanings.get(name)) for name in names)
            text = inspect.cleandoc(function.__doc__)
            function.__doc__ = text.replace(f"**options : {options.__name__}", described)
        return function

    return decorate


def _names(options: type) -> list[str]:
    return [name for name in OPTIONS if name in options.__annotations__]


def _described(name: str, hint: Any, meaning: str | None) -> str:
    default = OPTIONS[name].default
    given = f"default {default!r}" if isinstance(default, bool | int | str) else "optional"
    text = fill(meaning or OPTIONS[name].meaning, _WIDTH, initial_indent="    ", subsequent_indent="    ")
    return f"{name} : {_words(hint)}, {given}\n{text}"


def _words(hint: Any) -> str:
    """Return a type as a docstring has it: ``int or str``, ``sequence of str``, ``{'fail', 'replace'}``."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        return f"{{{', '.join(map(repr, inner))}}}"
    if origin in {Union, UnionType}:
        return " or ".join(_words(each) for each in inner if each is not NoneType)
    if origin is None:
        return str(hint.__name__)
    words = {Sequence: "sequence of", Mapping: "mapping of", Callable: "callable"}[origin]
    return words if origin is Callable else f"{words} {' to '.join(_words(each) for each in inner)}"
