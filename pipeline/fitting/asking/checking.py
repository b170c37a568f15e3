"""Which columns the options of a fit may name: each has one use, and a rule is for a column of a feature."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from pipeline.errors import UsageError
from pipeline.fitting.asking.formula import term_columns, term_text
from pipeline.fitting.asking.job import ModelWishes
from pipeline.fitting.asking.terms import AllTerm, NumberTerm, Term
from pipeline.units import escape, nearest


def check_columns(model: ModelWishes) -> None:
    """Refuse a column with two uses that exclude each other, and an option for a column that no feature has.

    Where ``*`` is among the features, the second is not known yet.

    Raises
    ------
    UsageError
        Naming the column.
    """
    terms = [term for term in model.features if not isinstance(term, AllTerm)]
    for term in terms:
        if model.target in term_columns(term):
            raise UsageError(
                f"the target {escape(model.target)} is among the features, in {escape(term_text(term))}",
                "leave it out: it would predict itself",
            )
    _check_uses(model)
    if len(terms) == len(model.features):
        _check_options(model, terms)


def _check_uses(model: ModelWishes) -> None:
    taken: dict[str, str] = {}
    for use, column in {"target": model.target, "weight": model.weight, "offset": model.offset}.items():
        if column is not None and column in taken:
            raise UsageError(f"{escape(column)} is both {taken[column]} and {use}", "name two columns")
        if column is not None:
            taken[column] = use


def _check_options(model: ModelWishes, terms: Sequence[Term]) -> None:
    columns = tuple(dict.fromkeys(column for term in terms for column in term_columns(term)))
    # Only these have one coefficient, whose sign can be chosen.
    numbers = tuple(dict.fromkeys(term.column for term in terms if isinstance(term, NumberTerm)))
    among, number = "among the features", "a feature that is a number"
    _check_named("--control", model.controls, columns, among)
    _check_named("--missing", model.missing_of, columns, among)
    _check_named("--sign", model.signs, numbers, number)


def _check_named(option: str, named: Collection[str], known: Sequence[str], what: str) -> None:
    for column in named:
        if column not in known:
            raise UsageError(
                f"{option} names {escape(column)}, which is not {what}{nearest(column, known)}",
                "name a column of the --features",
            )
