"""The probabilities and log losses of rows, with the calibration that a model has or with a new one."""

from __future__ import annotations

import numpy as np

from pipeline.dataclass import dataclass
from pipeline.evaluation.scoring import BatchScores, ModelScorer, ScoresColumns
from pipeline.evaluation.states import ScoredTile
from pipeline.evaluation.tiles import Codes, Floats
from pipeline.models.logistic.making import class_probabilities, probability_of
from pipeline.models.logistic.predictor import Predictor


@dataclass(frozen=True, slots=True)
class RawScorer:
    """Measures raw predictions with what a model file makes of them.

    Attributes
    ----------
    block : ScoresColumns
        Of the model, perhaps with another calibration.
    """

    block: ScoresColumns

    def tile(self, raw: Floats, codes: Codes) -> tuple[ScoredTile, int]:
        """Return rows as a state of two classes takes them, and how many have a probability of 0 on the wrong side.

        Rows are ranked by the raw prediction where the probability never falls with it, so that bins are the same
        before and after. Of several classes it is measured how sure the model is of its decision: the positive class
        are the rows whose decision is right, and their probability is the largest one. The log loss is that of all
        classes.

        Parameters
        ----------
        raw : ndarray of float64, shape (outputs, rows)
        codes : ndarray of intp, shape (rows,)
        """
        file, rows, scorer = self.block.model, np.zeros(codes.size, dtype=np.bool_), ModelScorer(self.block)
        if file.classes is None:
            probability = probability_of(file, raw[0], "fast")
            judged = scorer.judged(BatchScores(raw[0], probability, rows), codes)
            scores = probability if judged.scores is None and _falls(file) else raw[0]
            return _tile(scores, probability, judged.losses, codes), judged.clipped
        probabilities = class_probabilities(file, raw, "fast")
        judged = scorer.judged(BatchScores(raw, probabilities, rows), codes)
        decided = probabilities.argmax(axis=0)
        largest = np.ascontiguousarray(probabilities[decided, np.arange(codes.size)])
        right = (decided == codes).astype(np.intp)
        return _tile(largest, largest, judged.losses, right), judged.clipped


def _falls(file: Predictor) -> bool:
    """Return whether the probability falls where the raw prediction rises."""
    calibration = file.output.calibration
    return calibration is None or calibration.method != "isotonic"


def _tile(scores: Floats, probabilities: Floats, losses: Floats, codes: Codes) -> ScoredTile:
    return ScoredTile(scores=(scores,), probabilities=(probabilities,), losses=(losses,), codes=codes, weights=None)
