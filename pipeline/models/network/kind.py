"""The entry of networks in the table of the kinds of models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

from pipeline.errors import ModelError
from pipeline.models.kinds import ModelKind
from pipeline.models.network import score
from pipeline.models.network.file import KIND, VERSIONS
from pipeline.models.network.model import NetworkModel
from pipeline.models.network.parsing import judge
from pipeline.types.report import ShownModel


def _show(model: NetworkModel) -> ShownModel:
    from pipeline.models.network.show import show  # noqa: PLC0415 - scoring needs none of it

    return show(model)


def _describe(model: NetworkModel) -> Mapping[str, object]:
    from pipeline.models.network.show import describe  # noqa: PLC0415 - as above

    return describe(model)


def _no_scorecard(_: NetworkModel, name: str) -> NoReturn:
    raise ModelError(f"{name} is a network: its score is no sum of points", "a scorecard is for logistic models")


NETWORK: ModelKind[NetworkModel] = ModelKind(
    name=KIND,
    parse=judge,
    block=lambda model, request: score.NetworkBlock.of(model.file, model.stored_path, request),
    restore=score.restore_network,
    show=_show,
    scratch_row_bytes=lambda model: score.scratch_row_bytes(model.file),
    describe=_describe,
    version=VERSIONS[-1],
    scorecard=_no_scorecard,
)
