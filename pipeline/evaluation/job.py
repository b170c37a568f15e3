"""What an evaluation reads, and how."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pipeline.choices import Absent, MissingTarget, Precision
from pipeline.dataclass import dataclass
from pipeline.evaluation.names import NamesBudget
from pipeline.evaluation.scoring import ScoresColumns
from pipeline.evaluation.terms import EvaluationTerms
from pipeline.kernels import arithmetic_tag
from pipeline.models.blocks import arithmetic_of
from pipeline.scan import HowToScan
from pipeline.types.blocks import ReadsFiles
from pipeline.types.inputs import CsvOptions
from pipeline.types.job import BadLimit, ShareLimits


@dataclass(frozen=True, slots=True)
class EvaluationJob:
    """An evaluation, checked as far as that can be done without its inputs.

    Attributes
    ----------
    inputs : tuple of str
    terms : EvaluationTerms
    blocks : tuple of ScoresColumns
        What scores the rows; none where a column has the probability.
    missing_target : {"error", "drop"}
    csv : CsvOptions
    absent : {"error", "null"}
    max_bad : BadLimit
    limit : int or None
    chunk_size : str
    full_fingerprint : bool
        Whether all bytes of the inputs are digested.
    precision : {"fast", "accurate", "reproducible"}
    how : HowToScan
    max_unseen, max_missing : ShareLimits
        How much of the features of the models may be unseen, or missing. They change no measure.
    fitted : str or None
        The digest that the inputs must have, as those of a fit, so that places in them say which rows it held out.
    times : tuple of str
        The columns of groups that are times, found when the inputs are looked at.
    names : NamesBudget or None
        How much memory the names of groups may take, found then too.
    """

    inputs: tuple[str, ...]
    terms: EvaluationTerms
    blocks: tuple[ScoresColumns, ...]
    missing_target: MissingTarget
    csv: CsvOptions
    absent: Absent
    max_bad: BadLimit
    limit: int | None
    chunk_size: str
    full_fingerprint: bool
    precision: Precision
    how: HowToScan
    max_unseen: ShareLimits
    max_missing: ShareLimits
    fitted: str | None = None
    times: tuple[str, ...] = ()
    names: NamesBudget | None = None

    @property
    def judged_by(self) -> tuple[CsvOptions, ShareLimits, ShareLimits]:
        """By what the features are judged after the pass."""
        return self.csv, self.max_unseen, self.max_missing

    def settings(self) -> dict[str, Any]:
        """Return what the step needs, as JSON."""
        beside: dict[str, str] = {}
        for block in self.blocks:
            beside |= block.beside() if isinstance(block, ReadsFiles) else {}
        return {
            "terms": self.terms.to_json(),
            "blocks": [block.describe() for block in self.blocks],
            "beside": beside,
            "missing_target": self.missing_target,
            "decimal": self.csv.decimal,
            "nulls": self.csv.spellings,
            "times": self.times,
            "names": None if self.names is None else asdict(self.names),
            "precision": self.precision,
            "arithmetic": arithmetic_here(self.blocks, self.precision),
        }


def arithmetic_here(blocks: tuple[ScoresColumns, ...], precision: Precision) -> list[str]:
    """Return the tags of everything that bits depend on in this process."""
    return [arithmetic_tag(precision), *(arithmetic_of(block, precision) for block in blocks)]
