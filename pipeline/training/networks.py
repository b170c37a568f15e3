"""Fitting networks: one call, and the job that options are."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any, TypeVar, Unpack

from pipeline.arguments import Paths, at_least, check_whole, shown_type
from pipeline.choices import INITIALISATION, OPTIMIZER
from pipeline.errors import UsageError
from pipeline.fitting.network import running
from pipeline.fitting.network.hidden import parse_hidden
from pipeline.fitting.network.wishes import (
    MOMENTUM,
    PATIENCE,
    RATES,
    LearningWishes,
    NetworkJob,
    check_terms,
)
from pipeline.fitting.report import NetworkPlan, NetworkReport
from pipeline.options import (
    DEFAULTS_OF_A_NETWORK,
    OF_A_NETWORK,
    FitOptions,
    NetworkOptions,
    check_names,
    completed,
    documented,
)
from pipeline.training.fits import fit_job

# Options of a fit that have another meaning here; the others that both have are handed on.
_LEARNING = frozenset({"learning_rate", "l2"})
Default = TypeVar("Default", float, None)

# Whole numbers, each with its smallest value.
_WHOLE = {"epochs": 1, "batch_rows": 1, "seed": 0, "patience": 1}
# Numbers, each with what it must be.
_REAL: Mapping[str, tuple[str, float, float]] = {
    "learning_rate": ("more than 0", math.ulp(0.0), math.inf),
    "momentum": ("from 0 to below 1", 0.0, 1.0),
    "clip": ("more than 0", math.ulp(0.0), math.inf),
    "gain": ("more than 0", math.ulp(0.0), math.inf),
    "l2": ("0 or more", 0.0, math.inf),
}


@documented(NetworkOptions, DEFAULTS_OF_A_NETWORK, **OF_A_NETWORK)
def fit_network(
    inputs: Paths,
    *,
    target: str,
    features: str | Sequence[str],
    hidden: str,
    output: str | os.PathLike[str] | None = None,
    **options: Unpack[NetworkOptions],
) -> NetworkReport:
    """Fit a network of dense layers to files, by mini-batches that are streamed, and return it with its losses.

    The rows may be larger than memory: they are read once for each epoch, and what was decoded is kept between epochs
    where it fits. If an error is raised, no model file was written.

    The weights have the same bits for any number of workers, batches and schedulers. They depend on the rows and their
    order in the files, the size of a chunk, the options, the kind of CPU and the version of numpy.

    Recurrent layers are not fitted: PyTorch is the better tool for that, and :func:`pipeline.import_network` reads
    what it has fitted.

    Parameters
    ----------
    inputs : path or iterable of paths
        Files, folders or glob patterns, Parquet or CSV.
    target : str
        The column to predict: two classes get a sigmoid, several a softmax.
    features : str or sequence of str
        What to predict it from: columns of numbers, which are standardised, ``C(x)`` for levels, one input each, and
        ``M(x)`` for 1 where x is missing.
    hidden : str
        The units and the function of each hidden layer: ``"64 sigmoid, 32 sigmoid"``.
    output : path, optional
        The model file to write; its weights go beside it, ``m.safetensors`` for ``m.json``.
    **options : NetworkOptions

    Returns
    -------
    NetworkReport
        The model, the losses of each epoch, and what became of the rows.

    Raises
    ------
    pipeline.errors.LogitstreamError
        No model file was written; ``exit_code`` is that of the command line. ``ThresholdError`` (3) if the loss is not
        finite any more.
    TypeError
        There is no option of that name, or an argument is not what it must be.
    """
    observe = options.pop("observe", None)
    job = network_job(inputs, target=target, features=features, hidden=hidden, output=output, **options)
    return running.run(job, observe)


@documented(NetworkOptions, DEFAULTS_OF_A_NETWORK, **{**OF_A_NETWORK, "observe": "Never called: no work is done."})
def preview_fit_network(
    inputs: Paths,
    *,
    target: str,
    features: str | Sequence[str],
    hidden: str,
    output: str | os.PathLike[str] | None = None,
    **options: Unpack[NetworkOptions],
) -> NetworkPlan:
    """Return what :func:`fit_network` would do, from footers and headers alone.

    Raises what :func:`fit_network` would raise before it reads rows.

    Parameters
    ----------
    inputs : path or iterable of paths
        As for :func:`fit_network`.
    target : str
        As for :func:`fit_network`.
    features : str or sequence of str
        As for :func:`fit_network`.
    hidden : str
        As for :func:`fit_network`.
    output : path, optional
        As for :func:`fit_network`.
    **options : NetworkOptions

    Returns
    -------
    NetworkPlan
        Inputs and weights at most, bytes of a pass, memory.
    """
    options.pop("observe", None)
    return running.plan(network_job(inputs, target=target, features=features, hidden=hidden, output=output, **options))


def network_job(
    inputs: Paths,
    *,
    target: str,
    features: str | Sequence[str],
    hidden: str,
    output: str | os.PathLike[str] | None = None,
    **options: Unpack[NetworkOptions],
) -> NetworkJob:
    """Return the job of :func:`fit_network`.

    Raises
    ------
    UsageError
        An option cannot have that value, or two contradict each other.
    TypeError
        An option is of another type, or there is none of that name.
    """
    check_names(options, NetworkOptions)
    if not isinstance(hidden, str):
        raise TypeError(f'hidden is {shown_type(hidden)}; write hidden="64 sigmoid, 32 sigmoid"')
    asked: dict[str, Any] = dict(completed(options, DEFAULTS_OF_A_NETWORK))
    if asked["key"] is not None and not str(asked["holdout"] or "").rstrip().endswith("%"):
        raise UsageError("--key needs a percentage of rows that are held out", "add --holdout 20%, or leave --key out")
    names = FitOptions.__annotations__.keys() & NetworkOptions.__annotations__.keys() - _LEARNING - {"observe"}
    fit = fit_job(inputs, target=target, features=features, output=output, **{name: asked[name] for name in names})
    check_terms(fit.model.features)
    return NetworkJob(fit, _learning(hidden, asked))


def _learning(hidden: str, asked: Mapping[str, Any]) -> LearningWishes:
    _check(asked)
    optimizer = OPTIMIZER.check(asked["optimizer"])
    initialisation = INITIALISATION.check(asked["initialisation"])
    holds_out = asked["holdout"] is not None
    for wrong, message, remedy in (
        (asked["momentum"] is not None and optimizer != "sgd", "--momentum is for --optimizer sgd", "leave it out"),
        (
            asked["gain"] is not None and initialisation == "normal",
            "--gain is for glorot and he: normal weights have a deviation of 0.5",
            "leave it out, or choose another --initialisation",
        ),
        (
            asked["patience"] is not None and not holds_out,
            "--patience needs rows that are held out, to measure each epoch by",
            "add --holdout 20%",
        ),
    ):
        if wrong:
            raise UsageError(message, remedy)
    return LearningWishes(
        hidden=parse_hidden(hidden),
        epochs=int(asked["epochs"]),
        batch_rows=int(asked["batch_rows"]),
        optimizer=optimizer,
        learning_rate=_number(asked["learning_rate"], RATES[optimizer]),
        momentum=_number(asked["momentum"], MOMENTUM if optimizer == "sgd" else 0.0),
        clip=_number(asked["clip"], None),
        initialisation=initialisation,
        gain=_number(asked["gain"], None),
        l2=float(asked["l2"]),
        seed=int(asked["seed"]),
        patience=(int(asked["patience"] or PATIENCE) if holds_out else None),
    )


def _number(given: float | None, default: Default) -> float | Default:
    return default if given is None else float(given)


def _check(asked: Mapping[str, Any]) -> None:
    """Check the types of the options of the learning, and the ranges of its numbers."""
    for name, least in _WHOLE.items():
        if asked[name] is None and name != "patience":
            raise TypeError(f"{name} is None; leave it out, or write {name}={DEFAULTS_OF_A_NETWORK.get(name, 0)}")
        check_whole(name, asked[name])
        at_least(least, name, asked[name])
    for name, (what, low, high) in _REAL.items():
        value = asked[name]
        if value is None and name != "l2":
            continue
        if isinstance(value, bool) or not isinstance(value, Real):
            raise TypeError(f"{name} is {shown_type(value)}; write a number, such as {name}=0.5")
        if not low <= float(value) < high:
            raise UsageError(f"{name} is {value}: it must be {what}")
