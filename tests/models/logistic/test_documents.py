"""What every importer writes around features."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.errors import ModelError
from pipeline.models.logistic.documents import default_name, named_apart, version_of
from pipeline.models.logistic.parsing import from_mapping

X = {"column": "x", "kind": "numeric", "coefficient": 1.5}
LEVELS = {"column": "c", "kind": "categorical", "coefficients": {"a": 1.0}}
BINS = {"column": "x", "kind": "binned", "edges": [0.0], "coefficients": [0.0, 1.0]}
MISSING = {"column": "x", "kind": "indicator", "coefficient": 0.5}
PRODUCT = {
    "kind": "product",
    "terms": [{"kind": "numeric", "column": "x"}, {"kind": "numeric", "column": "y"}],
    "coefficient": 2.0,
}


@pytest.mark.parametrize(
    ("version", "document"),
    [
        (1, {"features": [X, LEVELS]}),
        (1, {"features": [X], "output": {"columns": ["raw_prediction"], "temperature": 2.0}}),
        (2, {"features": [X, BINS]}),
        (2, {"features": [X, X]}),
        (2, {"features": [{**X, "name": "named"}]}),
        (2, {"features": [X], "link": "probit"}),
        (2, {"features": [X], "offset": {"column": "e"}}),
        (2, {"features": [X], "output": {"calibration": {"method": "platt", "slope": 1.0, "intercept": 0.0}}}),
        (2, {"features": [X], "output": {"columns": ["contributions"]}}),
    ],
)
def test_a_model_file_has_the_first_version_that_can_say_it(version: int, document: dict[str, Any]) -> None:
    whole = {"format": "logitstream-model", "kind": "logistic", "intercept": 0.0, **document}
    whole["features"] = named_apart(whole["features"])
    assert version_of(whole) == version
    from_mapping({**whole, "version": version})
    if version == 2:
        with pytest.raises(ModelError):
            from_mapping({**whole, "version": 1})


def test_features_that_would_share_a_name_get_names_with_numbers() -> None:
    features = [X, {**X, "column": "missing_x"}, BINS, MISSING, PRODUCT, {**X, "name": "x:y"}, X]
    names = [each.get("name", default_name(each)) for each in named_apart(features)]
    assert names == ["x", "missing_x", "x_2", "missing_x_2", "x:y", "x:y_2", "x_3"]
    assert [place for place, each in enumerate(named_apart(features)) if "name" not in each] == [0, 1, 4]
