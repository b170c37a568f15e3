"""What a caller asks of scoring, for every kind of model."""

from __future__ import annotations

from pipeline.choices import Precision
from pipeline.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """What a caller asks of scoring in addition to the model file; a request overrides the file.

    Attributes
    ----------
    raw_prediction : bool
        Whether to add the value before the inverse of the link.
    threshold : float or None
        Adds a decision; replaces the threshold of the file.
    reasons : int or None
        Adds so many reasons; replaces the number of the file.
    float32 : bool
        Whether numbers are rounded to float32.
    precision : {"fast", "accurate", "reproducible"}
        Of the functions.
    decimal : str
        The decimal sign of levels in CSV files.
    """

    raw_prediction: bool = False
    threshold: float | None = None
    float32: bool = False
    precision: Precision = "fast"
    decimal: str = "."
    reasons: int | None = None
