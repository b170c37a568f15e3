"""PMML documents of other tools become models with the probabilities that JPMML gives."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.conversion.importing import Imported
from pipeline.conversion.pmml.reading import convert
from pipeline.errors import ModelError
from pipeline.models import ScoreBlock, ScoreRequest
from pipeline.models.logistic.parsing import from_mapping
from pipeline.models.rows import batches
from pipeline.models.tally import RowTally
from tests.conversion.pmml_scores import scores
from tests.conversion.test_pmml_faults import derived

FOLDER = Path(__file__).with_name("pmml_files")
EXPECTED = json.loads((FOLDER / "expected.json").read_text())
# In these files JPMML gives every class the probability 0, and the right decision.
CHAINS = [name for name in EXPECTED if name.startswith("nyoka") and name.endswith("classes.pmml")]
FILES = [name for name in EXPECTED if name not in {*CHAINS, "scorecard.pmml"}]


def imported(name: str) -> Imported:
    return convert(Path(name), (FOLDER / name).read_bytes())


def rows_of(name: str, document: dict[str, Any]) -> tuple[pa.Table, list[Any]]:
    """Return the stored rows and results; where missing values count otherwise, only rows without.

    JPMML does not take the absolute value of a missing value, which is missing by the standard.
    """
    rows, results = EXPECTED[name]["rows"], EXPECTED[name]["results"]
    if "abs" in (FOLDER / name).read_text() or any("leave missing values out" in note for note in imported(name).notes):
        whole = [place for place, row in enumerate(rows) if None not in row.values()]
        rows, results = [rows[place] for place in whole], [results[place] for place in whole]
    return pa.Table.from_pylist(rows), results


def probabilities(document: dict[str, Any], results: list[Any]) -> Any:
    classes = document.get("classes") or [document["target"]["positive"]]
    return np.array([[_probability(result, value) for value in classes] for result in results])


def _probability(result: Any, value: Any) -> float:
    """Return what JPMML calls the probability of a value, whatever the file calls it."""
    shown = str(value).lower() if isinstance(value, bool) else str(value)
    names = (f"probability({shown})", f"probability_{shown}", f"p {shown}", "p")
    found = next((result[name] for name in names if result and name in result), None)
    return math.nan if found is None else float(found)


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_another_tool_gives_its_probabilities(name: str) -> None:
    document = imported(name).document
    rows, results = rows_of(name, document)
    ours, theirs = scores(from_mapping(document), rows), probabilities(document, results)
    assert np.count_nonzero(~np.isnan(theirs)) > len(theirs) / 3
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))
    raw = np.abs(scores(from_mapping(document), rows, "raw_prediction"))
    assert np.nanmax(np.abs(ours - theirs) / np.maximum(1, raw)) <= 1e-14


@pytest.mark.parametrize("name", CHAINS)
def test_a_model_for_each_class_decides_as_they_do(name: str) -> None:
    document = imported(name).document
    rows, results = rows_of(name, document)
    ours = scores(from_mapping(document), rows)
    theirs = [None if result is None else result["species"] for result in results]
    decided = [None if np.isnan(row).any() else document["classes"][int(np.argmax(row))] for row in ours]
    assert document["normalise"] == "one-vs-rest"
    assert sum(each is not None for each in theirs) > 5
    assert [ours for ours, each in zip(decided, theirs, strict=True) if each is not None] == [
        each for each in theirs if each is not None
    ]


def test_a_score_of_a_scorecard_is_the_raw_prediction() -> None:
    document = imported("scorecard.pmml").document
    rows, results = rows_of("scorecard.pmml", document)
    plain = {key: value for key, value in document.items() if key != "output"}
    assert scores(from_mapping(plain), rows, "raw_prediction")[:, 0].tolist() == [each["total"] for each in results]
    points = document["output"]["points"]
    # Then points = base_points + pdo / ln 2 * (raw prediction - ln base_odds) is the raw prediction, bit for bit.
    assert points == {"pdo": math.log(2), "base_points": 0.0, "base_odds": 1.0, "higher": "positive"}
    assert document["output"]["columns"] == ["points", "reasons"]


def test_points_and_reasons_of_a_scorecard_are_those_of_the_file() -> None:
    """JPMML ranks the codes by the points below the baseline, as the standard does, ties by the order of the file."""
    document = imported("scorecard.pmml").document
    rows, results = rows_of("scorecard.pmml", document)
    block = ScoreBlock.of(from_mapping(document))
    assert block.columns_made == ("points", "reasons")
    (arrays,) = batches(rows, block.columns())
    made, _ = block.scores(list(arrays), RowTally(len(arrays[0])))
    assert made[0].to_pylist() == [each["total"] for each in results]
    # Where fewer features are below their baselines than reasons are wanted, only those that are have a code here.
    for place, name in enumerate(("first", "second"), start=1):
        codes = made[place].cast(pa.string()).to_pylist()
        assert [code for code in codes if code is not None]
        assert all(code in {None, each[name]} for code, each in zip(codes, results, strict=True))


def test_a_scorecard_keeps_baselines_and_reason_codes() -> None:
    reasons = imported("scorecard.pmml").document["output"]["reasons"]
    assert (reasons["count"], reasons["direction"]) == (2, "lower")
    assert reasons["features"]["age points"] == {"code": "RC2", "reference": {"contribution": 25.0}}
    assert reasons["features"]["income points"]["code"] == "RC3"


def test_reason_codes_are_kept_where_the_output_does_not_ask_for_them() -> None:
    asked = imported("scorecard.pmml").document["output"]
    text = re.sub(r"<OutputField[^>]*reasonCode[^>]*/>", "", (FOLDER / "scorecard.pmml").read_text())
    document = convert(Path("card.pmml"), text.encode()).document
    assert document["output"]["columns"] == ["points"]
    assert document["output"]["reasons"]["features"] == asked["reasons"]["features"]
    block = ScoreBlock.of(from_mapping(document), ScoreRequest(reasons=1))
    assert [field.name for field in block.fields()] == ["points", "reason_1"]


@pytest.mark.parametrize(
    "name", ["nyoka_standard_binary.pmml", "nyoka_imputed_binary.pmml", "sklearn2pmml_standard.pmml"]
)
def test_what_version_1_can_say_is_version_1(name: str) -> None:
    assert imported(name).document["version"] == 1


def test_means_and_scales_are_taken_over_digit_by_digit() -> None:
    feature = imported("nyoka_standard_binary.pmml").document["features"][0]
    text = (FOLDER / "nyoka_standard_binary.pmml").read_text()
    assert feature["kind"] == "numeric"
    for key in ("center", "scale", "coefficient"):
        assert any(
            float(word) == feature[key] for word in text.replace("<", '"').replace(">", '"').split('"') if _is(word)
        )


def _is(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("sklearn2pmml")])
def test_rows_that_came_with_a_file_are_given_with_their_probabilities(name: str) -> None:
    found = imported(name)
    assert found.verification is not None
    assert found.expected is not None
    ours = scores(from_mapping(found.document), pa.table(dict(found.verification)))
    assert ours.shape == found.expected.reshape(len(found.expected), -1).shape == (5, ours.shape[1])
    assert np.abs(ours - found.expected.reshape(ours.shape)).max() <= 1e-13


@pytest.mark.parametrize(("stated", "tolerance"), [('precision="0.001"', 1e-3), ("", 1e-6), ('precision="0"', 1e-12)])
def test_the_rows_of_a_file_are_to_be_met_as_closely_as_it_says(stated: str, tolerance: float) -> None:
    text = (FOLDER / "sklearn2pmml_standard.pmml").read_text().replace('precision="1.0E-13"', stated)
    assert convert(Path("x.pmml"), text.encode()).tolerance == tolerance


@pytest.mark.parametrize("column", ["distance", "probability_true"])
def test_a_row_of_a_file_with_what_is_no_number_is_refused_with_its_line(column: str) -> None:
    text = (FOLDER / "sklearn2pmml_standard.pmml").read_text()
    with pytest.raises(ModelError, match=r"line \d+, row: a \w+ in it must be a finite number, not n/a"):
        convert(Path("x.pmml"), re.sub(f"(<data:{column}>)[^<]*", r"\1n/a", text).encode())


def test_a_file_whose_table_for_verification_is_empty_has_nothing_to_compare() -> None:
    text = (FOLDER / "sklearn2pmml_standard.pmml").read_text()
    before, _, after = text.rpartition("<InlineTable>")
    found = convert(Path("x.pmml"), f"{before}<InlineTable>{after[after.index('</InlineTable>') :]}".encode())
    assert (found.verification, found.expected) == (None, None)


def test_a_column_that_the_rows_of_a_file_do_not_have_is_missing() -> None:
    text = (FOLDER / "sklearn2pmml_standard.pmml").read_text()
    found = convert(Path("x.pmml"), re.sub("<data:weekend>.*</data:weekend>", "", text).encode())
    assert found.verification is not None
    assert list(found.verification["weekend"]) == [None] * 5
    assert scores(from_mapping(found.document), pa.table(dict(found.verification))).shape == (5, 1)


def test_one_hot_levels_of_a_column_are_one_feature() -> None:
    features = imported("regression_transformed.pmml").document["features"]
    (carrier,) = [each for each in features if each.get("column") == "carrier"]
    assert carrier["coefficients"] == {"AA": 0.3, "UA": -0.6, "DL": 0.0}
    assert (carrier["missing"], carrier["unseen"]) == ({"level": "DL"}, "zero")


def test_an_open_end_of_an_interval_is_the_next_number() -> None:
    (age,) = [
        each for each in imported("regression_transformed.pmml").document["features"] if each.get("column") == "age"
    ]
    assert age["edges"] == [25.0, math.nextafter(50.0, math.inf)]
    assert age["missing"] == {"coefficient": 0.05}


def test_a_condition_on_a_scaled_number_is_one_on_its_column() -> None:
    """|x - 1000| > 300: the edges are where the scaled number passes -1 and 1, found by bisection."""
    binned = [each for each in imported("regression_transformed.pmml").document["features"] if each["kind"] == "binned"]
    (distance,) = [each for each in binned if each["column"] == "distance"]
    low, high = distance["edges"]
    assert (low - 1000) / 300 >= -1 > (math.nextafter(low, -math.inf) - 1000) / 300
    assert (high - 1000) / 300 > 1 >= (math.nextafter(high, -math.inf) - 1000) / 300


@pytest.mark.parametrize(("function", "made"), [("ln", math.log), ("ln1p", math.log1p), ("sqrt", math.sqrt)])
def test_a_condition_on_a_function_of_a_column_is_one_on_the_column(
    function: str, made: Callable[[float], float]
) -> None:
    inner = f'<Apply function="{function}"><FieldRef field="hour"/></Apply>'
    expression = f'<Apply function="threshold">{inner}<Constant>0.75</Constant></Apply>'
    (hour,) = convert(Path("x.pmml"), derived(expression)).document["features"]
    (edge,) = hour["edges"]
    assert made(edge) > 0.75 >= made(math.nextafter(edge, -math.inf))
    assert hour["coefficients"] == [0.0, 0.25]


@pytest.mark.parametrize(
    ("outliers", "norms"),
    [("asIs", [-2.0, 0.0, 0.5, 1.25, 2.0]), ("asExtremeValues", [0.0, 0.0, 0.5, 1.25, 1.5])],
)
def test_a_line_through_points_goes_on_beyond_its_ends_or_stays_as_it_is_there(
    outliers: str, norms: list[float]
) -> None:
    points = "".join(f'<LinearNorm orig="{x}" norm="{y}"/>' for x, y in ((1, 0), (2, 1), (4, 1.5)))
    data = derived(f'<NormContinuous field="hour" outliers="{outliers}">{points}</NormContinuous>')
    rows = pa.table({"hour": [-1.0, 1.0, 1.5, 3.0, 6.0]})
    raw = scores(from_mapping(convert(Path("x.pmml"), data).document), rows, "raw_prediction")[:, 0]
    # The model adds 0.25 of the result to 0.5.
    assert raw.tolist() == [0.5 + 0.25 * norm for norm in norms]


def test_what_a_person_should_know_is_noted() -> None:
    assert any("no probability" in note for note in imported("scorecard.pmml").notes)
    assert any("leave missing values out" in note for note in imported("nyoka_pca_binary.pmml").notes)
    assert imported("nyoka_standard_binary.pmml").notes == ()


def test_float32_fields_are_compared_less_closely() -> None:
    text = (FOLDER / "nyoka_standard_binary.pmml").read_text().replace('dataType="double"', 'dataType="float"')
    found = convert(Path("x.pmml"), text.encode())
    assert found.tolerance == 1e-6
    assert "float32" in found.notes[0]


def test_a_name_space_a_byte_order_mark_and_other_encodings_are_read() -> None:
    text = (FOLDER / "scorecard.pmml").read_text()
    document = imported("scorecard.pmml").document
    prefixed = text.replace("<", "<p:").replace("<p:/", "</p:").replace("<p:?", "<?").replace("xmlns=", "xmlns:p=")
    utf16 = text.replace("UTF-8", "UTF-16").encode("utf-16")
    for data in (prefixed.encode(), b"\xef\xbb\xbf" + text.encode(), utf16):
        assert convert(Path("x.pmml"), data).document == document


def categorical(attributes: str, values: str = "", link: str = "logit") -> dict[str, Any]:
    """Return the feature of a column of levels with the attributes of its ``MiningField``."""
    text = f"""<PMML version="4.4"><Header/><DataDictionary>
    <DataField name="late" optype="categorical" dataType="string"><Value value="no"/><Value value="yes"/></DataField>
    <DataField name="carrier" optype="categorical" dataType="string">{values}</DataField></DataDictionary>
    <RegressionModel functionName="classification" normalizationMethod="{link}">
    <MiningSchema><MiningField name="late" usageType="target"/><MiningField name="carrier" {attributes}/></MiningSchema>
    <RegressionTable intercept="0" targetCategory="yes">
    <CategoricalPredictor name="carrier" value="AA" coefficient="0.5"/>
    <CategoricalPredictor name="carrier" value="UA" coefficient="-1"/>
    </RegressionTable><RegressionTable intercept="0" targetCategory="no"/></RegressionModel></PMML>"""
    (feature,) = convert(Path("x"), text.encode()).document["features"]
    assert from_mapping(convert(Path("x"), text.encode()).document)
    return dict(feature)


def test_the_softmax_of_two_classes_of_which_one_is_empty_is_a_logit() -> None:
    assert categorical("", link="softmax") == categorical("")
    assert categorical("", link="softmax")["coefficients"]["AA"] == 0.5


LISTED = '<Value value="AA"/><Value value="UA"/><Value value="DL"/>'
ABSENT = {"level": "(missing)"}
POLICIES = {
    # A predictor adds 0 for a level that it does not name, and for a missing value.
    "nothing given": ("", "", ABSENT, "zero"),
    "levels listed": ("", LISTED, {"level": "DL"}, "error"),
    "as they are": ('invalidValueTreatment="asIs"', LISTED, {"level": "DL"}, "zero"),
    "as missing": ('invalidValueTreatment="asMissing"', LISTED, {"level": "DL"}, "zero"),
    "replaced": ('missingValueReplacement="UA"', LISTED, {"level": "UA"}, "error"),
    "both replaced": (
        'missingValueReplacement="UA" invalidValueTreatment="asValue" invalidValueReplacement="AA"',
        LISTED,
        {"level": "UA"},
        {"level": "AA"},
    ),
    "missing as invalid": ('missingValueTreatment="returnInvalid"', "", "error", "zero"),
}


@pytest.mark.parametrize("name", POLICIES)
def test_what_a_mining_schema_says_becomes_policies(name: str) -> None:
    attributes, values, missing, unseen = POLICIES[name]
    feature = categorical(attributes, values)
    assert (feature["missing"], feature["unseen"]) == (missing, unseen)
    assert feature["coefficients"].items() >= {"AA": 0.5, "UA": -1.0}.items()
