"""The cells of a CSV: spellings of null, separators in numbers, and what is said of a cell that cannot be read."""

from __future__ import annotations

import io
import math
import struct
import tempfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.causes import remedy_of
from pipeline.choices import Cause
from pipeline.errors import UsageError
from pipeline.sources import CsvSource
from pipeline.types.inputs import PANDAS_NULLS, CsvOptions, InputFile, Need
from pipeline.types.rows import BadCell
from tests.contracts.source import read_told, whole
from tests.sources.csv.test_cut_property import BLOCKS, MANY, in_file, read_in_slices

Write = Callable[[str], InputFile]
Rows = list[tuple[object, ...]]

X = [Need("x", "numeric")]
THREE = [Need("x", "numeric"), Need("c", "categorical"), Need("c", "kept")]
GERMAN = CsvOptions(delimiter=";", decimal=",", thousands=".")


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def new(text: str) -> InputFile:
        (tmp_path / "data.csv").write_text(text)
        return InputFile("data.csv", str(tmp_path / "data.csv"), 0, "csv")

    return new


def read(file: InputFile, needs: list[Need], options: CsvOptions | None = None) -> tuple[Rows, list[BadCell]]:
    source = CsvSource(options or CsvOptions())
    facts = source.facts(file)
    rows, _, told = read_told(source, facts, whole(facts), needs, 1000)
    return rows, told.bad


def only_bad(file: InputFile, needs: list[Need], options: CsvOptions | None = None) -> BadCell:
    (cell,) = read(file, needs, options)[1]
    return cell


def bits(values: list[float | None]) -> list[bytes | None]:
    return [None if value is None else struct.pack("d", value) for value in values]


def group(digits: str, thousands: str) -> str:
    head = len(digits) % 3 or 3
    return thousands.join([digits[:head], *(digits[at : at + 3] for at in range(head, len(digits), 3))])


