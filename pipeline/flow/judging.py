"""What counted features mean: which of them end a run, which are worth a warning, and in which words."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from unicodedata import normalize

from pipeline.choices import UnseenCause
from pipeline.dataclass import dataclass
from pipeline.errors import DataError
from pipeline.models.levels import level_value, value_of
from pipeline.types.features import (
    KEPT_CHARACTERS,
    KEPT_SPELLINGS,
    FeatureCount,
    FeatureCounts,
    FeatureFacts,
    FeatureWarning,
)
from pipeline.types.inputs import USUAL_NULLS, CsvOptions
from pipeline.types.job import ShareLimits
from pipeline.units import escape, format_count, format_share, join_texts

# Fewer values or rows are not judged, unless a limit was given.
LEAST_VALUES, LEAST_ROWS = 100, 1_000
# One value in so many is worth a warning.
_WARNED = 10

_COMMA, _POINT = ",", "."
# Compiled where it is needed, which is seldom.
_BOOLEAN_OR_DECIMAL = r"(?i)true|false|yes|no|on|off|[tfyn]|[+-]?(\d+[.,]\d*|[.,]\d+)(e[+-]?\d+)?|[+-]?\d+e[+-]?\d+"
_LIKELY: Mapping[UnseenCause, str] = {
    "case or blanks": "they differ from known levels only in case or blanks",
    "boolean or decimal": (
        "they are booleans or decimals, the levels are not: write the column as it was written for the fit"
    ),
    "backslashes": "they differ from known levels only in backslashes",
    "accents": "they differ from known levels only in how accents are encoded: write both in NFC",
    "other codes": "they seem to come from another list of codes",
}
_ESCAPED = r"""\\(["'\\])"""


@dataclass(frozen=True, slots=True)
class Judge:
    """Decides by the limits of a run, and says what was found.

    ``csv`` are the options of CSV inputs, which a warning may tell to change; ``None`` if no input is CSV.
    """

    max_unseen: ShareLimits
    max_missing: ShareLimits
    csv: CsvOptions | None

    def warnings(self, features: Iterable[FeatureFacts], counts: FeatureCounts) -> Iterator[FeatureWarning]:
        """Yield what is wrong with features in counted rows, in the order of the model."""
        for feature in features:
            count = counts.of(feature.column)
            if (fails := self._is_unseen(feature, count, counts.rows)) is not None:
                yield replace(self.unseen(feature, count, counts.rows - count.missing), fails=fails)
            if self._is_missing(feature, count, counts.rows):
                yield replace(self.missing(feature, count, counts.rows), fails=True)

    def unseen(
        self, feature: FeatureFacts, count: FeatureCount, values: int, file: str | None = None, *, of_run: bool = False
    ) -> FeatureWarning:
        """Return the warning about unseen values; ``of_run`` says that the spellings are not those of the file."""
        decimal = self._other_decimal(feature, count.spellings)
        cause = (
            "boolean or decimal"
            if decimal
            else cause_of(count.spellings, feature.levels, reads_numbers=feature.levels_are_numbers)
        )
        levels = tuple(_nearby(count.spellings, feature.levels))
        place = f"column {escape(feature.column)}" if file is None else f"{file}: column {escape(feature.column)}"
        clauses = [
            f"{place}: {_many(count.unseen, values, 'values')} are levels that the model does not know",
            _listed(count, of_run=of_run),
            _known(levels, len(feature.levels)),
            f"their decimal sign is another: --decimal {decimal}" if decimal else self._likely(cause, count.spellings),
        ]
        return FeatureWarning(
            lack="unseen",
            column=feature.column,
            count=count.unseen,
            of=values,
            text="; ".join(filter(None, clauses)),
            file=file,
            frequent=count.frequent,
            levels=levels,
            known=len(feature.levels),
            cause=cause,
        )

    def missing(self, feature: FeatureFacts, count: FeatureCount, rows: int) -> FeatureWarning:
        """Return the warning about missing values."""
        text = f"column {escape(feature.column)}: there is no value in {_many(count.missing, rows, 'rows')}"
        return FeatureWarning("missing", feature.column, count.missing, rows, text)

    def error(self, failing: Sequence[FeatureWarning], end: str) -> DataError:
        """Return the error of a run that some features end; it tells all about the first of them.

        ``end`` says how that leaves things.
        """
        first = failing[0]
        limits = self.max_unseen if first.lack == "unseen" else self.max_missing
        option, limit = f"--max-{first.lack}", limits.of(first.column)
        allowed = "" if limit is None else f" ({option} allows {float(100 * limit):g}%)"
        message = f"{first.text}{allowed}"
        columns = [each.column for each in failing if each.column != first.column]
        if others := list(dict.fromkeys(escape(column, 40) for column in columns)):
            message += f"\nthe same is true of {', '.join(others[:10])}" + (" and more" if len(others) > 10 else "")
        fix = "correct the column or the model" if first.lack == "unseen" else "correct the column"
        remedy = f"{fix}, or allow it with {option} {_word(first.column)}=100%; {end}"
        return DataError(message, remedy).at(column=first.column)

    def _is_unseen(self, feature: FeatureFacts, count: FeatureCount, rows: int) -> bool | None:
        """Return whether unseen values end the run; ``None`` if they are not even worth a warning."""
        values = rows - count.missing
        limit = self.max_unseen.of(feature.column)
        if not count.unseen:
            return None
        if limit is not None:
            return True if count.unseen > limit * values else None
        if values < LEAST_VALUES or _WARNED * count.unseen < values:
            return None
        return count.unseen == values

    def _is_missing(self, feature: FeatureFacts, count: FeatureCount, rows: int) -> bool:
        limit = self.max_missing.of(feature.column)
        if limit is not None:
            return count.missing > limit * rows
        return count.missing == rows >= LEAST_ROWS and not feature.refuses_missing

    def _likely(self, cause: UnseenCause | None, spellings: Mapping[str, int]) -> str:
        text = "" if cause is None else _LIKELY.get(cause, "")
        if cause == "backslashes" and self.csv:
            return rf"{text}: --escape '\'"
        if cause != "missing value":
            return text
        if self.csv is None:
            return "they look like missing values: write nulls instead"
        words = [text for text, _ in FeatureCount(spellings=spellings).frequent if _looks_missing(text)]
        return f"they look like missing values: {_null_options(words, self.csv)}"

    def _other_decimal(self, feature: FeatureFacts, spellings: Mapping[str, int]) -> str | None:
        """Return the decimal sign with which most unseen values are known levels; it can be given as it is."""
        if self.csv is None or not feature.levels_are_numbers:
            return None
        sign = _POINT if self.csv.decimal == _COMMA else _COMMA
        if sign in {self.csv.delimiter, self.csv.quote, self.csv.thousands}:
            return None
        known = {level_value(level, "number") for level in feature.levels}
        values = {text: value_of(text, "number", sign) for text in spellings if sign in text}
        found = sum(spellings[text] for text, value in values.items() if value is not None and value in known)
        return sign if 2 * found > sum(spellings.values()) else None


def cause_of(
    spellings: Mapping[str, int], levels: Collection[str], *, reads_numbers: bool = False
) -> UnseenCause | None:
    """Return the likely cause of unseen values: the one of most of those whose spelling is known.

    ``reads_numbers`` says that cells are read as numbers: then 2.0 is 2, and how it is spelled is not the cause.
    """
    if not spellings:
        return None
    folded = {_folded(level) for level in levels}
    composed = {normalize("NFC", level) for level in folded}
    are_words = any(re.fullmatch(_BOOLEAN_OR_DECIMAL, level.strip()) for level in levels)
    votes: Counter[UnseenCause] = Counter()
    for text, count in spellings.items():
        if _folded(text) in folded:
            votes["case or blanks"] += count
        elif _looks_missing(text):
            votes["missing value"] += count
        elif (plain := re.sub(_ESCAPED, r"\1", text)) != text and _folded(plain) in folded:
            votes["backslashes"] += count
        elif normalize("NFC", _folded(text)) in composed:
            votes["accents"] += count
        elif reads_numbers and value_of(text, "integer") is not None:
            votes["other codes"] += count
        elif not are_words and re.fullmatch(_BOOLEAN_OR_DECIMAL, text.strip()):
            votes["boolean or decimal"] += count
        else:
            votes["other codes"] += count
    return votes.most_common(1)[0][0]


def _null_options(words: Sequence[str], csv: CsvOptions) -> str:
    """Return the options that make words null, in addition to those that are null already."""
    new = [word for word in words if word not in csv.spellings]
    if not new:
        # They are null without quotes.
        return "--quoted-null"
    option = f"--null {_word(join_texts([*filter(None, csv.nulls), *new]), 1000)}"
    return option if csv.quoted_null else f"{option}, and --quoted-null if they are in quotes"


def _folded(text: str) -> str:
    return "".join(text[:KEPT_CHARACTERS].split()).casefold()


def _looks_missing(text: str) -> bool:
    return text.strip().casefold() in USUAL_NULLS


def _nearby(spellings: Mapping[str, int], levels: Collection[str]) -> Iterator[str]:
    """Yield five levels: first those that unseen values differ from in case or blanks, then the first of the model."""
    wanted = {_folded(text) for text in spellings}
    near = [level for level in levels if _folded(level) in wanted][:KEPT_SPELLINGS]
    yield from near
    others = (level for level in levels if level not in near)
    yield from (level for _, level in zip(range(KEPT_SPELLINGS - len(near)), others, strict=False))


def _many(count: int, of: int, noun: str) -> str:
    if count == of:
        return f"all {format_count(of)} {noun} (100%)"
    return f"{format_count(count)} of {format_count(of)} {noun} ({format_share(count, of)})"


def _listed(count: FeatureCount, *, of_run: bool) -> str:
    if not count.frequent:
        return ""
    exact = not of_run and sum(count.spellings.values()) == count.unseen
    shown = ", ".join(
        f"{_quoted(text)} ({'' if exact else 'at least '}{format_count(n)})" for text, n in count.frequent
    )
    return f"most frequent{' in the run' if of_run else ''}: {shown}"


def _known(levels: Sequence[str], known: int) -> str:
    more = f" and {format_count(known - len(levels))} more" if known > len(levels) else ""
    return f"known levels: {', '.join(_quoted(level) for level in levels)}{more}"


def _quoted(text: str) -> str:
    return f"'{escape(text, KEPT_CHARACTERS)}'"


def _word(text: str, limit: int = 120) -> str:
    """Return a text as it is written on a command line."""
    return shlex.quote(escape(text, limit))
