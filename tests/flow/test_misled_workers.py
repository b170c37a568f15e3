"""Workers that see other files than the run: each in a mount namespace of its own, as on another host."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from jobs.cli import run as run_command
from tests.contracts.cluster import ROOT, Cluster, start_scheduler

pytestmark = pytest.mark.slow

MODEL = ROOT / "sample_data" / "delay_model.json"
UNSHARE = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
READ_ONLY = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"'
REPLACED = 'mount --bind "$1" "$2" && shift 2 && exec "$@"'


@pytest.fixture(scope="module")
def lonely(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A scheduler without workers."""
    if subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this user may not make mount namespaces")
    with start_scheduler(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture
def flights(tmp_path: Path) -> Path:
    path = tmp_path / "inputs" / "a.parquet"
    path.parent.mkdir()
    first = next((ROOT / "sample_data" / "flights").glob("*.parquet"))
    pq.write_table(pq.read_table(first).slice(0, 2_000), path, row_group_size=300)
    return path


def refusal(
    lonely: Cluster, flights: Path, output: Path, script: str, *paths: Path, capfd: pytest.CaptureFixture[str]
) -> tuple[int, str]:
    """Return how a run ends whose only worker sees what a script mounts, and what it says."""
    below = [*UNSHARE, "sh", "-c", script, "sh", *map(str, paths)]
    line = ["score", flights, "--model", MODEL, "--output", output, "--chunk-size", 300]
    with lonely.worker("--no-nanny", below=below):
        code = run_command([str(word) for word in (*line, "--scheduler", lonely.address, "--wait-workers", "60s")])
    assert not output.exists()
    return code, capfd.readouterr().err


def test_a_worker_that_cannot_write_in_staging_is_named(
    lonely: Cluster, flights: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    code, said = refusal(lonely, flights, outputs / "out", READ_ONLY, outputs, capfd=capfd)
    assert code == 77, said
    assert "worker tcp://127.0.0.1:" in said
    assert str(outputs) in said
    assert "Traceback" not in said


def test_a_worker_that_sees_another_file_is_named_even_if_size_and_time_are_equal(
    lonely: Cluster, flights: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    other, about = tmp_path / "other.parquet", flights.stat()
    content = flights.read_bytes()
    other.write_bytes(content.replace(b"parquet-cpp-arrow", b"parquet-cpp-ARROW"))
    os.utime(other, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert other.stat().st_size == about.st_size
    assert other.read_bytes() != content
    code, said = refusal(lonely, flights, tmp_path / "out", REPLACED, other, flights, capfd=capfd)
    assert code == 78, said
    assert "worker tcp://127.0.0.1:" in said
    assert "a.parquet is not the file that was planned" in said
    assert "Traceback" not in said
