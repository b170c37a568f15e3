"""The benchmarks make what they say, notice wrong results, and show what misses its target or has changed."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

import pipeline
from pipeline.registry import FUNCTIONS
from tests.benchmarks import cases, compare, contenders, files, functions, meter, suite, turns
from tests.benchmarks.checking import Work, WrongOutputError, check
from tests.benchmarks.data import Dataset, Mixture
from tests.benchmarks.figures import SHARE, Figure, Outcome, paired
from tests.benchmarks.models import model, probabilities, raw_predictions, save_model, truth
from tests.benchmarks.table import table
from tests.benchmarks.turns import Bench, Contender, Entry

SMALL = Mixture(2, 1, 1)
RAW = np.array([-1.0, 0.5, 2.0])


@pytest.mark.parametrize("kind", ["parquet", "csv", "csv.gz"])
def test_equal_parameters_make_equal_rows(tmp_path: Path, kind: str) -> None:
    dataset = Dataset(700, SMALL, kind, row_group_rows=300)
    first, second = dataset.make(tmp_path / "a"), dataset.make(tmp_path / "b")
    assert first.name == second.name
    assert first.stat().st_size == second.stat().st_size
    if kind == "parquet":
        assert pq.read_metadata(first).num_row_groups == 3
        assert pq.read_table(first).equals(pq.read_table(second))


def test_data_is_made_once(tmp_path: Path) -> None:
    made = Dataset(10, SMALL).make(tmp_path)
    before = made.stat().st_mtime_ns
    assert Dataset(10, SMALL).make(tmp_path).stat().st_mtime_ns == before


def test_many_files_hold_the_rows_of_one(tmp_path: Path) -> None:
    one, many = Dataset(1000, SMALL), Dataset(1000, SMALL, files=3)
    folder = many.make(tmp_path)
    assert len(list(folder.iterdir())) == 3
    assert pq.read_table(folder).equals(pq.read_table(one.make(tmp_path)))
    changed = Dataset(1000, SMALL, files=3, variant=1).write_file(folder, 1)
    assert pq.read_table(changed)["id"].to_pylist() == list(range(334, 668))
    assert not pq.read_table(changed)["g00"].equals(one.between(334, 668)["g00"])


def test_small_files_are_copies_with_ids_of_their_own(tmp_path: Path) -> None:
    dataset = Dataset(90, SMALL, files=9, period=40)
    rows = ds.dataset(dataset.make(tmp_path)).to_table().combine_chunks()
    assert rows["id"].to_pylist() == list(range(90))
    assert rows["g00"].to_pylist() == [*rows["g00"].to_pylist()[:40] * 2, *rows["g00"].to_pylist()[:10]]
    assert rows.equals(dataset.between(0, 90).combine_chunks())


def test_quoted_text_holds_line_ends(tmp_path: Path) -> None:
    path = Dataset(50, Mixture(1, 0, 0, remark=1), "csv").make(tmp_path)
    assert len(path.read_bytes().splitlines()) == 1 + 2 * 50
    parsing = pyarrow.csv.ParseOptions(newlines_in_values=True)
    assert pyarrow.csv.read_csv(path, parse_options=parsing).num_rows == 50


@pytest.mark.parametrize("mixture", [SMALL, cases.CAT, Mixture(1, 1, 1, single=True)], ids=["plain", "cat", "single"])
def test_the_truth_is_what_the_model_gives(tmp_path: Path, mixture: Mixture) -> None:
    dataset, content = Dataset(4000, mixture), model(mixture)
    loaded = pipeline.LogisticModel.load(save_model(content, tmp_path / "model.json"))
    true = truth(dataset, tmp_path)
    np.testing.assert_allclose(loaded.probability(dataset.between(0, 4000)), probabilities(true), atol=1e-12)
    nulls = np.isnan(true).mean()
    assert (nulls == 0) if mixture is not cases.CAT else 0.05 < nulls < 0.2
    np.testing.assert_array_equal(truth(dataset, tmp_path), raw_predictions(content, dataset.between(0, 4000)))


def _publish(folder: Path, ids: list[int], scores: list[float | None], **others: list[Any]) -> Path:
    folder.mkdir()
    columns = {"id": pa.array(ids, pa.int64()), "probability": pa.array(scores, pa.float64()), **others}
    pq.write_table(pa.table(columns), folder / "part.parquet")
    return folder


def test_scores_are_compared_by_id(tmp_path: Path) -> None:
    low, middle, high = probabilities(RAW).tolist()
    out = _publish(tmp_path / "right", [2, 0, 1], [high, low, middle])
    assert check(out, Work(), RAW, tmp_path) == 0
    out = _publish(tmp_path / "wrong", [2, 0, 1], [high, low, middle + 1e-9])
    with pytest.raises(WrongOutputError, match=r"probability differs by 1\.0e-09"):
        check(out, Work(), RAW, tmp_path)


def test_a_null_on_one_side_is_a_difference(tmp_path: Path) -> None:
    low, middle, _ = probabilities(RAW).tolist()
    with pytest.raises(WrongOutputError, match="differs by inf"):
        check(_publish(tmp_path / "out", [0, 1, 2], [low, middle, None]), Work(), RAW, tmp_path)
    right = np.array([-1.0, 0.5, np.nan])
    assert check(tmp_path / "out", Work(), right, tmp_path) == 0


@pytest.mark.parametrize("ids", [[0, 1, 1], [0, 1], [0, 1, 3]])
def test_a_row_twice_or_not_at_all_is_an_error(tmp_path: Path, ids: list[int]) -> None:
    out = _publish(tmp_path / "out", ids, [0.5] * len(ids))
    with pytest.raises(WrongOutputError, match=r"do not stand there exactly once|ids are not from 0 to 2"):
        check(out, Work(), RAW, tmp_path)


@pytest.mark.parametrize(("column", "value"), [("decision", True), ("d00", 9.0), ("more", 1)])
def test_a_wrong_decision_kept_value_or_column_is_noticed(tmp_path: Path, column: str, value: Any) -> None:
    source = _publish(tmp_path / "data", [0, 1, 2], [0.0] * 3, d00=[1.0, 2.0, 3.0])
    work = Work(("probability", "decision"), keep=("d00",))
    right = {"decision": [False, True, True], "d00": [1.0, 2.0, 3.0]}
    scores = probabilities(RAW).tolist()
    assert check(_publish(tmp_path / "right", [0, 1, 2], scores, **right), work, RAW, source) == 0
    wrong = {**right, column: [value, *right.get(column, [1, 1, 1])[1:]]}
    with pytest.raises(WrongOutputError):
        check(_publish(tmp_path / "wrong", [0, 1, 2], scores, **wrong), work, RAW, source)


def test_a_missing_peer_is_an_error_unless_waived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contenders, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match="--without polars"):
        suite.main([str(tmp_path / "never"), "--case", "p20"])
    assert not (tmp_path / "never").exists()
    contenders.refuse_missing([contenders.FLOOR, contenders.UNSYNCED])


def test_the_faster_form_goes_on_and_all_run_in_turn(tmp_path: Path) -> None:
    def command(seconds: float) -> list[str]:
        log = f"import time; open('{tmp_path}/log', 'a').write('{seconds} '); time.sleep({seconds})"
        return [sys.executable, "-S", "-c", f"{log}; open(r'{{out}}', 'w')"]

    bench = Bench(tmp_path, rounds=2)
    contestants = [Contender("a", {"": command(0.01)}), Contender("b", {"slow": command(0.3), "fast": command(0.02)})]
    entries = turns.rehearse(bench, contestants, tmp_path, lambda out: float(not out.exists()))
    (tmp_path / "log").unlink()
    turns.measure(bench, entries, tmp_path)
    assert [entry.form for entry in entries] == ["", "fast"]
    assert sorted(entries[1].rehearsed) == ["fast", "slow"]
    assert (tmp_path / "log").read_text().split() == ["0.01", "0.02"] * 2
    assert not (tmp_path / "out").exists()


def test_a_form_that_writes_wrong_scores_ends_the_case(tmp_path: Path) -> None:
    def check_one(out: Path) -> float:
        raise WrongOutputError("probability differs")

    contestants = [Contender("a", {"": [sys.executable, "-S", "-c", "pass"]})]
    with pytest.raises(WrongOutputError):
        turns.rehearse(Bench(tmp_path), contestants, tmp_path, check_one)


def test_the_cache_is_dropped_before_each_run_or_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(turns, "DROP_CACHES", tmp_path / "drop_caches")
    Bench(tmp_path, cold=True).run([sys.executable, "-S", "-c", "pass"], tmp_path / "out")
    assert (tmp_path / "drop_caches").read_text() == "3\n"
    monkeypatch.setattr(turns, "DROP_CACHES", tmp_path / "no folder" / "drop_caches")
    monkeypatch.setattr(suite, "CASES", {})
    suite.main([str(tmp_path), "--cold"])
    told = capsys.readouterr()
    assert "cannot be dropped" in told.err
    assert "warm cache" in told.out


# It takes long enough for its memory to be measured.
_OTHER = """
import sys, time

