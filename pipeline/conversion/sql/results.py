"""The columns that a model makes, as SQL."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from pipeline.conversion.cut import cut_at
from pipeline.conversion.formula import Formula, formula
from pipeline.conversion.results import columns_made
from pipeline.conversion.sql.calibration import probability
from pipeline.conversion.sql.links import LARGEST_EXPONENT, exponential, sigmoid
from pipeline.conversion.sql.nodes import by_constant, raw_prediction, term
from pipeline.conversion.sql.points import band, points_by_feature, points_columns
from pipeline.conversion.sql.writer import SMALLEST, Column, SqlWriter
from pipeline.models.logistic.file import ModelFile
from pipeline.models.logistic.making import class_text, labels_of, temperature_of
from pipeline.models.logistic.score import ScoreBlock
from pipeline.units import escape_name


def columns_of(model: ModelFile) -> Iterator[tuple[str, Column]]:
    """Yield the name of each column that a model makes, in their order, and what writes it.

    Raises
    ------
    ModelError
        A column cannot be made in SQL; the message names it.
    """
    makers = _BINARY if model.classes is None else _OF_CLASSES
    whole = formula(model)
    for wanted in columns_made(model, makers, "SQL"):
        yield from makers[wanted](model, whole)


def _raw_prediction(_: ModelFile, whole: Formula) -> Iterator[tuple[str, Column]]:
    yield "raw_prediction", lambda writer: raw_prediction(writer, whole)


def _probability(model: ModelFile, whole: Formula) -> Iterator[tuple[str, Column]]:
    yield "probability", lambda writer: probability(writer, model, raw_prediction(writer, whole))


def _decision(model: ModelFile, whole: Formula) -> Iterator[tuple[str, Column]]:
    cut, is_rising = cut_at(model, ScoreBlock.of(model).threshold)

    def write(writer: SqlWriter) -> str:
        negative, positive = map(writer.label, labels_of(model))
        above, below = (positive, negative) if is_rising else (negative, positive)
        infinity, least = writer.number(math.inf), f"{'>=' if is_rising else '>'} {writer.exactly(cut)}"
        return writer.let(
            raw_prediction(writer, whole),
            lambda z: (
                f"CASE WHEN {z} > {infinity} THEN NULL WHEN {z} {least} THEN {above} "
                f"WHEN {z} <= {infinity} THEN {below} END"
            ),
        )

    yield "decision", write


def _contributions(model: ModelFile, whole: Formula) -> Iterator[tuple[str, Column]]:
    def write(writer: SqlWriter, place: int) -> str:
        node = whole.contributions[place][1]
        return f"CASE WHEN {raw_prediction(writer, whole)} IS NOT NULL THEN {term(writer, node)} END"

    for place, name in enumerate(model.terms):
        yield f"contribution_{escape_name(name)}", partial(write, place=place)


Maker = Callable[[ModelFile, Formula], Iterator[tuple[str, Column]]]

_BINARY: Mapping[str, Maker] = {
    "probability": _probability,
    "raw_prediction": _raw_prediction,
    "decision": _decision,
    "contributions": _contributions,
    "points": points_columns,
    "points_by_feature": points_by_feature,
    "band": band,
}


def _names(model: ModelFile) -> list[str]:
    return [class_text(value) for value in model.classes or ()]


def _raw_predictions(writer: SqlWriter, whole: Formula, classes: int) -> list[str]:
    return [raw_prediction(writer, whole.for_class(place)) for place in range(classes)]


def _class_raw_predictions(model: ModelFile, whole: Formula) -> Iterator[tuple[str, Column]]:
    for place, name in enumerate(_names(model)):
        one = whole.for_class(place)
        yield f"raw_prediction_{name}", partial(raw_prediction, whole=one)


def _class_probabilities(model: ModelFile, whole: Formula) -> Iterator[tuple[str, Column]]:
    names = _names(model)
    share = _NORMALISED[model.normalise]

    def write(writer: SqlWriter, place: int) -> str:
        raw = _raw_predictions(writer, whole, len(names))
        return writer.lets(raw, lambda z: share(writer, model, z, place))

    for place, name in enumerate(names):
        yield f"probability_{name}", partial(write, place=place)


def _softmax(writer: SqlWriter, model: ModelFile, z: Sequence[str], place: int) -> str:
    """Return 1 over the sum of exp(z_j - z_k), which overflows only where the share is 0.

    Nothing is known of the shares where the largest is infinite, or one is NaN, which is above every number. A z_k of
    minus infinity has the share 0; differences from it may be NaN.
    """
    temperature, one = temperature_of(model), writer.number(1.0)
    # So many powers can be added without an overflow.
    most = LARGEST_EXPONENT - math.log(len(z))

    def power(other: str) -> str:
        difference = f"({other} - {z[place]})"
        if temperature != 1:
            difference = writer.let(difference, lambda d: by_constant(writer, "/", d, temperature))
        return writer.let(difference, lambda d: exponential(writer, d, most))

    powers = [one if other == place else power(each) for other, each in enumerate(z)]
    rest = f"GREATEST({', '.join(z)}) * {writer.number(0.0)}"
    return (
        f"CASE WHEN {z[place]} = {writer.number(-math.inf)} THEN {writer.number(0.0)} + {rest} "
        f"ELSE ({one} + {rest}) / ({' + '.join(powers)}) END"
    )


def _one_vs_rest(writer: SqlWriter, _: ModelFile, z: Sequence[str], place: int) -> str:
    shares = [sigmoid(writer, each) for each in z]
    zero, one, least, equal = (writer.number(value) for value in (0.0, 1.0, SMALLEST, 1.0 / len(z)))

    def share(values: Sequence[str]) -> str:
        total, own = values
        quotient = f"{own} / {total}"
        if writer.dialect.raises:
            quotient = f"CASE WHEN {own} < {least} * GREATEST({total}, {one}) THEN {zero} * {total} ELSE {quotient} END"
        return f"CASE WHEN {total} = {zero} THEN {equal} ELSE {quotient} END"

    return writer.lets([f"({' + '.join(shares)})", shares[place]], share)


_NORMALISED: Mapping[str, Callable[[SqlWriter, ModelFile, Sequence[str], int], str]] = {
    "softmax": _softmax,
    "one-vs-rest": _one_vs_rest,
}


def _class_decision(model: ModelFile, whole: Formula) -> Iterator[tuple[str, Column]]:
    classes = model.classes or ()
    # Where the largest raw prediction is infinite, a softmax has no shares.
    or_equal = "" if model.normalise == "softmax" else "="

    def write(writer: SqlWriter) -> str:
        lowest, highest = (f"{or_equal} {writer.number(end)}" for end in (-math.inf, math.inf))
        literals = [writer.label(value) for value in classes]

        def body(values: Sequence[str]) -> str:
            largest, *z = values
            cases = (f"WHEN {each} = {largest} THEN {literal}" for each, literal in zip(z, literals, strict=True))
            return f"CASE WHEN {largest} <{highest} AND {largest} >{lowest} THEN CASE {' '.join(cases)} END END"

        raw = _raw_predictions(writer, whole, len(classes))
        return writer.lets(raw, lambda z: writer.lets([f"GREATEST({', '.join(z)})", *z], body))

    yield "decision", write


_OF_CLASSES: Mapping[str, Maker] = {
    "probability": _class_probabilities,
    "raw_prediction": _class_raw_predictions,
    "decision": _class_decision,
}
