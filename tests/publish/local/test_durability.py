"""Without durability nothing is synced, and everything else is the same."""

from __future__ import annotations

from pathlib import Path

from pipeline.publish import Staging
from pipeline.publish.local.restoring import rollback
from pipeline.publish.local.staging import open_staging
from pipeline.types.job import Conduct
from tests.publish.runs import CODEC, adopt, data_of, files_of, home, job_id, names, publish, receipt, snapshot
from tests.publish.steps import watched

OLD = {"part-0000000-aa.parquet": b"old|bad", "part-0000001-ab.parquet": b"one"}
NEW = {"part-0000000-ba.parquet": b"new|bad", "part-0000001-ab.parquet": b"one"}
NONE = Conduct(durability="none")


def stopped(output: Path, conduct: Conduct) -> None:
    with open_staging(output, job_id("new"), if_exists="replace", codec=CODEC, conduct=conduct) as staging:
        assert isinstance(staging, Staging)
        part = list(staging.standing())[1]
        taken = adopt(staging, 1, part)
        assert taken is not None
        staging.append(receipt(1, *taken))
        staging.note_end("stopped", 143)


def everything(output: Path, conduct: Conduct) -> list[str]:
    synced: list[str] = []
    with watched(lambda _, path: synced.append(path), {"fsync"}):
        publish(output, "old", OLD, conduct=conduct)
        stopped(output, conduct)
        publish(output, "new", NEW, "replace", conduct=conduct)
        publish(output, "new", NEW, "replace", conduct=conduct)
        rollback(output, codec=CODEC, durability=conduct.durability)
    return synced


def test_no_call_syncs(folder: Path) -> None:
    assert everything(folder / "out", NONE) == []
    assert data_of(folder / "out") == files_of(OLD)


def test_everything_else_is_the_same(tmp_path: Path) -> None:
    for name, conduct in (("full", Conduct()), ("none", NONE)):
        (tmp_path / name).mkdir()
        assert bool(everything(tmp_path / name / "out", conduct)) == (name == "full")
    full, none = (tmp_path / name / "out" for name in ("full", "none"))
    assert snapshot(full) == snapshot(none)
    assert snapshot(home(full) / "versions") == snapshot(home(none) / "versions")
    assert names(home(full)) == names(home(none))


def test_an_adopted_part_is_synced_since_the_run_that_made_it_may_not_have_done_so(tmp_path: Path) -> None:
    output = tmp_path / "out"
    publish(output, "old", OLD, conduct=NONE)
    synced: list[str] = []
    with open_staging(output, job_id("new"), if_exists="replace", codec=CODEC) as staging:
        assert isinstance(staging, Staging)
        with watched(lambda _, path: synced.append(path), {"fsync"}):
            for part in staging.standing():
                adopt(staging, 0, part)
    assert {path for path in synced if path.startswith(str(output) + "/")} == {
        str(output / name) for name in files_of(OLD)
    }
