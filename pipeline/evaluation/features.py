"""What makes scores meaningless without making them impossible, told as a run that scores tells it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.flow.judging import Judge
from pipeline.scan import PreparedScan
from pipeline.types.features import FeatureCounts, HasFeatures
from pipeline.types.inputs import CsvOptions
from pipeline.types.job import ShareLimits


def feature_warnings(
    blocks: Sequence[Any], counts: FeatureCounts | None, scan: PreparedScan, csv: CsvOptions
) -> tuple[str, ...]:
    """Return what is wrong with the features of models: without a value, or of which a model knows no value.

    Parameters
    ----------
    blocks : sequence
        What scores the rows with each model.
    counts : FeatureCounts or None
        Of all rows.
    scan : PreparedScan
    csv : CsvOptions
    """
    is_csv = any(facts.file.format == "csv" for facts in scan.files)
    judge = Judge(ShareLimits(), ShareLimits(), csv if is_csv else None)
    features = {each.column: each for block in blocks if isinstance(block, HasFeatures) for each in block.features()}
    return tuple(found.text for found in judge.warnings(features.values(), counts or FeatureCounts()))
