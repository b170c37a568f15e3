"""What ``model import`` does: converts the file of another tool, writes the model, and says what was found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from jobs.show import console, document
from pipeline.choices import IfExists
from pipeline.errors import UsageError
from pipeline.modelling import import_network, imported_model
from pipeline.report.models import import_json
from pipeline.units import escape, format_count

# Why a model of a kind was not compared; of the others rows can be given.
_UNCOMPARED = {
    "pmml": "not compared: the document brings no rows with probabilities for its verification",
    "vw": "not compared: score some rows, and look at what VW predicts for them",
}


def show_import(
    path: str,
    output: str,
    *,
    kind: str | None,
    check: str | None,
    layers: str | None,
    if_exists: IfExists,
    as_json: bool,
) -> None:
    """Convert a file, write the model and show how far the two are apart.

    Raises
    ------
    UsageError
        Weights come without a description of their layers, or with options for other files.
    LogitstreamError
        As :func:`pipeline.import_model` raises it, or the output exists; nothing was written.
    """
    if layers is not None:
        _show_network(path, layers, output, kind=kind, check=check, if_exists=if_exists, as_json=as_json)
        return
    if path.endswith(".safetensors"):
        raise UsageError(
            f"{escape(path)} has the weights of a network, but not its layers",
            "add --layers FILE.json with its features, layers and head (see: logitstream guide models)",
        )
    model = imported_model(path, output, kind=kind, check=check, if_exists=if_exists)
    facts = (model.file.training or {})["imported"]
    if as_json:
        document.write(import_json(path, output, model.digest(), facts))
        return
    for note in facts.get("notes", ()):
        console.tell(f"note: {escape(note, 1000)}")
    what = f"a {'network' if model.kind == 'network' else 'model'} with {_count(len(model.file.features))}"
    console.confirm("\n".join(_told(escape(path), f"{escape(output)}: {what}", facts)))


def _show_network(
    path: str,
    layers: str,
    output: str,
    *,
    kind: str | None,
    check: str | None,
    if_exists: IfExists,
    as_json: bool,
) -> None:
    if kind is not None:
        raise UsageError("--kind is not for weights, which --layers describes", "leave out --kind or --layers")
    model = import_network(path, layers, output, check=check, if_exists=if_exists)
    facts = (model.file.training or {})["imported"]
    if as_json:
        document.write(import_json(path, output, model.digest(), facts))
        return
    count = _count(len(model.file.features))
    made = f"{escape(output)}: a network with {count}, from {escape(path)} and {escape(layers)}"
    console.confirm("\n".join([made, *_compared(facts)]))


def _count(features: int) -> str:
    return f"{format_count(features)} feature{'' if features == 1 else 's'}"


def _told(path: str, made: str, facts: Mapping[str, Any]) -> Iterator[str]:
    yield f"{made}, from {path} ({facts['from']})"
    compared = [*_compared(facts)]
    yield from compared
    if not compared:
        yield _UNCOMPARED.get(facts["from"], "not compared with the tool that made it: --check DATA does that")


def _compared(facts: Mapping[str, Any]) -> Iterator[str]:
    if "rows" in facts:
        rows = f"{format_count(facts['rows'])} rows scored both ways"
        yield f"{rows}: largest difference {facts['largest_difference']:.2g} ({facts['tool']})"
