"""The guide is read and run: each page, block by block, in a folder as its reader has it, and on a terminal."""

from __future__ import annotations

import csv
import gzip
import json
import math
import os
import pty
import re
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import pipeline
from jobs.cli import group, run
from jobs.commands.guide import TOPICS
from jobs.options import SCORE
from jobs.options.fitting import FIT, FIT_NETWORK
from jobs.options.measuring import EVALUATE
from pipeline.errors import LogitstreamError
from pipeline.kernels import LINKS
from pipeline.registry import FUNCTIONS
from tests import functions_table
from tests.contracts.certificates import make_certificates
from tests.conversion import stored_statsmodels, stored_vw
from tests.models.network import networks
from tests.pages import EVERY, GUIDE, PAGES, ROOT, Reader, blocks, reader_in

CONTRIBUTING = ROOT / ".github" / "CONTRIBUTING.md"
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
USED = ["flight_id", "dep_delay", "distance", "hour", "carrier", "origin"]


def text_of(topic: str) -> str:
    return EVERY[topic].read_text(encoding="utf-8")


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reader:
    monkeypatch.chdir(tmp_path)
    return reader_in(tmp_path)


def flights() -> list[list[str]]:
    """Return some flights that nothing is wrong with, as text, the columns of the model alone."""
    with (ROOT / "sample_data" / "flights.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))[:200]
    return [[row[name] for name in USED] for row in rows if row["dep_delay"]]


def wild_files(folder: Path) -> None:
    """Write the files that the page on CSV speaks of."""
    rows = flights()
    table = [USED, *rows]

    def lines(delimiter: str, records: list[list[str]] = table) -> str:
        return "".join(delimiter.join(record) + "\n" for record in records)

    (folder / "semicolons.csv").write_text(lines(";"))
    (folder / "tabs.tsv").write_text(lines("\t"))
    (folder / "apostrophes.csv").write_text(lines(",", [USED, *([*row[:4], f"'{row[4]}'", row[5]] for row in rows)]))
    tall = [[*row, f'{number}" tall'] for number, row in enumerate(rows)]
    (folder / "inches.csv").write_text(lines(",", [[*USED, "passenger"], *tall]))
    escaped = [[*row[:-1], '"' + row[-1].replace('"', '\\"') + '"'] for row in tall]
    (folder / "backslashes.csv").write_text(lines(",", [[*USED, "passenger"], *escaped]))
    notes = [r"\N", 'say "hi', r"C:\\new"]
    dump = [[row[0], row[1] or r"\N", *row[2:], notes[number % 3]] for number, row in enumerate(rows)]
    (folder / "dump.txt").write_text(lines("\t", dump))
    (folder / "excel.csv").write_text("sep=;\n" + lines(";"))
    (folder / "trailing.csv").write_text(lines(",", [USED, *([*row, ""] for row in rows)]))
    (folder / "report.csv").write_text(f'Report of "2013\n\n# made by hand\n{lines(",")}')
    nulls = [[row[0], ("NA", r"\N", "")[number % 3], *row[2:]] for number, row in enumerate(rows)]
    (folder / "spelled_nulls.csv").write_text(lines(",", [USED, *nulls]))
    nulls = [[row[0], ("NA", '"NA"', '""')[number % 3], *row[2:]] for number, row in enumerate(rows)]
    (folder / "quoted_nulls.csv").write_text(lines(",", [USED, *nulls]))
    nulls = [[row[0], ('"n/a"', "None", "-")[number % 3], *row[2:]] for number, row in enumerate(rows)]
    (folder / "pandas_nulls.csv").write_text(lines(",", [USED, *nulls]))
    german = [
        [row[0], *(f"{float(each):,}".translate(str.maketrans(",.", ".,")) for each in row[1:3]), *row[3:]]
        for row in rows
    ]
    (folder / "german.csv").write_text(lines(";", [USED, *german]))
    passengers = [[*USED, "passenger"], *([*row, "Müller"] for row in rows)]
    (folder / "western.csv").write_text(lines(",", passengers), encoding="cp1252")
    (folder / "excel_unicode.txt").write_text(lines("\t"), encoding="utf-16", newline="\r\n")
    (folder / "headless.csv").write_text(lines(",", rows))
    (folder / "compressed.csv.gz").write_bytes(gzip.compress(lines(",").encode()))
    torn = [USED, rows[0], rows[1][:3], USED, [*rows[2][:2], "far", *rows[2][3:]], *rows[3:]]
    (folder / "torn.csv").write_text(lines(",", torn))
    (folder / "drifted").mkdir()
    scored = [["", *USED, "probability"], *([str(number), *row, "0.5"] for number, row in enumerate(rows))]
    (folder / "drifted" / "january.csv").write_text(lines(","))
    (folder / "drifted" / "scored.csv").write_text(lines(",", scored))


def test_the_page_about_first_steps_runs(reader: Reader) -> None:
    reader.follow(PAGES["first-steps"])
    assert pq.read_table(reader.folder / "scores").num_rows == 2000
    assert (reader.folder / "nightly" / "_manifest.json").exists()


def test_the_page_about_functions_runs(reader: Reader) -> None:
    reader.follow(PAGES["functions"])
    assert pq.read_table(reader.folder / "functions").column_names == [
        "flight_id", "p", "relu_distance", "share_dep_delay", "share_distance",
    ]  # fmt: skip
    assert pq.read_table(reader.folder / "streamed").num_rows == 50_000


def test_the_page_about_models_runs(reader: Reader, capsys: pytest.CaptureFixture[str]) -> None:
    known = pq.read_table("logitstream-demo/flights", columns=["distance", "hour", "late"]).to_pandas().dropna()
    rows = known[["distance", "hour"]]
    late = known["late"].astype(bool)
    perceptron = make_pipeline(StandardScaler(), MLPClassifier([8], max_iter=1, random_state=0))
    with warnings.catch_warnings(action="ignore"):
        perceptron.fit(rows, late)
    fitted = {"fitted": LogisticRegression().fit(rows, late), "perceptron": perceptron}
    reader.variables |= {"flights": rows, "late": late, **fitted}
    reader.follow(page_about_models(reader))
    assert "rows scored both ways: largest difference" in capsys.readouterr().out
    written = pipeline.LogisticModel.load(reader.folder / "written.json")
    assert 0 < written.probability({"distance": [1000.0], "hour": [5], "carrier": ["AA"]})[0] < 1
    assert json.loads((reader.folder / "model.json").read_text())["kind"] == "logistic"
    learnt, theirs = (pipeline.LogisticModel.load(reader.folder / f"{name}.json") for name in ("fitted", "model"))
    np.testing.assert_allclose(learnt.probability(rows), theirs.probability(rows), atol=1e-4)


def page_about_models(reader: Reader) -> Path:
    """Return the page, or a copy without the section about networks where PyTorch or safetensors is not installed."""
    if has_torch():
        from torch import nn

        reader.variables["network"] = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 1))
        return PAGES["models"]
    return without(reader, "models", "Or bring a network")


