"""The jobs as functions: one call each, for notebooks, schedulers and the command line alike."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict, TypeVar, Unpack

from pipeline import flow
from pipeline.choices import (
    DURABILITY,
    FINGERPRINT,
    FORMAT,
    IF_EXISTS,
    PRECISION,
    Choice,
    Durability,
    Fingerprint,
    Format,
    IfExists,
    Precision,
    parse_if_running,
)
from pipeline.errors import UsageError
from pipeline.kernels import arithmetic_tag
from pipeline.models import (
    Model,
    ScoreRequest,
    TransformBlock,
    load_model,
    parse_application,
    score_block,
    show_model,
)
from pipeline.plan import DEFAULT_CHUNK_ROWS
from pipeline.types.blocks import BlockFunction
from pipeline.types.inputs import CsvOptions
from pipeline.types.job import BadLimit, Conduct, Job
from pipeline.types.report import Observer, PlanSummary, Report, ShownModel
from pipeline.units import parse_bad_limit, parse_seconds, quoted

# By their keywords.
_CHOICES: Mapping[str, Choice[Any]] = {
    "fingerprint": FINGERPRINT,
    "durability": DURABILITY,
    "precision": PRECISION,
    "if_exists": IF_EXISTS,
}

# Endings that stand for a format of files, of which a folder by that name would be a surprise.
_UNWRITABLE = re.compile(r"\.(xlsx?|jsonl?|arrow|feather|orc|avro|delta|db|sqlite|zip|gz|zst)\Z", re.IGNORECASE)

Value = TypeVar("Value")

Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


class ConductOptions(TypedDict, total=False):
    """Options that say how a run goes about its work; they never change a byte of what it writes.

    Attributes are those of :class:`pipeline.types.job.Conduct`, as a person writes them.
    """

    resume: bool
    reuse: bool
    if_running: str
    deadline: float | str | None
    retries: int
    durability: Durability
    keep_versions: int


class JobOptions(ConductOptions, total=False):
    """Options of every job; the command line has the same under the same names.

    ``keep`` are columns copied to the output (``["*"]`` for all); ``types`` maps column names of a CSV to Arrow types;
    ``columns`` names the columns of CSV files without a header; ``chunk_size`` is rows or, as text, bytes (``64MiB``);
    ``memory`` is text (``2GiB``) or bytes; ``max_bad`` is a number of rows or, as text, a percentage (``0.5%``);
    ``if_running`` is ``fail``, ``skip``, ``wait`` or ``wait=10m``; ``deadline`` is seconds or text (``3h``);
    ``resume=False`` and ``reuse=False`` compute everything anew; ``observe`` is told what happens.
    """

    keep: str | Sequence[str]
    float32: bool
    limit: int | None
    max_bad: int | str
    fingerprint: Fingerprint
    delimiter: str
    quote: str
    null: str | Sequence[str]
    encoding: str
    columns: str | Sequence[str] | None
    types: Mapping[str, str]
    chunk_size: int | str
    workers: int | None
    memory: int | str | None
    scheduler: str
    insecure: bool
    precision: Precision
    format: Format | None
    compression: str | None
    if_exists: IfExists
    allow_empty: bool
    observe: Observer


class WriteOptions(ConductOptions, total=False):
    """Options of :meth:`pipeline.Dataset.write`; how the inputs are read and cut was said when they were opened.

    ``resume`` and ``reuse`` act where the expressions have an ``identity``: without one nothing is ever taken over.
    """

    keep: str | Sequence[str]
    workers: int | None
    memory: int | str | None
    scheduler: str
    insecure: bool
    format: Format | None
    compression: str | None
    if_exists: IfExists
    allow_empty: bool
    observe: Observer


class ScoreOptions(JobOptions, total=False):
    """Options of a scoring job.

    ``raw_prediction`` adds the value before the sigmoid; ``threshold`` adds a decision. Without either the model file
    says which columns are made.
    """

    raw_prediction: bool
    threshold: float | None


def score(
    inputs: Paths,
    model: Model | str | os.PathLike[str],
    output: str | os.PathLike[str],
    **options: Unpack[ScoreOptions],
) -> Report:
    """Score files with a logistic model and publish the result in one step.

    Either the whole output is published, verified and durable, when this returns, or an error is raised and whatever
    was under ``output`` before is there still.

    Parameters
    ----------
    inputs : path or iterable of paths
        Files, folders or glob patterns, Parquet or CSV.
    model : Model or path
        Such as a :class:`~pipeline.models.LogisticModel`.
    output : path
        What to publish: a folder, or a file where the name ends in ``.parquet`` or ``.csv``.
    **options : ScoreOptions

    Returns
    -------
    Report
        Rows read, scored, null and NaN, bytes, seconds, peak memory.

    Raises
    ------
    pipeline.errors.LogitstreamError
        Nothing was published; ``exit_code`` says what kind of reason.
    """
    observe = options.pop("observe", None)
    return run(score_job(inputs, model, output, **options), observe)


def preview(
    inputs: Paths,
    model: Model | str | os.PathLike[str],
    output: str | os.PathLike[str],
    **options: Unpack[ScoreOptions],
) -> PlanSummary:
    """Return what :func:`score` would do, from footers and headers alone; raise what it would raise before work."""
    options.pop("observe", None)
    return flow.plan(score_job(inputs, model, output, **options))


def transform(
    inputs: Paths, apply: str | Sequence[str], output: str | os.PathLike[str], **options: Unpack[JobOptions]
) -> Report:
    """Apply functions to columns, as in ``"p=sigmoid(score)"``, and publish the result as :func:`score` does.

    Parameters
    ----------
    inputs : path or iterable of paths
    apply : str or sequence of str
        ``NAME=FUNCTION(COLUMN)``; without a name the result is called ``FUNCTION_COLUMN``.
    output : path
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
    loaded = load_model(model) if isinstance(model, str | os.PathLike) else model
    request = ScoreRequest(
        raw_prediction=options.pop("raw_prediction", False),
        threshold=options.pop("threshold", None),
        float32=options.get("float32", False),
        precision=options.get("precision", "fast"),
    )
    return make_job(inputs, output, score_block(loaded, request), options)


