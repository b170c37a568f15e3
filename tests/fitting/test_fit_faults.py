"""Input that no model can be fitted to: one clear error each, with its exit code, its place, and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest

from pipeline.errors import LogitstreamError
from pipeline.fitting.designs.design import FitDesign
from pipeline.fitting.designs.designing import design_of
from pipeline.types.job import BadLimit
from tests.fitting.jobs import job_of, learnt_by

ROWS = 400
BASE: Mapping[str, Any] = {
    "late": [row % 3 == 0 for row in range(ROWS)],
    "x": [float(row) for row in range(ROWS)],
    "c": ["AA" if row % 2 else "UA" for row in range(ROWS)],
    "w": [1.0] * ROWS,
    "o": [0.5] * ROWS,
}


def with_cell(name: str, row: int, value: object) -> list[object]:
    """Return a column in which one cell is another."""
    return [value if each == row else cell for each, cell in enumerate(BASE[name])]


@dataclass(frozen=True)
class Fault:
    """Columns that differ, what is asked for, and the error."""

    name: str
    code: int
    says: Sequence[str]
    remedy: str
    columns: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    features: str = "x, C(c)"
    model: Mapping[str, Any] = field(default_factory=dict)
    solve: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)


FAULTS = [
    Fault(
        "one class",
        65,
        ["column late: the target has one class, 'true', in all 400 rows"],
        "a model needs two",
        {"late": [True] * ROWS},
    ),
    Fault(
        "only positives are left",
        65,
        ["has one class, 'false', in all"],
        "--holdout",
        solve={"holdout": "late == true"},
    ),
    Fault(
        "three values and a positive one",
        2,
        ["--positive b: the target late has 3 classes, 'a', 'b', 'c'"],
        "leave --positive out",
        {"late": [("a", "b", "c")[row % 3] for row in range(ROWS)]},
        model={"positive": "b"},
    ),
    Fault(
        "no such positive value",
        2,
        ["--positive tru: the target late has the values 'false', 'true'", 'did you mean "true"?'],
        "name one of them",
        model={"positive": "tru"},
    ),
    Fault(
        "a target of fractions",
        65,
        ["column late: the target has the value 0.5, which is not a class"],
        "whole numbers",
        {"late": [0.5 if row == 7 else float(row % 2) for row in range(ROWS)]},
    ),
    Fault(
        "a target of many values",
        65,
        ["column late: the target has more than 1,000 different values"],
        "name another column with --target",
        {"late": [f"v{row}" for row in range(2_000)]},
    ),
    Fault(
        "a class that is only held out",
        65,
        ["column late: the target has the class 'c' only in rows that are held"],
        "hold out other rows",
        {"late": ["c" if row >= 390 else "ab"[row % 2] for row in range(ROWS)]},
        solve={"holdout": "x >= 390"},
    ),
    Fault(
        "a target that is missing",
        65,
        ["rows.{ending}: ", "{row} 312", "column late: null is a missing value, but"],
        "--missing-target drop",
        {"late": with_cell("late", 311, None)},
    ),
    Fault(
        "a target that is missing, though bad rows may be",
        65,
        ["null is a missing value, but every row needs a target"],
        "--missing-target drop",
        {"late": with_cell("late", 311, None)},
        data={"max_bad": BadLimit(50)},
    ),
    Fault(
        "a weight that is missing",
        65,
        ["{row} 3", "column w: null is a missing value, but every row needs a weight"],
        "--missing-target drop",
        {"w": with_cell("w", 2, None)},
        model={"weight": "w"},
    ),
    Fault(
        "a negative weight",
        65,
        ["{row} 301", "column w: '-0.25' is not a weight: weights are finite"],
        "another column with --weight",
        {"w": with_cell("w", 300, -0.25)},
        model={"weight": "w"},
    ),
    Fault(
        "a class without weight",
        65,
        ["column w: all rows of the class 'true' have the weight 0"],
        "name another column with --weight",
        {"w": [0.0 if late else 1.0 for late in BASE["late"]]},
        model={"weight": "w"},
    ),
    Fault(
        "an offset that is missing",
        65,
        ["{row} 2", "column o: null is a missing value, but every row needs an offset"],
        "leave the row out",
        {"o": with_cell("o", 1, None)},
        model={"offset": "o"},
    ),
    Fault(
        "a number that is missing",
        65,
        ["{row} 6", "column x: null is a missing value, and the fit has no rule for those"],
        "--missing impute-mean",
        {"x": with_cell("x", 5, None)},
    ),
    Fault(
        "a level that is missing",
        65,
        ["{row} 6", "column c: null is a missing value"],
        "--max-bad N leaves out up to N bad rows; nothing was written",
        {"c": with_cell("c", 5, None)},
    ),
    Fault(
        "a logarithm of nothing",
        65,
        ["{row} 1", "column x: '0.0' has no finite value under the steps"],
        "clip(NAME, LOW, HIGH)",
        features="log(x)",
    ),
    Fault(
        "more bad rows than may be",
        65,
        ["column x: null is a missing value", "1 more bad row was found", "rows read are bad, --max-bad allows 1"],
        "--missing",
        {"x": [None if row in {5, 9} else float(row) for row in range(ROWS)]},
        data={"max_bad": BadLimit(1)},
    ),
    Fault(
        "a column without a value",
        65,
        ["column x: every value is missing, so that there is nothing to impute"],
        "leave the column out of --features",
        {"x": [None] * ROWS},
        model={"missing": "impute-mean"},
    ),
    Fault(
        "levels without a value",
        65,
        ["column c: every value is missing"],
        "leave the column out",
        {"c": [None] * ROWS},
        model={"missing": "impute-median"},
    ),
    Fault(
        "rows dropped to none",
        65,
        ["no row is left to fit a model to: 400 read = 0 used + 0 held out + 400 dropped"],
        "--missing",
        {"x": [None] * ROWS},
        model={"missing": "drop"},
    ),
    Fault("no rows", 65, ["the inputs have no rows"], "name files that have rows", {name: [] for name in BASE}),
    Fault(
        "all constant",
        65,
        ["no feature is left: every column is constant"],
        "name other columns",
        features="w",
        columns={},
    ),
    Fault(
        "a constant column with --strict",
        65,
        ["w is 1 in every row: a constant column has no coefficient"],
        "fit without --strict",
        features="x, w",
        model={"strict": True},
    ),
    Fault(
        "numbers whose squares vanish",
        65,
        ["x: its values are too small to be scaled, up to 3.99e-198"],
        "scale(NAME, 0, 1e-300)",
        {"x": [row * 1e-200 for row in range(ROWS)]},
    ),
    Fault(
        "a product whose squares vanish",
        65,
        ["x:o: its values are too small to be scaled, up to 1.995e-198"],
        "scale(NAME, 0, 1e-300)",
        {"x": [row * 1e-200 for row in range(ROWS)]},
        features="C(c), x:o",
    ),
    Fault(
        "a product whose squares overflow",
        65,
        ["x:o: its values are too large to be scaled, up to 1.995e+202"],
        "clip(NAME, LOW, HIGH)",
        {"x": [row * 1e200 for row in range(ROWS)]},
        features="C(c), x:o",
    ),
    Fault(
        "too many levels",
        65,
        ["column c: it has more than 65,536 different values, too many for levels"],
        "leave the column out, or give it coarser values",
        {"c": [f"level {row}" for row in range(70_000)], "late": [row % 2 for row in range(70_000)]},
        features="C(c)",
        data={"chunk_size": "30000"},
    ),
    Fault(
        "the target among the features",
        2,
        ["the target late is among the features, in C(late):x"],
        "leave it out",
        features="x, C(late):x, C(late)",
    ),
    Fault(
        "a rule for what is no feature",
        2,
        ['--missing names X, which is not among the features; did you mean "x"?'],
        "name a column of the --features",
        model={"missing_of": {"X": "drop"}},
    ),
    Fault(
        "a weight that is the target",
        2,
        ["late is both target and weight"],
        "name two columns",
        model={"weight": "late"},
    ),
    Fault(
        "a class whose rows all have the weight 0",
        65,
        ["column w: all rows of the class 'true' have the weight 0"],
        "name another column with --weight",
        {"w": [float(not late) for late in BASE["late"]]},
        model={"weight": "w"},
    ),
    Fault(
        "weights that are all 0",
        65,
        ["column w: all rows have the weight 0"],
        "name another column with --weight",
        {"w": [0.0] * ROWS},
        model={"weight": "w"},
    ),
    Fault(
        "a class weight for no class",
        2,
        ["--class-weight maybe: the target has no such class; its classes are 'false', 'true'"],
        "name classes of the target",
        model={"class_weights": {"true": 2.0, "maybe": 3.0}},
    ),
    Fault(
        "a column that is not there",
        65,
        ["has no columns 'distance', 'X'", 'did you mean "x"?'],
        "fix the files",
        features="distance, X",
    ),
    Fault(
        "robust errors by a solver without a Hessian",
        2,
        ["--robust needs the matrix of second derivatives, which --solver newton-cg does not sum"],
        "use --solver newton",
        solve={"robust": True, "solver": "newton-cg"},
    ),
    Fault(
        "errors within groups by a solver without a Hessian",
        2,
        ["--robust-groups needs the matrix of second derivatives, which --solver owlqn does not sum"],
        "leave --robust-groups out",
        solve={"robust_groups": "c", "solver": "owlqn"},
    ),
    Fault(
        "a group that is missing",
        65,
        ["{row} 302", "column c: null is missing, and it is the group of the row under --robust-groups"],
        "leave the row out",
        {"c": with_cell("c", 301, None)},
        features="x",
        solve={"robust_groups": "c"},
    ),
    Fault(
        "weights that are too large",
        65,
        ["column w: the weights add up to 4e+202, but a fit takes up to 1e+100"],
        "divide them by a number",
        {"w": [1e200] * ROWS},
        model={"weight": "w"},
    ),
    Fault(
        "weights whose sum is infinite",
        65,
        ["column w: the weights add up to inf"],
        "another column with --weight",
        {"w": [1e308] * ROWS},
        model={"weight": "w"},
    ),
    Fault(
        "weights of evidence of three classes",
        65,
        ["weights of evidence need two classes, but the target has 3"],
        "leave woe=true out",
        {"late": [("a", "b", "c")[row % 3] for row in range(ROWS)]},
        features="B(x, bins=4, woe=true)",
    ),
]
# What only a typed file can have, or only a CSV.
OF_PARQUET = [
    Fault("text as a number", 65, ['column "c" is string, but a numeric feature is'], "fix the files", features="c, x"),
    Fault(
        "a comparison with another kind",
        2,
        ["column x is double, but --holdout compares it with a date"],
        "a constant of its own kind",
        solve={"holdout": "x >= 2013-11-01"},
    ),
    Fault(
        "text as a weight",
        65,
        ['column "c" is string, but a weight is an integer'],
        "fix the files",
        model={"weight": "c"},
    ),
    Fault(
        "a mean without a logarithm",
        65,
        ["log(square(x)): a missing value would count as 0, for which this is not a finite number"],
        "--missing x=drop",
        {"x": [(None, 1.0, None, -1.0)[row % 4] for row in range(ROWS)]},
        features="log(square(x))",
        model={"missing": "impute-mean"},
    ),
    Fault(
        "an infinite number",
        65,
        ["row 4, column x: 'inf' is infinite, but a fit takes only finite numbers"],
        "clip(NAME, LOW, HIGH)",
        {"x": with_cell("x", 3, np.inf)},
    ),
    Fault(
        "a weight that is NaN",
        65,
        ["row 4, column w: 'NaN' is a missing value, but every row needs a weight"],
        "--missing-target drop",
        {"w": with_cell("w", 3, np.nan)},
        model={"weight": "w"},
    ),
    Fault(
        "an infinite weight",
        65,
        ["row 4, column w: 'inf' is not a weight"],
        "--weight",
        {"w": with_cell("w", 3, np.inf)},
        model={"weight": "w"},
    ),
    Fault(
        "a target of times",
        65,
        ['column "late" is timestamp[us], but a target is text, a boolean, an integer or a float'],
        "--type NAME=TYPE",
        {"late": [datetime(2013, 11, 1 + row % 3) for row in range(ROWS)]},
    ),
    Fault(
        "a weight of text",
        65,
        ['column "w" is string, but a weight is an integer, a float,'],
        "--type NAME=TYPE",
        {"w": ["1"] * ROWS},
        model={"weight": "w"},
    ),
    Fault(
        "an infinite offset",
        65,
        ["row 4, column o: 'inf' is infinite, and the offset of a row is a finite number"],
        "leave the row out of the input",
        {"o": with_cell("o", 3, np.inf)},
        model={"offset": "o"},
    ),
    Fault(
        "an inexact number",
        65,
        ["row 4, column n: '9007199254740993' cannot be held exactly"],
        "--type NAME=float64",
        {"n": [2**53 + 1 if row == 3 else row for row in range(ROWS)]},
        features="n",
    ),
]
OF_CSV = [
    Fault(
        "text as a number", 65, ["record 1 (byte ", "column c: 'UA' is not a number"], "--null TEXT", features="c, x"
    ),
    Fault(
        "a comparison with another kind",
        65,
        ["record 1 (byte ", "column x: '0' cannot be compared with the constant"],
        "compare another column",
        solve={"holdout": "x >= 2013-11-01"},
    ),
    Fault(
        "text where a number is",
        65,
        ["record 4 (byte ", "column x: 'many' is not a number"],
        "--null TEXT",
        {"x": ["many" if row == 3 else str(row) for row in range(ROWS)]},
        features="x",
    ),
    Fault(
        "a text that is no date",
        65,
        ["record 4 (byte ", "column c: 'soon' cannot be compared with the constant"],
        "compare another column",
        {"c": ["soon" if row == 3 else "2013-11-01" for row in range(ROWS)]},
        features="x",
        solve={"holdout": "c >= 2013-11-01"},
    ),
]


def type_of(name: str, values: Sequence[Any]) -> pa.DataType | None:
    """Return the usual type of a column without any value, else what its values have."""
    return pa.array(BASE[name]).type if all(value is None for value in values) else None


def raised(fault: Fault, path: Path, kind: str) -> LogitstreamError:
    """Return the error of a fault in a file of a kind."""
    rows = max(map(len, fault.columns.values()), default=ROWS)
    columns = {name: list(values) * (rows // ROWS) for name, values in BASE.items()} | dict(fault.columns)
    table = pa.table({name: pa.array(values, type_of(name, values)) for name, values in columns.items()})
    if kind == "csv":
        pc.write_csv(table, path / "rows.csv")
    else:
        pq.write_table(table, path / "rows.parquet", row_group_size=100)
    with pytest.raises(LogitstreamError) as caught:
        design(fault, path)
    return caught.value


def design(fault: Fault, path: Path) -> FitDesign:
    """Return the design of what is asked for."""
    data = {"chunk_size": "150", **fault.data}
    prepared, learnt, _ = learnt_by(job_of(path, fault.features, data=data, solve=fault.solve, **fault.model))
    return design_of(prepared.job, learnt)[0]


def check(fault: Fault, path: Path, kind: str) -> None:
    error = raised(fault, path, kind)
    assert error.exit_code == fault.code, error
    for text in fault.says:
        assert text.format(ending=kind, row="record" if kind == "csv" else "row") in error.message
    assert fault.remedy in error.remedy
    assert len(error.message.splitlines()) <= 3


@pytest.mark.parametrize("kind", ["parquet", "csv"])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_one_clear_error(fault: Fault, kind: str, tmp_path: Path) -> None:
    check(fault, tmp_path, kind)


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_inputs_without_rows_are_named_as_such(kind: str, tmp_path: Path) -> None:
    columns = {name: [] for name in BASE}
    error = raised(Fault("no rows", 65, [], "", columns), tmp_path, kind)
    assert error.message == "the inputs have no rows"
    assert error.exit_code == 65


@pytest.mark.parametrize("fault", OF_PARQUET, ids=lambda fault: fault.name)
def test_one_clear_error_in_parquet(fault: Fault, tmp_path: Path) -> None:
    check(fault, tmp_path, "parquet")


@pytest.mark.parametrize("fault", OF_CSV, ids=lambda fault: fault.name)
def test_one_clear_error_in_a_csv(fault: Fault, tmp_path: Path) -> None:
    check(fault, tmp_path, "csv")
