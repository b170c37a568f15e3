"""What ``bench`` measures, as text, as JSON or as a picture."""

from __future__ import annotations

from collections.abc import Sequence

from jobs.show import console, document
from jobs.show.tables import ONE_LINER_OUT, OTHERS, OURS, emit_costs, emit_errors
from pipeline.bench import Bench, bench_functions, bench_json
from pipeline.drawing import check_picture, draw_bars, save
from pipeline.units import escape, format_count


def show_functions(
    names: Sequence[str], *, size: int, dtype: str, threads: int, rounds: int, plot: str | None, as_json: bool
) -> None:
    """Measure functions, and show what was found."""
    if plot is not None:
        check_picture(plot)
    bench = bench_functions(
        names,
        size=size,
        dtype=dtype,
        threads=threads,
        rounds=rounds,
        told=lambda name: console.tell(f"measuring {name}"),
    )
    if plot is not None:
        contenders = (OURS, ONE_LINER_OUT, *OTHERS)
        costs = {each.name: {who: cost.ns for who, cost in each.costs.items()} for each in bench.functions}
        save(draw_bars(costs, contenders, f"{_what(bench)}\n{escape(bench.machine)}", "ns per element"), plot)
    if as_json:
        document.write(bench_json(bench))
        return
    console.emit(f"{_what(bench)}\n{escape(bench.machine)}, {_versions(bench)}\n")
    emit_costs(bench)
    console.emit(_legend(bench))
    if bench.errors:
        console.emit("\nLargest error of a sigmoid in float64, in units in the last place of the exact value:\n")
        emit_errors(bench)


def _legend(bench: Bench) -> str:
    lines = (
        f"ns: per element, written to an existing array (out=); the median of {bench.rounds} rounds",
        "ns new: the same without out=",
        "numpy: the one-liner, its last step with out=",
        "ratio: ns divided by numpy; new: the same for both without out=",
        "GB/s: bytes of x and of the result per time; of copy: the time to copy x to the result, divided by ns",
        "memory: the largest memory in use besides x and the result, by numpy's allocations",
    )
    return "\n".join(("", *lines))


def _what(bench: Bench) -> str:
    threads = "1 thread, processor time" if bench.threads == 1 else f"{bench.threads} threads, wall time"
    return f"{format_count(bench.size)} elements of {bench.dtype}, {threads}"


def _versions(bench: Bench) -> str:
    return ", ".join(f"{name} {version}" for name, version in bench.versions.items())
