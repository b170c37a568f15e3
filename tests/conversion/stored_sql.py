"""SQL of some models that databases have run with the scores of the scorer, by its digest.

    python -m tests.conversion.stored_sql

makes models, runs their SQL in DuckDB and in a PostgreSQL server of its own, and stores models and digests if every
score agrees within 1e-12. It needs both.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.conversion.exporting import export
from pipeline.models.logistic.file import ModelFile
from pipeline.models.logistic.parsing import from_mapping
from tests.conversion import postgresql
from tests.conversion.randomly import differences, document, scored, table

STORED = Path(__file__).with_name("stored_sql.json")
DIALECTS = ("duckdb", "postgresql")


def digests(model: ModelFile) -> dict[str, str]:
    """Return the digest of a model's SQL in each dialect that was tried."""
    texts = {dialect: str(export(model, "sql", dialect=dialect)) for dialect in DIALECTS}
    return {dialect: hashlib.sha256(text.encode()).hexdigest() for dialect, text in texts.items()}


def _tried(server: postgresql.Server, seed: int, classes: int) -> dict[str, Any]:
    from tests.conversion.test_postgresql import run as run_postgresql
    from tests.conversion.test_sql import run as run_duckdb

    rng = np.random.default_rng([seed, classes, 29])
    whole = document(rng, classes)
    expected = scored(whole, table(rng, 200, largest=1e90))
    largest = max(differences(expected, run_duckdb(expected)), differences(expected, run_postgresql(server, expected)))
    if largest > 1e-12:
        raise SystemExit(f"model {seed}: a score differs by {largest:.1e}")
    print(f"model {seed}, {classes} classes: largest difference {largest:.1e}")
    return {"model": whole, "sql": digests(expected.model)}


def main() -> None:
    """Run the models and store them."""
    with postgresql.running() as server:
        made = [_tried(server, seed, classes) for seed, classes in enumerate([0, 0, 0, 0, 2, 3])]
    STORED.write_text("".join(["[\n", ",\n".join(json.dumps(each) for each in made), "\n]\n"]))


def stored() -> list[tuple[ModelFile, dict[str, str]]]:
    """Return the models and the digests of their SQL."""
    return [(from_mapping(each["model"]), each["sql"]) for each in json.loads(STORED.read_text())]


if __name__ == "__main__":
    main()
