"""What ``diagnose`` measures, as text, as JSON or as a picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from textwrap import fill
from typing import Any

from jobs.show import console, document
from jobs.show.tables import emit_filled
from pipeline.diagnosis import (
    SATURATED_SHARE,
    InitialisationReport,
    StackSignal,
    diagnose_initialisation,
    initialisation_json,
)
from pipeline.drawing import NormLine, check_picture, draw_norms, save

_WIDTH = 100
_HEADERS = ("initialisation", "layer", "norm of dL/dz", "lowest", "highest", "saturated", "mean activation")


def show_initialisation(options: Mapping[str, Any], *, plot: str | None, as_json: bool) -> None:
    """Measure initialisations, and show what was found; ``options`` are those of the function."""
    if plot is not None:
        check_picture(plot)
    report = diagnose_initialisation(**options)
    if plot is not None:
        save(draw_norms([_line(each) for each in report.stacks], f"Error signal in {report.described}"), plot)
    if as_json:
        document.write(initialisation_json(report))
        return
    console.emit(f"{report.described}; {report.drawn}\n")
    emit_filled(_HEADERS, list(_rows(report)), range(1, len(_HEADERS)))
    told = (_legend(report), *report.sentences, report.advice)
    console.emit("\n" + "\n\n".join(map(wrapped, told)))


def wrapped(text: str) -> str:
    """Return a text in lines; a number and its sign of percent stay together."""
    return fill(text.replace(" %", "\N{NO-BREAK SPACE}%"), _WIDTH).replace("\N{NO-BREAK SPACE}", " ")


def _line(stack: StackSignal) -> NormLine:
    layers = stack.layers
    return NormLine(
        f"{stack.label}: {stack.ratio:.1e}",
        [each.norm for each in layers],
        [each.lowest for each in layers],
        [each.highest for each in layers],
    )


def _rows(report: InitialisationReport) -> Iterator[tuple[str, ...]]:
    for stack in report.stacks:
        for layer in stack.layers:
            norms = (f"{norm:.2e}" for norm in (layer.norm, layer.lowest, layer.highest))
            shares = (f"{100 * layer.saturated:.1f} %", f"{layer.mean_activation:.3g}")
            yield (stack.label if layer.number == 1 else "", str(layer.number), *norms, *shares)


def _legend(report: InitialisationReport) -> str:
    return (
        "Layer 1 is next to the input. A norm is the mean over the rows, and the median of the seeds; lowest and "
        "highest are those of single seeds. A unit is saturated in a row where the slope of its function is less than "
        f"{SATURATED_SHARE:.2g} of the largest slope, {report.largest_slope:.3g}{_of_the_sigmoid(report.function)}."
    )


def _of_the_sigmoid(function: str) -> str:
    return ": where its value is less than 0.05 or more than 0.95" if function == "sigmoid" else ""
