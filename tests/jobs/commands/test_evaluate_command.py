"""``evaluate`` from end to end: tables that a person reads, JSON, states added up, limits, mistakes."""

from __future__ import annotations

import json
import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import pipeline as logitstream
from jobs.show.evaluation_tables import measure_tables
from jobs.show.evaluations import evaluate_options
from pipeline.errors import StorageError
from pipeline.options import OPTIONS, EvaluateOptions
from tests.jobs.conftest import parsed
from tests.measuring.observed import model_file, observed

COLUMN = ("--target", "y", "--probability", "p")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    pq.write_table(observed(3_000), tmp_path / "in.parquet")
    return tmp_path / "in.parquet"


def test_a_person_reads_accounts_measures_and_tables(cli, data):
    outcome = cli("evaluate", data, *COLUMN, "--by", "region", "--threshold", "0.5", "--cost", "fp=1,fn=5")
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert lines[0] == "target     y, where 1 or true is positive"
    assert lines[1] == "scored by  p"
    assert lines[2] == "rows       3,000 read = 3,000 used"
    words = {line.split("  ")[0]: line.split() for line in lines}
    assert words["AUC"][2] == "exact"
    assert "by chance alone" in " ".join(words["ECE"])
    for title in ("Rows at thresholds:", "Rows with the highest scores:", "Calibration:", "By region:"):
        assert title in lines
    assert [name for name in ("best F1", "best Youden", "lowest cost") if name in words] != []
    at = lines.index("By region:")
    assert [line.split()[0] for line in lines[at + 4 : at + 8]] == ["north", "south", "west", "missing"]
    assert max(map(len, lines)) <= 120


def test_rows_are_shown_as_whole_numbers_and_weights_with_their_fractions(cli, data):
    command = ("evaluate", data, *COLUMN, "--threshold", "0.1")
    for more in ((), ("--weight", "w")):
        (rates,) = json.loads(cli(*command, *more, "--json").out)["measures"]["thresholds"]
        counts = [rates[f"{which}_{name}"] for which in ("true", "false") for name in ("positives", "negatives")]
        (row,) = [line.split() for line in cli(*command, *more).out.splitlines() if line.split()[:1] == ["0.1"]]
        shown = [row[place] for place in (1, 3, 2, 4)]
        assert shown == [f"{count:.6g}" if more else f"{count:,}" for count in counts]


def test_a_program_gets_the_measures_under_their_names(cli, data):
    found = json.loads(cli("evaluate", data, *COLUMN, "--by", "month", "--bins", "5", "--json").out)
    assert (found["kind"], found["schema_version"], found["target"]) == ("evaluation", 2, "y")
    assert found["rows"]["read"] == found["rows"]["used"] == 3_000
    assert len(found["measures"]["calibration_curve"]) == 5
    named = ("rows", "weight", "prevalence", "mean_probability", "log_loss", "brier", "reliability", "resolution",
             "uncertainty", "auc", "auc_bound", "average_precision", "average_precision_bound", "ks", "gini", "deciles",
             "thresholds", "best", "calibration_curve", "ece", "ece_noise_floor", "hosmer_lemeshow",
             "calibration_slope", "calibration_intercept")  # fmt: skip
    assert [name for name in named if name not in found["measures"]] == []
    assert [group["value"] for group in found["groups"][0]["groups"]] == [[str(month)] for month in range(1, 13)]


def test_two_models_stand_beside_each_other(cli, data, tmp_path):
    models = [model_file(tmp_path, f"{name}.json", intercept=value) for name, value in (("a", -0.4), ("b", 0.3))]
    outcome = cli("evaluate", data, "--target", "y", "-m", models[0], "-m", models[1], "--by", "month")
    assert outcome.code == 0
    (head,) = (line for line in outcome.out.splitlines() if line.startswith("measure"))
    assert "second minus first" in head
    (head,) = (line for line in outcome.out.splitlines() if line.startswith("group"))
    assert head.count("second minus first") == 2
    assert f"Calibration, {models[1]}:" in outcome.out
    found = json.loads(cli("evaluate", data, "--target", "y", "-m", models[0], "-m", models[1], "--json").out)
    words = {line[:22].strip(): line[22:].split() for line in outcome.out.splitlines()}
    of_both = (found["measures"], found["challenger"])
    assert words["ECE by chance alone"] == [f"{each['ece_noise_floor']:.2g}" for each in of_both]
    assert words["p of Hosmer-Lemeshow"] == [f"{each['hosmer_lemeshow']['p_value']:.2g}" for each in of_both]
    assert found["differences"]["log_loss"] > 0
    assert [each["name"] for each in found["models"]] == list(map(str, models))
    third = cli("evaluate", data, "--target", "y", *(word for _ in range(3) for word in ("-m", models[0])))
    assert (third.code, "at most two models are compared" in third.err) == (2, True)


