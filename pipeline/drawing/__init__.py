"""Pictures of functions, of their costs, of fits, of measures and of error signals, as SVG or PNG (extra ``plot``)."""

from pipeline.drawing.bars import draw_bars
from pipeline.drawing.curves import Curve, draw_curves
from pipeline.drawing.fits import Estimate, TriedPenalty, draw_coefficients, draw_path
from pipeline.drawing.measured import DrawnAxes, DrawnBand, DrawnLine, draw_lines, draw_steps
from pipeline.drawing.norms import NormLine, draw_norms
from pipeline.drawing.picture import as_svg, check_picture, save

__all__ = [
    "Curve",
    "DrawnAxes",
    "DrawnBand",
    "DrawnLine",
    "Estimate",
    "NormLine",
    "TriedPenalty",
    "as_svg",
    "check_picture",
    "draw_bars",
    "draw_coefficients",
    "draw_curves",
    "draw_lines",
    "draw_norms",
    "draw_path",
    "draw_steps",
    "save",
]
