"""What is done to a number before its coefficient: ``transform`` in the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, get_args

import numpy as np
from pydantic import Discriminator, Field, Strict, Tag, model_validator

from pipeline.kernels import Affine, Clip, Step, StepFunction, tile_steps
from pipeline.models.logistic.policies import Impute
from pipeline.models.logistic.sections import Section, fault
from pipeline.units import shortest


class ClipStep(Section):
    """Values below the first number become that number, values above the second one become the second."""

    clip: Annotated[tuple[float | None, float | None], Strict(strict=False)]

    @model_validator(mode="after")
    def _has_ends(self) -> ClipStep:
        low, high = self.clip
        if low is None and high is None:
            raise fault("clip", "one of the two ends must be a number", ["clip"])
        if low is not None and high is not None and low > high:
            raise fault("clip", "the first number must not be more than the second", ["clip"])
        return self


class ScaleStep(Section):
    """A value becomes ``(value - center) / scale``."""

    center: float = 0.0
    scale: float = 1.0

    @model_validator(mode="after")
    def _has_scale(self) -> ScaleStep:
        if self.scale == 0:
            raise fault("zero_scale", "must not be 0: values are divided by it", ["scale"])
        return self


def _step_form(value: object) -> str:
    if isinstance(value, ClipStep) or (isinstance(value, Mapping) and "clip" in value):
        return "<clip>"
    return "<scale>" if isinstance(value, Mapping | ScaleStep) else "<word>"


def _transform_form(value: object) -> str:
    return "<steps>" if isinstance(value, list | tuple) else _step_form(value)


_Word = Annotated[StepFunction, Tag("<word>")]
_Clip = Annotated[ClipStep, Tag("<clip>")]
_Scale = Annotated[ScaleStep, Tag("<scale>")]
AnyStep = Annotated[_Word | _Clip | _Scale, Discriminator(_step_form)]
_Steps = Annotated[tuple[AnyStep, ...], Strict(strict=False), Field(min_length=1), Tag("<steps>")]
# One step, or several in their order.
Transform = Annotated[_Word | _Clip | _Scale | _Steps, Discriminator(_transform_form)]

TRANSFORM_TAGS = ("<clip>", "<scale>", "<steps>")
STEP_CHOICES = ", ".join(f'"{word}"' for word in get_args(StepFunction)) + (
    ', {"clip": [low, high]}, {"center": number, "scale": number} or a list of them'
)


def steps_of(transform: object) -> tuple[Step, ...]:
    """Return a transform as the kernels have it; none for ``None``."""
    if transform is None:
        return ()
    if isinstance(transform, str):
        return (transform,)  # type: ignore[return-value]
    if isinstance(transform, ClipStep):
        low, high = transform.clip
        return (Clip(*(end if end is not None else limit for end, limit in ((low, -_INF), (high, _INF)))),)
    if isinstance(transform, ScaleStep):
        return (Affine(transform.center, transform.scale),)
    parts: Sequence[object] = transform  # type: ignore[assignment]
    return tuple(step for part in parts for step in steps_of(part))


def step_document(step: str | Clip | Affine) -> object:
    """Return a step as ``transform`` in a model file has it, which :func:`steps_of` reads."""
    if isinstance(step, Clip):
        return {"clip": [end if np.isfinite(end) else None for end in (step.low, step.high)]}
    return {"center": step.center, "scale": step.scale} if isinstance(step, Affine) else step


def check_imputed(missing: object, steps: Sequence[Step]) -> None:
    """Raise the error of a validator if a policy imputes a number of which the steps make none that is finite."""
    if not isinstance(missing, Impute):
        return
    value = np.array([missing.impute])
    with np.errstate(all="ignore"):
        for act in tile_steps(steps, "fast"):
            act(value)
    if not np.isfinite(value[0]):
        done = _in_words([step for step in steps if step != Affine(0.0, 1.0)])
        message = f"{done} of {shortest(missing.impute)} is not a finite number: impute another one"
        raise fault("imputed", message, ["missing", "impute"])


def shown_transform(transform: object) -> str:
    """Return a transform in words: ``log1p``, or ``clip(0, 10) then log1p``."""
    return _in_words(steps_of(transform))


def _in_words(steps: Sequence[Step]) -> str:
    return " then ".join(map(_shown_step, steps))


def _shown_step(step: Step) -> str:
    if isinstance(step, Clip):
        return f"clip({shortest(step.low)}, {shortest(step.high)})"
    if isinstance(step, Affine):
        return f"scale({shortest(step.center)}, {shortest(step.scale)})"
    return step


_INF = float("inf")
