"""What can be wrong with a file to import: each one clear error with its exit code, and nothing is written.

Each row has the name of a fault, what makes the file, the exit code, and what the error says.
"""

from __future__ import annotations

import gzip
import io
import json
import pickle
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pipeline as logitstream
from jobs.cli import run
from pipeline.conversion import reading
from pipeline.conversion.agreement import difference, in_memory
from pipeline.conversion.importing import IMPORTERS, Imported, Importer
from pipeline.errors import DataError, ModelError, ThresholdError, UsageError

VW = (
    "Version 9.11.9\nId \nMin label:-50\nMax label:50\nbits:18\nlda:0\n0 ngram:\n0 skip:\n"
    "options: --link logistic\nChecksum: 1\n:0\nx:1:0.5\nConstant:2:-1\n"
)
MODEL = {
    "format": "logitstream-model",
    "version": 1,
    "kind": "logistic",
    "intercept": 0.0,
    "features": [{"column": "x", "kind": "numeric", "coefficient": 1.0, "missing": "null"}],
}


class Spring:
    """Leaves a file where it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return open, ("sprung", "w")


def skops_file(*objects: tuple[str, str, str], members: dict[str, bytes] | None = None) -> bytes:
    """Return a zip as skops writes it, with a schema that names objects by module, class and loader."""
    schema = {
        "content": [dict(zip(("__module__", "__class__", "__loader__"), each, strict=True)) for each in objects],
        **dict(zip(("__module__", "__class__", "__loader__"), objects[0], strict=True)),
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in (members or {"schema.json": json.dumps(schema).encode()}).items():
            file.writestr(name, content)
    return buffer.getvalue()


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.write(VW.encode())
        file.truncate(reading.SIZE_LIMIT + 1)


def parquet(path: Path) -> None:
    pq.write_table(pa.table({"x": [1.0]}), path)


PIPELINE = ("sklearn.pipeline", "Pipeline", "ObjectNode")
CONVERT = "logitstream.from_sklearn(estimator).save('model.json')"

FAULTS: dict[str, tuple[str, bytes | Callable[[Path], object], int, str]] = {
    "over 2 GiB": ("model.txt", sparse, 65, "has 2 GiB, but a file to import may have 2 GiB"),
    "a folder": ("model.onnx", Path.mkdir, 65, "is a folder, not a model file"),
    "an empty file": ("model.onnx", b"", 65, "is empty"),
    "no file": ("model.onnx", lambda path: None, 66, "no such file or folder"),
    "an unknown kind": ("model.txt", b"weights: 1 2 3\n", 65, "is in no format that can be imported"),
    "a table": ("data.parquet", parquet, 65, "is Parquet, which cannot be imported"),
    "a web page": ("model.pmml.html", b"<!doctype html><html></html>", 65, "is a web page"),
    "a model file of ours": ("model.json5", json.dumps(MODEL).encode(), 65, "is a model file of logitstream already"),
    "a pickle": ("model.pkl", pickle.dumps(Spring()), 65, "joblib.load('model.pkl')"),
    "a pickle under another name": ("model.onnx", pickle.dumps(Spring()), 65, CONVERT),
    "a pickle in gzip": ("model.pkl.gz", gzip.compress(pickle.dumps(Spring())), 65, "joblib.load('model.pkl.gz')"),
    "a pickle in gzip under another name": ("model.bin", gzip.compress(pickle.dumps(Spring())), 65, CONVERT),
    "a pickle in zlib, as joblib writes": ("model.bin", zlib.compress(pickle.dumps(Spring())), 65, CONVERT),
    "joblib": ("model.joblib", pickle.dumps(Spring()), 65, "import joblib, pipeline as logitstream"),
    "cloudpickle": (
        "model.cloudpickle",
        pickle.dumps(Spring()),
        65,
        "cloudpickle.load(open('model.cloudpickle', 'rb'))",
    ),
    "dill": ("model.dill", pickle.dumps(Spring()), 65, "dill.load(open('model.dill', 'rb'))"),
    "torch": ("model.pt", pickle.dumps(Spring()), 65, "torch.onnx.export"),
    "a state of torch": (
        "state.pt",
        pickle.dumps(Spring()),
        65,
        "write a state_dict with save_file",
    ),
    "an old file of Keras": (
        "model.h5",
        b"\x89HDF\r\n\x1a\n" + bytes(90),
        65,
        "load it with Keras and save it",
    ),
    "a pickle with a quote in its name": (
        "my model's.pkl",
        pickle.dumps(Spring()),
        65,
        'joblib.load("my model\'s.pkl")',
    ),
    "a binary model of VW": ("model.vw", b"\x07\0\0\x009.11.9\0\x01\0\0", 65, "is a binary model of VW"),
    "PMML under the name of another kind": ("model.onnx", b"<PMML version='3.2'/>", 65, "is version 3.2"),
    "VW without names": ("model.txt", VW.replace("x:1:", "1:").encode(), 65, "has no name"),
    "VW that is no text": ("model.txt", VW.encode() + b"\xff:1:2\n", 65, "is not text in UTF-8"),
    "VW with a weight that overflows": (
        "model.txt",
        VW.replace("0.5", "1e400").encode(),
        65,
        "has 1e400 where a finite",
    ),
    "skops with a type of its own": (
        "model.skops",
        skops_file(PIPELINE, ("my.package", "Scaler", "ObjectNode")),
        65,
        "has types that are not read: my.package.Scaler",
    ),
    "skops with a function that could do harm": (
        "model.skops",
        skops_file(PIPELINE, ("os", "system", "FunctionNode"), ("builtins", "exec", "FunctionNode")),
        65,
        "builtins.exec, os.system",
    ),
    "skops that wants something called": (
        "model.skops",
        skops_file(PIPELINE, ("sklearn.pipeline", "Pipeline", "MethodNode")),
        65,
        "has types that are not read: sklearn.pipeline.Pipeline",
    ),
    "skops without a schema": (
        "model.skops",
        skops_file(PIPELINE, members={"140546700536464.npy": b""}),
        65,
        "is not a skops file",
    ),
    "skops that is cut": ("model.skops", skops_file(PIPELINE)[:60], 65, "is not a skops file"),
    "skops with a schema that nests for ever": (
        "model.skops",
        skops_file(PIPELINE, members={"schema.json": b"[" * 200_000}),
        65,
        "is not a skops file, or damaged",
    ),
    "skops without an estimator": (
        "model.skops",
        skops_file(PIPELINE, members={"schema.json": b"{}"}),
        65,
        "has no estimator",
    ),
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_one_error_and_nothing_is_written(
    fault: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, content, code, told = FAULTS[fault]
    if isinstance(content, bytes):
        Path(name).write_bytes(content)
    else:
        content(Path(name))
    Path("model.json").write_text("before")
    before = sorted(folder.iterdir())
    assert run(["model", "import", name, "-o", "model.json"]) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert told in said.err
    assert said.err.startswith("error: ")
    assert len(said.err.splitlines()) <= 5
    assert sorted(folder.iterdir()) == before
    assert Path("model.json").read_text() == "before"


def test_an_unknown_word_for_the_kind_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    Path("model.txt").write_text(VW)
    assert run(["model", "import", "model.txt", "-o", "model.json", "--kind", "xgboost"]) == 2
    assert "'onnx', 'pmml', 'vw', 'skops', 'keras'" in capsys.readouterr().err
    with pytest.raises(UsageError, match="choose onnx, pmml, vw, skops or keras"):
        logitstream.import_model("model.txt", kind="xgboost")


def test_the_output_is_never_the_file_itself(capsys: pytest.CaptureFixture[str]) -> None:
    Path("model.txt").write_text(VW)
    assert run(["model", "import", "model.txt", "-o", "./model.txt"]) == 2
    assert "is both the file to import and the output" in capsys.readouterr().err
    assert Path("model.txt").read_text() == VW


def test_another_model_stays_unless_it_is_to_be_replaced(capsys: pytest.CaptureFixture[str]) -> None:
    Path("model.txt").write_text(VW)
    words = ["model", "import", "model.txt", "-o", "model.json"]
    Path("model.json").write_text(json.dumps(MODEL))
    assert run(words) == 73
    assert "model.json exists and is another file" in capsys.readouterr().err
    assert json.loads(Path("model.json").read_text()) == MODEL
    assert run([*words, "--if-exists", "replace"]) == 0
    written = Path("model.json").stat()
    # The same file again: nothing to do.
    assert run(words) == 0
    assert Path("model.json").stat().st_ino == written.st_ino


def test_a_folder_that_does_not_exist_cannot_hold_the_model(capsys: pytest.CaptureFixture[str]) -> None:
    Path("model.txt").write_text(VW)
    assert run(["model", "import", "model.txt", "-o", "no/model.json"]) == 66
    assert "no/model.json: no such file or folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("kind", "title", "instead"),
    [
        ("vw", "a readable model of VW", "vw --testonly --predictions"),
        ("pmml", "a PMML document", "the rows that the document brings for its verification are always compared"),
    ],
)
def test_rows_to_check_need_a_tool_that_scores_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kind: str, title: str, instead: str
) -> None:
    importer = replace(IMPORTERS[kind], convert=lambda path, data: Imported(MODEL))
    monkeypatch.setitem(IMPORTERS, kind, importer)  # type: ignore[arg-type]
    Path("model").write_text("text")
    Path("rows.csv").write_text("x\n1\n")
    words = ["model", "import", "model", "-o", "model.json", "--kind", kind]
    assert run([*words, "--check", "rows.csv"]) == 2
    said = capsys.readouterr().err
    assert f"no package scores rows with {title}" in said
    assert instead in said
    assert not Path("model.json").exists()
    assert run(words) == 0
    assert "\nnot compared: " in capsys.readouterr().out


def test_the_table_of_importers_has_the_words_of_the_option() -> None:
    assert tuple(IMPORTERS) == reading.KIND.words


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\x08\x09\x12\x07skl2onnx", "onnx"),
        (b'<?xml version="1.0"?>\n<PMML version="4.4">', "pmml"),
        (b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- made by -->\n<PMML version="4.4">', "pmml"),
        (b"Version 9.11.9\nId \nMin label:-50", "vw"),
        (b"Version 9.11.9\r\nId x\r\nMin label:-50", "vw"),
        (b"PK\x03\x04" + bytes(26) + b"140546700536464.npy", "skops"),
        (b"PK\x03\x04" + bytes(26) + b"schema.json", "skops"),
        (b"PK\x03\x04" + bytes(26) + b"arr_0.npy", None),
        (b"x,y\n1,2\n", None),
    ],
)
def test_a_kind_is_recognised_by_its_first_bytes(head: bytes, kind: str | None) -> None:
    found = [each.kind for each in IMPORTERS.values() if each.recognises(head, "model")]
    assert found == ([] if kind is None else [kind])


def scored(columns: dict[str, Any]) -> np.ndarray[Any, Any]:
    return 1 / (1 + np.exp(-np.array([np.nan if x is None else x for x in columns["x"]], dtype=float)))


def an_importer(document: dict[str, Any], **more: Any) -> Importer:
    """Return an importer of files that begin with ``odds``, such as another package could add."""
    imported = Imported(document, **more)
    return Importer("vw", "a list of odds", lambda head, _: head.startswith(b"odds"), lambda path, data: imported)


@pytest.fixture
def odds(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Make a file of the kind that a new entry of the table converts, and return its name."""

    def put(document: dict[str, Any], **more: Any) -> str:
        monkeypatch.setitem(IMPORTERS, "vw", an_importer(document, **more))  # type: ignore[arg-type]
        Path("model.odds").write_text("odds")
        return "model.odds"

    return put


