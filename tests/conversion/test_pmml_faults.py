"""PMML files that cannot be converted: one clear error each, with its line, its element and what to do."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from pipeline.conversion.importing import IMPORTERS
from pipeline.conversion.pmml import elements
from pipeline.conversion.pmml.reading import convert
from pipeline.errors import ConfigurationError, ModelError

FOLDER = Path(__file__).with_name("pmml_files")

REGRESSION = """<PMML xmlns="http://www.dmg.org/PMML-4_4" version="4.4">
<Header/>
<DataDictionary>
<DataField name="late" optype="categorical" dataType="string"><Value value="no"/><Value value="yes"/></DataField>
<DataField name="hour" optype="continuous" dataType="double"/>
<DataField name="carrier" optype="categorical" dataType="string"/>
</DataDictionary>
<RegressionModel functionName="classification" normalizationMethod="logit">
<MiningSchema><MiningField name="late" usageType="target"/><MiningField name="hour"/></MiningSchema>
<LocalTransformations><DerivedField name="x" optype="continuous" dataType="double">
<FieldRef field="hour"/>
</DerivedField></LocalTransformations>
<RegressionTable intercept="0.5" targetCategory="yes">
<NumericPredictor name="x" coefficient="0.25"/>
</RegressionTable>
<RegressionTable intercept="0" targetCategory="no"/>
</RegressionModel>
</PMML>
"""


def regression(old: str, new: str) -> bytes:
    assert REGRESSION.count(old) >= 1
    return REGRESSION.replace(old, new, 1).encode()


def derived(expression: str) -> bytes:
    return regression('<FieldRef field="hour"/>', expression)


def field(attributes: str, inside: str = "") -> bytes:
    return regression(
        '<DataField name="hour" optype="continuous" dataType="double"/>',
        f'<DataField name="hour" {attributes}>{inside}</DataField>',
    )


def apply(function: str, inside: str = '<FieldRef field="hour"/>') -> bytes:
    return derived(f'<Apply function="{function}">{inside}</Apply>')


def general(old: str, new: str) -> bytes:
    text = (FOLDER / "general_probit.pmml").read_text()
    assert old in text
    return text.replace(old, new).encode()


def scorecard(old: str, new: str) -> bytes:
    text = (FOLDER / "scorecard.pmml").read_text()
    assert old in text
    return text.replace(old, new).encode()


def chain(segments: str) -> bytes:
    method = 'multipleModelMethod="modelChain"'
    model = f"<MiningModel><MiningSchema/><Segmentation {method}>{segments}</Segmentation></MiningModel>"
    return f'<PMML version="4.4"><DataDictionary/>{model}</PMML>'.encode()


def repeated(expression: str, count: int, first: str = "") -> bytes:
    """Return a model of the last of many fields, each derived of the one before, the first of a column or given."""
    names = ["hour", *(f"x{place}" for place in range(count))]
    made = "".join(
        f'<DerivedField name="{name}" optype="continuous" dataType="double">{expression.format(before)}</DerivedField>'
        for before, name in itertools.pairwise(names)
    )
    made = made.replace(HOUR, first) if first else made
    text = REGRESSION.replace("</LocalTransf", f"{made}</LocalTransf").replace(
        'name="x" coeff', f'name="{names[-1]}" coeff'
    )
    return text.encode()


def doubling(count: int) -> bytes:
    """Return a model with functions of which each calls the one before twice."""
    made, before = "", "ln"
    for name in (f"f{place}" for place in range(count)):
        call = f'<Apply function="{before}"><FieldRef field="a"/></Apply>'
        parameter = '<ParameterField name="a"/>'
        body = f'{parameter}<Apply function="+">{call}{call}</Apply>'
        made += f'<DefineFunction name="{name}" optype="continuous">{body}</DefineFunction>'
        before = name
    text = REGRESSION.replace(
        "<RegressionModel ", f"<TransformationDictionary>{made}</TransformationDictionary><RegressionModel "
    )
    return text.replace(HOUR, f'<Apply function="{before}">{HOUR}</Apply>').encode()


def combined(type_: str, value: str, expression: str) -> bytes:
    """Return a model of an expression of two fields, each with a value for 1,100 levels of a column."""
    rows = "".join(f"<row><key>{place}</key><value>{value}</value></row>" for place in range(1_100))
    made = "".join(
        f'<DerivedField name="{name}" optype="categorical" dataType="{type_}">'
        f'<MapValues outputColumn="value" dataType="{type_}"><FieldColumnPair field="{column}" column="key"/>'
        f"<InlineTable>{rows}</InlineTable></MapValues></DerivedField>"
        for name, column in (("a", "carrier"), ("b", "port"))
    )
    text = derived(expression).decode().replace("</LocalTransf", f"{made}</LocalTransf")
    port = '<DataField name="port" optype="categorical" dataType="string"/>'
    return text.replace("</DataDictionary>", f"{port}</DataDictionary>").encode()


GRID = (
    '<MapValues outputColumn="value" defaultValue="0" dataType="double"><FieldColumnPair field="a" column="first"/>'
    '<FieldColumnPair field="b" column="second"/><InlineTable><row><first>same</first><second>same</second>'
    "<value>1.5</value></row></InlineTable></MapValues>"
)
HOUR = '<FieldRef field="hour"/>'
CONSTANT, LARGE, SMALL = (f"<Constant>{text}</Constant>" for text in ("0.9", "1e300", "1e-300"))
LEVEL = '<CategoricalPredictor name="carrier" value="AA" coefficient="1e308"/>'
DOUBLING = doubling(40)
BOMB = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]>'
EXTERNAL = '<!DOCTYPE x [<!ENTITY secret SYSTEM "file:///etc/hostname">]>'
# What is read, and what the message says; a number in front is the line.
FAULTS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "line 1, column 1: the file is not well-formed XML"),
    "not XML": (b"PMML", "line 1, column 1: the file is not well-formed XML"),
    "cut off": (REGRESSION[:-30].encode(), "the file is not well-formed XML"),
    "another root": (b"<html/>", "line 1: the file is XML, but not PMML: its root is html"),
    "an XML bomb": (BOMB.encode() + b"<PMML>&c;</PMML>", "line 1: the file declares a document type or an entity"),
    "an external entity": (EXTERNAL.encode() + b"<PMML>&secret;</PMML>", "declares a document type or an entity"),
    "a document type": (b'<!DOCTYPE PMML SYSTEM "http://x/pmml.dtd"><PMML/>', "declares a document type or an entity"),
    "an undeclared entity": (b"<PMML>&x;</PMML>", "the file is not well-formed XML"),
    "an unknown encoding": (b'<?xml version="1.0" encoding="none"?><PMML/>', "XML"),
    "nested too deep": (b"<PMML>" + b"<Extension>" * 300, "line 1: nested more than 200 deep"),
    "no version": (b"<PMML/>", 'line 1, PMML: has no attribute "version"'),
    "version 3.2": (regression('version="4.4"', 'version="3.2"'), "is version 3.2, and 4.2 to 4.4 are read"),
    "version 5": (regression('version="4.4"', 'version="5.0"'), "is version 5.0"),
    "no model": (b'<PMML version="4.4"><Header/></PMML>', "must have one model, not 0"),
    "two models": (regression("</PMML>", "<Scorecard/></PMML>"), "must have one model, not 2"),
    "a tree": (b'<PMML version="4.4"><TreeModel/></PMML>', "line 1, TreeModel: is not a logistic model"),
    "no data dictionary": (b'<PMML version="4.4"><RegressionModel/></PMML>', "must have one child"),
    "not scorable": (regression("<RegressionModel ", '<RegressionModel isScorable="false" '), "cannot be scored"),
    "an unknown part": (
        regression("<LocalTransf", "<Surprise/><LocalTransf"),
        "Surprise: is not read in RegressionModel",
    ),
    "no link": (regression('normalizationMethod="logit"', ""), '8, RegressionModel: normalizationMethod="none"'),
    "simplemax of sums": (regression('"logit"', '"simplemax"'), 'normalizationMethod="simplemax" gives no probability'),
    "no predictor": (
        regression('<NumericPredictor name="x" coefficient="0.25"/>', ""),
        "8, RegressionModel: gives every row the same probability",
    ),
    "a number that is none": (regression('"0.25"', '"0,25"'), "14, NumericPredictor: the attribute"),
    "a number beyond float64": (regression('"0.25"', '"1e999"'), "must be a finite number, not 1e999"),
    "NaN": (regression('"0.25"', '"NaN"'), "must be a finite number, not NaN"),
    "no coefficient": (regression(' coefficient="0.25"', ""), 'has no attribute "coefficient"'),
    "an unknown field": (regression('name="x" coeff', 'name="y" coeff'), '14, NumericPredictor: there is no field "y"'),
    "a circle": (derived('<FieldRef field="x"/>'), '11, FieldRef: the field "x" is derived from itself'),
    "a name twice": (
        regression('name="x" optype', 'name="x" dataType="double"/><DerivedField name="x" optype'),
        "line 10",
    ),
    "a level as a number": (derived('<FieldRef field="carrier"/>'), 'the column "carrier" is used as a number'),
    "dates": (field('optype="continuous" dataType="date"'), 'a column of type "date" is not read'),
    "a range of valid values": (
        field('optype="continuous" dataType="double"', '<Interval closure="closedClosed" leftMargin="0"/>'),
        '5, Interval: "hour" is limited to some values',
    ),
    "a number that means missing": (
        field('optype="continuous" dataType="double"', '<Value value="-999" property="missing"/>'),
        '"-999" means missing',
    ),
    "outliers as missing": (
        regression('<MiningField name="hour"', '<MiningField name="hour" outliers="asMissingValues"'),
        '9, MiningField: outliers="asMissingValues" is not read',
    ),
    "a replacement that is no number": (
        regression('<MiningField name="hour"', '<MiningField name="hour" missingValueReplacement="noon"'),
        "missingValueReplacement must be a finite number, not noon",
    ),
    "an unknown function": (apply("sinh"), '11, Apply: the function "sinh" is not read'),
    "a misspelt function": (apply("sqr"), 'did you mean "sqrt"?'),
    "too many arguments": (apply("ln", HOUR + HOUR), '"ln" has 2 arguments'),
    "an exponential": (apply("exp"), 'the function "exp" is not read'),
    "divided by a column": (apply("/", HOUR + HOUR), "divides by what is not a constant"),
    "divided by 0": (apply("/", HOUR + "<Constant>0</Constant>"), "divides by 0"),
    "a negative power": (apply("pow", HOUR + "<Constant>-1</Constant>"), "the exponent -1.0 is not read"),
    "the logarithm of -1": (apply("ln", "<Constant>-1</Constant>"), "log of -1.0 is not a number"),
    "the smaller of two columns": (apply("min", HOUR + HOUR), "compares more than one column"),
    "an absolute value": (apply("abs"), "the absolute value of a column"),
    "numbers chosen by a condition": (
        apply("if", f'<Apply function="lessThan">{HOUR}<Constant>3</Constant></Apply>{HOUR}<Constant>0</Constant>'),
        'chooses between numbers by the column "hour"',
    ),
    "a function that calls itself": (
        regression("<LocalTransf", "<LocalTransf")
        .replace(
            b"<RegressionModel ",
            b'<TransformationDictionary><DefineFunction name="f" optype="continuous"><ParameterField name="a"/>'
            b'<Apply function="f"><FieldRef field="a"/></Apply></DefineFunction></TransformationDictionary>'
            b"<RegressionModel ",
        )
        .replace(b'<FieldRef field="hour"/>', b'<Apply function="f"><FieldRef field="hour"/></Apply>'),
        'the function "f" is not read',
    ),
    "functions that double": (
        DOUBLING,
        "line 8, Apply: is called after 10,000 other calls of functions",
    ),
    "numbers that are squared again and again": (
        repeated('<Apply function="*"><FieldRef field="{0}"/><FieldRef field="{0}"/></Apply>', 40),
        "multiplies more than 100 numbers",
    ),
    "constants that are squared again and again": (
        repeated('<Apply function="*"><FieldRef field="{0}"/><FieldRef field="{0}"/></Apply>', 40, CONSTANT),
        "multiplies too many constants",
    ),
    "constants beyond float64": (
        apply("ln", f'<Apply function="*">{LARGE}{LARGE}</Apply>'),
        "11, Apply: a result of its constants is beyond the range of float64",
    ),
    "a level of a constant beyond float64": (
        derived(
            '<NormDiscrete field="y" value="1"/></DerivedField><DerivedField name="y" optype="continuous">'
            f'<Apply function="*">{LARGE}{LARGE}</Apply>'
        ),
        "11, NormDiscrete: a result of its constants is beyond the range of float64",
    ),
    "coefficients of a level beyond float64": (
        regression('<NumericPredictor name="x" coefficient="0.25"/>', 2 * LEVEL),
        "14, CategoricalPredictor: a result of its constants is beyond the range of float64",
    ),
    "divided by what rounds to 0": (
        apply("/", HOUR + f'<Apply function="*">{SMALL}{SMALL}</Apply>'),
        "11, Apply: divides by 0",
    ),
    "a constant that is NaN": (
        apply("+", HOUR + "<Constant>NaN</Constant>"),
        "11, Apply: a value that is not a number is used as one",
    ),
    "a function without an expression": (
        apply("f").replace(
            b"<RegressionModel ",
            b'<TransformationDictionary><DefineFunction name="f"><ParameterField name="a"/></DefineFunction>'
            b"</TransformationDictionary><RegressionModel ",
        ),
        "line 8, DefineFunction: has no expression",
    ),
    "a chain of no models": (chain(""), "line 1, Segmentation: has no Segment"),
    "a part of a chain without a model": (
        chain("<Segment><True/></Segment>"),
        "line 1, Segment: must have a predicate and a model",
    ),
    "a tree in a chain": (
        chain("<Segment><True/><TreeModel/></Segment>"),
        "line 1, TreeModel: is not a RegressionModel",
    ),
    "an unknown comparison": (
        scorecard('operator="lessOrEqual" value="39"', 'operator="sum" value="39"'),
        'SimplePredicate: operator="sum" is not read',
    ),
    "an unknown operator of a set": (
        scorecard('booleanOperator="isIn"', 'booleanOperator="sum"'),
        'SimpleSetPredicate: booleanOperator="sum" is not read',
    ),
    "tables that multiply to too many combinations": (
        combined("double", "1.5", '<Apply function="*"><FieldRef field="a"/><FieldRef field="b"/></Apply>'),
        "NumericPredictor: has more than 1,000,000 combinations of levels",
    ),
    "labels of too many combinations": (
        combined("string", "same", GRID),
        "NumericPredictor: has more than 1,000,000 combinations of levels",
    ),
    "a chain of fields": (
        repeated('<FieldRef field="{0}"/>', 3000),
        "its fields are derived from each other too deeply",
    ),
    "an aggregate": (
        derived('<Aggregate field="hour" function="average"/>'),
        "11, Aggregate: this expression is not read",
    ),
    "intervals with a gap": (
        derived(
            '<Discretize field="hour" dataType="double"><DiscretizeBin binValue="1">'
            '<Interval closure="closedOpen" leftMargin="1" rightMargin="2"/></DiscretizeBin></Discretize>'
        ),
        'some values of "hour" have no result',
    ),
    "a wrong closure": (
        derived(
            '<Discretize field="hour"><DiscretizeBin binValue="1"><Interval closure="open"/>'
            "</DiscretizeBin></Discretize>"
        ),
        'closure="open" does not exist',
    ),
    "a table elsewhere": (
        derived('<MapValues outputColumn="o"><FieldColumnPair field="carrier" column="c"/><TableLocator/></MapValues>'),
        "reads a table outside the file",
    ),
    "points in the wrong order": (
        derived(
            '<NormContinuous field="hour"><LinearNorm orig="2" norm="0"/><LinearNorm orig="1" norm="1"/>'
            "</NormContinuous>"
        ),
        "in the order of orig",
    ),
    "the empty table first": (
        regression('intercept="0" targetCategory="no"', 'intercept="1" targetCategory="no"'),
        '16, RegressionTable: normalizationMethod="logit" takes the first table alone',
    ),
    "a third table": (
        regression("</RegressionModel>", '<RegressionTable intercept="0" targetCategory="x"/></RegressionModel>'),
        'normalizationMethod="logit" with 3 tables',
    ),
    "a rescaled target": (
        regression("<LocalTransf", '<Targets><Target field="late" rescaleFactor="2"/></Targets><LocalTransf'),
        "rescaleFactor changes the prediction",
    ),
    "an unknown link": (general('"probit"', '"negbin"'), 'linkFunction="negbin" gives no probability'),
    "another kind of model": (
        general('"generalizedLinear"', '"CoxRegression"'),
        'modelType="CoxRegression" is not read',
    ),
    "trials": (general('distribution="binomial"', 'trialsValue="3"'), "trialsValue counts several trials a row"),
    "an unknown parameter": (general('parameterName="b1"/>', 'parameterName="b9"/>'), 'there is no parameter "b9"'),
    "neither factor nor covariate": (general("CovariateList", "Extension"), "is neither a factor nor a covariate"),
    "contrasts": (
        general('<Predictor name="weight"/>', '<Predictor name="weight"><Matrix/></Predictor>'),
        "contrasts of a factor are not read",
    ),
    "points that are computed": (
        scorecard('<Attribute partialScore="6"><True/>', "<Attribute><True/><ComplexPartialScore/>"),
        "a partial score that is computed is not read",
    ),
    "two columns in a condition": (
        scorecard(
            '<SimplePredicate field="age" operator="lessOrEqual" value="39"/>',
            '<SimplePredicate field="income" operator="lessOrEqual" value="39"/>',
        ),
        'joins the columns "age" and "income" in one condition',
    ),
    "points for every row": (
        scorecard('<SimplePredicate field="department" operator="isMissing"/>', "<True/>"),
        "gives the same points to every row",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_file_that_cannot_be_converted_is_one_clear_error(name: str) -> None:
    data, expected = FAULTS[name]
    with pytest.raises(ModelError) as caught:
        convert(Path("given.pmml"), data)
    message = str(caught.value)
    line, _, text = expected.partition(", ") if re.match(r"\d+, ", expected) else ("", "", expected)
    assert text in message
    assert not line or f"line {line}" in message
    assert message.startswith("given.pmml: ")
    assert caught.value.remedy
    assert caught.value.exit_code == 65
    assert len(message.splitlines()) <= 3


def test_the_plain_file_of_these_faults_is_read() -> None:
    document = convert(Path("given.pmml"), REGRESSION.encode()).document
    assert document["features"] == [{"kind": "numeric", "column": "hour", "missing": "null", "coefficient": 0.25}]


def test_nothing_outside_the_file_is_read(tmp_path: Path) -> None:
    """A document type may name a file; it is refused before that file is looked for."""
    missing = tmp_path / "no such file.dtd"
    text = f'<!DOCTYPE PMML SYSTEM "{missing.as_uri()}">{REGRESSION}'
    with pytest.raises(ModelError, match="document type"):
        convert(Path("given.pmml"), text.encode())


def test_a_file_with_too_many_elements_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elements, "COUNT_LIMIT", 10)
    with pytest.raises(ModelError, match="more than 10 elements"):
        convert(Path("given.pmml"), REGRESSION.encode())


def test_a_file_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elements, "SIZE_LIMIT", 100)
    with pytest.raises(ModelError, match="larger than"):
        convert(Path("given.pmml"), REGRESSION.encode())


def test_without_defusedxml_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elements, "find_spec", lambda _: None)
    with pytest.raises(ConfigurationError) as caught:
        convert(Path("given.pmml"), REGRESSION.encode())
    assert "logitstream[pmml]" in caught.value.remedy


def test_a_pmml_document_is_recognised_by_its_beginning() -> None:
    assert IMPORTERS["pmml"].recognises(REGRESSION.encode(), "model.xml")
    assert IMPORTERS["pmml"].recognises((FOLDER / "scorecard.pmml").read_bytes(), "x")
    assert not IMPORTERS["pmml"].recognises(b"<html>", "x.xml")
