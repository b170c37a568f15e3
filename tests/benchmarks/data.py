"""Generated datasets and the models that score them; equal parameters give equal rows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

CHUNK_ROWS = 1_048_576
LEVELS = 1000
SEED = 20130101
NUMPY_TYPES = {"g": np.float64, "d": np.float64, "i": np.int64}


@dataclass(frozen=True, slots=True)
class Mixture:
    """How many columns of each kind stand beside ``id`` (int64, 0 to rows - 1).

    ``gaussian`` float64 of full precision (g00 ...), ``decimal`` float64 of two decimals (d00 ...), ``integer`` small
    int64 (i00 ...), ``text`` of 1,000 levels (t00 ...): features all; ``note`` long unique text (n00 ...), to keep.
    """

    gaussian: int = 12
    decimal: int = 4
    integer: int = 4
    text: int = 0
    note: int = 0

    @classmethod
    def of(cls, columns: int) -> Mixture:
        """Return the usual mixture of so many features: three fifths, a fifth and a fifth."""
        return cls(columns - 2 * (columns // 5), columns // 5, columns // 5)

    @property
    def numeric(self) -> list[str]:
        """Names of the numeric features, in file order."""
        counts = (("g", self.gaussian), ("d", self.decimal), ("i", self.integer))
        return [f"{kind}{number:02d}" for kind, count in counts for number in range(count)]

    @property
    def texts(self) -> list[str]:
        """Names of the categorical features, in file order."""
        return [f"t{number:02d}" for number in range(self.text)]

    @property
    def notes(self) -> list[str]:
        """Names of the columns to keep beside ``id``."""
        return [f"n{number:02d}" for number in range(self.note)]


@dataclass(frozen=True, slots=True)
class Dataset:
    """What to generate; ``row_group_rows`` and ``compression`` are those of a Parquet file."""

    rows: int
    mixture: Mixture = Mixture()
    kind: str = "parquet"
    row_group_rows: int = CHUNK_ROWS
    compression: str = "snappy"

    @property
    def name(self) -> str:
        """A file name that equal parameters share."""
        m = self.mixture
        columns = f"g{m.gaussian}d{m.decimal}i{m.integer}t{m.text}n{m.note}"
        layout = f"-{self.row_group_rows}-{self.compression}" if self.kind == "parquet" else ""
        return f"{self.rows}-{columns}{layout}.{self.kind}"

    def make(self, folder: Path) -> Path:
        """Return the path of the dataset in a folder, made now unless it stands there already."""
        path = folder / self.name
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_name(f"unfinished-{path.name}")
            write = {"parquet": _write_parquet, "csv": _write_csv, "csv.gz": _write_csv}[self.kind]
            write(self, unfinished)
            unfinished.rename(path)
        return path

    def tables(self, rows: int) -> Iterator[pa.Table]:
        """Yield all rows in tables of so many."""
        held = _table(self.mixture, 0, 0)
        for start in range(0, self.rows, CHUNK_ROWS):
            held = pa.concat_tables([held, _table(self.mixture, start, min(start + CHUNK_ROWS, self.rows))])
            while held.num_rows >= rows:
                yield held.slice(0, rows)
                held = held.slice(rows)
        if held.num_rows:
            yield held

    def reference(self, model: Mapping[str, Any]) -> np.ndarray:
        """Return the probability of every row by ``id``, by matrix products."""
        weights, intercept = folded(model)
        names = self.mixture.numeric
        factors = np.array([weights[name] for name in names])
        results = []
        for table in self.tables(CHUNK_ROWS):
            matrix = np.column_stack([table[name].to_numpy().astype(np.float64) for name in names])
            results.append(1 / (1 + np.exp(-(matrix @ factors + intercept))))
        return np.concatenate(results)


def _table(mixture: Mixture, start: int, stop: int) -> pa.Table:
    random = np.random.default_rng((SEED, start))
    rows = stop - start
    columns: dict[str, object] = {"id": np.arange(start, stop)}
    for name in mixture.numeric:
        match name[0]:
            case "g":
                columns[name] = random.standard_normal(rows)
            case "d":
                columns[name] = random.integers(0, 1_000_000, rows) / 100
            case _:
                columns[name] = random.integers(0, 100, rows)
    for name in mixture.texts:
        columns[name] = pa.array(_levels()).take(pa.array(random.integers(0, LEVELS, rows)))
    for name in mixture.notes:
        words = [pa.array(random.integers(0, 10**12, rows)).cast(pa.string()) for _ in range(5)]
        columns[name] = pc.binary_join_element_wise(*words, " ")
    return pa.table(columns)


def _levels() -> list[str]:
    return [f"level number {number:04d}" for number in range(LEVELS)]


def _write_parquet(dataset: Dataset, path: Path) -> None:
    tables = dataset.tables(dataset.row_group_rows)
    first = next(tables)
    with pq.ParquetWriter(path, first.schema, compression=dataset.compression) as writer:
        writer.write_table(first, row_group_size=dataset.row_group_rows)
        for table in tables:
            writer.write_table(table, row_group_size=dataset.row_group_rows)


def _write_csv(dataset: Dataset, path: Path) -> None:
    tables = dataset.tables(CHUNK_ROWS // 8)
    first = next(tables)
    compression = "gzip" if dataset.kind.endswith(".gz") else None
    with pa.output_stream(path, compression=compression) as stream:
        options = pyarrow.csv.WriteOptions(quoting_header="none")
        with pyarrow.csv.CSVWriter(stream, first.schema, write_options=options) as writer:
            writer.write_table(first)
            for table in tables:
                writer.write_table(table)


def model(mixture: Mixture) -> dict[str, Any]:
    """Return a model file's content for the features of a mixture; raw predictions are of the size of 1."""
    spreads = {"g": (0.0, 1.0), "d": (5000.0, 2886.75), "i": (49.5, 28.87)}
    coefficients = (
        np.random.default_rng(SEED).standard_normal(len(mixture.numeric)) / max(1, len(mixture.numeric)) ** 0.5
    )
    features: list[dict[str, object]] = [
        {
            "column": name,
            "kind": "numeric",
            "coefficient": float(coefficient),
            "center": spreads[name[0]][0],
            "scale": spreads[name[0]][1],
        }
        for name, coefficient in zip(mixture.numeric, coefficients, strict=True)
    ]
    levels = dict(zip(_levels(), np.random.default_rng(SEED).standard_normal(LEVELS).tolist(), strict=True))
    features += [{"column": name, "kind": "categorical", "coefficients": levels} for name in mixture.texts]
    return {"format": "logitstream-model", "version": 1, "kind": "logistic", "intercept": -0.5, "features": features}


def folded(content: Mapping[str, Any]) -> tuple[dict[str, float], float]:
    """Return the weight of each numeric column in its own unit, and the intercept that goes with them."""
    weights, intercept = {}, content["intercept"]
    for feature in content["features"]:
        weights[feature["column"]] = feature["coefficient"] / feature["scale"]
        intercept -= feature["coefficient"] * feature["center"] / feature["scale"]
    return weights, intercept


def save_model(content: Mapping[str, Any], path: Path) -> Path:
    """Write a model file and return its path."""
    path.write_text(json.dumps(content))
    return path