def test_a_limit_is_one_of_the_first_of_two_models_and_the_error_names_it(cli, data, tmp_path):
    good = model_file(tmp_path, "good.json")
    bad = model_file(tmp_path, "bad.json", features=[{"column": "x0", "kind": "numeric", "coefficient": -1.0}])
    named = ("evaluate", data, "--target", "y", "--fail-under", "auc=0.6")
    assert cli(*named, "-m", good, "-m", bad).code == 0
    outcome = cli(*named, "-m", bad, "-m", good)
    assert outcome.code == 3
    assert f"error: auc of {bad} is 0.2" in outcome.err
    assert "Of two models the first is checked." in " ".join(cli("evaluate", "--help").out.split())


def test_dropped_rows_are_told_with_the_reasons(cli, tmp_path):
    (tmp_path / "in.csv").write_text("y,c,x\n1,a,0.5\n0,b,0.2\n1,z,0.3\n1,a,\n0,b,0.1\n,a,1\n")
    features = [
        {"column": "c", "kind": "categorical", "coefficients": {"a": 1.0, "b": -1.0}, "unseen": "quarantine"},
        {"column": "x", "kind": "numeric", "coefficient": 1.0},
    ]
    named = ("--target", "y", "-m", model_file(tmp_path, features=features, version=1), "--missing-target", "drop")
    outcome = cli("evaluate", tmp_path / "in.csv", *named)
    lines = [" ".join(line.split()) for line in outcome.out.splitlines()]
    at = lines.index("rows 6 read = 3 used + 2 dropped + 1 without a target")
    assert lines[at + 1] == "of the dropped, 1 set aside by the model"
    assert lines[at + 2].startswith("of the dropped, 1 without a score: a value is missing")
    rows = json.loads(cli("evaluate", tmp_path / "in.csv", *named, "--json").out)["rows"]
    assert rows["read"] == sum(rows[name] for name in ("used", "not_held_out", "dropped", "bad", "without_target"))
    assert rows["dropped"] == rows["set_aside"] + rows["without_score"] == 2


def test_models_of_several_classes_are_shown_alone_and_beside_each_other(cli, tmp_path):
    table = observed(300)
    pq.write_table(table.append_column("kind", pc.cast(pc.bit_wise_and(table["month"], 3), "string")), tmp_path / "in")
    features = [{"column": "x0", "kind": "numeric", "coefficient": [0.5, 0.1, -0.2, 0.0]}]
    several = {"classes": ["0", "1", "2", "3"], "features": features}
    first, second = (
        model_file(tmp_path, f"{name}.json", intercept=[each, 0.0, 0.0, 0.0], **several)
        for name, each in (("a", 0.0), ("b", 9.0))
    )
    command = ("evaluate", tmp_path / "in", "--target", "kind", "-m", first)
    for more, headers in (((), ["measure", "value"]), (("-m", second), ["measure", str(first), str(second)])):
        found = json.loads(cli(*command, *more, "--json").out)
        lines = cli(*command, *more).out.splitlines()
        (head,) = [line for line in lines if line.startswith("measure")]
        assert re.split(" {2,}", head)[: len(headers)] == headers
        (row,) = [line.split() for line in lines if line.startswith("accuracy")]
        values = [found[of]["accuracy"] for of in ("measures", "challenger") if found[of]]
        assert row[1 : len(headers)] == [f"{value:.6g}" for value in values]
        for title in ("Each class against the others", "Rows by class and by what is predicted"):
            assert sum(line.startswith(title) for line in lines) == len(values)


