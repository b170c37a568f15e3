"""Models of every kind and functions of columns, and both as block functions."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.grammar import Application, parse_application
from pipeline.models.kinds import (
    KINDS,
    DescribedBlock,
    Model,
    ModelKind,
    load_model,
    restore_model,
    score_block,
    scorecard_model,
    show_model,
)
from pipeline.models.logistic.file import schema
from pipeline.models.logistic.model import LogisticModel
from pipeline.models.logistic.score import ScoreBlock
from pipeline.models.request import ScoreRequest
from pipeline.models.transform import TransformBlock, restore_transform

__all__ = [
    "KINDS",
    "Application",
    "LogisticModel",
    "Model",
    "ModelKind",
    "ScoreBlock",
    "ScoreRequest",
    "TransformBlock",
    "load_model",
    "parse_application",
    "restore",
    "schema",
    "score_block",
    "scorecard_model",
    "show_model",
]


def restore(description: Mapping[str, object]) -> DescribedBlock:
    """Return the block function described by a result of ``describe()``: the same columns, fields and bits."""
    if description["function"] == "score":
        return restore_model(description)
    return restore_transform(description)
