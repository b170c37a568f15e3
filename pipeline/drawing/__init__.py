"""Pictures of functions and of their costs, as SVG or PNG (extra ``plot``)."""

from pipeline.drawing.bars import draw_bars
from pipeline.drawing.curves import Curve, draw_curves
from pipeline.drawing.picture import check_picture, save

__all__ = ["Curve", "check_picture", "draw_bars", "draw_curves", "save"]
