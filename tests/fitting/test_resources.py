"""Memory of passes: what a plan counts, how many models share a pass, and refusals before any row is read."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import MemoryBudgetError
from pipeline.fitting.asking.job import DataWishes, FitJob, MeansWishes, ModelWishes, SolveWishes
from pipeline.fitting.asking.planning import FitOutlook, plan_of
from pipeline.fitting.asking.reading import prepare_fit
from pipeline.fitting.asking.wishing import models_of, objective_of
from pipeline.fitting.beginning import kept_tiles, sample_batches, sources_of, start_of
from pipeline.fitting.designs.designing import design_of
from pipeline.fitting.first_pass.learning import learn
from pipeline.fitting.passes.points import Point
from pipeline.fitting.passes.resources import (
    choose_holding,
    lowered_note,
    most_models,
    pass_costs,
    sums_bytes,
    with_room,
)
from pipeline.fitting.passes.scanning import open_passes
from pipeline.fitting.passes.summing import ChunkSums
from pipeline.fitting.passes.tiles_in_memory import MemoryPasses
from pipeline.fitting.report import FitPlan
from pipeline.fitting.running import run
from pipeline.fitting.solving import warm_start
from pipeline.fitting.tiles.encoding import Encoder
from pipeline.fitting.tiles.layout import FitLayout
from pipeline.scan import PreparedScan, StepCosts, open_scan, with_costs, within
from pipeline.training import fit_job
from pipeline.units import GIB, MIB
from tests.fitting.scans import ROWS, needs_of, numbers_design, numbers_table, prepared, write

COLUMNS = 3


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> PreparedScan:
    folder = write(numbers_table(40_000, COLUMNS), tmp_path_factory.mktemp("numbers"))
    return prepared(folder, needs_of(COLUMNS), chunk_size="3000", scheduler="threads", workers=2, memory="4GiB")


def budgeted(scan: PreparedScan, allowed_bytes: int) -> PreparedScan:
    return with_costs(scan, StepCosts(travels=True), allowed_bytes)


@pytest.mark.parametrize("layout", [FitLayout(3), FitLayout(2, (4, 5)), FitLayout(2, (3,), classes=3, outputs=2)])
def test_the_bytes_of_sums_are_counted(layout: FitLayout) -> None:
    shape = (layout.outputs, layout.width)
    points = [Point(np.zeros(shape), step=np.zeros(shape), direction=np.zeros(shape), scores=True)] * 3
    arrays = [
        array for sums in ChunkSums(layout, points).done() for array in vars_of(sums) if isinstance(array, np.ndarray)
    ]
    assert sum(array.nbytes for array in arrays) <= sums_bytes(layout, 3, squares=2)
    assert sums_bytes(layout, 3, squares=2) <= 1.5 * sum(array.nbytes for array in arrays) + 3 * 32 * layout.size


def vars_of(sums: object) -> list[object]:
    return [getattr(sums, name) for name in type(sums).__slots__]  # type: ignore[attr-defined]


def test_a_plan_counts_the_sums_of_each_worker_and_of_each_level_of_the_tree(scan: PreparedScan) -> None:
    layout = FitLayout(1_000)
    one, three = (with_costs(scan, pass_costs(layout, models)).demand for models in (1, 3))
    levels = len(scan.plan).bit_length()
    each = sums_bytes(layout)
    assert three.driver_bytes - one.driver_bytes == 2 * each * (levels + 1)
    assert three.step_bytes - one.step_bytes >= 2 * each
    # Workers + log2(chunks) + 1 of them, besides what a worker needs to add them up.
    assert one.projected_bytes(2, 1) - one.projected_bytes(1, 1) >= each
    assert with_costs(scan, pass_costs(layout)).begins is scan.begins


@given(width=st.integers(1, 400), wanted=st.integers(1, 200), memory=st.integers(120, 3_000))
def test_as_many_models_share_a_pass_as_fit(scan: PreparedScan, width: int, wanted: int, memory: int) -> None:
    # What this process has taken so far counts, too.
    allowed = scan.demand.reserved_bytes + memory * MIB
    layout, tight = FitLayout(width), budgeted(scan, allowed)
    try:
        alone = with_costs(tight, pass_costs(layout))
    except MemoryBudgetError:
        with pytest.raises(MemoryBudgetError):
            most_models(tight, layout, wanted)
        return
    found = most_models(tight, layout, wanted)
    assert 1 <= found <= wanted
    chosen = with_costs(tight, pass_costs(layout, found))
    assert chosen.resources.projected_bytes <= allowed
    assert chosen.resources.workers == alone.resources.workers
    assert found == wanted or not fits(tight, layout, found + 1, alone.resources.workers)


def fits(scan: PreparedScan, layout: FitLayout, models: int, workers: int) -> bool:
    try:
        return with_costs(scan, pass_costs(layout, models)).resources.workers == workers
    except MemoryBudgetError:
        return False


def test_points_that_do_not_fit_one_pass_take_several_with_the_same_bits(scan: PreparedScan) -> None:
    design = numbers_design(COLUMNS)
    chance = np.random.default_rng(0)
    points = [Point(chance.normal(size=(1, COLUMNS + 1))) for _ in range(5)]
    found, chunks = [], []
    for models in (5, 2, 1):
        seen: list[int] = []
        confirmed = functools.partial(lambda numbers, outcome: numbers.append(outcome.chunk), seen)
        with open_passes(scan, design, ROWS, models=models, confirmed=confirmed) as passes:
            assert passes.models == models
            found.append([(sums.loss, sums.rows) for sums in passes.sums(points)])
        chunks.append(len(seen))
    assert found[0] == found[1] == found[2]
    assert chunks == [count * len(scan.plan) for count in (1, 3, 5)]


def test_a_sample_is_counted_once_whatever_the_workers_and_stays_for_later_passes(tmp_path: Path) -> None:
    data = str(write(numbers_table(40_000, COLUMNS), tmp_path / "numbers"))
    options = {"target": "y", "features": "*", "memory": "4GiB", "chunk_size": "3000"}
    fits = [prepare_fit(fit_job(data, workers=workers, **options)) for workers in (1, 4)]
    sample = fits[0].wanted.sample.expected_bytes
    assert 16_384 * 8 * (COLUMNS + 1) < sample < 1.2 * 16_384 * (8 * COLUMNS + 24 + 9)
    for prepared_fit in fits:
        later = with_costs(prepared_fit.scan, pass_costs(FitLayout(COLUMNS)))
        assert prepared_fit.scan.demand.gathered_bytes == 2 * sample
        assert later.demand.gathered_bytes == sample
        assert with_costs(later, pass_costs(FitLayout(COLUMNS))).demand == later.demand
        assert prepared_fit.scan.demand.step_bytes == 0
    apart = prepare_fit(fit_job(data, workers=1, scheduler="processes", **options)).scan
    assert apart.demand.step_bytes == 2 * sample // len(apart.plan)


def test_solvers_start_at_the_same_bits_whether_tiles_of_the_sample_are_kept_or_made_anew(tmp_path: Path) -> None:
    data = str(write(numbers_table(40_000, COLUMNS), tmp_path / "numbers"))
    prepared_fit = prepare_fit(fit_job(data, target="y", features="x0 * x1, x2", memory="4GiB"))
    with open_scan(prepared_fit.scan, {}) as scan:
        learnt, sample = learn(scan, prepared_fit)
    design, _ = design_of(prepared_fit.job, learnt)
    rows = sources_of(prepared_fit, learnt)
    encoder = Encoder(design, rows)
    starts = []
    for most_bytes in (0, 1 << 30):
        tiles = kept_tiles(lambda: encoder.tiles(sample_batches(sample)), most_bytes)
        assert callable(tiles) == (most_bytes == 0)
        starts.append(warm_start(MemoryPasses(design.layout, tiles), objective_of(prepared_fit.job, design)))
    starts.append(start_of(prepared_fit, design, rows, sample).values)
    assert starts[0].tobytes() == starts[1].tobytes() == starts[2].tobytes()
    assert starts[0].any()


@pytest.mark.parametrize(
    ("wishes", "offset", "models"),
    [
        (SolveWishes(), None, 1),
        (SolveWishes(), "exposure", 2),
        (SolveWishes(l2=0.1, path=20, folds=5), None, 24),
        (SolveWishes(l2=0.1, folds=5), None, 6),
        (SolveWishes(l2=0.1, path=200, folds=10), None, 64),
    ],
)
def test_memory_is_counted_for_the_models_that_there_are(wishes: SolveWishes, offset: str | None, models: int) -> None:
    assert models_of(FitJob(DataWishes(()), ModelWishes("y", offset=offset), wishes)) == models


def test_the_note_says_how_many_models_share_a_pass() -> None:
    assert lowered_note(5, 5, GIB) == ""
    assert lowered_note(100, 30, GIB) == (
        "30 of 100 models share a pass, as many as fit 1 GiB: a step of all models takes 4 passes"
    )


def plan_within(scan: PreparedScan, memory: int, layout: FitLayout, scratch: str = "auto") -> FitPlan:
    job = FitJob(DataWishes(()), ModelWishes("y"), means=MeansWishes(scratch=scratch))
    return plan_of(budgeted(scan, memory), job, FitOutlook(layout, "newton", 4, 1, None))


def test_a_plan_says_where_columns_are_held_with_bytes(scan: PreparedScan, tmp_path: Path) -> None:
    layout = FitLayout(COLUMNS)
    roomy = plan_within(scan, 4 * GIB, layout)
    assert (roomy.held, roomy.bytes_pass, roomy.rows, roomy.width) == ("memory", 0, 40_000, COLUMNS + 1)
    assert 40_000 * (8 * COLUMNS + 1) <= roomy.held_bytes <= 1.2 * 40_000 * (8 * COLUMNS + 1)
    assert roomy.projected_bytes > roomy.held_bytes
    least = with_costs(scan, pass_costs(layout)).demand.projected_bytes(1, 4_096)
    again = plan_within(scan, least, layout)
    assert (again.held, again.held_bytes) == ("read again", 0)
    assert again.bytes_pass == again.bytes_first == scan.bytes_to_read
    files = plan_within(scan, least, layout, str(tmp_path))
    assert (files.held, files.bytes_pass) == ("scratch", roomy.held_bytes)
    for plan in (roomy, again, files):
        assert plan.projected_bytes <= plan.allowed_bytes


def test_a_width_that_does_not_fit_is_refused_before_any_row_is_read(scan: PreparedScan) -> None:
    # A process with many tests in it may take more than a gigabyte by itself.
    memory = scan.demand.projected_bytes(1, 4_096) + 512 * MIB
    with pytest.raises(MemoryBudgetError, match="sums over the rows") as error:
        plan_within(scan, memory, FitLayout(10_000))
    assert error.value.exit_code == 71
    assert "leave out features" in error.value.remedy


def test_a_fit_too_wide_for_the_memory_ends_before_its_first_pass(tmp_path: Path) -> None:
    names = [f"x{place}" for place in range(45)]
    write(pa.table({**{name: np.arange(40.0) for name in names}, "y": [0, 1] * 20}), tmp_path / "wide")
    pairs = ", ".join(f"{one}:{other}" for one, other in combinations(names, 2))
    options = {"target": "y", "features": pairs, "workers": 1}
    first = prepare_fit(fit_job(str(tmp_path / "wide"), memory="4GiB", **options)).scan.demand
    little = f"{first.projected_bytes(1, 4_096) // MIB + 1}MiB"
    events: list[object] = []
    with pytest.raises(MemoryBudgetError, match="sums over the rows"):
        run(fit_job(str(tmp_path / "wide"), memory=little, **options), events.append)
    assert events == []


PRODUCTS = ", ".join(
    ":".join(names) for count in (1, 2, 3) for names in combinations([f"x{place}" for place in range(14)], count)
)

_PEAK = """
import json, sys
import pipeline
from pipeline.training import preview_fit
options = {"features": "*", **json.loads(sys.argv[2])}
plan = preview_fit(sys.argv[1], target="y", **options)
report = pipeline.fit(sys.argv[1], target="y", **options)
print(json.dumps([report.peak_bytes, plan.projected_bytes, plan.allowed_bytes, plan.held]))
"""


_PEAKS = [
    (600_000, 20, {"memory": "330MiB", "workers": 2}, "read again"),
    (600_000, 20, {"memory": "390MiB", "workers": 2}, "memory"),
    (600_000, 20, {"memory": "330MiB", "workers": 2, "scratch": "."}, "scratch"),
    (60_000, 300, {"memory": "1GiB", "workers": 1, "scheduler": "sync"}, "read again"),
    # The tiles of the sample would have 60 times the bytes of its columns.
    (60_000, 14, {"memory": "330MiB", "workers": 1, "features": PRODUCTS, "scratch": "none"}, "memory"),
]
_MORE_PEAKS = [
    (600_000, 20, {"memory": "1GiB", "workers": 2}, "memory"),
    (60_000, 300, {"memory": "3GiB", "workers": 2}, "memory"),
]


@pytest.mark.parametrize(
    ("rows", "columns", "options", "held"),
    [
        *(pytest.param(*case, marks=pytest.mark.slow) for case in _PEAKS),
        *(pytest.param(*case, marks=pytest.mark.campaign) for case in _MORE_PEAKS),
    ],
)
def test_the_peak_of_a_fit_is_under_its_projection(
    tmp_path: Path, rows: int, columns: int, options: dict[str, object], held: str
) -> None:
    write(numbers_table(rows, columns), tmp_path / "data", groups=100_000)
    options = {name: str(tmp_path) if value == "." else value for name, value in options.items()}
    command = [sys.executable, "-c", _PEAK, str(tmp_path / "data"), json.dumps(options)]
    done = subprocess.run(command, check=True, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE)
    peak, projected, allowed, where = json.loads(done.stdout)
    assert where == held
    assert peak <= projected <= allowed


def test_batches_are_lowered_where_all_columns_then_fit_the_memory(scan: PreparedScan) -> None:
    held = with_room(scan).resources.projected_bytes
    assert with_room(scan) is scan
    tight = within(scan, scan.resources.projected_bytes + MIB)
    leaner = with_room(tight)
    assert leaner.resources.batch_rows <= tight.resources.batch_rows
    assert leaner.resources.workers == tight.resources.workers
    assert leaner.resources.allowed_bytes == tight.resources.allowed_bytes
    assert leaner.resources.projected_bytes <= held
    choice = choose_holding(leaner, "none")
    if leaner is not tight:
        assert choice.where == "memory"
        assert choice.held_bytes + leaner.resources.projected_bytes <= leaner.resources.allowed_bytes
