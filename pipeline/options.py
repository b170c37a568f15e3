"""The options of the functions: their names and types, their defaults, and what each of them means.

Signatures and docstrings are made from this table, so that ``help`` and ``inspect.signature`` show every option. The
command line has the same options with the same names, and takes their meanings from here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from textwrap import fill
from types import MappingProxyType, NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, NewType, TypedDict, TypeVar, Union, get_args, get_origin, get_type_hints

from pipeline.choices import (
    Absent,
    Durability,
    Fingerprint,
    Format,
    IfExists,
    Initialisation,
    MissingTarget,
    Optimizer,
    Precision,
    SolverName,
    WhichRows,
)
from pipeline.dataclass import dataclass
from pipeline.units import nearest

if TYPE_CHECKING:
    from distributed import Client
    from distributed.deploy.cluster import Cluster

    from pipeline.types.report import Observer

    Scheduler = str | Client | Cluster | None
else:
    # As help shows them; loading distributed takes half a second.
    Scheduler = str | NewType("Client", object) | NewType("Cluster", object) | None
    # The command line needs this module for its help, which must not load numpy.
    Observer = Callable[[Any], None]

Function = TypeVar("Function", bound=Callable[..., Any])
Given = TypeVar("Given", bound=Mapping[str, Any])

_WIDTH = 100


class ConductOptions(TypedDict, total=False):
    """Options that say how a run goes about its work; they never change a byte of what it writes."""

    resume: bool
    reuse: bool
    if_running: str
    deadline: float | str | None
    retries: int
    durability: Durability
    keep_versions: int


class ReadOptions(TypedDict, total=False):
    """Options that say how CSV inputs are written."""

    delimiter: str
    quote: str
    escape: str | None
    null: str | Sequence[str]
    quoted_null: bool
    decimal: str
    thousands: str | None
    encoding: str
    columns: str | Sequence[str] | None
    skip_lines: int
    comment: str | None
    types: Mapping[str, str]


class SchedulerOptions(TypedDict, total=False):
    """Options that say where chunks are computed; they never change a byte of a result."""

    scheduler: Scheduler
    insecure: bool
    tls_ca: str | None
    tls_cert: str | None
    tls_key: str | None
    cluster: str | None
    cluster_options: str | None
    adapt: str | None
    dashboard: bool
    performance_report: str | None
    wait_workers: float | str | None
    scheduler_timeout: float | str | None


class InspectOptions(ReadOptions, SchedulerOptions, total=False):
    """Options of :func:`pipeline.inspect` that other functions have, too; those of schedulers are for ``full``."""


class JobOptions(ConductOptions, ReadOptions, SchedulerOptions, total=False):
    """Options of every job."""

    keep: str | Sequence[str]
    rename: Mapping[str, str]
    absent: Absent
    float32: bool
    limit: int | None
    max_bad: int | str
    fingerprint: Fingerprint
    chunk_size: int | str
    workers: int | None
    memory: int | str | None
    precision: Precision
    format: Format | None
    compression: str | None
    if_exists: IfExists
    allow_empty: bool
    observe: Observer | None


class ScoreOptions(JobOptions, total=False):
    """Options of a scoring job."""

    raw_prediction: bool
    threshold: float | None
    reasons: int | None
    max_unseen: str | Mapping[str, str] | Sequence[str]
    max_missing: str | Mapping[str, str] | Sequence[str]
    sample_rows: int | None


class RowsOptions(ReadOptions, SchedulerOptions, total=False):
    """Options of every job that learns from rows or measures them."""

    absent: Absent
    limit: int | None
    max_bad: int | str
    chunk_size: int | str
    workers: int | None
    memory: int | str | None
    retries: int


class LearnOptions(RowsOptions, total=False):
    """Options of every fit, besides its target and its features."""

    positive: bool | int | float | str | None
    weight: str | None
    offset: str | None
    class_weight: str | Mapping[str, float] | Sequence[str] | None
    prior: float | None
    missing_target: MissingTarget
    missing: str | Mapping[str, str] | Sequence[str]
    exact_median: bool
    min_count: int
    max_levels: int
    control: str | Sequence[str]
    strict: bool
    l2: float
    holdout: str | None
    key: str | None
    fingerprint: Fingerprint
    scratch: str
    if_exists: IfExists
    observe: Callable[[Any], None] | None


class FitOptions(LearnOptions, total=False):
    """Options of a fit of a logistic model."""

    sign: str | Mapping[str, str] | Sequence[str]
    intercept: bool
    l1: float
    path: int | None
    folds: int | None
    one_standard_error: bool
    solver: SolverName
    learning_rate: float
    iterations: int
    robust: bool
    robust_groups: str | None
    effects: bool
    allow_unconverged: bool


class NetworkOptions(LearnOptions, total=False):
    """Options of a fit of a network, besides its hidden layers."""

    learning_rate: float | None
    epochs: int
    batch_rows: int
    optimizer: Optimizer
    momentum: float | None
    clip: float | None
    initialisation: Initialisation
    gain: float | None
    seed: int
    patience: int | None


class CalibrateOptions(RowsOptions, total=False):
    """Options of :func:`pipeline.calibrate`, besides its target and its method."""

    missing_target: MissingTarget
    holdout: str | None
    key: str | None
    recalibrate: bool
    fingerprint: Fingerprint
    if_exists: IfExists
    observe: Callable[[Any], None] | None


class WriteOptions(ConductOptions, SchedulerOptions, total=False):
    """Options of :meth:`pipeline.Dataset.write`: how the inputs are read and cut was decided when they were opened."""

    keep: str | Sequence[str]
    rename: Mapping[str, str]
    workers: int | None
    memory: int | str | None
    format: Format | None
    compression: str | None
    if_exists: IfExists
    allow_empty: bool
    observe: Observer | None


class StreamOptions(TypedDict, total=False):
    """Options of :func:`pipeline.transform_stream`."""

    names: str | Sequence[str] | None
    keep: str | Sequence[str]
    rename: Mapping[str, str]
    float32: bool
    precision: Precision
    chunk_size: int
    format: Format | None
    compression: str | None
    if_exists: IfExists
    if_running: str
    deadline: float | str | None
    durability: Durability
    keep_versions: int
    observe: Observer | None


class DiagnoseOptions(TypedDict, total=False):
    """Options of :func:`pipeline.diagnose_initialisation`."""

    width: int
    depth: int
    seeds: int
    function: str
    initialisation: Initialisation | None
    gain: float | None


class GradientOptions(RowsOptions, total=False):
    """Options of :func:`pipeline.diagnose_gradients`, besides its target."""

    missing_target: MissingTarget


class MergeOptions(TypedDict, total=False):
    """Options of :func:`pipeline.merge_evaluations`."""

    costs: str | Mapping[str, float] | None
    bins: int
    state: str | None
    if_exists: IfExists


class EvaluateOptions(RowsOptions, MergeOptions, total=False):
    """Options of :func:`pipeline.evaluate`, besides the target and what is evaluated."""

    weight: str | None
    missing_target: MissingTarget
    rows: WhichRows
    by: str | Sequence[str]
    max_groups: int
    thresholds: float | Sequence[float]
    max_unseen: str | Mapping[str, str] | Sequence[str]
    max_missing: str | Mapping[str, str] | Sequence[str]
    fingerprint: Fingerprint
    precision: Precision
    observe: Observer | None


@dataclass(frozen=True, slots=True)
class Option:
    """The default of an option, and what it means."""

    default: Any
    meaning: str


# Their order is that of the help. A text in double backticks is to be written as it is.
OPTIONS: Mapping[str, Option] = {
    "positive": Option(
        None,
        "The value of the target that is the positive class. By default that is true, 1, or the larger of two other "
        "values. With more than two values, the model has coefficients for each class.",
    ),
    "weight": Option(
        None, "A column with the weight of each row: how often it counts. With ``robust`` these are sampling weights."
    ),
    "offset": Option(None, "A column that is added to the raw prediction as it is, without a coefficient."),
    "class_weight": Option(
        None, "``balanced`` to let all classes count alike, or a weight for a value of the target (``late=3``)."
    ),
    "prior": Option(
        None,
        "The true share of positives, if it differs from the share in the rows: the intercept is corrected for it.",
    ),
    "missing_target": Option(
        "error", "What to do with a row without a target or a weight: ``error``, or ``drop`` to leave it out."
    ),
    "rows": Option(
        "all",
        "Which rows are measured: ``all``, or those that are ``held-out``, as the model file says of its fit.",
    ),
    "by": Option(
        (),
        "A column whose values form groups, which are measured each by itself (``region``); with several columns in "
        "it, their values are crossed (``region:product``).",
    ),
    "max_groups": Option(
        200,
        "How many groups of a ``by`` are measured each by itself: the first ones, numbers by value, then texts. All "
        "others are measured together.",
    ),
    "thresholds": Option(
        (), "Probabilities from which a row counts as positive: the rows that this gets right and wrong are counted."
    ),
    "costs": Option(
        None,
        "What a false positive and a false negative cost (``fp=1,fn=5``): the threshold that costs least is shown.",
    ),
    "bins": Option(20, "How many bins with about as many rows each the calibration is shown in."),
    "state": Option(None, "A file to write what was added up to, so that it can be added to that of other rows."),
    "missing": Option(
        "error",
        "What to do with a missing value of a feature, for all features or for one (``age=drop``): ``error``; "
        "``impute-mean``; ``impute-median``; ``indicator``, the mean with one more coefficient; ``drop`` to leave the "
        "row out. The model file gets the same policies. Means, medians and levels are learnt from all rows that are "
        "fitted, whatever their fold.",
    ),
    "exact_median": Option(
        False, "Impute the exact median, which takes one more pass; otherwise the median is right within 0.4 %."
    ),
    "min_count": Option(1, "How often a level must occur to get a coefficient; rarer levels share one."),
    "max_levels": Option(
        1_000, "How many levels of a column get a coefficient: the most frequent ones. The others share one."
    ),
    "control": Option(
        (),
        "Columns to fit but not to score with, separated by commas: at scoring they have a fixed value, the same for "
        "all rows.",
    ),
    "sign": Option({}, "The sign that the coefficient of a column must have: ``distance=+`` or ``distance=-``."),
    "intercept": Option(True, "Fit an intercept."),
    "strict": Option(False, "Refuse columns that are constant or depend on others, which are left out otherwise."),
    "l1": Option(
        0.0,
        "The penalty on the absolute values of the coefficients, per unit of weight; coefficients count as if columns "
        "were scaled to a deviation of 1.",
    ),
    "l2": Option(0.0, "The penalty on half of the squares of the coefficients, scaled likewise."),
    "path": Option(
        None,
        "Try this many penalties, from one that leaves no coefficient down to those given, and choose the one with the "
        "lowest log loss on rows that were left out.",
    ),
    "folds": Option(
        None,
        "Cross-validate with this many folds: each is left out in turn, to measure the log loss of each penalty on it.",
    ),
    "holdout": Option(
        None, "Rows to leave out of the fit: a percentage (``20%``), or a comparison (``date >= 2013-11-01``)."
    ),
    "key": Option(
        None,
        "A column whose values decide which fold a row is in and whether it is held out, so that rows with the same "
        "value stay together; without it the place of the row decides.",
    ),
    "recalibrate": Option(
        False,
        "Replace the calibration, temperature, alpha or beta that the model has; otherwise that is an error.",
    ),
    "one_standard_error": Option(
        False, "Choose the largest penalty whose log loss is within one standard error of the lowest."
    ),
    "solver": Option(
        "auto",
        "``newton`` (up to 2,000 coefficients), ``newton-cg`` (more of them), ``owlqn`` (more, with an L1 penalty), or "
        "``gradient``: plain gradient descent, for comparison; ``auto`` chooses one of the first three.",
    ),
    "learning_rate": Option(0.1, "The learning rate of ``gradient``."),
    "iterations": Option(1_000, "How many steps ``gradient`` takes."),
    "epochs": Option(20, "How many times at most the network learns from all rows."),
    "batch_rows": Option(256, "The rows of a mini-batch: the weights take a step after each."),
    "optimizer": Option("adam", "How weights move along gradients: ``adam``, or ``sgd``, which has a momentum."),
    "momentum": Option(None, "The momentum of ``sgd``; by default 0.9."),
    "clip": Option(
        None, "The largest norm that the gradient of all weights together may have: a longer one is scaled down."
    ),
    "seed": Option(0, "What the initial weights and the order of the rows are drawn from."),
    "patience": Option(
        None, "Stop after this many epochs without a lower log loss of the rows that are held out; by default 5."
    ),
    "robust": Option(False, "Standard errors that do not need the model to be right (sandwich)."),
    "robust_groups": Option(
        None,
        "A column whose values form groups: standard errors that allow for dependence within a group. A row without a "
        "group is an error.",
    ),
    "effects": Option(False, "Also compute average marginal effects with standard errors, which takes one more pass."),
    "allow_unconverged": Option(False, "Publish the model even if the fit did not converge."),
    "names": Option(None, "Names for the columns of arrays; ``x``, or ``x0``, ``x1`` ... unless given."),
    "keep": Option((), "Columns to copy to the output, separated by commas; ``'*'`` for all."),
    "rename": Option(
        {},
        "New names for columns of the output, kept or made. If a kept and a made column have the same name, the kept "
        "one is renamed.",
    ),
    "absent": Option(
        "error",
        "What to do if a file lacks a column that others have: ``error``, or ``null`` to take it as null in all rows "
        "of that file.",
    ),
    "raw_prediction": Option(False, "Add the column raw_prediction, the score before it becomes a probability."),
    "threshold": Option(None, "Add the column decision: positive if the probability is at least this value."),
    "reasons": Option(
        None,
        "Add the columns reason_1, reason_2 and so on, this many: the features that lower the raw prediction most, as "
        "output.reasons of the model file names them (or those that raise it, if it says so).",
    ),
    "float32": Option(False, "Write the results as float32 instead of float64."),
    "limit": Option(None, "Read at most this many rows, from the start, for a first try; the manifest records this."),
    "max_bad": Option(
        0,
        "How many rows, or what percentage of the rows (``0.5%``), may be bad. Bad rows go to the quarantine of the "
        "output. With more than that, the run fails.",
    ),
    "max_unseen": Option(
        (),
        "What percentage of the values of a categorical feature the model may not know, for all features (``20%``) or "
        "for one (``carrier=20%``). With more than that, the run fails at its end. By default it fails if every one of "
        "at least 100 values is unknown; ``100%`` switches that off.",
    ),
    "max_missing": Option(
        (),
        "In what percentage of the rows a feature may have no value, for all features (``20%``) or for one "
        "(``distance=20%``). With more than that, the run fails at its end. By default it fails if there is none in at "
        "least 1,000 rows; ``100%`` switches that off.",
    ),
    "sample_rows": Option(
        None,
        "Read this many first rows of at most 20 files before work begins, and warn of features whose values the model "
        "does not know, or that have none.",
    ),
    "fingerprint": Option(
        "ends", "How a changed input is recognised: by size, time and both ends of the file, or by all of its bytes."
    ),
    "delimiter": Option(",", "The character between two fields of a CSV."),
    "quote": Option(
        '"', "The character around a field that holds delimiters or line ends; ``none`` if quotes are plain text."
    ),
    "escape": Option(
        None,
        "The character that makes a quote, or itself, plain text if it comes before it (a backslash); before anything "
        "else it is plain text.",
    ),
    "null": Option(
        (),
        "Spellings of null besides the empty field, separated by commas (``NA,-``); ``pandas`` means all that "
        "pandas takes, quoted or not.",
    ),
    "quoted_null": Option(False, "Take a spelling of null for null in quotes, too."),
    "decimal": Option(".", "The character before the fraction of a number in a CSV."),
    "thousands": Option(None, "The character between groups of three digits of a number in a CSV."),
    "encoding": Option("utf-8", "The encoding of the text of a CSV."),
    "columns": Option(None, "Column names, separated by commas, for files without a header."),
    "skip_lines": Option(0, "How many lines of a CSV to skip before its header, or before its first record."),
    "comment": Option(
        None,
        "The character that begins a comment: such lines before the header are skipped; behind it they are bad rows.",
    ),
    "types": Option({}, "The Arrow types of columns or partitions; without one, a kept column of a CSV is text."),
    "chunk_size": Option(
        1_048_576, "The size of a chunk, and so of an output file: rows (``500000``) or bytes (``64MiB``)."
    ),
    "workers": Option(None, "How many chunks are worked on at the same time; by default one per core."),
    "memory": Option(None, "How much memory the run may use (``4GiB``); by default half of what is free."),
    "scratch": Option(
        "auto",
        "Where decoded rows are kept between passes if they do not fit in memory: a folder; ``auto``, where that saves "
        "time, for the folder of the output (without one, of temporary files); or ``none`` to read the inputs again.",
    ),
    "scheduler": Option(
        None,
        "``threads``, ``processes``, ``sync`` (one chunk after the other); ``local`` or "
        "``local:processes=4,threads=1``, a Dask cluster on this machine for this run; ``client``, that of the active "
        "Dask client; or the address (``tcp://HOST:PORT``, ``tls://HOST:PORT``) or the scheduler file of a cluster. By "
        "default that of ``DASK_SCHEDULER_ADDRESS`` or of Dask's configuration, else that of the active client, else "
        "``threads``.",
    ),
    "insecure": Option(
        False,
        "Allow a scheduler on another machine, although anyone who reaches its port can run code on its workers.",
    ),
    "tls_ca": Option(
        None, "The certificate of the authority that both ends of a ``tls://`` address trust, a PEM file."
    ),
    "tls_cert": Option(None, "The certificate to connect with, a PEM file."),
    "tls_key": Option(None, "The key of that certificate, a PEM file without a password that only you may read."),
    "cluster": Option(
        None,
        "Start a cluster of this class (``MODULE:CLASS``), and end it with the run: ``dask_jobqueue:SLURMCluster``.",
    ),
    "cluster_options": Option(None, "A TOML file with the arguments of that class."),
    "adapt": Option(
        None, "Let the cluster that is started have as many workers as the work needs, within a range (``0..40``)."
    ),
    "dashboard": Option(False, "Show Dask's dashboard of a ``local`` cluster, on this machine."),
    "performance_report": Option(
        None, "Write what the cluster did to this file, as a page for a browser, when the run has ended."
    ),
    "wait_workers": Option(
        None,
        "How long to wait for a worker of a cluster that has none (``90s``, ``30m``); by default 5 minutes.",
    ),
    "scheduler_timeout": Option(
        None,
        "How long the scheduler of a cluster may not answer before the run ends; by default 60 seconds. For the first "
        "connection it is always 10 seconds.",
    ),
    "precision": Option(
        "fast",
        "``fast``; ``accurate`` if tiny probabilities matter; ``reproducible`` (slower) for the same bits on every "
        "CPU, numpy and C library.",
    ),
    "retries": Option(3, "How often a chunk is tried again after a temporary error."),
    "resume": Option(True, "Take over the chunks that an unfinished run of the same job has done."),
    "reuse": Option(True, "Take over the parts that the published output already has."),
    "if_running": Option(
        "fail",
        "What to do if another run is working on the output: ``fail``, ``skip``, ``wait``, or ``wait=10m`` to wait at "
        "most that long.",
    ),
    "deadline": Option(None, "Stop after this time (``90s``, ``25m``, ``3h``); the same job resumes later."),
    "format": Option(None, "The format of the output; by default that of the file name, else parquet."),
    "compression": Option(
        None,
        "``snappy``, ``zstd``, ``lz4``, ``gzip``, ``brotli`` or ``none``; for CSV: ``none``, ``gzip`` or ``zstd``. "
        "By default ``snappy``, for CSV ``none``.",
    ),
    "if_exists": Option("fail", "What to do if the output is already published."),
    "allow_empty": Option(False, "Publish an output without rows if the inputs have none."),
    "keep_versions": Option(1, "How many previous versions are kept for a rollback."),
    "durability": Option(
        "full", "``full`` survives a power cut; ``none`` lets the system decide when the bytes reach the disk."
    ),
    "width": Option(10, "How many units each layer has, and how many inputs there are."),
    "depth": Option(10, "How many layers there are."),
    "seeds": Option(25, "How often weights and inputs are drawn; what is shown are medians."),
    "function": Option("sigmoid", "The function of every layer."),
    "initialisation": Option(
        None,
        "How weights are drawn: ``normal`` (with a deviation of 0.5), ``glorot`` (also called Xavier) or ``he``. By "
        "default normal, glorot with a gain of 1, and glorot with the gain that suits the function are compared.",
    ),
    "gain": Option(
        None,
        "The gain of glorot or he, a factor on the weights; by default the one that suits the function (with glorot 4 "
        "for sigmoid, 1 for tanh).",
    ),
    "observe": Option(None, "A function that is called with each event of the run."),
}

# What some options mean for a fit.
OF_A_FIT: Mapping[str, str] = {
    "limit": "Read at most this many rows, from the start, for a first try; the model file records this.",
    "max_bad": "How many rows, or what percentage of the rows (``0.5%``), may be bad. They are not fitted. With more "
    "than that, the fit fails.",
    "chunk_size": "The size of a chunk: rows (``500000``) or bytes (``64MiB``). Another size changes the last digits.",
    "memory": "How much memory the fit may use (``4GiB``); by default half of what is free.",
    "if_exists": "What to do if the model file exists.",
    "observe": "A function that is called with each event of the fit.",
}

# What some options mean for a diagnosis of gradients.
OF_GRADIENTS: Mapping[str, str] = {
    "missing_target": "What to do with a row without a target: ``error``, or ``drop`` to leave it out.",
    "limit": "Read at most this many rows, from the start, for a first try.",
    "max_bad": "How many rows, or what percentage of the rows (``0.5%``), may be bad. They are left out. With more "
    "than that, nothing is measured.",
    "chunk_size": "The size of a chunk: rows (``500000``) or bytes (``64MiB``). Another size changes the last digits.",
}

# What some options mean for an evaluation.
OF_AN_EVALUATION: Mapping[str, str] = {
    "weight": "A column with the weight of each row: how often it counts. With weights there are no standard errors.",
    "limit": OF_GRADIENTS["limit"],
    "max_bad": OF_GRADIENTS["max_bad"],
    "chunk_size": OF_GRADIENTS["chunk_size"],
    "if_exists": "What to do if the file of the state exists.",
    "threshold": OPTIONS["thresholds"].meaning,
    "observe": "A function that is called when the pass begins, and then with how far it is.",
}

# What some options mean for a calibration.
OF_A_CALIBRATION: Mapping[str, str] = {
    **{name: OF_A_FIT[name] for name in ("limit", "chunk_size", "if_exists")},
    "missing_target": OF_GRADIENTS["missing_target"],
    "holdout": "Rows to leave out and to measure on, before and after: a percentage (``20%``), or a comparison "
    "(``date >= 2013-11-01``). Without it they are measured on the rows that are fitted.",
    "key": "A column whose values decide whether a row is held out, so that rows with the same value stay together; "
    "without it the place of the row decides.",
    "max_bad": "How many rows, or what percentage of the rows (``0.5%``), may be bad. They are left out. With more "
    "than that, nothing is written.",
    "memory": "How much memory the calibration may use (``4GiB``); by default half of what is free.",
    "observe": "A function that is called with each pass that begins or has ended, and with how far it is.",
}

# What some options mean for a fit of a network, and the defaults that differ there.
OF_A_NETWORK: Mapping[str, str] = {
    **OF_A_FIT,
    "positive": "The value of the target that is the positive class. By default that is true, 1, or the larger of two "
    "other values. With more than two values, the network has an output for each class.",
    "weight": "A column with the weight of each row: how often it counts.",
    "offset": "A column that is added to the raw prediction of two classes as it is, in the fit and in scoring.",
    "prior": "The true share of positives, if it differs from the share in the rows: the last bias is corrected for "
    "it.",
    "missing": "What to do with a missing value of a feature, for all features or for one (``age=drop``): ``error``; "
    "``impute-mean``; ``impute-median``; ``indicator``, the mean with one more input, or a level of its own; ``drop`` "
    "to leave the row out. Levels are imputed with the most frequent one. The model file gets the same policies.",
    "min_count": "How often a level must occur to get an input; rarer levels share one.",
    "max_levels": "How many levels of a column get an input: the most frequent ones. The others share one.",
    "strict": "Refuse columns that are constant, which are left out otherwise.",
    "l2": "The penalty on half of the squares of the weights, per unit of weight; biases have none.",
    "holdout": "Rows to leave out of the fit: a percentage (``20%``), or a comparison (``date >= 2013-11-01``). Each "
    "epoch is measured on them, and the weights of the best one are kept.",
    "key": "A column whose values decide whether a row is held out, so that rows with the same value stay together; "
    "without it the place of the row decides.",
    "learning_rate": "How far the weights move along a gradient; by default 0.001 for ``adam``, 0.1 for ``sgd``.",
    "initialisation": "How the initial weights are drawn: ``glorot`` (also called Xavier), ``he``, or ``normal`` (with "
    "a deviation of 0.5).",
    "gain": "A factor on the initial weights of the hidden layers; by default with glorot the one that suits the "
    "function (4 for sigmoid, 1 for tanh), with he 1.",
    "chunk_size": "The size of a chunk: rows (``65536``) or bytes (``4MiB``). Chunks come in another order in each "
    "epoch, so another size gives other weights.",
}
DEFAULTS_OF_A_NETWORK: Mapping[str, Any] = {
    "learning_rate": None,
    "initialisation": "glorot",
    "chunk_size": 65_536,
}

# What users of pandas, polars and scikit-learn call an option, by the name that it has here.
ELSEWHERE: Mapping[str, str] = {
    "sep": "delimiter",
    "separator": "delimiter",
    "quotechar": "quote",
    "quote_char": "quote",
    "escapechar": "escape",
    "escape_char": "escape",
    "skiprows": "skip_lines",
    "skip_rows": "skip_lines",
    "comment_prefix": "comment",
    "na_values": "null",
    "null_values": "null",
    "keep_default_na": "null",
    "na_filter": "null",
    "nullstr": "null",
    "allow_quoted_nulls": "quoted_null",
    "quoted_strings_can_be_null": "quoted_null",
    "decimal_point": "decimal",
    "decimal_separator": "decimal",
    "decimal_comma": "decimal",
    "thousands_separator": "thousands",
    "names": "columns",
    "header": "columns",
    "dtype": "types",
    "index": "keep",
    "index_col": "keep",
    "nrows": "limit",
    "n_jobs": "workers",
    "sample_weight": "weight",
    "fit_intercept": "intercept",
    "max_iter": "iterations",
    "cv": "folds",
}


def meaning(name: str, instead: Mapping[str, str] = MappingProxyType({})) -> str:
    """Return what an option means, as the command line says it; ``instead`` has what it means in one command."""
    return instead.get(name, OPTIONS[name].meaning).replace("``", "")


def check_names(given: Iterable[str], options: type) -> None:
    """Refuse a name that is not among the options of a function.

    Raises
    ------
    TypeError
        There is no such option; the message has the nearest one, or all that there are.
    """
    known = _names(options)
    for name in given:
        if name not in known:
            meant = ELSEWHERE.get(name)
            there = nearest(meant if meant in known else name, known) or f"; there are {', '.join(known)}"
            raise TypeError(f"there is no option {name!r}{there}")


def completed(given: Given, defaults: Mapping[str, Any] = MappingProxyType({})) -> Given:
    """Return options with the defaults of those that were not given; ``defaults`` are those that differ."""
    usual = {name: option.default for name, option in OPTIONS.items()}
    return usual | dict(defaults) | dict(given)  # type: ignore[return-value]


def documented(
    options: type, defaults: Mapping[str, Any] = MappingProxyType({}), /, **meanings: str
) -> Callable[[Function], Function]:
    """Return a decorator that puts the options of a function into its signature and its docstring.

    Parameters
    ----------
    options : type
        The ``TypedDict`` of the options; in the docstring they replace the line ``**options : NAME``.
    defaults : mapping
        The defaults that differ from the table in this function.
    **meanings : str
        What an option means in this function, if that differs from the table.
    """
    hints = _hints(options)
    names = _names(options)
    own = {name: defaults.get(name, OPTIONS[name].default) for name in names}

    def decorate(function: Function) -> Function:
        signature = inspect.signature(function)
        shown = [
            parameter.replace(annotation=parameter.empty)
            for parameter in signature.parameters.values()
            if parameter.kind is not parameter.VAR_KEYWORD
        ]
        keyword = inspect.Parameter.KEYWORD_ONLY
        shown += [inspect.Parameter(name, keyword, default=own[name]) for name in names]
        function.__signature__ = signature.replace(parameters=shown)  # type: ignore[attr-defined]
        if function.__doc__:
            described = "\n".join(_described(name, hints[name], own[name], meanings.get(name)) for name in names)
            text = inspect.cleandoc(function.__doc__)
            function.__doc__ = text.replace(f"**options : {options.__name__}", described)
        return function

    return decorate


# The functions for jobs have nearly the same options, and each takes a while to describe.
@cache
def _hints(options: type) -> dict[str, Any]:
    return get_type_hints(options)


def _names(options: type) -> list[str]:
    return [name for name in OPTIONS if name in options.__annotations__]


def _described(name: str, hint: Any, default: Any, meaning: str | None) -> str:
    given = f"default {default!r}" if isinstance(default, bool | int | str) else "optional"
    return f"{name} : {_words(hint)}, {given}\n{_indented(meaning or OPTIONS[name].meaning)}"


@cache
def _indented(text: str) -> str:
    return fill(text, _WIDTH, initial_indent="    ", subsequent_indent="    ")


def _words(hint: Any) -> str:
    """Return a type as a docstring has it: ``int or str``, ``sequence of str``, ``{'fail', 'replace'}``."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        return f"{{{', '.join(map(repr, inner))}}}"
    if origin in {Union, UnionType}:
        return " or ".join(_words(each) for each in inner if each is not NoneType)
    if origin is None:
        return str(hint.__name__)
    words = {Sequence: "sequence of", Mapping: "mapping of", Callable: "callable"}[origin]
    return words if origin is Callable else f"{words} {' to '.join(_words(each) for each in inner)}"