@pytest.mark.parametrize(
    ("wrong", "code"), [(0.0, 0), (1e-13, 0), (1e-9, 3), (float("nan"), 3)], ids=["same", "close", "far", "none"]
)
def test_scores_that_differ_end_with_3_and_nothing_is_written(
    odds: Callable[..., str], capsys: pytest.CaptureFixture[str], wrong: float, code: int
) -> None:
    rows = {"x": [0.5, None, -3.0]}
    name = odds(MODEL, verification=rows, expected=scored(rows) + np.array([0, 0, wrong]))
    assert run(["model", "import", name, "-o", "model.json"]) == code
    said = capsys.readouterr()
    assert Path("model.json").exists() is (code == 0)
    if code:
        assert "row 3 of the rows to check has probability 0.0474258731776" in said.err
        assert said.out == ""
    else:
        assert "3 rows scored both ways: largest difference" in said.out
        facts = json.loads(Path("model.json").read_text())["training"]["imported"]
        assert (facts["rows"], facts["tool"]) == (3, "the rows in the file")
        assert len(facts["sha256"]) == 64


def test_only_the_first_ten_thousand_rows_are_scored(odds: Callable[..., str]) -> None:
    seen = []

    def score(columns: dict[str, Any]) -> np.ndarray[Any, Any]:
        seen.append(len(columns["x"]))
        return scored(columns)

    name = odds(MODEL, score=score)
    pq.write_table(pa.table({"other": ["a"] * 25_000, "x": np.linspace(-4, 4, 25_000)}), "rows.parquet")
    Path("rows.csv").write_text("x\n" + "0.5\n\n" * 6_000 + "no number\n" + "1\n" * 20_000)
    for data in ("rows.parquet", "rows.csv", ["rows.parquet", "rows.csv"]):
        seen.clear()
        facts = (logitstream.import_model(name, check=data).training or {})["imported"]
        assert (facts["rows"], sum(seen)) == (10_000, 10_000)