def has_torch() -> bool:
    return all(map(find_spec, ("torch", "safetensors")))


def without(reader: Reader, page: str, *titles: str) -> Path:
    """Return a copy of a page without the sections of these titles."""
    text = text_of(page)
    for title in titles:
        before, _, section = text.partition(f"## {title}\n")
        text = before + section[section.index("\n## ") + 1 :]
    copy = reader.folder / f"{page}.md"
    copy.write_text(text)
    return copy


def test_the_page_about_fits_runs(reader: Reader, capsys: pytest.CaptureFixture[str]) -> None:
    reader.follow(PAGES["fit"])
    fitted = pipeline.LogisticModel.load("late.json")
    assert pipeline.LogisticModel.load("from_python.json").features == fitted.features
    assert pq.read_table(reader.folder / "late_scores").num_rows == 19_811
    assert "Penalties tried" in capsys.readouterr().out


def test_the_page_about_calibrations_runs(reader: Reader, capsys: pytest.CaptureFixture[str]) -> None:
    reader.follow(PAGES["calibrate"])
    calibrated = pipeline.LogisticModel.load("calibrated.json")
    assert calibrated.output.calibration is not None
    assert pq.read_table(reader.folder / "calibrated_scores").num_rows == 19_811
    assert "rows that were held out" in capsys.readouterr().out


