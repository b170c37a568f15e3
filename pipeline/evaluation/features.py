"""What makes scores meaningless without making them impossible, judged and told as a run that scores does it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.errors import UsageError
from pipeline.flow.features import check_limits, told
from pipeline.flow.judging import Judge
from pipeline.scan import PreparedScan
from pipeline.types.features import FeatureCount, FeatureCounts, FeatureFacts, FeatureWarning, HasFeatures
from pipeline.types.inputs import CsvOptions
from pipeline.types.job import ShareLimits
from pipeline.types.report import Observer


def feature_warnings(
    blocks: Sequence[Any], counts: FeatureCounts | None, scan: PreparedScan, csv: CsvOptions
) -> tuple[str, ...]:
    """Return what is wrong with the features of a model: without a value, or of which it knows no value.

    Parameters
    ----------
    blocks : sequence
        What scores the rows.
    counts : FeatureCounts or None
        Of all rows.
    scan : PreparedScan
    csv : CsvOptions
    """
    judge = judge_of_scan(scan, csv, ShareLimits(), ShareLimits())
    features = [facts for block in blocks for facts in _facts_of(block)]
    return tuple(found.text for found in judge.warnings(features, counts or FeatureCounts()))


def judge_of_scan(scan: PreparedScan, csv: CsvOptions, max_unseen: ShareLimits, max_missing: ShareLimits) -> Judge:
    """Return what judges the features by limits, and gives advice for the files of a scan."""
    is_csv = any(facts.file.format == "csv" for facts in scan.files)
    return Judge(max_unseen, max_missing, csv if is_csv else None)


def check_feature_limits(blocks: Sequence[Any], max_unseen: ShareLimits, max_missing: ShareLimits) -> None:
    """Refuse limits that have no effect, and those for what is not a feature of any model.

    Raises
    ------
    UsageError
        There is no model, or none has a feature of that name.
    """
    for option, limits in (("--max-unseen", max_unseen), ("--max-missing", max_missing)):
        if not blocks and limits != ShareLimits():
            raise UsageError(f"{option} has no effect with --probability: there is no model", "leave it out")
    # One that is numeric in one model may have levels in another.
    facts = [facts for block in blocks for facts in _facts_of(block)]
    levels = {each.column: each for each in facts if each.role == "categorical"}
    check_limits(list({each.column: levels.get(each.column, each) for each in facts}.values()), max_unseen, max_missing)


def by_model(found: Sequence[Mapping[str, FeatureCount]]) -> dict[str, FeatureCount]:
    """Return what was counted for each of several models as one mapping, of which :func:`of_model` has the parts."""
    return {f"{number} {name}": count for number, each in enumerate(found) for name, count in each.items()}


def of_model(counts: FeatureCounts, number: int) -> FeatureCounts:
    """Return what was counted for one model: models may know different levels of one column."""
    start = f"{number} "
    columns = {name.removeprefix(start): count for name, count in counts.columns.items() if name.startswith(start)}
    return FeatureCounts(counts.rows, columns)


def judged_features(
    blocks: Sequence[Any], counts: FeatureCounts, judge: Judge, observe: Observer, end: str
) -> tuple[str, ...]:
    """Return what is wrong with the features of models.

    Parameters
    ----------
    blocks : sequence
        What scores the rows with each model.
    counts : FeatureCounts
        Of all rows, as :func:`by_model` has them.
    judge : Judge
    observe : Observer
        Told of the other warnings where one of them ends the evaluation.
    end : str
        How that leaves things.

    Raises
    ------
    DataError
        More values are unseen, or missing, than may be.
    """
    found = list(_warnings(blocks, counts, judge))
    if any(warning.fails for warning in found):
        told(found, judge, observe, end=end)
    return tuple(warning.text for warning in found)


def _warnings(blocks: Sequence[Any], counts: FeatureCounts, judge: Judge) -> Iterator[FeatureWarning]:
    """Yield what is wrong with the features of each model; what is true of two models is said once."""
    seen: set[str] = set()
    for number, block in enumerate(blocks):
        for warning in judge.warnings(_facts_of(block), of_model(counts, number)):
            if warning.text not in seen:
                seen.add(warning.text)
                yield warning


def _facts_of(block: Any) -> Sequence[FeatureFacts]:
    return block.features() if isinstance(block, HasFeatures) else ()