class TestNulls:
    @pytest.mark.parametrize(
        "type_name", [None, "int64", "float32", "decimal128(12, 2)", "date32", "bool", "timestamp[us]", "time32[s]"]
    )
    @pytest.mark.parametrize("role", ["numeric", "kept"])
    def test_a_quoted_empty_field_is_null_where_a_number_is_read(self, write, type_name, role) -> None:
        type_name = "float64" if role == "kept" and type_name is None else type_name
        file = write('x,c\n"",""\n,\n')
        assert read(file, [Need("x", role, type_name), *THREE[1:]]) == ([(None, "", ""), (None, None, None)], [])

    @pytest.mark.parametrize("options", [CsvOptions(), CsvOptions(nulls=("", "NA"))])
    def test_a_quoted_empty_field_does_not_hide_a_bad_cell(self, write, options) -> None:
        rows, bad = read(write('x,c\n"",a\n"NA",b\n2,c\n"",d\n'), THREE[:2], options)
        assert rows == [(None, "a"), (2.0, "c"), (None, "d")]
        assert [(cell.record, cell.text) for cell in bad] == [(1, "NA")]

    def test_a_quoted_cell_is_not_another_number_because_of_what_is_in_it(self, write) -> None:
        cells = ['"\n1"', '"1\n"', '"\r\n2"', '"1\x1f2"', '"1""2"', '"1\n2"', '"1,2"', '""""']
        rows, bad = read(write("x,c\n" + "".join(f'{cell},""\n"",y\n' for cell in cells)), X)
        assert rows == [(None,)] * len(cells)
        assert [cell.text for cell in bad] == [cell[1:-1].replace('""', '"') for cell in cells]

    SPELLED = 'x,c\n"NA","NA"\nNA,NA\n1,a\n-,-\n"-","-"\n"",""\n,\n'

    @pytest.mark.parametrize(
        ("options", "expected", "bad"),
        [
            (
                {"nulls": ("", "NA", "-")},
                [(None, None), (1.0, "a"), (None, None), (None, ""), (None, None)],
                ["NA", "-"],
            ),
            (
                {"nulls": ("", "NA", "-"), "quoted_null": True},
                [(None, None), (None, None), (1.0, "a"), *[(None, None)] * 4],
                [],
            ),
            (
                {"nulls": ("", "pandas", "-")},
                [(None, None), (None, None), (1.0, "a"), (None, None), (None, None), (None, None)],
                ["-"],
            ),
            ({"nulls": ("pandas",)}, [(None, None), (None, None), (1.0, "a"), (None, None), (None, None)], ["-", "-"]),
        ],
    )
    def test_quoted_null_and_pandas_decide_whether_quotes_matter(self, write, options, expected, bad) -> None:
        rows, cells = read(write(self.SPELLED), THREE[:2], CsvOptions(**options))
        assert rows == expected
        assert [cell.text for cell in cells] == bad

    @pytest.mark.parametrize("extra", [{}, {"quoted_null": True}, {"nulls": ("pandas", "-")}, {"nulls": ("NA", "-")}])
    def test_kept_text_stays_as_written(self, write, extra) -> None:
        file, needs = write(self.SPELLED), [Need("c", "kept"), Need("c", "categorical")]
        rows, _ = read(file, needs, CsvOptions(**extra))
        assert [row[0] for row in rows] == ["NA", "NA", "a", "-", "-", "", None]

    @pytest.mark.parametrize("type_name", [None, "string"])
    def test_a_category_of_any_text_type_is_null_where_its_quoted_cell_is_of_pandas(self, write, type_name) -> None:
        file = write('x,c\n1,"n/a"\n2,"-"\n3,-\n4,"b"\n')
        rows, _ = read(file, [Need("c", "categorical", type_name)], CsvOptions(nulls=("pandas", "-")))
        assert rows == [(None,), ("-",), (None,), ("b",)]

    def test_the_spellings_of_pandas_are_those_of_its_read_csv(self) -> None:
        parsers = pytest.importorskip("pandas._libs.parsers")
        assert set(PANDAS_NULLS) == set(parsers.STR_NA_VALUES)

    @pytest.mark.parametrize("form", ["{}", '"{}"'])
    def test_null_pandas_takes_what_pandas_takes_quoted_or_not(self, write, form) -> None:
        cells = [*PANDAS_NULLS, "1.5", "-2", "inf"]
        file = write("x,c\n" + "".join(f"{form.format(cell)},{form.format(cell)}\n" for cell in cells))
        theirs = pd.read_csv(file.location, dtype={"c": "object"})
        rows, bad = read(file, THREE[:2], CsvOptions(nulls=("pandas",)))
        assert bad == []
        assert [row[0] for row in rows] == [None if math.isnan(x) else x for x in theirs["x"]]
        assert [row[1] for row in rows] == [None if pd.isna(c) else c for c in theirs["c"]]

    @pytest.mark.parametrize("quoted_null", [False, True])
    def test_quoted_null_gives_what_duckdb_gives(self, write, quoted_null) -> None:
        duckdb = pytest.importorskip("duckdb")
        cells = [*("1", '"2.5"', "NA", "-", ""), *(('"NA"', '"-"') if quoted_null else ())]
        file = write(
            "x,c\n" + "".join(f"{cell},{level}\n" for cell in cells for level in ("a", "NA", '"NA"', '"-"', ""))
        )
        theirs = duckdb.sql(
            f"select x, c from read_csv('{file.location}', header=true, nullstr=['', 'NA', '-'], "
            f"allow_quoted_nulls={quoted_null}, types={{'x': 'DOUBLE', 'c': 'VARCHAR'}})"
        ).fetchall()
        assert read(file, THREE[:2], CsvOptions(nulls=("", "NA", "-"), quoted_null=quoted_null)) == (theirs, [])

    def test_the_text_pandas_itself_cannot_be_a_null(self, write) -> None:
        assert read(write("x,c\n1,pandas\n"), THREE[1:2], CsvOptions(nulls=("pandas",)))[0] == [("pandas",)]


FORMS = [(";", ",", "."), (";", ",", ""), (";", ",", " "), (";", ".", "'"), ("\t", ".", ","), ("|", ",", "_")]
WIDE_FORMS = [(";", ",", "\xa0"), (";", ",", "\u202f"), (",", ".", "\u2019")]
BAD = "1.23 1.2345 1234.567 1..234 .123 1.234.56 1.234. 12.34,5 1,234.5 1.234e 1,2,3 1.234,5.6 0,123.456 --1 $1.234"


