"""Pictures of functions, of their costs and of fits, as SVG or PNG (extra ``plot``)."""

from pipeline.drawing.bars import draw_bars
from pipeline.drawing.curves import Curve, draw_curves
from pipeline.drawing.fits import Estimate, TriedPenalty, draw_coefficients, draw_path
from pipeline.drawing.picture import check_picture, save

__all__ = [
    "Curve",
    "Estimate",
    "TriedPenalty",
    "check_picture",
    "draw_bars",
    "draw_coefficients",
    "draw_curves",
    "draw_path",
    "save",
]
