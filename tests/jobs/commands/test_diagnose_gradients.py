"""``diagnose gradients`` from end to end: a table, the layer where the signal vanishes, JSON and a picture."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.models.network.networks import columns, drawn, drawn_steps, layers, sequence, step_layers, written

needs_matplotlib = pytest.mark.skipif(find_spec("matplotlib") is None, reason="matplotlib is not installed")
COMMAND = ("diagnose", "gradients")
SAMPLE = Path(__file__).resolve().parents[3] / "sample_data"


@pytest.fixture
def world(tmp_path):
    """Return rows with a target, and a network of eight layers of sigmoids."""
    generator = np.random.default_rng(3)
    rows = generator.normal(size=(500, 6))
    rows[7, 2] = np.nan
    table = pa.table({f"x{number}": rows[:, number] for number in range(6)} | {"late": rows[:, 0] > 0})
    pq.write_table(table, tmp_path / "in.parquet")
    described = layers(8, "sigmoid")
    model = written(tmp_path, drawn((6, *([10] * 7), 1)), features=columns(6), layers=described)
    return tmp_path / "in.parquet", "--model", model


def test_the_layers_are_a_table_and_a_sentence_names_where_the_signal_vanishes(cli, world):
    outcome = cli(*COMMAND, *world, "--target", "late")
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert lines[0].startswith("loss and rows")
    assert lines[0].split(maxsplit=3)[3].startswith("log loss of late, 0.")
    assert lines[0].endswith(" on average; 499 of 500 rows")
    assert lines[1].split(maxsplit=2)[2] == "1 without a value that the model needs"
    rows = [line.split() for line in lines if "(dense, sigmoid)" in line]
    assert [row[0] for row in rows] == [str(number) for number in range(1, 9)]
    assert max(map(len, lines)) <= 100
    text = " ".join(outcome.out.split())
    assert "The error signal vanishes. Layer 1, next to the input, gets " in text
    assert "Most is lost on the way from layer" in text
    assert text.endswith("for sigmoid; relu with he in the hidden layers; or fewer layers.")


def test_a_program_gets_the_same_numbers_and_options_reach_the_pass(cli, world):
    found = json.loads(cli(*COMMAND, *world, "--limit", "100", "--workers", "1", "--json").out)
    assert (found["kind"], found["target"], found["loss"]) == ("diagnose-gradients", None, None)
    assert (found["rows"]["read"], found["rows"]["used"], found["rows"]["without_score"]) == (100, 99, 1)
    assert [layer["number"] for layer in found["layers"]] == list(range(1, 9))
    assert found["layers"][-1]["norm"] == 1.0
    assert found["ratio"] == found["layers"][0]["norm"]
    text = cli(*COMMAND, *world, "--limit", "100").out
    assert text.splitlines()[0].endswith("the sum of the raw predictions; 99 of 100 rows")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--target", "nothing"), 65, "has no column 'nothing'"),
        (("--target", "x0"), 65, "is not a class of the model"),
        (("--missing-target", "zero"), 2, "'zero' is not one of"),
        (("--memory", "1MiB"), 71, "memory"),
        (("--plot", "o.gif"), 2, "ends neither in .svg nor in .png"),
    ],
)
def test_what_cannot_be_is_refused_with_its_reason(cli, world, words, code, said):
    outcome = cli(*COMMAND, *world, *words)
    assert (outcome.code, outcome.out) == (code, "")
    assert said in outcome.err


def test_a_logistic_model_is_refused_with_what_to_do(cli):
    outcome = cli(*COMMAND, SAMPLE / "flights", "--model", SAMPLE / "delay_model.json")
    assert outcome.code == 65
    assert "delay_model.json is of the kind logistic: it has no layers" in outcome.err
    assert outcome.err.endswith("name a model file of the kind network\n")


@pytest.fixture
def steps(tmp_path):
    """Return sequences of up to 30 steps, and a network with two recurrent layers."""
    generator = np.random.default_rng(3)
    rows = [generator.normal(size=(length, 3)).tolist() for length in range(1, 31)]
    pq.write_table(pa.table({"x": pa.array(rows)}), tmp_path / "steps.parquet")
    tensors = {name: 0.5 * each for name, each in drawn_steps("lstm", (3, 6, 6, 1)).items()}
    model = written(
        tmp_path / "steps", tensors, features=[sequence("x", width=3)], layers=step_layers("lstm", 2, "last")
    )
    return tmp_path / "steps.parquet", "--model", model


def test_a_second_table_has_the_norms_through_time(cli, steps):
    outcome = cli(*COMMAND, *steps)
    assert (outcome.code, outcome.err) == (0, "")
    lines = [line.split() for line in outcome.out.splitlines()]
    (head,) = [number for number, line in enumerate(lines) if line[:4] == ["steps", "before", "the", "last"]]
    table = lines[head + 2 : head + 22]
    assert [int(row[0]) for row in table] == sorted({int(row[0]) for row in table}, reverse=True)
    assert (table[0][0], table[-1][0], len(table[0])) == ("29", "0", 3)
    text = " ".join(outcome.out.split())
    assert "Through time the signal vanishes in layer 1 (lstm): 29 steps before the last one, a step gets" in text
    assert "In lstm and gru, z are the arguments of the gates" in text
    found = json.loads(cli(*COMMAND, *steps, "--json").out)
    assert [len(layer["steps"]) for layer in found["layers"]] == [30, 30, 0]
    assert f"{found['layers'][1]['steps'][-1]:.2e}" == table[-1][2]


@needs_matplotlib
def test_the_picture_has_the_norms_through_time(cli, steps, tmp_path):
    assert cli(*COMMAND, *steps, "--plot", tmp_path / "steps.svg").code == 0
    text = (tmp_path / "steps.svg").read_text()
    assert "steps before the last one; the error signal" in text
    assert "layer 2 (lstm): " in text


@needs_matplotlib
def test_the_picture_has_both_norms(cli, world, tmp_path):
    picture = tmp_path / "gradients.svg"
    assert cli(*COMMAND, *world, "--plot", picture).code == 0
    text = picture.read_text()
    assert "error signal dL/dz: " in text
    assert "gradient of the weights: " in text
    assert "next to the input" in text