class TestNumbers:
    def made(self, rng: np.random.Generator, decimal: str, thousands: str) -> tuple[list[str], list[str]]:
        plain, written = [], []
        for number in range(300):
            digits = str(rng.integers(0, 10 ** int(rng.integers(1, 15))))
            fraction = f".{rng.integers(0, 10**6):06}" if number % 3 else ""
            exponent = f"e{rng.integers(-12, 12)}" if number % 7 == 0 else ""
            sign = "-" if number % 5 == 0 else ""
            plain.append(sign + digits + fraction + exponent)
            grouped = group(digits, thousands) if thousands and number % 2 else digits
            written.append(sign + grouped + fraction.replace(".", decimal) + exponent)
        return plain, written

    @pytest.mark.parametrize(("delimiter", "decimal", "thousands"), FORMS + WIDE_FORMS)
    @pytest.mark.parametrize("form", ["{}", '"{}"', " {}\t"])
    def test_separators_give_the_bits_of_the_plain_spelling(self, write, delimiter, decimal, thousands, form) -> None:
        if form.endswith("\t") and delimiter == "\t":
            form = " {} "
        plain, written = self.made(np.random.default_rng(7), decimal, thousands)
        expected = [row[0] for row in read(write("x,c\n" + "".join(f"{cell},a\n" for cell in plain)), X)[0]]
        file = write(f"x{delimiter}c\n" + "".join(f"{form.format(cell)}{delimiter}a\n" for cell in written))
        options = CsvOptions(delimiter=delimiter, decimal=decimal, thousands=thousands)
        for needs in (X, [Need("x", "kept", "float64")], [Need("x", "numeric"), Need("x", "kept")]):
            rows, bad = read(file, needs, options)
            assert bad == []
            assert bits([row[0] for row in rows]) == bits(expected)

    @pytest.mark.parametrize(("delimiter", "decimal", "thousands"), FORMS)
    def test_separators_give_what_pandas_gives(self, write, delimiter, decimal, thousands) -> None:
        _, written = self.made(np.random.default_rng(8), decimal, thousands)
        text = f"x{delimiter}c\n" + "".join(f"{cell}{delimiter}a\n" for cell in written)
        theirs = pd.read_csv(io.StringIO(text), sep=delimiter, decimal=decimal, thousands=thousands or None)
        rows, _ = read(write(text), X, CsvOptions(delimiter=delimiter, decimal=decimal, thousands=thousands))
        np.testing.assert_allclose([row[0] for row in rows], theirs["x"], rtol=1e-15)

    def test_separators_give_what_duckdb_gives(self, write) -> None:
        duckdb = pytest.importorskip("duckdb")
        _, written = self.made(np.random.default_rng(9), ",", ".")
        cells = [cell for cell in written if "e" not in cell]
        file = write("x;c\n" + "".join(f"{cell};a\n" for cell in cells))
        theirs = duckdb.sql(
            f"select x from read_csv('{file.location}', delim=';', header=true, decimal_separator=',', thousands='.', "
            "types={'x': 'DOUBLE'})"
        ).fetchall()
        assert read(file, X, GERMAN)[0] == theirs

    @pytest.mark.parametrize(
        ("type_name", "cell", "value"),
        [
            ("int64", "1.234.567", 1234567),
            ("int64", "-9.223.372.036.854.775.808", -(2**63)),
            ("uint8", "12", 12),
            ("float64", "1.234,5", 1234.5),
            ("float32", "0,1", np.float32(0.1)),
            ("decimal128(12, 2)", "-1.234.567,25", Decimal("-1234567.25")),
            ("string", "1.234,5", "1.234,5"),
            (None, "1.234,5", "1.234,5"),
        ],
    )
    def test_typed_columns_take_them_and_kept_text_stays_as_written(self, write, type_name, cell, value) -> None:
        assert read(write(f"x;c\n{cell};a\n"), [Need("x", "kept", type_name)], GERMAN) == ([(value,)], [])

    @pytest.mark.parametrize("type_name", ["date32", "timestamp[us]", "time32[s]", "bool"])
    def test_other_types_have_no_separators(self, write, type_name) -> None:
        plain = {"date32": "2020-02-29", "timestamp[us]": "2020-02-29 10:00", "time32[s]": "10:00:00", "bool": "1"}
        expected = read(
            write(f"x;c\n{plain[type_name]};a\n"), [Need("x", "kept", type_name)], CsvOptions(delimiter=";")
        )
        options = CsvOptions(delimiter=";", decimal=",", thousands="_")
        file = write(f'x;c\n{plain[type_name]};1\n"";1_000\n')
        assert read(file, [Need("x", "kept", type_name), Need("c", "numeric")], options)[0] == [
            (*expected[0][0], 1.0),
            (None, 1000.0),
        ]

    @pytest.mark.parametrize("cell", [*BAD.split(" "), "1 234", "1.234 5", "1.234-"])
    @pytest.mark.parametrize("type_name", [None, "float32", "int64", "decimal128(12, 2)"])
    def test_anything_but_groups_of_exactly_three_is_a_bad_cell(self, write, cell, type_name) -> None:
        file = write(f'x;c\n1.234;a\n{cell};b\n"1.000";""\n')
        rows, bad = read(file, [Need("x", "numeric", type_name)], GERMAN)
        assert rows == [(1234,), (1000,)]
        assert [(each.record, each.text) for each in bad] == [(1, cell)]

    def test_a_point_is_a_bad_cell_where_the_comma_is_decimal(self, write) -> None:
        cell = only_bad(write("x;c\n0.5;a\n0,5;b\n"), X, CsvOptions(delimiter=";", decimal=","))
        assert (cell.text, cell.reason) == ("0.5", "is not a number: it has a decimal point")

    def test_infinities_and_integers_beyond_2_53_stay_right(self, write) -> None:
        good = [
            "9.007.199.254.740.992",
            "-9.007.199.254.740.992",
            "9.007.199.254.740.993,0",
            "1.000e300",
            "inf",
            "-inf",
        ]
        bad = ["9.007.199.254.740.993", "-009.007.199.254.740.993", "9007199254740993", "1.000e306", "1e400"]
        for order in (good + bad, bad + good):
            rows, cells = read(write("x;c\n" + "".join(f"{cell};a\n" for cell in order)), X, GERMAN)
            assert [row[0] for row in rows] == [2.0**53, -(2.0**53), 2.0**53, 1e303, math.inf, -math.inf]
            assert [cell.text for cell in cells] == bad
            assert [cell.cause for cell in cells] == ["inexact"] * 3 + ["out of range"] * 2
        needs = [Need("x", "kept", "int64")]
        assert read(write("x;c\n9.007.199.254.740.993;a\n"), needs, GERMAN)[0] == [(2**53 + 1,)]

    @pytest.mark.parametrize(
        "options",
        [
            {"decimal": ","},
            {"decimal": ".", "thousands": "."},
            {"delimiter": ";", "decimal": ";"},
            {"quote": "'", "thousands": "'"},
            {"thousands": ","},
            {"comment": "#", "thousands": "#"},
            {"comment": "#", "decimal": "#"},
            {"escape": "\\", "thousands": "\\"},
            {"decimal": ""},
            {"decimal": "5"},
            {"thousands": "e"},
            {"thousands": "-"},
            {"thousands": "''"},
            {"thousands": "\u0663"},
            {"decimal": "\u066b"},
        ],
    )
    def test_delimiter_decimal_thousands_and_quote_must_differ(self, options) -> None:
        with pytest.raises(UsageError) as caught:
            CsvSource(CsvOptions(**options))
        assert caught.value.exit_code == 2
        assert caught.value.remedy


