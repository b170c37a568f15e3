"""The table of feature kinds: a new kind is one entry here and one file next to this one."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from pipeline.models.logistic.categorical import CATEGORICAL
from pipeline.models.logistic.feature import Feature, FeatureKind
from pipeline.models.logistic.late import LateSection
from pipeline.models.logistic.numeric import NUMERIC
from pipeline.models.tables import LateTable


def _binned() -> FeatureKind[Any]:
    from pipeline.models.logistic.binned import BINNED  # noqa: PLC0415 - most models have none

    return BINNED


def _indicator() -> FeatureKind[Any]:
    from pipeline.models.logistic.indicator import INDICATOR  # noqa: PLC0415 - as above

    return INDICATOR


def _transformed() -> FeatureKind[Any]:
    from pipeline.models.logistic.transformed import TRANSFORMED  # noqa: PLC0415 - as above

    return TRANSFORMED


def _product() -> FeatureKind[Any]:
    from pipeline.models.logistic.product import PRODUCT  # noqa: PLC0415 - as above

    return PRODUCT


FEATURE_KINDS: Mapping[str, FeatureKind[Any]] = LateTable(
    {
        "numeric": lambda: NUMERIC,
        "categorical": lambda: CATEGORICAL,
        "binned": _binned,
        "indicator": _indicator,
        "transformed": _transformed,
        "product": _product,
    }
)


def kind_of(feature: Feature) -> FeatureKind[Any]:
    """Return the entry of a feature's kind."""
    return FEATURE_KINDS[feature.kind]


def _schema_of(name: str) -> type[Feature]:
    return FEATURE_KINDS[name].schema


if TYPE_CHECKING:
    AnyFeature = Feature
else:
    # A feature of the file, of the kind named in its ``kind``.
    AnyFeature = Annotated[Feature, LateSection({name: partial(_schema_of, name) for name in FEATURE_KINDS}, "kind")]
