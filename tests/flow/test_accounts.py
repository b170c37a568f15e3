"""Nothing is published unless the accounts balance, slice by slice; ``verify`` finds accounts that do not."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import pipeline
from pipeline.canonical import canonical, digest
from pipeline.errors import BalanceError
from pipeline.flow.manifest import CODEC
from pipeline.scan import task
from pipeline.scan.jobfile import read_job_file
from pipeline.types.outputs import Receipt, Written
from pipeline.types.work import Work
from tests.faults.data import write_model, write_rows

OPTIONS: dict[str, Any] = {"scheduler": "sync", "chunk_size": 100}
Change = Callable[[Receipt], Receipt]


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """A file of two chunks, the first with a quarantine; the model is next to their folder."""
    folder = tmp_path / "inputs"
    folder.mkdir()
    write_model(tmp_path / "model.json")
    write_rows(folder / "0.parquet", 200, 1, missing=2, row_group_size=100)
    return folder


def _score(inputs: Path) -> Path:
    output = inputs.parent / "out"
    pipeline.score(inputs, inputs.parent / "model.json", output, **OPTIONS)
    return output


def _tampering(monkeypatch: pytest.MonkeyPatch, change: Change) -> None:
    """Change each receipt on its way from the task to the books."""
    honest = task.ChunkTask.__call__

    def call(self: task.ChunkTask, work: Work) -> Receipt:
        return change(honest(self, work))

    monkeypatch.setattr(task.ChunkTask, "__call__", call)


def _account(receipt: Receipt, part: int = 0, set_aside: int = 0, **more: int) -> Receipt:
    """Add to the numbers of a receipt's last account, to the rows of its part and to those of its quarantine."""
    last = receipt.accounts[-1]
    changed = replace(last, **{name: getattr(last, name) + number for name, number in more.items()})
    assert receipt.payload is not None
    quarantine = receipt.payload.quarantine
    quarantine = quarantine and replace(quarantine, rows=quarantine.rows + set_aside)
    file = replace(receipt.payload.part, rows=receipt.payload.part.rows + part)
    return replace(receipt, accounts=(*receipt.accounts[:-1], changed), payload=Written(file, quarantine))


def _one_up_one_down(receipt: Receipt, **names: int) -> Receipt:
    """Change the first chunk one way and the second the other, so that all sums agree."""
    sign = 1 if receipt.chunk == 0 else -1
    return _account(receipt, **{name: sign * number for name, number in names.items()})


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda r: _one_up_one_down(r, part=1, written=1), id="a slice does not balance"),
        pytest.param(lambda r: _one_up_one_down(r, part=1, written=1, read=1), id="not the planned rows"),
        pytest.param(lambda r: _one_up_one_down(r, part=1), id="not the rows of the part"),
        pytest.param(lambda r: _one_up_one_down(r, set_aside=1), id="not the rows of the quarantine"),
        pytest.param(lambda r: _account(r, stop=1), id="another slice"),
        pytest.param(lambda r: _account(r, start=-1), id="another start"),
    ],
)
def test_a_receipt_that_does_not_add_up_ends_the_run(
    inputs: Path, monkeypatch: pytest.MonkeyPatch, change: Change
) -> None:
    _tampering(monkeypatch, change)
    with pytest.raises(BalanceError) as unbalanced:
        _score(inputs)
    assert unbalanced.value.exit_code == 70
    assert not (inputs.parent / "out").exists()


def test_a_csv_that_was_not_read_to_its_end_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_model(tmp_path / "model.json")
    (tmp_path / "rows.csv").write_text("x,c\n" + "1.5,a\n" * 50)
    _tampering(monkeypatch, lambda receipt: _account(receipt, end=-6))
    with pytest.raises(BalanceError, match="reading ended at byte 298 of 304"):
        pipeline.score(tmp_path / "rows.csv", tmp_path / "model.json", tmp_path / "out", **OPTIONS)
    assert not (tmp_path / "out").exists()


def test_a_job_file_that_was_changed_ends_the_run(inputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = task.ChunkTask.__call__

    def call(self: task.ChunkTask, work: Work) -> Receipt:
        file = Path(self.job.path)
        file.write_bytes(file.read_bytes().replace(b'"intercept":0.25', b'"intercept":0.26'))
        read_job_file.cache_clear()
        return honest(self, work)

    monkeypatch.setattr(task.ChunkTask, "__call__", call)
    with pytest.raises(BalanceError, match="the job file was changed"):
        _score(inputs)
    assert not (inputs.parent / "out").exists()


def _differences(output: Path) -> set[tuple[str, str]]:
    return {(one.subject.partition("-")[0], one.what) for one in pipeline.verify(output).differences}


def test_verify_finds_a_byte_that_no_page_holds(inputs: Path) -> None:
    output = _score(inputs)
    part = min(output.glob("part-*"))
    content = part.read_bytes()
    assert content.count(b"parquet-cpp-arrow") == 1
    part.write_bytes(content.replace(b"parquet-cpp-arrow", b"parquet-cpp-arroW"))
    assert _differences(output) == {("part", "sha256")}


def _forge(output: Path, account: dict[str, int], totals: dict[str, int]) -> None:
    """Add to numbers in the receipt of the first part, and in the totals; make all digests agree."""
    receipts, manifest = output / "_manifest.receipts", output / "_manifest.json"
    with receipts.open("rb") as file, CODEC.decompressed(file) as stream:
        lines = [json.loads(line) for line in stream.read().splitlines()]
    for name, number in account.items():
        lines[0]["receipt"]["accounts"][0][name] += number
    with receipts.open("wb") as new, CODEC.compressed(new) as stream:
        stream.write(b"".join(canonical(line) + b"\n" for line in lines))
    body = json.loads(manifest.read_bytes())
    for name, number in totals.items():
        body["totals"][name] += number
    content = receipts.read_bytes()
    body["receipts"] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    observed = body.pop("observed")
    body.pop("digest")
    manifest.write_bytes(canonical({**body, "observed": observed, "digest": digest(body)}) + b"\n")


@pytest.mark.parametrize(
    ("account", "totals", "differences"),
    [
        ({}, {}, set()),
        ({"read": 1}, {"read": 1}, {("part", "balance")}),
        ({}, {"null": 1}, {("totals", "null")}),
        ({"read": 1, "written": 1}, {"read": 1, "written": 1, "scored": 1}, {("part", "rows written")}),
        ({"read": 1, "quarantined": 1}, {"read": 1, "quarantined": 1}, {("part", "rows set aside")}),
    ],
)
def test_verify_finds_accounts_that_do_not_balance(
    inputs: Path, account: dict[str, int], totals: dict[str, int], differences: set[tuple[str, str]]
) -> None:
    output = _score(inputs)
    _forge(output, account, totals)
    assert _differences(output) == differences
