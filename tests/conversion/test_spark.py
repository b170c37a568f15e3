"""Models written as SQL: Spark gives the scores of the scorer."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.conversion.exporting import export
from tests.conversion.randomly import differences, document, scored, table

pytest.importorskip("pyspark", reason="pyspark is not installed")
pytestmark = [
    pytest.mark.campaign,
    pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs Java, which is not on this machine"),
]

# In a process of its own: a session leaves threads and a virtual machine behind.
RUN = """
import json, sys
from pathlib import Path
from pyspark.sql import SparkSession
folder = Path(sys.argv[1])
builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
# Compiling long expressions takes a minute each; interpreting them does not.
builder = builder.config("spark.sql.codegen.wholeStage", "false").config("spark.sql.codegen.factoryMode", "NO_CODEGEN")
session = builder.config("spark.sql.adaptive.enabled", "false").getOrCreate()
session.sparkContext.setLogLevel("ERROR")
for text in sorted(folder.glob("*.sql")):
    session.read.parquet(str(text.with_suffix(".parquet"))).createOrReplaceTempView("rows")
    made = session.sql(f"SELECT place, {text.read_text()} FROM rows").collect()
    text.with_suffix(".json").write_text(json.dumps([list(row)[1:] for row in sorted(made, key=lambda row: row.place)]))
session.stop()
"""


def test_any_model_scores_in_spark_as_here(tmp_path: Path) -> None:
    expected = {}
    for seed, classes in enumerate([0, 0, 0, 0, 2, 3]):
        rng = np.random.default_rng([seed, classes, 7])
        each = expected[f"{seed}"] = scored(document(rng, classes), table(rng, 60))
        export(each.model, "sql", tmp_path / f"{seed}.sql", dialect="spark")
        rows = each.rows.append_column("place", [list(range(each.rows.num_rows))])
        pq.write_table(rows, tmp_path / f"{seed}.parquet")
    subprocess.run([sys.executable, "-c", RUN, str(tmp_path)], check=True, timeout=900)
    largest = 0.0
    for name, each in expected.items():
        made: list[list[Any]] = json.loads((tmp_path / f"{name}.json").read_text())
        columns = {column: [row[place] for row in made] for place, column in enumerate(each.columns)}
        largest = max(largest, differences(each, columns))
    print(f"largest difference in Spark: {largest:.1e}")
    assert largest <= 1e-12
