"""Every peer scores as the model says in every form, and every case runs from end to end."""

from __future__ import annotations

import json
import time
from importlib.util import find_spec
from itertools import accumulate, pairwise
from pathlib import Path

import pyarrow.dataset as ds
import pytest

from tests.benchmarks import contenders, meter, rerun, suite, turns
from tests.benchmarks.cases import CASES, CAT, FULL
from tests.benchmarks.checking import TOLERANCE, Work, check
from tests.benchmarks.contenders import PEERS
from tests.benchmarks.data import Dataset, Mixture
from tests.benchmarks.models import model, save_model, truth
from tests.benchmarks.peers import floor

SMALL = Mixture(2, 1, 1)
SCALE = 0.0001


def _peer_is_right(name: str, form: str, dataset: Dataset, folder: Path, work: Work) -> None:
    # Found but not imported: some of them change the environment of whoever imports them.
    if find_spec(PEERS[name].package) is None:
        pytest.skip(f"{name} is not installed, against which the benchmarks run: pip install '.[bench]'")
    data, model_path = dataset.make(folder), save_model(model(dataset.mixture), folder / "model.json")
    command = contenders.peer(name, form, data, model_path, work)
    meter.run([part.replace("{out}", str(folder / "out.parquet")) for part in command])
    assert check(folder / "out.parquet", work, truth(dataset, folder), data) < TOLERANCE


def _mixture(**others: object) -> Mixture:
    return Mixture(2, 1, 1, **others)


@pytest.mark.parametrize(
    ("form", "dataset", "work"),
    [
        pytest.param("nested", Dataset(5000, SMALL, row_group_rows=1000), FULL, id="everything kept"),
        pytest.param("horizontal", Dataset(5000, _mixture(remark=1), "csv"), Work(), id="quoted csv"),
        pytest.param("nested-replace", Dataset(5000, CAT), Work(), id="replace"),
        pytest.param("nested-join", Dataset(5000, CAT), Work(), id="join", marks=pytest.mark.slow),
        pytest.param("horizontal-replace", Dataset(5000, CAT), Work(), id="horizontal", marks=pytest.mark.slow),
        pytest.param("nested", Dataset(5000, SMALL, "csv.gz"), Work(), id="gzip csv", marks=pytest.mark.slow),
        pytest.param("nested", Dataset(5000, _mixture(single=True)), Work(), id="float32", marks=pytest.mark.slow),
        pytest.param("horizontal", Dataset(500, SMALL, files=5), Work(), id="files", marks=pytest.mark.slow),
    ],
)
def test_polars_scores_by_the_same_model(tmp_path: Path, form: str, dataset: Dataset, work: Work) -> None:
    _peer_is_right("polars", form, dataset, tmp_path, work)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "form"), [(name, form) for name, peer in PEERS.items() if name != "polars" for form in peer.forms]
)
def test_a_peer_scores_by_the_same_model(tmp_path: Path, name: str, form: str) -> None:
    _peer_is_right(name, form, Dataset(5000, SMALL, row_group_rows=1000), tmp_path, Work())


@pytest.mark.parametrize(
    "dataset",
    [
        pytest.param(Dataset(5000, SMALL, row_group_rows=1000), id="parquet"),
        pytest.param(Dataset(5000, SMALL, "csv"), id="csv"),
        pytest.param(Dataset(5000, SMALL, "csv.gz"), id="gzip csv"),
        pytest.param(Dataset(5000, _mixture(remark=1), "csv"), id="quoted csv"),
    ],
)
def test_the_floor_reads_and_writes_every_row_once(tmp_path: Path, dataset: Dataset) -> None:
    data = dataset.make(tmp_path)
    out = tmp_path / "out"
    _, floor = contenders.field(data, tmp_path, Work(), dataset, [contenders.FLOOR])
    meter.run([part.replace("{out}", str(out)) for part in floor.forms[""]])
    written = ds.dataset(sorted(out.iterdir())).to_table().sort_by("id")
    assert written["id"].to_pylist() == list(range(5000))
    assert written["g00"].to_pylist() == next(dataset.tables(5000))["g00"].to_pylist()