@pytest.mark.skipif(find_spec("safetensors") is None, reason="safetensors is not installed")
def test_the_page_about_fits_of_networks_runs(reader: Reader) -> None:
    reader.follow(PAGES["fit-network"])
    assert pq.read_table(reader.folder / "scores").num_rows == 19_811
    network = pipeline.NetworkModel.load("network.json")
    assert (network.training or {})["epochs"]["made"] == 5
    assert pipeline.NetworkModel.load("from_python.json").file.weights.file == "from_python.safetensors"


@pytest.mark.parametrize("options", [FIT, FIT_NETWORK, EVALUATE])
def test_every_option_of_fit_and_of_evaluate_is_explained_somewhere(options: Sequence[Callable[..., Any]]) -> None:
    everything = "\n".join(map(text_of, EVERY))

    @click.command()
    def fit() -> None:
        """Take every option of fit."""

    for add in options:
        add(fit)
    names = [max(param.opts, key=len) for param in fit.params if isinstance(param, click.Option)]
    assert [name for name in names if not re.search(rf"{name}\b", everything)] == []


def test_the_page_about_model_files_runs_and_its_scores_can_be_computed_by_hand(
    reader: Reader, capsys: pytest.CaptureFixture[str]
) -> None:
    reader.follow(PAGES["model-file"])
    said = capsys.readouterr().out
    first = pipeline.LogisticModel.load("logitstream-demo/delay_model.json")
    assert pipeline.LogisticModel.load("second.json") == first.upgraded()
    rest = 0.3 * (math.log(1400) - 6.5) + 0.01 * (5 - 12) * 5 - 0.03 * 1400 / 500
    z = -1.5 + 0.25 + 0.12 * (1400 - 1000) / 500 - 0.2 + 0.9 + 0 + rest
    model = pipeline.LogisticModel.load("kinds.json")
    row = {
        "distance": [1400, None],
        "carrier": ["UA", "AA"],
        "delay": [15, None],
        "hour": [5, 12],
        "exposure": [0.25, None],
    }
    rest = 0.3 * (math.log(870) - 6.5) + 0.05 * 870 / 500
    missing = -1.5 + 0.12 * (870 - 1000) / 500 + 0.1 + 0.3 + 0.4 + rest
    assert model.raw_prediction(row) == pytest.approx([z, missing], rel=1e-14)
    assert f"{'delay':20}   0.9000" in said
    classes = pipeline.LogisticModel.load("classes.json")
    weights = [math.exp(0.2 - 2 - 0.2), math.exp(1.0), math.exp(-0.5 + 2 + 0.2)]
    found = classes.predict_proba({"delay": [60], "carrier": ["UA"]})
    assert found.tolist() == [pytest.approx([weight / sum(weights) for weight in weights], rel=1e-14)]
    assert classes.predict({"delay": [0], "carrier": ["ZZ"]}).tolist() == ["on time"]


