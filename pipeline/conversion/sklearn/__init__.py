"""Models from fitted scikit-learn estimators, and back."""

from __future__ import annotations

from pipeline.conversion.comparison import Comparison, compare
from pipeline.conversion.sklearn.reading import from_sklearn

__all__ = ["Comparison", "compare", "from_sklearn"]
