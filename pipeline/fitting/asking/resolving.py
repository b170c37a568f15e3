"""The terms of a fit for some files: which columns ``*`` is, and which indicators a rule for missing values adds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import closing

import pyarrow as pa

from pipeline import compute as pc
from pipeline.errors import UsageError
from pipeline.fitting.asking.formula import term_columns
from pipeline.fitting.asking.job import FitJob, rule_of, terms_of
from pipeline.fitting.asking.terms import AllTerm, MissingTerm, NumberTerm, Term, term_factors
from pipeline.fitting.first_pass.dividing import ColumnComparison, parse_holdout
from pipeline.models.columns import unfit
from pipeline.scan import arrow_type, batches, shape_of, whole
from pipeline.types.inputs import CsvOptions, FileFacts, Need
from pipeline.units import escape, format_count

_NAMES_SHOWN = 10
# Rows of a CSV that tell whether a column has numbers.
_LOOKED_AT = 1_000


def resolved(job: FitJob, files: Sequence[FileFacts]) -> tuple[tuple[Term, ...], tuple[str, ...]]:
    """Return the terms of a fit, and what ``*`` left out and why, in words for a person.

    Raises
    ------
    UsageError
        ``*`` means no column.
    """
    named = terms_of(job)
    if len(named) == len(job.model.features):
        return with_indicators(job, named), ()
    numeric, left_out = _every_number(job, named, files)
    if not numeric and not named:
        raise UsageError(
            f"--features *: the files have no numeric column to fit; there are {_why_not(left_out)}",
            "name the features: C(NAME) for levels",
        )
    terms: list[Term] = []
    for term in job.model.features:
        terms += map(NumberTerm, numeric) if isinstance(term, AllTerm) else [term]
    return with_indicators(job, tuple(dict.fromkeys(terms))), (_note(numeric, left_out),)


def with_indicators(job: FitJob, terms: tuple[Term, ...]) -> tuple[Term, ...]:
    """Return terms with an indicator behind each first use of a column of numbers whose missing values have one."""
    found: dict[Term, None] = {}
    for term in terms:
        found.setdefault(term)
        for factor in term_factors(term):
            if isinstance(factor, NumberTerm) and rule_of(job, factor.column) == "indicator":
                found.setdefault(MissingTerm(factor.column))
    return tuple(found)


def _every_number(
    job: FitJob, named: Sequence[Term], files: Sequence[FileFacts]
) -> tuple[list[str], dict[str, list[str]]]:
    """Return the columns that ``*`` means, and the others by the reason why not."""
    taken = {name: "used otherwise" for term in named for name in term_columns(term)} | dict(_roles(job))
    reasons: dict[str, str] = {}
    for name, reason in _kinds(job, files):
        reasons[name] = reasons.get(name) or reason
    numeric: list[str] = []
    left_out: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        if why := taken.get(name, reason):
            left_out.setdefault(why, []).append(name)
        else:
            numeric.append(name)
    return numeric, left_out


def _roles(job: FitJob) -> Iterator[tuple[str, str]]:
    model, solve = job.model, job.solve
    holdout = None if solve.holdout is None else parse_holdout(solve.holdout)
    compared = holdout.column if isinstance(holdout, ColumnComparison) else None
    yield model.target, "the target"
    for name, what in (
        (model.weight, "the weight"),
        (model.offset, "the offset"),
        (solve.key, "the key"),
        (solve.robust_groups, "the groups"),
        (compared, "the hold-out"),
    ):
        if name is not None:
            yield name, what


def _kinds(job: FitJob, files: Sequence[FileFacts]) -> Iterator[tuple[str, str]]:
    """Yield the columns of the files, each with why it is no number, or nothing; files with equal schemas once."""
    seen: set[object] = set()
    types = dict(job.data.csv.types)
    for facts in files:
        for name, _ in facts.file.partitions:
            yield name, "of the path"
        shape = shape_of(facts)
        if shape is not None and shape in seen:
            continue
        seen.add(shape)
        if facts.file.format == "csv":
            yield from _csv_kinds(job, facts)
            continue
        for column in facts.columns:
            type_ = arrow_type(types[column.field.name]) if column.field.name in types else column.field.type
            yield column.field.name, _reason(unfit("numeric", type_) is None)


def _csv_kinds(job: FitJob, facts: FileFacts) -> Iterator[tuple[str, str]]:
    """Yield the columns of a CSV; one is numeric if a type says so, or the first rows have numbers alone in it."""
    csv, types = job.data.csv, dict(job.data.csv.types)
    names = [column.field.name for column in facts.columns if column.field.name]
    untyped = [name for name in names if name not in types and names.count(name) == 1]
    needs = [Need(name, "categorical") for name in untyped]
    with closing(batches(facts.file, facts.identity, whole(facts), needs, csv=csv)) as rows:
        first = next((batch.data for batch in rows if batch.data.num_rows), None)
    columns = () if first is None else first.columns
    numeric = {name for name, column in zip(untyped, columns, strict=False) if _are_numbers(column, csv)}
    for name in names:
        is_number = unfit("numeric", arrow_type(types[name])) is None if name in types else name in numeric
        yield name, _reason(is_number) if names.count(name) == 1 else "there twice"
    if nameless := sum(not column.field.name for column in facts.columns):
        yield f"{format_count(nameless)} column{'' if nameless == 1 else 's'}", "without a name"


def _reason(is_number: bool) -> str:
    return "" if is_number else "not numeric"


def _are_numbers(array: pa.Array, csv: CsvOptions) -> bool:
    """Return whether texts are numbers as a CSV writes them."""
    values = array.slice(0, _LOOKED_AT).drop_null()
    if not len(values):
        return False
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if csv.thousands:
        sign = re.escape(csv.thousands)
        grouped = f"^[+-]?[0-9]{{1,3}}(?:{sign}[0-9]{{3}})+(?:[^0-9{sign}].*)?$"
        wrong = pc.and_not(pc.match_substring(values, csv.thousands), pc.match_substring_regex(values, grouped))
        if pc.any(wrong).as_py():
            return False
        values = pc.replace_substring(values, csv.thousands, "")
    if csv.decimal != ".":
        if pc.any(pc.match_substring(values, ".")).as_py():
            return False
        values = pc.replace_substring(values, csv.decimal, ".")
    try:
        values.cast(pa.float64())
    except pa.ArrowInvalid:
        return False
    return bool(len(values))


def _note(numeric: Sequence[str], left_out: dict[str, list[str]]) -> str:
    text = f"* is {format_count(len(numeric))} numeric column{'' if len(numeric) == 1 else 's'}: {_listed(numeric)}"
    return f"{text}; left out: {_why_not(left_out)}" if left_out else text


def _why_not(left_out: dict[str, list[str]]) -> str:
    return ", ".join(f"{_listed(names)} ({why})" for why, names in left_out.items())


def _listed(names: Sequence[str]) -> str:
    more = f" and {format_count(len(names) - _NAMES_SHOWN)} more" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(map(escape, names[:_NAMES_SHOWN])) + more
