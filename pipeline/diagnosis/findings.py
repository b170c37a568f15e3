"""What a diagnosis of initialisations returns."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.choices import Initialisation
from pipeline.types.tabular import Summary, Tabular
from pipeline.units import format_count

# Of the weights of ``normal``, whatever the width.
NORMAL_DEVIATION = 0.5


@dataclass(frozen=True, slots=True)
class LayerSignal:
    """What was measured in one layer: medians over the seeds.

    Attributes
    ----------
    number : int
        From 1, which is next to the input.
    norm : float
        The mean, over the rows, of the Euclidean norm of dL/dz.
    lowest, highest : float
        The smallest and the largest norm of a seed.
    saturated : float
        The share of saturated units.
    mean_activation : float
    """

    number: int
    norm: float
    lowest: float
    highest: float
    saturated: float
    mean_activation: float


@dataclass(frozen=True, slots=True)
class StackSignal:
    """What was measured in a stack of layers with one initialisation.

    Attributes
    ----------
    initialisation : {"normal", "glorot", "he"}
    gain : float or None
        ``None`` for ``normal``, which has none.
    label : str
        Both in words: ``glorot with gain 4``.
    ratio : float
        The norm in the first layer divided by that in the last, the median of the seeds; infinite where numbers grow
        beyond float64.
    lowest, highest : float
        The smallest and the largest ratio of a seed.
    saturated : float
        The share of saturated units over all layers, the median of the seeds.
    layers : tuple of LayerSignal
        The first is next to the input.
    """

    initialisation: Initialisation
    gain: float | None
    label: str
    ratio: float
    lowest: float
    highest: float
    saturated: float
    layers: tuple[LayerSignal, ...]


@dataclass(frozen=True, slots=True, repr=False)
class InitialisationReport(Tabular):
    """How the error signal fares in stacks of random layers, and what helps.

    Attributes
    ----------
    width, depth : int
        Units of a layer, which are also its inputs; layers.
    seeds : int
        How often weights, inputs and the error at the output were drawn.
    rows : int
        How many input rows each seed has.
    function : str
    largest_slope : float
        Of the function. A unit is saturated where the slope is less than 0.19 of it.
    stacks : tuple of StackSignal
        One for each initialisation.
    sentences : tuple of str
        What became of the signal, a sentence or two for each initialisation.
    advice : str
        What helps.
    """

    width: int
    depth: int
    seeds: int
    rows: int
    function: str
    largest_slope: float
    stacks: tuple[StackSignal, ...]
    sentences: tuple[str, ...]
    advice: str

    @property
    def described(self) -> str:
        """The network in words: ``10 layers of 10 units, sigmoid``."""
        layers, units = format_count(self.depth), format_count(self.width)
        return f"{layers} layers of {units} unit{'' if self.width == 1 else 's'}, {self.function}"

    @property
    def drawn(self) -> str:
        """What was drawn, in words: ``25 seeds, 100 random rows each``."""
        return f"{format_count(self.seeds)} seed{'' if self.seeds == 1 else 's'}, {self.rows} random rows each"

    def _summary(self) -> Summary:
        facts = [("network", self.described), ("drawn", self.drawn), ("advice", self.advice)]
        headers = ("initialisation", "ratio", "smallest", "largest", "saturated")
        return Summary(facts, headers, [_row(each) for each in self.stacks])


def _row(stack: StackSignal) -> tuple[str, ...]:
    ratios = (f"{ratio:.1e}" for ratio in (stack.ratio, stack.lowest, stack.highest))
    return (stack.label, *ratios, f"{100 * stack.saturated:.1f} %")
