"""What an evaluation reports: the names are those of its JSON."""

from __future__ import annotations

from pipeline.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class MeasureWishes:
    """What is asked for.

    Attributes
    ----------
    bins : int
        Bins of equal mass, of the calibration curve and of what is made from it.
    cost : tuple of two float, or None
        What a false positive and a false negative cost.
    """

    bins: int = 20
    cost: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class DecileGains:
    """The rows with the highest scores, up to a share of all.

    Attributes
    ----------
    share : float
        The share asked for.
    rows : int
        How many there are up to the end of the key that reaches the share; equal scores are not divided.
    positives : float
        Their positives; weighted with weights.
    lift : float
        The share of positives among them over that among all.
    gains : float
        The share of all positives that is among them.
    """

    share: float
    rows: int
    positives: float
    lift: float
    gains: float


@dataclass(frozen=True, slots=True)
class ThresholdRates:
    """The rows at or above a threshold, taken as positive, against the classes; weighted with weights.

    Attributes
    ----------
    threshold : float
        Of the probability.
    true_positives, false_positives, true_negatives, false_negatives : float
    precision, recall, specificity, f1, accuracy, balanced_accuracy, mcc : float or None
        ``None`` where it divides by zero; ``mcc`` is the correlation of Matthews.
    """

    threshold: float
    true_positives: float
    false_positives: float
    true_negatives: float
    false_negatives: float
    precision: float | None
    recall: float | None
    specificity: float | None
    f1: float | None
    accuracy: float
    balanced_accuracy: float | None
    mcc: float | None


@dataclass(frozen=True, slots=True)
class BestThreshold:
    """A threshold that no other one beats by more than what moving rows of one key would change.

    Attributes
    ----------
    value : float
        What is best: F1, Youden's J (recall + specificity - 1), or the cost of a row.
    score : float
        The smallest score of a row that counts as positive.
    rates : ThresholdRates
        Its ``threshold`` is the smallest probability of these rows.
    """

    value: float
    score: float
    rates: ThresholdRates


@dataclass(frozen=True, slots=True)
class BestThresholds:
    """The best threshold by F1, by Youden's J, and by the cost where one was given."""

    f1: BestThreshold | None
    youden: BestThreshold | None
    cost: BestThreshold | None


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Rows of neighbouring scores.

    Attributes
    ----------
    rows : int
    weight : float
        Of the rows; their number without weights.
    mean_probability, share_positive : float
    standard_error : float or None
        Of the share, if the probabilities are right; ``None`` with weights.
    """

    rows: int
    weight: float
    mean_probability: float
    share_positive: float
    standard_error: float | None


@dataclass(frozen=True, slots=True)
class HosmerLemeshow:
    """The test of Hosmer and Lemeshow (1980) on the bins of the calibration curve, with bins - 2 degrees of freedom."""

    statistic: float
    degrees_of_freedom: int
    p_value: float


@dataclass(frozen=True, slots=True)
class BinaryMeasures:
    """How good the probabilities of a class are. ``None`` is what is not defined on these rows; ``notes`` say why.

    Attributes
    ----------
    rows : int
    weight : float
        Of all rows; their number without weights.
    prevalence, mean_probability, log_loss, brier : float
        Means over the rows, weighted with weights.
    reliability, resolution, uncertainty, within_bin_variance, within_bin_covariance : float
        ``brier`` is the first, minus the second, plus the third, plus the fourth, minus the fifth (Stephenson, Coelho
        and Jolliffe, 2008).
    auc, auc_bound : float or None
        The area under the ROC curve of the rows is within the bound of it.
    auc_standard_error : float or None
        Of DeLong, DeLong and Clarke-Pearson (1988); ``None`` with weights.
    average_precision, average_precision_bound : float or None
        That of the rows is within the bound of it.
    ks : float or None
        The largest distance between the distributions of the classes (Kolmogorov, Smirnov), at the ends of keys.
    gini : float or None
        2 auc - 1.
    deciles : tuple of DecileGains
    thresholds : tuple of ThresholdRates
        In the order in which they were asked for.
    best : BestThresholds
    calibration_curve : tuple of CalibrationBin
    ece : float
        The mean distance of the curve from the diagonal.
    ece_noise_floor : float or None
        Its expectation where the probabilities are right; ``None`` with weights.
    hosmer_lemeshow : HosmerLemeshow or None
    calibration_slope, calibration_intercept : float or None
        Of the logistic regression of the classes on the logit of the probability (Cox, 1958).
    keys : int
        How many keys the rows have.
    warnings, notes : tuple of str
    """

    rows: int
    weight: float
    prevalence: float
    mean_probability: float
    log_loss: float
    brier: float
    reliability: float
    resolution: float
    uncertainty: float
    within_bin_variance: float
    within_bin_covariance: float
    auc: float | None
    auc_bound: float | None
    auc_standard_error: float | None
    average_precision: float | None
    average_precision_bound: float | None
    ks: float | None
    gini: float | None
    deciles: tuple[DecileGains, ...]
    thresholds: tuple[ThresholdRates, ...]
    best: BestThresholds
    calibration_curve: tuple[CalibrationBin, ...]
    ece: float
    ece_noise_floor: float | None
    hosmer_lemeshow: HosmerLemeshow | None
    calibration_slope: float | None
    calibration_intercept: float | None
    keys: int
    warnings: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ClassMeasures:
    """One class against the rest.

    Attributes
    ----------
    rows : int
    prevalence : float
    auc, auc_bound : float or None
    precision, recall, f1 : float or None
        Of the largest probability.
    """

    rows: int
    prevalence: float
    auc: float | None
    auc_bound: float | None
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True, slots=True)
class MultinomialMeasures:
    """How good the probabilities of several classes are.

    Attributes
    ----------
    rows : int
    weight : float
    log_loss : float
    brier : float
        Squared distances, summed over the classes.
    accuracy : float
        Of the class with the largest probability, the first of equal ones.
    confusion_matrix : tuple of tuple of float
        Rows by class, then by what is predicted; weighted with weights.
    classes : tuple of ClassMeasures
        In the order of the classes.
    auc_macro : float or None
        The mean of the areas of the classes, one against the rest.
    warnings, notes : tuple of str
    """

    rows: int
    weight: float
    log_loss: float
    brier: float
    accuracy: float
    confusion_matrix: tuple[tuple[float, ...], ...]
    classes: tuple[ClassMeasures, ...]
    auc_macro: float | None
    warnings: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AreaDifference:
    """The area under the curve of the second model minus that of the first (DeLong and others, 1988).

    Attributes
    ----------
    value : float
    bound : float
        The difference of the areas of the rows is within it.
    standard_error, z, p_value : float or None
        Paired: both models score the same rows. ``None`` with weights, and where the models rank all rows alike.
    """

    value: float
    bound: float
    standard_error: float | None
    z: float | None
    p_value: float | None


@dataclass(frozen=True, slots=True)
class ModelDifferences:
    """The second model minus the first.

    Attributes
    ----------
    log_loss, brier : float
    auc : AreaDifference or None
        Of two classes alone.
    accuracy : float or None
        Of more than two classes.
    """

    log_loss: float
    brier: float
    auc: AreaDifference | None = None
    accuracy: float | None = None
