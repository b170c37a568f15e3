"""``logitstream fit``: its options from every place, and its mistakes."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pipeline
from jobs.show.fits import fit_options
from jobs.stopping import stopped_with
from pipeline.fitting.asking.terms import CategoryTerm, NumberTerm, ProductTerm
from pipeline.fitting.report import PassDone
from pipeline.models import LogisticModel
from pipeline.training import fit_job
from tests.jobs.conftest import ROOT, Outcome, on_a_terminal, parsed

Call = Callable[..., Outcome]

WHOLE = """
[fit]
inputs = ["flights", "more/*.csv"]
target = "late"
positive = "yes"
features = ["distance, C(carrier)", "C(origin):hour", 'clip("dep. delay", 0, 60)']
output = "m.json"
weight = "w"
offset = "o"
class-weight = ["yes=3", "no=1"]
prior = 0.25
missing-target = "drop"
missing = ["impute-median", "distance=drop"]
exact-median = true
min-count = 10
max-levels = 50
control = ["hour"]
sign = ["distance=-"]
strict = true
l1 = 0.5
l2 = 1
path = 20
folds = 5
holdout = "date >= 2013-11-01"
key = "tailnum"
one-standard-error = true
solver = "owlqn"
effects = true
absent = "null"
limit = 100
max-bad = "1%"
fingerprint = "full"
delimiter = "tab"
chunk-size = 5000
workers = 3
memory = "2GiB"
scratch = "tmp"
scheduler = "sync"
insecure = true
retries = 0
if-exists = "replace"
allow-unconverged = true
plot = "m.svg"
json = true
"""
SAME = [
    "--target", "late", "--positive", "yes", "--features", "distance, C(carrier)", "--features",
    'C(origin):hour, clip("dep. delay", 0, 60)', "--weight", "w", "--offset", "o", "--class-weight", "yes=3,no=1",
    "--prior", "0.25", "--missing-target", "drop", "--missing", "impute-median,distance=drop", "--exact-median",
    "--min-count", "10", "--max-levels", "50", "--control", "hour", "--sign", "distance=-", "--strict", "--l1", "0.5",
    "--l2", "1", "--path", "20", "--folds", "5", "--holdout", "date >= 2013-11-01", "--key", "tailnum",
    "--one-standard-error", "--solver", "owlqn", "--effects", "--absent", "null", "--limit", "100", "--max-bad", "1%",
    "--fingerprint", "full", "--delimiter", "tab", "--chunk-size", "5000", "--workers", "3", "--memory", "2GiB",
    "--scheduler", "sync", "--insecure", "--retries", "0", "--if-exists", "replace", "--allow-unconverged",
]  # fmt: skip


def test_a_file_states_the_whole_fit_as_the_command_line_does(tmp_path: Path) -> None:
    (tmp_path / "job.toml").write_text(WHOLE)
    params = parsed("fit", "--config", str(tmp_path / "job.toml"))
    assert (params["json"], params["plot"]) == (True, f"{tmp_path}/m.svg")
    paths = [f"{tmp_path}/flights", f"{tmp_path}/more/*.csv", "--output", f"{tmp_path}/m.json"]
    typed = parsed("fit", *paths, *SAME, "--scratch", f"{tmp_path}/tmp")
    job = fit_job(**fit_options(params))
    assert job == fit_job(**fit_options(typed))
    assert job.model.features == (
        NumberTerm("distance"), CategoryTerm("carrier"), ProductTerm((CategoryTerm("origin"), NumberTerm("hour"))),
        job.model.features[-1],
    )  # fmt: skip
    assert (job.model.controls, job.model.missing_of) == (("hour",), {"distance": "drop"})


@pytest.mark.parametrize("word", ["auto", "none"])
def test_a_word_for_scratch_is_no_path(tmp_path: Path, word: str) -> None:
    (tmp_path / "job.toml").write_text(f'[fit]\ninputs = ["a.csv"]\ntarget = "y"\nfeatures = "x"\nscratch = "{word}"\n')
    assert parsed("fit", "--config", str(tmp_path / "job.toml"))["scratch"] == word


def test_the_environment_states_options_too(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "FEATURES": "x, `a,b`, B(z, edges=[1, 2])",
        "MISSING": "drop,x=error",
        "SIGN": "x=+",
        "L2": "0.5",
        "NO_INTERCEPT": "1",
        "CONTROL": "x,z",
    }.items():
        monkeypatch.setenv(f"LOGITSTREAM_FIT_{name}", value)
    options = fit_options(parsed("fit", "a.csv", "--target", "y"))
    model = fit_job(**options).model
    assert len(model.features) == 3
    assert model.features[1] == NumberTerm("a,b")
    assert (model.missing, model.missing_of, model.signs) == ("drop", {"x": "error"}, {"x": 1})
    assert (model.intercept, model.controls) == (False, ("x", "z"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--features", "x"], "missing option '--target'"),
        (["--target", "y"], "missing option '--features'"),
        (["--target", "", "--features", "x"], "invalid value for '--target': it is empty"),
        (["--target", "y", "--features", "x", "--l2", "-1"], "'-1' is not a number of at least 0"),
        (["--target", "y", "--features", "x", "--l2", "nan"], "'nan' is not a number of at least 0"),
        (["--target", "y", "--features", "x", "--prior", "1"], "'1' is not a number above 0 and below 1"),
        (["--target", "y", "--features", "x", "--learning-rate", "inf"], "'inf' is not a number above 0"),
        (["--target", "y", "--features", "x", "--folds", "1"], "'1' is not a whole number of at least 2"),
        (["--target", "y", "--features", "x", "--missing", "x=fill"], "missing fill: there is no such choice"),
        (["--target", "y", "--features", "x", "--sign", "x"], "'x' is not COLUMN=+ or COLUMN=-"),
        (["--target", "y", "--features", "x", "--class-weight", "a"], "'a' is neither balanced nor VALUE=WEIGHT"),
        (["--target", "y", "--features", "x", "--solver", "bfgs"], "invalid value for '--solver'"),
        (["--target", "y", "--features", "x, y"], "the target y is among the features"),
        (["--target", "y", "--features", "x", "--path", "9"], "--path needs a penalty to end with"),
        (["--target", "y", "--features", "x", "--plot", "x.pdf"], "'x.pdf' ends neither in .svg nor in .png"),
        (["--target", "y", "--features", "x", "--sep", ";"], "no such option '--sep'. Did you mean '--delimiter'?"),
        (["--target", "y", "--features", "x", "--sample-weight", "w"], "Did you mean '--weight'?"),
    ],
)
def test_a_mistake_is_one_error_before_any_file_is_read(cli: Call, words: list[str], message: str) -> None:
    outcome = cli("fit", "no-such-file.csv", *words)
    assert outcome.code == 2
    assert outcome.out == ""
    assert outcome.err.startswith("error: ")
    assert message in outcome.err


def test_a_mistake_in_the_features_is_shown_under_its_place(cli: Call) -> None:
    outcome = cli("fit", "a.csv", "--target", "y", "--features", "distance, C(carier", "--json")
    assert outcome.err.splitlines() == [
        'error: expected ")" after the column of C, at column 19',
        "  distance, C(carier",
        "                    ^",
        "write names, log1p(x), C(x), B(x, bins=20), M(x), a:b, a*b or *, separated by commas",
    ]
    assert json.loads(outcome.out)["error"]["exit_code"] == 2


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ('features = "x +"', "[fit] features: "),
        ('features = ["x", 3]', "[fit] features is a list, not a list of strings"),
        ("l2 = true", "[fit] l2 is true or false, not a number"),
        ("l2 = -1", "[fit] l2: '-1' is not a number of at least 0|[fit] l2: -1 is not a number of at least 0"),
        ('sign = ["x"]', "[fit] sign: 'x' is not COLUMN=+ or COLUMN=-"),
        ("lambda = 1", "[fit] lambda is not known"),
        ('sample_weight = "w"', "[fit] sample_weight is not known\ndid you mean weight?"),
    ],
)
def test_a_mistake_in_a_file_is_named_with_its_place(cli: Call, tmp_path: Path, line: str, place: str) -> None:
    file = tmp_path / "job.toml"
    file.write_text(f'[fit]\ninputs = ["a.csv"]\ntarget = "y"\n{line}\n')
    words: list[Any] = ["fit", "--config", file, *([] if "features" in line else ["--features", "x"])]
    outcome = cli(*words)
    assert outcome.code == 78
    assert any(f"{file}: {each}" in outcome.err for each in place.split("|")), outcome.err


ROWS = 2_000
FITTED = ("--target", "y", "--features", "a, log1p(b)")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A CSV with a target, two numbers of which one is missing now and then, and a column that separates."""
    random = np.random.default_rng(7)
    normal, exponential = random.normal(size=ROWS), random.exponential(size=ROWS)
    y = random.random(ROWS) < 1 / (1 + np.exp(0.5 - normal + exponential))
    a, b = normal.tolist(), exponential.tolist()
    lines = [f"{int(y[i])},{a[i]!r},{b[i] if i % 100 else ''},{int(y[i]) + 5}" for i in range(ROWS)]
    (tmp_path / "data.csv").write_text("\n".join(["y,a,b,same", *lines, ",1,1,1", ""]))
    return tmp_path / "data.csv"


