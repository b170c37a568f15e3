"""Raw predictions that PyTorch computed for networks drawn from a seed, so that every run can compare with them.

python -m tests.models.network.stored > tests/models/network/stored.json
"""

from __future__ import annotations

import json
import sys

import numpy as np

from tests.models.network.networks import FUNCTIONS, by_torch, drawn

WIDTHS = (7, 24, 9, 1)
ROWS = 12


def rows() -> np.ndarray:
    """Return the rows that were scored."""
    return np.random.Generator(np.random.Philox(18)).normal(0, 2, (ROWS, WIDTHS[0]))


def main() -> None:
    import torch

    found = {
        function: {
            str(np.dtype(dtype)): by_torch(drawn(WIDTHS, dtype), rows(), function, parameters)[:, 0].tolist()
            for dtype in (np.float32, np.float64)
        }
        for function, parameters in FUNCTIONS.items()
    }
    json.dump({"torch": torch.__version__, "raw_prediction": found}, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
