"""The cases by name, with their targets: medians of paired ratios at scale 1, on two cores, with a warm cache."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from tests.benchmarks.checking import Work
from tests.benchmarks.data import Dataset, Mixture
from tests.benchmarks.deciding import DECIDE, FIVE_CLASSES, PRODUCTS, TWENTY_BINS, AgainstPlain, WritingDecisions
from tests.benchmarks.figures import Outcome
from tests.benchmarks.growth import Growth
from tests.benchmarks.rerun import Rerun
from tests.benchmarks.scoring import Scoring
from tests.benchmarks.tiny import Help, Tiny
from tests.benchmarks.turns import Bench

MB = 1_000_000


class Case(Protocol):
    """What the suite needs of a case."""

    @property
    def about(self) -> str:
        """What it shows, in a line."""
        ...

    @property
    def against(self) -> Mapping[str, float | None]:
        """The peers, each with its target."""
        ...

    def run(self, bench: Bench) -> Outcome:
        """Make the data, run whole processes in turn, check what they write."""
        ...


P20_ROWS, CSV_ROWS, CAT_ROWS = 20 * MB, 4 * MB, 10 * MB
POLARS = {"polars": None}
CAT = Mixture(4, 2, 2, levels=(3, 12, 60, 300, 1200, 5000), nulls=0.05)
FULL = Work(("probability", "raw_prediction", "decision"), keep=("g00", "d00", "i00"))
SMALL = Mixture(3, 1, 1)
SMALL_FILES, SMALL_ROWS, DIFFERENT = 100_000, 100, 16

CASES: dict[str, Case] = {
    "P20": Scoring(
        "20 million rows, id and 20 numeric columns, one snappy Parquet file",
        lambda bench: Dataset(bench.rows(P20_ROWS)),
        {"floor": 1.15, "polars": 1.3, "duckdb": 1.45, "unsynced": None},
    ),
    "CSV": Scoring(
        "4 million rows of it as CSV",
        lambda bench: Dataset(bench.rows(CSV_ROWS), kind="csv"),
        {"floor": None, "polars": 1.5},
    ),
    "CSV-GZIP": Scoring(
        "the same, gzip",
        lambda bench: Dataset(bench.rows(CSV_ROWS), kind="csv.gz"),
        {"floor": None, "polars": 1.6},
    ),
    "CSV-QUOTED": Scoring(
        "the same with a column of quoted text, with line ends and quotes in it",
        lambda bench: Dataset(bench.rows(CSV_ROWS), Mixture(remark=1), kind="csv"),
        {"floor": None, "polars": 1.6},
    ),
    "CAT": Scoring(
        "10 million rows, 8 numeric and 6 categorical columns, 5 % nulls, policies at work",
        lambda bench: Dataset(bench.rows(CAT_ROWS), CAT),
        {"polars": 1.0},
    ),
    "TINY": Tiny(
        "10 thousand rows: what starting costs",
        whole_seconds=0.9,
        beyond_imports_seconds=0.3,
        against={"polars": 2.0},
    ),
    "HELP": Help("the list of the commands", target=1.4),
    "RERUN": Rerun(
        "365 files of 100 thousand rows, one changed since the last published run", wall_share=0.07, read_share=0.01
    ),
    "RERUN-FINE": Rerun("the same with a chunk a file", wall_share=0.07, read_share=0.01, chunk_rows=100_000),
    "MEMORY": Growth(
        "P20, then 1, 10 and 100 million rows: the peak of ours", p20_bytes=360 * MB, peak_bytes=450 * MB, times=1.25
    ),
    "ZSTD": Scoring("P20 as zstd", lambda bench: Dataset(bench.rows(P20_ROWS), compression="zstd"), POLARS),
    "FILES": Scoring(
        "P20 as 200 files",
        lambda bench: Dataset(bench.rows(P20_ROWS), files=max(2, round(200 * bench.scale**0.5))),
        {"polars": 1.8},
    ),
    "W200": Scoring(
        "1 million rows, 200 numeric columns", lambda bench: Dataset(bench.rows(MB), Mixture.of(200)), {"polars": 1.2}
    ),
    "FULL": Scoring(
        "P20 with probability, raw prediction, decision and three kept columns",
        lambda bench: Dataset(bench.rows(P20_ROWS)),
        {"polars": 1.2},
        FULL,
    ),
    "DECIDE": AgainstPlain(
        "P20 with probability, points, band and three reasons, against the probability alone",
        lambda bench: Dataset(bench.rows(P20_ROWS)),
        DECIDE,
        1.3,
    ),
    "WRITING": WritingDecisions(
        "what the columns of DECIDE cost to write, ready-made", lambda bench: Dataset(bench.rows(P20_ROWS))
    ),
    "CLASSES": AgainstPlain(
        "P20 with five classes, against two", lambda bench: Dataset(bench.rows(P20_ROWS)), FIVE_CLASSES, 2.2
    ),
    "BINS": AgainstPlain(
        "P20 with twenty bins a feature, against numbers",
        lambda bench: Dataset(bench.rows(P20_ROWS)),
        TWENTY_BINS,
        1.5,
    ),
    "PRODUCTS": AgainstPlain(
        "P20 with twenty products, against numbers", lambda bench: Dataset(bench.rows(P20_ROWS)), PRODUCTS, 1.5
    ),
    "FLOAT32": Scoring(
        "P20 with float32 inputs", lambda bench: Dataset(bench.rows(P20_ROWS), Mixture(single=True)), POLARS
    ),
    "SMALL": Scoring(
        "100 thousand Parquet files of 100 rows, 5 columns",
        lambda bench: Dataset(
            max(2, bench.rows(SMALL_FILES)) * SMALL_ROWS,
            SMALL,
            files=max(2, bench.rows(SMALL_FILES)),
            period=DIFFERENT * SMALL_ROWS,
        ),
        {"polars": 5.0},
    ),
    "PEERS": Scoring(
        "P20 against engines that take longer",
        lambda bench: Dataset(bench.rows(P20_ROWS)),
        {"dask": 0.7, "sklearn": 0.2},
    ),
}
