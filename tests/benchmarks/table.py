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
    before = f" and, before, {found['before']}" if found.get("before") else ""
    scale = "" if found["scale"] == 1 else " (targets are those of scale 1)"
    return [
        f"scale {found['scale']:g}{scale}, {found['rounds']} rounds, {found['cache']} cache",
        f"{found['machine']}; {found['command']} of {found['revision'] or 'no revision'}{before}; {versions}",
    ]


def table(found: Mapping[str, Any]) -> str:
    """Return every contender with what it took and ours over that, then the other figures; medians and ranges."""
    lines = headline(found)
    heads = (
        "case",
        "contender",
        "wall",
        "ours / it",
        "target",
        "",
        "CPU time",
        "ours / it",
        "peak memory",
        "ours / it",
    )
    lines += ["", *rows(heads, [cells for name, case in found["cases"].items() for cells in contenders(name, case)])]
    figures = [
        (name, figure["name"], ranged(figure), target(figure), VERDICTS[figure["met"]])
        for name, case in found["cases"].items()
        for figure in case["figures"]
        if not figure["over"]
    ]
    if figures:
        lines += ["", *rows(("case", "figure", "median (range)", "target", ""), figures)]
    return "\n".join([*lines, "", *(f"- {name}: {case['text']}" for name, case in found["cases"].items())])


def contenders(name: str, case: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yield a row for each contender of a case."""
    ratios = {tuple(figure["over"]): figure for figure in case["figures"] if figure["over"]}
    for each in case["contenders"]:
        cells = [name, f"{each['name']} {each['form']}".strip()]
        for measure in ("wall", "CPU", "peak"):
            ratio = ratios.get((measure, each["name"]))
            cells += [ranged(each[measure]), ranged(ratio) if ratio else ""]
            if measure == "wall":
                cells += [target(ratio), VERDICTS[ratio["met"]]] if ratio else ["", ""]
        yield tuple(cells)
