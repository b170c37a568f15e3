"""Pictures of measures in reports: of the order of rows, of scores by class, and of calibration."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipeline.dataclass import dataclass
from pipeline.drawing import DrawnAxes, DrawnBand, DrawnLine, as_svg, draw_lines, draw_steps
from pipeline.evaluation.curves import RankingCurves
from pipeline.evaluation.results import BinaryMeasures, CalibrationBin
from pipeline.pages import PageDrawing
from pipeline.units import bound_text, escape

_NAME = 40
# Of a normal distribution, on both sides.
_OF_95_PERCENT = 1.959964
# So that a line along the frame is whole.
_SHARES = (-0.02, 1.02)


@dataclass(frozen=True, slots=True)
class DrawnModel:
    """A model of a report: its name, empty where there is one alone; its measures and its curves."""

    name: str
    measures: BinaryMeasures
    curves: RankingCurves

    @property
    def label(self) -> str:
        """What a legend calls it."""
        return escape(self.name, _NAME) or "model"

    def told(self, text: str) -> str:
        """Return what is said of it, with its name where there are others."""
        return f"{text} ({escape(self.name, _NAME)})" if self.name else text


def rank_drawings(models: Sequence[DrawnModel]) -> Iterator[PageDrawing]:
    """Yield the ROC curve, precision and recall, and lift; a line for each model."""
    roc = [DrawnLine(each.label, each.curves.false_positive_rate, each.curves.recall) for each in models]
    areas = "; ".join(each.told(_within("AUC", each.measures.auc, each.measures.auc_bound)) for each in models)
    yield PageDrawing(
        "ROC curve",
        f"{areas}. A model that ranks at random is on the diagonal; the farther above it, the better.",
        as_svg(draw_lines(roc, DrawnAxes("false positive rate", "recall", _SHARES, _SHARES), _chance((0, 1)))),
    )
    precise = [DrawnLine(each.label, each.curves.reached, each.curves.precision) for each in models]
    means = "; ".join(
        each.told(_within("Average precision", each.measures.average_precision, each.measures.average_precision_bound))
        for each in models
    )
    prevalence = models[0].measures.prevalence
    yield PageDrawing(
        "Precision and recall",
        f"{means}. At random the precision is the share of positives, {prevalence:.4g}.",
        as_svg(
            draw_lines(precise, DrawnAxes("recall", "precision", _SHARES, _SHARES), _chance((prevalence, prevalence)))
        ),
    )
    lifted = [DrawnLine(each.label, each.curves.share, each.curves.lift) for each in models]
    tops = "; ".join(each.told(f"{each.measures.deciles[0].lift:.3g}") for each in models)
    axes = DrawnAxes("share of the rows, highest scores first", "lift", _SHARES, (0, None))
    yield PageDrawing(
        "Lift",
        f"The lift of the tenth of the rows with the highest scores: {tops}. It says how many times as frequent "
        "positives are there as among all rows.",
        as_svg(draw_lines(lifted, axes, _chance((1, 1)))),
    )


def score_drawing(model: DrawnModel, classes: Sequence[str]) -> PageDrawing:
    """Return the probabilities of each class as a histogram, of which each adds up to 1."""
    curves, measured = model.curves, model.measures
    outlines = [
        (escape(name, _NAME), [part / sum(parts) for part in parts])
        for name, parts in zip(classes, (curves.negatives, curves.positives), strict=True)
    ]
    axes = DrawnAxes("probability", "share of the rows of the class", (0, 1), (0, None))
    return PageDrawing(
        f"Probabilities by class, {model.label}" if model.name else "Probabilities by class",
        f"How the probabilities are distributed among the rows of each class. Over all rows the mean probability is "
        f"{measured.mean_probability:.4g}, and the share of positives {measured.prevalence:.4g}.",
        as_svg(draw_steps(curves.edges, outlines, axes)),
    )


def calibration_drawing(curves: Sequence[tuple[str, Sequence[CalibrationBin]]], told: str) -> PageDrawing:
    """Return calibration curves, each with the band of chance where it is known; ``told`` has what was measured."""
    lines = [_calibration_line(escape(name, _NAME), bins) for name, bins in curves]
    has_bands = any(line.band is not None for line in lines)
    band = " Where all is right, 95 of 100 points are in the shaded band." if has_bands else ""
    return PageDrawing(
        "Calibration curve",
        f"{told} A point is a bin of rows with neighbouring scores; on the diagonal the probabilities are right.{band}",
        as_svg(
            draw_lines(lines, DrawnAxes("mean probability", "share of positives"), DrawnLine("right", (0, 1), (0, 1)))
        ),
    )


def _calibration_line(name: str, bins: Sequence[CalibrationBin]) -> DrawnLine:
    means = [each.mean_probability for each in bins]
    errors = [_OF_95_PERCENT * each.standard_error for each in bins if each.standard_error is not None]
    band = None
    if bins and len(errors) == len(bins):
        ends = [(max(0.0, mean - error), min(1.0, mean + error)) for mean, error in zip(means, errors, strict=True)]
        band = DrawnBand(*zip(*ends, strict=True))
    return DrawnLine(name, means, [each.share_positive for each in bins], band, marks=True)


def _chance(y: tuple[float, float]) -> DrawnLine:
    return DrawnLine("at random", (0, 1), y)


def _within(words: str, value: float | None, bound: float | None) -> str:
    """Return a measure that these rows have, with how far it may be off."""
    return f"{words} {value or 0.0:.4g}" + (f" within {bound_text(bound)}" if bound else "")
