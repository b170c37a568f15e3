"""The hidden layers of a network, as people write them: ``64 sigmoid, 32 sigmoid``."""

from __future__ import annotations

import re

from pipeline.dataclass import dataclass
from pipeline.errors import UsageError
from pipeline.registry import LAYER_FUNCTIONS
from pipeline.units import nearest, quoted

_LAYER = re.compile(r"\s*([0-9]{1,6})\s+([a-z_]+)\s*")
_MOST_LAYERS = 100
_HOW = 'write the units and the function of each layer: "64 sigmoid, 32 sigmoid"'
_RECURRENT = frozenset({"lstm", "gru"})
_IMPORTED = "recurrent layers are imported, not fitted: train them in PyTorch (see: logitstream guide networks)"


@dataclass(frozen=True, slots=True)
class HiddenLayer:
    """The units of a hidden layer, and their function."""

    units: int
    function: str

    def __str__(self) -> str:
        return f"{self.units} {self.function}"


def parse_hidden(text: str) -> tuple[HiddenLayer, ...]:
    """Return the hidden layers that ``--hidden`` describes.

    Raises
    ------
    UsageError
        It is no list of units and functions, or there is no such function.
    """
    layers = tuple(map(_parse_layer, text.split(",")))
    if len(layers) > _MOST_LAYERS:
        raise UsageError(f"--hidden has {len(layers)} layers, but may have {_MOST_LAYERS}", "leave some out")
    return layers


def _parse_layer(text: str) -> HiddenLayer:
    found = _LAYER.fullmatch(text)
    if found is None or not int(found[1]):
        raise UsageError(f"--hidden: {quoted(text.strip())} is not a layer", _HOW)
    if found[2] not in LAYER_FUNCTIONS:
        near = nearest(found[2], LAYER_FUNCTIONS)
        remedy = _IMPORTED if found[2] in _RECURRENT else f"use one of {', '.join(LAYER_FUNCTIONS)}"
        raise UsageError(f"--hidden: there is no function {found[2]} for a layer{near}", remedy)
    return HiddenLayer(int(found[1]), found[2])
