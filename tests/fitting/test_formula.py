"""The grammar of ``--features``: what each text means, and where each mistake is."""

from __future__ import annotations

import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.fitting.asking.formula import MOST_CHARACTERS, MOST_FACTORS, MOST_STEPS, parse_terms, term_columns, term_text
from pipeline.fitting.asking.terms import (
    AllTerm,
    AnyTerm,
    BinsTerm,
    CategoryTerm,
    MissingTerm,
    NumberTerm,
    ProductTerm,
)
from pipeline.kernels import STEP_FUNCTIONS, Affine, Clip


def outcome(text: str) -> tuple[AnyTerm, ...] | UsageError:
    try:
        return parse_terms(text)
    except UsageError as error:
        return error


A, B, D = NumberTerm("a"), NumberTerm("b"), NumberTerm("d")
LEVELS = CategoryTerm("c")


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("distance", [NumberTerm("distance")]),
        (" a ,\n\tb ", [A, B]),
        ("größe, 距離, a.b, _x", [NumberTerm("größe"), NumberTerm("距離"), NumberTerm("a.b"), NumberTerm("_x")]),
        ('"dep. delay"', [NumberTerm("dep. delay")]),
        ("`dep. delay`", [NumberTerm("dep. delay")]),
        ('"say ""hi"""', [NumberTerm('say "hi"')]),
        ("`a``b`", [NumberTerm("a`b")]),
        ('"2013", "log(x)", "*"', [NumberTerm("2013"), NumberTerm("log(x)"), NumberTerm("*")]),
        ("C(c)", [LEVELS]),
        ('C("a, b")', [CategoryTerm("a, b")]),
        ("C, B, M, log", [NumberTerm("C"), NumberTerm("B"), NumberTerm("M"), NumberTerm("log")]),
        ("M(x)", [MissingTerm("x")]),
        ("log1p(x)", [NumberTerm("x", ("log1p",))]),
        ("log(sqrt(square(x)))", [NumberTerm("x", ("square", "sqrt", "log"))]),
        ("clip(x, 0, 1e3)", [NumberTerm("x", (Clip(0.0, 1000.0),))]),
        ("clip(x, 0)", [NumberTerm("x", (Clip(0.0, math.inf),))]),
        ("clip(x, high=-.5)", [NumberTerm("x", (Clip(-math.inf, -0.5),))]),
        ("log(clip(x, low=1))", [NumberTerm("x", (Clip(1.0, math.inf), "log"))]),
        ("scale(x, 10, 2)", [NumberTerm("x", (Affine(10.0, 2.0),))]),
        ("B(x)", [BinsTerm("x", bins=20)]),
        ("B(x, bins=5)", [BinsTerm("x", bins=5)]),
        ("B(x, edges=[1, 2.5])", [BinsTerm("x", edges=(1.0, 2.5))]),
        ("B(x, woe=true)", [BinsTerm("x", woe=True)]),
        ("B(x, monotone=down, woe=True, bins=9)", [BinsTerm("x", bins=9, woe=True, monotone="down")]),
        ("B(x, woe=false)", [BinsTerm("x")]),
        ("a:b", [ProductTerm((A, B))]),
        ("C(c):log1p(a):b", [ProductTerm((LEVELS, NumberTerm("a", ("log1p",)), B))]),
        ("a*b", [A, B, ProductTerm((A, B))]),
        (
            "a*b*d",
            [A, B, D, ProductTerm((A, B)), ProductTerm((A, D)), ProductTerm((B, D)), ProductTerm((A, B, D))],
        ),
        ("a*b, a*d", [A, B, ProductTerm((A, B)), D, ProductTerm((A, D))]),
        ("a, a*b", [A, B, ProductTerm((A, B))]),
        ("a*b, a", [A, B, ProductTerm((A, B))]),
        ("*", [AllTerm()]),
        ("C(c), *, M(a)", [LEVELS, AllTerm(), MissingTerm("a")]),
        ("a, C(a), log(a)", [A, CategoryTerm("a"), NumberTerm("a", ("log",))]),
    ],
)
def test_a_text_means_these_terms(text: str, terms: list[AnyTerm]) -> None:
    assert parse_terms(text) == tuple(terms)


def test_several_texts_are_one_list() -> None:
    assert parse_terms("a, b", "C(c)") == (A, B, LEVELS)


