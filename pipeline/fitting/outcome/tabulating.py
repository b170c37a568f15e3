"""The table of coefficients: in units of their columns, with their errors and names."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from pipeline.fitting.asking.wishing import objective_of
from pipeline.fitting.designs.design import DesignColumn, FitDesign
from pipeline.fitting.outcome.inference import Inference, is_penalised
from pipeline.fitting.outcome.own_units import OwnUnits, slice_of
from pipeline.fitting.report import INTERCEPT, CoefficientRow
from pipeline.fitting.solving.objective import Solution
from pipeline.kernels.tails import NORMAL_975, two_sided_normal

REFERENCE = "reference"
REFERENCE_CLASS = "reference class"
CONTROL = "control"
AT_ITS_SIGN = "kept at 0 by --sign"


def coefficient_rows(found: Inference, classes: Sequence[str], shift: float = 0.0) -> tuple[CoefficientRow, ...]:
    """Return the table of coefficients: class by class the intercept, then the terms in their order.

    The row of a reference level has the value 0 and no error, and so has that of a class without coefficients, the
    reference of the others.

    Parameters
    ----------
    found : Inference
    classes : sequence of str
        What the classes are called, in their order.
    shift : float
        What is added to the intercept: see :func:`pipeline.fitting.outcome.making.intercept_shift`.
    """
    layout = found.design.layout
    outputs = classes[-layout.outputs :] if layout.classes > 2 else (None,)
    own = OwnUnits.of(found.design).coefficients(found.solution.coefficients)
    notes = _notes(found)
    signs = objective_of(found.job, found.design).signs
    made = [
        CoefficientRow(INTERCEPT, None, reference, 0.0, note=REFERENCE_CLASS)
        for reference in (classes[: -layout.outputs] if layout.classes > 2 else ())
    ]
    for output, values, errors in zip(outputs, own, found.errors, strict=True):
        if layout.intercept:
            first = _row(CoefficientRow(INTERCEPT, None, output, float(values[0]) + shift), float(errors[0]))
            made.append(replace(first, note=notes.get(0, "")))
        for column in found.design.columns:
            if column.reference is not None:
                made.append(CoefficientRow(column.name, column.reference, output, 0.0, note=REFERENCE))
            inflation = found.variance_inflation(column)
            for position, label in _labelled(column, found.design):
                row = CoefficientRow(column.name, label, output, float(values[position]))
                note = notes.get(position, CONTROL if column.control else "")
                # Without a penalty nothing else makes it 0.
                if not note and signs is not None and signs[position] and not row.value and not is_penalised(found.job):
                    note = AT_ITS_SIGN
                made.append(replace(_row(row, float(errors[position]), inflation), note=note))
    return tuple(made)


def coefficient_names(design: FitDesign) -> tuple[str, ...]:
    """Return what each coefficient of one raw prediction is called: ``C(carrier)[UA]`` where it is that of a level."""
    names = {0: INTERCEPT} if design.layout.intercept else {}
    for column in design.columns:
        for position, label in _labelled(column, design):
            names[position] = column.name if label is None else f"{column.name}[{label}]"
    return tuple(names[position] for position in range(design.layout.width))


def left_out(solution: Solution, design: FitDesign) -> dict[int, str]:
    """Return why each column that was dropped was, as a clause for a person, by the position of its coefficient."""
    names = coefficient_names(design)
    return {
        position: f"a combination of {_listed([names[other] for other, _ in parts])}" if parts else "constant"
        for position, parts in solution.dropped
    }


def _notes(found: Inference) -> Mapping[int, str]:
    return {position: f"{why}, left out" for position, why in left_out(found.solution, found.design).items()}


def _listed(names: Sequence[str], most: int = 4) -> str:
    shown = [*names[:most], *([f"{len(names) - most} more"] if len(names) > most else [])]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def _labelled(column: DesignColumn, design: FitDesign) -> Iterator[tuple[int, str | None]]:
    place = slice_of(column, design.layout)
    return zip(range(place.start, place.stop), column.labels or (None,), strict=True)


def _row(row: CoefficientRow, error: float, inflation: float | None = None) -> CoefficientRow:
    if math.isnan(error):
        return row
    z, half = row.value / error, NORMAL_975 * error
    return replace(
        row,
        error=error,
        z=z,
        p=two_sided_normal(z),
        low=row.value - half,
        high=row.value + half,
        variance_inflation=inflation,
    )