def main():
    open({log!r}, "a").write("before " + " ".join(sys.argv[1:]) + "\\n")
    time.sleep(0.05)
"""


def _another_checkout(folder: Path, log: Path) -> Path:
    (folder / "jobs").mkdir(parents=True)
    (folder / "pipeline").mkdir()
    (folder / "jobs" / "__init__.py").touch()
    (folder / "jobs" / "logitstream.py").write_text(_OTHER.format(log=str(log)))
    return folder


def test_another_checkout_takes_its_turns_and_is_checked_too(tmp_path: Path) -> None:
    log = tmp_path / "log"
    bench = Bench(tmp_path, rounds=2, before=_another_checkout(tmp_path / "other", log))
    peer = [sys.executable, "-S", "-c", f"import time; open({str(log)!r}, 'a').write('peer\\n'); time.sleep(0.05)"]
    contestants = [Contender(contenders.OURS, {"": meter.command("--version")}), Contender("peer", {"": peer})]
    checked: list[Path] = []
    entries = turns.rehearse(bench, contestants, tmp_path, lambda out: checked.append(out) or 0.0)
    assert len(checked) == 3
    log.unlink()
    turns.measure(bench, entries, tmp_path)
    assert log.read_text().splitlines() == ["before --version", "peer"] * 2
    found = Outcome("", paired(*entries, 1.5), entries).as_json()
    assert [each["name"] for each in found["contenders"]] == ["logitstream", "before", "peer"]
    ratios = {tuple(figure["over"]): figure for figure in found["figures"]}
    assert list(ratios) == [(name, other) for other in ("peer", "before") for name in ("wall", "CPU", "peak")]
    ours, before = (entry.runs for entry in (entries[0], entries[0].before))
    assert ratios["wall", "before"]["values"] == [a.seconds / b.seconds for a, b in zip(ours, before, strict=True)]
    assert ratios["wall", "before"]["target"] is None
    shown = table(suite.circumstances(bench) | {"before": "abc", "cases": {"P20": found}})
    assert "| P20 | before | " in shown
    assert " and, before, abc; " in shown


def test_a_command_of_ours_that_is_not_the_whole_case_keeps_its_name(tmp_path: Path) -> None:
    bench = Bench(tmp_path, before=tmp_path)
    entry = bench.entry("full", "", meter.command("score", "x"))
    assert entry.command == meter.command_of(meter.ROOT, "score", "x")
    assert (entry.before.name, entry.before.command) == ("full, before", meter.command_of(tmp_path, "score", "x"))
    assert bench.entry("peer", "", [sys.executable, "score"]).before is None
    assert Bench(tmp_path).entry("full", "", meter.command("score")) == Entry("full", "", meter.command("score"))


def test_what_is_no_checkout_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        suite.main([str(tmp_path / "never"), "--before", str(tmp_path)])
    assert "has no jobs/logitstream.py" in capsys.readouterr().err
    assert not (tmp_path / "never").exists()


def test_bytecode_of_both_is_compiled_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[Path] = []
    monkeypatch.setattr(meter, "compile_bytecode", compiled.append)
    monkeypatch.setattr(suite, "CASES", {})
    other = _another_checkout(tmp_path / "other", tmp_path / "log")
    suite.main([str(tmp_path), "--before", str(other)])
    assert compiled == [meter.ROOT, other]
    monkeypatch.undo()
    meter.compile_bytecode(other)
    assert list((other / "jobs" / "__pycache__").glob("logitstream.*.pyc"))


def test_a_checkout_runs_wherever_the_path_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(_another_checkout(tmp_path, tmp_path / "log")))
    assert meter.run(meter.command_of(meter.ROOT, "--version")).output == f"logitstream {pipeline.__version__}\n"
    assert not (tmp_path / "log").exists()


def _entry(name: str, *seconds: float) -> Entry:
    runs = [meter.Measured(value, 2 * value, 10**8, 0, "", "", 0) for value in seconds]
    return Entry(name, "", [], runs)


def _results(ours: tuple[float, ...], target: float) -> dict[str, Any]:
    entries = [_entry("logitstream", *ours), _entry("polars", 2.0, 1.0, 4.0)]
    outcome = Outcome("3 rows", paired(*entries, target), entries)
    return suite.circumstances(Bench(Path(), rounds=3)) | {"cases": {"P20": outcome.as_json()}}


def test_ratios_are_of_one_round_and_their_median_is_held_against_the_target() -> None:
    found = _results((3.0, 2.0, 2.0), 1.4)
    wall = found["cases"]["P20"]["figures"][0]
    assert (wall["least"], wall["median"], wall["most"]) == (0.5, 1.5, 2.0)
    shown = table(found)
    assert "| P20 | polars | 2.00 s (1.00 to 4.00) | 1.50 (0.50 to 2.00) | at or under 1.40 | **missed** | " in shown
    assert "| at or under 1.50 | met |" in table(_results((3.0, 2.0, 2.0), 1.5))
    assert "| P20 | logitstream | 2.00 s (2.00 to 3.00) |  |  |  | 4.00 s (4.00 to 6.00) |  | 100 MB" in shown


def test_figures_of_ours_alone_have_rows_of_their_own() -> None:
    figures = [Figure("read", [0.02, 0.005, 0.01], SHARE, 0.01), Figure("other", [0.5], SHARE)]
    found = suite.circumstances(Bench(Path())) | {"cases": {"RERUN": Outcome("3 rows", figures).as_json()}}
    assert "| RERUN | read | 1.00 % (0.50 to 2.00) | at or under 1.00 % | met |" in table(found)
    assert "| RERUN | other | 50.00 % (50.00 to 50.00) |  |  |" in table(found)


def test_compare_shows_what_a_change_cost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = _results((3.0, 2.0, 2.0), 1.5), _results((6.0, 4.0, 4.0), 1.5)
    for name, found in (("old", old), ("new", new)):
        (tmp_path / name).write_text(json.dumps(found))
    compare.main([str(tmp_path / "old"), str(tmp_path / "new")])
    shown = capsys.readouterr().out
    assert "| 1.50 (0.50 to 2.00) | 3.00 (1.00 to 4.00) | +100 % | at or under 1.50 | met → **missed** |" in shown
    assert "| wall, logitstream | 2.00 s (2.00 to 3.00) | 4.00 s (4.00 to 6.00) | +100 % **worse** |" in shown
    assert "| wall, polars | 2.00 s (1.00 to 4.00) | 2.00 s (1.00 to 4.00) | +0 % |" in shown
    assert "-50 % better" in compare.compare(new, old)
    assert "NOT COMPARABLE" not in shown


def test_one_round_marks_no_change() -> None:
    old, new = (Figure("wall", [value]).as_json() for value in (1.0, 2.0))
    assert compare.change(old, new) == "+100 %"


def test_compare_says_what_two_results_do_not_share() -> None:
    old = _results((3.0, 2.0, 2.0), 1.5)
    new = copy.deepcopy(old) | {"scale": 0.1, "machine": "another"}
    new["cases"]["CSV"] = new["cases"].pop("P20")
    shown = compare.compare(old, new)
    assert "NOT COMPARABLE: machine, scale differ" in shown
    assert "| gone |" in shown
    assert "| new |" in shown


def test_the_meter_sums_over_the_process_tree() -> None:
    hold = "import time; held = bytearray(b'1') * 60_000_000; time.sleep(0.4)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {hold!r}]); "
    alone = meter.run([sys.executable, "-c", hold])
    together = meter.run([sys.executable, "-c", f"held = bytearray(b'1') * 60_000_000; {parent}"])
    assert 60e6 < alone.peak_bytes < 90e6
    assert 120e6 < together.peak_bytes < 180e6


def test_the_meter_counts_bytes_read_and_time_on_the_processor(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(bytes(5_000_000))
    read = f"from pathlib import Path; Path({str(tmp_path / 'data')!r}).read_bytes()"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {read!r}])"
    assert 5e6 < meter.run([sys.executable, "-c", read]).read_bytes < 9e6
    assert 10e6 < meter.run([sys.executable, "-c", f"{read}; {child}"]).read_bytes < 18e6
    busy = meter.run([sys.executable, "-c", "import time\nwhile time.process_time() < 0.3: pass"])
    idle = meter.run([sys.executable, "-c", "import time; time.sleep(0.3)"])
    assert idle.cpu_seconds < 0.3 <= busy.cpu_seconds
    assert idle.seconds >= 0.3


def test_a_failed_command_is_named_with_its_last_words() -> None:
    with pytest.raises(meter.CommandFailedError, match=r"ended with 3:\nfarewell"):
        meter.run([sys.executable, "-c", "import sys; print('farewell', file=sys.stderr); sys.exit(3)"])


def test_what_runs_is_this_checkout() -> None:
    told = meter.run([*meter.command("score"), "--help"])
    assert "Usage" in told.output
    module = meter.run([sys.executable, "-c", "import pipeline; print(pipeline.__file__)"])
    assert module.output.strip() == pipeline.__file__


def test_removing_what_is_not_there_does_no_harm(tmp_path: Path) -> None:
    files.remove(tmp_path / "none")
    turns.clear(tmp_path / "none")


@pytest.mark.slow
def test_the_costs_of_the_functions_are_written_for_the_readme(tmp_path: Path) -> None:
    functions.main(["--size", "1000", "--rounds", "1", "--output", str(tmp_path / "functions.json")])
    found = json.loads((tmp_path / "functions.json").read_text())
    assert list(found["functions"]) == list(FUNCTIONS)
    assert found["functions"]["tanh"].keys() == {"ns", "one_liner_ns", "ratio"}
    assert "1,000 elements of float64" in found["machine"]
