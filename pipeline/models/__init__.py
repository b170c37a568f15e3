"""Models of every kind and functions of columns, and both as block functions."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pipeline.grammar import Application, parse_application
from pipeline.models.kinds import (
    KINDS,
    DescribedBlock,
    Model,
    ModelKind,
    describe_model,
    examine_model,
    load_model,
    restore_model,
    score_block,
    scorecard_model,
    show_model,
)
from pipeline.models.logistic.model import LogisticModel
from pipeline.models.logistic.score import ScoreBlock
from pipeline.models.request import ScoreRequest
from pipeline.models.store import read_file, write_new_file
from pipeline.models.transform import TransformBlock, restore_transform
from pipeline.models.upgrade import Upgrade, upgrade_model
from pipeline.models.wording import model_error

__all__ = [
    "KINDS",
    "Application",
    "LogisticModel",
    "Model",
    "ModelKind",
    "ScoreBlock",
    "ScoreRequest",
    "TransformBlock",
    "Upgrade",
    "describe_model",
    "examine_model",
    "load_model",
    "model_error",
    "parse_application",
    "read_file",
    "restore",
    "schema",
    "score_block",
    "scorecard_model",
    "show_model",
    "upgrade_model",
    "write_new_file",
]


def schema() -> dict[str, Any]:
    """Return the JSON schema of a model file, for editors."""
    from pipeline.models.logistic.contents import schema as schema_of  # noqa: PLC0415 - loads all that a file may have

    return schema_of()


def restore(description: Mapping[str, object], beside: Mapping[str, str] = MappingProxyType({})) -> DescribedBlock:
    """Return the block function described by a result of ``describe()``: the same columns, fields and bits.

    ``beside`` has the paths of the files beside a model, by their SHA-256.
    """
    if description["function"] == "score":
        return restore_model(description, beside)
    return restore_transform(description)
