"""Rows that a fit held out: what a model file says of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.dataclass import dataclass
from pipeline.errors import UsageError
from pipeline.evaluation.scoring import ScoresColumns
from pipeline.fitting.first_pass.dividing import ColumnComparison, parse_holdout
from pipeline.units import escape


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Which rows a fit held out: as its options say it, and the digest of its files where their places decide."""

    holdout: str | None = None
    key: str | None = None
    fitted: str | None = None


def held_out(blocks: Sequence[ScoresColumns], names: Sequence[str], limit: int | None) -> HeldOut:
    """Return which rows the fits of all models held out, as their files say it.

    Raises
    ------
    UsageError
        A file does not say it, the models differ, or places in the files say nothing of these rows.
    """
    if not blocks:
        raise UsageError("--rows held-out needs a model, whose file says what was held out", "leave it out")
    first, *others = (
        _of_training(block.model.training, name, limit) for block, name in zip(blocks, names, strict=True)
    )
    if any(other != first for other in others):
        raise UsageError("the fits of the two models held out other rows", "leave --rows held-out out")
    return first


def _of_training(training: Mapping[str, Any] | None, name: str, limit: int | None) -> HeldOut:
    algorithm, data = (_section(training, each) for each in ("algorithm", "data"))
    holdout, key = algorithm.get("holdout"), algorithm.get("key")
    if not isinstance(holdout, str):
        raise UsageError(
            f"{escape(name, 1000)} does not say that its fit held out rows",
            "leave --rows held-out out, or fit the model with --holdout",
        )
    if key is not None or isinstance(parse_holdout(holdout), ColumnComparison):
        return HeldOut(holdout, key)
    if data.get("limit") != limit:
        raise UsageError(
            f"{escape(name, 1000)} was fitted to another number of rows, so that places say nothing of the others",
            f"add --limit {data['limit']}" if "limit" in data else "leave --limit out",
        )
    return HeldOut(holdout, None, str(data.get("digest")))


def _section(training: Mapping[str, Any] | None, name: str) -> Mapping[str, Any]:
    """Return what a fit says under a name; nothing where it says something else there, or nothing."""
    found = (training or {}).get(name)
    return found if isinstance(found, Mapping) else {}
