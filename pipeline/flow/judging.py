"""What counted features mean: which of them end a run, which are worth a warning, and in which words."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from unicodedata import normalize

from pipeline.choices import UnseenCause
from pipeline.errors import DataError
from pipeline.types.features import (
    KEPT_CHARACTERS,
    KEPT_SPELLINGS,
    FeatureCount,
    FeatureCounts,
    FeatureFacts,
    FeatureWarning,
)
from pipeline.types.job import ShareLimits
from pipeline.units import escape, format_count, format_share

# Fewer values or rows are not judged, unless a limit was given.
LEAST_VALUES, LEAST_ROWS = 100, 1_000
# One value in so many is worth a warning.
_WARNED = 10

_MISSING = frozenset(
    ("", "na", "n/a", "#n/a", "#na", "<na>", "nan", "-nan", "null", "none", "nil", "nat", "-", "--", "?", ".", r"\n")
)
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

    ``csv`` says whether an input is CSV, whose spellings of null can be named.
    """

    max_unseen: ShareLimits
    max_missing: ShareLimits
    csv: bool

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
        cause = cause_of(count.spellings, feature.levels)
        levels = tuple(_nearby(count.spellings, feature.levels))
        place = f"column {escape(feature.column)}" if file is None else f"{file}: column {escape(feature.column)}"
        clauses = [
            f"{place}: {_many(count.unseen, values, 'values')} are levels that the model does not know",
            _listed(count, of_run=of_run),
            _known(levels, len(feature.levels)),
            "" if cause is None else self._likely(cause, count.spellings),
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

    def error(self, failing: Sequence[FeatureWarning], *, published: bool) -> DataError:
        """Return the error of a run that some features end; it tells all about the first of them.

        ``published`` says that the output is there already, made by a run with other limits.
        """
        first = failing[0]
        limits = self.max_unseen if first.lack == "unseen" else self.max_missing
        option, limit = f"--max-{first.lack}", limits.of(first.column)
        allowed = "" if limit is None else f" ({option} allows {float(100 * limit):g}%)"
        message = f"{first.text}{allowed}"
        if others := list(dict.fromkeys(escape(each.column, 40) for each in failing[1:])):
            message += f"\nthe same is true of {', '.join(others[:10])}" + (" and more" if len(others) > 10 else "")
        fix = "correct the column or the model" if first.lack == "unseen" else "correct the column"
        state = "the output that is published stays" if published else "nothing was published"
        remedy = f"{fix}, or allow it with {option} {_word(first.column)}=100%; {state}"
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

    def _likely(self, cause: UnseenCause, spellings: Mapping[str, int]) -> str:
        text = _LIKELY.get(cause, "")
        if cause == "backslashes" and self.csv:
            return rf"{text}: --escape '\'"
        if cause == "missing value":
            return f"they look like missing values: {_null_option(spellings) if self.csv else 'write nulls instead'}"
        return text


def _null_option(spellings: Mapping[str, int]) -> str:
    """Return the options that read the unseen values of a CSV that look missing as null."""
    found = [text for text, _ in FeatureCount(spellings=spellings).frequent if _looks_missing(text)]
    words = ",".join(_word(text) for text in found if text)
    if not words:
        return "--quoted-null"
    # Quotes are not counted, but an empty text was in quotes, because it would be null otherwise.
    in_quotes = ", too" if "" in found else " if they are in quotes"
    return f"--null {words} (and --quoted-null{in_quotes})"


def cause_of(spellings: Mapping[str, int], levels: Collection[str]) -> UnseenCause | None:
    """Return the likely cause of unseen values: the one of most of those whose spelling is known."""
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
        elif not are_words and re.fullmatch(_BOOLEAN_OR_DECIMAL, text.strip()):
            votes["boolean or decimal"] += count
        else:
            votes["other codes"] += count
    return votes.most_common(1)[0][0]


def _folded(text: str) -> str:
    return "".join(text[:KEPT_CHARACTERS].split()).casefold()


def _looks_missing(text: str) -> bool:
    return text.strip().casefold() in _MISSING


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


def _word(text: str) -> str:
    """Return a text as it is written on a command line."""
    return shlex.quote(escape(text))
