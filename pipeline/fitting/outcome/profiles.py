"""``training`` of a model file: what the model was fitted to and how, and a profile of the rows that drift checks use.

Plain JSON. Nothing in it depends on clocks, machines, schedulers or paths: two fits with the same result have the same
bytes.

data          ``digest`` of the files' relative paths, sizes and identities, how many ``files``, and a ``limit`` of rows
rows          what became of them
classes       ``value`` and summed ``weight`` of each class
algorithm     the method, and the options that change the result
certificate   how it is known that the coefficients are the optimum
arithmetic    what the last bits depend on: numpy and the BLAS kernel
profile       ``rows`` of the sample; ``columns`` by name; ``score``, the probability of the positive class, or of each

A column of numbers has exact counts of ``values`` and ``missing``, where it was fitted as it is its ``mean``,
``deviation``, ``smallest`` and ``largest``, and of the sample ``quantiles`` and a ``histogram``: counts between
``edges``, where an edge belongs to the interval above it. A column of levels has exact ``counts`` and ``missing``.
Weights do not count in a profile.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from pipeline.canonical import digest
from pipeline.dataclass import dataclass
from pipeline.fitting.asking.formula import term_text
from pipeline.fitting.asking.job import FitJob
from pipeline.fitting.asking.terms import NumberTerm
from pipeline.fitting.designs.design import FitDesign, factors_of
from pipeline.fitting.first_pass.learnt import Learnt, LearntLevels
from pipeline.fitting.first_pass.vocabulary import OTHER
from pipeline.fitting.outcome.tabulating import coefficient_names
from pipeline.fitting.outcome.totals import class_names
from pipeline.fitting.solving.objective import Certificate, Method
from pipeline.fitting.tiles.layout import Floats
from pipeline.kernels.blas import blas_tag
from pipeline.models import LogisticModel
from pipeline.models.columns import numbers
from pipeline.types.inputs import FileFacts

if TYPE_CHECKING:
    from pipeline.models.network.model import NetworkModel

Document = dict[str, Any]

QUANTILES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
# The edges of histograms are quantiles at these shares: about ten intervals, as drift is usually measured on.
_EDGES = tuple(number / 10 for number in range(1, 10))
# More levels of a column are counted together.
MOST_LEVELS = 1_000


def trained(model: LogisticModel, training: Mapping[str, Any]) -> LogisticModel:
    """Return a model with what is said of its training, besides what its file says already."""
    said = {**training, **(model.training or {})}
    return LogisticModel(model.file.model_copy(update={"training": said}))


@dataclass(frozen=True, eq=False)
class RowsSeen:
    """What a model was fitted to.

    Attributes
    ----------
    files : sequence of FileFacts
    learnt : Learnt
    sample : pyarrow.Table
        Rows that were fitted, as :func:`pipeline.fitting.first_pass.learning.learn` returns them.
    """

    files: Sequence[FileFacts]
    learnt: Learnt
    sample: pa.Table


def training_of(
    job: FitJob, design: FitDesign, seen: RowsSeen, model: LogisticModel, certificate: Certificate, method: Method
) -> Document:
    """Return what is said of the training of a model.

    Parameters
    ----------
    job : FitJob
    design : FitDesign
    seen : RowsSeen
    model : LogisticModel
        The model that was fitted, which scores the sample.
    certificate : Certificate
    method : {"newton", "newton-cg", "owlqn", "gradient"}
    """
    return {
        **data_of(job, seen),
        "algorithm": algorithm_of(job, method),
        "certificate": certificate_document(design, certificate),
        "arithmetic": blas_tag(),
        "profile": profile_of(design, seen, model),
    }


def data_of(job: FitJob, seen: RowsSeen) -> Document:
    """Return what is said of the rows that a model was fitted to: their files, what became of them, their classes."""
    learnt = seen.learnt
    limit = {} if job.data.limit is None else {"limit": job.data.limit}
    pairs = zip(learnt.classes, learnt.class_totals, strict=True)
    return {
        "data": {"digest": data_digest(seen.files), "files": len(seen.files), **limit},
        "rows": asdict(learnt.rows),
        "classes": [{"value": value, "weight": weight} for value, weight in pairs],
    }


def profile_of(design: FitDesign, seen: RowsSeen, model: LogisticModel | NetworkModel) -> Document:
    """Return the distributions of columns, and of the scores that a model gives to a sample."""
    learnt, sample = seen.learnt, seen.sample
    return {
        "rows": sample.num_rows,
        "columns": dict(_columns(design, learnt, sample)),
        "score": _score(model, learnt, sample),
    }


def data_digest(files: Sequence[FileFacts]) -> str:
    """Return the SHA-256 of the identities of some files in their order; when they were changed does not count."""
    return digest(
        [[facts.file.path, facts.identity.size, facts.identity.digest, facts.identity.content] for facts in files]
    )


def algorithm_of(job: FitJob, method: Method) -> Document:
    """Return the method with the options that change the result; those that were not given are left out."""
    model, solve = job.model, job.solve
    weights = model.class_weights
    said = {
        "l1": solve.l1 or None,
        "l2": solve.l2 or None,
        "path": solve.path,
        "folds": solve.folds,
        "holdout": solve.holdout,
        "key": solve.key,
        "one_standard_error": solve.one_standard_error or None,
        "weight": model.weight,
        "class_weights": dict(weights) if isinstance(weights, Mapping) else weights,
        "prior": model.prior,
        "signs": dict(model.signs) or None,
        "robust": solve.robust or None,
        "robust_groups": solve.robust_groups,
    }
    if method == "gradient":
        said |= {"learning_rate": solve.learning_rate, "iterations": solve.iterations}
    return {"method": method, **{name: value for name, value in said.items() if value is not None}}


def certificate_document(design: FitDesign, certificate: Certificate) -> Document:
    """Return a certificate as JSON: what does not apply is left out, coefficients have names."""
    names = coefficient_names(design)
    separating = [names[position % design.layout.width] for position in certificate.separating]
    said = {name: value for name, value in asdict(certificate).items() if value is not None}
    return {name: _finite(value) for name, value in said.items()} | {"separating": separating}


def _columns(design: FitDesign, learnt: Learnt, sample: pa.Table) -> Iterator[tuple[str, Document]]:
    for source in design.numbers:
        yield source.column, _of_numbers(source.column, design, learnt, sample)
    for level_source in design.levels:
        found = _of_levels(learnt.levels[level_source.column])
        # A column that is both has its levels beside its numbers.
        both = any(source.column == level_source.column for source in design.numbers)
        yield f"C({level_source.column})" if both else level_source.column, found


def _of_numbers(column: str, design: FitDesign, learnt: Learnt, sample: pa.Table) -> Document:
    said: Document = {"kind": "number"}
    terms = (NumberTerm(column), *(factor for each in design.columns for factor in factors_of(each)))
    texts = [term_text(term) for term in terms if isinstance(term, NumberTerm) and term.column == column]
    if (found := next((learnt.numbers[text] for text in texts if text in learnt.numbers), None)) is not None:
        said |= {"values": found.values, "missing": found.missing}
    if (plain := learnt.numbers.get(texts[0])) is not None and plain.values:
        said |= {name: getattr(plain, name) for name in ("mean", "deviation", "smallest", "largest")}
    values = _sampled(sample, column)
    return said if values is None else said | distribution(values)


def _sampled(sample: pa.Table, column: str) -> Floats | None:
    """Return the values of a column of numbers in the sample, without missing ones; ``None`` where it is not there."""
    for place, name in enumerate(sample.column_names):
        if name == column and pa.types.is_floating(sample.column(place).type):
            cells = numbers(sample.column(place).combine_chunks())
            values: Floats = np.asarray(cells.values, dtype=np.float64)
            values = values if cells.null is None else values[~cells.null]
            return values[~np.isnan(values)]
    return None


def _of_levels(learnt: LearntLevels) -> Document:
    counts = dict(learnt.counts)
    if len(counts) > MOST_LEVELS:
        frequent = sorted(counts, key=lambda level: (-counts[level], level))
        kept = {level: counts[level] for level in frequent[:MOST_LEVELS] if level != OTHER}
        counts = {**kept, OTHER: sum(counts.values()) - sum(kept.values())}
    return {"kind": "levels", "type": learnt.type, "missing": learnt.missing, "counts": counts}


def _score(model: LogisticModel | NetworkModel, learnt: Learnt, sample: pa.Table) -> Document | list[Document]:
    """Return the distribution of the probability of the positive class, or of that of each class by name."""
    if not sample.num_rows:
        return {}
    probabilities = model.predict_proba(_by_name(sample))
    names = class_names(learnt.classes)
    if len(names) == 2:
        return distribution(probabilities[:, 1])
    return [{"class": name, **distribution(column)} for name, column in zip(names, probabilities.T, strict=True)]


def _by_name(sample: pa.Table) -> dict[str, pa.Array]:
    """Return the columns of a sample, each once: where one is there as numbers and as levels, the numbers."""
    found: dict[str, pa.Array] = {}
    for name, column in zip(sample.column_names, sample.columns, strict=True):
        if name not in found or pa.types.is_floating(column.type):
            found[name] = column
    return found


def distribution(values: Floats) -> Document:
    """Return quantiles of some values, and their counts in about ten intervals; nothing where there is no value.

    Quantiles are values that occur: of two neighbours the lower one.
    """
    values = np.sort(values[~np.isnan(values)])
    if not values.size:
        return {}
    quantiles = _quantiles(values, QUANTILES).tolist()
    # np.unique() would load numpy.ma, which takes longer.
    edges = np.array(sorted(set(_quantiles(values, _EDGES).tolist())))
    edges = edges[(edges > values[0]) & np.isfinite(edges)]
    cuts = [0, *np.searchsorted(values, edges, side="left").tolist(), values.size]
    return {
        "quantiles": {str(share): _finite(value) for share, value in zip(QUANTILES, quantiles, strict=True)},
        "histogram": {"edges": edges.tolist(), "counts": np.diff(cuts).tolist()},
    }


def _quantiles(values: Floats, shares: Sequence[float]) -> Floats:
    found: Floats = values[[int(share * (values.size - 1)) for share in shares]]
    return found


def _finite(value: Any) -> Any:
    """Return a value with ``None`` in place of a number that JSON does not have."""
    return None if isinstance(value, float) and not np.isfinite(value) else value