def test_the_page_about_other_tools_runs(reader: Reader, capsys: pytest.CaptureFixture[str]) -> None:
    """Follow it with files of other tools; those whose packages are not installed are left out."""
    stored = json.loads(stored_statsmodels.STORED.read_text())["spector logit"]
    result = stored_statsmodels.rebuilt(stored["result"])
    result.predict = lambda exog: np.array(stored["probabilities"])
    reader.variables |= {"result": result, "rows": stored["rows"]}
    (reader.folder / "flights.csv").symlink_to(ROOT / "sample_data" / "flights.csv")
    made = files_of_other_tools(reader.folder)
    done = []

    def command(line: str) -> None:
        words = line.split()
        is_export = "export" in words and ("onnx" not in words or find_spec("onnx") is not None)
        if words[0] == "python" or is_export or ("import" in words and made.intersection(words)):
            reader.run_here(line)
            done.append(words)

    reader.follow(PAGES["other-tools"], command)
    assert sum("import" in words for words in done) == len(made) >= 2
    assert sum("export" in words for words in done) == 3 + (find_spec("onnx") is not None)
    said = capsys.readouterr().out
    assert "from-vw.json: a model with 4 features, from model.txt (vw)" in said
    assert "from-pmml.json: a model with 4 features, from model.pmml (pmml)" in said
    assert "25 rows scored both ways: largest difference" in said
    assert (reader.folder / "own.pmml").read_text().startswith("<?xml")


def files_of_other_tools(folder: Path) -> set[str]:
    """Write the files that the page imports, as far as the packages are there; return their names."""
    pmml = Path(stored_vw.__file__).parent / "pmml_files" / "nyoka_standard_binary.pmml"
    (folder / "model.pmml").write_bytes(pmml.read_bytes())
    vw = json.loads(stored_vw.STORED.read_text())["cases"]["numbers and words"]["text"]
    (folder / "model.txt").write_text(vw)
    made = {"model.pmml", "model.txt"}
    if find_spec("onnx") is not None and find_spec("onnxruntime") is not None:
        # A graph cannot stop at a missing value.
        text = Path("logitstream-demo/delay_model.json").read_text().replace('"missing": "error"', '"missing": "null"')
        pipeline.LogisticModel.from_json(text).export("onnx", folder / "model.onnx")
        made.add("model.onnx")
    if find_spec("skops") is not None:
        import skops.io

        known = pq.read_table("logitstream-demo/flights", columns=["distance", "hour", "late"]).to_pandas().dropna()
        estimator = LogisticRegression().fit(known[["distance", "hour"]], known["late"].astype(bool))
        skops.io.dump(estimator, folder / "model.skops")
        made.add("model.skops")
    return made


@pytest.mark.usefixtures("one_blas_thread")
def test_the_page_about_networks_runs_and_its_figures_are_those_that_are_measured(
    reader: Reader, capsys: pytest.CaptureFixture[str]
) -> None:
    with_pictures = find_spec("matplotlib") is not None
    reader.follow(
        page_about_networks(reader),
        lambda line: reader.run_here(line) if with_pictures or "--plot" not in line else None,
    )
    if has_torch():
        scored = pq.read_table(reader.folder / "by_visit")["probability"].to_pylist()
        assert [score is None for score in scored] == [False, False, True, False]
    told = capsys.readouterr().out
    assert "What helps: of these, glorot with gain 4." in told
    assert find_spec("safetensors") is None or "loss and rows  log loss of late, " in told
    text = text_of("networks")
    rows = [
        f"| {width} | {stack.label} | {stack.ratio:.1e} | {stack.lowest:.1e} to {stack.highest:.1e} | "
        f"{100 * stack.saturated:.0f} % |"
        for width in (10, 128)
        for stack in pipeline.diagnose_initialisation(width=width).stacks
    ]
    assert [line for line in text.splitlines() if line.startswith(("| 10 ", "| 128 "))] == rows
    relu = {"function": "relu", "initialisation": "he"}
    narrow, wide = (pipeline.diagnose_initialisation(width=width, **relu).stacks[0].ratio for width in (10, 128))
    assert f"pass on {narrow:.2f} of the signal with 10 units in each, and {wide:.2f} with 128" in " ".join(
        text.split()
    )


