"""``logitstream fit``: its options from every place, and its mistakes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobs.show.fits import fit_options
from pipeline.fitting.terms import CategoryTerm, NumberTerm, ProductTerm
from pipeline.training import fit_job
from tests.jobs.conftest import Outcome, parsed

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
        (["--target", "y", "--features", "x", "--path", "9"], "--path has no penalty to end with"),
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