def test_characters_that_are_given_as_none_do_not_exist() -> None:
    names = ("quote", "escape", "comment", "thousands")
    for none in ("none", None, ""):
        assert CsvOptions.given(**dict.fromkeys(names, none)) == CsvOptions(quote="")
    assert CsvOptions.given(null=None, skip_lines=None) == CsvOptions()


@pytest.mark.parametrize(
    "options", [{"quote": 5}, {"escape": b"\\"}, {"decimal": None}, {"delimiter": None}, {"thousands": 1}]
)
def test_a_character_of_another_type_is_named(options) -> None:
    with pytest.raises(TypeError, match=f"{next(iter(options))} is .*one character as text"):
        CsvOptions.given(**options)


@pytest.mark.parametrize("lines", [1.5, "2", True])
def test_lines_to_skip_are_a_whole_number(lines) -> None:
    with pytest.raises(TypeError, match="skip_lines=2"):
        CsvOptions.given(skip_lines=lines)


CELLS = ["1", "2,5", "1.234", "1.234,5", "-12.345.678,25", "1.23", "0.5", " 7", "nan", "inf", "-Infinity", "1.000e306"]
CELLS += [
    "NA",
    "-",
    "",
    '""',
    '"NA"',
    '"-"',
    '"1.234"',
    '"pandas"',
    "x",
    '"a\nb"',
    '"1\n"',
    "\\",
    '"\\"1"',
    "9.007.199.254.740.993",
]
DIALECTS = [
    CsvOptions(
        delimiter=";",
        decimal=decimal,
        thousands=thousands,
        nulls=nulls,
        quoted_null=quoted,
        escape=escape,
        types=(("c", "int64"),),
    )
    for decimal, thousands in ((",", "."), (",", ""), (".", " "), (".", "\u202f"))
    for nulls in (("",), ("", "NA", "-"), ("", "pandas", "-"), ("", "pandas"))
    for quoted in (False, True)
    for escape in ("", "\\")
]


