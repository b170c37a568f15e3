"""The rows of a batch, judged: which are evaluated, which are left out and why.

They are judged in this order: bad, or set aside by the model; without a target or a weight; without a score; not held
out, where only rows that a fit held out are evaluated; used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import field

import numpy as np
import pyarrow as pa

from pipeline import compute as pc
from pipeline.choices import Cause, MissingTarget, Precision
from pipeline.dataclass import dataclass
from pipeline.evaluation.features import by_model
from pipeline.evaluation.names import NamesBudget
from pipeline.evaluation.scoring import BatchScores, ColumnScorer, ModelScorer, Scorer, ScoresColumns
from pipeline.evaluation.terms import EvaluationTerms
from pipeline.evaluation.tiles import Codes, Floats, UsedRows
from pipeline.evaluation.totals import ChunkTotals
from pipeline.fitting.first_pass.dividing import HELD_OUT, WRONG, ColumnComparison, Divider, parse_holdout
from pipeline.models.columns import LEVEL_OR_TIME, Mask, levels, numbers, unfit
from pipeline.models.tally import BatchColumn, RowTally
from pipeline.models.target_classes import TargetClasses
from pipeline.scan import Batch
from pipeline.types.blocks import Values
from pipeline.types.features import FeatureCount
from pipeline.types.inputs import InputFile, Need
from pipeline.units import escape


@dataclass(frozen=True, slots=True)
class EvaluatedColumns:
    """Which columns are read, each use once.

    Attributes
    ----------
    needs : tuple of Need
    models : tuple of tuple of int
        For each model the positions of its columns among them.
    target : int
    probability, weight : int or None
    groups : tuple of int
        Of the columns that make groups.
    kept : tuple of str
        The columns behind the needs, read as they are: those that say which rows are held out, and groups of times.
    """

    needs: tuple[Need, ...]
    models: tuple[tuple[int, ...], ...]
    target: int
    probability: int | None
    weight: int | None
    groups: tuple[int, ...]
    kept: tuple[str, ...] = ()

    @classmethod
    def of(cls, blocks: Sequence[ScoresColumns], terms: EvaluationTerms, times: Sequence[str] = ()) -> EvaluatedColumns:
        """Return the columns that models and terms need; those that make groups and are ``times`` are read as such."""
        needs: dict[Need, int] = {}

        def place(need: Need) -> int:
            return needs.setdefault(need, len(needs))

        def number(name: str | None) -> int | None:
            return None if name is None else place(Need(name, "numeric"))

        models = tuple(tuple(map(place, block.columns())) for block in blocks)
        target = place(Need(terms.target, "categorical"))
        probability, weight = number(terms.probability), number(terms.weight)
        groups = {name: place(Need(name, "categorical")) for name in terms.group_columns if name not in times}
        kept = tuple(dict.fromkeys((*kept_columns(terms), *times)))
        groups |= {name: len(needs) + kept.index(name) for name in times}
        in_order = tuple(groups[name] for name in terms.group_columns)
        return cls(tuple(needs), models, target, probability, weight, in_order, kept)

    def divider(self, terms: EvaluationTerms, nulls: tuple[str, ...]) -> Divider | None:
        """Return what says which rows are held out; ``None`` where all rows are evaluated."""
        if terms.holdout is None:
            return None
        found, first = parse_holdout(terms.holdout), len(self.needs)
        comparison = found if isinstance(found, ColumnComparison) else None
        return Divider(
            share=0.0 if isinstance(found, ColumnComparison) else found,
            comparison=comparison,
            key=None if terms.key is None else first + self.kept.index(terms.key),
            compared=None if comparison is None else first + self.kept.index(comparison.column),
            nulls=nulls,
        )

    def unfit(self, blocks: Sequence[ScoresColumns], fields: Sequence[pa.Field]) -> list[str]:
        """Return one sentence for each field whose type does not fit, those of the models first."""
        found = [
            fault
            for block, places in zip(blocks, self.models, strict=True)
            for fault in block.check([fields[place] for place in places])
        ]
        for place, called, may_be in self._others():
            need = self.needs[place]
            if reason := unfit(need.role, fields[place].type, called, may_be):
                found.append(f'column "{escape(need.name)}" {reason}')
        return list(dict.fromkeys(found))

    def _others(self) -> Iterator[tuple[int, str, str | None]]:
        """Yield the columns that are no features: their place, what they are called, and what else they may be."""
        yield self.target, "a target", None
        if self.probability is not None:
            yield self.probability, "a probability", None
        if self.weight is not None:
            yield self.weight, "a weight", None
        yield from ((place, "a column of groups", LEVEL_OR_TIME) for place in self.groups if place < len(self.needs))


def kept_columns(terms: EvaluationTerms) -> tuple[str, ...]:
    """Return the columns that say which rows are held out."""
    if terms.holdout is None:
        return ()
    found = parse_holdout(terms.holdout)
    names = (found.column if isinstance(found, ColumnComparison) else None, terms.key)
    return tuple(dict.fromkeys(name for name in names if name is not None))


@dataclass(frozen=True, eq=False)
class EvaluationReader:
    """Reads the batches of a scan. May be used from several threads at once.

    Attributes
    ----------
    blocks : tuple of ScoresColumns
        What scores the rows; none where a column has the probability.
    terms : EvaluationTerms
    missing_target : {"error", "drop"}
    decimal : str
        The decimal sign in a CSV.
    precision : {"fast", "accurate", "reproducible"}
        Of what is computed without a model.
    nulls : tuple of str
        Spellings of null in text of a CSV that is read as it is.
    times : tuple of str
        The columns of groups that are times.
    names : NamesBudget or None
        How much memory the names of groups may take.
    """

    blocks: tuple[ScoresColumns, ...]
    terms: EvaluationTerms
    missing_target: MissingTarget
    decimal: str
    precision: Precision = "fast"
    nulls: tuple[str, ...] = ()
    times: tuple[str, ...] = ()
    names: NamesBudget | None = None
    columns: EvaluatedColumns = field(init=False)
    divider: Divider | None = field(init=False)
    target: TargetClasses = field(init=False)

    def __post_init__(self) -> None:
        columns = EvaluatedColumns.of(self.blocks, self.terms, self.times)
        object.__setattr__(self, "columns", columns)
        object.__setattr__(self, "divider", columns.divider(self.terms, self.nulls))
        object.__setattr__(self, "target", TargetClasses(self.terms.classes, self.decimal))

    def add(self, batch: Batch, file: InputFile, needs: Sequence[Need], chunk: ChunkTotals) -> None:
        """Add the rows of a batch that can be evaluated to a chunk, after the others were booked."""
        with np.errstate(all="ignore"):
            _BatchOfRows(self, batch, chunk).add(self._scorers(file, needs), file)

    def _scorers(self, file: InputFile, needs: Sequence[Need]) -> list[tuple[Scorer, tuple[int, ...]]]:
        """Return what scores the rows of a file, each with the positions of its columns."""
        if self.columns.probability is not None and self.terms.probability is not None:
            place = self.columns.probability
            return [(ColumnScorer(self.terms.probability, place, self.precision), (place,))]
        return [
            (ModelScorer(block).of_file(file, [needs[place] for place in places]), places)
            for block, places in zip(self.blocks, self.columns.models, strict=True)
        ]


class _BatchOfRows:
    """One batch while it is judged."""

    def __init__(self, reader: EvaluationReader, batch: Batch, chunk: ChunkTotals) -> None:
        self.reader, self.columns, self.terms = reader, reader.columns, reader.terms
        self.batch, self.chunk = batch, chunk
        self.rows: int = batch.data.num_rows
        self.tally = RowTally(self.rows)
        self.features: list[dict[str, FeatureCount]] = []
        self.without: Mask = np.zeros(self.rows, dtype=np.bool_)

    def add(self, scorers: Sequence[tuple[Scorer, tuple[int, ...]]], file: InputFile) -> None:
        """Judge the rows, and add those that are used."""
        codes = self._codes(is_csv=file.format == "csv")
        weights = None if self.columns.weight is None else self._weights(self.columns.weight)
        scored = [self._scored(scorer, places) for scorer, places in scorers]
        held = None if self.reader.divider is None else self._held(self.reader.divider, file.path)
        rejected = self.tally.rejected
        tally = self.tally
        cells, features = tally.cells(rejected), by_model(self.features)
        self.batch.settle(Values((), tally.null_count, events=tally.events, rejected=cells, features=features))
        used = self._used(rejected, scored, held)
        count = int(np.count_nonzero(used))
        if not count:
            return
        rows: slice | Codes = slice(None) if count == self.rows else np.flatnonzero(used)
        judged = [
            scorer.judged(each.of_rows(rows), codes[rows]) for (scorer, _), each in zip(scorers, scored, strict=True)
        ]
        self.chunk.totals.counts.update(
            {f"clipped {number}": each.clipped for number, each in enumerate(judged) if each.clipped}
        )
        self.chunk.add(
            UsedRows(
                scores=tuple(each.scores for each in judged),
                probabilities=tuple(each.probabilities for each in judged),
                losses=tuple(each.losses for each in judged),
                codes=codes[rows],
                weights=None if weights is None else weights[rows],
                groups=tuple(self._groups(rows)),
            )
        )

    def _scored(self, scorer: Scorer, places: Sequence[int]) -> BatchScores:
        scores = scorer.scores([self._array(place) for place in places], self.tally)
        self.features.append(self.tally.take_features())
        return scores

    def _held(self, divider: Divider, path: str) -> Mask:
        """Return which rows are held out; one whose value cannot be compared is bad."""
        folds = divider.of_batch(self.batch, path)
        if divider.comparison is not None and divider.compared is not None and (wrong := folds == WRONG).any():
            column = BatchColumn(divider.compared, divider.comparison.column, self._array(divider.compared))
            self.tally.add_bad(np.flatnonzero(wrong), column, "no comparison")
        held: Mask = folds == HELD_OUT
        return held

    def _used(self, rejected: Codes, scored: Sequence[BatchScores], held: Mask | None) -> Mask:
        """Return which rows are evaluated, after the others were counted."""
        usable: Mask = np.ones(self.rows, dtype=np.bool_)
        usable[rejected] = False
        counts = self.chunk.totals.counts
        counts["without_target"] += int(np.count_nonzero(self.without & usable))
        usable &= ~self.without
        missing = scored[0].missing if len(scored) == 1 else np.logical_or.reduce([each.missing for each in scored])
        counts["without_score"] += int(np.count_nonzero(missing & usable))
        usable &= ~missing
        if held is not None:
            counts["not_held_out"] += int(np.count_nonzero(usable & ~held))
            usable &= held
        return usable

    def _array(self, place: int) -> pa.Array:
        return self.batch.data.column(place)

    def _column(self, place: int) -> BatchColumn:
        return BatchColumn(place, self.columns.needs[place].name, self._array(place))

    def _bad(self, where: Mask, place: int, cause: Cause) -> None:
        if where.any():
            self.tally.add_bad(np.flatnonzero(where), self._column(place), cause)

    def _leave_out(self, where: Mask, place: int, cause: Cause) -> None:
        """Leave rows out that lack a target or a weight, or refuse them."""
        if self.reader.missing_target == "drop":
            self.without |= where
        else:
            self._bad(where, place, cause)

    def _codes(self, *, is_csv: bool) -> Codes:
        place = self.columns.target
        codes, missing = self.reader.target.find(self._array(place), is_csv=is_csv)
        cause: Cause = "target not binary" if self.terms.probability is not None else "target unknown"
        self._bad((codes < 0) & ~missing, place, cause)
        self._leave_out(missing, place, "target missing")
        return codes

    def _weights(self, place: int) -> Floats:
        cells = numbers(self._array(place))
        if cells.inexact.size:
            self.tally.add_bad(cells.inexact, self._column(place), "inexact")
        values: Floats = cells.values.astype(np.float64, copy=True)
        if cells.null is not None:
            values[cells.null] = np.nan
        missing = np.isnan(values)
        self._leave_out(missing, place, "weight missing")
        self._bad((values < 0) | np.isinf(values), place, "weight refused")
        return values

    def _groups(self, rows: slice | Codes) -> Iterator[Codes]:
        for name, place in zip(self.terms.group_columns, self.columns.groups, strict=True):
            array = self._array(place)
            if name in self.reader.times:
                array = _named_times(array)
            yield self.chunk.names[name].codes(levels(array))[rows]


def _named_times(array: pa.Array) -> pa.DictionaryArray:
    """Return times as texts in the order of a calendar; one time has one text, whatever the unit of its column."""
    encoded = array.dictionary_encode()
    texts = pc.cast(encoded.dictionary, pa.large_string())
    # No zeros at the end of a fraction, and no point without digits; "Z" would come after a point, "+" comes before it.
    for pattern, text in ((r"(\.[0-9]*?)0+($|[^0-9])", r"\1\2"), (r"\.($|[^0-9])", r"\1"), ("Z$", "+0000")):
        texts = pc.replace_substring_regex(texts, pattern, text)
    return pa.DictionaryArray.from_arrays(encoded.indices, texts)
