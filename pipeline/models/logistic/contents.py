"""All that a model file may contain: its JSON schema, and the words of messages about it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from pipeline.models import wording
from pipeline.models.logistic import transforms
from pipeline.models.logistic.bands import Bands
from pipeline.models.logistic.calibration import METHODS
from pipeline.models.logistic.features import FEATURE_KINDS
from pipeline.models.logistic.file import ModelFile, Target
from pipeline.models.logistic.offset import Offset
from pipeline.models.logistic.output import Output
from pipeline.models.logistic.points import Points
from pipeline.models.logistic.policies import MISSING_NUMBER
from pipeline.models.logistic.product import TERM_POLICIES, TERM_TAGS, CategoricalTerm, NumericTerm
from pipeline.models.logistic.reasons import FeatureReason, ReasonRules, Reference
from pipeline.models.logistic.sections import Section
from pipeline.models.logistic.transforms import ClipStep, ScaleStep


def schema() -> dict[str, Any]:
    """Return the JSON schema of a model file, for editors."""
    described = ModelFile.model_json_schema()
    # Objects in objects, as deep as a product has terms with levels: pydantic has no words for that.
    number = described["$defs"]["BinnedFeature"]["properties"]["coefficients"]["items"]
    nested = {"anyOf": [number, {"$ref": "#/$defs/Nested"}]}
    described["$defs"]["Nested"] = {"type": "object", "minProperties": 1, "additionalProperties": nested}
    described["$defs"]["ProductFeature"]["properties"]["coefficients"]["anyOf"][0] = {"$ref": "#/$defs/Nested"}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **described}


def _sections() -> dict[str, type[Section]]:
    """Return the objects of a file by the last step of their location."""
    sections: dict[str, type[Section]] = {"": ModelFile, "target": Target, "offset": Offset, "output": Output}
    sections |= {wording.tag(name): kind.schema for name, kind in FEATURE_KINDS.items()}
    sections |= {TERM_TAGS["numeric"]: NumericTerm, TERM_TAGS["categorical"]: CategoricalTerm}
    sections |= {
        "points": Points,
        "bands": Bands,
        "reasons": ReasonRules,
        "<reason>": FeatureReason,
        "reference": Reference,
    }
    sections |= {wording.tag(name): section for name, section in METHODS.items()}
    return sections | {"<clip>": ClipStep, "<scale>": ScaleStep}


@lru_cache(maxsize=1)
def vocabulary() -> wording.Vocabulary:
    """Return the words of a model file, for messages about its mistakes."""
    tagged = [(wording.tag(name), kind) for name, kind in FEATURE_KINDS.items()]
    policies = {(tag, name): policy for tag, kind in tagged for name, policy in kind.policies.items()}
    policies |= {**TERM_POLICIES, ("offset", "missing"): MISSING_NUMBER}
    words: dict[tuple[str, str], str] = {at: policy.choices for at, policy in policies.items()}
    words |= {(tag, "transform"): transforms.STEP_CHOICES for tag in ("<transformed>", TERM_TAGS["numeric"])}
    sections = _sections()
    tags = {step for step in sections if step.startswith("<")} | {*transforms.TRANSFORM_TAGS, "<own>"}
    return wording.Vocabulary(
        keys={step: tuple(section.model_fields) for step, section in sections.items()},
        rules={at: policy.keys for at, policy in policies.items()},
        policies=words,
        kinds={
            "features": ("kind", tuple(FEATURE_KINDS)),
            "terms": ("kind", tuple(TERM_TAGS)),
            "calibration": ("method", tuple(METHODS)),
        },
        tags=frozenset(tags),
        members={"features": "<reason>"},
        plain=frozenset({("target", "negative"), ("target", "positive"), ("classes", "")}),
    )
