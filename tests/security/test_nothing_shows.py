"""S-20, S-10: no output holds anything from the environment, from under a null, or from memory before."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pipeline
from pipeline.choices import Format
from pipeline.flow.manifest import CODEC
from pipeline.sinks import RowGroups, open_sink

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "sample_data"
CANARY = b"CANARY//"
ROWS = 64
MODEL = {
    "format": "logitstream-model",
    "version": 1,
    "kind": "logistic",
    "intercept": 0.5,
    "features": [{"column": "number", "kind": "numeric", "coefficient": 1.0}],
}


def _validity() -> pa.Buffer:
    """Every other slot is null, and the last byte states no more than it must."""
    return pa.py_buffer(bytes([0b01010101]) * (ROWS // 8))


def _texts(type_: pa.DataType, offsets: pa.DataType) -> pa.Array:
    places = pa.array([8 * row for row in range(ROWS + 1)], offsets).buffers()[1]
    words = pa.py_buffer((b"visible." + CANARY) * (ROWS // 2))
    return pa.Array.from_buffers(type_, ROWS, [_validity(), places, words])


def _garbage_under_nulls() -> pa.Table:
    """Return columns whose null slots hold the canary, in the values or in the children."""
    integers = pa.py_buffer(((7).to_bytes(8, "little") + CANARY) * (ROWS // 2))
    floats = pa.py_buffer(pa.array([1.5]).buffers()[1].to_pybytes()[:8] + CANARY)
    floats = pa.py_buffer(floats.to_pybytes() * (ROWS // 2))
    return pa.table(
        {
            "number": pa.Array.from_buffers(pa.float64(), ROWS, [_validity(), floats]),
            "integer": pa.Array.from_buffers(pa.int64(), ROWS, [_validity(), integers]),
            "text": _texts(pa.string(), pa.int32()),
            "long": _texts(pa.large_string(), pa.int64()),
        }
    )


def _nested() -> pa.Table:
    items = pa.array([word for _ in range(ROWS // 2) for word in ("visible.", CANARY.decode())])
    places = pa.array(list(range(ROWS + 1)), pa.int32()).buffers()[1]
    lists = pa.Array.from_buffers(pa.list_(pa.string()), ROWS, [_validity(), places], children=[items])
    type_ = pa.struct([("inner", pa.string())])
    structs = pa.Array.from_buffers(type_, ROWS, [_validity()], children=[items])
    return pa.table({"binary": _texts(pa.binary(), pa.int32()), "list": lists, "struct": structs})


@pytest.mark.parametrize(
    ("format_", "table"),
    [("parquet", _garbage_under_nulls()), ("csv", _garbage_under_nulls()), ("parquet", _nested())],
)
def test_no_sink_writes_what_lies_under_a_null(format_: Format, table: pa.Table) -> None:
    (batch,) = table.to_batches()
    assert all(any(CANARY in bytes(buffer) for buffer in array.buffers() if buffer) for array in batch.columns)
    file = io.BytesIO()
    sink = open_sink(format_, file, batch.schema, RowGroups(ROWS), "none")
    sink.write(batch)
    sink.close()
    assert b"visible." in file.getvalue()
    assert CANARY not in file.getvalue()


@pytest.mark.parametrize("format_", ["parquet", "csv"])
def test_no_output_holds_what_lay_under_a_null_of_the_input(tmp_path: Path, format_: Format) -> None:
    pq.write_table(_garbage_under_nulls(), tmp_path / "in.parquet", compression="none")
    (tmp_path / "model.json").write_text(json.dumps(MODEL))
    options: dict[str, Any] = {"keep": "*", "format": format_, "compression": "none", "scheduler": "sync"}
    report = pipeline.score(tmp_path / "in.parquet", tmp_path / "model.json", tmp_path / "out", **options)
    assert (report.totals.written, report.totals.null) == (ROWS, ROWS // 2)
    parts = list((tmp_path / "out").glob("part-*"))
    assert b"visible." in parts[0].read_bytes()
    assert not any(CANARY in path.read_bytes() for path in tmp_path.joinpath("out").rglob("*") if path.is_file())


COMMAND = "from jobs.cli import main; main()"


def _command(folder: Path, *words: object, code: str = COMMAND, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, words)],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": os.environ.get("PATH", os.defpath), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


FILLED = {"MALLOC_PERTURB_": str(0xFF ^ ord("Z")), "ARROW_DEFAULT_MEMORY_POOL": "system"}


@pytest.fixture(scope="module")
def _filled_memory(tmp_path_factory: pytest.TempPathFactory) -> None:
    code = "import pyarrow as pa; print(bytes(pa.allocate_buffer(4096)).count(b'Z'))"
    done = _command(tmp_path_factory.mktemp("filled"), code=code, **FILLED)
    if int(done.stdout) < 4000:
        pytest.skip("this C library does not fill memory")


@pytest.mark.usefixtures("_filled_memory")
@pytest.mark.parametrize("format_", ["parquet", "csv"])
def test_no_output_holds_memory_that_was_never_written(tmp_path: Path, format_: Format) -> None:
    """The allocator fills what it hands out with the letter Z; what nobody writes afterwards stays so."""
    words = ["score", SAMPLE / "flights", "--model", SAMPLE / "delay_model.json", "--output", "out", "--keep", "*"]
    done = _command(tmp_path, *words, "--format", format_, "--compression", "none", "-q", **FILLED)
    assert (done.returncode, done.stderr) == (0, "")
    for path in (tmp_path / "out").iterdir():
        assert b"Z" * 12 not in path.read_bytes(), path.name


SECRETS = {"AWS_SECRET_ACCESS_KEY": "s3cret-in-aws", "PGPASSWORD": "s3cret-in-pg", "MY_TOKEN": "s3cret-in-token"}
BAD = "dep_delay,distance,hour,carrier,origin\nx,2,3,UA,EWR\n"
RUNS: dict[str, tuple[tuple[str, ...], int]] = {
    "done": (("flights", "--output", "out", "-v"), 0),
    "done, as JSON": (("flights", "--output", "out", "--json"), 0),
    "a bad cell": (("bad.csv", "--output", "out"), 65),
    "a damaged file": (("damaged.parquet", "--output", "out"), 65),
    "no such input": (("nothing", "--output", "out"), 66),
    "no such column": (("flights", "--output", "out", "--keep", "colour"), 65),
    "no room": (("flights", "--output", "out", "--memory", "1MiB"), 71),
}


@pytest.fixture
def person(tmp_path: Path) -> Path:
    """The home of a person who works in it."""
    folder = tmp_path / "home-of-somebody"
    folder.mkdir()
    shutil.copytree(SAMPLE / "flights", folder / "flights")
    shutil.copy(SAMPLE / "delay_model.json", folder / "model.json")
    (folder / "bad.csv").write_text(BAD)
    (folder / "damaged.parquet").write_bytes(b"PAR1 and no more")
    return folder


@pytest.mark.parametrize("case", RUNS)
def test_neither_home_nor_secrets_show(person: Path, case: str) -> None:
    words, code = RUNS[case]
    done = _command(person, "score", *words, "--model", "model.json", HOME=str(person), **SECRETS)
    assert done.returncode == code, done.stderr
    said = done.stdout + done.stderr
    assert said
    assert person.name not in said
    assert "s3cret" not in said
    for path in person.rglob("*"):
        if path.is_file():
            _check_file(path, person.name)


def _check_file(path: Path, home: str) -> None:
    content = path.read_bytes()
    if path.name.endswith(".receipts"):
        with path.open("rb") as file, CODEC.decompressed(file) as stream:
            content = stream.read()
    assert b"s3cret" not in content, path
    # The job file says where everything is; it is in a folder that only its owner may enter.
    if not path.name.startswith("job"):
        assert home.encode() not in content, path
