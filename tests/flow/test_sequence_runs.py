"""Networks scored over columns of lists: the same bits however a run is carried out, and how runs fail."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import threadpoolctl  # noqa: F401 - its first import sets a variable of the environment

import pipeline
from pipeline import flow
from pipeline.errors import BadCellsError, SchemaError, TemporaryError
from pipeline.interface import score_job
from pipeline.memory import current_bytes
from pipeline.types.report import Event, Progressed, event_facts
from pipeline.units import MIB
from tests.flow.conftest import Bench
from tests.models.network.networks import drawn_steps, numeric, sequence, step_layers, written

ROOT = Path(__file__).parents[2]
WIDTHS = (3, 12, 1)


def lists(count: int, seed: int = 0, longest: int = 9) -> pa.Array:
    """Return rows of 0 to ``longest`` steps of three numbers, some null and some with a null in them."""
    generator = np.random.default_rng(seed)
    steps = generator.integers(0, longest + 1, count)
    offsets = np.concatenate([[0], np.cumsum(3 * steps)]).astype(np.int32)
    numbers = pa.array(generator.normal(size=offsets[-1]), mask=generator.random(offsets[-1]) < 0.001)
    return pa.ListArray.from_arrays(pa.array(offsets), numbers, mask=pa.array(generator.random(count) < 0.01))


def model(folder: Path, dtype: type = np.float32, kind: str = "lstm", **content: Any) -> Path:
    feature = sequence("clicks", width=3, center=[0.1, 0.0, -0.2], scale=2.0, missing="empty")
    layers = step_layers(kind, 1, "mean")
    return written(folder, drawn_steps(kind, WIDTHS, dtype), **{"features": [feature], "layers": layers} | content)


def small(bench: Bench, missing: str = "null", **content: Any) -> Path:
    """Write a network over sequences of one number a step."""
    features = [sequence("clicks", missing=missing)]
    tensors = drawn_steps("gru", (1, 3, 1))
    return written(bench.folder / "models", tensors, features=features, layers=step_layers("gru", 1, "last"), **content)


def score(source: Path, path: Path, output: Path, **options: Any) -> pipeline.Report:
    return pipeline.score(source, path, output, **{"keep": ["id"], "chunk_size": 1_500, **options})


def parts(output: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(output.iterdir()) if path.name.startswith("part-")}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write 7,000 rows of sequences into two files."""
    folder = tmp_path_factory.mktemp("source") / "clicks"
    folder.mkdir()
    table = pa.table({"id": np.arange(7_000), "clicks": lists(7_000)})
    pq.write_table(table.slice(0, 4_000), folder / "a.parquet", row_group_size=700)
    pq.write_table(table.slice(4_000), folder / "b.parquet", row_group_size=1_100)
    return folder


