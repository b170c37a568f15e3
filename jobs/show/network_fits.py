"""What ``fit-network`` shows: a line for each epoch, and the losses at the end; as text or as JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from jobs.show import console, document
from jobs.show.fits import watch_fit
from jobs.show.tables import emit_filled
from jobs.stopping import stopped_with
from pipeline.fitting.describing import network_fit_json, network_plan_json
from pipeline.fitting.report import EpochDone, NetworkReport, row_accounts
from pipeline.report.text import aligned
from pipeline.training.networks import fit_network, preview_fit_network
from pipeline.units import escape, format_bytes, format_count, format_seconds

Params = Mapping[str, Any]

_NOT_OPTIONS = {"dry_run", "json", "quiet", "verbose", "type"}
_AGAIN = "run the same command again: it resumes after the last finished epoch"
_PATH = 1_000
_DIGITS = 8


def show_network_fit(params: Params) -> None:
    """Fit a network and show its losses, or plan the fit.

    Raises
    ------
    LogitstreamError
        As :func:`pipeline.fit_network` raises it; no model was written.
    """
    if params["dry_run"]:
        plan = preview_fit_network(**network_options(params))
        if params["json"]:
            document.write(network_plan_json(plan))
        else:
            console.emit("\n".join(aligned((name, escape(said, _PATH)) for name, said in plan.facts())) + "\n")
        return
    with stopped_with("" if params["output"] is None else _AGAIN):
        report = fit_network(**network_options(params), observe=watch_epochs())
    if params["json"]:
        document.write(network_fit_json(report))
    elif report.output is None or not console.is_quiet():
        _emit(report, all_digits=params["verbose"])
    memory = format_bytes(report.peak_bytes)
    console.tell(f"{_many(len(report.epochs))} in {format_seconds(report.seconds)}; peak memory {memory}")


def network_options(params: Params) -> dict[str, Any]:
    """Return the parameters of the command as arguments of :func:`pipeline.fit_network`."""
    same = {name: value for name, value in params.items() if name not in _NOT_OPTIONS}
    return same | {"class_weight": params["class_weight"] or None, "types": dict(params["type"])}


def watch_epochs() -> Callable[[object], None]:
    """Return the observer of a fit: a line for each pass and each epoch, and each note once."""
    others = watch_fit()

    def observe(event: object) -> None:
        if isinstance(event, EpochDone):
            console.tell(epoch_line(event))
        else:
            others(event)

    return observe


def epoch_line(done: EpochDone) -> str:
    """Return the line for an epoch: its losses, how many rows it read, and how long that took."""
    held = "" if done.held_out_log_loss is None else f"held-out log loss {done.held_out_log_loss:.6g}, "
    rate = f"{format_count(done.rows)} rows in {format_seconds(done.seconds)}"
    return f"epoch {done.number}: log loss {done.log_loss:.6g}, {held}{rate}"


def _emit(report: NetworkReport, *, all_digits: bool) -> None:
    def number(value: float | None) -> str:
        if value is None:
            return ""
        return repr(value) if all_digits else f"{value:.{_DIGITS}g}"

    console.emit("\n".join(aligned(_facts(report, number))) + "\n")
    rows = [
        (format_count(each.number), number(each.log_loss), number(each.held_out_log_loss)) for each in report.epochs
    ]
    emit_filled(("epoch", "log loss", "held-out log loss"), rows, range(3))


def _facts(report: NetworkReport, number: Callable[[float | None], str]) -> Iterator[tuple[str, str]]:
    if report.output is not None:
        yield "model", escape(report.output, _PATH)
        yield "weights", escape(report.model.file.weights.file, _PATH)
    yield "rows", row_accounts(report.rows)
    ended = ", because the held-out log loss got no better" if report.early else ""
    yield "epochs", f"{format_count(len(report.epochs))}{ended}; the weights are those of epoch {report.best_epoch}"
    yield "log loss", number(report.log_loss)
    if report.held_out_log_loss is not None:
        yield "held-out log loss", number(report.held_out_log_loss)


def _many(epochs: int) -> str:
    return f"{format_count(epochs)} epoch{'' if epochs == 1 else 's'}"
