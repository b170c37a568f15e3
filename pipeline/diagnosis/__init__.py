"""What becomes of the error signal on its way back through a network: where it vanishes, where it explodes.

signals         values and error signals of layers with given weights
initialisation  the experiment with random weights, in the arithmetic of :mod:`pipeline.kernels`
gradients       a network of a model file, over the rows of files
measuring       one pass over these rows
reading         the rows of a batch: inputs and classes
summing         what the rows of a chunk add up to
findings        what both return
wording, gradient_wording  the same in sentences
json            the same for programs

What :mod:`~pipeline.diagnosis.gradients` needs to read files is loaded where it is imported, not here.
"""

from pipeline.diagnosis.findings import GradientReport, InitialisationReport, LayerGradient, LayerSignal, StackSignal
from pipeline.diagnosis.initialisation import diagnose_initialisation
from pipeline.diagnosis.json import gradients_json, initialisation_json
from pipeline.diagnosis.signals import SATURATED_SHARE, LayerPass, backward, forward, largest_slope, output_signal

__all__ = [
    "SATURATED_SHARE",
    "GradientReport",
    "InitialisationReport",
    "LayerGradient",
    "LayerPass",
    "LayerSignal",
    "StackSignal",
    "backward",
    "diagnose_initialisation",
    "forward",
    "gradients_json",
    "initialisation_json",
    "largest_slope",
    "output_signal",
]