def shown_model(path: str | os.PathLike[str]) -> ShownModel:
    """Return what a person reads of a model file, of whatever kind; raise what loading it raises."""
    return show_model(load_model(path))


def transform_job(
    inputs: Paths, apply: str | Sequence[str], output: str | os.PathLike[str], **options: Unpack[JobOptions]
) -> Job:
    """Return the job of :func:`transform`."""
    texts = (apply,) if isinstance(apply, str) else tuple(apply)
    block = TransformBlock(
        tuple(parse_application(text) for text in texts),
        float32=options.get("float32", False),
        precision=options.get("precision", "fast"),
    )
    return make_job(inputs, output, block, options)


def make_job(inputs: Paths, output: str | os.PathLike[str], block: BlockFunction, options: JobOptions) -> Job:
    """Return the job that applies a block function to inputs.

    Raises
    ------
    TypeError
        There is no option of a name that was given.
    UsageError
        The value of an option is none that it can have.
    """
    _check_options(options)
    memory = options.get("memory")
    columns = options.get("columns")
    return Job(
        inputs=paths_of(inputs),
        output=os.fspath(output),
        block=block,
        keep=names_of(options.get("keep", ())),
        csv=CsvOptions.given(
            delimiter=options.get("delimiter", ","),
            quote=options.get("quote", '"'),
            null=names_of(options.get("null", ())),
            encoding=options.get("encoding", "utf-8"),
            columns=None if columns is None else names_of(columns),
            types=options.get("types"),
        ),
        format=format_of(os.fspath(output), options.get("format")),
        compression=options.get("compression"),
        if_exists=options.get("if_exists", "fail"),
        allow_empty=options.get("allow_empty", False),
        chunk_size=str(options.get("chunk_size", DEFAULT_CHUNK_ROWS)),
        limit=options.get("limit"),
        memory=f"{memory}B" if isinstance(memory, int) else memory,
        workers=options.get("workers"),
        scheduler=options.get("scheduler", "threads"),
        insecure=options.get("insecure", False),
        arithmetic=arithmetic_tag(options.get("precision", "fast")),
        max_bad=BadLimit(*parse_bad_limit(str(options.get("max_bad", 0)))),
        fingerprint=options.get("fingerprint", "ends"),
        conduct=conduct_of(options),
    )


def format_of(output: str, asked: Format | None) -> Format:
    """Return the format of an output: what the name of a file says, else what was asked for, else Parquet."""
    _refuse_unwritable(output)
    named: Format | None = next((kind for kind in FORMAT.words if output.endswith(f".{kind}")), None)
    if named and asked and named != asked:
        raise UsageError(
            f"--format {asked}: the output {quoted(output)} is {named} by its name",
            "leave --format out, or give the output another name",
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
    """Return how a run goes about its work, of options as a person writes them."""
    if_running, wait_seconds = parse_if_running(options.get("if_running", "fail"))
    deadline = options.get("deadline")
    if deadline is not None:
        deadline = parse_seconds(deadline if isinstance(deadline, str) else f"{deadline:f}")
    return Conduct(
        resume=options.get("resume", True),
        reuse=options.get("reuse", True),
        if_running=if_running,
        wait_seconds=wait_seconds,
        deadline_seconds=deadline,
        retries=_at_least(0, "retries", options.get("retries", 3)),
        durability=DURABILITY.check(options.get("durability", "full")),
        keep_versions=_at_least(0, "keep_versions", options.get("keep_versions", 1)),
    )


def _check_options(options: JobOptions) -> None:
    unknown = options.keys() - JobOptions.__annotations__.keys()
    if unknown:
        raise TypeError(f"there is no option {min(unknown)!r}")
    for name in ("limit", "workers", "memory"):
        _at_least(1, name, options.get(name))
    for name, choice in _CHOICES.items():
        choice.check(options.get(name, choice.words[0]))


def _at_least(least: int, name: str, value: Value) -> Value:
    if isinstance(value, int) and value < least:
        raise UsageError(f"{name} is {value}: it must be at least {least}")
    return value


def names_of(names: str | Sequence[str]) -> tuple[str, ...]:
    """Return one name or several as a tuple: a text is one name, not its letters."""
    return (names,) if isinstance(names, str) else tuple(names)


def paths_of(inputs: Paths) -> tuple[str, ...]:
    """Return one path or several as a tuple of text."""
    return (os.fspath(inputs),) if isinstance(inputs, str | os.PathLike) else tuple(os.fspath(path) for path in inputs)
