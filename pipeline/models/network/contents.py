"""All that the file of a network may contain, in the words of messages about it."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from pipeline.models import wording
from pipeline.models.logistic import contents
from pipeline.models.logistic.sections import Section
from pipeline.models.network.file import LAYERS, NetworkFile, WeightsFile
from pipeline.models.network.inputs import INPUTS, OFFSET_POLICIES, POLICIES, AddedColumn


@lru_cache(maxsize=1)
def vocabulary() -> wording.Vocabulary:
    """Return the words of the file of a network, for messages about its mistakes."""
    # Target and output are those of the logistic kind.
    shared = contents.vocabulary()
    tagged = {wording.tag(name): section for name, section in {**INPUTS, **LAYERS}.items()}
    sections: dict[str, type[Section]] = {"": NetworkFile, "weights": WeightsFile, "offset": AddedColumn, **tagged}
    policies = {(wording.tag(kind), name): policy for (kind, name), policy in POLICIES.items()}
    policies |= OFFSET_POLICIES
    return replace(
        shared,
        keys={**shared.keys, **{step: tuple(section.model_fields) for step, section in sections.items()}},
        rules={**shared.rules, **{at: policy.keys for at, policy in policies.items()}},
        policies={**shared.policies, **{at: policy.choices for at, policy in policies.items()}},
        kinds={**shared.kinds, "features": ("kind", tuple(INPUTS)), "layers": ("kind", tuple(LAYERS))},
        tags=shared.tags | frozenset(tagged),
    )