def page_about_networks(reader: Reader) -> Path:
    """Return the page, with a network in the folder, without the sections that need packages that are not here."""
    missing = [] if has_torch() else ["A model over sequences"]
    if find_spec("safetensors") is None:
        return without(reader, "networks", *missing, "The error signal in your own network")
    features = [networks.numeric(name, missing={"impute": 0.0}) for name in ("dep_delay", "distance", "hour")]
    scaled = [{**feature, "scale": 1000.0} for feature in features]
    networks.written(reader.folder, networks.drawn((3, 8, 8, 1)), features=scaled, layers=networks.layers(3, "sigmoid"))
    (reader.folder / "model.json").rename(reader.folder / "network.json")
    return without(reader, "networks", *missing)


def test_the_page_about_csv_runs_on_files_of_the_wild(reader: Reader, capsys: pytest.CaptureFixture[str]) -> None:
    wild_files(reader.folder)
    reader.follow(PAGES["csv"])
    assert "repeats the header" in capsys.readouterr().out
    rows = flights()
    expected = pq.read_table(reader.folder / "semicolons")["probability"]
    assert (len(expected), expected.null_count) == (len(rows), 0)
    for name in (
        "tabs",
        "apostrophes",
        "german",
        "western",
        "excel_unicode",
        "headless",
        "compressed",
        "dump",
        "excel",
        "trailing",
    ):
        assert pq.read_table(reader.folder / name)["probability"].equals(expected), name
    for name in ("spelled_nulls", "quoted_nulls", "pandas_nulls"):
        assert pq.read_table(reader.folder / name)["probability"].null_count == len(rows), name
    assert pq.read_table(reader.folder / "western")["passenger"].unique().to_pylist() == ["Müller"]
    assert pq.read_table(reader.folder / "report")["probability"].equals(expected)
    notes = pq.read_table(reader.folder / "dump")["note"].to_pylist()
    assert notes[:3] == [r"\N", 'say "hi', "C:\\new"]
    for name in ("inches", "backslashes"):
        passengers = pq.read_table(reader.folder / name)["passenger"].to_pylist()
        assert passengers == [f'{number}" tall' for number in range(len(rows))]
    assert str(pq.read_table(reader.folder / "typed").schema.field("flight_id").type) == "int64"
    assert len(pq.read_table(reader.folder / "torn")) == len(rows) - 2
    renamed = pq.read_table(reader.folder / "renamed")
    assert renamed.column_names == [*USED, "line", "before", "probability", "decision"]
    assert renamed["line"].to_pylist() == [None] * len(rows) + [str(number) for number in range(len(rows))]


def test_the_page_about_evaluations_runs(reader: Reader, capsys: pytest.CaptureFixture[str]) -> None:
    reader.follow(PAGES["evaluate"])
    said = capsys.readouterr().out
    assert "rows       19,811 read = 19,270 used + 541 without a target" in said
    assert "second minus first" in said
    assert (reader.folder / "q1.state").is_file()


@pytest.mark.parametrize("topic", ["operations", "memory", "cluster", "guarantees", "performance", "design"])
def test_every_other_page_runs(reader: Reader, topic: str) -> None:
    reader.follow(PAGES[topic])


@pytest.mark.slow
def test_the_cluster_of_its_page_scores(tmp_path: Path) -> None:
    reader_in(tmp_path).score_on_the_cluster(PAGES["cluster"])
    assert (tmp_path / "cluster_scores" / "_manifest.json").exists()


@pytest.mark.slow
def test_the_cluster_with_certificates_of_its_page_scores(tmp_path: Path) -> None:
    reader = reader_in(tmp_path)
    make_certificates(tmp_path)
    reader.score_on_the_cluster(PAGES["cluster"], 1)
    assert (tmp_path / "encrypted_scores" / "_manifest.json").exists()


