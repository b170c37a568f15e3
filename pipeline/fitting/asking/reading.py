"""A fit that can start: its files, the columns it reads of them, its terms, and the chunks."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import pyarrow as pa

from pipeline import memory
from pipeline.choices import IfExists, MissingRule, Role
from pipeline.dataclass import dataclass
from pipeline.errors import OutputError, UsageError
from pipeline.fitting.asking.checking import check_columns
from pipeline.fitting.asking.job import FitJob, rule_of, terms_of
from pipeline.fitting.asking.resolving import resolved
from pipeline.fitting.asking.terms import (
    AllTerm,
    BinsTerm,
    CategoryTerm,
    MissingTerm,
    NumberTerm,
    ProductTerm,
    Term,
    term_factors,
)
from pipeline.fitting.first_pass.dividing import ColumnComparison, Divider, parse_holdout, unfit_comparison
from pipeline.fitting.first_pass.hashing import is_hashable
from pipeline.fitting.first_pass.rows import RowRules, SourceColumn, WithoutValue
from pipeline.fitting.first_pass.sampling import SampleRule
from pipeline.fitting.first_pass.tallies import ToLearn
from pipeline.fitting.first_pass.vocabulary import LEVEL_BYTES, most_counted
from pipeline.fitting.passes.state import has_state
from pipeline.models.columns import unfit_columns
from pipeline.plan import make_plan
from pipeline.publish import resolve
from pipeline.scan import HowToScan, PreparedScan, StepCosts, Survey, discover, gather_facts, prepare_scan
from pipeline.types.inputs import CsvOptions, FileFacts, InputFile, Need
from pipeline.types.report import Lacking
from pipeline.units import escape, parse_bytes

Kind = TypeVar("Kind", NumberTerm, CategoryTerm)

# A payload of the first pass: of a number, of a column with a histogram.
_NUMBER_BYTES, _KEYED_BYTES = 128, 1 << 20
# How much of the budget levels that are counted may take.
_LEVEL_SHARE = 1 / 8
# A value in a sample.
_NUMBER_WIDTH, _TEXT_WIDTH = 8.0, 24.0
# Payloads that wait for each worker, besides those of open nodes of the tree.
_WAITING = 4
# Solvers that go by products of the Hessian with directions, or without it.
_WITHOUT_HESSIAN = ("newton-cg", "owlqn")
_RULES: Mapping[MissingRule, WithoutValue] = {"error": "error", "drop": "drop"}


@dataclass(frozen=True)
class PreparedFit:
    """A fit that can start.

    Attributes
    ----------
    job : FitJob
        Its features are those that were asked for, with the columns that ``*`` means, and with the indicators of
        missing values that a rule adds.
    scan : PreparedScan
    columns : tuple of (str, Role)
        The columns of a batch, in their order.
    rules : RowRules
    wanted : ToLearn
    medians : frozenset of str
        Columns whose median is learnt.
    lacking : tuple of Lacking
        Columns that some files lack.
    notes : tuple of str
        For a person.
    """

    job: FitJob
    scan: PreparedScan
    columns: tuple[tuple[str, Role], ...]
    rules: RowRules
    wanted: ToLearn
    medians: frozenset[str]
    lacking: tuple[Lacking, ...]
    notes: tuple[str, ...]

    @property
    def terms(self) -> tuple[Term, ...]:
        """The features."""
        return terms_of(self.job)

    def place(self, name: str, role: Role) -> int:
        """Return the position of a column in a batch."""
        return self.columns.index((name, role))


def numbers_of(terms: Iterable[Term]) -> tuple[NumberTerm, ...]:
    """Return the numbers in some terms, each once."""
    return tuple(dict.fromkeys(number for term in terms for number in _factors(term, NumberTerm)))


def categories_of(terms: Iterable[Term]) -> tuple[str, ...]:
    """Return the columns of levels in some terms, each once."""
    return tuple(dict.fromkeys(factor.column for term in terms for factor in _factors(term, CategoryTerm)))


def multiplied(terms: Iterable[Term]) -> tuple[tuple[NumberTerm, ...], ...]:
    """Return the numbers of each product that has several, each once, in the order of their factors."""
    products = (numbers_of_product(term) for term in terms if isinstance(term, ProductTerm))
    return tuple(dict.fromkeys(numbers for numbers in products if len(numbers) > 1))


def numbers_of_product(term: ProductTerm) -> tuple[NumberTerm, ...]:
    """Return the numbers among the factors of a product; one may be there twice."""
    return tuple(_factors(term, NumberTerm))


def finite_numbers(job: FitJob) -> tuple[NumberTerm, ...]:
    """Return the numbers that are finite in each row that is fitted: where one is not, the row is bad.

    They are those of the features, and columns whose missing values count as a number. Of a column that is only in
    intervals infinities are values.
    """
    terms = terms_of(job)
    imputed = (NumberTerm(name) for name in _imputed(terms) if rule_of(job, name) not in _RULES)
    return tuple(dict.fromkeys((*numbers_of(terms), *imputed)))


def _factors(term: Term, kind: type[Kind]) -> Iterator[Kind]:
    return (factor for factor in term_factors(term) if isinstance(factor, kind))


def prepare_fit(job: FitJob) -> PreparedFit:
    """Return a fit that can start; no row is read, except the first ones of each CSV where there is ``*``.

    Raises
    ------
    LogitstreamError
        Every reason for which it cannot start, with its exit code: no input (66), a damaged file or columns that do
        not fit (65), a contradiction in the request (2), no room in memory (71), a model file that exists or
        that has no folder (73).
    """
    _check_errors(job)
    check_output(job, unfinished=job.output is not None and has_state(job.output))
    found = discover(job.data.inputs)
    check_apart(job.output, found.files)
    files = gather_facts(found.files, job.data.csv, full=job.data.fingerprint == "full")
    terms, said = resolved(job, files)
    holdout = None if job.solve.holdout is None else parse_holdout(job.solve.holdout)
    features, kept = _features(job, terms), _kept(job, holdout)
    csv = _csv_of(job, {*kept, *(need.name for need in features)}, files)
    job = replace(job, model=replace(job.model, features=terms))
    check_columns(job.model)
    survey = Survey.of(files, features, kept, csv)
    unfit = partial(unfit_columns, _judged(job, features, terms), called=_called(job))
    surveyed = survey.compared(unfit, job.data.absent)
    _check_kept(job, holdout, {field.name: field.type for field in surveyed.fields})
    columns = tuple((need.name, need.role) for need in (*surveyed.features, *surveyed.kept))
    rules = _rules(job, terms, columns, holdout)
    medians = frozenset(name for name in _imputed(terms) if rule_of(job, name) == "impute-median")
    plan = make_plan(files, chunk_size=job.data.chunk_size, limit=job.data.limit)
    waiting = max(1, min(len(plan), _WAITING + len(plan).bit_length()))
    wanted = _wanted(job, rules, medians, _sample_rule(files, job, columns), waiting)
    scan = prepare_scan(files, surveyed.needs, plan, csv, _costs(wanted), _how(job))
    return PreparedFit(
        job=job,
        scan=scan,
        columns=columns,
        rules=rules,
        wanted=wanted,
        medians=medians,
        lacking=surveyed.lacking,
        notes=(*found.notes, *said, *surveyed.notes, *scan.how.notes),
    )


def check_output(job: FitJob, *, unfinished: bool = False) -> None:
    """Refuse a model file that cannot be written, before rows are read.

    Parameters
    ----------
    job : FitJob
    unfinished : bool
        Whether the file may be what an unfinished fit has written just before it was ended.

    Raises
    ------
    OutputError
        It exists and may not be replaced, it is a folder, or its folder does not exist or is the output of a run.
    """
    check_model_file(job.output, job.if_exists, unfinished=unfinished)


def check_model_file(output: str | None, if_exists: IfExists, *, unfinished: bool = False) -> None:
    """Refuse the path of a model file as :func:`check_output` does; ``None`` where nothing is written."""
    if output is None:
        return
    target, shown = resolve(Path(output)).path, escape(output)
    if target.is_symlink():
        resolve(Path(os.path.realpath(target)))
    if target.is_dir():
        raise OutputError(f"{shown} is a folder", "give the model file a name, such as m.json")
    if if_exists == "fail" and os.path.lexists(target) and not unfinished:
        raise OutputError(
            f"{shown} exists", "choose another name, or use --if-exists replace to put the new file there"
        )


def _check_errors(job: FitJob) -> None:
    """Refuse robust errors by a solver that does not sum the Hessian which they need."""
    solve = job.solve
    if solve.solver in _WITHOUT_HESSIAN and (solve.robust or solve.robust_groups is not None):
        option = "--robust" if solve.robust else "--robust-groups"
        raise UsageError(
            f"{option} needs the matrix of second derivatives, which --solver {solve.solver} does not sum",
            f"use --solver newton, or leave {option} out",
        )


def check_apart(output: str | None, files: Iterable[InputFile]) -> None:
    """Refuse a model file that would replace an input."""
    place = None if output is None else Path(output).resolve()
    for file in files:
        if place is not None and Path(file.location).resolve() == place:
            raise UsageError(
                f"{escape(file.location)} is both an input and the output", "give the model file another name"
            )


def _features(job: FitJob, terms: Sequence[Term]) -> tuple[Need, ...]:
    """Return the columns that are read as numbers or levels."""
    model = job.model
    numeric = [term.column for term in numbers_of(terms)]
    numeric += [term.column for term in terms if isinstance(term, BinsTerm)]
    numeric += [name for name in (model.weight, model.offset) if name is not None]
    levels = [*categories_of(terms), model.target, *flagged(terms)]
    needs = [Need(name, "numeric") for name in dict.fromkeys(numeric)]
    return (*needs, *(Need(name, "categorical") for name in dict.fromkeys(levels)))


def flagged(terms: Sequence[Term]) -> tuple[str, ...]:
    """Return the columns of which only is asked where they are missing."""
    read = {*categories_of(terms), *(term.column for term in numbers_of(terms)), *_binned(terms)}
    found = (term.column for term in terms if isinstance(term, MissingTerm) and term.column not in read)
    return tuple(dict.fromkeys(found))


def _kept(job: FitJob, holdout: float | ColumnComparison | None) -> tuple[str, ...]:
    """Return the columns that are read as they are."""
    keyed = job.solve.key if job.solve.folds or job.solve.holdout else None
    compared = holdout.column if isinstance(holdout, ColumnComparison) else None
    names = (keyed, job.solve.robust_groups, compared)
    return tuple(dict.fromkeys(name for name in names if name is not None))


def _csv_of(job: FitJob, read: Collection[str], files: Sequence[FileFacts]) -> CsvOptions:
    """Return the options for CSV; where there is ``*``, without types of columns that it left out."""
    csv = job.data.csv
    if not csv.types or AllTerm() not in job.model.features:
        return csv
    there = {column.field.name for facts in files for column in facts.columns}
    return replace(csv, types=tuple(pair for pair in csv.types if pair[0] in read or pair[0] not in there))


def _called(job: FitJob) -> dict[str, str]:
    """Return what the columns are that are not features, by name."""
    model = job.model
    roles = ((model.target, "a target"), (model.weight, "a weight"), (model.offset, "an offset"))
    return {name: what for name, what in roles if name is not None}


def _judged(job: FitJob, features: Sequence[Need], terms: Sequence[Term]) -> list[tuple[str, Role]]:
    """Return columns with the roles that their types must suit; any type suits one that may only be missing."""
    anything = set(flagged(terms)) - {job.model.target}
    return [(need.name, "kept" if need.name in anything else need.role) for need in features]


def _check_kept(job: FitJob, holdout: float | ColumnComparison | None, types: Mapping[str, pa.DataType]) -> None:
    """Refuse a key or a group of a type that has no text, and a comparison with a constant of another kind."""
    for option, name in (("--key", job.solve.key), ("--robust-groups", job.solve.robust_groups)):
        if name is not None and name in types and not is_hashable(types[name]):
            raise UsageError(
                f"{option} {escape(name)}: the column is {escape(str(types[name]))}, whose values cannot be compared",
                "name a column of numbers, text or dates",
            )
    if isinstance(holdout, ColumnComparison) and (reason := unfit_comparison(holdout, types[holdout.column])):
        raise UsageError(f"column {escape(holdout.column)} {reason}", "compare it with a constant of its own kind")


def _rules(
    job: FitJob, terms: Sequence[Term], columns: Sequence[tuple[str, Role]], holdout: float | ColumnComparison | None
) -> RowRules:
    model, solve = job.model, job.solve

    def source(name: str, role: Role) -> SourceColumn:
        return SourceColumn(columns.index((name, role)), name, _RULES.get(rule_of(job, name), "fill"))

    def plain(name: str | None, role: Role) -> SourceColumn | None:
        return None if name is None else replace(source(name, role), missing="fill")

    divider = None
    if solve.folds or holdout is not None:
        divider = Divider(
            folds=solve.folds or 1,
            share=holdout if isinstance(holdout, float) else 0.0,
            comparison=holdout if isinstance(holdout, ColumnComparison) else None,
            key=None if solve.key is None else columns.index((solve.key, "kept")),
            compared=columns.index((holdout.column, "kept")) if isinstance(holdout, ColumnComparison) else None,
            nulls=job.data.csv.spellings,
        )
    return RowRules(
        target=SourceColumn(columns.index((model.target, "categorical")), model.target),
        numbers=tuple(source(name, "numeric") for name in _imputed(terms)),
        terms=finite_numbers(job),
        levels=tuple(source(name, "categorical") for name in categories_of(terms)),
        flags=tuple(SourceColumn(*_first(columns, name)) for name in _indicated(terms)),
        weight=plain(model.weight, "numeric"),
        offset=plain(model.offset, "numeric"),
        drop_missing_target=model.missing_target == "drop",
        divider=divider,
        groups=None if solve.robust_groups is None else source(solve.robust_groups, "kept"),
        nulls=job.data.csv.spellings,
    )


def _indicated(terms: Iterable[Term]) -> tuple[str, ...]:
    """Return the columns with an indicator of missing values."""
    return tuple(dict.fromkeys(term.column for term in terms if isinstance(term, MissingTerm)))


def _first(columns: Sequence[tuple[str, Role]], name: str) -> tuple[int, str]:
    return next(place for place, (column, _) in enumerate(columns) if column == name), name


def _binned(terms: Iterable[Term]) -> list[str]:
    return [term.column for term in terms if isinstance(term, BinsTerm)]


def _imputed(terms: Sequence[Term]) -> tuple[str, ...]:
    """Return the columns of numbers for which a missing value may count as another."""
    return tuple(dict.fromkeys([*(term.column for term in numbers_of(terms)), *_binned(terms)]))


def _wanted(job: FitJob, rules: RowRules, medians: frozenset[str], sample: SampleRule, waiting: int) -> ToLearn:
    """Return what the first pass learns; so many payloads of it wait at once."""
    terms = terms_of(job)
    bins = [term for term in terms if isinstance(term, BinsTerm)]
    keyed = [name for name in _imputed(terms) if name in medians]
    products = [term for term in terms if isinstance(term, ProductTerm)]
    found = map(categories_of, ([term] for term in products))
    levels, combined = categories_of(terms), tuple(dict.fromkeys(names for names in found if len(names) > 1))
    allowed = parse_bytes(job.means.memory) if job.means.memory else memory.default_budget()
    room = _LEVEL_SHARE * allowed / waiting / max(1, len(levels) + len(combined))
    return ToLearn(
        terms=len(rules.terms),
        flags=len(rules.flags),
        products=tuple(tuple(map(rules.terms.index, product)) for product in multiplied(terms)),
        keyed=tuple(dict.fromkeys([*keyed, *(term.column for term in bins if not term.edges)])),
        cut=tuple(dict.fromkeys((term.column, term.edges) for term in bins if term.edges)),
        levels=levels,
        combined=combined,
        sample=sample,
        most_levels=most_counted(job.model.max_levels, room),
    )


def _sample_rule(files: Sequence[FileFacts], job: FitJob, columns: Sequence[tuple[str, Role]]) -> SampleRule:
    rows = sum(facts.estimated_rows for facts in files)
    if job.data.limit is not None:
        rows = min(rows, job.data.limit)
    width = sum(_NUMBER_WIDTH if role == "numeric" else _TEXT_WIDTH for _, role in columns)
    flags = set(flagged(terms_of(job))) - {job.model.target}
    return SampleRule.of(
        rows, width, tuple((place, "flag" if name in flags else role) for place, (name, role) in enumerate(columns))
    )


def _costs(wanted: ToLearn) -> StepCosts:
    """Return what the first pass takes."""
    counted = len(wanted.levels) + len(wanted.combined)
    return StepCosts(
        made_bytes=_NUMBER_WIDTH * (wanted.moments + len(wanted.sample.columns)),
        payload_bytes=(
            _NUMBER_BYTES * wanted.moments
            + LEVEL_BYTES * wanted.most_levels * counted
            + _KEYED_BYTES * len(wanted.keyed)
        ),
        fewer_payloads="lower --max-levels, or read fewer columns" if counted else memory.FEWER_COLUMNS,
        gathered_bytes=wanted.sample.expected_bytes,
        travels=True,
    )


def _how(job: FitJob) -> HowToScan:
    means = job.means
    return HowToScan(
        memory=means.memory,
        workers=means.workers,
        scheduler=means.scheduler,
        cluster=means.cluster,
        retries=means.retries,
        bad_rows=job.data.max_bad.rows,
        command="fit",
    )
