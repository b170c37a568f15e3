"""What a diagnosis of initialisations returns."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.choices import Initialisation
from pipeline.dataclass import dataclass
from pipeline.types.tabular import Summary, Tabular
from pipeline.units import escape, format_count

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


@dataclass(frozen=True, slots=True)
class LayerGradient:
    """What was measured in one layer of a network, over all rows.

    Attributes
    ----------
    number : int
        From 1, which is next to the input.
    place : int
        Of the layer in the model file, from 0.
    kind : str
        As the model file names it.
    units : int
    function : str or None
        What makes the values that it passes on; of the last layer that is the head, and a recurrent one has none.
    norm : float
        The mean, over the rows, of the Euclidean norm of dL/dz; of a recurrent layer over the gates of all steps.
    weight_gradient : float
        The Euclidean norm of the gradient of the mean loss with respect to the weights, without the biases.
    saturated : float
        The share of saturated units; of a recurrent layer that of its gates in all steps.
    mean_activation : float
        Of the values that it passes on, in all steps.
    steps : tuple of float
        Of a recurrent layer: the mean norm of dL/dz in a step. The last number is for the last step of each row, the
        one before it for the step before, over the rows that have so many steps.
    """

    number: int
    place: int
    kind: str
    units: int
    function: str | None
    norm: float
    weight_gradient: float
    saturated: float
    mean_activation: float
    steps: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class GradientReport(Tabular):
    """How the error signal fares in a network on its way back through the layers, over the rows of files.

    Attributes
    ----------
    target : str or None
        The column of the classes. With it the loss is the log loss of a row; without, the sum of its raw predictions.
    loss : float or None
        The mean log loss.
    rows : mapping of str to int
        ``read``; of these ``used``, ``bad``, ``set_aside`` by the model, ``without_score`` (a value is missing),
        ``without_target`` and ``not_finite`` (an input or a raw prediction is NaN or infinite).
    layers : tuple of LayerGradient
        The first is next to the input.
    ratio : float
        The norm in the first layer divided by that in the last; infinite where numbers grow beyond float64.
    sentences : tuple of str
        What becomes of the signal, and where.
    advice : str
        What helps.
    notes : tuple of str
        How the files differ, in words for a person.
    """

    target: str | None
    loss: float | None
    rows: Mapping[str, int]
    layers: tuple[LayerGradient, ...]
    ratio: float
    sentences: tuple[str, ...]
    advice: str
    notes: tuple[str, ...] = ()

    @property
    def described(self) -> str:
        """The loss and the rows in words: ``log loss of late, 0.4321 on average; 1,200 of 1,300 rows``."""
        loss = "the sum of the raw predictions" if self.target is None else f"log loss of {escape(self.target)}"
        mean = "" if self.loss is None else f", {self.loss:.6g} on average"
        used, read = self.rows["used"], self.rows["read"]
        of = f"{format_count(used)} of {format_count(read)}" if used < read else format_count(used)
        return f"{loss}{mean}; {of} row{'' if read == 1 else 's'}"

    def _summary(self) -> Summary:
        facts = [("loss and rows", self.described), ("ratio", f"{self.ratio:.1e}"), ("advice", self.advice)]
        headers = ("layer", "units", "norm of dL/dz", "weight gradient", "saturated", "mean activation")
        return Summary(facts, headers, [gradient_row(each) for each in self.layers])


def gradient_row(layer: LayerGradient) -> tuple[str, ...]:
    """Return a layer as a row of a table: number, units, both norms, saturated share, mean activation."""
    of = f", {layer.function}" if layer.function else ""
    name = f"{layer.number} ({layer.kind}{of})"
    numbers = (f"{layer.norm:.2e}", f"{layer.weight_gradient:.2e}")
    return (name, format_count(layer.units), *numbers, f"{100 * layer.saturated:.1f} %", f"{layer.mean_activation:.3g}")


def _row(stack: StackSignal) -> tuple[str, ...]:
    ratios = (f"{ratio:.1e}" for ratio in (stack.ratio, stack.lowest, stack.highest))
    return (stack.label, *ratios, f"{100 * stack.saturated:.1f} %")