@MANY
@given(
    lines=st.lists(st.tuples(*[st.sampled_from(CELLS)] * 3), max_size=8),
    options=st.sampled_from(DIALECTS),
    ends=st.sampled_from(["\n", "\r\n", "\r"]),
    size=st.integers(1, 60),
    piece_bytes=st.sampled_from([1, 7, 30, 1000]),
    block_bytes=BLOCKS,
    batch_rows=st.integers(1, 5),
)
def test_the_rows_are_the_same_for_every_chunk_size_and_batch(
    lines, options, ends, size, piece_bytes, block_bytes, batch_rows
) -> None:
    text = "a;b;c" + ends + ends.join(map(";".join, lines))
    needs = [Need("a", "numeric"), Need("b", "categorical"), Need("b", "kept"), Need("a", "kept"), Need("c", "numeric")]
    with tempfile.TemporaryDirectory() as folder:
        facts = CsvSource(options).facts(in_file(text.encode(), folder))
        source = CsvSource(options, piece_bytes=piece_bytes, block_bytes=block_bytes)
        cut = read_in_slices(source, facts, needs, size, batch_rows)
        whole_file = read_in_slices(CsvSource(options), facts, needs, max(1, facts.identity.size))
    assert cut == whole_file


def by_hand(cell: str, options: CsvOptions) -> float | str | None:
    """Return the number of a cell by the rules of the guide, ``None`` for null, or what is wrong."""
    quoted = cell.startswith('"')
    text = cell.strip('"') if quoted else cell
    if (quoted and text in {*options.quoted_spellings, ""}) or (not quoted and text in options.spellings):
        return None
    word = text.strip(" \t")
    head, mark, tail = word.lstrip("+-").partition(options.decimal)
    groups = head.split(options.thousands) if options.thousands else [head]
    if len(groups) > 1 and (not 1 <= len(groups[0]) <= 3 or any(len(each) != 3 for each in groups[1:])):
        return "bad"
    plain = "".join(groups) + ("." if mark else "") + tail
    sign = -1.0 if word.startswith("-") else 1.0
    points = "." in word and "." not in {options.decimal, options.thousands}
    return sign * float(plain) if plain.replace(".", "", 1).isdigit() and not points else "bad"


DIGITS = st.text("0123456789", min_size=1, max_size=7)
NUMERALS = st.builds(
    lambda sign, groups, fraction: sign + groups + fraction,
    st.sampled_from(["", "-"]),
    st.lists(st.text("0123456789", min_size=1, max_size=4), min_size=1, max_size=4).map(".".join) | DIGITS,
    st.just("") | DIGITS.map(lambda digits: f",{digits}") | DIGITS.map(lambda digits: f".{digits}"),
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    cells=st.lists(NUMERALS | st.sampled_from(["", "NA", "-"]), min_size=1, max_size=8),
    quoted=st.booleans(),
    options=st.sampled_from(DIALECTS[:32]),
)
def test_a_number_is_what_its_groups_say_or_a_bad_cell(cells, quoted, options) -> None:
    cells = [f'"{cell}"' for cell in cells] if quoted else cells
    with tempfile.TemporaryDirectory() as folder:
        file = in_file(("a;c\n" + "".join(f"{cell};1\n" for cell in cells)).encode(), folder)
        rows, bad = read(file, [Need("a", "numeric")], options)
    expected = [by_hand(cell, options) for cell in cells]
    assert [row[0] for row in rows] == [value for value in expected if value != "bad"]
    assert [cell.record for cell in bad] == [number for number, value in enumerate(expected) if value == "bad"]