def test_a_fit_writes_a_model_that_scores_and_its_accounts_add_up(cli: Call, data: Path) -> None:
    out = data.parent / "m.json"
    outcome = cli("fit", data, *FITTED, "--missing", "drop", "--missing-target", "drop", "-o", out)
    assert outcome.code == 0, outcome.err
    rows = f"{ROWS + 1:,} read = 1,980 used + 0 held out + 20 dropped + 0 bad + 1 without target"
    assert f"rows              {rows}" in outcome.out.splitlines()
    assert re.search(
        r"^converged +yes: squared decrement \S+, largest step \S+, largest gradient \S+$", outcome.out, re.MULTILINE
    )
    assert [line.split()[0] for line in outcome.out.splitlines()[-3:]] == ["(intercept)", "a", "log1p(b)"]
    lines = outcome.err.splitlines()
    assert re.fullmatch(r"pass 1 \(learn\): 2,001 rows in .* s", lines[0])
    pattern = r"pass 2 \(fit\): objective 0\.\d+, decrement \S+, gradient \S+, 1,980 rows in .* s"
    assert re.fullmatch(pattern, lines[1])
    assert re.fullmatch(r"\d passes in .* s; peak memory .* [MG]iB", lines[-1])
    model = LogisticModel.load(out)
    assert [feature.column for feature in model.features] == ["a", "b"]
    assert np.isnan(model.raw_prediction({"a": [0.0, 0.0], "b": [None, 1.0]})).tolist() == [True, False]


