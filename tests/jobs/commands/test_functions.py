"""``plot`` and ``bench``: what is asked for by name, and what a wrong name is answered with."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from jobs.options.functions import Asked, as_asked
from jobs.show import tables
from pipeline import bench
from pipeline.bench import contenders
from pipeline.registry import FUNCTIONS

needs_matplotlib = pytest.mark.skipif(
    find_spec("matplotlib") is None, reason="matplotlib is not installed (extra plot)"
)


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("relu", Asked("relu(x)", "relu")),
        ("sigmoid(x)", Asked("sigmoid(x)", "sigmoid")),
        ("sigmoid(z, temperature=2)", Asked("sigmoid(x, temperature=2)", "sigmoid", (("temperature", 2.0),))),
        ("flat = sigmoid(x, temperature=2)", Asked("flat", "sigmoid", (("temperature", 2.0),))),
        ('"a=b(c"=sigmoid(x)', Asked("a=b(c", "sigmoid")),
        ("softmax(x, y, temperature=2)", Asked("softmax(x, temperature=2)", "softmax", (("temperature", 2.0),))),
    ],
)
def test_a_function_is_asked_for_by_name_or_by_the_grammar(text, asked):
    assert as_asked(text) == asked


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("plot", "sigmod", "--output", "o.svg"), 'no function "sigmod"; did you mean "sigmoid"?'),
        (("plot", "p=sigmod(x)", "--output", "o.svg"), 'did you mean "sigmoid"?'),
        (("plot", "sigmoid(x, tau=1)", "--output", "o.svg"), 'sigmoid has no parameter "tau"'),
        (("plot", "relu", "--output", "o.gif"), "ends neither in .svg nor in .png"),
        (("plot", "relu", "--output", "o.svg", "--range", "2", "1"), "2 to 1 is not a range"),
        (("plot", "relu", "--output", "o.svg", "--range", "nan", "1"), "is not a range"),
        (("plot", "relu", "--output", "o.svg", "--range", "-1e308", "1e308"), "is not a range"),
        (("plot", "relu", "--output", "o.svg", "--range", "1", "1.0000000000000002"), "is not a range"),
        (("plot", "p=relu(x)", "p=tanh(x)", "--output", "o.svg"), 'two curves are called "p"'),
        (("plot", "p=relu(x)", "relu", "--output", "o.svg"), '"p" and "relu(x)" are the same curve'),
        (("plot", "--output", "o.svg"), "missing argument"),
        (("bench", "functions", "gelo"), 'no function "gelo"; did you mean "gelu"?'),
        (("bench", "functions", "--size", "0"), "'0' is not a whole number of at least 1"),
        (("bench", "functions", "relu", "--threads", "200000"), "200,000 threads are too many"),
        (("bench", "functions", "relu", "--threads", "3", "--size", "2"), "choose 2 or fewer"),
        (("bench", "functions", "--dtype", "int8"), "'int8' is not one of"),
        (("bench", "functions", "relu", "--plot", "o.gif"), "ends neither in .svg nor in .png"),
        (("bench", "activations"), "no such command 'activations'"),
    ],
)
def test_a_wrong_name_or_value_is_a_usage_error(cli, words, message):
    outcome = cli(*words)
    assert outcome.code == 2
    assert message in outcome.err
    assert outcome.out == ""


@needs_matplotlib
def test_plot_draws_into_a_file(cli, tmp_path):
    picture = tmp_path / "picture.svg"
    outcome = cli("plot", "sigmoid", "flat=sigmoid(x, temperature=2)", "--range", "-3", "3", "--output", picture)
    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.err == f"{picture}: 2 curves with derivative\n"
    assert picture.read_bytes().startswith(b"<?xml")


@needs_matplotlib
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("logit", "--range", "2", "3"), "logit is not defined anywhere from 2 to 3"),
        (("elu(x, alpha=1e308)",), "values of elu are too large to draw"),
        (("relu", "--range", "-8e307", "8e307"), "values of relu are too large to draw"),
    ],
)
def test_what_shows_nothing_is_a_usage_error(cli, tmp_path, words, message):
    outcome = cli("plot", *words, "--output", tmp_path / "o.svg")
    assert outcome.code == 2
    assert message in outcome.err
    assert list(tmp_path.iterdir()) == []


@needs_matplotlib
def test_a_curve_is_drawn_once_and_its_name_is_no_formula(cli, tmp_path):
    picture = tmp_path / "o.svg"
    assert cli("plot", "sigmoid", "sigmoid(x)", "--output", picture).err == f"{picture}: 1 curve with derivative\n"
    assert cli("plot", r'"$\bad{$"=sigmoid(x)', "--output", picture).code == 0


def test_without_matplotlib_the_extra_is_named(process, tmp_path):
    code = (
        "import sys; sys.modules['matplotlib'] = None; from jobs.cli import run; "
        "print([run(line.split()) for line in sys.argv[1:]])"
    )
    outcome = process("plot relu --output o.png", "bench functions relu --plot o.png", start=("-c", code))
    assert outcome.out == "[78, 78]\n"
    assert outcome.err == 2 * "error: matplotlib is not installed\npip install 'logitstream[plot]'\n"
    assert list(tmp_path.iterdir()) == []


def test_bench_functions_is_a_table_a_program_reads_too(cli):
    outcome = cli("bench", "functions", "sigmoid", "tanh", "sigmoid", "--size", "2000", "--rounds", "1")
    assert outcome.code == 0
    assert "2,000 elements of float64, 1 thread" in outcome.out
    assert [line.split()[0] for line in outcome.out.splitlines() if line.startswith(("sigmoid ", "tanh "))] == [
        "sigmoid",
        "tanh",
    ]
    assert "-708.4 to -500" in outcome.out
    assert outcome.err == "measuring sigmoid\nmeasuring tanh\nmeasuring forms of the sigmoid\n"
    assert max(map(len, outcome.out.splitlines())) <= 120
    found = json.loads(cli("bench", "functions", "relu", "--size", "2000", "--rounds", "1", "--json").out)
    assert [each["name"] for each in found["functions"]] == ["relu"]
    assert set(FUNCTIONS) > {"relu"}


@pytest.mark.parametrize("size", ["1000000000000", "1" + "0" * 400])
def test_a_benchmark_larger_than_memory_is_refused(cli, size):
    outcome = cli("bench", "functions", "--size", size)
    assert outcome.code == 71
    assert f"{int(size):,} elements of float64 and the arrays for computing with them do not fit" in outcome.err
    assert "choose a --size of at most" in outcome.err


def test_tables_call_what_is_compared_as_the_benchmark_does():
    assert (tables.OURS, tables.NEW) == (bench.OURS, bench.NEW)
    assert (tables.ONE_LINER, tables.ONE_LINER_OUT) == (bench.ONE_LINER, bench.ONE_LINER_OUT)
    assert set(tables.OTHERS) == {contenders.SCIPY, contenders.TORCH}


@needs_matplotlib
def test_bench_functions_draws_bars(cli, tmp_path):
    picture = Path(tmp_path / "bars.png")
    outcome = cli("bench", "functions", "relu", "--size", "2000", "--rounds", "1", "--plot", picture)
    assert outcome.code == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
