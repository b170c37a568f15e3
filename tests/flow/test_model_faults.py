"""What can be wrong with the model of a job (M-1, M-4, M-5 of the list of faults); the rest is tested without a job."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.errors import LogitstreamError, ModelError, SchemaError
from pipeline.types.report import Event, Planned
from tests.flow.conftest import Bench, sigmoid

X = np.linspace(-3, 3, 40)
TABLE = pa.table({"x": X, "c": ["a", "b"] * 20})
SCORES = sigmoid(0.5 + X + np.tile([1, -1], 20))


def test_m01_features_are_matched_by_name_in_files(bench: Bench) -> None:
    bench.put("a.parquet", TABLE)
    bench.put("b.parquet", TABLE.select(["c", "x"]).add_column(0, "other", pa.array(range(40))))
    bench.score()
    np.testing.assert_allclose(bench.table()["probability"].to_numpy(), np.tile(SCORES, 2), rtol=1e-14)
    bench.put("c.parquet", TABLE.rename_columns(["X", "c"]))
    bench.put("d.parquet", TABLE.drop_columns(["x", "c"]).append_column("other", pa.array(range(40))))
    assert bench.refused(SchemaError, if_exists="replace").splitlines()[1:3] == [
        "  c.parquet: has no column 'x'; did you mean \"X\"?",
        "  d.parquet: has no columns 'x', 'c'",
    ]
    assert SchemaError.exit_code == 65


def other_model(path: Path, bench: Bench) -> None:
    bench.model(intercept=-7.0)


def no_model(path: Path, bench: Bench) -> None:
    path.write_bytes(b"\0" * 100)


def gone(path: Path, bench: Bench) -> None:
    path.unlink()


@pytest.mark.parametrize(
    ("change", "scheduler"),
    [(other_model, "sync"), (no_model, "threads"), (gone, "sync"), (other_model, "processes")],
)
def test_m05_a_model_replaced_during_a_run_is_that_of_its_start(
    bench: Bench, change: Callable[[Path, Bench], None], scheduler: str
) -> None:
    """The model is read once, before the plan; what a worker restores comes from the job file."""
    bench.put("f.parquet", TABLE, row_group_size=10)
    path = bench.model()
    planned = bench.preview(model=path, chunk_size=10).job_id

    def replace(event: Event) -> None:
        if isinstance(event, Planned):
            change(path, bench)

    report = bench.score(model=path, chunk_size=10, scheduler=scheduler, workers=1, observe=replace)
    assert report.plan.job_id == planned
    assert report.totals.chunks == 4
    np.testing.assert_allclose(bench.table()["probability"].to_numpy(), SCORES, rtol=1e-14)
    if change is not other_model:
        with pytest.raises(LogitstreamError, match=r"model\.json") as caught:
            bench.score(model=path, chunk_size=10, if_exists="replace")
        assert caught.value.exit_code in {65, 66}
        return
    again = bench.score(model=path, chunk_size=10, if_exists="replace")
    assert again.plan.job_id != planned
    assert again.totals.resumed == again.totals.reused == 0
    expected = sigmoid(-7.0 + X + np.tile([1, -1], 20))
    np.testing.assert_allclose(bench.table()["probability"].to_numpy(), expected, rtol=1e-14)


class Watch:
    """Gathers, while it is ``on``, the names of the files that are opened and the events of unpickling."""

    def __init__(self) -> None:
        self.on = False
        self.seen: list[str] = []

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.on and event == "open":
            self.seen.append(str(arguments[0]))
        elif self.on and event.startswith("pickle."):
            self.seen.append(event)


# A hook stays as long as the interpreter.
WATCH = Watch()
sys.addaudithook(WATCH)


@pytest.mark.parametrize("name", ["model.pkl", "model.joblib", "model.npz", "model.pickle.gz"])
def test_m04_a_job_never_opens_a_pickle(bench: Bench, name: str) -> None:
    bench.put("f.parquet", TABLE)
    path = bench.folder / "models" / name
    path.parent.mkdir()
    path.write_bytes(pickle.dumps(Path("x")))
    WATCH.on = True
    try:
        with pytest.raises(ModelError, match="it was not opened because a pickle runs code") as caught:
            bench.score(model=path)
    finally:
        WATCH.on = False
    assert caught.value.exit_code == 65
    assert [seen for seen in WATCH.seen if name in seen or seen.startswith("pickle.")] == []
    assert not bench.out.exists()
