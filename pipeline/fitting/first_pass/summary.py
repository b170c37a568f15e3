"""What all chunks together have, as what the first pass learns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np

from pipeline.errors import DataError
from pipeline.fitting.asking.formula import term_text
from pipeline.fitting.asking.reading import PreparedFit, multiplied
from pipeline.fitting.asking.terms import BinsTerm, MissingTerm, NumberTerm, ProductTerm
from pipeline.fitting.first_pass.binning import learnt_bins
from pipeline.fitting.first_pass.classes import classes_of, weights_of
from pipeline.fitting.first_pass.learnt import FitAccounts, Learnt, LearntBins, LearntLevels, LearntNumber
from pipeline.fitting.first_pass.tallies import MOST_CLASSES, Tallies
from pipeline.fitting.first_pass.vocabulary import combined_name, learnt_levels
from pipeline.fitting.report import row_accounts
from pipeline.fitting.tiles.layout import Floats
from pipeline.units import escape, format_count

# Of larger sums of weights the squares of gradients, and products with the Hessian, may be beyond float64.
_LARGEST_WEIGHT = 1e100


def learnt_of(prepared: PreparedFit, tallies: Tallies, rows: FitAccounts, medians: Mapping[str, float]) -> Learnt:
    """Return what the first pass learns; ``medians`` are those of columns.

    Raises
    ------
    DataError
        There are no rows, only one class, or more classes or levels than may be.
    UsageError
        The positive class, or one with a weight of its own, is not one of the classes.
    """
    if tallies.crowded is not None:
        raise crowd_error(prepared, tallies.crowded)
    if not rows.read:
        raise DataError("the inputs have no rows", "name files that have rows")
    model, counts = prepared.job.model, tallies.classes
    if not counts.occurring:
        raise _empty_error(rows)
    classes = classes_of(model.target, counts.occurring, tallies.held.occurring, model.positive)
    order = [counts.numbers[spelling] for spelling in classes.spellings]
    weights = dict(zip(classes.spellings, counts.weights[order, 0].tolist(), strict=True))
    _check_weights(model.weight, weights)
    return Learnt(
        rows=rows,
        weight=float(counts.weights[: len(counts.numbers), 0].sum()),
        classes=classes.values,
        class_weights=weights_of(classes, model.class_weights, weights),
        numbers=_numbers(prepared, tallies, medians),
        levels=_levels(prepared, tallies, order),
        bins=_bins(prepared, tallies, order),
        class_totals=tuple(weights.values()),
    )


def _check_weights(column: str | None, weights: Mapping[str, float]) -> None:
    """Refuse weights whose sum is too large, and a class whose rows all have the weight 0."""
    if column is None:
        return
    total = sum(weights.values())
    if not total <= _LARGEST_WEIGHT:
        raise DataError(
            f"column {escape(column)}: the weights add up to {total:.3g}, but a fit takes up to {_LARGEST_WEIGHT:.0e}",
            "divide them by a number first, or name another column with --weight",
        ).at(column=column)
    without = [spelling for spelling, weight in weights.items() if not weight]
    if not without:
        return
    which = "all rows" if len(without) == len(weights) else f"all rows of the class '{escape(without[0])}'"
    raise DataError(
        f"column {escape(column)}: {which} have the weight 0", "name another column with --weight, or leave it out"
    ).at(column=column)


def _numbers(prepared: PreparedFit, tallies: Tallies, medians: Mapping[str, float]) -> dict[str, LearntNumber]:
    """Return what was learnt of each number, by its text."""
    moments, deviations = tallies.moments, tallies.moments.deviation
    total = float(tallies.classes.weights[: len(tallies.classes.numbers), 0].sum())
    rules, terms = prepared.rules, prepared.terms
    names = [
        *map(term_text, rules.terms),
        *(term_text(MissingTerm(source.name)) for source in rules.flags),
        *(term_text(ProductTerm(numbers)) for numbers in multiplied(terms)),
    ]
    of_column = {term_text(NumberTerm(name)): median for name, median in medians.items()}
    return {
        name: LearntNumber(
            values=int(moments.values[place]),
            missing=int(moments.missing[place]),
            mean=float(moments.mean[place]),
            deviation=float(deviations[place]),
            smallest=float(moments.smallest[place]),
            largest=float(moments.largest[place]),
            share=float(moments.weight[place]) / total if total else 1.0,
            median=of_column.get(name),
        )
        for place, name in enumerate(names)
    }


def _levels(prepared: PreparedFit, tallies: Tallies, order: Sequence[int]) -> dict[str, LearntLevels]:
    """Return what was learnt of each column of levels, and of each combination, whose levels are JSON lists."""
    model = prepared.job.model
    found = {
        name: learnt_levels(
            counts, tallies.missing_levels[name], order, min_count=model.min_count, max_levels=model.max_levels
        )
        for name, counts in tallies.levels.items()
    }
    for names, counts in zip(tallies.wanted.combined, tallies.combined, strict=True):
        every = len(counts.numbers)
        found[combined_name(names)] = learnt_levels(counts, 0, order, min_count=1, max_levels=max(1, every))
    return found


def _bins(prepared: PreparedFit, tallies: Tallies, order: Sequence[int]) -> dict[str, LearntBins]:
    """Return what was learnt of each column in intervals, by the text of the term."""
    found = {}
    cut = {pair: place for place, pair in enumerate(tallies.wanted.cut)}
    for term in prepared.terms:
        if not isinstance(term, BinsTerm):
            continue
        missing = _by_class(tallies.missing.get(term.column, np.zeros(0))[None, :], order)
        if term.edges:
            table = tallies.intervals.get(cut[term.column, term.edges], np.zeros((len(term.edges) + 2, 0)))
            counts = _by_class(table, order)[:-1]
            edges = term.edges
        else:
            keys = tallies.keys[term.column]
            edges = keys.edges(term.bins)
            counts = _by_class(keys.between(edges, len(tallies.classes.numbers)), order)
        found[term_text(term)] = learnt_bins(term, edges, np.vstack([counts, missing]))
    return found


def _by_class(table: Floats, order: Sequence[int]) -> Floats:
    """Return a table with the classes in their order."""
    wide = np.zeros((len(table), max([table.shape[1], *(number + 1 for number in order)])))
    wide[:, : table.shape[1]] = table
    return wide[:, list(order)]


def _empty_error(rows: FitAccounts) -> DataError:
    """Return the error for inputs of which no row is fitted."""
    return DataError(
        f"no row is left to fit a model to: {row_accounts(asdict(rows))}",
        "see what left the rows out: --missing, --missing-target, --holdout",
    )


def crowd_error(prepared: PreparedFit, column: str) -> DataError:
    """Return the error for a column with too many different values, the empty text for the target."""
    if not column:
        target = prepared.job.model.target
        return DataError(
            f"column {escape(target)}: the target has more than {format_count(MOST_CLASSES)} different values",
            "a target has a few classes; make classes of numbers first, or name another column with --target",
        ).at(column=target)
    most = prepared.wanted.most_levels
    return DataError(
        f"column {escape(column)}: it has more than {format_count(most)} different values, too many for levels",
        "leave the column out, or give it coarser values; write a number as B(NAME) or NAME; a higher --max-levels or "
        "more --memory allows more values",
    ).at(column=column)