def test_as_json_a_fit_has_all_digits_of_the_model_that_it_wrote(cli: Call, data: Path) -> None:
    out = data.parent / "m.json"
    words = ["fit", data, *FITTED, "--missing", "impute-mean", "--missing-target", "drop", "-o", out, "--json"]
    outcome = cli(*words)
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)
    model = LogisticModel.load(out)
    assert found["digest"] == model.digest()
    assert found["model"] == json.loads(out.read_text())
    rows = found["rows"]
    assert rows["read"] == sum(rows[name] for name in ("used", "held_out", "dropped", "bad", "without_target"))
    assert found["certificate"]["converged"] is True
    assert all(each["error"] > 0 and 0 <= each["p"] <= 1 for each in found["coefficients"])


def test_quietly_a_fit_says_nothing_and_no_file_is_replaced_unasked(cli: Call, data: Path) -> None:
    out = data.parent / "m.json"
    words = ["fit", data, *FITTED, "--missing", "drop", "--missing-target", "drop", "-o", out, "-q"]
    assert cli(*words) == Outcome(0, "", "")
    before = out.read_bytes()
    refused = cli(*words)
    assert refused.code == 73
    assert f"error: {out} exists" in refused.err
    assert out.read_bytes() == before
    assert cli(*words, "--if-exists", "replace") == Outcome(0, "", "")
    assert json.loads(out.read_bytes())["features"] == json.loads(before)["features"]


