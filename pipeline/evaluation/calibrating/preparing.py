"""A calibration that can start: its files, the columns that it reads of them, the chunks, and what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import pyarrow as pa

from pipeline.dataclass import dataclass
from pipeline.errors import UsageError
from pipeline.evaluation.calibrating.asking import CalibrationWishes
from pipeline.evaluation.calibrating.passes import CalibrationStep
from pipeline.evaluation.calibrating.summing import MADE_BYTES
from pipeline.evaluation.counting import MERGED_TABLES
from pipeline.evaluation.keys import KEY_BYTES, MOST_KEYS
from pipeline.evaluation.states import TILE_ROWS
from pipeline.evaluation.tiles import tile_rows
from pipeline.fitting.asking.reading import check_apart, check_model_file
from pipeline.fitting.first_pass.dividing import ColumnComparison, Divider, parse_holdout, unfit_comparison
from pipeline.fitting.first_pass.hashing import is_hashable
from pipeline.models.blocks import arithmetic_of
from pipeline.models.columns import unfit_columns
from pipeline.plan import Plan, make_plan
from pipeline.scan import (
    PreparedScan,
    StepCosts,
    Survey,
    discover,
    gather_facts,
    prepare_scan,
    settings_bytes,
)
from pipeline.types.inputs import Need
from pipeline.units import escape

_FLOAT = 8
# Payloads that wait for each worker: those of a CSV until the chunk before them is confirmed.
_WAITING = 4
# Of a tile while it is measured and counted: probabilities, margins, losses; places, sums; what they are made from.
_TILE_ARRAYS = 12


@dataclass(frozen=True)
class PreparedCalibration:
    """A calibration that can start.

    Attributes
    ----------
    wishes : CalibrationWishes
    scan : PreparedScan
    step : CalibrationStep
    notes : tuple of str
        How the files differ, in words for a person.
    """

    wishes: CalibrationWishes
    scan: PreparedScan
    step: CalibrationStep
    notes: tuple[str, ...]

    def settings(self) -> dict[str, Any]:
        """Return what the step needs, as JSON."""
        return settings_of(self.wishes)


def settings_of(wishes: CalibrationWishes) -> dict[str, Any]:
    """Return what the step of a calibration needs, as JSON."""
    block = wishes.block
    beside = getattr(block, "beside", dict)
    return {"block": block.describe(), "beside": beside(), "arithmetic": arithmetic_of(block, block.precision)}


def prepare_calibration(wishes: CalibrationWishes) -> PreparedCalibration:
    """Return a calibration that can start; no row is read.

    Raises
    ------
    LogitstreamError
        Every reason for which it cannot start, with its exit code.
    """
    holdout = None if wishes.holdout is None else parse_holdout(wishes.holdout)
    check_model_file(wishes.output, wishes.if_exists)
    found = discover(wishes.inputs)
    check_apart(wishes.output, found.files)
    files = gather_facts(found.files, wishes.csv, full=wishes.fingerprint == "full")
    survey = Survey.of(files, _needs(wishes), _kept(wishes, holdout), wishes.csv)
    surveyed = survey.compared(partial(_unfit, wishes), wishes.absent)
    types = {field.name: field.type for field in surveyed.fields}
    _check_kept(wishes, holdout, types)
    columns = [(need.name, need.role) for need in (*surveyed.features, *surveyed.kept)]
    step = CalibrationStep(wishes.target, wishes.missing_target, _divider(wishes, holdout, columns))
    plan = make_plan(files, chunk_size=wishes.chunk_size, limit=wishes.limit)
    scan = prepare_scan(files, surveyed.needs, plan, wishes.csv, _costs(wishes, plan), wishes.how)
    return PreparedCalibration(wishes, scan, step, (*found.notes, *surveyed.notes, *scan.how.notes))


def _needs(wishes: CalibrationWishes) -> list[Need]:
    features = list(wishes.block.columns())
    if any(need.name == wishes.target for need in features):
        raise UsageError(
            f"the target {escape(wishes.target)} is a feature of the model",
            "name the column of what was observed with --target",
        )
    return [*features, Need(wishes.target, "categorical")]


def _kept(wishes: CalibrationWishes, holdout: float | ColumnComparison | None) -> list[str]:
    """Return the columns that are read as they are."""
    compared = holdout.column if isinstance(holdout, ColumnComparison) else None
    return list(dict.fromkeys(name for name in (wishes.key, compared) if name is not None))


def _unfit(wishes: CalibrationWishes, fields: Sequence[pa.Field]) -> list[str]:
    """Return one sentence for each field whose type does not fit, those of the features first."""
    of_target = unfit_columns([(wishes.target, "categorical")], fields[-1:], {wishes.target: "a target"})
    return [*wishes.block.check(fields[:-1]), *of_target]


def _check_kept(
    wishes: CalibrationWishes, holdout: float | ColumnComparison | None, types: dict[str, pa.DataType]
) -> None:
    """Refuse a key of a type that has no text, and a comparison with a constant of another kind."""
    if wishes.key is not None and not is_hashable(types[wishes.key]):
        raise UsageError(
            f"--key {escape(wishes.key)}: the column is {escape(str(types[wishes.key]))}, whose values cannot be "
            "compared",
            "name a column of numbers, text or dates",
        )
    if isinstance(holdout, ColumnComparison) and (reason := unfit_comparison(holdout, types[holdout.column])):
        raise UsageError(f"column {escape(holdout.column)} {reason}", "compare it with a constant of its own kind")


def _divider(
    wishes: CalibrationWishes, holdout: float | ColumnComparison | None, columns: list[tuple[str, Any]]
) -> Divider | None:
    if holdout is None:
        return None
    compared = holdout if isinstance(holdout, ColumnComparison) else None
    return Divider(
        share=0.0 if isinstance(holdout, ColumnComparison) else holdout,
        comparison=compared,
        key=None if wishes.key is None else columns.index((wishes.key, "kept")),
        compared=None if compared is None else columns.index((compared.column, "kept")),
        nulls=wishes.csv.spellings,
    )


def _costs(wishes: CalibrationWishes, plan: Plan) -> StepCosts:
    block, settings = wishes.block, settings_of(wishes)
    outputs = 1 if block.model.classes is None else len(block.model.classes)
    # It is not known how many rows a chunk of a CSV has; those of a tile have as many keys as there may be.
    most = plan.most_rows()
    chunk_rows = TILE_ROWS if most is None else most
    of_tile = min(tile_rows(_FLOAT * (outputs + 1) + MADE_BYTES), chunk_rows)
    # Both tiles, and what one of them is made into.
    tiles = _FLOAT * of_tile * (2 * (outputs + 1) + _TILE_ARRAYS + 2 * outputs)
    return StepCosts(
        scratch_bytes=block.scratch_row_bytes + _FLOAT * (2 * outputs + 3),
        payload_bytes=_tables_bytes(chunk_rows),
        waiting=_WAITING if most is None else 1,
        fewer_payloads="lower --workers",
        fewer_sums="lower --chunk-size",
        travels=True,
        shared_bytes=settings_bytes(settings),
        table_bytes=block.table_bytes,
        # Those of all chunks, and what they become while a payload is added.
        totals_bytes=MERGED_TABLES * _tables_bytes(TILE_ROWS),
        step_bytes=MERGED_TABLES * _tables_bytes(chunk_rows) + tiles + getattr(block, "call_bytes", 0),
    )


def _tables_bytes(rows: int) -> int:
    """Return the bytes of the tables of so many rows: of those that are fitted, and of those that are measured."""
    return 2 * KEY_BYTES * min(rows, MOST_KEYS)