@pytest.fixture(scope="module", params=[np.float32, np.float64], ids=["float32", "float64"])
def reference(
    request: pytest.FixtureRequest, source: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """A model, and one run of it that the others must agree with."""
    folder = tmp_path_factory.mktemp("reference")
    path = model(folder / "models", request.param)
    score(source, path, folder / "out", scheduler="sync", workers=1)
    return path, folder / "out"


@pytest.mark.parametrize(
    "options",
    [
        {"scheduler": "threads", "workers": 2},
        {"scheduler": "sync", "memory": "tight"},
        pytest.param({"scheduler": "processes", "workers": 2}, marks=pytest.mark.slow),
    ],
    ids=lambda options: "-".join(map(str, options.values())),
)
def test_parts_are_equal_on_every_scheduler_with_any_workers_and_batches(
    source: Path, reference: tuple[Path, Path], options: dict[str, Any], tmp_path: Path
) -> None:
    path, output = reference
    if options.get("memory") == "tight":
        options = {**options, "memory": max(160 * MIB, current_bytes()) + 80 * MIB}
    score(source, path, tmp_path / "out", **options)
    assert parts(tmp_path / "out") == parts(output)


def test_bits_are_equal_for_any_chunk_size_and_form_of_lists(
    source: Path, reference: tuple[Path, Path], tmp_path: Path
) -> None:
    path, output = reference
    score(source, path, tmp_path / "out", chunk_size=700, scheduler="sync")
    rows = pq.read_table(source)
    large = rows.set_column(1, "clicks", rows["clicks"].cast(pa.large_list(pa.float64())))
    pq.write_table(large.combine_chunks(), tmp_path / "large.parquet", row_group_size=123)
    score(tmp_path / "large.parquet", path, tmp_path / "other", chunk_size=5_000, scheduler="sync")
    expected = pq.read_table(output)
    assert expected["probability"].null_count > 0
    for folder in ("out", "other"):
        assert pq.read_table(tmp_path / folder).equals(expected)


@pytest.mark.slow
@pytest.mark.parametrize("core", ["Haswell", "SkylakeX"])
@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_bits_are_equal_for_any_chunk_size_with_other_kernels_of_blas(
    kind: str, core: str, source: Path, tmp_path: Path
) -> None:
    if core == "SkylakeX" and "avx512" not in Path("/proc/cpuinfo").read_text():
        pytest.skip("this CPU has no AVX-512")
    path = model(tmp_path / "models", kind=kind)
    code = (
        "import sys, pipeline\n"
        "for chunk in (700, 5000):\n"
        "    pipeline.score(sys.argv[1], sys.argv[2], f'{sys.argv[3]}/{chunk}', keep=['id'], chunk_size=chunk,"
        " scheduler='threads')\n"
    )
    arguments = [sys.executable, "-c", code, str(source), str(path), str(tmp_path)]
    environment = {"OPENBLAS_CORETYPE": core, "OPENBLAS_NUM_THREADS": "2", "PYTHONPATH": str(ROOT), "PATH": ""}
    subprocess.run(arguments, check=True, env=environment, cwd=tmp_path)
    one, other = (pq.read_table(tmp_path / chunk) for chunk in ("700", "5000"))
    assert one.equals(other)
    manifest = json.loads((tmp_path / "700" / "_manifest.json").read_text())
    arithmetic = "float64" if core == "Haswell" else "float32"
    assert f"-{core}-{arithmetic}" in manifest["options"]["arithmetic"]


class StopAfterChunks:
    """Asks the run to stop once a number of chunks is done."""

    def __init__(self, chunks: int) -> None:
        self.chunks, self.stop = chunks, flow.Stop()

    def __call__(self, event: Event) -> None:
        if isinstance(event, Progressed) and event.totals.chunks >= self.chunks:
            self.stop.request(TemporaryError("enough"))


def test_a_stopped_run_is_resumed_to_the_same_parts_and_verified(
    source: Path, reference: tuple[Path, Path], tmp_path: Path
) -> None:
    path, output = reference
    job = score_job(source, path, tmp_path / "out", keep=["id"], chunk_size=1_500, scheduler="sync")
    watch = StopAfterChunks(2)
    with pytest.raises(TemporaryError):
        flow.run(job, watch, watch.stop)
    report = flow.run(job)
    assert report.totals.chunks > report.totals.resumed >= 2
    assert parts(tmp_path / "out") == parts(output)
    found = pipeline.verify(tmp_path / "out", sample=3)
    assert (found.chunks_scored, found.differences) == (3, ())


def test_bad_sequences_and_those_that_the_policies_set_aside_are_in_the_quarantine(bench: Bench) -> None:
    rows = [[0.5], None, [0.1, None], [1.0, 2.0, 3.0], [0.5]]
    bench.put("f.parquet", pa.table({"clicks": rows, "id": range(5)}))
    path = small(bench, "quarantine", steps=2)
    message = bench.refused(BadCellsError, known=False, model=path)
    assert "f.parquet: row 4, column clicks: '[1.0, 2.0, 3.0]' has more steps than the model takes" in message
    report = bench.score(model=path, keep=["id"], max_bad=1)
    totals = report.totals
    assert (totals.read, totals.scored, totals.null, totals.quarantined, totals.bad) == (5, 2, 1, 2, 1)
    assert bench.table()["id"].to_pylist() == [0, 2, 4]
    facts = dict(event_facts(totals.events))
    assert facts["sequences with missing values in a step"] == "clicks 1"
    assert facts["missing values"] == "clicks 1"


def test_columns_that_are_no_sequences_are_refused_before_the_first_row(bench: Bench) -> None:
    path = small(bench, steps=4)
    bench.put("f.parquet", pa.table({"clicks": [["a"]]}))
    message = bench.refused(SchemaError, model=path)
    assert 'column "clicks" is list<' in message
    assert "string>, but a sequence feature is a list of integers or floats" in message
    assert message.endswith("\nfix the files, or use other columns")
    bench.put("f.parquet", pa.table({"clicks": pa.array([[1.0] * 5], pa.list_(pa.float32(), 5))}))
    assert 'column "clicks" has 5 steps, but the model takes at most 4 ("steps")' in bench.refused(
        SchemaError, model=path
    )
    (bench.inputs / "f.parquet").unlink()
    bench.put("f.csv", 'clicks\n"[1.0]"\n')
    assert bench.refused(SchemaError, model=path).splitlines()[1:] == [
        "  f.csv: column 'clicks' is a sequence, and a CSV has no lists",
        "write the sequences to Parquet, as columns of lists of numbers",
    ]


def tensors(count: int, shape: tuple[int, ...], order: list[int] | None = None) -> tuple[pa.Array, pa.Array]:
    """Return tensors of drawn numbers, some null, and the same numbers as lists."""
    generator, size = np.random.default_rng(7), int(np.prod(shape))
    mask = pa.array(generator.random(count) < 0.1)
    numbers = pa.array(generator.normal(size=count * size).astype(np.float32))
    storage = pa.FixedSizeListArray.from_arrays(numbers, size, mask=mask)
    type_ = pa.fixed_shape_tensor(pa.float32(), shape, permutation=order)
    return pa.ExtensionArray.from_storage(type_, storage), storage.cast(pa.list_(pa.float32()))


@pytest.mark.parametrize("shape", [(4, 3), (1, 3), (12,)], ids=str)
@pytest.mark.parametrize("order", [None, "identity"])
def test_tensors_of_the_shape_of_the_steps_are_scored_as_lists_are(
    shape: tuple[int, ...], order: str | None, tmp_path: Path
) -> None:
    path = model(tmp_path / "models")
    given, same = tensors(2_000, shape, list(range(len(shape))) if order else None)
    for name, cells in (("tensors", given), ("lists", same)):
        table = pa.table({"id": np.arange(2_000), "clicks": cells})
        pq.write_table(table, tmp_path / f"{name}.parquet", row_group_size=900)
        score(tmp_path / f"{name}.parquet", path, tmp_path / name, chunk_size=300)
    found, expected = (pq.read_table(tmp_path / name) for name in ("tensors", "lists"))
    assert found.equals(expected)
    assert len(set(found["probability"].to_pylist())) > 1_500


@pytest.mark.parametrize(
    ("shape", "order", "words"),
    [
        ((4, 6), None, ("float>[6]>[4], but a step has 3 numbers",)),
        ((3, 4), [1, 0], ("of the shape [3, 4] with the permutation [1, 0]", "write lists")),
        ((2, 2, 3), None, ("float>[3]>[2]>[2], but a sequence feature is a list of integers or floats",)),
    ],
    ids=str,
)
def test_tensors_of_another_shape_or_order_than_the_steps_are_refused_before_the_first_row(
    shape: tuple[int, ...], order: list[int] | None, words: tuple[str, ...], bench: Bench
) -> None:
    bench.put("f.parquet", pa.table({"clicks": tensors(10, shape, order)[0]}))
    message = bench.refused(SchemaError, model=model(bench.folder / "models"))
    _, sentence, remedy = message.splitlines()
    assert sentence.replace('"', "'").startswith("  f.parquet: column 'clicks' ")
    assert all(each in sentence for each in words)
    assert remedy == "fix the files, or use other columns"


def test_a_file_without_the_column_has_no_scores_where_that_is_allowed(bench: Bench) -> None:
    bench.put("a.parquet", pa.table({"clicks": [[0.5]], "id": [1]}))
    bench.put("b.parquet", pa.table({"id": [2]}))
    path = small(bench)
    assert "has no column 'clicks'" in bench.refused(SchemaError, model=path)
    bench.score(model=path, keep=["id"], absent="null")
    assert [value is None for value in bench.table()["probability"].to_pylist()] == [False, True]


def test_inputs_without_rows_have_no_scores(bench: Bench) -> None:
    bench.put("f.parquet", pa.table({"clicks": pa.array([], pa.list_(pa.float64())), "id": pa.array([], pa.int64())}))
    assert bench.score(model=small(bench), keep=["id"], allow_empty=True).totals.read == 0


def test_a_dictionary_of_the_numbers_in_lists_changes_no_batch(bench: Bench) -> None:
    path, rows = small(bench), 12_000
    clicks = pa.ListArray.from_arrays(
        np.arange(0, 1_000 * rows + 1, 1_000, dtype=np.int32), np.tile([0.5, 1.5], 500 * rows)
    )
    table = pa.table({"clicks": clicks, "id": np.arange(rows)})
    for name, use_dictionary in (("plain", False), ("dictionary", True)):
        bench.put(f"{name}.parquet", table, use_dictionary=use_dictionary, row_group_size=rows)
    memory = max(160 * MIB, current_bytes()) + 160 * MIB
    one, other = (
        bench.preview(inputs=bench.inputs / f"{name}.parquet", model=path, memory=memory).resources
        for name in ("plain", "dictionary")
    )
    # Pages with a dictionary are smaller, which leaves room for a larger batch, but not for all rows.
    assert one.batch_rows <= other.batch_rows < rows


def test_the_inputs_of_a_wide_step_count_towards_the_memory(bench: Bench) -> None:
    bench.put("f.parquet", pa.table({"clicks": [[1.0] * 2_000], "x": [1.0]}))
    features = [sequence("clicks", width=2_000)]
    wide = written(
        bench.folder / "wide",
        drawn_steps("lstm", (2_000, 20, 1)),
        features=features,
        layers=step_layers("lstm", 1, "last"),
    )
    narrow = small(bench)
    needed = [bench.preview(model=path).resources.projected_bytes for path in (wide, narrow)]
    assert needed[0] - needed[1] > 1_024 * 2_000 * 16
    plain = written(
        bench.folder / "plain",
        {"0.weight": np.ones((1, 1))},
        features=[numeric("x")],
        layers=[{"kind": "dense", "weight": "0.weight"}],
    )
    assert bench.preview(model=plain).resources.projected_bytes < needed[1] + 4 * MIB