@pytest.mark.parametrize(("classes", "shown"), [(12, True), (13, False)])
def test_a_confusion_matrix_is_shown_of_few_classes(tmp_path, classes, shown):
    names = [str(each) for each in range(classes)]
    pq.write_table(pa.table({"x0": [0.0] * classes, "kind": names}), tmp_path / "in")
    features = [{"column": "x0", "kind": "numeric", "coefficient": [1.0] * classes}]
    model = model_file(tmp_path, classes=names, features=features, intercept=[0.0] * classes)
    tables = measure_tables(logitstream.evaluate(tmp_path / "in", target="kind", model=model))
    assert any(table.title.startswith("Rows by class and by what is predicted") for table in tables) == shown


def test_bounds_are_shown_of_two_models_too(data, tmp_path):
    models = [model_file(tmp_path, f"{name}.json", intercept=value) for name, value in (("a", -0.4), ("b", 0.3))]
    report = logitstream.evaluate(data, target="y", model=models[0], challenger=models[1])
    wide = replace(report.measures, auc_bound=1.21e-6)
    difference = replace(report.differences, auc=replace(report.differences.auc, bound=1.21e-6))
    table = next(measure_tables(replace(report, measures=wide, differences=difference)))
    (row,) = (row for row in table.rows if row[0] == "AUC")
    assert (row[1].partition(" ")[2], row[2].partition(" ")[2], row[4]) == ("within 1.3e-06", "", "1.3e-06")


def test_a_measure_below_its_limit_ends_with_3_after_everything_was_shown(cli, data):
    outcome = cli("evaluate", data, *COLUMN, "--fail-under", "auc=0.99,ks=0.1")
    assert outcome.code == 3
    assert "AUC" in outcome.out
    assert "error: auc is 0.7" in outcome.err
    assert ", below 0.99" in outcome.err
    assert "ks" not in outcome.err
    assert cli("evaluate", data, *COLUMN, "--fail-under", "auc=0.6").code == 0
    document = cli("evaluate", data, *COLUMN, "--fail-under", "auc=0.99", "--json")
    assert (document.code, json.loads(document.out)["kind"]) == (3, "evaluation")


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        ("acu=0.7", "there is no measure 'acu'; did you mean \"auc\"?\nthere are prevalence, "),
        ("accuracy=0.7", "there is no measure 'accuracy'"),
        ("auc", "'auc' is not MEASURE=NUMBER"),
        ("auc=high", "'auc=high' is not MEASURE=NUMBER"),
        ("auc=0.1,auc=0.2", "auc has two limits"),
        ("log_loss=0.5", "log_loss is better if it is smaller"),
    ],
)
def test_a_limit_of_no_measure_is_2_with_the_list(cli, data, limit, said):
    outcome = cli("evaluate", data, *COLUMN, "--fail-under", limit)
    assert outcome.code == 2
    assert said in outcome.err
    assert "there are" not in outcome.err or "log_loss" not in outcome.err