def test_an_output_in_no_folder_is_refused_before_rows_are_read(cli: Call, data: Path) -> None:
    folder = data.parent / "none"
    for words in ((), ("--dry-run",)):
        outcome = cli("fit", data, *FITTED, "-o", folder / "m.json", *words)
        assert outcome.code == 73
        assert outcome.err.startswith(f"error: there is no folder {folder}\nmake it: mkdir -p")


def test_a_narrow_terminal_gets_the_columns_for_which_it_has_room(data: Path) -> None:
    words = ("fit", data, *FITTED, "--missing", "drop", "--missing-target", "drop")
    wide, narrow = (on_a_terminal(columns, *words) for columns in (120, 60))
    (header,) = (line for line in wide.splitlines() if line.startswith("feature"))
    assert header.split() == ["feature", "coefficient", "error", "z", "p", "low", "high", "VIF"]
    (header,) = (line for line in narrow.splitlines() if line.startswith("feature"))
    assert header.split() == ["feature", "coefficient", "error", "p", "low", "high"]
    assert "left out, as the terminal is narrow: VIF, z" in narrow.splitlines()


def test_without_an_output_the_model_is_shown_even_quietly(cli: Call, data: Path) -> None:
    before = sorted(data.parent.iterdir())
    outcome = cli("fit", data, *FITTED, "--missing", "drop", "--missing-target", "drop", "-q")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("rows ")
    assert sorted(data.parent.iterdir()) == before


def test_a_fit_that_does_not_converge_ends_with_3_and_writes_nothing(cli: Call, data: Path) -> None:
    out = data.parent / "m.json"
    words = ["fit", data, "--target", "y", "--features", "same", "--missing-target", "drop", "-o", out]
    outcome = cli(*words)
    assert outcome.code == 3
    assert re.search(r"^error: the fit has no optimum: .*separation by same", outcome.err, re.MULTILINE)
    assert not out.exists()
    assert cli(*words, "--allow-unconverged").code == 0
    assert out.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((*FITTED, "--missing", "drop"), "y"),
        ((*FITTED, "--missing-target", "drop"), "b"),
        (("--target", "late", "--features", "a"), "'late'"),
        (("--target", "y", "--features", "a, z", "--missing-target", "drop"), "'z'"),
        (("--target", "y", "--features", "a", "--weight", "w"), "'w'"),
    ],
)
def test_what_the_data_lack_is_one_error(cli: Call, data: Path, words: tuple[str, ...], message: str) -> None:
    out = data.parent / "m.json"
    outcome = cli("fit", data, *words, "-o", out)
    assert outcome.code == 65, outcome.err
    assert outcome.out == ""
    assert re.search(rf"^error: .*(?<!\w){message}(?!\w)", outcome.err, re.MULTILINE | re.DOTALL)
    assert not out.exists()


def test_no_input_is_replaced_by_the_model(cli: Call, data: Path) -> None:
    text = data.with_suffix(".txt")
    text.write_bytes(data.read_bytes())
    (data.parent / "link").symlink_to(text)
    for output in (text, data.parent / "link"):
        words = ["fit", text, *FITTED, "--missing", "drop", "--missing-target", "drop", "--if-exists", "replace"]
        outcome = cli(*words, "-o", output)
        assert outcome.code == 2
        assert f"error: {text} is both an input and the output" in outcome.err
    assert text.read_bytes() == data.read_bytes()


