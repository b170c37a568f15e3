"""``logitstream fit-network``: what it shows, its options from every place, and its mistakes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pipeline
from jobs.show.network_fits import network_options
from pipeline.errors import ConfigurationError
from pipeline.fitting.network.hidden import HiddenLayer
from pipeline.fitting.passes.state import state_name
from pipeline.training.networks import network_job
from tests.jobs.conftest import ROOT, Outcome, parsed

pytestmark = pytest.mark.skipif(find_spec("safetensors") is None, reason="safetensors is not installed")

Call = Callable[..., Outcome]
NAMED = ("--target", "y", "--features", "a, b", "--hidden", "4 tanh")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    chance = np.random.default_rng(7)
    a, b = chance.normal(size=(2, 2_000))
    y = (chance.random(2_000) < 1 / (1 + np.exp(-a * b))).astype(np.int64)
    pq.write_table(pa.table({"a": a, "b": b, "y": y}), tmp_path / "data.parquet", row_group_size=500)
    return tmp_path / "data.parquet"


def test_it_writes_a_network_that_scores_and_shows_each_epoch(cli: Call, data: Path) -> None:
    out = data.parent / "m.json"
    outcome = cli("fit-network", data, *NAMED, "--epochs", 2, "--holdout", "25%", "--chunk-size", 500, "-o", out)
    assert outcome.code == 0, outcome.err
    lines = outcome.err.splitlines()
    assert re.fullmatch(r"pass 1 \(learn\): 2,000 rows in .* s", lines[0])
    pattern = r"epoch {}: log loss 0\.\d+, held-out log loss 0\.\d+, 1,\d\d\d rows in .* s"
    assert re.fullmatch(pattern.format(1), lines[1])
    assert re.fullmatch(pattern.format(2), lines[2])
    assert re.fullmatch(r"2 epochs in .* s; peak memory .* [MG]iB", lines[-1])
    shown = outcome.out.splitlines()
    assert shown[0].split() == ["model", str(out)]
    assert shown[1].split() == ["weights", "m.safetensors"]
    assert shown[-3].startswith("─")
    scored = cli("score", data, "--model", out, "--output", data.parent / "scores")
    assert scored.code == 0, scored.err
    assert cli("model", "check", out).code == 0


def test_as_json_it_has_all_digits_of_what_it_wrote(cli: Call, data: Path) -> None:
    out = data.parent / "m.json"
    outcome = cli("fit-network", data, *NAMED, "--epochs", 2, "-o", out, "--json")
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)
    assert found["kind"] == "fit-network"
    assert found["digest"] == pipeline.NetworkModel.load(out).digest()
    assert found["model"] == json.loads(out.read_text())
    assert [each["number"] for each in found["epochs"]] == [1, 2]
    assert (found["best_epoch"], found["held_out_log_loss"], found["early"]) == (2, None, False)


def test_a_plan_reads_no_rows_and_says_what_the_network_may_be(cli: Call, data: Path) -> None:
    before = sorted(data.parent.iterdir())
    words = ("fit-network", data, *NAMED, "-o", data.parent / "m.json", "--dry-run")
    outcome = cli(*words)
    assert outcome.code == 0, outcome.err
    assert "network         at most 2 inputs and 17 weights" in outcome.out.splitlines()
    found = json.loads(cli(*words, "--json").out)
    assert (found["kind"], found["rows"], found["inputs"], found["weights"]) == ("fit-network-plan", 2_000, 2, 17)
    assert found["projected_bytes"] <= found["allowed_bytes"]
    assert sorted(data.parent.iterdir()) == before
    assert cli(*words, "--memory", "50MiB").code == 71


def test_quietly_it_says_nothing(cli: Call, data: Path) -> None:
    words = ("fit-network", data, *NAMED, "--epochs", 1, "-o", data.parent / "m.json", "-q")
    assert cli(*words) == Outcome(0, "", "")
    refused = cli(*words)
    assert refused.code == 73
    assert f"error: {data.parent / 'm.json'} exists" in refused.err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--features", "a", "--hidden", "4 tanh"), 2, "missing option '--target'"),
        (("--target", "y", "--features", "a"), 2, "missing option '--hidden'"),
        (("--target", "y", "--features", "log(a)", "--hidden", "4 tanh"), 2, "log(a): a network takes columns"),
        (("--target", "y", "--features", "a", "--hidden", "4 lstm"), 2, "there is no function lstm for a layer"),
        (("--target", "y", "--features", "a", "--hidden", "4 gru"), 2, "recurrent layers are imported, not fitted"),
        (("--target", "y", "--features", "a", "--hidden", "tanh 4"), 2, "'tanh 4' is not a layer"),
        ((*NAMED, "--epochs", "0"), 2, "'0' is not a whole number of at least 1"),
        ((*NAMED, "--momentum", "1"), 2, "'1' is not a number of at least 0 and below 1"),
        ((*NAMED, "--momentum", "0.5"), 2, "--momentum is for --optimizer sgd"),
        ((*NAMED, "--optimizer", "adamw"), 2, "invalid value for '--optimizer'"),
        ((*NAMED, "--patience", "3"), 2, "--patience needs rows that are held out"),
        ((*NAMED, "--holdout", "120%"), 2, "the share is not between 0% and 100%"),
        ((*NAMED, "--solver", "newton"), 2, "no such option '--solver'"),
        (
            (*NAMED[:-1], "4 relu", "--optimizer", "sgd", "--learning-rate", "1e300"),
            3,
            "the loss is not finite in epoch 1",
        ),
        (("--target", "late", "--features", "a", "--hidden", "4 tanh"), 65, "'late'"),
        ((*NAMED, "--memory", "50MiB"), 71, "50 MiB"),
        ((*NAMED, "-o", "none/m.json"), 73, "there is no folder"),
    ],
)
def test_a_mistake_is_one_error_with_its_exit_code(
    cli: Call, data: Path, words: tuple[str, ...], code: int, message: str
) -> None:
    outcome = cli("fit-network", data, *words)
    assert outcome.code == code, outcome.err
    assert outcome.out == ""
    assert message in outcome.err


def test_an_input_that_is_not_there_is_66(cli: Call) -> None:
    assert cli("fit-network", "no-such-file.csv", *NAMED).code == 66


def test_options_come_from_a_file_and_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "job.toml").write_text(
        '[fit-network]\ninputs = ["a.csv"]\ntarget = "y"\nfeatures = "x"\nhidden = "8 relu, 4 tanh"\nclip = 1\n'
    )
    monkeypatch.setenv("LOGITSTREAM_FIT_NETWORK_EPOCHS", "7")
    params: dict[str, Any] = parsed("fit-network", "--config", str(tmp_path / "job.toml"))
    learning = network_job(**network_options(params)).learning
    assert (learning.epochs, learning.clip) == (7, 1.0)
    assert learning.hidden == (HiddenLayer(8, "relu"), HiddenLayer(4, "tanh"))
    # The variables of one command are none of the other, though their names begin alike.
    monkeypatch.setenv("LOGITSTREAM_FIT_L1", "0.5")
    assert parsed("fit", "a.csv", "--target", "y", "--features", "x")["l1"] == 0.5
    assert parsed("fit-network", "--config", str(tmp_path / "job.toml"))["epochs"] == 7
    monkeypatch.setenv("LOGITSTREAM_FIT_NETWORK_EPOCH", "3")
    with pytest.raises(ConfigurationError, match="LOGITSTREAM_FIT_NETWORK_EPOCH is not known"):
        parsed("fit-network", "--config", str(tmp_path / "job.toml"))


def test_help_says_that_recurrent_layers_are_imported(cli: Call) -> None:
    said = " ".join(cli("fit-network", "--help").out.split())
    assert "Recurrent layers are imported (model import), not fitted" in said


@pytest.mark.slow
def test_killed_after_an_epoch_the_same_command_ends_with_the_same_bytes(data: Path) -> None:
    folder = data.parent
    words = [*NAMED, "--epochs", "200", "--batch-rows", "16", "--chunk-size", "500", "-o"]
    start = [sys.executable, "-c", "from jobs.cli import main; main()", "fit-network", str(data), *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([*start, str(folder / "whole.json")], check=True, env=environment, stderr=subprocess.DEVNULL)
    state = folder / state_name(str(folder / "killed.json"))
    with subprocess.Popen([*start, str(folder / "killed.json")], env=environment, stderr=subprocess.DEVNULL) as killed:
        while killed.poll() is None and (not state.exists() or state.stat().st_size < 150_000):
            time.sleep(0.01)
        killed.send_signal(signal.SIGKILL)
    assert not (folder / "killed.json").exists()
    done = subprocess.run([*start, str(folder / "killed.json")], check=True, env=environment, stderr=subprocess.PIPE)
    assert re.search(r"resuming after epoch \d+ of the interrupted fit", done.stderr.decode())
    assert (folder / "killed.safetensors").read_bytes() == (folder / "whole.safetensors").read_bytes()
    assert not state.exists()
