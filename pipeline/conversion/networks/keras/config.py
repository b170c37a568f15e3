"""The configuration of a Keras model: its layers one after the other, each with its settings."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from pipeline.dataclass import dataclass
from pipeline.errors import ModelError
from pipeline.units import escape

_AGAIN = "write it again with Keras 3: model.save('model.keras')"
_ONE_CHAIN = "each layer must take the outputs of the one before, and of no other"
_MODELS = frozenset({"Sequential", "Functional"})

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class KerasLayer:
    """A layer of a Keras model.

    Attributes
    ----------
    kind : str
        Its class.
    name : str
    settings : mapping
        What it was made with.
    stored : str
        What the file of weights calls it.
    """

    kind: str
    name: str
    settings: Mapping[str, Any]
    stored: str

    @property
    def shown(self) -> str:
        """What messages call it."""
        return f'"{escape(self.name)}" ({escape(self.kind)})'

    @property
    def precision(self) -> str:
        """What it computes in, as Keras names it."""
        dtype = self.settings.get("dtype", "float32")
        policy = dtype.get("config", {}) if isinstance(dtype, dict) else {"name": dtype}
        if not isinstance(policy, dict):
            raise self.refused(f"has {escape(repr(dtype), 40)} for dtype", _AGAIN)
        return str(policy.get("name"))

    def refused(self, why: str, remedy: str) -> ModelError:
        """Return an error that names the layer."""
        return ModelError(f"the layer {self.shown} {why}", remedy)

    def setting(self, name: str, types: type[T] | tuple[type[T], ...], default: T) -> T:
        """Return a setting, or its default where there is none; raise an error if it has another type."""
        value = self.settings.get(name, default)
        if not isinstance(value, types) or (isinstance(value, bool) and types is not bool):
            raise self.refused(f"has {escape(repr(value), 40)} for {name}", _AGAIN)
        return value


@dataclass(frozen=True, slots=True)
class KerasModel:
    """The layers of a Keras model behind its input.

    Attributes
    ----------
    input : str
        What the input is called.
    shape : tuple of int or None
        The shape of a row of it; ``None`` is a length that the model leaves open.
    layers : tuple of KerasLayer
    """

    input: str
    shape: tuple[int | None, ...]
    layers: tuple[KerasLayer, ...]


def model_of(config: Mapping[str, Any]) -> KerasModel:
    """Return the layers of a Sequential model, or of a functional one that is a chain.

    Raises
    ------
    ModelError
        It is another model, is damaged, or has layers that do not form a chain.
    """
    try:
        kind, said = _class(config), config["config"]
        if kind not in _MODELS:
            raise ModelError(
                f"the file has a model of the class {escape(kind)}", "use a Sequential or functional model of Keras"
            )
        entries = [*said["layers"]]
        layers = [*_layers(entries)]
        if kind == "Functional":
            layers = _chain(said, entries, layers)
        inputs = [layer for layer in layers if layer.kind == "InputLayer"]
        if inputs and (len(inputs) > 1 or layers[0] is not inputs[0]):
            raise ModelError("the model has more than one input", _ONE_CHAIN)
        shape = inputs[0].settings["batch_shape"] if inputs else said["build_input_shape"]
        name = inputs[0].name if inputs else str(said["name"])
        return KerasModel(name, tuple(_length(each) for each in shape[1:]), tuple(layers[len(inputs) :]))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError) as error:
        raise ModelError("the configuration of the model in the file is damaged", _AGAIN) from error


def _length(said: Any) -> int | None:
    return None if said is None else int(said)


def _class(entry: Mapping[str, Any]) -> str:
    """Return the class of a part; one that is not of Keras is refused by its name."""
    kind, module, registered = str(entry["class_name"]), str(entry.get("module")), entry.get("registered_name")
    if not module.startswith("keras.") and module != "keras":
        raise ModelError(
            f"the file has {escape(kind)} of {escape(module)}, which is not part of Keras", "use layers of Keras"
        )
    if registered not in {None, kind}:
        raise ModelError(f"the file has {escape(str(registered))}, which is not part of Keras", "use layers of Keras")
    return kind


def _layers(entries: Sequence[Mapping[str, Any]]) -> Iterator[KerasLayer]:
    """Yield the layers in their order, each with its name in the file of weights: its class, and a number."""
    seen: Counter[str] = Counter()
    for entry in entries:
        kind, settings = _class(entry), entry["config"]
        plain = _snake(kind)
        number = seen[plain]
        seen[plain] += 1
        if not isinstance(settings, dict):
            raise TypeError(kind)
        yield KerasLayer(kind, str(settings["name"]), settings, f"{plain}_{number}" if number else plain)


def _snake(name: str) -> str:
    """Return the name of a class as Keras writes it beside weights: GlobalMaxPooling1D is global_max_pooling1d."""
    words = re.sub(r"\W+", "", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", words)).lower()


def _chain(
    said: Mapping[str, Any], entries: Sequence[Mapping[str, Any]], layers: Sequence[KerasLayer]
) -> list[KerasLayer]:
    """Return the layers of a functional model in the order of its graph."""
    behind: dict[str, KerasLayer] = {}
    (first, *others), (last, *more) = _ends(said["input_layers"]), _ends(said["output_layers"])
    if others or more:
        raise ModelError(
            f"the model has {1 + len(others)} inputs and {1 + len(more)} outputs, not one each", _ONE_CHAIN
        )
    for entry, layer in zip(entries, layers, strict=True):
        nodes = entry["inbound_nodes"]
        sources = [*_sources(nodes)]
        if layer.kind == "InputLayer" and not sources:
            continue
        if len(nodes) != 1 or len(sources) != 1 or sources[0] in behind:
            raise layer.refused("takes several outputs, or shares them with another layer", _ONE_CHAIN)
        behind[sources[0]] = layer
    found = [next(layer for layer in layers if layer.name == first)]
    while found[-1].name != last and len(found) <= len(layers):
        found.append(behind[found[-1].name])
    return found


def _ends(said: Any) -> list[str]:
    """Return the names of the inputs or outputs of a model: one is written without a list around it."""
    return [str(each[0]) for each in ([said] if isinstance(said[0], str) else said)]


def _sources(node: Any) -> Iterator[str]:
    """Yield the layers whose outputs a call takes, wherever it has them."""
    if isinstance(node, dict) and node.get("class_name") == "__keras_tensor__":
        name, _, output = node["config"]["keras_history"]
        if output:
            raise ModelError(f'a layer takes a state of the layer "{escape(str(name))}"', _ONE_CHAIN)
        yield str(name)
    elif isinstance(node, dict | list):
        for each in node.values() if isinstance(node, dict) else node:
            yield from _sources(each)