@pytest.mark.parametrize("planned", [[], ["--dry-run"]], ids=["fit", "plan"])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none/m.json", "there is no folder {}/none\nmake it: mkdir -p"),
        ("folder", "{}/folder is a folder\ngive the model file a name"),
        ("scores/m.json", "{}/scores/m.json lies inside the output {}/scores"),
        ("link.json", "there is no folder {}/none"),
        ("inner.json", "{}/scores/m.json lies inside the output {}/scores"),
        ("there.json", "{}/there.json exists"),
        ("s3://bucket/m.json", "s3://bucket/m.json cannot be an output"),
    ],
)
def test_where_no_model_can_be_written_the_fit_does_not_begin(
    cli: Call, data: Path, planned: list[str], name: str, message: str
) -> None:
    home = data.parent
    for folder in ("folder", "scores"):
        (home / folder).mkdir()
    (home / "scores/_manifest.json").write_text("{}")
    (home / "link.json").symlink_to("none/m.json")
    (home / "inner.json").symlink_to("scores/m.json")
    (home / "there.json").write_text("{}")
    before = sorted(home.rglob("*"))
    replaced = ["--if-exists", "fail" if name == "there.json" else "replace"]
    out = name if ":" in name else home / name
    outcome = cli("fit", data, "--target", "y", "--features", "a", "-o", out, *replaced, *planned)
    assert outcome.code == 73, outcome.err
    assert outcome.err.startswith(f"error: {message.replace('{}', str(home))}")
    assert sorted(home.rglob("*")) == before


def test_no_such_input_is_66(cli: Call, tmp_path: Path) -> None:
    assert cli("fit", tmp_path / "none.csv", *FITTED).code == 66


@pytest.mark.skipif(find_spec("matplotlib") is None, reason="matplotlib is not installed (extra plot)")
def test_a_fit_is_drawn(cli: Call, data: Path) -> None:
    picture = data.parent / "m.png"
    outcome = cli("fit", data, *FITTED, "--missing", "drop", "--missing-target", "drop", "--plot", picture, "-q")
    assert outcome.code == 0, outcome.err
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_function_gives_what_the_command_writes(cli: Call, data: Path) -> None:
    out = data.parent / "m.json"
    assert cli("fit", data, *FITTED, "--missing", "drop", "--missing-target", "drop", "-o", out, "-q").code == 0
    seen: list[object] = []
    report = pipeline.fit(
        data, target="y", features=["a", "log1p(b)"], missing="drop", missing_target="drop", observe=seen.append
    )
    assert report.output is None
    assert json.loads(report.model.to_json())["features"] == json.loads(out.read_text())["features"]
    assert [each.number for each in seen if isinstance(each, PassDone)] == list(range(1, report.passes + 1))


def test_an_interrupt_says_how_to_go_on() -> None:
    with pytest.raises(KeyboardInterrupt) as caught, stopped_with("run it again"):
        raise KeyboardInterrupt
    assert caught.value.args == ("run it again",)


@pytest.mark.slow
def test_a_fit_that_is_interrupted_says_how_to_go_on_and_goes_on(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    columns = {f"x{number}": random.normal(size=400_000) for number in range(12)}
    sign = 0.2 * sum(columns.values()) + random.logistic(size=400_000) > 0
    pq.write_table(pa.table(columns | {"y": sign}), tmp_path / "data.parquet")
    words = ["fit", "data.parquet", "--target", "y", "--features", "*", "--workers", "1", "-o", "m.json"]
    command = [sys.executable, "-c", "from jobs.cli import main; main()", *words]
    environment = {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = ""
        while "pass 2 (fit)" not in said:
            said += process.stderr.readline()
        process.send_signal(signal.SIGINT)
        said += process.stderr.read()
    assert process.returncode == 130
    assert "run the same command again: it resumes after the last finished pass" in said
    assert not (tmp_path / "m.json").exists()
    again = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert "pass 1 " not in again.stderr
    assert re.search(r"^note: resuming after pass \d", again.stderr, re.MULTILINE)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["data.parquet", "m.json"]
