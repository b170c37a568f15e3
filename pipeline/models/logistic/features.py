"""The table of feature kinds: a new kind is one entry here and one file next to this one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Union

from pydantic import Discriminator, Tag

from pipeline.models.logistic.binned import BINNED
from pipeline.models.logistic.categorical import CATEGORICAL
from pipeline.models.logistic.feature import Feature, FeatureKind
from pipeline.models.logistic.indicator import INDICATOR
from pipeline.models.logistic.numeric import NUMERIC
from pipeline.models.logistic.product import PRODUCT
from pipeline.models.logistic.transformed import TRANSFORMED
from pipeline.models.wording import tag

FEATURE_KINDS: Mapping[str, FeatureKind[Any]] = {
    "numeric": NUMERIC,
    "categorical": CATEGORICAL,
    "binned": BINNED,
    "indicator": INDICATOR,
    "transformed": TRANSFORMED,
    "product": PRODUCT,
}


def kind_of(feature: Feature) -> FeatureKind[Any]:
    """Return the entry of a feature's kind."""
    return FEATURE_KINDS[feature.kind]


def _tag_of(value: object) -> str | None:
    kind = value.get("kind") if isinstance(value, Mapping) else getattr(value, "kind", None)
    return tag(kind) if isinstance(kind, str) else None


if TYPE_CHECKING:
    AnyFeature = Feature
else:
    # A feature of the file, of the kind named in its ``kind``.
    AnyFeature = Annotated[
        Union[tuple(Annotated[kind.schema, Tag(tag(name))] for name, kind in FEATURE_KINDS.items())],  # noqa: UP007
        Discriminator(_tag_of),
    ]
