"""Every closed list of words, each with its check: formats, policies, roles of columns, causes of bad rows."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final, Generic, Literal, TypeVar, get_args

from pipeline.dataclass import dataclass
from pipeline.errors import UsageError
from pipeline.units import escape, nearest, parse_seconds, quoted

Format = Literal["parquet", "csv"]
Role = Literal["numeric", "boolean", "categorical", "sequence", "kept"]
Precision = Literal["fast", "accurate", "reproducible"]
IfExists = Literal["fail", "replace"]
IfRunning = Literal["fail", "skip", "wait"]
Durability = Literal["full", "none"]
Fingerprint = Literal["ends", "full"]
Absent = Literal["error", "null"]
Compression = Literal["snappy", "zstd", "lz4", "gzip", "brotli", "none"]
Done = Literal["computed", "resumed", "reused"]
Foreign = Literal["onnx", "pmml", "vw", "skops", "keras"]
Cause = Literal[
    "ragged",
    "escaped delimiter",
    "open quote",
    "behind quote",
    "comment",
    "too long",
    "nul byte",
    "undecodable",
    "no number",
    "boolean for a number",
    "number for a boolean",
    "decimal for a boolean",
    "decimal comma",
    "decimal point",
    "thousands",
    "groups of digits",
    "null for a number",
    "other type",
    "null for a type",
    "null in quotes",
    "out of range",
    "inexact",
    "not as in path",
    "missing refused",
    "missing set aside",
    "unseen refused",
    "unseen set aside",
    "outside domain",
    "missing in fit",
    "infinite",
    "outside steps",
    "target missing",
    "target unknown",
    "target not binary",
    "probability refused",
    "weight missing",
    "weight refused",
    "offset missing",
    "offset infinite",
    "group missing",
    "no comparison",
    "partial step",
    "inexact step",
    "steps differ",
    "too many steps",
    "missing step refused",
    "missing step set aside",
]
Hint = Literal["repeats the header", "looks like a header"]
MissingRule = Literal["error", "impute-mean", "impute-median", "indicator", "drop"]
MissingTarget = Literal["error", "drop"]
WhichRows = Literal["all", "held-out"]
SolverName = Literal["auto", "newton", "newton-cg", "owlqn", "gradient"]
Link = Literal["logit", "probit", "cloglog", "loglog", "cauchit"]
Target = Literal["sql", "onnx", "pmml", "python", "safetensors"]
Dialect = Literal["duckdb", "postgresql", "spark"]
Initialisation = Literal["normal", "glorot", "he"]
Optimizer = Literal["adam", "sgd"]
CalibrationMethod = Literal["platt", "temperature", "beta", "isotonic"]
Lack = Literal["missing", "unseen"]
UnseenCause = Literal["case or blanks", "missing value", "boolean or decimal", "backslashes", "accents", "other codes"]

# Classes get weights that make each of them count alike.
BALANCED: Final = "balanced"
_SIGNS = {"+": 1, "-": -1}

Word = TypeVar("Word", bound=str)


@dataclass(frozen=True, slots=True)
class Choice(Generic[Word]):
    """The words that an option accepts.

    Attributes
    ----------
    option : str
        The name of the option in Python. The command line checks its words itself.
    words : tuple of str
        The default comes first.
    """

    option: str
    words: tuple[Word, ...]

    def check(self, word: object) -> Word:
        """Return the word, if it is one of the list.

        Raises
        ------
        UsageError
            It is not in the list; the message names the nearest word.
        """
        for known in self.words:
            if word == known:
                return known
        found = escape(word) if isinstance(word, str) else escape(repr(word))
        raise UsageError(
            f"{self.option} {found}: there is no such choice{nearest(found, self.words)}",
            f"choose {listed(self.words)}",
        )


def listed(words: Iterable[str]) -> str:
    """Return words as a list in a sentence: ``fast, accurate or reproducible``."""
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else last


FORMAT: Choice[Format] = Choice("format", get_args(Format))
PRECISION: Choice[Precision] = Choice("precision", get_args(Precision))
IF_EXISTS: Choice[IfExists] = Choice("if_exists", get_args(IfExists))
IF_RUNNING: Choice[IfRunning] = Choice("if_running", get_args(IfRunning))
DURABILITY: Choice[Durability] = Choice("durability", get_args(Durability))
ABSENT: Choice[Absent] = Choice("absent", get_args(Absent))
FINGERPRINT: Choice[Fingerprint] = Choice("fingerprint", get_args(Fingerprint))
COMPRESSION: Choice[Compression] = Choice("compression", get_args(Compression))
TO: Choice[Target] = Choice("to", get_args(Target))
DIALECT: Choice[Dialect] = Choice("dialect", get_args(Dialect))
MISSING: Choice[MissingRule] = Choice("missing", get_args(MissingRule))
MISSING_TARGET: Choice[MissingTarget] = Choice("missing_target", get_args(MissingTarget))
ROWS: Choice[WhichRows] = Choice("rows", get_args(WhichRows))
SOLVER: Choice[SolverName] = Choice("solver", get_args(SolverName))
INITIALISATION: Choice[Initialisation] = Choice("initialisation", get_args(Initialisation))
OPTIMIZER: Choice[Optimizer] = Choice("optimizer", get_args(Optimizer))
METHOD: Choice[CalibrationMethod] = Choice("method", get_args(CalibrationMethod))
KIND: Choice[Foreign] = Choice("kind", get_args(Foreign))


def parse_if_running(text: str) -> tuple[IfRunning, float | None]:
    """Return what to do while another run works on the output, and how many seconds to wait at most.

    ``wait=10m`` gives ``("wait", 600)``.

    Raises
    ------
    UsageError
        The text is not ``fail``, ``skip``, ``wait``, or ``wait=`` and a duration.
    """
    word, equals, duration = text.partition("=")
    choice = next((known for known in IF_RUNNING.words if known == word), None)
    if choice is None or (equals and choice != "wait"):
        raise UsageError(f"{quoted(text)} is neither fail, skip nor wait", "write fail, skip, wait or wait=10m")
    return choice, parse_seconds(duration) if equals else None


def parse_missing_rule(text: str) -> tuple[str | None, MissingRule]:
    """Return ``(None, rule)`` for a rule, ``(column, rule)`` for one of a column: ``age=drop``.

    Raises
    ------
    UsageError
        There is no such rule.
    """
    column, equals, rule = text.rpartition("=")
    if equals and not column:
        raise UsageError(f"{quoted(text)} names no column", "write a rule (drop), or one of a column (age=drop)")
    return column if equals else None, MISSING.check(rule.strip())


def parse_sign(text: str) -> tuple[str, int]:
    """Return ``(column, 1)`` for ``distance=+`` and ``(column, -1)`` for ``distance=-``.

    Raises
    ------
    UsageError
        The text is not a column, ``=`` and one of the two signs.
    """
    column, _, sign = text.rpartition("=")
    if not column or sign.strip() not in _SIGNS:
        raise UsageError(f"{quoted(text)} is not COLUMN=+ or COLUMN=-", "write distance=+ or distance=-")
    return column, _SIGNS[sign.strip()]


def parse_class_weight(text: str) -> tuple[str, float] | None:
    """Return ``(value, weight)`` for ``late=3``, ``None`` for ``balanced``.

    Raises
    ------
    UsageError
        The text is neither, or the weight is not a positive number.
    """
    value, equals, weight = text.rpartition("=")
    if not equals and text.strip() == BALANCED:
        return None
    try:
        number = float(weight) if value else math.nan
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise UsageError(
            f"{quoted(text)} is neither balanced nor VALUE=WEIGHT", "write balanced, or a positive weight: late=3"
        )
    return value, number


def parse_costs(text: str) -> tuple[float, float]:
    """Return what a false positive and a false negative cost: ``fp=1,fn=5`` gives ``(1, 5)``.

    Raises
    ------
    UsageError
        One of the two is missing or there twice, or a cost is negative or not finite; or both are 0.
    """
    found: dict[str, float] = {}
    for part in text.split(","):
        name, _, number = map(str.strip, part.partition("="))
        try:
            cost = float(number)
        except ValueError:
            cost = math.nan
        if name in {"fp", "fn"} - found.keys() and 0 <= cost < math.inf:
            found[name] = cost
        else:
            found.clear()
            break
    if len(found) != 2 or not any(found.values()):
        raise UsageError(
            f"{quoted(text)} does not say what a false positive and a false negative cost",
            "write fp=1,fn=5, with costs that are not negative",
        )
    return found["fp"], found["fn"]


def parse_limits(text: str) -> dict[str, float]:
    """Return the limits of ``auc=0.7,ks=0.3``, by measure.

    Raises
    ------
    UsageError
        It is not written so.
    """
    found: dict[str, float] = {}
    for part in text.split(","):
        name, equals, number = part.partition("=")
        try:
            limit = float(number) if equals else math.nan
        except ValueError:
            limit = math.nan
        if not name.strip() or not math.isfinite(limit):
            raise UsageError(f"{quoted(part)} is not MEASURE=NUMBER", "write auc=0.7, or auc=0.7,ks=0.3")
        if name.strip() in found:
            raise UsageError(f"{escape(name.strip())} has two limits", "give one")
        found[name.strip()] = limit
    return found
