"""What ``model import`` does: converts the file of another tool, writes the model, and says what was found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from jobs.show import console, document
from pipeline.choices import IfExists
from pipeline.modelling import imported_model
from pipeline.report.models import import_json
from pipeline.units import escape, format_count

# Why a model of a kind was not compared; of the others rows can be given.
_UNCOMPARED = {
    "pmml": "not compared: the document brings no rows with probabilities for its verification",
    "vw": "not compared: score some rows, and look at what VW predicts for them",
}


def show_import(
    path: str, output: str, *, kind: str | None, check: str | None, if_exists: IfExists, as_json: bool
) -> None:
    """Convert a file, write the model and show how far the two are apart.

    Raises
    ------
    LogitstreamError
        As :func:`pipeline.import_model` raises it, or the output exists; nothing was written.
    """
    model = imported_model(path, output, kind=kind, check=check, if_exists=if_exists)
    facts = (model.training or {})["imported"]
    if as_json:
        document.write(import_json(path, output, model.digest(), facts))
        return
    for note in facts.get("notes", ()):
        console.tell(f"note: {escape(note, 1000)}")
    console.confirm("\n".join(_told(escape(path), escape(output), len(model.features), facts)))


def _told(path: str, output: str, features: int, facts: Mapping[str, Any]) -> Iterator[str]:
    count = f"{format_count(features)} feature{'' if features == 1 else 's'}"
    yield f"{output}: a model with {count}, from {path} ({facts['from']})"
    if "rows" in facts:
        rows = f"{format_count(facts['rows'])} rows scored both ways"
        yield f"{rows}: largest difference {facts['largest_difference']:.2g} ({facts['tool']})"
    else:
        yield _UNCOMPARED.get(facts["from"], "not compared with the tool that made it: --check DATA does that")
