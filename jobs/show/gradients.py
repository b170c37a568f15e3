"""What ``diagnose gradients`` measures, as text, as JSON or as a picture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from jobs.show import console, document
from jobs.show.signals import wrapped
from jobs.show.tables import emit_filled
from pipeline.diagnosis import SATURATED_SHARE, GradientReport, LayerGradient, gradients_json
from pipeline.diagnosis.findings import gradient_row
from pipeline.diagnosis.gradients import diagnose_gradients
from pipeline.drawing import NormLine, check_picture, draw_norms, save
from pipeline.report.text import aligned
from pipeline.units import escape, format_count

_HEADERS = ("layer", "units", "norm of dL/dz", "weight gradient", "saturated", "mean activation")
_LEFT_OUT = {
    "bad": "bad",
    "set_aside": "set aside by the model",
    "without_score": "without a value that the model needs",
    "without_target": "without a target",
    "not_finite": "with an input or a raw prediction that is NaN or infinite",
}
_NOTE = 1_000
# In a table: of more steps, so many are shown, and all with --json.
_MOST_STEPS = 20


def show_gradients(params: Mapping[str, Any], *, plot: str | None, as_json: bool) -> None:
    """Measure gradients, and show what was found; ``params`` are those of the command."""
    if plot is not None:
        check_picture(plot)
    report = diagnose_gradients(**gradient_options(params))
    for note in report.notes:
        console.tell(f"note: {escape(note, _NOTE)}")
    if plot is not None:
        title = "Error signal and gradients, layer by layer"
        save(draw_norms(_lines(report), title, "norm", _lines_through_time(report)), plot)
    if as_json:
        document.write(gradients_json(report))
        return
    pairs = [("loss and rows", report.described), *_left_out(report)]
    console.emit("\n".join(aligned(pairs)) + "\n")
    emit_filled(_HEADERS, [gradient_row(each) for each in report.layers], range(1, len(_HEADERS)))
    _emit_steps(report)
    told = (_legend(report), *report.sentences, report.advice)
    console.emit("\n" + "\n\n".join(map(wrapped, told)))


def gradient_options(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of the command as arguments of :func:`pipeline.diagnose_gradients`."""
    return {name: value for name, value in params.items() if name != "type"} | {"types": dict(params["type"])}


def _left_out(report: GradientReport) -> list[tuple[str, str]]:
    counts = ((report.rows[name], words) for name, words in _LEFT_OUT.items())
    return [("left out", f"{format_count(count)} {words}") for count, words in counts if count]


def _lines(report: GradientReport) -> list[NormLine]:
    norms = {
        "error signal dL/dz": [each.norm for each in report.layers],
        "gradient of the weights": [each.weight_gradient for each in report.layers],
    }
    return [NormLine(f"{name}: {_share(line)}", line, line, line) for name, line in norms.items()]


def _through_time(report: GradientReport) -> list[LayerGradient]:
    return [each for each in report.layers if len(each.steps) > 1]


def _lines_through_time(report: GradientReport) -> list[NormLine]:
    return [
        NormLine(f"layer {each.number} ({each.kind}): {_share(each.steps)}", each.steps, each.steps, each.steps)
        for each in _through_time(report)
    ]


def _emit_steps(report: GradientReport) -> None:
    """Show the norms in the steps of recurrent layers, of many steps some."""
    layers = _through_time(report)
    if not layers:
        return
    count = max(len(each.steps) for each in layers)
    # Evenly, the first and the last among them.
    shown = sorted({round(place * (count - 1) / (_MOST_STEPS - 1)) for place in range(_MOST_STEPS)})
    if count <= _MOST_STEPS:
        shown = list(range(count))
    rows = [[str(back), *(f"{each.steps[-1 - back]:.2e}" for each in layers)] for back in reversed(shown)]
    console.emit("")
    headers = ("steps before the last", *(f"norm of dL/dz, layer {each.number}" for each in layers))
    emit_filled(headers, rows, range(len(headers)))


def _share(norms: Sequence[float]) -> str:
    first, last = norms[0], norms[-1]
    return f"{first / last:.1e}" if last and math.isfinite(first) and math.isfinite(last) else "-"


def _legend(report: GradientReport) -> str:
    gates = (
        " In lstm and gru, z are the arguments of the gates in all steps, and gates are counted as units. The norm in "
        "a step is the mean over the rows that have so many steps."
    )
    return (
        "Layer 1 is next to the input. The norm of dL/dz is the mean over the rows; the weight gradient is the norm of "
        "the gradient of the mean loss. A unit is saturated in a row where the slope of its function is less than "
        f"{SATURATED_SHARE:.2g} of the largest slope. Values of the last layer are its probabilities."
        f"{gates if _through_time(report) else ''}"
    )
