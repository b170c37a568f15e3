"""The jobs as functions, one call each: for notebooks, schedulers and the command line."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from numbers import Real
from typing import Any, Unpack

from pipeline import flow
from pipeline.arguments import (
    Paths,
    at_least,
    check_columns_types,
    check_whole,
    csv_of,
    memory_of,
    paths_of,
    share_limits,
    shown_type,
)
from pipeline.choices import (
    ABSENT,
    DURABILITY,
    FINGERPRINT,
    FORMAT,
    IF_EXISTS,
    PRECISION,
    Choice,
    Format,
    parse_if_running,
)
from pipeline.errors import UsageError
from pipeline.execute import choose_scheduler
from pipeline.models import (
    KINDS,
    Model,
    ScoreRequest,
    TransformBlock,
    load_model,
    parse_application,
    score_block,
)
from pipeline.options import ConductOptions, JobOptions, ScoreOptions, check_names, completed, documented
from pipeline.types.blocks import BlockFunction
from pipeline.types.job import BadLimit, Conduct, Job
from pipeline.types.report import Observer, PlanSummary, Report
from pipeline.units import names_of, parse_bad_limit, parse_seconds, quoted

# By their keywords.
_CHOICES: Mapping[str, Choice[Any]] = {
    "absent": ABSENT,
    "fingerprint": FINGERPRINT,
    "durability": DURABILITY,
    "precision": PRECISION,
    "if_exists": IF_EXISTS,
}

# Endings that stand for a format of files, of which a folder by that name would be a surprise.
_UNWRITABLE = re.compile(r"\.(xlsx?|jsonl?|arrow|feather|orc|avro|delta|db|sqlite|zip|gz|zst)\Z", re.IGNORECASE)


@documented(ScoreOptions)
def score(
    inputs: Paths,
    model: Model | str | os.PathLike[str],
    output: str | os.PathLike[str],
    **options: Unpack[ScoreOptions],
) -> Report:
    """Score files with a model and publish the result in one step.

    When this returns, the whole output is published, verified and durable. If an error is raised, whatever was under
    ``output`` before is still there.

    Parameters
    ----------
    inputs : path or iterable of paths
        Files, folders or glob patterns, Parquet or CSV.
    model : Model or path
        A :class:`~pipeline.models.LogisticModel`, or the path of a model file of any kind.
    output : path
        What to publish: a folder, or a file if the name ends in ``.parquet`` or ``.csv``.
    **options : ScoreOptions

    Returns
    -------
    Report
        Rows read, scored, null and NaN, bytes, seconds, peak memory.

    Raises
    ------
    pipeline.errors.LogitstreamError
        Nothing was published; ``exit_code`` is that of the command line.
    TypeError
        There is no option of that name, or an argument is not what it must be.
    """
    observe = options.pop("observe", None)
    return run(score_job(inputs, model, output, **options), observe)


@documented(ScoreOptions, observe="Never called: no work is done.")
def preview(
    inputs: Paths,
    model: Model | str | os.PathLike[str],
    output: str | os.PathLike[str],
    **options: Unpack[ScoreOptions],
) -> PlanSummary:
    """Return what :func:`score` would do, from footers and headers alone, unless ``sample_rows`` asks for more.

    Raises what :func:`score` would raise before it starts to work.

    Parameters
    ----------
    inputs : path or iterable of paths
    model : Model or path
    output : path
    **options : ScoreOptions
    """
    options.pop("observe", None)
    return flow.plan(score_job(inputs, model, output, **options))


@documented(JobOptions)
def transform(
    inputs: Paths, apply: str | Sequence[str], output: str | os.PathLike[str], **options: Unpack[JobOptions]
) -> Report:
    """Apply functions to columns, as in ``"p=sigmoid(score)"``, and publish the result as :func:`score` does.

    Parameters
    ----------
    inputs : path or iterable of paths
        Files, folders or glob patterns, Parquet or CSV.
    apply : str or sequence of str
        ``NAME=FUNCTION(COLUMN)``; without a name the result is called ``FUNCTION_COLUMN``.
    output : path
        What to publish: a folder, or a file if the name ends in ``.parquet`` or ``.csv``.
    **options : JobOptions
    """
    observe = options.pop("observe", None)
    return run(transform_job(inputs, apply, output, **options), observe)


def run(job: Job, observe: Observer | None) -> Report:
    """Carry out a job as :func:`pipeline.flow.run` does, observed or not."""
    return flow.run(job) if observe is None else flow.run(job, observe)


def score_job(
    inputs: Paths,
    model: Model | str | os.PathLike[str],
    output: str | os.PathLike[str],
    **options: Unpack[ScoreOptions],
) -> Job:
    """Return the job of :func:`score`."""
    check_names(options, ScoreOptions)
    paths = paths_of(inputs, "score a table with logitstream.LogisticModel.load(MODEL).probability(table)")
    asked = completed(options)
    _check_types(asked)
    request = ScoreRequest(
        raw_prediction=asked["raw_prediction"],
        threshold=asked["threshold"],
        reasons=asked["reasons"],
        float32=asked["float32"],
        precision=asked["precision"],
    )
    model = _model(model)
    job = make_job(paths, output, score_block(model, request), options)
    decimal = job.csv.decimal
    block = job.block if decimal == "." else score_block(model, replace(request, decimal=decimal))
    return replace(
        job,
        block=block,
        max_unseen=share_limits("max_unseen", asked["max_unseen"]),
        max_missing=share_limits("max_missing", asked["max_missing"]),
        sample_rows=asked["sample_rows"],
        command="score",
    )


def transform_job(
    inputs: Paths, apply: str | Sequence[str], output: str | os.PathLike[str], **options: Unpack[JobOptions]
) -> Job:
    """Return the job of :func:`transform`."""
    check_names(options, JobOptions)
    paths = paths_of(inputs, "apply functions to a table with logitstream.transform_stream([table], APPLY, OUTPUT)")
    texts = _applications(apply)
    asked = completed(options)
    block = TransformBlock(
        tuple(parse_application(text) for text in texts), float32=asked["float32"], precision=asked["precision"]
    )
    return replace(make_job(paths, output, block, options), command="transform")


def make_job(inputs: Paths, output: str | os.PathLike[str], block: BlockFunction, options: JobOptions) -> Job:
    """Return the job that applies a block function to inputs.

    Raises
    ------
    UsageError
        An option cannot have that value.
    TypeError
        An option is of another type.
    """
    asked = completed(options)
    _check_types(asked)
    _check_values(asked)
    scheduler, cluster = choose_scheduler(asked)
    return Job(
        inputs=paths_of(inputs),
        output=os.fspath(output),
        block=block,
        keep=names_of(asked["keep"]),
        absent=asked["absent"],
        rename=renaming_of(asked["rename"]),
        csv=csv_of(asked),
        format=format_of(os.fspath(output), asked["format"]),
        compression=asked["compression"],
        if_exists=asked["if_exists"],
        allow_empty=asked["allow_empty"],
        chunk_size=str(asked["chunk_size"]),
        limit=asked["limit"],
        memory=memory_of(asked["memory"]),
        workers=asked["workers"],
        scheduler=scheduler,
        cluster=cluster,
        arithmetic=flow.arithmetic_of(block, asked["precision"]),
        max_bad=BadLimit(*parse_bad_limit(str(asked["max_bad"]))),
        fingerprint=asked["fingerprint"],
        conduct=conduct_of(asked),
    )


def renaming_of(rename: object) -> tuple[tuple[str, str], ...]:
    """Return the new names of columns, each after its old one.

    Raises
    ------
    TypeError
        It is not a mapping from text to text.
    """
    if not isinstance(rename, Mapping) or not all(isinstance(name, str) for pair in rename.items() for name in pair):
        raise TypeError(f'rename is {shown_type(rename)}, not a mapping of texts; write rename={{"OLD": "NEW"}}')
    return tuple(rename.items())


def format_of(output: str, asked: Format | None) -> Format:
    """Return the format of an output: that of the file name, else the one asked for, else Parquet."""
    _refuse_unwritable(output)
    named: Format | None = next((kind for kind in FORMAT.words if output.endswith(f".{kind}")), None)
    if named and asked and named != asked:
        raise UsageError(
            f"the format {asked} does not fit the output {quoted(output)}, whose name means {named}",
            "leave the format out, or give the output another name",
        )
    return named or asked or "parquet"


def _refuse_unwritable(output: str) -> None:
    """Refuse an output whose name asks for something else than Parquet or CSV."""
    if output == "-":
        message = "'-' cannot be an output: rows are not written to standard output"
    elif unwritable := _UNWRITABLE.search(output):
        message = f"{quoted(output)} cannot be an output: {unwritable[0].lower()} files cannot be written"
    else:
        return
    raise UsageError(message, "name a folder, or a file that ends in .parquet or .csv")


def conduct_of(options: ConductOptions) -> Conduct:
    """Return how a run goes about its work, from options as a person writes them."""
    asked = completed(options)
    if_running, wait_seconds = parse_if_running(asked["if_running"])
    deadline = asked["deadline"]
    if deadline is not None:
        deadline = parse_seconds(deadline if isinstance(deadline, str) else f"{deadline:f}")
    return Conduct(
        resume=asked["resume"],
        reuse=asked["reuse"],
        if_running=if_running,
        wait_seconds=wait_seconds,
        deadline_seconds=deadline,
        retries=at_least(0, "retries", asked["retries"]),
        durability=DURABILITY.check(asked["durability"]),
        keep_versions=at_least(0, "keep_versions", asked["keep_versions"]),
    )


def _model(model: Model | str | os.PathLike[str]) -> Model:
    """Return a model, loaded if it is a path; say what to do with an estimator."""
    if isinstance(model, str | os.PathLike):
        return load_model(model)
    if getattr(model, "kind", None) in KINDS:
        return model
    found = f"model is a {type(model).__name__}, neither a LogisticModel nor the path of a model file"
    if hasattr(model, "get_params") and hasattr(model, "fit"):
        raise TypeError(f"{found}; make one from a fitted estimator with logitstream.from_sklearn(estimator)")
    raise TypeError(f"{found}; load one with logitstream.LogisticModel.load(PATH)")


def _applications(apply: Any) -> tuple[str, ...]:
    if isinstance(apply, Mapping):
        texts = [f"{name}={function}" for name, function in apply.items()]
        raise TypeError(f"apply is a {type(apply).__name__}, not a text or a list of texts; write {texts}")
    return (apply,) if isinstance(apply, str) else tuple(apply)


def _check_types(options: JobOptions) -> None:
    check_columns_types(options["types"])
    keep, threshold = options["keep"], options.get("threshold")
    if not isinstance(keep, str | Iterable):
        raise TypeError(f'keep is {shown_type(keep)}, not names of columns; write keep=["id"]')
    if threshold is not None and (isinstance(threshold, bool) or not isinstance(threshold, Real)):
        raise TypeError(f"threshold is {shown_type(threshold)}; write a number, such as threshold=0.5")
    for name in ("limit", "workers", "skip_lines", "sample_rows", "reasons"):
        check_whole(name, options.get(name))


def _check_values(options: JobOptions) -> None:
    for name in ("limit", "workers", "memory", "sample_rows"):
        at_least(1, name, options.get(name))
    for name, choice in _CHOICES.items():
        choice.check(options.get(name))
