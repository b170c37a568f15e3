"""The benchmark of networks checks what is promised, and runs from end to end at a small scale."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.benchmarks import network
from tests.benchmarks.meter import Measured
from tests.benchmarks.network import OURS, PEERS, Raced

CASE = network.CASES["LSTM"]


def _raced(*seconds: float) -> Raced:
    return Raced(runs=[Measured(each, each, 100, 0, "", "", 0) for each in seconds])


@pytest.mark.parametrize(
    ("ours", "missed"),
    [
        pytest.param((8.0, 8.0, 30.0), set(), id="all met"),
        pytest.param((9.0, 9.0, 9.0), {"wall / onnxruntime"}, id="slower than the one"),
        pytest.param((12.0, 12.0, 12.0), {"wall / torch", "wall / onnxruntime"}, id="slower than both"),
    ],
)
def test_a_promise_about_networks_can_break(ours: tuple[float, ...], missed: set[str]) -> None:
    raced = {OURS: _raced(*ours), "torch": _raced(10.0, 10.0, 10.0), "onnxruntime": _raced(10.0, 10.0, 10.0)}
    assert {each.name for each in network.targets(CASE, raced) if not each.is_met} == missed


def run(folder: Path, name: str, *options: str) -> dict[str, object]:
    results = folder / "results.json"
    told = [str(folder), "--case", name, "--scale", "0.001", "--runs", "1", "--workers", "1", "--json", str(results)]
    network.main([*told, *options])
    found: dict[str, object] = json.loads(results.read_text())[f"{name} 1"]
    return found


@pytest.mark.parametrize("name", ["GRU", *(pytest.param(name, marks=pytest.mark.slow) for name in ("LSTM", "DENSE"))])
def test_a_case_of_networks_runs_without_peers(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = run(tmp_path, name, *(word for peer in PEERS for word in ("--without", peer)))
    assert found["rows"] == 2000
    assert list(found["contenders"]) == [OURS]
    assert f"{name}: {network.CASES[name].about}; 2,000 rows, workers 1" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.skipif(not all(map(find_spec, ("onnx", *PEERS))), reason="torch, onnx or onnxruntime is not installed")
@pytest.mark.parametrize("name", network.CASES)
def test_peers_give_our_probabilities(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(network, "SIZES", (500, 1024))
    found = run(tmp_path, name, *(["--avx2"] if name == "GRU" else []))
    assert list(found["contenders"]) == [OURS, *PEERS]
    assert all(found["contenders"][peer]["batch"] in network.SIZES for peer in PEERS)
    assert 0 < found["contenders"]["torch"]["largest_difference"] <= network.TOLERANCE
    shown = capsys.readouterr().out
    for target in found["targets"]:
        assert f"{'met' if target['is_met'] else 'MISSED':6} {target['name']} " in shown