class TestCures:
    @pytest.mark.parametrize(
        ("cell", "options", "cause", "cure"),
        [
            ("0,5", {"delimiter": ";"}, "decimal comma", "add --decimal , to read it"),
            ("1.234,5", {"delimiter": ";"}, "decimal comma", "add --decimal , --thousands . to read it"),
            ("1,234.5", {"delimiter": ";"}, "thousands", "add --thousands , to read it"),
            ("1,234,567", {"delimiter": ";"}, "thousands", "add --thousands , to read it"),
            ("1,234", {"delimiter": ";"}, "thousands", "add --thousands , or --decimal , to read it"),
            ("1.234.567", {}, "thousands", "add --decimal , --thousands . to read it (and write the file with another"),
            ("1 234", {}, "thousands", "add --thousands ' ' to read it"),
            ("1'234", {}, "thousands", 'add --thousands "\'" to read it'),
            ('"1,234.5"', {}, "thousands", "add --thousands , to read it (and write the file with another"),
            ('"1,234.5"', {"quote": "", "delimiter": ";"}, "no number", "fix the value"),
            ("1.234,5", {"delimiter": ";", "decimal": ","}, "thousands", "add --thousands . to read it"),
            ("1.23,4", {"delimiter": ";", "decimal": ",", "thousands": "."}, "groups of digits", "of exactly three"),
            ("0.5", {"delimiter": ";", "decimal": ","}, "decimal point", "leave out --decimal"),
            ("1\xa0234", {}, "thousands", r"add --thousands $'\u00a0' to read it"),
            ("1\u202f234,5", {"delimiter": ";"}, "decimal comma", r"add --decimal , --thousands $'\u202f' to read it"),
            ("True", {}, "boolean for a number", "add --type NAME=bool"),
            ("-", {}, "null for a number", "add --null -"),
            ("N/A", {}, "null for a number", "add --null N/A"),
            ("<NA>", {}, "null for a number", "add --null '<NA>'"),
            (r"\N", {}, "null for a number", r"add --null '\N'"),
            ("none", {}, "null for a number", "add --null none"),
            ("  ", {}, "null for a number", "add --null '\"  \"'"),
            ('"NA"', {"nulls": ("NA",)}, "null in quotes", "add --quoted-null"),
            ("abc", {}, "no number", "add --null TEXT"),
        ],
    )  # fmt: skip
    def test_an_error_suggests_the_cure(self, write, cell, options, cause: Cause, cure) -> None:
        csv = CsvOptions(**options)
        bad = only_bad(write(f"x{csv.delimiter}c\n{cell}{csv.delimiter}a\n"), X, csv)
        assert bad.cause == cause
        assert cure in remedy_of(bad.cause, bad.hint, bad.values)

    @pytest.mark.parametrize("type_name", ["int64", "decimal128(12, 2)", "date32", "bool"])
    @pytest.mark.parametrize("cell", ["-", "NA", "null", "NULL", "None", "nan"])
    def test_a_usual_spelling_of_null_for_any_type_names_the_option(self, write, type_name, cell) -> None:
        bad = only_bad(write(f"x,c\n{cell},a\n"), [Need("x", "kept", type_name)])
        assert bad.cause == "null for a type"
        assert f"add --null {cell} (" in remedy_of(bad.cause, bad.hint, bad.values)
        assert bad.reason.startswith("is not of type ")

    @pytest.mark.parametrize(
        ("cell", "cure"), [("1,234", "add --thousands ,"), ("0,5", "--type"), ("1,234.5", "--type"), ("1.5", "--type")]
    )
    def test_an_integer_has_no_decimal_character(self, write, cell, cure) -> None:
        bad = only_bad(write(f"x;c\n{cell};a\n"), [Need("x", "kept", "int64")], CsvOptions(delimiter=";"))
        assert cure in remedy_of(bad.cause, bad.hint, bad.values)

    @pytest.mark.parametrize(
        ("cell", "options", "cured"),
        [
            ("0,5", {"decimal": ","}, 0.5),
            ("1.234,5", {"decimal": ",", "thousands": "."}, 1234.5),
            ("1,234.5", {"thousands": ","}, 1234.5),
            ("1 234", {"thousands": " "}, 1234.0),
            ("1'234", {"thousands": "'"}, 1234.0),
            ("-", {"nulls": ("-",)}, None),
            ("  ", {"nulls": ("  ",)}, None),
            ('"-"', {"nulls": ("-",), "quoted_null": True}, None),
        ],
    )
    def test_the_cure_reads_the_cell(self, write, cell, options, cured) -> None:
        file = write(f"x;c\n{cell};a\n")
        assert read(file, X, CsvOptions(delimiter=";"))[0] == []
        assert read(file, X, CsvOptions(delimiter=";", **options)) == ([(cured,)], [])
