"""Points and bands of a binary model in SQL."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

from pipeline.conversion.cut import cut_at
from pipeline.conversion.formula import Formula
from pipeline.conversion.results import points_of, shares_of
from pipeline.conversion.sql.calibration import joined
from pipeline.conversion.sql.nodes import raw_prediction, term
from pipeline.conversion.sql.writer import Column, SqlWriter
from pipeline.models.logistic.bands import Bands
from pipeline.models.logistic.file import ModelFile
from pipeline.units import escape_name

# Whole points beyond it have no value as a 64-bit integer.
_MOST = 2.0**63


def points_columns(model: ModelFile, whole: Formula) -> Iterator[tuple[str, Column]]:
    """Yield the column of points."""
    points = points_of(model)

    def write(writer: SqlWriter) -> str:
        total = _total(writer, model, whole)
        return total if points.rounding == "none" else writer.let(total, partial(_integer, writer))

    yield "points", write


def points_by_feature(model: ModelFile, whole: Formula) -> Iterator[tuple[str, Column]]:
    """Yield the columns of the points of each feature."""
    are_whole = points_of(model).rounding == "features"

    def write(writer: SqlWriter, place: int) -> str:
        share = _of_term(writer, model, whole, place)
        text = writer.let(share, partial(_integer, writer)) if are_whole else share
        return f"CASE WHEN {raw_prediction(writer, whole)} IS NOT NULL THEN {text} END"

    for place, name in enumerate(model.terms):
        yield f"points_{escape_name(name)}", partial(write, place=place)


def band(model: ModelFile, whole: Formula) -> Iterator[tuple[str, Column]]:
    """Yield the column of bands."""
    bands = model.output.bands
    assert bands is not None

    def write(writer: SqlWriter) -> str:
        if bands.on == "points":
            return writer.let(_total(writer, model, whole), partial(_by_points, writer, bands))
        return writer.let(raw_prediction(writer, whole), lambda z: _by_probability(writer, model, bands, z))

    yield "band", write


def _by_points(writer: SqlWriter, bands: Bands, value: str) -> str:
    pairs = zip(bands.thresholds, bands.names, strict=False)
    cases = [f"WHEN {value} < {writer.exactly(end)} THEN {writer.label(name)}" for end, name in pairs]
    infinity = writer.number(math.inf)
    return f"CASE {' '.join(cases)} WHEN {value} <= {infinity} THEN {writer.label(bands.names[-1])} END"


def _by_probability(writer: SqlWriter, model: ModelFile, bands: Bands, z: str) -> str:
    infinity = writer.number(math.inf)
    cases = []
    for threshold, name in zip(reversed(bands.thresholds), reversed(bands.names), strict=False):
        cut, is_rising = cut_at(model, threshold)
        cases.append(f"WHEN {z} {'>=' if is_rising else '<='} {writer.exactly(cut)} THEN {writer.label(name)}")
    first = writer.label(bands.names[0])
    return f"CASE WHEN {z} > {infinity} THEN NULL {' '.join(cases)} WHEN {z} <= {infinity} THEN {first} END"


def _total(writer: SqlWriter, model: ModelFile, whole: Formula) -> str:
    """Return the points of a row, rounded but not yet an integer."""
    points = points_of(model)
    if points.rounding == "features":
        terms = [_of_term(writer, model, whole, place) for place in range(len(whole.contributions))]
        return "(" + " + ".join(terms) + ")"
    scaled = joined(writer, raw_prediction(writer, whole), "*", points.slope)
    total = joined(writer, scaled, "+", points.constant)
    return writer.dialect.rounded(total) if points.rounding == "points" else total


def _of_term(writer: SqlWriter, model: ModelFile, whole: Formula, place: int) -> str:
    points, share = points_of(model), shares_of(model)[place]
    scaled = joined(writer, term(writer, whole.contributions[place][1]), "*", points.slope)
    found = joined(writer, scaled, "+", share)
    return writer.dialect.rounded(found) if points.rounding == "features" else found


def _integer(writer: SqlWriter, value: str) -> str:
    return f"CASE WHEN abs({value}) < {writer.number(_MOST)} THEN CAST({value} AS BIGINT) END"
