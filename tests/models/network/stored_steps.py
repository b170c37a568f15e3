"""Raw predictions that PyTorch computed for recurrent networks, so that every run can compare with them.

python -m tests.models.network.stored_steps > tests/models/network/stored_steps.json
"""

from __future__ import annotations

import json
import sys
from itertools import product

import numpy as np

from tests.models.network.networks import drawn_steps, steps_by_torch

WIDTHS = (3, 6, 5, 1)
LENGTHS = (4, 1, 9, 0, 4, 70)
CASES = [*product(("lstm", "gru"), ("last", "mean", "max"))]


def rows() -> list[np.ndarray]:
    """Return the rows that were scored, each of shape (steps, inputs)."""
    generator = np.random.Generator(np.random.Philox(18))
    return [generator.normal(0, 1, (length, WIDTHS[0])) for length in LENGTHS]


def main() -> None:
    import torch

    found = {
        f"{kind} {pooling}": {
            str(np.dtype(dtype)): steps_by_torch(drawn_steps(kind, WIDTHS, dtype), kind, rows(), pooling)[:, 0].tolist()
            for dtype in (np.float32, np.float64)
        }
        for kind, pooling in CASES
    }
    json.dump({"torch": torch.__version__, "raw_prediction": found}, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
