"""What an evaluation returns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any

from pipeline.dataclass import dataclass
from pipeline.evaluation.comparing import differences
from pipeline.evaluation.groups import Group, GroupStates
from pipeline.evaluation.limits import check_limits, limited_names
from pipeline.evaluation.measures import class_masses, measures
from pipeline.evaluation.passing import EvaluatedRows
from pipeline.evaluation.results import BinaryMeasures, MeasureWishes, ModelDifferences, MultinomialMeasures
from pipeline.evaluation.states import EvaluationState
from pipeline.types.tabular import Summary, Tabular
from pipeline.units import escape, format_count, visible

AnyMeasures = BinaryMeasures | MultinomialMeasures

# What became of the rows that are not used, in words.
LEFT_OUT: Mapping[str, str] = {
    "not_held_out": "not held out of the fit",
    "dropped": "dropped",
    "bad": "bad",
    "without_target": "without a target",
}
# Why rows were dropped.
DROPPED: Mapping[str, str] = {
    "set_aside": "set aside by the model",
    "without_score": "without a score: a value is missing, or the score is not a number",
}


@dataclass(frozen=True, slots=True)
class GroupMeasures:
    """The measures of one group of rows.

    Attributes
    ----------
    value : tuple of (str or None), or None
        For each column that makes groups its value, ``None`` where it is missing; ``None`` for all groups that have no
        measures of their own together.
    measures : BinaryMeasures or MultinomialMeasures
    challenger : BinaryMeasures or MultinomialMeasures or None
        Those of a second model.
    differences : ModelDifferences or None
        The second model minus the first.
    """

    value: Group | None
    measures: AnyMeasures
    challenger: AnyMeasures | None = None
    differences: ModelDifferences | None = None

    @property
    def name(self) -> str:
        """The value in words: ``north``, ``north:7``, ``missing``, ``all others``."""
        if self.value is None:
            return "all others"
        return ":".join("missing" if each is None else visible(each) for each in self.value)


@dataclass(frozen=True, slots=True)
class GroupsReport:
    """The measures by the values of columns.

    Attributes
    ----------
    columns : tuple of str
    groups : tuple of GroupMeasures
        Numbers by value, then texts, then missing values; all other groups together come last.
    pooled : int
        How many groups these others are.
    """

    columns: tuple[str, ...]
    groups: tuple[GroupMeasures, ...]
    pooled: int


@dataclass(frozen=True, slots=True, repr=False)
class EvaluationReport(Tabular):
    """How well scores fit what was observed.

    Attributes
    ----------
    target : str
        The column of what was observed.
    classes : tuple of str
        How the data spells them, the negative one first where there are two.
    models : tuple of str
        The names of one or two models; empty where a column has the probability.
    digests : tuple of str
        Theirs.
    probability, weight : str or None
        The columns of the probability, and of the weights.
    rows : mapping of str to int
        ``read`` = ``used`` + ``not_held_out`` (0 where all rows are evaluated) + ``dropped`` + ``bad`` +
        ``without_target``; ``dropped`` = ``set_aside`` by a model + ``without_score``.
    clipped : tuple of int
        For each model, in how many rows the class has a probability of 0, or in a column one below 2.2e-16: it counts
        as 2.2e-16.
    measures : BinaryMeasures or MultinomialMeasures
    challenger : BinaryMeasures or MultinomialMeasures or None
        Those of a second model.
    differences : ModelDifferences or None
        The second model minus the first.
    groups : tuple of GroupsReport
    files : int
    notes : tuple of str
        How the files differ, and what else a person should know.
    warnings : tuple of str
        What makes scores meaningless: a feature without a value, or of which the model knows no value.
    state : EvaluationState
        What the measures were made of.
    """

    target: str
    classes: tuple[str, ...]
    models: tuple[str, ...]
    digests: tuple[str, ...]
    probability: str | None
    weight: str | None
    rows: Mapping[str, int]
    clipped: tuple[int, ...]
    measures: AnyMeasures
    challenger: AnyMeasures | None
    differences: ModelDifferences | None
    groups: tuple[GroupsReport, ...]
    files: int
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    state: EvaluationState | None = field(default=None, compare=False)

    def require(self, limits: Mapping[str, float]) -> None:
        """Raise if a measure is below its limit: ``report.require({"auc": 0.7})``. Of two models the first is checked.

        Raises
        ------
        ThresholdError
            One is, or these rows have no value of it; the message has all of them.
        UsageError
            There is no such measure.
        """
        check_limits(limits, self.measures, "" if self.challenger is None else f" of {escape(self.models[0], 1000)}")

    @property
    def all_warnings(self) -> tuple[str, ...]:
        """The warnings, and then those of the measures, which end with the name of the model where there are two."""
        told = list(self.measures.warnings)
        if self.challenger is not None:
            pairs = zip(self.models, (self.measures, self.challenger), strict=True)
            told = [f"{warning}, {name}" for name, measured in pairs for warning in measured.warnings]
        return (*self.warnings, *told)

    @property
    def scored_by(self) -> tuple[str, ...]:
        """What the scores come from: the names of the models, or that of the column."""
        return self.models if self.probability is None else (self.probability,)

    def _summary(self) -> Summary:
        facts = [("target", escape(self.target)), ("rows", evaluated_rows(self.rows))]
        rows = [(name, f"{value:.6g}") for name, value in numbers_of(self.measures)]
        return Summary(facts, ("measure", "value"), rows)


def report_of(found: EvaluatedRows, wishes: MeasureWishes) -> EvaluationReport:
    """Return the measures of what a pass, or several, found."""
    terms, totals = found.terms, found.totals
    groups = tuple(_groups(each, wishes) for each in totals.groups)
    return EvaluationReport(
        target=terms.target,
        classes=terms.classes,
        models=terms.names,
        digests=terms.models,
        probability=terms.probability,
        weight=terms.weight,
        rows=found.rows,
        clipped=tuple(totals.counts[f"clipped {number}"] for number in range(terms.shape.models)),
        **_compared(totals.whole, wishes),
        groups=groups,
        files=len(found.data),
        notes=(*found.notes, *_notes_of_groups(totals.groups)),
        warnings=found.warnings,
        state=totals.whole,
    )


def evaluated_rows(rows: Mapping[str, int]) -> str:
    """Return what became of the rows: ``100 read = 80 used + 20 bad``."""
    parts = [f"{format_count(rows['used'])} used"]
    parts += [f"{format_count(rows[name])} {words}" for name, words in LEFT_OUT.items() if rows[name]]
    return f"{format_count(rows['read'])} read = {' + '.join(parts)}"


def numbers_of(measured: Any) -> list[tuple[str, float]]:
    """Return the measures that are one number each, by name; those that rows have no value of are left out."""
    found = ((name, getattr(measured, name)) for name in limited_names(type(measured)))
    return [(name, value) for name, value in found if value is not None]


def _compared(state: EvaluationState, wishes: MeasureWishes) -> dict[str, Any]:
    """Return the measures of one model, or of two with their differences, by the names of their attributes."""
    challenger = measures(state, wishes, 1) if state.shape.models > 1 else None
    return {"measures": measures(state, wishes), "challenger": challenger, "differences": differences(state)}


def _groups(states: GroupStates, wishes: MeasureWishes) -> GroupsReport:
    named: list[tuple[Group | None, EvaluationState]] = [*states.kept]
    if states.others is not None:
        named.append((None, states.others))
    # Rows whose weights are all 0 have no means.
    found = [GroupMeasures(group, **_compared(state, wishes)) for group, state in named if sum(class_masses(state))]
    return GroupsReport(states.columns, tuple(found), states.pooled)


def _notes_of_groups(groups: Sequence[GroupStates]) -> Iterator[str]:
    for states in groups:
        shown, pooled = escape(":".join(states.columns)), states.pooled
        if pooled:
            yield (
                f"{shown} has {format_count(len(states.seen))} groups: {format_count(pooled)} of them are measured "
                "together, as all others (--max-groups)"
            )
        without = sum(not sum(class_masses(state)) for _, state in states.kept)
        if without:
            are = "group is" if without == 1 else "groups are"
            yield f"{format_count(without)} {are} not measured by {shown}: all their weights are 0"
