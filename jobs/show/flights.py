"""Scored flights as people read them: a few in words, and the risk of all of them against what happened."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipeline.dataclass import dataclass
from pipeline.units import escape, format_count

# Where in the order of their risks the flights are that are shown.
_SHOWN = (0.1, 0.5, 0.8, 0.9, 0.98)
_TENTHS = 10
_BAR = 30


@dataclass(frozen=True, slots=True)
class Flight:
    """A flight with its score.

    Attributes
    ----------
    carrier : str
    minutes : float or None
        How late it left; negative is early, ``None`` is never.
    miles : float
    risk : float or None
        The probability of arriving more than 15 minutes late.
    late : bool or None
        Whether it did; ``None`` if it never arrived.
    """

    carrier: str
    minutes: float | None
    miles: float
    risk: float | None
    late: bool | None


def in_words(flights: Sequence[Flight]) -> list[str]:
    """Return a table of a few flights, from a low risk to a high one, and one that has no score."""
    known = sorted(_known(flights))
    chosen = [known[int(share * len(known))][2] for share in _SHOWN]
    chosen += [each for each in flights if each.risk is None][:1]
    lines = [f"{'carrier':9}{'departure':20}{'distance':>11}{'risk':>8}   what happened"]
    for each in chosen:
        risk = "none" if each.risk is None else _percent(each.risk)
        miles = f"{each.miles:,.0f} miles"
        lines.append(f"{escape(each.carrier):9}{_departure(each.minutes):20}{miles:>11}{risk:>8}   {_arrival(each)}")
    return lines


def against_outcome(flights: Sequence[Flight]) -> list[str]:
    """Return a table of ten groups of equal size, by risk: the mean risk, and how many really were late."""
    known = sorted(_known(flights))
    lines = [f"{'tenth':9}{'flights':>8}{'risk':>8}{'were late':>12}"]
    for number in range(_TENTHS):
        tenth = known[number * len(known) // _TENTHS : (number + 1) * len(known) // _TENTHS]
        risk = sum(risk for risk, _, _ in tenth) / len(tenth)
        late = sum(bool(each.late) for _, _, each in tenth) / len(tenth)
        bar = "#" * round(late * _BAR)
        name = {0: "lowest", _TENTHS - 1: "highest"}.get(number, str(number + 1))
        lines.append(f"{name:9}{format_count(len(tenth)):>8}{_percent(risk):>8}{_percent(late):>12}   {bar}".rstrip())
    return lines


def _known(flights: Sequence[Flight]) -> Iterator[tuple[float, int, Flight]]:
    """Yield the flights with a score and an outcome, by risk; their numbers settle which comes first of equals."""
    for number, each in enumerate(flights):
        if each.risk is not None and each.late is not None:
            yield each.risk, number, each


def _departure(minutes: float | None) -> str:
    if minutes is None:
        return "never left"
    count = f"{abs(minutes):.0f} minute{'' if abs(minutes) == 1 else 's'}"
    return f"{count} late" if minutes > 0 else f"{count} early" if minutes < 0 else "on time"


def _arrival(flight: Flight) -> str:
    if flight.late is None:
        return "cancelled, so no score" if flight.minutes is None else "not known"
    return "arrived late" if flight.late else "not late"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
