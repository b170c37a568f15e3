"""DuckDB, COPY from a Parquet scan to Parquet; rows in any order, since each carries its id.

FORM is ``expression``, one sum of products, or ``list``, ``list_dot_product`` of the columns and the weights.
"""

from __future__ import annotations

import duckdb
from work import THRESHOLD, Work, told


def raw_prediction(work: Work) -> str:
    """Return the sum as SQL."""
    # The exponent makes a literal a DOUBLE; without one it is a DECIMAL, whose products are rounded.
    weights = {name: f"{weight:.17e}" for name, weight in work.weights.items()}
    if work.form == "list":
        columns = ", ".join(f'"{name}"::DOUBLE' for name in weights)
        return f"{work.intercept:.17e} + list_dot_product([{columns}], [{', '.join(weights.values())}])"
    return " + ".join([f"{work.intercept:.17e}", *(f'"{name}" * {weight}' for name, weight in weights.items())])


def main(work: Work) -> None:
    """Score."""
    probability = f"1 / (1 + exp(-({raw_prediction(work)})))"
    made = {
        "probability": probability,
        "raw_prediction": raw_prediction(work),
        "decision": f"{probability} >= {THRESHOLD}",
    }
    columns = ", ".join(["id", *work.keep, *(f"{made[name]} AS {name}" for name in work.results)])
    connection = duckdb.connect()
    connection.execute("SET preserve_insertion_order = false")
    scored = f"SELECT {columns} FROM read_parquet('{work.pattern}')"
    connection.execute(f"COPY ({scored}) TO '{work.out}' (FORMAT parquet, COMPRESSION snappy)")


if __name__ == "__main__":
    main(told())