@pytest.mark.slow
@pytest.mark.skipif(not all(map(find_spec, ("bokeh", "cryptography"))), reason="the extra cluster is not installed")
def test_the_clusters_that_runs_of_the_page_start_score(tmp_path: Path) -> None:
    reader_in(tmp_path).start_clusters(PAGES["cluster"])
    outputs = [tmp_path / name / "_manifest.json" for name in ("local_scores", "class_scores")]
    assert all(output.exists() for output in outputs)
    assert (tmp_path / "report.html").exists()


def test_there_is_a_page_for_each_topic_and_its_title_is_a_question() -> None:
    assert {page.name for page in GUIDE.iterdir()} == {f"{topic}.md" for topic in TOPICS}
    for topic in TOPICS:
        assert re.match(r"# .*\?\n\n", text_of(topic)), topic


def test_the_list_of_topics_has_their_questions(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["guide"]) == 0
    said = capsys.readouterr()
    assert [line.split(maxsplit=1) for line in said.out.splitlines()] == [
        [topic, text_of(topic).splitlines()[0].removeprefix("# ")] for topic in TOPICS
    ]
    assert "logitstream guide TOPIC" in said.err
    assert run(["guide", "-q"]) == 0
    assert capsys.readouterr() == (said.out, "")


@pytest.mark.parametrize("topic", TOPICS)
def test_a_page_can_be_read_at_80_columns(topic: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["guide", topic]) == 0
    shown, said = capsys.readouterr()
    assert said == ""
    assert shown.isprintable() or set(filter(lambda c: not c.isprintable(), shown)) == {"\n"}
    assert max(map(len, shown.splitlines())) <= 80
    # What is to be typed is on a line as it is in the page, and what is behind a link can be asked for.
    for block in blocks(PAGES[topic]):
        for line in block.body.splitlines():
            assert f" {line}".rstrip() in shown, line
    assert "](" not in shown
    assert "<!--" not in shown
    for page in LINK.findall(text_of(topic)):
        if page.removesuffix(".md") in TOPICS:
            assert f"logitstream guide {page.removesuffix('.md')}" in re.sub(r"\s+", " ", shown)


def test_on_a_terminal_a_page_has_colours_and_never_more_than_its_columns() -> None:
    shown = b"".join(_on_a_terminal("memory", columns=60)).decode()
    assert "\x1b[1m" in shown
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown).replace("\r", "")
    assert "How much memory does a run take?" in plain
    assert max(len(line.rstrip()) for line in plain.splitlines()) <= 60


def _on_a_terminal(topic: str, columns: int) -> Iterator[bytes]:
    main, other = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(columns), "PYTHONPATH": str(ROOT)}
    environment.pop("NO_COLOR", None)
    code = "from jobs.cli import main; main()"
    with subprocess.Popen([sys.executable, "-c", code, "guide", topic], stdout=other, env=environment) as process:
        os.close(other)
        while True:
            try:
                read = os.read(main, 65536)
            except OSError:
                break
            yield read
    os.close(main)
    assert process.returncode == 0


