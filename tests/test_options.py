"""The options of the functions: help shows each of them, both faces have the same, and mistakes are answered."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_type_hints

import click
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.linear_model import LogisticRegression

import pipeline as logitstream
from jobs.cli import run
from jobs.options import SCORE, TRANSFORM
from jobs.options.calibrating import CALIBRATE
from jobs.options.command import add
from jobs.options.diagnosing import GRADIENTS, INITIALISATIONS
from jobs.options.fitting import FIT, FIT_NETWORK
from jobs.options.measuring import EVALUATE
from jobs.running import score_job, transform_job
from jobs.show.calibrations import calibration_options
from jobs.show.fits import fit_options
from jobs.show.gradients import gradient_options
from jobs.show.network_fits import network_options
from pipeline import arguments, interface, training
from pipeline.errors import UsageError
from pipeline.options import (
    DEFAULTS_OF_A_NETWORK,
    OF_A_CALIBRATION,
    OF_A_FIT,
    OF_A_NETWORK,
    OF_AN_EVALUATION,
    OF_GRADIENTS,
    OPTIONS,
    CalibrateOptions,
    DiagnoseOptions,
    EvaluateOptions,
    FitOptions,
    GradientOptions,
    JobOptions,
    MergeOptions,
    NetworkOptions,
    ScoreOptions,
    StreamOptions,
    WriteOptions,
    meaning,
)
from pipeline.plan import DEFAULT_CHUNK_ROWS
from pipeline.training import networks
from tests.jobs.conftest import parsed

SAMPLE = Path(__file__).resolve().parents[1] / "sample_data"
MODEL = SAMPLE / "delay_model.json"

FACES = [
    (logitstream.score, ScoreOptions),
    (logitstream.preview, ScoreOptions),
    (logitstream.transform, JobOptions),
    (logitstream.transform_stream, StreamOptions),
    (logitstream.Dataset.write, WriteOptions),
    (logitstream.fit, FitOptions),
    (logitstream.preview_fit, FitOptions),
    (logitstream.fit_network, NetworkOptions),
    (logitstream.preview_fit_network, NetworkOptions),
    (logitstream.evaluate, EvaluateOptions),
    (logitstream.merge_evaluations, MergeOptions),
    (logitstream.diagnose_initialisation, DiagnoseOptions),
    (logitstream.diagnose_gradients, GradientOptions),
    (logitstream.calibrate, CalibrateOptions),
]
# Arguments that are written with their names, although they are no options.
NAMED = {"identity", "target", "features", "hidden", "output", "model", "challenger", "probability", "method"}
OF_THE_COMMAND_LINE = {"dry_run", "json", "quiet", "verbose", "progress", "grace", "plot", "html"}
ARGUMENTS = {"inputs", "model", "apply", "output", "target", "features", "hidden"}
OTHER_NAMES = {"type": "types", "no_resume": "resume", "no_reuse": "reuse", "no_intercept": "intercept"}


@pytest.mark.parametrize(("function", "options"), FACES)
def test_signature_and_help_show_each_option_once(function: Callable[..., Any], options: type) -> None:
    shown = inspect.signature(function).parameters
    keywords = [name for name, each in shown.items() if each.kind is each.KEYWORD_ONLY and name not in NAMED]
    assert sorted(keywords) == sorted(get_type_hints(options))
    lines = (inspect.getdoc(function) or "").splitlines()
    for name in keywords:
        own = DEFAULTS_OF_A_NETWORK if options is NetworkOptions else {}
        assert shown[name].default == own.get(name, OPTIONS[name].default)
        (at,) = [number for number, line in enumerate(lines) if line.startswith(f"{name} : ")]
        assert lines[at + 1].startswith("    ")
    assert not [line for line in lines if line.startswith("**")]


def test_help_says_the_type_the_default_and_the_meaning() -> None:
    text = inspect.getdoc(logitstream.score) or ""
    assert "\nif_exists : {'fail', 'replace'}, default 'fail'\n    What to do if the output is already" in text
    assert "\nmemory : int or str, optional\n    How much memory the run may use" in text
    assert "\nkeep : str or sequence of str, optional\n    Columns to copy to the output" in text
    assert "\ntypes : mapping of str to str, optional\n    The Arrow types" in text


def test_every_option_that_is_described_is_an_option() -> None:
    assert set(OPTIONS) == set().union(*(get_type_hints(options) for _, options in FACES))


@pytest.mark.parametrize(
    ("command", "arguments", "options"),
    [
        ("score", ("--model", str(MODEL)), ScoreOptions),
        ("transform", ("--apply", "p=sigmoid(x)"), JobOptions),
        ("fit", ("--target", "y", "--features", "x"), FitOptions),
        ("fit-network", ("--target", "y", "--features", "x", "--hidden", "3 tanh"), NetworkOptions),
    ],
)
def test_the_command_line_has_the_same_options(command: str, arguments: tuple[str, ...], options: type) -> None:
    found = parsed(command, "in.csv", *arguments, "--output", "o").keys() - ARGUMENTS
    named = {OTHER_NAMES.get(name, name) for name in found - OF_THE_COMMAND_LINE}
    assert named == get_type_hints(options).keys() - {"observe"}


def test_a_fit_of_a_network_has_every_option_of_a_fit_about_inputs_missing_values_and_targets() -> None:
    of_coefficients = {"sign", "intercept", "effects", "robust", "robust_groups", "solver", "iterations"}
    of_an_optimum = {"l1", "path", "folds", "one_standard_error", "allow_unconverged"}
    lacking = get_type_hints(FitOptions).keys() - get_type_hints(NetworkOptions).keys()
    assert lacking == of_coefficients | of_an_optimum


def test_the_command_line_has_the_same_defaults() -> None:
    words = ("in.csv", "--output", "o")
    assert interface.score_job("in.csv", MODEL, "o") == score_job(parsed("score", *words, "--model", str(MODEL)))
    applied = transform_job(parsed("transform", *words, "--apply", "p=sigmoid(x)"))
    assert interface.transform_job("in.csv", "p=sigmoid(x)", "o") == applied
    fitted = fit_options(parsed("fit", *words, "--target", "y", "--features", "x, C(c)"))
    assert training.fit_job("in.csv", target="y", features="x, C(c)", output="o") == training.fit_job(**fitted)
    named: dict[str, Any] = {"target": "y", "features": "x, C(c)", "hidden": "3 tanh, 2 relu"}
    taught = parsed("fit-network", *words, *(word for name, text in named.items() for word in (f"--{name}", text)))
    assert networks.network_job("in.csv", output="o", **named) == networks.network_job(**network_options(taught))
    assert OPTIONS["chunk_size"].default == DEFAULT_CHUNK_ROWS


def test_diagnose_has_the_options_and_the_defaults_of_its_function() -> None:
    def unused(**_: object) -> None: ...

    found = {str(each.name): each.default for each in click.command()(add(INITIALISATIONS)(unused)).params}
    for name in get_type_hints(DiagnoseOptions):
        default = found.pop(name)
        assert (None if OPTIONS[name].default is None else default) == OPTIONS[name].default, name
    assert set(found) == {"plot", "json"}


def test_the_command_about_gradients_has_the_same_options_and_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr("jobs.show.gradients.show_gradients", lambda params, **_: asked.update(params))
    assert run(["diagnose", "gradients", "in.csv", "--model", "m.json"]) == 0
    found = gradient_options(asked)
    assert (found.pop("inputs"), found.pop("model"), found.pop("target")) == (("in.csv",), "m.json", None)
    assert found.keys() == get_type_hints(GradientOptions).keys()
    defaults = {name: OPTIONS[name].default for name in found}
    assert {name: str(value) for name, value in found.items()} == {name: str(each) for name, each in defaults.items()}


def test_calibrate_has_the_same_options_and_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr("jobs.show.calibrations.show_calibration", lambda params, **_: asked.update(params))
    assert run(["calibrate", "in.csv", "--model", "m.json", "--target", "y", "--method", "beta"]) == 0
    found = calibration_options(asked)
    named = [found.pop(name) for name in ("inputs", "model", "target", "method", "output")]
    assert named == [("in.csv",), "m.json", "y", "beta", None]
    assert found.keys() == get_type_hints(CalibrateOptions).keys() - {"observe"}
    defaults = {name: OPTIONS[name].default for name in found}
    assert {name: str(value) for name, value in found.items()} == {name: str(each) for name, each in defaults.items()}


@pytest.mark.parametrize(
    ("options", "instead"),
    [
        (SCORE, {}),
        (TRANSFORM, {}),
        (FIT, OF_A_FIT),
        (FIT_NETWORK, OF_A_NETWORK),
        (INITIALISATIONS, {}),
        (GRADIENTS, OF_GRADIENTS),
        (CALIBRATE, OF_A_CALIBRATION),
        (EVALUATE, OF_AN_EVALUATION),
    ],
)
def test_the_command_line_says_the_same_of_each_option(options: Sequence[Any], instead: Mapping[str, str]) -> None:
    def unused(**_: object) -> None: ...

    for param in click.command()(add(options)(unused)).params:
        if isinstance(param, click.Option) and param.name in OPTIONS:
            assert (param.help or "").startswith(meaning(param.name, instead)), param.name


@pytest.mark.parametrize(
    ("wrong", "near"),
    [("chunksize", "chunk_size"), ("no_resume", "resume"), ("type", "types"), ("raw_predictions", "raw_prediction")],
)
def test_an_unknown_option_names_the_near_one(wrong: str, near: str) -> None:
    with pytest.raises(TypeError, match=f"there is no option '{wrong}'; did you mean \"{near}\"?"):
        logitstream.score("in.csv", MODEL, "o", **{wrong: 1})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("elsewhere", "here"),
    [("sep", "delimiter"), ("na_values", "null"), ("names", "columns"), ("header", "columns"), ("dtype", "types"),
     ("index", "keep"), ("keep_default_na", "null"), ("na_filter", "null"), ("nullstr", "null"),
     ("decimal_separator", "decimal"), ("decimal_point", "decimal"), ("allow_quoted_nulls", "quoted_null")],
)  # fmt: skip
def test_an_option_of_pandas_is_answered_with_its_name_here(elsewhere: str, here: str, capsys: Any) -> None:
    with pytest.raises(TypeError, match=f"there is no option '{elsewhere}'; did you mean \"{here}\"?"):
        logitstream.score("in.csv", MODEL, "o", **{elsewhere: "x"})  # type: ignore[arg-type]
    flag = f"--{elsewhere.replace('_', '-')}"
    assert run(["score", "in.csv", flag, "x", "--model", str(MODEL), "--output", "o"]) == 2
    own = f"--{here.replace('types', 'type').replace('_', '-')}"
    assert capsys.readouterr().err.startswith(f"error: no such option '{flag}'. Did you mean '{own}'?\nsee ")


def test_an_option_of_pandas_that_a_function_does_not_have_is_not_suggested() -> None:
    with pytest.raises(TypeError, match="there is no option 'sep'; there are names, keep, "):
        logitstream.transform_stream([np.zeros(1)], "sigmoid", "o", sep=";")  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"types": ["active=bool"]}, r"types is the list \['active=bool'\], .*; write types=\{\"COLUMN\": \"TYPE\"\}"),
        ({"workers": "two"}, "workers is the str 'two'; write a whole number, such as workers=2"),
        ({"limit": 1.5}, "limit is the float 1.5; write a whole number"),
        ({"workers": True}, "workers is the bool True; write a whole number"),
        ({"threshold": "0.5"}, "threshold is the str '0.5'; write a number, such as threshold=0.5"),
        ({"threshold": True}, "threshold is the bool True; write a number"),
        ({"keep": 3}, r"keep is the int 3, not names of columns; write keep=\[\"id\"\]"),
    ],
)
def test_an_option_of_another_type_says_what_to_write(options: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        logitstream.score("in.csv", MODEL, "o", **options)


def test_functions_in_a_mapping_are_answered_with_a_list() -> None:
    with pytest.raises(TypeError, match=r"apply is a dict, .*; write \['l=logit\(probability\)'\]"):
        logitstream.transform("in.csv", {"l": "logit(probability)"}, "o")  # type: ignore[arg-type]


def test_where_no_option_is_near_all_are_listed() -> None:
    with pytest.raises(
        TypeError, match=r"there is no option 'xyz'; there are keep, rename, absent, float32, .*, observe$"
    ):
        logitstream.transform("in.csv", "p=sigmoid(x)", "o", xyz=1)
    with pytest.raises(TypeError, match=r"there is no option 'retries'; there are names, keep, "):
        logitstream.transform_stream([np.zeros(1)], "sigmoid", "o", retries=1)


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ("a", ("a",)),
        ("a,b", ("a", "b")),
        ("a, b", ("a", "b")),
        ('"Last, First",b', ("Last, First", "b")),
        ("*", ("*",)),
        (["a,b"], ("a,b",)),
        ([], ()),
    ],
)
def test_one_text_of_names_is_split_as_on_the_command_line(given: Any, names: tuple[str, ...]) -> None:
    job = interface.transform_job("in.csv", "p=sigmoid(x)", "o", keep=given, columns=given)
    assert (job.keep, job.csv.columns) == (names, names)
    if isinstance(given, str):
        words = ("in.csv", "--apply", "p=sigmoid(x)", "--output", "o", "--keep", given)
        assert parsed("transform", *words)["keep"] == names


def test_spellings_of_null_are_split_too() -> None:
    assert interface.transform_job("in.csv", "p=sigmoid(x)", "o", null="NA,n/a").csv.nulls == ("", "NA", "n/a")
    with pytest.raises(UsageError, match="is not a list separated by commas"):
        interface.transform_job("in.csv", "p=sigmoid(x)", "o", null='"NA')


TABLES = [
    pd.DataFrame({"a": [1]}),
    pl.DataFrame({"a": [1]}),
    pl.LazyFrame({"a": [1]}),
    pa.table({"a": [1]}),
    pa.record_batch({"a": [1]}),
    np.zeros((2, 2)),
    {"a": [1]},
]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: f"{type(table).__module__}.{type(table).__name__}")
def test_a_table_in_place_of_files_is_answered_with_what_takes_it(table: Any) -> None:
    kind = type(table).__name__
    for function in (logitstream.score, logitstream.preview):
        with pytest.raises(TypeError, match=rf"inputs is a {kind}, not paths .*load\(MODEL\)\.probability\(table\)"):
            function(table, MODEL, "o")
    with pytest.raises(TypeError, match=rf"inputs is a {kind}, not paths .*transform_stream\(\[table\]"):
        logitstream.transform(table, "p=sigmoid(a)", "o")
    with pytest.raises(TypeError, match=f"inputs is a {kind}, not paths of files; write a table to a file first"):
        logitstream.open_dataset(table)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: f"{type(table).__module__}.{type(table).__name__}")
def test_a_table_among_the_files_is_answered_alike(table: Any) -> None:
    kind = type(table).__name__
    with pytest.raises(TypeError, match=rf"inputs has a {kind} in it, .*load\(MODEL\)\.probability\(table\)"):
        logitstream.score([table], MODEL, "o")


@pytest.mark.parametrize(
    ("inputs", "found"), [([1], "has a int in it"), (1, "is a int"), ([None], "has a NoneType in it")]
)
def test_what_is_no_path_is_answered_with_what_to_write(inputs: Any, found: str) -> None:
    with pytest.raises(TypeError, match=f"inputs {found}; write the path"):
        logitstream.score(inputs, MODEL, "o")


@pytest.mark.parametrize(
    "paths", [pd.Series(["a.csv", "b.csv"]), np.array(["a.csv", "b.csv"]), (Path("a.csv"), "b.csv")]
)
def test_paths_may_come_in_a_column(paths: Any) -> None:
    assert arguments.paths_of(paths) == ("a.csv", "b.csv")


def test_an_estimator_in_place_of_a_model_is_answered_with_from_sklearn() -> None:
    with pytest.raises(TypeError, match=r"model is a LogisticRegression, .*logitstream\.from_sklearn\(estimator\)"):
        logitstream.score("in.csv", LogisticRegression(), "o")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"model is a dict, .*logitstream\.LogisticModel\.load\(PATH\)"):
        logitstream.score("in.csv", {"intercept": 1}, "o")  # type: ignore[arg-type]
