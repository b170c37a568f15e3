"""Polars, streaming from scan to sink.

FORM has one word for the sum, ``nested``, one expression in the order of the model file, or ``horizontal``,
``sum_horizontal`` over the terms; and after a hyphen one for levels, ``replace``, ``replace_strict`` on the column, or
``join``, a left join with a table of the weights.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
from work import THRESHOLD, Text, Work, told


def scan(work: Work) -> pl.LazyFrame:
    """Return the rows. A user of CSV names the types too: inferring them takes another look at the file."""
    if not work.csv:
        return pl.scan_parquet(work.pattern)
    types = {name: pl.Int64 if name.startswith("i") else pl.Float64 for name in work.weights}
    return pl.scan_csv(work.pattern, schema_overrides={"id": pl.Int64} | types)


def with_weights(rows: pl.LazyFrame, text: Text) -> pl.LazyFrame:
    """Return the rows with the weight of each one's level, null where it has none, as another column."""
    table = {text.column: list(text.weights), f"{text.column} weight": list(text.weights.values())}
    return rows.join(pl.LazyFrame(table), on=text.column, how="left")


def of_levels(text: Text, lookup: str) -> pl.Expr:
    """Return the term of a categorical column."""
    if lookup == "replace":
        levels: list[str | None] = [*text.weights, None]
        weights = [*text.weights.values(), text.missing]
        return pl.col(text.column).replace_strict(levels, weights, default=text.unseen, return_dtype=pl.Float64)
    weight = pl.col(f"{text.column} weight")
    if text.unseen is None and text.missing is None:
        return weight
    known = weight if text.unseen is None else weight.fill_null(text.unseen)
    return pl.when(pl.col(text.column).is_null()).then(text.missing).otherwise(known)


def terms(work: Work, singles: Sequence[str], lookup: str) -> list[pl.Expr]:
    """Return the terms in the order of the model file."""
    found = []
    for number in work.numbers:
        column = pl.col(number.column)
        if number.column in singles:
            column = column.cast(pl.Float64)
        if number.impute is not None:
            column = column.fill_null(number.impute)
        found.append(column * number.weight)
    return found + [of_levels(text, lookup) for text in work.texts]


def total(intercept: float, summands: Sequence[pl.Expr], form: str) -> pl.Expr:
    """Return the sum, null where a summand is."""
    if form == "horizontal":
        return pl.sum_horizontal(pl.lit(intercept), *summands, ignore_nulls=False)
    result = pl.lit(intercept)
    for summand in summands:
        result = result + summand
    return result


def main(work: Work) -> None:
    """Score."""
    form, _, lookup = work.form.partition("-")
    rows = scan(work)
    singles = [] if work.csv else [name for name, kind in rows.collect_schema().items() if kind == pl.Float32]
    if lookup == "join":
        for text in work.texts:
            rows = with_weights(rows, text)
    raw = total(work.intercept, terms(work, singles, lookup), form)
    probability = 1 / (1 + (-raw).exp())
    made = {"probability": probability, "raw_prediction": raw, "decision": probability >= THRESHOLD}
    scored = rows.select("id", *work.keep, *(made[name].alias(name) for name in work.results))
    scored.sink_parquet(work.out, compression="snappy", engine="streaming")


if __name__ == "__main__":
    main(told())
