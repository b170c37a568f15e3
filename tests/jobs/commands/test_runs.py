"""The commands on real files: messages, published files and exit codes."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import flow
from tests.jobs.conftest import on_a_terminal

ROOT = Path(__file__).resolve().parents[3]
SAMPLE = ROOT / "sample_data"
MODEL = SAMPLE / "delay_model.json"
FLIGHTS = SAMPLE / "flights"
ROWS = 19_811
AGAIN = "run the same command again: finished chunks are not computed again"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def test_a_run_accounts_for_every_row(cli, out):
    outcome = cli("score", FLIGHTS, "--model", MODEL, "--output", out)
    assert outcome.code == 0, outcome.err
    assert outcome.out == ""
    lines = outcome.err.splitlines()
    assert lines[-1].startswith("read 19,811 rows: 19,332 scored, 479 null, 0 NaN; ")
    assert lines[-1].endswith(f"; output {out}")
    assert "missing values: dep_delay 479" in lines
    assert sum("--keep COLUMN adds a column that tells rows apart" in line for line in lines) == 1
    assert pq.read_table(out).num_rows == ROWS


def test_json_is_on_stdout_alone(cli, out):
    outcome = cli("score", FLIGHTS, "--model", MODEL, "--output", out, "--json", "--limit", "7", "--keep", "flight_id")
    assert outcome.code == 0, outcome.err
    report = json.loads(outcome.out)
    assert report["rows"] == {"read": 7, "written": 7, "scored": 7, "null": 0, "nan": 0, "quarantined": 0, "bad": 0}
    assert report["published"] is True
    assert [field["name"] for field in report["plan"]["fields"]] == ["flight_id", "probability", "decision"]


def test_quiet_is_silent_when_nothing_is_wrong(cli, out):
    outcome = cli("score", FLIGHTS, "--model", MODEL, "--output", out, "-q")
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")
    outcome = cli("score", FLIGHTS / "none", "--model", MODEL, "--output", out, "-q")
    assert (outcome.code, outcome.out) == (66, "")
    assert outcome.err.startswith("error: ")


def test_verbose_shows_the_plan_and_every_input(cli, out):
    outcome = cli("score", FLIGHTS, "--model", MODEL, "--output", out, "-v")
    assert outcome.code == 0, outcome.err
    for name in ("2013-q1.parquet", "2013-q4.parquet", "chunks", "workers"):
        assert name in outcome.err
    assert outcome.err.count("the output has only the results") == 1


def test_the_same_job_again_does_nothing_and_another_one_is_refused(cli, out):
    words = ("score", FLIGHTS, "--model", MODEL, "--output", out, "--limit", "5")
    assert cli(*words).code == 0
    again = cli(*words)
    assert again.code == 0
    assert "there was nothing to do" in again.err
    assert again.err.splitlines()[-1].startswith(f"{out} holds 5 rows: 5 scored, 0 null, 0 NaN; ")
    other = cli(*words[:-1], "6")
    assert other.code == 73
    assert "--if-exists replace" in other.err
    assert cli(*words[:-1], "6", "--if-exists", "replace").code == 0
    assert pq.read_table(out).num_rows == 6


def test_options_decide_the_columns_of_the_output(cli, out):
    words = ("--threshold", "0.3", "--raw-prediction", "--float32", "--keep", "flight_id,carrier", "--keep", "origin")
    outcome = cli("score", FLIGHTS, "--model", MODEL, "--output", out, *words, "--compression", "zstd")
    assert outcome.code == 0, outcome.err
    table = pq.read_table(out)
    assert table.column_names == ["flight_id", "carrier", "origin", "probability", "raw_prediction", "decision"]
    assert table.schema.field("probability").type == pa.float32()


def _without_memory(text: str) -> list[str]:
    lines = text.splitlines()
    kept = [line for line in lines if not line.startswith("memory ")]
    assert len(kept) == len(lines) - 1
    return kept


def test_plan_is_score_with_dry_run(cli, out):
    words = (FLIGHTS, "--model", MODEL, "--output", out, "--keep", "flight_id")
    plan, dry = cli("plan", *words), cli("score", *words, "--dry-run")
    assert plan.code == 0, plan.err
    # Memory, of the machine and of this process, changes from one moment to the next.
    assert _without_memory(plan.out) == _without_memory(dry.out)
    assert plan.err == ""
    assert plan.out.startswith("inputs      4 files, 19,811 rows, ")
    assert cli("plan", *words, "-v").out.count(".parquet") == 4
    assert json.loads(cli("plan", *words, "--json").out)["rows"] == ROWS
    assert list(out.parent.iterdir()) == []


def test_transform_plans_and_runs_without_a_model(cli, out):
    words = ("transform", SAMPLE / "flights.csv", "--apply", "p=sigmoid(dep_delay)", "--apply", "log_sigmoid(distance)")
    plan = cli(*words, "--output", out, "--dry-run")
    assert plan.code == 0, plan.err
    assert "p: double\n" in plan.out
    assert "log_sigmoid_distance: double\n" in plan.out
    outcome = cli(*words, "--output", out, "--keep", "flight_id", "--type", "flight_id=int64")
    assert outcome.code == 0, outcome.err
    table = pq.read_table(out)
    assert table.schema.field("flight_id").type == pa.int64()
    assert table["p"].null_count == 479


def test_a_job_in_a_file_runs_from_anywhere(cli, tmp_path, monkeypatch):
    folder = tmp_path / "jobs"
    folder.mkdir()
    shutil.copy(MODEL, folder / "m.json")
    shutil.copytree(FLIGHTS, folder / "flights")
    (folder / "job.toml").write_text(
        '[score]\ninputs = ["flights/*.parquet"]\nmodel = "m.json"\noutput = "scores"\n'
        'keep = ["flight_id"]\nquiet = true\n'
    )
    monkeypatch.chdir("/")
    outcome = cli("score", "--config", folder / "job.toml")
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")
    assert pq.read_table(folder / "scores").num_rows == ROWS


def test_score_runs_as_a_module_with_an_empty_environment(process, tmp_path, out):
    words = (FLIGHTS, "--model", MODEL, "--output", out)
    outcome = process(*words, start=("-m", "jobs.commands.score"), env={"LC_ALL": "C"})
    assert outcome.code == 0, outcome.err
    assert outcome.err.splitlines()[-1].startswith("read 19,811 rows")


REFUSED = {
    "no such input": (("nothing.parquet",), {}, 66, "no such input"),
    "no such model": ((FLIGHTS,), {"--model": "none.json"}, 66, "none.json"),
    "not a model": ((FLIGHTS,), {"--model": "bad.json"}, 65, "bad.json is not a valid model"),
    "no parent": ((FLIGHTS,), {"--output": "no/such/out"}, 73, "mkdir -p"),
    "a name that is taken": ((FLIGHTS,), {"--keep": "probability"}, 2, "--keep probability"),
    "no such column": ((FLIGHTS,), {"--keep": "colour"}, 65, "has no column 'colour'"),
    "not a type": (("good.csv",), {"--type": "dep_delay=int65"}, 2, "int65"),
    "nothing but empty inputs": (("empty.csv",), {}, 65, "--allow-empty"),
    "a damaged file": (("damaged.parquet",), {}, 65, "damaged.parquet"),
    "no room": ((FLIGHTS,), {"--memory": "1MiB"}, 71, "--memory"),
    "an output that is not ours": ((FLIGHTS,), {"--output": "theirs", "--if-exists": "replace"}, 73, "theirs"),
    "an address as output": ((FLIGHTS,), {"--output": "s3://b/x"}, 73, "only local folders can be written"),
    "output inside an output": ((FLIGHTS,), {"--output": "ours/out"}, 73, "lies inside the output"),
    "an open scheduler": ((FLIGHTS,), {"--scheduler": "tcp://192.0.2.1:8786"}, 78, "--insecure"),
    "output inside input": (("folder",), {"--output": "folder/out"}, 2, "lies inside the input"),
}


@pytest.fixture
def scene(tmp_path, monkeypatch):
    """A folder with what the refused commands name."""
    monkeypatch.chdir(tmp_path)
    Path("bad.json").write_text('{"format": "logitstream-model"}')
    Path("empty.csv").write_text("dep_delay,distance,hour,carrier,origin\n")
    Path("good.csv").write_text("dep_delay,distance,hour,carrier,origin\n1,2,3,UA,EWR\n")
    Path("damaged.parquet").write_bytes(b"PAR1 is not enough")
    Path("ours").mkdir()
    Path("ours/_manifest.json").write_text("{}")
    Path("theirs").mkdir()
    Path("theirs/data.txt").write_text("precious")
    Path("folder").mkdir()
    shutil.copy(FLIGHTS / "2013-q1.parquet", "folder")
    return tmp_path


@pytest.mark.parametrize("command", ["score", "plan"])
@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_before_work_is_refused_alike_by_plan(cli, scene, command, case):
    inputs, options, code, words = REFUSED[case]
    before = sorted(scene.rglob("*"))
    given = {"--model": MODEL, "--output": "out"} | options
    outcome = cli(command, *inputs, *(word for pair in given.items() for word in pair))
    assert outcome.code == code, outcome.err
    assert words in outcome.err
    assert outcome.err.startswith("error: ") or "\nerror: " in outcome.err
    assert "Traceback" not in outcome.err
    assert outcome.out == ""
    assert [path for path in sorted(scene.rglob("*")) if ".logitstream" not in str(path)] == before


def test_a_bad_cell_ends_the_run_with_its_place(cli, scene):
    rows = "".join("1,2,3,UA,EWR\n" for _ in range(5))
    Path("bad.csv").write_text(f"dep_delay,distance,hour,carrier,origin\n{rows}1,far,3,UA,EWR\n")
    outcome = cli("score", "bad.csv", "--model", MODEL, "--output", "out")
    assert outcome.code == 65
    message = next(line for line in outcome.err.splitlines() if line.startswith("error: "))
    for part in ("bad.csv", "distance", "far"):
        assert part in outcome.err
    assert message
    assert not Path("out").exists()


def test_an_empty_output_is_published_when_that_is_said(cli, scene):
    assert cli("score", "empty.csv", "--model", MODEL, "--output", "out", "--allow-empty").code == 0
    assert pq.read_table("out").num_rows == 0


@pytest.mark.parametrize(
    ("scheduler", "number", "code", "by"),
    [
        ("sync", signal.SIGTERM, 143, "a request to end (SIGTERM)"),
        ("threads", signal.SIGTERM, 143, "a request to end (SIGTERM)"),
        ("threads", signal.SIGINT, 130, "an interrupt (SIGINT)"),
    ],
)
def test_a_run_that_is_told_to_end_publishes_nothing(tmp_path, scheduler, number, code, by):
    words = [SAMPLE / "flights.csv", "--model", MODEL, "--output", tmp_path / "out", "--chunk-size", "500B"]
    with subprocess.Popen(
        [sys.executable, "-m", "jobs.commands.score", *words, "--scheduler", scheduler],
        env={"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob(".out.logitstream/jobs/*/*")) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert err.endswith(f"error: stopped by {by}; nothing was published\n{AGAIN}\n")
    assert "Traceback" not in err
    assert not (tmp_path / "out").exists()


def test_a_deadline_ends_a_run_that_takes_longer(process, out):
    words = [SAMPLE / "flights.csv", "--model", MODEL, "--output", out, "--chunk-size", "500B", "--deadline", "0.05"]
    outcome = process(*words, start=("-m", "jobs.commands.score"))
    assert outcome.code == 75, outcome.err
    assert "stopping: stopped by its deadline of 0.05 s; chunks under way have 25 s to finish" in outcome.err
    assert outcome.err.endswith(f"error: stopped by its deadline of 0.05 s; nothing was published\n{AGAIN}\n")
    assert "Traceback" not in outcome.err
    assert not out.exists()


def test_a_bar_is_drawn_on_a_terminal(tmp_path):
    main, other = os.openpty()
    command = [sys.executable, "-m", "jobs.commands.score", FLIGHTS, "--model", MODEL, "--output", tmp_path / "out"]
    done = subprocess.Popen(command, env={"PYTHONPATH": str(ROOT), "TERM": "xterm"}, stderr=other)
    os.close(other)
    text = b""
    try:
        while block := os.read(main, 65_536):
            text += block
    except OSError:
        pass  # The terminal is gone with the process.
    finally:
        os.close(main)
    assert done.wait(60) == 0
    assert b"\x1b[" in text
    assert b"read 19,811 rows: 19,332 scored" in text.splitlines()[-1]


class TestModel:
    @pytest.mark.parametrize(("more", "shown"), [((), "{:.6g}"), (("-v",), "{!r}")])
    def test_show_has_six_digits_of_every_coefficient_and_all_of_them_when_asked(self, cli, more, shown):
        outcome = cli("model", "show", MODEL, *more)
        assert outcome.code == 0, outcome.err
        model = json.loads(MODEL.read_text())
        words = outcome.out.split()
        for feature in model["features"]:
            assert feature["column"] in words
            for number in (feature.get("coefficients") or {"": feature.get("coefficient")}).values():
                assert shown.format(number) in words
        assert shown.format(model["intercept"]) in words
        assert f"impute {shown.format(888.0)}\n" in outcome.out

    def test_no_number_is_folded_on_a_narrow_terminal(self, tmp_path):
        model = json.loads(MODEL.read_text())
        numbers = [-0.12345678901234567, 1234.5678901234567, 98765.432109876543]
        names = ("coefficient", "center", "scale")
        feature = {"column": "average_speed", "kind": "numeric"} | dict(zip(names, numbers, strict=True))
        (tmp_path / "m.json").write_text(json.dumps(model | {"features": [feature, *model["features"]]}))
        words = on_a_terminal(80, "model", "show", "-v", tmp_path / "m.json").split()
        assert [number for number in numbers if repr(number) not in words] == []
        assert "categorical" in words

    def test_check_says_that_it_is_valid(self, cli):
        outcome = cli("model", "check", MODEL)
        assert (outcome.code, outcome.out) == (0, f"{MODEL}: valid, 5 features\n")

    def test_check_lists_every_error_with_its_place(self, cli, tmp_path):
        model = json.loads(MODEL.read_text())
        del model["intercept"]
        model["features"][0]["scale"] = 0
        model["features"][1]["coefficent"] = 1
        (tmp_path / "m.json").write_text(json.dumps(model, indent=1))
        outcome = cli("model", "check", tmp_path / "m.json")
        assert outcome.code == 65
        for place in ("intercept", "features[0].scale", "features[1].coefficent"):
            assert any(line.startswith(f"  {place} at line ") for line in outcome.err.splitlines()), place
        assert outcome.out == ""

    def test_a_file_that_is_not_there(self, cli, tmp_path):
        assert cli("model", "show", tmp_path / "none.json").code == 66


class TestDemo:
    def test_both_ways_give_the_same_bits_and_twice_works(self, cli, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        for _ in range(2):
            outcome = cli("demo")
            assert outcome.code == 0, outcome.err
            assert "\nthe same bits: yes\n" in outcome.out
            assert "\n$ logitstream score logitstream-demo/flights " in outcome.out
            assert "logitstream score --help" in outcome.out
        parquet = pq.read_table("logitstream-demo/scores-from-parquet", columns=["flight_id", "probability"])
        csv = pq.read_table("logitstream-demo/scores-from-csv", columns=["flight_id", "probability"])
        assert parquet.equals(csv)
        assert parquet.num_rows == ROWS

    def test_it_shows_what_a_score_means(self, cli, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        outcome = cli("demo")
        assert outcome.err == ""
        scores = pq.read_table("logitstream-demo/scores-from-parquet").to_pandas().dropna()
        tenths = [
            [int(part.rstrip("%")) for part in re.findall(r"\d+ %", line)]
            for line in outcome.out.splitlines()
            if re.match(r"(lowest|[2-9]|highest) +1,9\d\d ", line)
        ]
        assert len(tenths) == 10
        ranked = scores.sort_values(["probability", "flight_id"], kind="stable")
        for number, (risk, late) in enumerate(tenths):
            tenth = ranked.iloc[number * len(ranked) // 10 : (number + 1) * len(ranked) // 10]
            assert risk == pytest.approx(100 * tenth["probability"].mean(), abs=0.51)
            assert late == pytest.approx(100 * tenth["late"].astype(float).mean(), abs=0.51)
        shown = outcome.out.split("arrives more than 15 minutes late:\n\n")[1].split("\n\n")[0].splitlines()[1:]
        assert len(shown) == 6
        assert [int(line.split(" %")[0].split()[-1]) for line in shown[:-1]] == sorted(
            int(line.split(" %")[0].split()[-1]) for line in shown[:-1]
        )
        assert all(re.search(r"(minutes? (late|early)|on time) .*[\d,]+ miles", line) for line in shown[:-1])
        assert "never left" in shown[-1]

    def test_it_fits_a_terminal_of_80_columns_and_can_be_pasted(self, cli, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        out = cli("demo").out
        assert max(map(len, out.splitlines())) <= 80
        assert not re.search(r"\d\.\d{7}", out)
        commands = re.findall(r"^\$ logitstream ((?:.*\\\n)*.*)", out, re.MULTILINE)
        words = [shlex.split(command.replace("\\\n", " ")) for command in commands]
        assert [command[0] for command in words] == ["plan", "score", "score"]
        assert [cli(*command).code for command in words] == [0, 0, 0]

    def test_a_file_that_is_not_of_the_sample_is_never_overwritten(self, cli, tmp_path):
        (tmp_path / "flights.csv").write_text("mine")
        outcome = cli("demo", "--output", tmp_path)
        assert outcome.code == 73
        assert outcome.err == (
            f"error: {tmp_path}/flights.csv exists and differs from the file of the sample\n"
            "move it away, or choose another --output\n"
        )
        assert (tmp_path / "flights.csv").read_text() == "mine"

    def test_an_output_that_cannot_be_a_folder(self, cli, tmp_path):
        (tmp_path / "file").write_text("mine")
        outcome = cli("demo", "--output", tmp_path / "file")
        assert outcome.code == 73
        assert (tmp_path / "file").read_text() == "mine"

    def test_the_sample_travels_with_the_package(self, monkeypatch, tmp_path):
        from jobs import demonstration

        package = tmp_path / "jobs"
        shutil.copytree(SAMPLE, package / "sample_data")
        monkeypatch.setattr(demonstration, "__file__", str(package / "demonstration.py"))
        assert demonstration.sample_folder() == package / "sample_data"

    def test_an_installation_without_the_sample_says_so(self, monkeypatch, tmp_path):
        from jobs import demonstration
        from pipeline.errors import ConfigurationError

        monkeypatch.setattr(demonstration, "__file__", str(tmp_path / "jobs" / "demonstration.py"))
        with pytest.raises(ConfigurationError):
            demonstration.sample_folder()


def test_an_interrupt_behind_the_publication_does_not_deny_it(cli, out, monkeypatch):
    run = flow.run

    def interrupted(*given):
        run(*given)
        raise KeyboardInterrupt

    monkeypatch.setattr(flow, "run", interrupted)
    outcome = cli("score", FLIGHTS, "--model", MODEL, "--output", out)
    assert outcome.code == 130
    assert outcome.err.endswith("error: stopped by an interrupt (SIGINT); the output was already published\n")
    assert pq.read_table(out).num_rows == ROWS
