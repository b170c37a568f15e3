"""What becomes of the error signal on its way back through a network: where it vanishes, where it explodes.

signals         values and error signals of layers with given weights
initialisation  the experiment with random weights, in the arithmetic of :mod:`pipeline.kernels`
findings        what it returns
wording         the same in sentences
"""

from pipeline.diagnosis.findings import InitialisationReport, LayerSignal, StackSignal
from pipeline.diagnosis.initialisation import diagnose_initialisation
from pipeline.diagnosis.json import initialisation_json
from pipeline.diagnosis.signals import SATURATED_SHARE, backward, forward, largest_slope

__all__ = [
    "SATURATED_SHARE",
    "InitialisationReport",
    "LayerSignal",
    "StackSignal",
    "backward",
    "diagnose_initialisation",
    "forward",
    "initialisation_json",
    "largest_slope",
]
