"""Generated datasets; equal parameters give equal rows and, where they are made already, the same file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tests.benchmarks import files

CHUNK_ROWS = 1_048_576
SEED = 20130101
# Part of every name: raised when equal parameters give other rows than before.
GENERATION = 3


@dataclass(frozen=True, slots=True)
class Mixture:
    """How many columns of each kind stand beside ``id`` (int64, 0 to rows - 1).

    ``gaussian`` float64 of full precision (g00 ...), ``decimal`` float64 of two decimals (d00 ...), ``integer`` small
    int64 (i00 ...), ``levels`` text of so many levels (t00 ...): features all, of each of which the share ``nulls`` is
    missing. ``note`` long unique text (n00 ...) and ``remark`` text with delimiters, quotes and line ends (r00 ...) are
    no features. With ``single`` all floating columns are float32.
    """

    gaussian: int = 12
    decimal: int = 4
    integer: int = 4
    levels: tuple[int, ...] = ()
    note: int = 0
    remark: int = 0
    nulls: float = 0.0
    single: bool = False

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
    def texts(self) -> dict[str, int]:
        """Names of the categorical features, in file order, and how many levels each has."""
        return {f"t{number:02d}": count for number, count in enumerate(self.levels)}

    @property
    def notes(self) -> list[str]:
        """Names of the columns of long text."""
        return [f"n{number:02d}" for number in range(self.note)]

    @property
    def remarks(self) -> list[str]:
        """Names of the columns of text that a CSV has to quote."""
        return [f"r{number:02d}" for number in range(self.remark)]

    @property
    def name(self) -> str:
        """A word that equal mixtures share."""
        levels = "".join(f"t{count}" for count in self.levels)
        rest = f"n{self.note}r{self.remark}" + (f"x{self.nulls:g}" if self.nulls else "") + "s" * self.single
        return f"g{self.gaussian}d{self.decimal}i{self.integer}{levels}{rest}"


@dataclass(frozen=True, slots=True)
class Dataset:
    """What to generate.

    ``kind`` is parquet, csv or csv.gz; ``row_group_rows`` and ``compression`` are those of a Parquet file, and a folder
    holds so many ``files``. ``variant`` gives the same ids other values. After ``period`` rows values begin again, with
    other ids: the files are then copies of each other but for the ids, and quick to make.
    """

    rows: int
    mixture: Mixture = Mixture()
    kind: str = "parquet"
    row_group_rows: int = CHUNK_ROWS
    compression: str = "snappy"
    files: int = 1
    variant: int = 0
    period: int | None = None

    @property
    def name(self) -> str:
        """The name of the file or folder, which equal parameters share."""
        layout = f"-{self.row_group_rows}-{self.compression}" if self.kind == "parquet" else ""
        layout += f"-{self.files}files" if self.files > 1 else ""
        layout += f"-every{self.period}" if self.period else ""
        return f"{self.rows_name}{layout}.{self.kind}"

    @property
    def rows_name(self) -> str:
        """A word that datasets of equal rows share, whatever their layout."""
        variant = f"-v{self.variant}" if self.variant else ""
        period = f"-every{self.period}" if self.period else ""
        return f"{GENERATION}-{self.rows}-{self.mixture.name}{variant}{period}"

    @property
    def rows_a_file(self) -> int:
        """Rows of each file but the last."""
        return -(-self.rows // self.files)

    def make(self, folder: Path) -> Path:
        """Return the path of the dataset in a folder, made now unless it stands there already."""
        path = folder / self.name
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_name(f"unfinished-{path.name}")
            files.remove(unfinished)
            self._write(unfinished)
            unfinished.rename(path)
        return path

    def _write(self, path: Path) -> None:
        if self.kind != "parquet":
            return files.write_csv(path, self.tables(CHUNK_ROWS // 8), gzipped=self.kind.endswith(".gz"))
        if self.files == 1:
            return files.write_parquet(path, self.tables(self.row_group_rows), self.row_group_rows, self.compression)
        path.mkdir()
        if self.period:
            return files.write_copies(path, self.tables(self.rows_a_file), self.period // self.rows_a_file)
        for number in range(self.files):
            self.write_file(path, number)
        return None

    def write_file(self, folder: Path, number: int) -> Path:
        """Write one of many Parquet files, in place of what has its name, and return its path."""
        rows = self.between(number * self.rows_a_file, min((number + 1) * self.rows_a_file, self.rows))
        path = folder / files.part_name(number)
        unfinished = folder.parent / f"unfinished-{path.name}"
        files.write_parquet(unfinished, [rows], self.row_group_rows, self.compression)
        return unfinished.rename(path)

    def tables(self, rows: int) -> Iterator[pa.Table]:
        """Yield all rows in tables of so many; a dataset of no rows gives one empty table."""
        for start in range(0, max(1, self.rows), rows):
            yield self.between(start, min(start + rows, self.rows))

    def between(self, start: int, stop: int) -> pa.Table:
        """Return a range of rows."""
        step = self.period or CHUNK_ROWS
        pieces = []
        for first in range(start // step * step, max(stop, start + 1), step):
            if self.period:
                piece = _table(self.mixture, self.variant, 0, step)
                piece = piece.set_column(0, "id", pa.array(np.arange(first, first + step)))
            else:
                piece = _table(self.mixture, self.variant, first, min(first + step, self.rows))
            pieces.append(piece.slice(max(0, start - first), max(0, stop - max(start, first))))
        return pa.concat_tables(pieces)


@lru_cache(maxsize=2)
def _table(mixture: Mixture, variant: int, start: int, stop: int) -> pa.Table:
    random = np.random.default_rng((SEED, variant, start))
    rows = max(0, stop - start)
    columns: dict[str, object] = {"id": np.arange(start, start + rows)}

    def missing() -> np.ndarray | None:
        return random.random(rows) < mixture.nulls if mixture.nulls else None

    for name in mixture.numeric:
        match name[0]:
            case "g":
                values = random.standard_normal(rows)
            case "d":
                values = random.integers(0, 1_000_000, rows) / 100
            case _:
                values = random.integers(0, 100, rows)
        if mixture.single and values.dtype == np.float64:
            values = values.astype(np.float32)
        columns[name] = pa.array(values, mask=missing())
    for name, count in mixture.texts.items():
        codes = pa.array(random.integers(0, count, rows, dtype=np.int32), mask=missing())
        columns[name] = pa.array(level_names(count)).take(codes)
    for name in mixture.notes:
        words = [pa.array(random.integers(0, 10**12, rows)).cast(pa.string()) for _ in range(5)]
        columns[name] = pc.binary_join_element_wise(*words, " ")
    for name in mixture.remarks:
        number = pa.array(random.integers(0, 10**6, rows)).cast(pa.string())
        columns[name] = pc.binary_join_element_wise('line one, "', number, '"\nline two', "")
    return pa.table(columns)


def level_names(count: int) -> list[str]:
    """Return the levels of a categorical column that has so many."""
    return [f"level number {number:04d}" for number in range(count)]
