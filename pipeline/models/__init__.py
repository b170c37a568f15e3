"""What named columns mean: models, functions of columns, and both as block functions."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.grammar import Application, parse_application
from pipeline.models.file import ModelFile, schema
from pipeline.models.logistic import LogisticModel
from pipeline.models.score import ScoreBlock, restore_score
from pipeline.models.sklearn import Comparison, compare, from_sklearn
from pipeline.models.transform import TransformBlock, restore_transform

__all__ = [
    "Application",
    "Comparison",
    "LogisticModel",
    "ModelFile",
    "ScoreBlock",
    "TransformBlock",
    "compare",
    "from_sklearn",
    "parse_application",
    "restore",
    "schema",
]


def restore(description: Mapping[str, object]) -> ScoreBlock | TransformBlock:
    """Return the block function whose ``describe()`` gave this description: the same columns, fields and bits."""
    if description["function"] == "score":
        return restore_score(description)
    return restore_transform(description)
