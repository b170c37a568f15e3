"""Results for people: Markdown tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

VERDICTS = {True: "met", False: "**missed**", None: ""}


def quantity(value: float, unit: str) -> str:
    """Return a number with its unit."""
    match unit:
        case "s":
            return f"{value:.2f} s"
        case "bytes":
            return f"{value / 1e6:.0f} MB"
        case "share":
            return f"{100 * value:.2f} %"
        case _:
            return f"{value:.3f}" if abs(value) < 0.1 else f"{value:.2f}"


def ranged(figure: Mapping[str, Any]) -> str:
    """Return a figure's median and range."""
    median, least, most = (quantity(figure[name], figure["unit"]) for name in ("median", "least", "most"))
    return f"{median} ({least.split()[0]} to {most.split()[0]})"


def target(figure: Mapping[str, Any]) -> str:
    """Return a figure's target in words."""
    return "" if figure["target"] is None else f"at or under {quantity(figure['target'], figure['unit'])}"


def rows(heads: Sequence[str], body: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table."""
    yield f"| {' | '.join(heads)} |"
    yield "|" + "---|" * len(heads)
    for cells in body:
        yield f"| {' | '.join(cells)} |"


def headline(found: Mapping[str, Any]) -> list[str]:
    """Return the lines that say under which circumstances results were found."""
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    scale = "" if found["scale"] == 1 else " (targets are those of scale 1)"
    return [
        f"scale {found['scale']:g}{scale}, {found['rounds']} rounds, {found['cache']} cache",
        f"{found['machine']}; {found['command']} of {found['revision'] or 'no revision'}; {versions}",
    ]


def table(found: Mapping[str, Any]) -> str:
    """Return figures with their targets, then all contenders with what they took; medians and ranges over rounds."""
    figures = [
        (name, figure["name"], ranged(figure), target(figure), VERDICTS[figure["met"]])
        for name, case in found["cases"].items()
        for figure in case["figures"]
    ]
    contenders = [
        (
            name,
            f"{each['name']} {each['form']}".strip(),
            *(ranged(each[measure]) for measure in ("wall", "CPU", "peak")),
        )
        for name, case in found["cases"].items()
        for each in case["contenders"]
    ]
    data = [f"- {name}: {case['text']}" for name, case in found["cases"].items()]
    lines = [
        *headline(found),
        "",
        *rows(("case", "figure", "median (range)", "target", ""), figures),
        "",
        *rows(("case", "contender", "wall", "CPU time", "peak memory"), contenders),
        "",
        *data,
    ]
    return "\n".join(lines)