@pytest.mark.parametrize("quoted", [True, False])
def test_the_floor_cuts_a_csv_between_records(tmp_path: Path, quoted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [f'{number},"a\n""b""\n{"c" * (number % 7)}"\n' for number in range(200)] if quoted else ["1,2\n"] * 200
    path = tmp_path / "data.csv"
    path.write_text("".join(records))
    monkeypatch.setattr(floor, "PIECE_BYTES", 50)
    with path.open("rb") as file:
        cuts = list(floor.record_begins(file, quoted=quoted))
    begins = list(accumulate(map(len, records), initial=0))
    assert set(cuts) <= set(begins)
    assert (cuts[0], cuts[-1]) == (0, begins[-1])
    assert len(cuts) > 10
    assert max(end - begin for begin, end in pairwise(cuts)) < 100


@pytest.fixture(autouse=True)
def _no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a rerun read all footers again rather than wait for a minute."""
    monkeypatch.setattr(rerun, "REST_SECONDS", 0)


def test_files_rest_before_the_first_night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rerun, "REST_SECONDS", 0.2)
    (tmp_path / "file").touch()
    (tmp_path / "link").hardlink_to(tmp_path / "file")
    rerun.rest(tmp_path)
    assert time.time() - (tmp_path / "file").stat().st_ctime >= 0.2


def _run(folder: Path, name: str) -> dict[str, dict[str, object]]:
    case = CASES[name]
    absent = [peer for peer in case.against if peer in PEERS and find_spec(PEERS[peer].package) is None]
    waived = [word for peer in absent for word in ("--without", peer)]
    suite.main([str(folder), "--scale", str(SCALE), "--case", name, "--runs", "1", *waived])
    found = json.loads((folder / "results.json").read_text())
    assert found["scale"] == SCALE
    if absent:
        pytest.skip(f"ran without {', '.join(absent)}: pip install '.[bench]'")
    return found["cases"][name]


# Those that differ most: of one run and of several, with a rerun, of memory, of CSV, and with several contenders.
_OF_A_DAY = {"P20", "CSV", "CAT", "TINY", "HELP", "RERUN", "MEMORY", "DECIDE", "FILES"}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow if name in _OF_A_DAY else pytest.mark.campaign) for name in CASES],
)
def test_every_case_runs(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "REHEARSALS", 1)
    found = _run(tmp_path, name)
    shown = capsys.readouterr().out
    assert found["figures"]
    for figure in found["figures"]:
        label = figure["over"][1] if figure["over"] else figure["name"]
        assert f"| {name} | {label}" in shown
    for contender in found["contenders"]:
        assert contender["wall"]["median"] > 0
        assert contender["peak"]["median"] > 5e6
    # What is left is the data alone, which the next run finds.
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(("tmp", "unfinished", "out"))]


@pytest.mark.slow
def test_starting_is_measured_less_our_imports(tmp_path: Path) -> None:
    found = _run(tmp_path, "TINY")
    ours, *_, imports = found["contenders"]
    assert imports["peak"]["median"] > 0.5 * ours["peak"]["median"]
    figures = {figure["name"]: figure["median"] for figure in found["figures"]}
    assert figures["wall beyond our imports"] == pytest.approx(ours["wall"]["median"] - imports["wall"]["median"])


@pytest.mark.slow
def test_another_checkout_reruns_on_what_it_published_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rerun, "can_trace", lambda: False)
    words = ["--scale", str(SCALE), "--case", "RERUN", "--runs", "1", "--before", str(meter.ROOT)]
    suite.main([str(tmp_path), *words])
    found = json.loads((tmp_path / "results.json").read_text())["cases"]["RERUN"]
    assert [each["name"] for each in found["contenders"]] == [
        name for each in ("full", "rerun", "tiny") for name in (each, f"{each}, before")
    ]
    names = {figure["name"] for figure in found["figures"]}
    assert {f"(rerun - TINY) / (full - TINY), wall{whose}" for whose in ("", ", before")} < names


@pytest.mark.slow
def test_a_rerun_reads_the_changed_file_alone(tmp_path: Path) -> None:
    suite.main([str(tmp_path), "--scale", "0.01", "--case", "RERUN-FINE", "--runs", "1"])
    found = json.loads((tmp_path / "results.json").read_text())["cases"]["RERUN-FINE"]
    read = {figure["name"]: figure["median"] for figure in found["figures"]}
    # One of 36 files, and the ends of the others.
    assert 1 / 36 < read.get("bytes read of the input / its bytes", 0.1) < 0.2