def test_a_stream_without_utf_8_gets_characters_that_it_has() -> None:
    environment = {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii", "PATH": "/usr/bin:/bin"}
    code = "from jobs.cli import main; main()"
    shown = subprocess.run(
        [sys.executable, "-c", code, "guide", "memory"], env=environment, capture_output=True, check=True
    ).stdout.decode("ascii")
    assert "\\u" not in shown
    assert "* " in shown or "1 the rows" in shown


@pytest.mark.parametrize(
    ("typed", "said"), [("memry", "Did you mean 'memory'?"), ("zzz", "The topics are first-steps")]
)
def test_an_unknown_topic_is_a_usage_error_with_the_nearest(
    typed: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["guide", typed]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.slow
def test_the_pages_are_in_the_wheel(tmp_path: Path) -> None:
    pytest.importorskip("hatchling")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", tmp_path, ROOT],
        check=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"jobs/guide/{topic}.md" for topic in TOPICS} <= names


def test_the_table_of_functions_is_current() -> None:
    page = text_of("functions")
    assert functions_table.current(page) == page, "run python -m tests.functions_table"
    assert all(f"### `{name}(" in page and f"| `{name}` |" in page for name in FUNCTIONS)
    measured = json.loads(functions_table.MEASURED.read_text())["functions"]
    assert measured.keys() == FUNCTIONS.keys(), "run python -m tests.benchmarks.functions"


def test_the_page_about_model_files_has_every_link_with_its_error() -> None:
    rows = dict(re.findall(r'\| `"(\w+)"` \| .* \| ([\d.]+) u \|', text_of("model-file")))
    names = {link: "sigmoid" if link == "logit" else f"inverse_{link}" for link in LINKS}
    assert {link: float(bound) for link, bound in rows.items()} == {
        link: FUNCTIONS[name].bound for link, name in names.items()
    }


def test_the_page_about_the_design_has_every_room() -> None:
    table = PAGES["design"].read_text(encoding="utf-8")
    rooms = {f"{path.name}/" for path in (ROOT / "pipeline").iterdir() if (path / "__init__.py").is_file()}
    rooms |= {path.name for path in (ROOT / "pipeline").glob("*.py")} - {"__init__.py"}
    assert len(rooms) > 20
    assert {room for room in rooms if f"`{room}`" not in table} == set()


def test_every_test_that_a_page_names_exists() -> None:
    page = text_of("guarantees")
    named = re.findall(r"`(test_\w+)`\s+in `(tests/[\w/]+\.py)`", page)
    assert len(named) >= 15
    for test, path in named:
        assert f"def {test}(" in (ROOT / path).read_text(encoding="utf-8"), f"{path}::{test}"
    for text in map(text_of, EVERY):
        assert all((ROOT / path).exists() for path in re.findall(r"`(tests/[\w/]+\.py)`", text))
        for module in re.findall(r"python -m (tests[\w.]*)", text):
            path = ROOT / module.replace(".", "/")
            assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), module


def test_every_exit_code_of_the_page_is_one_of_the_program() -> None:
    def codes(cls: type[LogitstreamError]) -> set[int]:
        return {cls.exit_code}.union(*map(codes, cls.__subclasses__()))

    table = text_of("operations").split("| exit code |")[1].split("\n\n")[0]
    listed = {int(n) for cell in re.findall(r"^\| ([\d, ]+) \|", table, re.MULTILINE) for n in cell.split(",")}
    assert listed == codes(LogitstreamError) | {0, 130, 143}


def test_every_command_and_every_option_of_score_is_explained_somewhere() -> None:
    everything = "\n".join(map(text_of, EVERY))

    def commands(command: click.Command, words: str) -> Iterator[str]:
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                found = command.get_command(context, name)
                assert found is not None
                yield from commands(found, f"{words} {name}")
        else:
            yield words

    assert [words for words in commands(group, "logitstream") if words not in everything] == []

    @click.command()
    def score() -> None:
        """Take every option of score."""

    for add in SCORE:
        add(score)
    options = [max(param.opts, key=len) for param in score.params if isinstance(param, click.Option)]
    assert len(options) > 30
    assert [name for name in options if not re.search(rf"{name}\b", everything)] == []


@pytest.mark.parametrize("path", [*EVERY.values(), CONTRIBUTING], ids=lambda path: path.stem)
def test_every_relative_link_leads_somewhere(path: Path) -> None:
    for target in LINK.findall(path.read_text(encoding="utf-8")):
        assert (path.parent / target.partition("#")[0]).is_file(), target


def test_pages_name_no_machine_and_no_registry() -> None:
    for path in (*EVERY.values(), CONTRIBUTING):
        text = path.read_text(encoding="utf-8")
        assert re.search(r"https?://|/home/|/root/|/tmp/", text) is None, path


def test_python_examples_import_the_package_under_the_name_of_the_project() -> None:
    for path in EVERY.values():
        for block in blocks(path, "python"):
            assert "import pipeline\n" not in block.body, path
