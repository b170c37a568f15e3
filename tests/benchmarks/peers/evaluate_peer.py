"""The calls of scikit-learn that measure probabilities, as one process: DATA OUT, columns ``y`` and ``p``."""

from __future__ import annotations

import json
import sys
from pathlib import Path


def measured(data: str) -> dict[str, float]:
    """Return the measures of a Parquet file."""
    import pyarrow.parquet as pq
    from sklearn.calibration import calibration_curve
    from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

    table = pq.read_table(data, columns=["y", "p"])
    y, p = table["y"].to_numpy(), table["p"].to_numpy()
    calibration_curve(y, p, n_bins=20, strategy="quantile")
    return {
        "auc": float(roc_auc_score(y, p)),
        "average_precision": float(average_precision_score(y, p)),
        "log_loss": float(log_loss(y, p)),
        "brier": float(brier_score_loss(y, p)),
    }


def main(data: str, out: str) -> None:
    """Measure and write the numbers."""
    Path(out).write_text(json.dumps(measured(data)))


if __name__ == "__main__":
    main(*sys.argv[1:])