@contextmanager
def small_files() -> Iterator[None]:
    """Let no file become longer than 8,000 bytes inside the block, as on a disk that is full by then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_measures_are_shown_where_only_the_state_cannot_be_written(cli, data, tmp_path):
    words = ("evaluate", data, *COLUMN, "--state", tmp_path / "a.state")
    with small_files():
        text, document = cli(*words), cli(*words, "--json")
        below = cli(*words, "--fail-under", "auc=0.99")
        with pytest.raises(StorageError, match="File too large") as caught:
            logitstream.evaluate(data, target="y", probability="p", state=tmp_path / "a.state")
    assert text.err == (
        f"error: cannot write {tmp_path / 'a.state'}: File too large; the measures were shown\n"
        "raise the limit on file sizes (ulimit -f) or lower --chunk-size, then run again\n"
    )
    assert (text.code, document.code, below.code) == (74, 74, 3)
    assert "AUC" in text.out
    assert json.loads(document.out)["measures"]["auc"] > 0.7
    assert below.err.startswith(f"warning: not written: cannot write {tmp_path / 'a.state'}: File too large\n")
    assert isinstance(caught.value.evaluation, logitstream.EvaluationReport)
    assert caught.value.evaluation.measures.auc == json.loads(document.out)["measures"]["auc"]
    assert list(tmp_path.iterdir()) == [data]


@pytest.mark.parametrize(
    ("option", "name", "code", "said"),
    [
        ("--state", "x" * 300, 74, "File name too long"),
        ("--state", "none/a.state", 73, "its folder does not exist"),
        ("--state", "folder", 73, "is a folder"),
        ("--state", "notes.txt", 73, "exists\nchoose another name, or use --if-exists replace"),
        ("--html", f"{'x' * 300}.html", 74, "File name too long"),
        ("--html", "none/a.html", 73, "its folder does not exist"),
        ("--html", "notes.html", 73, "is not a report"),
    ],
)
def test_what_cannot_be_written_is_refused_before_rows_are_read(cli, data, tmp_path, option, name, code, said):
    # With its bad row the pass itself would end with 65.
    pq.write_table(pa.table({"y": [1, 7], "p": [0.5, 0.2]}), data)
    (tmp_path / "folder").mkdir()
    for file in ("notes.txt", "notes.html"):
        (tmp_path / file).write_text("mine")
    if option == "--html":
        pytest.importorskip("jinja2")
        pytest.importorskip("matplotlib")
    outcome = cli("evaluate", data, *COLUMN, option, tmp_path / name)
    assert (outcome.code, outcome.out) == (code, "")
    assert said in outcome.err


def test_states_are_added_up_without_the_rows(cli, data, tmp_path):
    other = tmp_path / "other.parquet"
    pq.write_table(observed(1_000, seed=5), other)
    for path in (data, other):
        assert cli("evaluate", path, *COLUMN, "--by", "region", "--state", f"{path}.state").code == 0
        path.unlink()
    outcome = cli(
        "evaluate", "--merge", f"{data}.state", f"{other}.state", "--cost", "fp=1,fn=2", "--state", tmp_path / "c"
    )
    assert (outcome.code, outcome.err) == (0, "")
    assert "rows       4,000 read = 4,000 used" in outcome.out
    assert "lowest cost" in outcome.out
    assert "By region:" in outcome.out
    assert json.loads(cli("evaluate", "--merge", tmp_path / "c", "--json").out)["rows"]["used"] == 4_000
    assert cli("evaluate", "--merge", tmp_path / "c", "--fail-under", "auc=0.99").code == 3


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--merge", "--by", "region"), 2, "--by has no effect with --merge"),
        (("--merge", *COLUMN), 2, "--target has no effect with --merge"),
        (("--merge", "--max-unseen", "20%"), 2, "--max-unseen has no effect with --merge"),
        (("--merge", "--max-missing", "20%"), 2, "--max-missing has no effect with --merge"),
        ((*COLUMN, "--max-unseen", "20%"), 2, "--max-unseen has no effect with --probability"),
        ((*COLUMN, "--max-missing", "20%"), 2, "--max-missing has no effect with --probability"),
        ((*COLUMN, "--max-missing", "20"), 2, "'20' is not a share"),
        (("--merge",), 65, "is not the state of an evaluation"),
        (("--probability", "p"), 2, "missing option '--target'"),
        (("--target", "y"), 2, "neither a model nor a column of probabilities"),
        ((*COLUMN, "--cost", "fp=1"), 2, "does not say what a false positive"),
        ((*COLUMN, "--by", "a::b"), 2, "is not the name of a column"),
        ((*COLUMN, "--threshold", "2"), 2, "'2' is not a number from 0 to 1"),
        (("--target", "x0", "--probability", "p"), 65, "is not a target"),
        ((*COLUMN, "--memory", "1MiB"), 71, "memory"),
    ],
)
def test_what_cannot_be_is_refused_with_its_reason(cli, data, words, code, said):
    outcome = cli("evaluate", data, *words)
    assert (outcome.code, outcome.out) == (code, "")
    assert said in outcome.err


def test_more_bad_rows_than_may_be_end_with_65(cli, tmp_path):
    (tmp_path / "in.csv").write_text("y,p\n1,0.5\n0,0.2\n7,0.3\n1,2\n0,0.1\n")
    outcome = cli("evaluate", tmp_path / "in.csv", *COLUMN, "--max-bad", "1")
    assert outcome.code == 65
    assert "in.csv: record 3 (byte 16), column y: '7' is not a target" in outcome.err
    allowed = cli("evaluate", tmp_path / "in.csv", *COLUMN, "--max-bad", "2")
    assert "rows       5 read = 3 used + 2 bad" in allowed.out


@pytest.mark.parametrize(
    ("option", "over", "told"),
    [
        ("--max-unseen", "c=19%", "are levels that the model does not know"),
        ("--max-missing", "19%", "there is no value"),
    ],
)
def test_more_unseen_or_missing_values_than_may_be_end_with_65(cli, tmp_path, option, over, told):
    (tmp_path / "in.csv").write_text("y,c,x\n1,a,1\n0,u,1\n1,a,\n0,a,1\n0,a,1\n")
    features = [
        {"column": "c", "kind": "categorical", "coefficients": {"a": 1.0}, "unseen": "zero"},
        {"column": "x", "kind": "numeric", "coefficient": 1.0, "missing": {"impute": 0.0}},
    ]
    command = ("evaluate", tmp_path / "in.csv", "--target", "y", "-m", model_file(tmp_path, features=features), option)
    outcome = cli(*command, over)
    assert (outcome.code, outcome.out) == (65, "")
    assert told in outcome.err
    assert f"({option} allows 19%)" in outcome.err
    assert "nothing was measured" in outcome.err
    allowed = cli(*command, over.replace("19%", "20%"))
    assert (allowed.code, allowed.err) == (0, "")
    assert "rows       5 read = 5 used" in allowed.out
    assert f"  {option} " in cli("evaluate", "--help").out


def test_a_bar_shows_how_far_the_pass_is_unless_the_command_is_quiet(cli, data):
    assert "3,000 of 3,000 rows" in cli("evaluate", data, *COLUMN, "--progress", "bar").err
    for words in (("--progress", "bar", "-q"), ("--progress", "log"), ("--progress", "none"), ()):
        outcome = cli("evaluate", data, *COLUMN, *words)
        assert (outcome.code, outcome.err) == (0, ""), words
        assert "AUC" in outcome.out


def test_options_may_stand_in_a_file(cli, data, tmp_path):
    (tmp_path / "job.toml").write_text(
        f'[evaluate]\ninputs = ["{data}"]\ntarget = "y"\nprobability = "p"\nby = ["region"]\nthreshold = [0.5, 1]\n'
    )
    outcome = cli("evaluate", "--config", tmp_path / "job.toml")
    assert (outcome.code, outcome.err) == (0, "")
    assert "By region:" in outcome.out
    (tmp_path / "job.toml").write_text('[evaluate]\nthreshold = ["high"]\n')
    refused = cli("evaluate", data, *COLUMN, "--config", tmp_path / "job.toml")
    assert (refused.code, "threshold is a list, not a list of numbers" in refused.err) == (78, True)


def test_options_may_stand_in_the_environment(cli, data, monkeypatch):
    monkeypatch.setenv("LOGITSTREAM_EVALUATE_BY", "region, month")
    monkeypatch.setenv("LOGITSTREAM_EVALUATE_FAIL_UNDER", "auc=0.99")
    outcome = cli("evaluate", data, *COLUMN)
    assert outcome.code == 3
    assert "By region:" in outcome.out
    assert "By month:" in outcome.out


def test_the_command_has_the_options_and_the_defaults_of_the_function():
    asked = evaluate_options(parsed("evaluate", "in.csv", "--target", "y"))
    assert (asked.pop("inputs"), asked.pop("target")) == (("in.csv",), "y")
    assert [asked.pop(name) for name in ("model", "challenger", "probability")] == [None, None, None]
    assert asked.keys() == EvaluateOptions.__annotations__.keys() - {"observe"}
    assert {name: str(value) for name, value in asked.items()} == {name: str(OPTIONS[name].default) for name in asked}
