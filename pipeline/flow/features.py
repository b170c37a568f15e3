"""Whether the features of a model were found in the data: counted over a run, and judged at its end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from pipeline.errors import UsageError
from pipeline.flow.judging import LEAST_VALUES, Judge
from pipeline.types.features import (
    NOTHING,
    FeatureCount,
    FeatureCounts,
    FeatureFacts,
    FeatureWarning,
    HasFeatures,
)
from pipeline.types.inputs import FileFacts, Integers
from pipeline.types.job import Job, ShareLimits
from pipeline.types.report import Noted, Observer
from pipeline.types.rows import SliceAccount
from pipeline.units import escape, format_count, nearest

# Of the files of which the model knows no value so many are named, for each column.
_FILES_NAMED = 20


def features_of(job: Job) -> tuple[FeatureFacts, ...]:
    """Return the features whose values are counted; none where the function has no features with policies."""
    return tuple(job.block.features()) if isinstance(job.block, HasFeatures) else ()


def check_limits(features: Sequence[FeatureFacts], max_unseen: ShareLimits, max_missing: ShareLimits) -> None:
    """Refuse a limit for what is not a feature of the model.

    Raises
    ------
    UsageError
        With the near names.
    """
    _check_names("--max-missing", max_missing, features)
    levels = [feature for feature in features if feature.role == "categorical"]
    for name, _ in max_unseen.columns:
        if name in {feature.column for feature in features} - {feature.column for feature in levels}:
            raise UsageError(
                f"--max-unseen {escape(name)}: this feature is numeric, so that no value is unseen",
                "name a categorical feature, or use --max-missing",
            )
    _check_names("--max-unseen", max_unseen, levels)


def _check_names(option: str, limits: ShareLimits, features: Sequence[FeatureFacts]) -> None:
    known = [feature.column for feature in features]
    for name, _ in limits.columns:
        if name not in known:
            kind = "categorical feature" if option == "--max-unseen" else "feature"
            raise UsageError(
                f"{option} {escape(name)}: the model has no {kind} of that name{nearest(name, known)}",
                f"name a {kind} of the model, or give one limit for all of them ({option} 20%)",
            )


class FeatureBooks:
    """Adds up what the receipts of a run say of its features, and of each file.

    Parameters
    ----------
    features : sequence of FeatureFacts
    files : sequence of str
        The names of the files, as messages show them.
    """

    def __init__(self, features: Sequence[FeatureFacts], files: Sequence[str]) -> None:
        self.counts = FeatureCounts()
        self._features, self._files = features, files
        self._categorical = any(feature.role == "categorical" for feature in features)
        self._slices = self._zeros()
        # By column: of each file its slices in which the model knows no value, and their values.
        self._unknown: dict[str, tuple[Integers, Integers]] = {}
        self._spelled: dict[tuple[str, int], FeatureCount] = {}

    def add(self, accounts: Sequence[SliceAccount], found: FeatureCounts) -> None:
        """Add what was counted in some slices."""
        self.counts = self.counts.plus(found)
        for account in accounts if self._categorical else ():
            self._slices[account.file] += account.read > 0
        for position, column, values in found.unknown:
            self._add_unknown(accounts[position].file, column, values, found.of(column))

    def warnings(self, judge: Judge) -> list[FeatureWarning]:
        """Return what is wrong with the features: of the run, then of single files."""
        found = list(judge.warnings(self._features, self.counts))
        told = {warning.column for warning in found if warning.lack == "unseen"}
        for feature in self._features:
            files = self._unknown_files(feature.column)
            # Where no file has a known level, the warning about the run says it.
            if files and not (feature.column in told and len(files) == np.count_nonzero(self._slices)):
                found += self._of_files(judge, feature, files)
        return found

    def _unknown_files(self, column: str) -> list[tuple[int, int]]:
        """Return (file, values) of the files of which the model knows none of at least 100 values of a feature."""
        if column not in self._unknown:
            return []
        slices, values = self._unknown[column]
        found = np.flatnonzero((slices == self._slices) & (values >= LEAST_VALUES))
        return [(int(file), int(values[file])) for file in found]

    def _of_files(
        self, judge: Judge, feature: FeatureFacts, files: Sequence[tuple[int, int]]
    ) -> Iterator[FeatureWarning]:
        for file, values in files[:_FILES_NAMED]:
            spellings = self._spelled.get((feature.column, file), NOTHING).spellings
            yield self._of_file(judge, feature, values, spellings, self._files[file])
        if rest := files[_FILES_NAMED:]:
            values = sum(count for _, count in rest)
            yield self._of_file(judge, feature, values, {}, f"{format_count(len(rest))} more files")

    def _of_file(
        self, judge: Judge, feature: FeatureFacts, values: int, spellings: Mapping[str, int], name: str
    ) -> FeatureWarning:
        of_run = self.counts.of(feature.column).spellings
        count = FeatureCount(0, values, spellings or of_run)
        return judge.unseen(feature, count, values, file=name, of_run=not spellings)

    def _add_unknown(self, file: int, column: str, values: int, counted: FeatureCount) -> None:
        slices, sums = self._unknown.setdefault(column, (self._zeros(), self._zeros()))
        slices[file] += 1
        sums[file] += values
        # Only where all unseen values of the chunk are in this slice are their spellings those of the file.
        if counted.unseen == values and (len(self._spelled) < _FILES_NAMED * len(self._unknown)):
            before = self._spelled.get((column, file), NOTHING)
            self._spelled[column, file] = before.plus(FeatureCount(0, values, counted.spellings))

    def _zeros(self) -> Integers:
        return np.zeros(len(self._files), dtype=np.int64)


def judge_of(job: Job, files: Sequence[FileFacts]) -> Judge:
    """Return the judge of a run."""
    is_csv = any(facts.file.format == "csv" for facts in files)
    return Judge(job.max_unseen, job.max_missing, job.csv if is_csv else None)


def told(
    found: Sequence[FeatureWarning], judge: Judge, observe: Observer, *, end: str = "nothing was published"
) -> tuple[FeatureWarning, ...]:
    """Return warnings, after an observer was told of them; ``end`` says how a run that fails leaves things.

    Raises
    ------
    DataError
        Some of them end the run: the error tells about the first of those, the observer about all others.
    """
    failing = [warning for warning in found if warning.fails]
    for warning in found:
        if warning not in failing[:1]:
            observe(Noted(warning.text, always=True))
    if failing:
        raise judge.error(failing, end)
    return tuple(found)