def test_rows_to_check_must_have_the_columns(odds: Callable[..., str], capsys: pytest.CaptureFixture[str]) -> None:
    name = odds(MODEL, score=scored)
    Path("rows.csv").write_text("X\n1\n")
    assert run(["model", "import", name, "-o", "model.json", "--check", "rows.csv"]) == 65
    told = capsys.readouterr().err
    assert "rows.csv has no column 'x'" in told
    assert "rows to check have the columns of the model, in Parquet or in CSV with commas" in told
    pq.write_table(pa.table({"x": [[1.0]]}), "rows.parquet")
    assert run(["model", "import", name, "-o", "model.json", "--check", "rows.parquet"]) == 65
    said = capsys.readouterr().err
    assert 'column "x"' in said
    assert "has no names" not in said
    odds(MODEL, score=scored, unnamed=("x",))
    assert run(["model", "import", name, "-o", "model.json", "--check", "rows.csv"]) == 65
    assert "the file has no names for its columns: give rows in which they are called x" in capsys.readouterr().err
    Path("rows.csv").write_text("x\n")
    assert run(["model", "import", name, "-o", "model.json", "--check", "rows.csv"]) == 65
    assert "there are no rows to check" in capsys.readouterr().err
    assert not Path("model.json").exists()


def test_a_column_that_the_model_does_not_look_at_may_be_missing(odds: Callable[..., str]) -> None:
    name = odds(MODEL, score=lambda columns: scored(columns) + columns["dropped"])
    Path("rows.csv").write_text("x\n1\n2\n")
    assert (logitstream.import_model(name, check="rows.csv").training or {})["imported"]["largest_difference"] == 0


