"""Where a step is in a scikit-learn estimator, and what is said of a step that cannot be converted."""

from __future__ import annotations

from typing import Any

from pipeline.dataclass import dataclass
from pipeline.errors import ModelError
from pipeline.units import escape


@dataclass(frozen=True, slots=True)
class StepPlace:
    """The way from the estimator to one of its steps: ``steps[1] "prep" > transformer "num" > step "scale"``."""

    parts: tuple[str, ...] = ()

    def step(self, number: int, name: str) -> StepPlace:
        """Return the place of a step of the Pipeline that is here."""
        what = "step" if self.parts else f"steps[{number}]"
        return StepPlace((*self.parts, f'{what} "{escape(name)}"'))

    def inner(self, what: str, name: str = "") -> StepPlace:
        """Return the place of something in the step that is here."""
        return StepPlace((*self.parts, f'{what} "{escape(name)}"' if name else what))

    def __str__(self) -> str:
        return " > ".join(self.parts) or "the estimator"

    def fault(self, step: Any, why: str, remedy: str) -> ModelError:
        """Return the error that a step cannot be converted."""
        return ModelError(f"{self} ({type(step).__name__}) {why}", remedy)


def class_name(step: Any) -> str:
    """Return the name of a step's class, with its module if it is not one of scikit-learn's."""
    kind = type(step)
    return kind.__name__ if kind.__module__.partition(".")[0] == "sklearn" else f"{kind.__module__}.{kind.__name__}"


def require(step: Any, attribute: str, place: StepPlace) -> Any:
    """Return an attribute that fitting sets."""
    if not hasattr(step, attribute):
        raise place.fault(step, "is not fitted", "call fit() first")
    return getattr(step, attribute)
