"""What people decide by: contributions, points, bands and reasons as columns of the output of a binary model."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.dataclass import dataclass
from pipeline.models.columns import Mask
from pipeline.models.logistic.bands import Bands, band_codes, code_type
from pipeline.models.logistic.gathered import GatheredParts
from pipeline.models.logistic.gathering import KeptContributions, PointsOfTerms, ReasonCodes
from pipeline.models.logistic.output import Column
from pipeline.models.logistic.points import Points, total_points, whole
from pipeline.models.logistic.predictor import Predictor
from pipeline.models.logistic.reasons import Codes, ReasonRules
from pipeline.models.logistic.references import references_of
from pipeline.models.results import encoded_array, float_array, integer_array
from pipeline.types.blocks import Field
from pipeline.units import escape_name

if TYPE_CHECKING:
    from pipeline.models.logistic.making import Raw

Floats = npt.NDArray[np.float64]

# Whole points under it are in int64, whatever is rounded.
_SAFE = 2.0**62


@dataclass(frozen=True, eq=False)
class ScoredRows:
    """The rows of a batch, with which decisions are made.

    Attributes
    ----------
    raw : ndarray of float64, shape (rows,)
        The raw predictions, 0 in rows without a score.
    probability : ndarray of float64, shape (rows,), or None
        ``None`` unless bands are on it, or it is a column itself.
    null : ndarray of bool or None
        The rows without a score because a value is missing.
    nan : ndarray of bool
        The rows whose raw prediction is NaN.
    gathered : GatheredParts
    """

    raw: Floats
    probability: Floats | None
    null: Mask | None
    nan: Mask
    gathered: GatheredParts

    @property
    def undecided(self) -> Mask:
        """The rows without a decision."""
        return self.nan if self.null is None else self.nan | self.null


@dataclass(frozen=True)
class Labels:
    """Texts by position: ``levels[place[position]]``, no text where the place is negative."""

    levels: pa.Array
    place: Codes

    @classmethod
    def of(cls, texts: Sequence[str | None]) -> Labels:
        """Return the texts, each once."""
        places: dict[str, int] = {}
        place = [-1 if text is None else places.setdefault(text, len(places)) for text in texts]
        return cls(pa.array(list(places), pa.string()), np.array(place, dtype=code_type(len(texts))))

    @cached_property
    def _is_plain(self) -> bool:
        return bool((self.place == np.arange(self.place.size)).all())

    def array(self, positions: Codes, none: Mask) -> pa.Array:
        """Return the texts at some positions, encoded; null where a position is negative, and where ``none`` says."""
        places = positions if self._is_plain else self.place.take(positions, mode="clip")
        # The lowest one tells in a tenth of the time that there is nothing to look for.
        if places.size and min(places.min(), positions.min()) < 0:
            none = none | (positions < 0) | (places < 0)
        return encoded_array(places, self.levels, none)


@dataclass(frozen=True)
class Decisions:
    """The columns ``contribution_<name>``, ``points``, ``points_<name>``, ``band``, ``reason_<k>``, with their texts.

    Attributes
    ----------
    model : Predictor
    columns : tuple of str
        All words of ``output.columns`` that are wanted.
    count : int or None
        How many reasons are wanted, if not as many as the file says.
    float32 : bool
        Whether numbers that are not whole are rounded to float32.
    """

    model: Predictor
    columns: tuple[Column, ...]
    count: int | None
    float32: bool

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of what adds to the raw prediction: the offset, then the features."""
        return self.model.terms

    @cached_property
    def reasons(self) -> ReasonRules:
        """How reasons are named."""
        stated = self.model.output.reasons or ReasonRules()
        return stated if self.count is None else stated.model_copy(update={"count": self.count})

    @property
    def needs_probability(self) -> bool:
        """Whether bands are on the probability."""
        return "band" in self.columns and self._bands.on == "probability"

    @property
    def needs_raw(self) -> bool:
        """Whether raw predictions are needed after the probability was made of them."""
        return self._points is not None and self._needs_points

    @property
    def scratch_row_bytes(self) -> int:
        """The bytes of a row of what is gathered; a tile, and the rows that are ranked at once, are at most a batch."""
        kept = len(self.names) * (("contributions" in self.columns) + self._wants_points_of_terms)
        points = 2 * self.needs_raw
        if "reasons" not in self.columns:
            return 8 * (kept + points)
        count = self.reasons.count
        return 8 * (kept + points + len(self.names)) + count * 2 * self._code_type.itemsize + 4 * (count + 8)

    def fields(self, *, nullable: bool, may_be_nan: bool) -> dict[Column, list[Field]]:
        """Return the fields of the columns that are wanted."""
        number = pa.float32() if self.float32 else pa.float64()
        made: dict[Column, list[Field]] = {}
        undecided = nullable or may_be_nan
        if "contributions" in self.columns:
            made["contributions"] = [
                Field(f"contribution_{escape_name(name)}", number, nullable) for name in self.names
            ]
        if self._points is not None:
            may_be_lost = undecided or not self._most_points < _SAFE
            counted = Field("points", pa.int64(), may_be_lost)
            by_feature = self._points.rounding == "features"
            made["points"] = [counted if self._points.are_whole else Field("points", number, nullable)]
            made["points_by_feature"] = [
                Field(f"points_{escape_name(name)}", *((pa.int64(), may_be_lost) if by_feature else (number, nullable)))
                for name in self.names
            ]
        made["band"] = [Field("band", pa.string(), undecided)]
        made["reasons"] = [Field(name, pa.string(), nullable=True) for name in self._reason_names]
        return made

    def gather(self, rows: int) -> GatheredParts:
        """Return what gathers of the contributions to a batch what the columns need."""
        terms = len(self.names)
        wants = self.columns
        contributions = KeptContributions(np.empty((terms, rows))) if "contributions" in wants else None
        reasons = None
        if "reasons" in wants:
            codes = np.empty((self.reasons.count, rows), dtype=self._code_type)
            reasons = ReasonCodes(self.reasons, self._references, terms - len(self.model.adding), codes)
        return GatheredParts(contributions, self._points_of_terms(rows), reasons)

    def arrays(self, values: Floats, probability: Floats | None, raw: Raw) -> dict[Column, list[pa.Array]]:
        """Return the columns of a batch, of its raw predictions, ``values``, and their probability if it was needed."""
        gathered, null = raw.gathered, raw.null
        scored = ScoredRows(values, probability, null, raw.nan, gathered)
        made: dict[Column, list[pa.Array]] = {}
        if gathered.contributions is not None:
            made["contributions"] = [self._floats(part, null) for part in gathered.contributions.values]
        total = self._total(scored)
        if self._points is not None and total is not None:
            made["points"] = [self._counted(total, null, are_whole=self._points.are_whole)]
        if self._points is not None and gathered.points is not None and gathered.points.values is not None:
            by_feature = self._points.rounding == "features"
            parts = gathered.points.values
            made["points_by_feature"] = [self._counted(part, null, are_whole=by_feature) for part in parts]
        if "band" in self.columns:
            value = scored.probability if self._bands.on == "probability" else total
            codes = band_codes(value, self._bands.thresholds) if value is not None else np.empty(0, np.int8)
            # Points of terms may be infinite with both signs where the raw prediction is no NaN.
            unknown = np.isnan(value) if value is not None else scored.undecided
            made["band"] = [self._band_labels.array(codes, scored.undecided | unknown)]
        if gathered.reasons is not None:
            made["reasons"] = self._reason_arrays(gathered.reasons.codes, scored.undecided)
        return made

    @property
    def _points(self) -> Points | None:
        return self.model.output.points

    @property
    def _needs_points(self) -> bool:
        return "points" in self.columns or ("band" in self.columns and self._bands.on == "points")

    @property
    def _wants_points_of_terms(self) -> bool:
        return "points_by_feature" in self.columns

    @property
    def _bands(self) -> Bands:
        bands = self.model.output.bands
        if bands is None:
            raise ValueError("a band is wanted, but the model has no output.bands")
        return bands

    @cached_property
    def _band_labels(self) -> Labels:
        return Labels.of(self._bands.names)

    @cached_property
    def _code_type(self) -> np.dtype[Any]:
        return code_type(len(self.model.adding))

    @cached_property
    def _references(self) -> Floats:
        return references_of(self.reasons, self.model.adding)

    @property
    def _reason_names(self) -> list[str]:
        names = [f"reason_{place}" for place in range(1, self.reasons.count + 1)]
        return [each for name in names for each in ((name, f"{name}_text") if self.reasons.has_texts else (name,))]

    @cached_property
    def _reason_labels(self) -> list[Labels]:
        names = [feature.label for feature in self.model.adding]
        codes = Labels.of(self.reasons.codes(names))
        return [codes, Labels.of(self.reasons.texts(names))] if self.reasons.has_texts else [codes]

    @cached_property
    def _most_points(self) -> float:
        """What the points of a row cannot exceed if each contribution is one of the coefficients."""
        points = self._points
        return 0.0 if points is None else abs(points.constant) + abs(points.slope) * self.model.largest

    def _points_of_terms(self, rows: int) -> PointsOfTerms | None:
        points = self._points
        if points is None:
            return None
        total = np.empty(rows) if points.rounding == "features" and self._needs_points else None
        values = np.empty((len(self.names), rows)) if self._wants_points_of_terms else None
        if total is None and values is None:
            return None
        features = len(self.model.adding)
        share = points.share(self.model.base, features)
        return PointsOfTerms(points, [0.0] * (len(self.names) - features) + [share] * features, values, total)

    def _total(self, scored: ScoredRows) -> Floats | None:
        """Return the points of each row, 0 in rows without a score."""
        if self._points is None or not self.needs_raw:
            return None
        kept = scored.gathered.points
        if kept is not None and kept.total is not None:
            return kept.total
        # Nobody else needs the raw predictions from here on, unless they are a column.
        total = total_points(self._points, scored.raw, out=None if "raw_prediction" in self.columns else scored.raw)
        if scored.null is not None:
            total[scored.null] = 0.0
        return total

    def _floats(self, values: Floats, null: Mask | None) -> pa.Array:
        return float_array(values, null, float32=self.float32)

    def _counted(self, values: Floats, null: Mask | None, *, are_whole: bool) -> pa.Array:
        if not are_whole:
            return self._floats(values, null)
        integers, lost = whole(values)
        return integer_array(integers, lost if null is None else lost | null)

    def _reason_arrays(self, codes: Codes, undecided: Mask) -> list[pa.Array]:
        return [labels.array(places, undecided) for places in codes for labels in self._reason_labels]
