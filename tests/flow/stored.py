"""Jobs whose identities and bytes are stored, so that a change of either is noticed.

    python -m tests.flow.stored > tests/flow/stored.json

writes what the current code makes. Run it again only after ``FORMAT_VERSION`` was raised on purpose.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa

import pipeline
from pipeline.errors import LogitstreamError
from pipeline.kernels import arithmetic_tag

SAMPLES = Path(__file__).resolve().parents[2] / "sample_data"
# Identities of inputs hold the time of their last change.
_WHEN = 1_700_000_000_000_000_000

_MODEL = {
    "format": "logitstream-model",
    "version": 1,
    "kind": "logistic",
    "target": {"column": "y", "negative": "no", "positive": "yes"},
    "intercept": -0.25,
    "features": [
        {"column": "x", "kind": "numeric", "coefficient": 0.75, "center": 1.5, "scale": 0.5, "missing": {"impute": 2}},
        {"column": "n", "kind": "numeric", "coefficient": -0.125},
        {
            "column": "c",
            "kind": "categorical",
            "coefficients": {"a": 1.0, "b": -1.0, "12": 0.5},
            "unseen": "quarantine",
            "missing": {"level": "b"},
        },
    ],
    "output": {"columns": ["probability", "raw_prediction", "decision"], "threshold": 0.5},
}


def facts_of(folder: Path) -> dict[str, Any]:
    """Return, for each of the jobs, its identity, the names of its parts, and the digests of its files."""
    make_inputs(folder)
    found: dict[str, Any] = {"pyarrow": pa.__version__, "jobs": {}}
    for name, job in JOBS.items():
        output = folder / "out" / name
        output.parent.mkdir(exist_ok=True)
        job(folder, output)
        if output.exists():
            found["jobs"][name] = _published(output)
        else:
            found["jobs"][name] = _published_file(next(output.parent.glob(f"{name}.*")))
    found["jobs"]["expression"]["arithmetic"] = arithmetic_tag("fast")
    return found


def _published(output: Path) -> dict[str, Any]:
    manifest = json.loads((output / "_manifest.json").read_bytes())
    return {
        "job_id": manifest["job_id"],
        "digest": manifest["digest"],
        "parts": sorted(path.name for path in output.glob("part-*")),
        "sha256": {
            str(path.relative_to(output)): _sha256(path)
            for path in sorted(output.rglob("*"))
            if path.is_file() and path.name != "_manifest.json"
        },
    }


def _published_file(output: Path) -> dict[str, Any]:
    proof = next((output.parent / f".{output.name}.logitstream" / "files").iterdir())
    manifest = json.loads((proof / "_manifest.json").read_bytes())
    return {
        "job_id": manifest["job_id"],
        "digest": manifest["digest"],
        "parts": [],
        "sha256": {output.name: _sha256(output)},
    }


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def make_inputs(folder: Path) -> None:
    """Write the inputs: the sample, and CSV files whose bytes are fixed here."""
    shutil.copytree(SAMPLES / "flights", folder / "flights")
    shutil.copy(SAMPLES / "flights.csv", folder / "flights.csv")
    shutil.copy(SAMPLES / "delay_model.json", folder / "delay_model.json")
    (folder / "model.json").write_text(json.dumps(_MODEL))
    csv = folder / "csv"
    csv.mkdir()
    lines = "".join(_lines(5_000))
    (csv / "plain.csv").write_text(lines)
    (csv / "quoted.csv").write_text("".join(_quoted_lines(700)))
    (csv / "packed.csv.gz").write_bytes(gzip.compress(lines.encode(), mtime=0))
    for number in range(20):
        place = folder / "small" / f"country={'NL' if number % 2 else 'BE'}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"part-{number}.csv").write_text("".join(_lines(30 + number, number)))
    for path in folder.rglob("*"):
        os.utime(path, ns=(_WHEN, _WHEN))


def _lines(rows: int, seed: int = 0) -> Iterator[str]:
    yield "id,x,n,c,note\n"
    for row in range(rows):
        x = "" if (row + seed) % 11 == 0 else f"{(row * 37 + seed) % 1000 / 64}"
        c = ("a", "b", "12", "zz", "")[(row * 7 + seed) % 5]
        n = "oops" if row % 997 == 500 else str((row * 13) % 100 - 50)
        yield f"{row},{x},{n},{c},n{row % 10}\n"


def _quoted_lines(rows: int) -> Iterator[str]:
    yield "id,x,n,c,note\n"
    for row in range(rows):
        ragged = ",extra" if row % 251 == 250 else ""
        yield f'{row},{row % 9 / 8},{row % 7},"{"ab"[row % 2]}","line one\nand ""two"" of {row}"{ragged}\n'


def _flights(folder: Path, output: Path) -> None:
    pipeline.score(
        folder / "flights",
        folder / "delay_model.json",
        output,
        keep=["flight_id", "carrier"],
        chunk_size=4_000,
        precision="reproducible",
    )


def _flights_csv(folder: Path, output: Path) -> None:
    pipeline.score(
        folder / "flights.csv",
        folder / "delay_model.json",
        output,
        keep="*",
        null="NA",
        chunk_size="256KiB",
        precision="reproducible",
        raw_prediction=True,
        threshold=0.3,
        format="csv",
        compression="gzip",
        max_bad="50%",
    )


def _quarantine(folder: Path, output: Path) -> None:
    pipeline.score(
        folder / "csv",
        folder / "model.json",
        output,
        keep=["id", "note"],
        types={"id": "int64"},
        chunk_size="32KiB",
        precision="reproducible",
        max_bad="10%",
    )


def _small(folder: Path, output: Path) -> None:
    pipeline.score(
        folder / "small",
        folder / "model.json",
        output,
        keep=["country", "id"],
        chunk_size=100,
        precision="reproducible",
        float32=True,
        compression="zstd",
    )


def _limited(folder: Path, output: Path) -> None:
    pipeline.score(
        [folder / "csv" / "plain.csv", folder / "small"],
        folder / "model.json",
        output,
        limit=4_321,
        precision="reproducible",
        fingerprint="full",
        max_bad="1%",
    )


def _transformed(folder: Path, output: Path) -> None:
    pipeline.transform(
        folder / "csv" / "plain.csv",
        ["p=sigmoid(x, temperature=2)", "softplus(n)"],
        output,
        keep="id",
        chunk_size="20KiB",
        precision="reproducible",
        max_bad=100,
    )


def _one_file(folder: Path, output: Path) -> None:
    pipeline.score(
        folder / "flights",
        folder / "delay_model.json",
        output.with_suffix(".parquet"),
        keep="flight_id",
        chunk_size=10_000,
        precision="reproducible",
    )


def _one_csv(folder: Path, output: Path) -> None:
    pipeline.transform(
        folder / "small", "sigmoid(x)", output.with_suffix(".csv"), keep="id", chunk_size=200, precision="reproducible"
    )


def _expression(folder: Path, output: Path) -> None:
    dataset = pipeline.open_dataset(folder / "flights", chunk_size=5_000)
    x = dataset.to_dask_array(["distance"])
    dataset.write({"double": 2 * x[:, 0]}, output, identity="twice the distance", keep="flight_id")


JOBS: dict[str, Callable[[Path, Path], None]] = {
    "flights": _flights,
    "flights_csv": _flights_csv,
    "quarantine": _quarantine,
    "small": _small,
    "limited": _limited,
    "transformed": _transformed,
    "one_file": _one_file,
    "one_csv": _one_csv,
    "expression": _expression,
}


def _main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        json.dump(facts_of(Path(scratch)), sys.stdout, indent=1, sort_keys=True)
    sys.stdout.write("\n")


if __name__ == "__main__":
    with suppress(BrokenPipeError):
        try:
            _main()
        except LogitstreamError as error:
            sys.exit(str(error))
