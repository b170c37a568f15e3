"""A whole model as what an exporter writes: a number, and named trees that are added to it one by one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pipeline.dataclass import dataclass
from pipeline.errors import ModelError
from pipeline.models.logistic.expression import Constant, Expression, Numbers, cells, for_class, number
from pipeline.models.logistic.features import kind_of
from pipeline.models.logistic.file import ModelFile
from pipeline.units import escape


@dataclass(frozen=True, slots=True)
class Formula:
    """``raw_prediction = ((base + contribution_1) + contribution_2) + ...``, each sum rounded once.

    Attributes
    ----------
    base : float or tuple of float
        The raw prediction where every feature adds 0; with classes one number for each.
    contributions : tuple of (str, Expression)
        The names of the features and what they add, in the order of the file, the offset first.
    """

    base: Numbers
    contributions: tuple[tuple[str, Expression], ...]

    def for_class(self, position: int) -> Formula:
        """Return the formula of one class, in which every number is a float."""
        picked = tuple((name, for_class(tree, position)) for name, tree in self.contributions)
        base = for_class(Constant(self.base), position)
        assert isinstance(base, Constant)
        return Formula(base.value, picked)


def formula(model: ModelFile) -> Formula:
    """Return what a model computes before its link."""
    offset = model.offset
    of_offset = [] if offset is None else [(offset.label, number(offset.column, offset.missing))]
    features = [(feature.label, kind_of(feature).expression(feature)) for feature in model.features]
    return Formula(model.bases if model.classes else model.base, (*of_offset, *features))


def check_policies(trees: Iterable[Expression], instead: Mapping[str, str], target: str) -> None:
    """Raise an error that names the first policy for missing or unseen values that a target cannot express.

    Parameters
    ----------
    trees : iterable of Expression
    instead : mapping of str to str
        The words that it cannot express, and what to use instead.
    target : str
        What messages call it.

    Raises
    ------
    ModelError
    """
    for cell in (cell for tree in trees for cell in cells(tree)):
        for what in ("missing", "unseen"):
            policy = getattr(cell, what, None)
            if isinstance(policy, str) and policy in instead:
                raise ModelError(
                    f'the column "{escape(cell.column)}" has {what} "{policy}", which {target} cannot say',
                    instead[policy],
                )