def test_rows_to_check_without_the_package_that_scores_them_name_the_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    importer = Importer(
        "onnx", "an ONNX graph", lambda head, _: True, lambda path, data: Imported(MODEL), "onnxruntime"
    )
    monkeypatch.setitem(IMPORTERS, "onnx", importer)  # type: ignore[arg-type]
    Path("model.onnx").write_bytes(b"graph")
    assert run(["model", "import", "model.onnx", "-o", "model.json", "--check", "rows.csv"]) == 78
    assert "onnxruntime is not installed, which scores rows with an ONNX graph" in capsys.readouterr().err


def test_json_tells_what_was_recorded(odds: Callable[..., str], capsys: pytest.CaptureFixture[str]) -> None:
    name = odds(MODEL, notes=("Something was assumed.",))
    assert run(["model", "import", name, "-o", "model.json", "--json"]) == 0
    said = capsys.readouterr()
    facts = json.loads(said.out)
    assert said.err == ""
    assert (facts["schema_version"], facts["kind"], facts["output"]) == (2, "model-import", "model.json")
    assert facts["imported"]["notes"] == ["Something was assumed."]
    assert facts["digest"] == logitstream.LogisticModel.load("model.json").digest()


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"intercept": float("inf")}, "not a finite number"),
        ({"features": []}, "must not be empty"),
        ({"version": 2, "classes": list(range(1001)), "intercept": [0.0] * 1001}, "1,000"),
    ],
    ids=["overflow", "no features", "too many classes"],
)
def test_a_conversion_that_gives_no_valid_model_is_an_error(
    odds: Callable[..., str], more: dict[str, Any], told: str
) -> None:
    with pytest.raises(ModelError) as caught:
        logitstream.import_model(odds(MODEL | more))
    assert told in str(caught.value)


@pytest.mark.slow
def test_a_model_of_more_than_256_mib_is_an_error(odds: Callable[..., str]) -> None:
    target = {"column": "x" * (257 << 20), "negative": 0, "positive": 1}
    with pytest.raises(ModelError, match="larger than 256 MiB"):
        logitstream.import_model(odds(MODEL | {"target": target}))


def test_a_difference_is_relative_to_large_raw_predictions_alone() -> None:
    model = logitstream.LogisticModel.from_json(json.dumps(MODEL))
    rows = {"x": [-20.0, 0.25]}
    found = difference(model, in_memory(rows), lambda columns: scored(columns) + np.array([1e-9, 1e-10]))
    assert found.absolute == pytest.approx(1e-9)
    assert (found.relative, found.row) == (pytest.approx(1e-10), 1)
    with pytest.raises(DataError, match="no rows to check"):
        difference(model, in_memory({"x": []}), scored)
    found = difference(model, in_memory({"x": [1.0]}), lambda columns: scored(columns) + 1e-6)
    with pytest.raises(ThresholdError, match="may differ by 1e-12"):
        reading._refuse(found, Imported(MODEL).tolerance, IMPORTERS["pmml"].title)
