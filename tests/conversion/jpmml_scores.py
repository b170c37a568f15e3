"""Reads PMML documents with rows as JSON from standard input, and writes what JPMML makes of each row.

python -m tests.conversion.jpmml_scores
"""

from __future__ import annotations

import json
import sys


def main() -> None:
    """Read, evaluate, write."""
    from jpmml_evaluator.jpype import JPypeBackend

    from tests.conversion.make_pmml_files import probabilities

    backend = JPypeBackend()
    found = [probabilities(document.encode(), rows, backend) for document, rows in json.load(sys.stdin)]
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
