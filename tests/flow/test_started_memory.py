"""The memory of processes of a cluster that a run has started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contracts.cluster import ROOT

pytestmark = pytest.mark.slow

# The last chunk takes 1.5 GiB, and keeps it until its process is ended.
PROGRAM = """
import sys, time
import numpy as np, pyarrow as pa, pyarrow.parquet as pq
import pipeline
from pipeline.types.report import Noted

def greedy(block):
    if block[0] == 5_000:
        taken = np.ones(3 * 2**26)
        time.sleep(600)
    return block

def show(event):
    if isinstance(event, Noted):
        print(event.text)

if __name__ == "__main__":
    folder, scheduler, memory = sys.argv[1:]
    pq.write_table(pa.table({"x": np.arange(6_000.0)}), f"{folder}/x.parquet", row_group_size=1_000)
    dataset = pipeline.open_dataset(f"{folder}/x.parquet", chunk_size=1_000)
    expression = {"p": dataset.to_dask_array("x").map_blocks(greedy, meta=np.empty(0))}
    try:
        dataset.write(expression, f"{folder}/out", scheduler=scheduler, memory=memory, observe=show)
    except pipeline.errors.LogitstreamError as error:
        print(error.exit_code, error)
"""


def test_a_chunk_that_takes_far_more_than_its_share_is_named_and_ends_two_processes(tmp_path: Path) -> None:
    pytest.importorskip("cryptography", reason="the extra cluster is not installed")
    (tmp_path / "program.py").write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, tmp_path / "program.py", tmp_path, "local:processes=1", "700MiB"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    *notes, error, remedy = done.stdout.splitlines()
    assert error.startswith("71 ")
    assert remedy == "raise --memory, or start fewer processes (--scheduler local:processes=1)"
    assert "chunk 5: x.parquet, row groups 5 to 5 was given up: 2 workers died" in error, done.stdout
    assert "which had taken" in error
    restarted = next(note for note in notes if "started again" in note)
    assert "while it worked on chunk 5 of x.parquet; raise --memory" in restarted
    assert not done.stderr
    assert not (tmp_path / "out").exists()