@pytest.mark.parametrize(
    ("text", "place", "message", "remedy"),
    [
        ("", 1, "expected a feature", "write names"),
        ("a,", 3, "expected a feature", "write names"),
        ("a,,b", 3, "expected a feature", "write names"),
        ("a b", 3, "expected a comma", "in double quotes"),
        ("a 5", 3, "expected a comma", "in double quotes"),
        ('"a" b', 5, "expected a comma, : or *", "write names"),
        ("5", 1, "expected a feature", "write names"),
        ("(a)", 1, "expected a feature", "write names"),
        ('""', 1, "a name must not be empty", "name a column"),
        ('"\udcff"', 1, "a name must be valid text", "write it in UTF-8"),
        ('a, "b', 4, "a quote is not closed", 'close it: "NAME"'),
        ("a, `b", 4, "a quote is not closed", "close it: `NAME`"),
        ("a + b", 3, '"+" has no meaning here', "separate features with commas"),
        ("late ~ a", 6, '"~" has no meaning here', "--target"),
        ("a - 1", 3, '"-" has no meaning here', "--no-intercept"),
        ("dep-delay", 4, '"-" cannot be part of a name that has no quotes', 'in double quotes: "dep. delay"'),
        ("x**2", 3, '"**" has no meaning here', "write square(x)"),
        ("a*", 3, "expected a feature", "write names"),
        ("a^2", 2, '"^" has no meaning here', "square(x)"),
        ("a$b", 2, '"$" cannot be part of a name', "double quotes"),
        ("a\x1bb", 2, r'"\x1b" cannot be part of a name', "double quotes"),
        ("foo(x)", 1, "there is no function foo", "choose one of C, M, B, log"),
        ("lg1p(x)", 1, 'there is no function lg1p; did you mean "log1p"?', "choose one of"),
        ("log(foo(x))", 5, "there is no function foo", "choose one of"),
        ("log()", 5, "expected a column or a function of one", "write names"),
        ("log(x", 6, 'expected ")" at the end of log', "write names"),
        ("log(x, 2)", 8, "log takes one column, and nothing else", "write log(x)"),
        ("log(C(x))", 5, "there is no function C inside log", "write C(x) by itself"),
        ("C(x", 4, 'expected ")" after the column of C', "write names"),
        ("C(x, 3)", 4, 'expected ")" after the column of C', "write names"),
        ("C(log(x))", 3, "C takes the name of a column", "write C(COLUMN)"),
        ("M(B(x))", 3, "M takes the name of a column", "write M(COLUMN)"),
        ("B(log(x))", 3, "B takes the name of a column", "write B(COLUMN)"),
        ("clip(x)", 1, "clip needs a number", "clip(x, 0, 100)"),
        ("clip(x, 3, 1)", 9, "low must not be more than high", "exchange the two"),
        ("clip(x, a)", 9, "clip has no such argument", "low=, high="),
        ("clip(x, low=a)", 13, "low must be a number", "write low=2.5"),
        ("clip(x, 1, low=2)", 12, "low is given twice", "leave one"),
        ("clip(x, 1, 2, 3)", 15, "clip has no such argument", "low=, high="),
        ("clip(x, 1e999)", 9, "the number is too large", "1.8e308"),
        ("scale(x, 1, 0)", 13, "scale must be a number other than 0", "write scale=2.5"),
        ("scale(x)", 1, "scale needs a number", "scale(x, center, scale)"),
        ("B(x, 20)", 6, "B has no such argument", "bins=, edges=, woe=, monotone="),
        ("B(x, bin=20)", 6, 'B has no such argument; did you mean "bins"?', "bins="),
        ("B(x, bins)", 10, 'expected "=" behind bins', "write names"),
        ("B(x, bins=1)", 11, "bins must be a whole number from 2 to 1,000", "B(x, bins=20)"),
        ("B(x, bins=2.5)", 11, "bins must be a whole number", "B(x, bins=20)"),
        ("B(x, bins=[3])", 11, "bins must be a whole number", "B(x, bins=20)"),
        ("B(x, edges=3)", 12, "edges must be a list of numbers", "B(x, edges=[1, 2.5])"),
        ("B(x, edges=[])", 13, "expected a number", "[1, 2.5]"),
        ("B(x, edges=[1, a])", 16, "expected a number", "[1, 2.5]"),
        ("B(x, edges=[2, 2])", 12, "edges must be a list of numbers, each larger", "B(x, edges=[1, 2.5])"),
        ("B(x, edges=[1, 2)", 17, 'expected "]" at the end of a list', "write names"),
        ("B(x, edges=[1], bins=3)", 12, "B takes either bins or edges", "leave one"),
        ("B(x, woe=1)", 10, "woe must be true or false", "B(x, woe=true)"),
        ("B(x, woe=true, monotone=left)", 25, "monotone must be up or down", "monotone=up"),
        ("B(x, monotone=up)", 15, "monotone needs woe=true", "B(x, woe=true, monotone=up)"),
        ("B(x):a", 1, "B(x, bins=20) cannot be a factor of a product", "multiply numbers and levels"),
        ("a*M(x)", 3, "M(x) cannot be a factor of a product", "multiply numbers and levels"),
        ("a:*", 3, "expected a feature", "write names"),
        ("*:a", 2, "expected a comma", "write names"),
        ("a:b*d", 4, "a:b and a*b cannot be mixed in one feature", "one by one"),
        ("a:a", 3, "a is twice in one product", "write square(a)"),
        ("C(c):C(c)", 6, "C(c) is twice in one product", "leave one"),
        ("a, b, a", 7, "a is listed twice", "leave one"),
        ("*, *", 4, "* is listed twice", "leave one"),
        ("a:b, b:a", 6, "b:a is listed twice", "leave one"),
        ("a*b, a*b", 6, "a:b is listed twice", "leave one"),
    ],
)
def test_a_mistake_is_shown_with_a_caret_under_its_place(text: str, place: int, message: str, remedy: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_terms(text)
    said, shown, caret = caught.value.message.split("\n")
    assert said.startswith(message)
    assert said.endswith(f", at column {place}")
    if text.isprintable():
        assert shown == f"  {text}"
    assert caret == " " * (place + 1) + "^"
    assert remedy in caught.value.remedy


def test_the_caret_is_under_its_place_behind_wide_letters_and_accents() -> None:
    with pytest.raises(UsageError) as caught:
        parse_terms("距離, e, +")
    assert caught.value.message.split("\n")[1:] == ["  距離, e, +", "           ^"]
    with pytest.raises(UsageError) as caught:
        parse_terms('"é", +')
    assert caught.value.message.split("\n")[2] == "       ^"


def test_a_mistake_in_the_second_text_is_shown_there() -> None:
    with pytest.raises(UsageError, match="a is listed twice, at column 4\n  b, a\n     \\^"):
        parse_terms("a", "b, a")


def test_no_text_at_all_is_an_error() -> None:
    with pytest.raises(UsageError, match="there are no features"):
        parse_terms()


def test_what_is_too_long_or_too_deep_is_one_error() -> None:
    with pytest.raises(UsageError, match="1,000,001 characters, more than 1,000,000"):
        parse_terms("a" * (MOST_CHARACTERS + 1))
    with pytest.raises(UsageError, match=f"more than {MOST_STEPS} functions inside each other"):
        parse_terms("log(" * 200_000)
    deepest = f"{'sqrt(' * MOST_STEPS}x{')' * MOST_STEPS}"
    assert parse_terms(deepest) == (NumberTerm("x", ("sqrt",) * MOST_STEPS),)
    with pytest.raises(UsageError, match=f"more than {MOST_FACTORS} factors"):
        parse_terms(":".join(f"x{number}" for number in range(100_000)))


@pytest.mark.parametrize(
    "text",
    [
        ", ".join(f"C(column_{number}):x" for number in range(10_000)),
        '"' + '""' * 400_000,
        " " * 900_000 + "+",
        "B(x, edges=[" + ", ".join(map(str, range(100_000))) + "])",
        "x" * 900_000 + " +",
    ],
    ids=["terms", "quotes", "blanks", "edges", "name"],
)
def test_long_texts_take_no_time(text: str) -> None:
    start = time.process_time()
    found = outcome(text)
    assert time.process_time() - start < 2
    assert len(str(found)) < 600 if isinstance(found, UsageError) else len(found) == 10_000


def test_a_term_says_which_columns_it_reads() -> None:
    (product, bins) = parse_terms('C(c):log(a):a, B("b c")')
    assert term_columns(product) == ("c", "a")
    assert term_columns(bins) == ("b c",)


NAMES = st.text(min_size=1, max_size=12)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
ENDS = st.one_of(
    st.tuples(FINITE, FINITE).map(sorted).map(lambda ends: Clip(*ends)),
    FINITE.map(lambda low: Clip(low=low)),
    FINITE.map(lambda high: Clip(high=high)),
)
STEPS = st.one_of(
    st.sampled_from(STEP_FUNCTIONS), ENDS, st.builds(Affine, FINITE, FINITE.filter(lambda scale: scale != 0))
)
NUMBERS = st.builds(NumberTerm, NAMES, st.lists(STEPS, max_size=4).map(tuple))
FACTORS = st.one_of(NUMBERS, st.builds(CategoryTerm, NAMES))
EDGES = st.lists(FINITE, min_size=1, max_size=5, unique=True).map(sorted).map(tuple)
BINS = st.one_of(
    st.builds(BinsTerm, NAMES, bins=st.integers(2, 1_000), woe=st.booleans()),
    st.builds(BinsTerm, NAMES, edges=EDGES, woe=st.booleans()),
    st.builds(BinsTerm, NAMES, edges=EDGES, woe=st.just(True), monotone=st.sampled_from(["up", "down"])),
)
TERMS = st.one_of(
    FACTORS,
    BINS,
    st.builds(MissingTerm, NAMES),
    st.lists(FACTORS, min_size=2, max_size=4, unique=True).map(tuple).map(ProductTerm),
    st.just(AllTerm()),
)


@given(TERMS)
def test_the_text_of_a_term_gives_the_term_back(term: AnyTerm) -> None:
    assert parse_terms(term_text(term)) == (term,)


@given(st.lists(TERMS, min_size=1, max_size=6, unique_by=lambda term: frozenset(getattr(term, "factors", (term,)))))
def test_the_texts_of_several_terms_give_them_back_in_their_order(terms: list[AnyTerm]) -> None:
    assert parse_terms(", ".join(map(term_text, terms))) == tuple(terms)
    assert parse_terms(*map(term_text, terms)) == tuple(terms)


@given(st.text(alphabet='ab"`(),:*[]=1.+CBM \n', max_size=30))
def test_any_text_has_terms_or_one_error(text: str) -> None:
    found = outcome(text)
    if isinstance(found, UsageError):
        assert found.remedy
    else:
        assert parse_terms(", ".join(map(term_text, found))) == found
